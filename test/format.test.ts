/**
 * The bytes on disk, as core-wasm/FORMAT.md says them.
 *
 * The document's hex blocks are decoded here by a second implementation that knows only the document; what it reads
 * must be what each line says, and what was appended. A store made with the same clock and randomness must give the
 * same bytes. UPDATE_GOLDEN=1 writes the blocks anew: then the review is the difference.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { EventStore } from "../server/store/event-store.ts";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { offsetSeed } from "./support/format-checks.ts";
import {
  block,
  bytesOf,
  little,
  readDocument,
  spaced,
  updateDocument,
  Walk,
} from "./support/golden.ts";
import { Random } from "./support/random.ts";
import { crc32c } from "./support/run-reader.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, type NewEvent, queue, readAll } from "./support/store-driver.ts";
import { walkRun } from "./support/walk-run.ts";

const PARTITIONS = 4;
const SEGMENT_BYTES = 64 * 1024;
const CLOCK_MS = 1_700_000_000_000;
const FOLDER = "/data";
const SEGMENT = `${FOLDER}/log/00000000000000000000.seg`;
/** Events of the first run: those of the first two transactions. */
const RUN_EVENTS = 3;
const RUN = `${FOLDER}/index/00000000000000000000-00000000000000000003.run`;

// ── the store that the document shows ─────────────────────────────────────────────────────────────

interface Example {
  readonly store: Uint8Array;
  /** The segment up to its last byte that is not zero. */
  readonly segment: Uint8Array;
  readonly segmentBytes: number;
  /** The run of the first events. */
  readonly run: Uint8Array;
  readonly events: readonly StoredEvent[];
}

const ADA: NewEvent = {
  stream: "user-1",
  name: "Registered",
  payload: Buffer.from('{"name":"Ada"}'),
};

function openStore(
  disk: SimulatedDisk,
  clock: () => number,
  random: (target: Uint8Array) => void,
  memtableEvents?: number,
): EventStore {
  return EventStore.open({
    ...(memtableEvents === undefined ? {} : { memtableEvents }),
    disk: disk.boot(),
    folder: FOLDER,
    partitions: PARTITIONS,
    segmentBytes: SEGMENT_BYTES,
    durability: "fsync",
    strict: false,
    clock,
    random,
    log: () => undefined,
    syncPlace: "loop",
    schedules: false,
  });
}

/** Makes the store with a clock that goes on by one each transaction, and bytes that count for random ones. */
async function makeExample(): Promise<Example> {
  const disk = new SimulatedDisk({ random: new Random(1) });
  let clock = CLOCK_MS;
  let counter = 0;
  const store = openStore(
    disk,
    () => clock++,
    (target) => {
      for (let i = 0; i < target.length; i++) target[i] = counter++;
    },
    RUN_EVENTS,
  );
  await append(store, [ADA]);
  // Two in one batch, so that the second lies beyond what is known to be synced.
  queue(
    store,
    [
      {
        stream: "cart-7",
        name: "Opened",
        eventId: "018bcfe5-6800-7000-8000-0123456789ab",
        timestamp: CLOCK_MS - 100,
        metadata: Buffer.from("m"),
      },
      { stream: "cart-7", name: "Filled", payload: Buffer.from("2") },
    ],
    "tenant-a",
  );
  await append(store, [
    { stream: "cart-7", name: "Paid" },
    { stream: "user-1", name: "Billed" },
  ]);
  store.markIdle();
  const events = readAll(store);
  await store.stop();
  const image = disk.image();
  const segment = image.get(SEGMENT) ?? new Uint8Array(0);
  const end = segment.findLastIndex((byte) => byte !== 0) + 1;
  return {
    store: image.get(`${FOLDER}/STORE`) ?? new Uint8Array(0),
    segment: segment.slice(0, end),
    segmentBytes: segment.length,
    run: image.get(RUN) ?? new Uint8Array(0),
    events,
  };
}

// ── a second reader of the format ─────────────────────────────────────────────────────────────────

interface DecodedEvent {
  readonly position: number;
  /** Log offset of its frame and index in it, as `320/1`. */
  readonly place: string;
  readonly recordedAt: number;
  readonly transactionId: string;
  readonly eventId: string;
  readonly partitionSequence: number;
  readonly streamVersion: number;
  readonly timestamp: number;
  readonly streamId: string;
  readonly eventName: string;
  readonly payload: string;
  readonly metadata: string;
  /** The partition key where it is explicit; else null, and `hash` says the partition. */
  readonly explicitKey: string | null;
  readonly hash: number;
}

function walkStore(bytes: Uint8Array): { lines: string[]; secret: Uint8Array; storeId: string } {
  const walk = new Walk(bytes);
  walk.text(8, "magic");
  walk.number(4, "format version");
  walk.number(4, "partitions");
  const storeId = walk.uuid("store id");
  walk.uuid("epoch");
  const secret = bytes.slice(walk.at, walk.at + 16);
  walk.field(16, "secret", () => "");
  walk.number(8, "made at, ms");
  walk.number(20, "reserve, zeros", () => "reserve, zeros");
  walk.check("CRC32C of all before it", crc32c(bytes.subarray(0, walk.at)));
  return { lines: walk.lines, secret, storeId };
}

const KINDS: Readonly<Record<number, string>> = { 1: "events", 2: "mark", 3: "end" };
const EXPLICIT_KEY = 1;
const KEY_PER_EVENT = 2;
const EVENT_EXPLICIT_KEY = 1;

function walkSegment(
  bytes: Uint8Array,
  secret: Uint8Array,
): { lines: string[]; events: DecodedEvent[] } {
  const walk = new Walk(bytes);
  walk.title("segment header");
  walk.text(8, "magic");
  walk.number(4, "format version");
  walk.number(4, "0", () => "reserve, zeros");
  walk.uuid("store id");
  const base = walk.number(8, "base: log offset of the file's first byte,");
  walk.number(8, "first position");
  walk.number(4, "CRC of the last frame before this segment,");
  walk.number(8, "0", () => "reserve, zeros");
  walk.check("CRC32C of all before it", crc32c(bytes.subarray(0, walk.at)));
  const events: DecodedEvent[] = [];
  let previousCrc = 0;
  let position = 0;
  while (walk.at < bytes.length) {
    const frame = walkFrame(walk, base, secret, previousCrc);
    expect(frame.position).toBe(position);
    previousCrc = frame.crc;
    position += frame.events.length;
    events.push(...frame.events);
  }
  return { lines: walk.lines, events };
}

function walkFrame(
  walk: Walk,
  base: number,
  secret: Uint8Array,
  previousCrc: number,
): { position: number; crc: number; events: DecodedEvent[] } {
  const start = walk.at;
  const logOffset = base + start;
  const length = little(walk.bytes.subarray(start, start + 4));
  const kind = walk.bytes[start + 4] ?? 0;
  walk.title(`frame at log offset ${logOffset}: ${KINDS[kind]}`);
  walk.number(4, "length");
  walk.u8("kind", () => `kind ${kind}: ${KINDS[kind]}`);
  const flags = walk.u8("flags", frameFlags);
  const count = walk.number(2, "events");
  const position = walk.number(6, "position");
  const recordedAt = walk.number(6, "recorded at, ms");
  walk.check("CRC of the frame before it", previousCrc);
  walk.number(
    4,
    "durable distance",
    (distance) =>
      `durable distance ${distance}: all below log offset ${logOffset - distance} is synced`,
  );
  const head = walk.bytes.subarray(start, walk.at);
  walk.check(
    "head check: CRC32C of the 28 bytes before it, begun with the seed",
    crc32c(head, offsetSeed(secret, logOffset)),
  );
  const rest = walk.bytes.subarray(start + 36, start + length);
  const crc = crc32c(rest, crc32c(walk.bytes.subarray(start, start + 32)));
  walk.check("CRC32C of the whole frame but this field", crc);
  const events = kind === 1 ? walkEvents(walk, logOffset, flags, count, position, recordedAt) : [];
  expect(walk.at).toBe(start + length);
  const padding = -walk.at & 7;
  const isThere = Math.min(padding, walk.bytes.length - walk.at);
  if (isThere > 0) walk.number(isThere, "0", () => "padding to a multiple of 8");
  return { position, crc, events };
}

function walkEvents(
  walk: Walk,
  logOffset: number,
  flags: number,
  count: number,
  position: number,
  recordedAt: number,
): DecodedEvent[] {
  const transactionId = walk.uuid("transaction id");
  const isPerEvent = (flags & KEY_PER_EVENT) !== 0;
  const frameKey = isPerEvent ? null : walkKey(walk, (flags & EXPLICIT_KEY) !== 0);
  const firstSequence = isPerEvent ? 0 : walk.varint("partition sequence of the first event");
  return Array.from({ length: count }, (_, index) => {
    const eventFlags = walk.u8("event flags", (value) =>
      value === 0 ? "event flags 0" : "event flags 1: explicit key",
    );
    const eventId = walk.uuid("event id");
    const streamVersion = walk.varint("stream version");
    const zigzag = walk.varint("timestamp", (value) => {
      return `timestamp less recorded at, ${unzigzag(value)} as zigzag ${value}`;
    });
    const streamSize = walk.u8("bytes of stream id");
    const nameSize = walk.u8("bytes of event name");
    const payloadSize = walk.varint("bytes of payload");
    const metadataSize = walk.varint("bytes of metadata");
    const key = frameKey ?? walkKey(walk, (eventFlags & EVENT_EXPLICIT_KEY) !== 0);
    const partitionSequence = isPerEvent
      ? walk.varint("partition sequence")
      : firstSequence + index;
    return {
      position: position + index,
      place: `${logOffset}/${index}`,
      recordedAt,
      transactionId,
      eventId,
      partitionSequence,
      streamVersion,
      timestamp: recordedAt + unzigzag(zigzag),
      streamId: walk.text(streamSize, "stream id"),
      eventName: walk.text(nameSize, "event name"),
      payload: walk.text(payloadSize, "payload"),
      metadata: walk.text(metadataSize, "metadata"),
      explicitKey: key.explicit,
      hash: key.hash,
    };
  });
}

function walkKey(walk: Walk, isExplicit: boolean): { explicit: string | null; hash: number } {
  if (!isExplicit) {
    return { explicit: null, hash: walk.number(2, "partition hash of the stream's default key,") };
  }
  const explicit = walk.uuid("partition key");
  return { explicit, hash: hashOf(explicit) };
}

function frameFlags(flags: number): string {
  const names = ["explicit key", "key per event"].filter((_, bit) => flags & (1 << bit));
  return names.length === 0 ? `flags ${flags}` : `flags ${flags}: ${names.join(", ")}`;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Bits 46 to 61 of a partition key. */
function hashOf(key: string): number {
  return Number((BigInt(`0x${key.replaceAll("-", "")}`) >> 46n) & 0xffffn);
}

// ── the document ──────────────────────────────────────────────────────────────────────────────────

describe("FORMAT.md", () => {
  let example: Example;
  let document: string;

  beforeAll(async () => {
    example = await makeExample();
    document = readDocument();
    if (process.env.UPDATE_GOLDEN !== "1") return;
    const { lines, secret } = walkStore(example.store);
    document = updateDocument({
      STORE: lines,
      SEGMENT: walkSegment(example.segment, secret).lines,
      RUN: walkRun(example.run, secret).lines,
    });
  });

  test("says every field of STORE and of the segment as its bytes do", () => {
    const store = walkStore(bytesOf(block(document, "STORE")));
    expect(store.lines.join("\n")).toBe(block(document, "STORE"));
    const { lines } = walkSegment(bytesOf(block(document, "SEGMENT")), store.secret);
    expect(lines.join("\n")).toBe(block(document, "SEGMENT"));
  });

  test("shows the events that were appended", () => {
    const { secret } = walkStore(bytesOf(block(document, "STORE")));
    const { events } = walkSegment(bytesOf(block(document, "SEGMENT")), secret);
    expect(events).toHaveLength(example.events.length);
    for (const [index, decoded] of events.entries()) {
      const { explicitKey, hash, payload, metadata, place: _, ...numbers } = decoded;
      const stored = example.events[index];
      expect(stored).toMatchObject(numbers);
      expect(Buffer.from(stored?.payload ?? []).toString()).toBe(payload);
      expect(Buffer.from(stored?.metadata ?? []).toString()).toBe(metadata);
      expect(hashOf(stored?.partitionKey ?? "")).toBe(hash);
      expect(stored?.partitionId).toBe(hash % PARTITIONS);
      if (explicitKey !== null) expect(stored?.partitionKey).toBe(explicitKey);
    }
  });

  test("says every field of the index run as its bytes do", () => {
    const { secret } = walkStore(bytesOf(block(document, "STORE")));
    const { lines } = walkRun(bytesOf(block(document, "RUN"), true), secret);
    expect(lines.join("\n")).toBe(block(document, "RUN"));
  });

  test("has a run that finds the events by id, stream, partition and position", () => {
    const { secret } = walkStore(bytesOf(block(document, "STORE")));
    const { events } = walkSegment(bytesOf(block(document, "SEGMENT")), secret);
    const run = walkRun(bytesOf(block(document, "RUN"), true), secret);
    const covered = events.slice(0, RUN_EVENTS);
    expect([run.from, run.to]).toEqual([0, RUN_EVENTS]);
    for (const { position, eventId, streamId, streamVersion, hash, ...event } of covered) {
      const place = run.positions[position] as string;
      expect(place).toBe(event.place);
      expect(run.ids.get(run.hashOfId(eventId))).toBe(place);
      const stream = run.streams.get(run.hashOfStream(streamId));
      expect(stream?.firstVersion).toBe(0);
      expect(stream?.hash16).toBe(hash);
      expect(stream?.key).toBe(event.explicitKey);
      expect(stream?.places[streamVersion]).toBe(place);
      const partition = run.partitions.get(hash % PARTITIONS);
      expect(partition?.places[event.partitionSequence - (partition?.firstSequence ?? 0)]).toBe(
        place,
      );
    }
    expect(run.ids.size).toBe(RUN_EVENTS);
    expect(run.order).toEqual([0, 1]);
    expect(run.times).toHaveLength(1);
    expect(run.times[0]).toMatchObject({ stretch: 0, recordedAt: covered[0]?.recordedAt });
    for (const { timestamp } of covered) {
      expect(run.times[0]?.smallest).toBeLessThanOrEqual(timestamp);
      expect(run.times[0]?.largest).toBeGreaterThanOrEqual(timestamp);
    }
  });

  test("holds the bytes that a store writes today", () => {
    expect(spaced(bytesOf(block(document, "STORE")))).toBe(spaced(example.store));
    expect(spaced(bytesOf(block(document, "SEGMENT")))).toBe(spaced(example.segment));
    expect(example.segmentBytes).toBe(SEGMENT_BYTES);
    expect(spaced(bytesOf(block(document, "RUN"), true))).toBe(spaced(example.run));
  });
});

// ── what later versions may write ─────────────────────────────────────────────────────────────────

interface NewFrame {
  readonly kind: number;
  readonly flags?: number;
  readonly count?: number;
  readonly body?: readonly number[];
}

/** The example's first transaction, with frames behind it that are made here, and zeros behind those. */
function segmentWith(example: Example, frames: readonly NewFrame[]): Uint8Array {
  const { secret } = walkStore(example.store);
  const segment = new Uint8Array(SEGMENT_BYTES);
  segment.set(example.segment.subarray(0, FIRST_FRAME_END));
  const view = new DataView(segment.buffer);
  let previousCrc = view.getUint32(SEGMENT_HEADER_BYTES + 32, true);
  let at = FIRST_FRAME_END;
  let position = 1;
  for (const { kind, flags = 0, count = 0, body = [] } of frames) {
    const length = FRAME_HEAD_BYTES + body.length;
    view.setUint32(at, length, true);
    segment[at + 4] = kind;
    segment[at + 5] = flags;
    view.setUint16(at + 6, count, true);
    view.setBigUint64(at + 8, BigInt(position), true);
    view.setBigUint64(at + 14, BigInt(CLOCK_MS + 9), true);
    view.setUint32(at + 20, previousCrc, true);
    view.setUint32(at + 24, 0, true);
    view.setUint32(at + 28, crc32c(segment.subarray(at, at + 28), offsetSeed(secret, at)), true);
    segment.set(body, at + FRAME_HEAD_BYTES);
    previousCrc = crc32c(
      segment.subarray(at + FRAME_HEAD_BYTES, at + length),
      crc32c(segment.subarray(at, at + 32)),
    );
    view.setUint32(at + 32, previousCrc, true);
    at = Math.ceil((at + length) / 8) * 8;
    position += count;
  }
  return segment;
}

const SEGMENT_HEADER_BYTES = 64;
const FRAME_HEAD_BYTES = 36;
/** Where the example's first frame and its padding end. */
const FIRST_FRAME_END = 176;

describe("the reserve", () => {
  let example: Example;
  beforeAll(async () => {
    example = await makeExample();
  });

  function openWith(files: Readonly<Record<string, Uint8Array>>): EventStore {
    const image = new Map([
      [`${FOLDER}/STORE`, example.store],
      [SEGMENT, segmentWith(example, [])],
      ...Object.entries(files),
    ]);
    const disk = SimulatedDisk.fromImage(image, { random: new Random(1) });
    return openStore(
      disk,
      () => CLOCK_MS + 10,
      (target) => target.fill(7),
    );
  }

  const MARK: NewFrame = { kind: 2 };
  /** An event of stream "later" at version 5, with areas that nobody knows yet. */
  const LATER: NewFrame = {
    kind: 1,
    flags: 4 + EXPLICIT_KEY,
    count: 1,
    body: [
      ...[3, 0xaa, 0xbb, 0xcc], // the frame's extension
      ...new Array(16).fill(0x11), // transaction id
      ...new Array(16).fill(0x22), // partition key
      1, // sequence: the first event is in the same partition
      2, // event flags: extension
      ...new Array(16).fill(0x33), // event id
      5, // version
      4, // timestamp: 2 after the frame's
      ...[5, 1, 1, 0], // sizes
      ...[2, 0xdd, 0xee], // the event's extension
      ...Buffer.from("laterEp"),
    ],
  };

  test("a frame of a kind that may be skipped is passed over, and appends go on behind it", async () => {
    const store = openWith({
      [SEGMENT]: segmentWith(example, [{ kind: 0x90, body: [1, 2, 3] }, MARK]),
    });
    expect(readAll(store)).toEqual(example.events.slice(0, 1));
    const { events } = await append(store, [{ stream: "user-1", name: "E" }]);
    expect(events[0]).toMatchObject({ position: 1, streamVersion: 1 });
  });

  test("a frame of another kind refuses the log", () => {
    const segment = segmentWith(example, [{ kind: 0x10 }]);
    expect(() => openWith({ [SEGMENT]: segment })).toThrow(
      `${SEGMENT} at offset ${FIRST_FRAME_END}: this record was written by a newer version of Cairn`,
    );
  });

  test("extension areas are passed over, and a stream may begin above version 0", async () => {
    const store = openWith({ [SEGMENT]: segmentWith(example, [LATER, MARK]) });
    const [, later] = readAll(store);
    expect(later).toMatchObject({
      position: 1,
      streamId: "later",
      eventName: "E",
      streamVersion: 5,
      timestamp: CLOCK_MS + 11,
      partitionKey: "22222222-2222-2222-2222-222222222222",
    });
    expect(Buffer.from(later?.payload ?? []).toString()).toBe("p");
    const { events } = await append(store, [{ stream: "later", name: "E", expectedVersion: 5 }]);
    expect(events[0]).toMatchObject({ streamVersion: 6, partitionSequence: 2 });
  });

  test("a newer format version of either file is refused, and said", () => {
    const newer = (bytes: Uint8Array, crcOffset: number): Uint8Array => {
      const changed = bytes.slice();
      changed[8] = 2;
      new DataView(changed.buffer).setUint32(
        crcOffset,
        crc32c(changed.subarray(0, crcOffset)),
        true,
      );
      return changed;
    };
    const text = "has format version 2, and this executable reads up to 1";
    expect(() => openWith({ [`${FOLDER}/STORE`]: newer(example.store, 92) })).toThrow(text);
    expect(() => openWith({ [SEGMENT]: newer(segmentWith(example, []), 60) })).toThrow(text);
  });
});
