/**
 * What recovery keeps apart: what the page cache shows and what is on the disk, a frame that is whole and one that
 * follows, what was cut and what is there.
 */
import { expect, test } from "vitest";
import { OpenError } from "../server/errors.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, type NewEvent, nextTurn, queue, readAll } from "./support/store-driver.ts";
import { openStore } from "./support/store-world.ts";

const SEEDS = 40;
const SEGMENT = "/data/log/00000000000000000000.seg";

function event(payload: string): NewEvent {
  return { stream: "order-1", name: "Placed", payload: Buffer.from(payload) };
}

test("what a start shows out of the page cache is on the disk from then on, though its sync had failed", async () => {
  let shown = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const disk = new SimulatedDisk({ random: new Random(seed) });
    const store = openStore(disk);
    await append(store, [event("before")]);
    disk.fail({ kind: "sync", code: "EIO" });
    queue(store, [event("x".repeat(700))]);
    store.flush();
    disk.kill();
    const found = readAll(openStore(disk));
    disk.crash();
    expect(readAll(openStore(disk)), `seed ${seed}`).toEqual(found);
    if (found.length === 2) shown++;
    await nextTurn();
  }
  expect(shown, "starts that showed what the failed sync had covered").toBeGreaterThan(SEEDS / 10);
});

test("a whole frame that follows another one than the one before it is damage", async () => {
  const made = async (second: string) => {
    const disk = new SimulatedDisk({ random: new Random(1) });
    const store = openStore(disk);
    for (const payload of ["first", second, "third"]) await append(store, [event(payload)]);
    await store.stop();
    return { disk, bytes: disk.image().get(SEGMENT) ?? new Uint8Array(0) };
  };
  const one = await made("second");
  const other = await made("SECOND");
  // The frames have the same lengths and lie at the same places: the other one's third does not follow "second".
  const third = Buffer.from(other.bytes).indexOf("SECOND") + "SECOND".length;
  const mixed = one.bytes.slice();
  mixed.set(other.bytes.subarray(third), third);
  expect(mixed.length).toBe(one.bytes.length);
  const image = new Map(one.disk.image());
  image.set(SEGMENT, mixed);
  const disk = SimulatedDisk.fromImage(image, { random: new Random(1) });
  expect(() => openStore(disk)).toThrow(OpenError);
  expect(() => openStore(disk)).toThrow(/\.seg at offset \d+: this record does not follow/);
});

test("a cut tail is kept beside its segment, and zeros lie where it was: no later start finds it again", async () => {
  const disk = new SimulatedDisk({ random: new Random(1) });
  await append(openStore(disk), [event("whole")]);
  disk.kill();
  const torn = new Map(disk.image());
  const segment = (torn.get(SEGMENT) ?? new Uint8Array(0)).slice();
  const end = Math.ceil((segment.findLastIndex((byte) => byte !== 0) + 1) / 8) * 8;
  const tail = Buffer.from("half of a transaction");
  segment.set(tail, end);
  torn.set(SEGMENT, segment);

  const found = SimulatedDisk.fromImage(torn, { random: new Random(1) });
  const lines: string[] = [];
  openStore(found, { log: (line) => lines.push(line) });
  expect(lines.filter((line) => line.includes("cut an incomplete last transaction"))).toHaveLength(
    1,
  );
  expect(Buffer.from(found.image().get(`${SEGMENT}.cut-${end}`) ?? [])).toEqual(tail);
  found.crash();
  expect(
    found
      .image()
      .get(SEGMENT)
      ?.subarray(end)
      .some((byte) => byte !== 0),
  ).toBe(false);
  openStore(found, { log: (line) => lines.push(line) });
  expect(lines.filter((line) => line.includes("cut an incomplete last transaction"))).toHaveLength(
    1,
  );
});
