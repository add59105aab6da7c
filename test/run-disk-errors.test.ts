/**
 * A disk that fails or is full while index runs are made: appends go on until all memtables are full, then READONLY says
 * why; reads go on, and so does all by itself once there is room.
 *
 * `SEED=n` chooses the events.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MEMTABLES_MAX, RUNS_MAX } from "../server/limits.ts";
import type { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import {
  eventsOf,
  expectNoStray,
  fill,
  indexFiles,
  openRunStore,
  readEverything,
} from "./support/run-store.ts";
import { type CallKind, SimulatedDisk } from "./support/simulated-disk.ts";
import { append, queue } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 10;
/** Longer than until a run that could not be made is tried again. */
const RETRY_MS = 1_001;

/** What fails while a run is made. */
const FAULTS: readonly (readonly [CallKind, string])[] = [
  ["makeFolder", "ENOSPC"],
  ["create", "EIO"],
  ["create", "ENOSPC"],
  ["write", "ENOSPC"],
  ["write", "EIO"],
  ["sync", "EIO"],
  ["rename", "EIO"],
  ["syncFolder", "EIO"],
  ["read", "EIO"],
];

let nowMs: number;

beforeEach(() => {
  nowMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => nowMs);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Appends single events until one is refused, whose text is given; `most` appended must be enough. */
async function appendUntilRefused(store: EventStore, most: number): Promise<string> {
  for (let count = 0; count < most; count++) {
    try {
      await append(store, [{ stream: `stream-${count % 5}`, name: "Opened" }]);
    } catch (error) {
      return (error as Error).message;
    }
  }
  throw new Error(`${most} events were appended, and none was refused`);
}

describe("while the server runs", () => {
  for (const [kind, code] of FAULTS) {
    test(`a ${kind} that fails with ${code} stops appends only when memtables are full, and for no longer than it fails`, async () => {
      const disk = new SimulatedDisk({ random: new Random(SEED) });
      const log: string[] = [];
      const store = openRunStore(disk, MEMTABLE_EVENTS, log);
      disk.fail({ kind, code, path: "/index", times: Number.POSITIVE_INFINITY });
      const text = await appendUntilRefused(store, MEMTABLES_MAX * MEMTABLE_EVENTS + 1);
      expect(store.lastPosition()).toBe(MEMTABLES_MAX * MEMTABLE_EVENTS - 1);
      const reason = text.replace(/^nothing was written: /, "");
      expect(reason).toMatch(/^the index cannot be written: .*/);
      expect(reason).toContain(code);
      expect(store.readOnlyReason()).toBe(reason);
      expect(log.filter((line) => line.includes("a run cannot be made"))).toHaveLength(1);
      const events = eventsOf(store);
      expect(readEverything(store, events)).toEqual([]);
      // It does not fail any more: nobody has to do anything but ask.
      disk.heal();
      expect(store.readOnlyReason(), "not before the time to try again").toBe(reason);
      nowMs += RETRY_MS;
      expect(store.readOnlyReason()).toBeNull();
      expect(store.memoryFigures().failureReason).toBeNull();
      expect(log.join("\n")).toContain("runs are made again");
      await append(store, [{ stream: "stream-1", name: "Closed" }]);
      const all = eventsOf(store);
      expect(readEverything(store, all)).toEqual([]);
      expectNoStray(disk);
      disk.kill();
      expect(readEverything(openRunStore(disk, MEMTABLE_EVENTS), all)).toEqual([]);
    });
  }

  test("an append goes on by itself, with nobody asking, once there is room", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, MEMTABLE_EVENTS);
    disk.fail({ kind: "create", code: "ENOSPC", path: "/index", times: Number.POSITIVE_INFINITY });
    await appendUntilRefused(store, 100);
    disk.heal();
    nowMs += RETRY_MS;
    await append(store, [{ stream: "stream-1", name: "Closed" }]);
    expect(store.lastPosition()).toBe(MEMTABLES_MAX * MEMTABLE_EVENTS);
  });

  test("merges that fail do not hold up runs, and are done later", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const log: string[] = [];
    const store = openRunStore(disk, MEMTABLE_EVENTS, log);
    const merged = `${"0".repeat(20)}-${"4".padStart(19, "0")}0.run`;
    disk.fail({ kind: "create", code: "ENOSPC", path: merged, times: Number.POSITIVE_INFINITY });
    while ((store.lastPosition() ?? 0) < 8 * MEMTABLE_EVENTS) {
      await append(store, [{ stream: "stream-1", name: "Opened" }]);
    }
    expect(indexFiles(disk).size).toBe(8);
    expect(store.readOnlyReason()).toBeNull();
    expect(store.memoryFigures().failureReason).toContain("ENOSPC");
    expect(log.filter((line) => line.includes("runs cannot be merged"))).toHaveLength(1);
    disk.heal();
    nowMs += RETRY_MS;
    await append(store, [{ stream: "stream-1", name: "Opened" }]);
    expect(indexFiles(disk).size).toBeLessThan(8);
    expect(store.memoryFigures().failureReason).toBeNull();
    expect(readEverything(store, eventsOf(store))).toEqual([]);
    expectNoStray(disk);
  });

  test("merges that go on failing stop appends at the most runs that there can be, not the server", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, 1);
    const names = mergedNames();
    for (const path of names) disk.fail({ kind: "create", code: "EIO", path, times: 1e9 });
    const text = await appendUntilRefused(store, RUNS_MAX + MEMTABLES_MAX + 1);
    expect(text).toContain(`there are ${RUNS_MAX} index runs, and they cannot be merged`);
    expect(indexFiles(disk).size).toBe(RUNS_MAX);
    expect(readEverything(store, eventsOf(store))).toEqual([]);
    disk.heal();
    nowMs += RETRY_MS;
    expect(store.readOnlyReason()).toBeNull();
    await append(store, [{ stream: "stream-1", name: "Opened" }]);
    expect(readEverything(store, eventsOf(store))).toEqual([]);
  });

  test("a run whose file somebody removed is served, not merged, and made again by the next start", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const log: string[] = [];
    const random = new Random(SEED);
    const store = openRunStore(disk, MEMTABLE_EVENTS, log);
    await fill(store, random, 3 * MEMTABLE_EVENTS);
    const [removed] = [...indexFiles(disk).keys()] as [string];
    disk.boot().remove(`/data/index/${removed}`);
    await fill(store, random, 12 * MEMTABLE_EVENTS);
    expect(log.filter((line) => line.includes("index:"))).toEqual([
      expect.stringContaining(`${removed} is gone`),
    ]);
    const events = eventsOf(store);
    expect(readEverything(store, events)).toEqual([]);
    expect(store.memoryFigures().failureReason).toBeNull();
    disk.kill();
    expect(readEverything(openRunStore(disk, MEMTABLE_EVENTS), events)).toEqual([]);
    expectNoStray(disk);
  });

  test("a run that is damaged is not merged: the others are, and the next start makes it again", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const log: string[] = [];
    const random = new Random(SEED);
    const store = openRunStore(disk, MEMTABLE_EVENTS, log);
    await fill(store, random, 3 * MEMTABLE_EVENTS);
    const [damaged] = [...indexFiles(disk).keys()] as [string];
    // The ids' page: no start and no scan reads it.
    disk.flipBit(`/data/index/${damaged}`, 4_096 * 8 + 77);
    await fill(store, random, 30 * MEMTABLE_EVENTS);
    expect(log.filter((line) => line.includes("damaged"))).toEqual([
      expect.stringContaining(`index: /data/index/${damaged}`),
    ]);
    expect(indexFiles(disk).size).toBeLessThan(12);
    expect(indexFiles(disk).has(damaged)).toBe(false);
    expect(store.memoryFigures().failureReason).toBeNull();
    const events = eventsOf(store);
    for (const text of readEverything(store, events)) expect(text).toContain(damaged);
    disk.kill();
    const second = openRunStore(disk, MEMTABLE_EVENTS);
    expect(readEverything(second, events)).toEqual([]);
    expectNoStray(disk);
  });
});

/** Names of runs of four events or more: with one event a memtable, of all that merges make. */
function mergedNames(): string[] {
  const digits = (position: number): string => String(position).padStart(20, "0");
  return Array.from({ length: RUNS_MAX }, (_, from) =>
    Array.from(
      { length: RUNS_MAX - from },
      (_, more) => `${digits(from)}-${digits(from + more + 2)}.run`,
    ),
  ).flat();
}

describe("at a start", () => {
  for (const [kind, code] of FAULTS) {
    test(`a ${kind} that fails with ${code} does not keep the store from opening`, async () => {
      const disk = new SimulatedDisk({ random: new Random(SEED) });
      await fill(openRunStore(disk, 1_000), new Random(SEED), 95);
      disk.kill();
      disk.fail({ kind, code, path: "/index", times: Number.POSITIVE_INFINITY });
      const log: string[] = [];
      const store = openRunStore(disk, MEMTABLE_EVENTS, log);
      const events = eventsOf(store);
      expect(events.length).toBeGreaterThanOrEqual(95);
      expect(log.join("\n")).toContain(code);
      expect(readEverything(store, events)).toEqual([]);
      await append(store, [{ stream: "stream-1", name: "Opened" }]);
      disk.heal();
      nowMs += RETRY_MS;
      await append(store, [{ stream: "stream-1", name: "Opened" }]);
      expect(indexFiles(disk).size).toBeGreaterThan(0);
      expect(readEverything(store, eventsOf(store))).toEqual([]);
      expectNoStray(disk);
    });
  }

  test("a run that is not used and cannot be removed does not keep the store from opening", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    await fill(openRunStore(disk, MEMTABLE_EVENTS), new Random(SEED), 60);
    disk.kill();
    const name = [...indexFiles(disk).keys()][0] as string;
    disk.flipBit(`/data/index/${name}`, 8);
    disk.fail({ kind: "remove", code: "EROFS", path: "/index", times: Number.POSITIVE_INFINITY });
    const log: string[] = [];
    const store = openRunStore(disk, MEMTABLE_EVENTS, log);
    expect(log.join("\n")).toContain("EROFS");
    expect(readEverything(store, eventsOf(store))).toEqual([]);
  });

  test("a run that is damaged where only a merge reads it does not keep the store from opening", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    await fill(openRunStore(disk, MEMTABLE_EVENTS), new Random(SEED), 3 * MEMTABLE_EVENTS + 5);
    disk.kill();
    const [damaged] = [...indexFiles(disk).keys()] as [string];
    disk.flipBit(`/data/index/${damaged}`, 4_096 * 8 + 77);
    // The start finds more rows in the log than memtables hold, makes runs of them and merges.
    await fill(openRunStore(disk, 1_000), new Random(SEED + 1), 20 * MEMTABLE_EVENTS);
    disk.kill();
    const log: string[] = [];
    const store = openRunStore(disk, MEMTABLE_EVENTS, log);
    const events = eventsOf(store);
    expect(events.length).toBeGreaterThanOrEqual(20 * MEMTABLE_EVENTS);
    expect(log.join("\n")).toContain(damaged);
    for (const text of readEverything(store, events)) expect(text).toContain(damaged);
    disk.kill();
    expect(readEverything(openRunStore(disk, MEMTABLE_EVENTS), events)).toEqual([]);
    expectNoStray(disk);
  });
});

test("a store that has no memory left for another memtable refuses appends, and does not fail", async () => {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const store = openRunStore(disk, MEMTABLE_EVENTS, [], { memoryBytesMax: 96 * 1024 * 1024 });
  for (let i = 0; i < MEMTABLE_EVENTS; i++)
    await append(store, [{ stream: "one", name: "Opened" }]);
  while (store.core.exports.allocate(64 * 1024) !== 0);
  expect(() => queue(store, [{ stream: "one", name: "Opened" }])).toThrow(/memory/);
  expect(store.lastPosition()).toBe(MEMTABLE_EVENTS - 1);
});
