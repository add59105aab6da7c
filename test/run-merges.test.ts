/**
 * Merges beside one another: a large one takes minutes, in which small runs must go on being merged.
 */
import { expect, test } from "vitest";
import { InlineRunMaker, type RunDone } from "../server/index/run-maker.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, eventById, nextTurn, readAll, streamVersion } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 50;
const STREAMS = 90;

/** Merges when it is told to. */
class PatientRunMaker extends InlineRunMaker {
  readonly merges: { readonly inputCount: number; readonly run: () => void }[] = [];

  override merge(inputs: readonly string[], output: string, done: RunDone): void {
    const run = (): void => super.merge(inputs, output, done);
    this.merges.push({ inputCount: inputs.length, run });
  }
}

function open(disk: SimulatedDisk): { store: EventStore; maker: PatientRunMaker } {
  const booted = disk.boot();
  const made: PatientRunMaker[] = [];
  const random = new Random(SEED);
  const store = EventStore.open({
    disk: booted,
    folder: "/data",
    partitions: 4,
    segmentBytes: 1024 * 1024,
    durability: "fsync",
    strict: false,
    clock: () => 1_700_000_000_000,
    random: (target) => random.fill(target),
    log: () => undefined,
    syncPlace: "loop",
    memtableEvents: MEMTABLE_EVENTS,
    makeRuns(folder) {
      const maker = new PatientRunMaker(booted, folder);
      made.push(maker);
      return maker;
    },
  });
  return { store, maker: made[0] as PatientRunMaker };
}

test("small runs are merged while a large merge is under way, and all is found before, between and after", async () => {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const { store, maker } = open(disk);
  const ids: string[] = [];
  const streams: string[] = [];

  async function appendMemtable(): Promise<void> {
    const before = store.memoryFigures().runCount;
    for (let i = 0; i < MEMTABLE_EVENTS; i++) {
      const stream = `stream-${(streams.length * 7) % STREAMS}`;
      await append(store, [{ stream, name: "E", payload: Buffer.from(String(streams.length)) }]);
      streams.push(stream);
    }
    while (store.memoryFigures().runCount === before) await nextTurn();
  }

  async function merge(): Promise<void> {
    const { runCount } = store.memoryFigures();
    maker.merges.shift()?.run();
    while (store.memoryFigures().runCount >= runCount) await nextTurn();
  }

  async function check(): Promise<void> {
    const events = readAll(store);
    expect(events.map(({ streamId }) => streamId)).toEqual(streams);
    for (const { eventId } of events.slice(ids.length)) ids.push(eventId);
    for (const [position, id] of ids.entries()) {
      expect(eventById(store, id)?.streamId).toBe(streams[position]);
    }
    for (let n = 0; n < STREAMS; n++) {
      const version = streams.filter((stream) => stream === `stream-${n}`).length - 1;
      expect(streamVersion(store, `stream-${n}`)).toBe(version);
    }
  }

  // One append more seals the memtable before.
  await append(store, [{ stream: "first", name: "E", payload: Buffer.from("") }]);
  streams.push("first");
  for (let large = 0; large < 4; large++) {
    for (let i = 0; i < 4; i++) await appendMemtable();
    if (large < 3) {
      expect(maker.merges).toHaveLength(1);
      await merge();
    }
  }
  await merge(); // the last four small ones: then the four large ones are due
  expect(maker.merges.map(({ inputCount }) => inputCount)).toEqual([4]);
  const [largeMerge] = maker.merges;
  await check();

  for (let i = 0; i < 4; i++) await appendMemtable();
  expect(maker.merges).toHaveLength(2);
  // Of one size one at a time: four more wait.
  for (let i = 0; i < 4; i++) await appendMemtable();
  expect(maker.merges).toHaveLength(2);
  await check();

  maker.merges.shift(); // the large one goes on meanwhile
  await merge();
  expect(maker.merges).toHaveLength(1);
  await check();
  await merge();
  const before = store.memoryFigures().runCount;
  largeMerge?.run();
  while (store.memoryFigures().runCount === before) await nextTurn();
  expect(store.memoryFigures().runCount).toBe(3);
  await check();
  await store.stop();

  const again = open(disk);
  expect(readAll(again.store).map(({ streamId }) => streamId)).toEqual(streams);
  await again.store.stop();
});
