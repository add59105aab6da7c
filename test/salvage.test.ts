/**
 * `cairn dump` of a damaged log: it prints every event that is intact, says which ones are missing, and the start that is
 * refused names the way on.
 *
 * `SEED=n` chooses the events and where bits are flipped, `FLIPS=n` how many.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { OpenError } from "../server/errors.ts";
import { SEGMENT_HEADER_BYTES } from "../server/log/local/segment.ts";
import { type DumpOptions, dumpStore } from "../server/store/offline.ts";
import { type StoredEvent, storedEventJson } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { eventsOf, fill, openRunStore } from "./support/run-store.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append } from "./support/store-driver.ts";
import { FOLDER } from "./support/store-world.ts";

const SEED = Number(process.env.SEED ?? 1);
const EVENTS = 300;
const FLIPS = Number(process.env.FLIPS ?? 80);
const CUTS = 15;
/** None is filled: only the log is of interest here. */
const MEMTABLE_EVENTS = 10_000;

type Image = ReadonlyMap<string, Uint8Array>;

interface Picture {
  readonly image: Image;
  readonly events: readonly StoredEvent[];
}

interface Dump {
  readonly lines: readonly string[];
  readonly reports: readonly string[];
  readonly isWhole: boolean;
  /** The positions that are said to be missing. */
  readonly missing: readonly number[];
}

let stopped: Picture;
let killed: Picture;

beforeAll(async () => {
  stopped = await picture("stop");
  killed = await picture("kill");
});

async function picture(end: "stop" | "kill"): Promise<Picture> {
  const random = new Random(SEED);
  const disk = new SimulatedDisk({ random });
  const store = openRunStore(disk, MEMTABLE_EVENTS);
  await fill(store, random, EVENTS);
  await append(store, [{ stream: "last", name: "Last" }]);
  const events = eventsOf(store);
  if (end === "stop") await store.stop();
  disk.kill();
  return { image: disk.image(), events };
}

const ALL: DumpOptions = { streamId: null, from: 0, limit: null };

async function dump(image: Image, options: Partial<DumpOptions> = {}): Promise<Dump> {
  const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
  let text = "";
  const reports: string[] = [];
  const isWhole = await dumpStore(
    disk.boot(),
    FOLDER,
    { ...ALL, ...options },
    {
      print: (part) => {
        text += part;
        return undefined;
      },
      report: (line) => void reports.push(line),
    },
  );
  const missing = reports.flatMap((line) => {
    const one = /the event at position (\d+) is missing$/.exec(line);
    if (one !== null) return [Number(one[1])];
    const [, first, last] = /positions (\d+) to (\d+) are missing$/.exec(line) ?? [];
    if (first === undefined) return [];
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i);
  });
  for (const [path, bytes] of disk.image()) {
    expect(Buffer.compare(bytes, image.get(path) ?? new Uint8Array(0)), path).toBe(0);
  }
  return { lines: text.split("\n").slice(0, -1), reports, isWhole, missing };
}

function segmentPaths(image: Image): string[] {
  return [...image.keys()].filter((path) => path.endsWith(".seg")).toSorted();
}

/** A copy in which one bit of a file is another one. */
function flipped(image: Image, path: string, offset: number, bit = 0): Image {
  const bytes = Uint8Array.from(image.get(path) ?? []);
  bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
  return new Map(image).set(path, bytes);
}

/** File and offset of an event's stored id, which lies in its record and nowhere else. */
function placeOf({ image }: Picture, event: StoredEvent): [path: string, offset: number] {
  const id = Buffer.from(event.eventId.replaceAll("-", ""), "hex");
  for (const path of segmentPaths(image)) {
    const offset = Buffer.from(image.get(path) ?? []).indexOf(id);
    if (offset >= 0) return [path, offset];
  }
  throw new Error(`event ${event.position} is in no segment`);
}

const json = (events: readonly StoredEvent[]): string[] => events.map(storedEventJson);

/** The events of one's transaction, which are lost together, and the others. */
function split(
  { events }: Picture,
  { transactionId }: StoredEvent,
): [StoredEvent[], StoredEvent[]] {
  return [
    events.filter((event) => event.transactionId === transactionId),
    events.filter((event) => event.transactionId !== transactionId),
  ];
}

test("what is not damaged is printed whole, after an orderly stop and after a crash", async () => {
  expect(segmentPaths(stopped.image).length).toBeGreaterThan(3);
  for (const { image, events } of [stopped, killed]) {
    const { lines, reports, isWhole } = await dump(image);
    expect(lines).toEqual(json(events));
    expect([reports, isWhole]).toEqual([[], true]);
    const some = await dump(image, { from: 200, limit: 20 });
    expect(some.lines).toEqual(json(events.slice(200, 220)));
    expect((await dump(image, { from: 10 ** 9 })).lines).toEqual([]);
    expect((await dump(image, { limit: 0 })).lines).toEqual([]);
  }
});

describe("a flipped bit", () => {
  test.each([
    ["first", 0],
    ["middle", 150],
    ["last", -1],
  ])("in the %s record costs its events alone, which are named", async (_, index) => {
    const event = stopped.events.at(index) as StoredEvent;
    const [lost, intact] = split(stopped, event);
    const [path, offset] = placeOf(stopped, event);
    const image = flipped(stopped.image, path, offset, 3);

    const all = await dump(image);
    expect(all.lines).toEqual(json(intact));
    expect(all.missing).toEqual(lost.map(({ position }) => position));
    expect(all.isWhole).toBe(false);
    expect(all.reports[0]).toMatch(new RegExp(`^${path} at offset \\d+: damaged; `));
    expect(all.reports.at(-1)).toMatch(
      new RegExp(`^missing: ${lost.length} events?; printed: ${intact.length}$`),
    );

    const { streamId } = stopped.events[77] as StoredEvent;
    const ofStream = await dump(image, { streamId });
    expect(ofStream.lines).toEqual(json(intact.filter((other) => other.streamId === streamId)));
    expect([ofStream.missing, ofStream.isWhole]).toEqual([all.missing, false]);

    const first = lost[0]?.position ?? 0;
    const behind = await dump(image, { from: first + lost.length });
    expect(behind.lines).toEqual(json(stopped.events.slice(first + lost.length)));
    expect([behind.reports, behind.isWhole]).toEqual([[], true]);
    const within = await dump(image, { from: first + lost.length - 1, limit: 5 });
    expect(within.lines).toEqual(json(stopped.events.slice(first + lost.length).slice(0, 5)));
    expect([within.missing, within.isWhole]).toEqual([[first + lost.length - 1], false]);
    if (first === 0) return;
    const before = await dump(image, { limit: first });
    expect(before.lines).toEqual(json(stopped.events.slice(0, first)));
    expect([before.reports, before.isWhole]).toEqual([[], true]);
  });

  test(`anywhere in the log costs at most one transaction (SEED=${SEED})`, async () => {
    const random = new Random(SEED);
    const paths = segmentPaths(stopped.image);
    let damaged = 0;
    for (let round = 0; round < FLIPS; round++) {
      const path = random.pick(paths);
      const offset = random.below((stopped.image.get(path) as Uint8Array).length);
      const bit = random.below(8);
      const what = `SEED=${SEED}: bit ${bit} of ${path} at ${offset}`;
      const { lines, missing, isWhole } = await dump(flipped(stopped.image, path, offset, bit));
      const [lost = null] = missing;
      const [others, intact] =
        lost === null ? [[], stopped.events] : split(stopped, stopped.events[lost] as StoredEvent);
      expect(lines, what).toEqual(json(intact));
      expect(missing, what).toEqual(others.map(({ position }) => position));
      if (missing.length > 0) expect(isWhole, what).toBe(false);
      if (!isWhole) damaged++;
    }
    expect(damaged).toBeGreaterThan(FLIPS / 3);
  });

  test("in a segment's header costs nothing, and is told", async () => {
    for (const path of segmentPaths(stopped.image)) {
      const { lines, reports, isWhole } = await dump(flipped(stopped.image, path, 33));
      expect(lines).toEqual(json(stopped.events));
      expect(reports[0]).toBe(`${path} at offset 0: damaged; no event is missing`);
      expect(isWhole).toBe(false);
      const later = await dump(flipped(stopped.image, path, 33), { from: EVENTS });
      expect(later.lines).toEqual(json(stopped.events.slice(EVENTS)));
    }
  });

  test("in the last record that no later one vouches for is a torn tail, as for the next start", async () => {
    const event = killed.events.at(-1) as StoredEvent;
    const image = flipped(killed.image, ...placeOf(killed, event));
    const { lines, reports, isWhole } = await dump(image);
    const disk = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
    const events = eventsOf(openRunStore(disk, MEMTABLE_EVENTS));
    expect(lines).toEqual(json(events));
    expect(lines).toHaveLength(killed.events.length - 1);
    expect([reports, isWhole]).toEqual([[], true]);
  });
});

describe("a log", () => {
  test("of which a segment is missing says which events that cost", async () => {
    const paths = segmentPaths(stopped.image);
    for (const [index, path] of paths.entries()) {
      const image = new Map(stopped.image);
      image.delete(path);
      const { lines, missing, isWhole } = await dump(image);
      const [first, end] = [path, paths[index + 1]].map((name) =>
        name === undefined ? stopped.events.length : Number(/(\d+)\.seg$/.exec(name)?.[1]),
      ) as [number, number];
      expect(lines).toEqual(
        json(stopped.events.filter((e) => e.position < first || e.position >= end)),
      );
      expect(missing).toEqual(Array.from({ length: end - first }, (_, i) => first + i));
      expect(isWhole).toBe(false);
    }
  });

  test("that is cut anywhere gives what is before the cut", async () => {
    const path = segmentPaths(stopped.image).at(-1) as string;
    const bytes = stopped.image.get(path) as Uint8Array;
    const random = new Random(SEED);
    for (let round = 0; round < CUTS; round++) {
      const size = random.between(SEGMENT_HEADER_BYTES, bytes.length);
      const { lines, missing } = await dump(new Map(stopped.image).set(path, bytes.slice(0, size)));
      expect(lines, `SEED=${SEED}, ${size}`).toEqual(json(stopped.events.slice(0, lines.length)));
      expect(missing).toEqual(stopped.events.slice(lines.length).map(({ position }) => position));
    }
  });

  test("without segments, or without a store, is refused", async () => {
    const image = new Map(stopped.image);
    for (const path of segmentPaths(image)) image.delete(path);
    await expect(dump(image)).rejects.toThrow(/the log holds no segment$/);
    image.delete(`${FOLDER}/STORE`);
    await expect(dump(image)).rejects.toThrow(OpenError);
  });
});

test("a start that is refused for damage says what can be done", () => {
  const [path, offset] = placeOf(stopped, stopped.events.at(-1) as StoredEvent);
  const disk = SimulatedDisk.fromImage(flipped(stopped.image, path, offset), {
    random: new Random(SEED),
  });
  expect(() => openRunStore(disk, MEMTABLE_EVENTS)).toThrow(
    new RegExp(
      `^${path} at offset \\d+: .*; no byte was changed: restore a backup, or see with 'cairn dump ${FOLDER}' which events are intact$`,
    ),
  );
});
