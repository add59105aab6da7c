/**
 * Index files that are missing, cut, damaged, another store's, older or newer than the log: the store opens, says which
 * file it is, and answers rightly or with CORRUPT that names the file; the start after that has all of it again.
 *
 * `SEED=n` chooses the events and where bits are flipped.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { RUN_PAGE_BYTES } from "../server/index/run-file.ts";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import {
  eventsOf,
  expectNoStray,
  fill,
  INDEX_FOLDER,
  indexFiles,
  openRunStore,
  readEverything,
} from "./support/run-store.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { queue } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 20;
const EVENTS = 130;

type Image = ReadonlyMap<string, Uint8Array>;

/** A store's files at an end of the process, and its events. */
interface Picture {
  readonly image: Image;
  readonly events: readonly StoredEvent[];
}

let picture: Picture;
let older: Picture;
let foreign: Picture;

beforeAll(async () => {
  [older, picture] = (await pictures(SEED, [EVENTS / 2, EVENTS])) as [Picture, Picture];
  [foreign] = (await pictures(SEED + 1, [EVENTS])) as [Picture];
});

/** One store's files, killed when it had so many events, again and again. */
async function pictures(seed: number, sizes: readonly number[]): Promise<Picture[]> {
  const random = new Random(seed);
  const disk = new SimulatedDisk({ random });
  const found: Picture[] = [];
  for (const size of sizes) {
    const store = openRunStore(disk, MEMTABLE_EVENTS);
    await fill(store, random, size);
    const events = eventsOf(store);
    expect(readEverything(store, events)).toEqual([]);
    disk.kill();
    found.push({ image: disk.image(), events });
  }
  return found;
}

function runPaths(image: Image): string[] {
  return [...image.keys()].filter((path) => path.startsWith(INDEX_FOLDER)).sort();
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Opens the files, reads everything, and once more after a restart, when nothing may be wrong any more. */
function judge(
  image: Image,
  events: readonly StoredEvent[],
  path: string | null,
): { log: readonly string[]; refused: readonly string[] } {
  const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
  const log: string[] = [];
  const refused = readEverything(openRunStore(disk, MEMTABLE_EVENTS, log), events);
  for (const text of refused) {
    expect(text).toContain(path ?? "no file is damaged");
    expect(text).toMatch(/offset \d+/);
  }
  if (path !== null) expect(log.join("\n")).toContain(nameOf(path));
  disk.kill();
  const second = openRunStore(disk, MEMTABLE_EVENTS);
  expect(readEverything(second, events), "after a restart").toEqual([]);
  expectNoStray(disk);
  return { log, refused };
}

test("the store under test has several runs, merged ones among them", () => {
  const sizes = runPaths(picture.image).map((path) => runSize(nameOf(path)));
  expect(sizes.length).toBeGreaterThan(1);
  expect(Math.max(...sizes)).toBeGreaterThanOrEqual(4 * MEMTABLE_EVENTS);
  expect(judge(picture.image, picture.events, null).refused).toEqual([]);
});

describe("an index file", () => {
  test("that is missing is made again, and all that follow it", () => {
    for (const path of runPaths(picture.image)) {
      const image = new Map(picture.image);
      image.delete(path);
      const log: string[] = [];
      const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
      const store = openRunStore(disk, MEMTABLE_EVENTS, log);
      expect(readEverything(store, picture.events), path).toEqual([]);
      // What follows is not used, and named; the last one's absence shows by nothing but the rows in the log.
      if (path !== runPaths(picture.image).at(-1)) expect(log.join("\n")).toContain("index:");
      expectNoStray(disk);
    }
  });

  test("folder that is missing is made again", () => {
    const image = new Map([...picture.image].filter(([path]) => !path.startsWith(INDEX_FOLDER)));
    const { log } = judge(image, picture.events, null);
    expect(log.join("\n")).toMatch(/index: made from the log for \d+ events/);
  });

  test("that is cut off anywhere is made again", () => {
    const random = new Random(SEED);
    for (const path of runPaths(picture.image)) {
      const bytes = picture.image.get(path) as Uint8Array;
      const cuts = [random.pick([0, 1, 100, 4_095, 4_096]), random.below(bytes.length)];
      for (const cut of cuts) {
        const image = new Map(picture.image).set(path, bytes.slice(0, cut));
        expect(judge(image, picture.events, path).refused, `${path} cut at ${cut}`).toEqual([]);
      }
    }
  });

  test("that is too long, or empty but as long, is made again", () => {
    const path = runPaths(picture.image)[0] as string;
    const bytes = picture.image.get(path) as Uint8Array;
    for (const other of [new Uint8Array(bytes.length), Buffer.concat([bytes, new Uint8Array(9)])]) {
      const image = new Map(picture.image).set(path, other);
      expect(judge(image, picture.events, path).refused).toEqual([]);
    }
  });

  test("with a flipped bit on any page gives right answers or CORRUPT, and is made again", () => {
    const random = new Random(SEED);
    let refusals = 0;
    let remade = 0;
    for (const path of runPaths(picture.image)) {
      const bytes = picture.image.get(path) as Uint8Array;
      for (let page = 0; page < bytes.length / RUN_PAGE_BYTES; page++) {
        const bit = random.below(RUN_PAGE_BYTES * 8);
        const copy = flipped(bytes, page * RUN_PAGE_BYTES * 8 + bit);
        const image = new Map(picture.image).set(path, copy);
        const what = `SEED=${SEED}: bit ${bit} of page ${page} of ${path}`;
        const { refused, log } = expectNoThrow(what, () => judgeFlip(image, path));
        refusals += refused.length;
        if (log.some((line) => line.includes("made again from the log"))) remade++;
      }
    }
    expect(refusals).toBeGreaterThan(0);
    expect(remade).toBeGreaterThan(0);
  });

  test("of another store is not used", () => {
    const [path, other] = [runPaths(picture.image)[0], runPaths(foreign.image)[0]] as [
      string,
      string,
    ];
    const image = new Map(picture.image);
    image.delete(path);
    image.set(other, foreign.image.get(other) as Uint8Array);
    const { refused, log } = judge(image, picture.events, other);
    expect(refused).toEqual([]);
    expect(log.join("\n")).toContain("the run is another store's");
  });

  test("of another store in its place is not used", () => {
    const path = runPaths(picture.image)[0] as string;
    const image = new Map(picture.image).set(
      path,
      foreign.image.get(runPaths(foreign.image)[0] as string) as Uint8Array,
    );
    expect(judge(image, picture.events, path).refused).toEqual([]);
  });

  test("under another one's name is not used", () => {
    const [first, second] = runPaths(picture.image) as [string, string];
    const image = new Map(picture.image).set(second, picture.image.get(first) as Uint8Array);
    expect(judge(image, picture.events, second).refused).toEqual([]);
  });
});

/** As `judge`, but a damaged page that no read meets is not told. */
function judgeFlip(image: Image, path: string): { log: readonly string[]; refused: string[] } {
  const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
  const log: string[] = [];
  const refused = readEverything(openRunStore(disk, MEMTABLE_EVENTS, log), picture.events);
  for (const text of refused) {
    expect(text).toContain(`${path} at offset`);
    expect(log.join("\n")).toContain(path);
  }
  if (refused.length > 0) expect([...indexFiles(disk).keys()]).not.toContain(nameOf(path));
  if (refused.length > 0) {
    disk.kill();
    const second = openRunStore(disk, MEMTABLE_EVENTS);
    expect(readEverything(second, picture.events), "after a restart").toEqual([]);
  }
  expectNoStray(disk);
  return { log, refused };
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

function expectNoThrow<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new Error(what, { cause: error });
  }
}

describe("an index that does not fit the log", () => {
  const withIndexOf = (log: Picture, index: Picture): Image =>
    new Map([
      ...[...log.image].filter(([path]) => !path.startsWith(INDEX_FOLDER)),
      ...[...index.image].filter(([path]) => path.startsWith(INDEX_FOLDER)),
    ]);

  test("being older is used, and what follows it is read from the log", () => {
    const { refused } = judge(withIndexOf(picture, older), picture.events, null);
    expect(refused).toEqual([]);
  });

  test("being newer is made again", () => {
    const { refused, log } = judge(withIndexOf(older, picture), older.events, null);
    expect(refused).toEqual([]);
    expect(log.join("\n")).toContain("the log does not have the last record that it covers");
  });

  test("being of a log that went on otherwise is made again", async () => {
    // The log as it was is restored, and appended to: the newer index knows other events at the same positions.
    const disk = SimulatedDisk.fromImage(
      new Map([...older.image].filter(([path]) => !path.startsWith(INDEX_FOLDER))),
      { random: new Random(SEED) },
    );
    const store = openRunStore(disk, 1_000);
    await fill(store, new Random(SEED + 2), EVENTS + 20);
    const events = eventsOf(store);
    disk.kill();
    const { refused, log } = judge(
      withIndexOf({ image: disk.image(), events }, picture),
      events,
      null,
    );
    expect(refused).toEqual([]);
    expect(log.join("\n")).toContain("the log does not have the last record that it covers");
  });
});

test("leftovers of a crash are removed: files that were being written, and runs that were merged", () => {
  const path = runPaths(picture.image)[0] as string;
  const bytes = picture.image.get(path) as Uint8Array;
  const image = new Map(picture.image)
    .set(`${path}.new`, bytes.slice(0, 5_000))
    .set(`${INDEX_FOLDER}/${"0".repeat(20)}-${"7".padStart(20, "0")}.run`, bytes)
    .set(`${INDEX_FOLDER}/${"3".padStart(20, "0")}-${"7".padStart(20, "0")}.run`, bytes);
  const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
  const store = openRunStore(disk, MEMTABLE_EVENTS);
  expect(readEverything(store, picture.events)).toEqual([]);
  expectNoStray(disk);
});

test("a file of the user's in the index's folder is left alone", () => {
  const path = `${INDEX_FOLDER}/notes.txt`;
  const image = new Map(picture.image).set(path, Buffer.from("mine"));
  const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
  openRunStore(disk, MEMTABLE_EVENTS);
  expect(disk.image().has(path)).toBe(true);
});

test("damage to the log before the end of a run is damage to synced data, and the start is refused", async () => {
  // One batch of two transactions whose run is made before anything follows: no later frame claims them.
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const store = openRunStore(disk, 2, [], { syncPlace: "thread" });
  disk.holdSyncs = true;
  const [first] = ["one", "two"].map((stream) => queue(store, [{ stream, name: "Opened" }]));
  store.flush();
  queue(store, [{ stream: "three", name: "Opened" }]);
  disk.releaseSyncs();
  expect(indexFiles(disk).size).toBe(1);
  disk.kill();
  const [segment, bytes] = [...disk.image()].find(([path]) => path.endsWith(".seg")) as [
    string,
    Uint8Array,
  ];
  const id = Buffer.from((first?.result.events[0]?.eventId ?? "").replaceAll("-", ""), "hex");
  const at = Buffer.from(bytes).indexOf(id);
  expect(at).toBeGreaterThan(0);
  disk.flipBit(segment, at * 8);
  expect(() => openRunStore(disk, 2)).toThrow(
    /\.seg at offset \d+: the record here is damaged, and \d+ bytes behind it are known to have been synced/,
  );
});

test("with durability os no run covers what the log can still lose", async () => {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const log: string[] = [];
  const random = new Random(SEED);
  await fill(openRunStore(disk, 8, [], { durability: "os" }), random, 100);
  const covered = runEnd([...indexFiles(disk).keys()].at(-1) as string);
  expect(covered).toBeGreaterThan(80);
  disk.crash();
  const store = openRunStore(disk, 8, log, { durability: "os" });
  expect((store.lastPosition() ?? -1) + 1).toBeGreaterThanOrEqual(covered);
  expect(readEverything(store, eventsOf(store))).toEqual([]);
  expect(log.filter((line) => line.includes("made again"))).toEqual([]);
});

function runEnd(name: string): number {
  return Number(name.slice(21, 41));
}

function runSize(name: string): number {
  return runEnd(name) - Number(name.slice(0, 20));
}
