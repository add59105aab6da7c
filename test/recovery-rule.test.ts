/**
 * The recovery rule under random appends, segment rolls, stops, kills, crashes and failing calls, on a
 * simulated disk: nothing acknowledged is lost, a torn tail is never refused, damage is never accepted.
 *
 * `SEEDS=n` runs n seeds, `SEED=n` replays one and prints what happened in it.
 */
import { expect, test } from "vitest";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { readAll } from "./support/store-driver.ts";
import { FOLDER, judgeDamage, StoreWorld } from "./support/store-world.ts";

const SEED_COUNT = Number(process.env.SEEDS ?? 500);
const ONE_SEED = process.env.SEED;
/** For the whole run; it only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 30 * 60_000;

test(
  ONE_SEED === undefined ? `${SEED_COUNT} seeds from 1 keep the recovery rule` : `seed ${ONE_SEED}`,
  async () => {
    const seeds = ONE_SEED === undefined ? undefined : Number(ONE_SEED);
    const damages = { refused: 0, "event refused": 0, right: 0 };
    for (let seed = seeds ?? 1; seed <= (seeds ?? SEED_COUNT); seed++) {
      const verdict = await runSeed(seed);
      if (verdict !== null) damages[verdict]++;
    }
    // Damage that is planted but never noticed would mean that the test looks in the wrong place.
    if (seeds === undefined && SEED_COUNT >= 100) expect(damages.refused).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

async function runSeed(seed: number) {
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
    if (ONE_SEED !== undefined) console.log(world.trace.join("\n"));
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
