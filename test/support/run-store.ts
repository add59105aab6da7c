/**
 * A store on a simulated disk whose memtables hold few events, so that a few hundred make many index runs; and all
 * reads of it at once, held against the events that it must have.
 */

import { Encoding } from "../../server/core/encoding.ts";
import { OutputArea } from "../../server/core/output-area.ts";
import { StoreError } from "../../server/errors.ts";
import { KiB } from "../../server/limits.ts";
import { EventStore } from "../../server/store/event-store.ts";
import type { StoreOptions } from "../../server/store/store-options.ts";
import type { StoredEvent } from "../../server/store/stored-event.ts";
import type { Plain } from "./model.ts";
import type { Random } from "./random.ts";
import { asMaps, FrameReader, plain } from "./resp-client.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";
import { append, eventById, type NewEvent, readAll, streamVersion } from "./store-driver.ts";
import { differenceText } from "./store-ledger.ts";
import { FOLDER } from "./store-world.ts";

export const INDEX_FOLDER = `${FOLDER}/index`;
const PARTITIONS = 4;
const STREAMS = 12;
const CACHE_BYTES = 256 * KiB;
/** Smaller than a server takes, so that a few dozen events fill one: of the last one a start makes no runs. */
const SEGMENT_BYTES = 8 * KiB;

/** Opens a store of few events a memtable as a new run of the process; `log` gets its lines. */
export function openRunStore(
  disk: SimulatedDisk,
  memtableEvents: number,
  log: string[] = [],
  options: Partial<StoreOptions> = {},
): EventStore {
  let clockMs = 1_700_000_000_000;
  return EventStore.open({
    disk: disk.boot(),
    folder: FOLDER,
    partitions: PARTITIONS,
    segmentBytes: SEGMENT_BYTES,
    durability: "fsync",
    strict: false,
    syncPlace: "loop",
    schedules: false,
    cacheBytes: CACHE_BYTES,
    memtableEvents,
    clock: () => clockMs++,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log: (line) => void log.push(line),
    ...options,
  });
}

/** Appends random transactions until the store has `events` events: of few streams, some with a key of their own. */
export async function fill(store: EventStore, random: Random, events: number): Promise<void> {
  while ((store.lastPosition() ?? -1) + 1 < events) {
    const stream = random.below(STREAMS);
    const count = random.chance(0.2) ? random.between(2, 6) : 1;
    const asked: NewEvent[] = Array.from({ length: count }, () => ({
      stream: `stream-${stream}`,
      name: random.pick(["Opened", "Changed", "Closed"]),
      payload: random.bytes(random.below(60)),
    }));
    await append(store, asked, stream % 3 === 0 ? `key ${stream}` : undefined);
  }
}

/** Names in the index's folder, and each run's bytes. */
export function indexFiles(disk: SimulatedDisk): Map<string, Uint8Array> {
  const files = [...disk.image()].filter(([path]) => path.startsWith(`${INDEX_FOLDER}/`));
  return new Map(files.map(([path, bytes]) => [path.slice(INDEX_FOLDER.length + 1), bytes]));
}

/** Throws where the runs in the folder do not follow one another from 0 on, or anything else is there. */
export function expectNoStray(disk: SimulatedDisk): void {
  let end = 0;
  for (const name of [...indexFiles(disk).keys()].sort()) {
    const match = /^(\d{20})-(\d{20})\.run$/.exec(name);
    if (match === null || Number(match[1]) !== end) throw new Error(`${name} is a stray file`);
    end = Number(match[2]);
  }
}

/** An answer that was refused with CORRUPT. */
class Refused {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Does a read; CORRUPT is an answer, anything else that is thrown is thrown on. */
function ask<Answer>(read: () => Answer): Answer | Refused {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "CORRUPT") throw error;
    return new Refused(error.message);
  }
}

/** What was asked of a store, where the answers are not the right ones. */
export interface Answers {
  /** Answers that are wrong. */
  readonly wrong: readonly string[];
  /** Texts of those that were refused with CORRUPT. */
  readonly refused: readonly string[];
}

/** As `askEverything`, and throws at an answer that is wrong; gives the texts of those that were refused. */
export function readEverything(store: EventStore, expected: readonly StoredEvent[]): string[] {
  const { wrong, refused } = askEverything(store, expected);
  if (wrong.length > 0) throw new Error(wrong[0]);
  return [...refused];
}

/** Reads everything in every way: by position, id, version, each stream's and partition's range, both ways. */
export function askEverything(store: EventStore, expected: readonly StoredEvent[]): Answers {
  const wrong: string[] = [];
  const refused: string[] = [];
  const check = (found: unknown, wanted: unknown, what: string): void => {
    if (found instanceof Refused) refused.push(found.text);
    else if (!Bun.deepEquals(found, wanted)) wrong.push(differenceText(found, wanted, what));
  };
  for (const event of expected) {
    const { position } = event;
    check(
      ask(() => store.readEvents(position, 1)[0]),
      event,
      `event at ${position}`,
    );
    check(
      ask(() => eventById(store, event.eventId)),
      event,
      `event ${event.eventId}`,
    );
  }
  const streams = Map.groupBy(expected, (event) => event.streamId);
  const partitions = Map.groupBy(expected, (event) => event.partitionId);
  for (const [stream, events] of streams) {
    check(
      ask(() => streamVersion(store, stream)),
      events.length - 1,
      `version of ${stream}`,
    );
    for (const isReverse of events.length > 1 ? [false, true] : [false]) {
      const found = ask(() => scanPositions(store, { stream }, isReverse));
      check(found, positionsOf(events, isReverse), `positions of ${stream}`);
    }
  }
  for (const [partition, events] of partitions) {
    check(
      ask(() => store.partitionSequence(partition)),
      events.length - 1,
      `sequence of ${partition}`,
    );
    for (const isReverse of [false, true]) {
      const found = ask(() => scanPositions(store, { partition }, isReverse));
      check(found, positionsOf(events, isReverse), `positions of partition ${partition}`);
    }
  }
  check(store.streamCount(), streams.size, "number of streams");
  check(
    ask(() => streamIds(store, 2 * expected.length)),
    [...streams.keys()],
    "ids of the streams",
  );
  check(
    ask(() => streamVersion(store, "a stream that is not there")),
    -1,
    "version of an unknown stream",
  );
  return { wrong, refused };
}

/** What `readEverything` takes: all events, from a store whose reads are right. */
export function eventsOf(store: EventStore): StoredEvent[] {
  return readAll(store);
}

function positionsOf(events: readonly StoredEvent[], isReverse: boolean): number[] {
  const positions = events.map((event) => event.position);
  return isReverse ? positions.reverse() : positions;
}

type Source = { readonly stream: string } | { readonly partition: number };

/** Positions of a whole range's events, as a reply has them, and a word where it says that there are more. */
function scanPositions(store: EventStore, source: Source, isReverse: boolean): unknown[] {
  const area = areaOf(store);
  const range = { from: 0, to: Infinity, count: Infinity, isReverse };
  if ("partition" in source) {
    store.openPartitionScan(source.partition, range);
  } else {
    const text = Buffer.from(source.stream);
    const address = store.input(text.length);
    store.core.memory.set(text, address);
    store.openStreamScan(address, text.length, 0, range);
  }
  const { hasMore } = store.writeScan(area, Encoding.resp3WithPosition);
  const positions = asMaps(frames(area)).map((event) => Number(event.position));
  return hasMore ? [...positions, "has_more"] : positions;
}

/** Throws where the walk does not end after `stepsMax` steps. */
function streamIds(store: EventStore, stepsMax: number): Plain[] {
  const area = areaOf(store);
  const found: Plain[] = [];
  let cursor = 0;
  let steps = 0;
  do {
    if (++steps > stepsMax) throw new Error(`SCAN does not end: its cursor is ${cursor}`);
    const step = store.openStreamWalk(cursor, null, 5);
    step.advance(area);
    const reader = new FrameReader();
    reader.push(Buffer.concat(step.pieces));
    for (let frame = reader.next(); frame !== null; frame = reader.next()) {
      found.push(plain(frame) as Plain);
    }
    cursor = step.cursor;
  } while (cursor !== 0);
  return found;
}

const areas = new WeakMap<EventStore, OutputArea>();

/** An empty area for a store's replies. */
function areaOf(store: EventStore): OutputArea {
  const area = areas.get(store) ?? new OutputArea(store.core, 64 * KiB);
  areas.set(store, area);
  area.clear();
  return area;
}

function frames(area: OutputArea): Plain[] {
  const reader = new FrameReader();
  reader.push(Buffer.from(area.memory.slice(area.origin, area.tail)));
  const found: Plain[] = [];
  for (let frame = reader.next(); frame !== null; frame = reader.next()) {
    found.push(plain(frame) as Plain);
  }
  return found;
}
