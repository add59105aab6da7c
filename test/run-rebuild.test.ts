/**
 * A store on the real disk whose index is gone: a worker makes runs and merges them while a start reads the log, which has
 * no turn of the event loop. Whatever is made by then, and whatever fails, all reads are right at once.
 *
 * Streams are chosen at random; a failure prints the seed.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { systemDisk } from "../server/disk.ts";
import { KiB, MiB, START_MERGED_RUNS } from "../server/limits.ts";
import { EventStore } from "../server/store/event-store.ts";
import type { StoreOptions } from "../server/store/store-options.ts";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { eventsOf, readEverything } from "./support/run-store.ts";
import { until } from "./support/server.ts";
import { append, streamVersion } from "./support/store-driver.ts";
import { verify } from "./support/verify.ts";

const SEED = Number(process.env.SEED ?? 1);
const EVENTS = 4_000;
const MEMTABLE_EVENTS = 60;

let folder: string;
let expected: readonly StoredEvent[];
let open: EventStore | null = null;

function openStore(
  log: string[] = [],
  memtableEvents = MEMTABLE_EVENTS,
  options: Partial<StoreOptions> = {},
): EventStore {
  open = EventStore.open({
    disk: systemDisk,
    folder,
    partitions: 8,
    segmentBytes: 64 * KiB,
    durability: "os",
    strict: false,
    memtableEvents,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log: (line) => void log.push(line),
    ...options,
  });
  return open;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cairn-rebuild-"));
  const random = new Random(SEED);
  const store = openStore([], EVENTS);
  while ((store.lastPosition() ?? -1) + 1 < EVENTS) {
    const stream = `stream-${random.below(300)}`;
    const events = Array.from({ length: random.between(1, 40) }, () => ({
      stream,
      name: "Changed",
    }));
    await append(store, events);
  }
  expected = eventsOf(store);
  await store.stop();
  open = null;
});

afterEach(async () => {
  await open?.stop();
  open = null;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function removeIndex(): void {
  rmSync(join(folder, "index"), { recursive: true, force: true });
}

test(`an index that is gone is made again, merged many at once, and read at once (seed ${SEED})`, async () => {
  removeIndex();
  const log: string[] = [];
  const store = openStore(log);
  expect(readEverything(store, expected)).toEqual([]);
  expect(log.filter((line) => line.startsWith("index:"))).toEqual([
    expect.stringMatching(`^index: made from the log for ${expected.length} events in `),
  ]);
  const memtables = Math.floor(expected.length / MEMTABLE_EVENTS);
  await until(() => store.memoryFigures().memtableCount === 1, "all full memtables became runs");
  expect(store.memoryFigures().runCount).toBeLessThan(memtables - START_MERGED_RUNS);
  expect(readEverything(store, expected)).toEqual([]);
  await append(store, [{ stream: "stream-1", name: "Changed" }]);
  const all = eventsOf(store);
  await store.stop();
  open = null;
  expect(verify(folder)).toEqual({ isRight: true, lines: expect.any(String) });
  expected = all;
});

test("a start that is refused while runs are made leaves no part of one", () => {
  removeIndex();
  const segments = readdirSync(join(folder, "log")).filter((name) => name.endsWith(".seg"));
  const damaged = join(folder, "log", segments.sort().at(-2) as string);
  const file = systemDisk.open(damaged, "write");
  const byte = new Uint8Array(1);
  file.read(byte, 2_000);
  try {
    file.write(Uint8Array.of((byte[0] as number) ^ 1), 2_000);
    expect(() => openStore()).toThrow("the record here is damaged");
    open = null;
    const left = readdirSync(join(folder, "index"));
    expect(left.filter((name) => !name.endsWith(".run"))).toEqual([]);
  } finally {
    file.write(byte, 2_000);
    file.close();
  }
  expect(readEverything(openStore(), expected)).toEqual([]);
});

test(`heads that were asked for while a start offers those of the runs stay right (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const HEADS = 16_384;
  const STREAMS = Math.floor(0.93 * HEADS);
  const MEMORY_BYTES = 4 * HEADS * 16; // a quarter of it is for heads
  for (let round = 0; round < 3; round++) {
    const other = mkdtempSync(join(tmpdir(), "cairn-heads-"));
    const options = { folder: other, segmentBytes: 16 * MiB, durability: "fsync" } as const;
    try {
      let store = openStore([], STREAMS, options);
      const versions = new Map<string, number>();
      for (let i = 0; i < 3 * STREAMS; i += 100) {
        const events = Array.from({ length: 100 }, () => ({
          stream: `stream-${random.below(STREAMS)}`,
          name: "Changed",
        }));
        await append(store, events);
        for (const { stream } of events) versions.set(stream, (versions.get(stream) ?? -1) + 1);
      }
      // Runs are made of what is synced, and appends are what has that looked at.
      const isMade = async (): Promise<boolean> => {
        await append(store, [{ stream: "one more", name: "Changed" }]);
        return store.memoryFigures().memtableCount === 1;
      };
      await until(isMade, "full memtables became runs");
      await store.stop();
      store = openStore([], STREAMS, { ...options, indexMemoryBytes: MEMORY_BYTES });
      // What is asked for meanwhile is put in as it is found, in the place of others.
      const streams = [...versions.keys()];
      const ask = (): boolean => {
        for (let i = 0; i < 2_000; i++) streamVersion(store, random.pick(streams));
        return !store.memoryFigures().isLoadingHeads;
      };
      while (!ask()) await new Promise(setImmediate);
      const wrong = [...versions].filter(
        ([stream, version]) => streamVersion(store, stream) !== version,
      );
      expect(wrong).toEqual([]);
      await store.stop();
    } finally {
      open = null;
      rmSync(other, { recursive: true, force: true });
    }
  }
});
