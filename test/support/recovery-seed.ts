/**
 * One seed of the recovery rule: a random life of a store on a simulated disk, then a bit that decays.
 */
import type { StoredEvent } from "../../server/store/stored-event.ts";
import { Random } from "./random.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { readAll } from "./store-driver.ts";
import { type DamageVerdict, FOLDER, judgeDamage, StoreWorld } from "./store-world.ts";

/**
 * Runs one seed of the recovery rule; returns what a start made of planted damage, where some was planted. `tell` gets
 * what happened. Throws where a promise is broken.
 */
export async function runRecoverySeed(
  seed: number,
  tell: (trace: string) => void = () => {},
): Promise<DamageVerdict | null> {
  const world = new StoreWorld(seed);
  try {
    world.mustOpen();
    for (let steps = world.random.between(3, 12); steps > 0; steps--) await world.step();
    return world.random.chance(0.5) ? await plantDamage(world) : null;
  } catch (error) {
    const trace = world.trace.map((line) => `  ${line}`).join("\n");
    const what = error instanceof Error ? error.stack : String(error);
    throw new Error(`SEED=${seed}: ${what}\nwhat happened:\n${trace}`);
  } finally {
    tell(world.trace.join("\n"));
  }
}

/** Flips a bit that the store knows to be synced, in a copy of its files, and lets a start judge it. */
async function plantDamage(world: StoreWorld) {
  await world.settle();
  if (world.disk.ended) return null;
  const expected = readAll(world.store);
  const stops = world.random.chance(0.5);
  world.releaseSyncs();
  if (stops) await world.store.stop();
  // The end frame claims all that is before it.
  const claimed = (stops ? world.ledger.history : world.ledger.claimed()).flatMap(
    (known) => known.events,
  );
  if (claimed.length === 0) return null;
  world.disk.crash();
  const image = world.disk.image();
  const segments = [...image.keys()].filter((path) => path.endsWith(".seg")).sort();
  const event = world.random.pick(claimed);
  const [path, offset] = placeOf(image, segments, event);
  // A bit of the event's payload, or anything from the segment's header to there: all of it is claimed.
  const end = offset + event.payload.length;
  const from = world.random.chance(0.5) ? 0 : offset;
  const bit = world.random.between(from * 8, end * 8 - 1);
  world.trace.push(`bit ${bit} of ${path} flipped after ${stops ? "a stop" : "a crash"}`);
  const copy = SimulatedDisk.fromImage(image, { random: new Random(bit) });
  copy.flipBit(path, bit);
  const verdict = judgeDamage(copy, path, expected);
  if (verdict === "event refused" && path === segments.at(-1)) {
    throw new Error("a start accepted damage to the last segment");
  }
  return verdict;
}

/** File and offset of an event's payload, which begins with a text that comes once. */
function placeOf(
  image: ReadonlyMap<string, Uint8Array>,
  segments: readonly string[],
  event: Pick<StoredEvent, "payload">,
): [string, number] {
  for (const path of segments) {
    const offset = Buffer.from(image.get(path) ?? []).indexOf(event.payload);
    if (offset >= 0) return [path, offset];
  }
  throw new Error(`an event that was read is in no segment of ${FOLDER}`);
}
