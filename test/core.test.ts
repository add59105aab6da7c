/**
 * The core's own parts: checksums, hashes, UUIDs, UTF-8, tables, lists, the block cache, and memory at its limit.
 *
 * What can be called alone is checked against another implementation; the rest is driven through a store on a
 * simulated disk and read back. Each random test prints its seed when it fails.
 */

import { v5 as uuidV5 } from "uuid";
import { describe, expect, test } from "vitest";
import { Core, UUID_BYTES } from "../server/core/core.ts";
import { Encoding } from "../server/core/encoding.ts";
import { OutputArea } from "../server/core/output-area.ts";
import { StoreError } from "../server/errors.ts";
import { CACHE_BYTES_DEFAULT, KiB, MiB } from "../server/limits.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import {
  append,
  eventById,
  type NewEvent,
  nextTurn,
  queue,
  readAll,
  streamVersion,
} from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
const CLOCK_MS = 1_700_000_000_000;
const FOLDER = "/data";
const CORE_BYTES = 64 * MiB;
/** Most events of one transaction. */
const EVENTS_MAX = 8_192;

function makeCore(): Core {
  const core = new Core({
    memoryBytesMax: CORE_BYTES,
    partitions: 4,
    cacheBytes: 64 * KiB,
    pageBytes: 64 * KiB,
    headBytes: 0,
    batchBytesMax: MiB,
    random: (target) => new Random(SEED).fill(target),
  });
  const secret = core.allocate(UUID_BYTES);
  core.memory.set(KEY, secret);
  core.exports.setSecret(secret);
  return core;
}

/** 00 01 02 … 0f: the key of SipHash's published vectors. */
const KEY = Uint8Array.from({ length: UUID_BYTES }, (_, i) => i);
const core = makeCore();
const input = core.allocate(64 * KiB);
const output = core.allocate(64);

/** Puts bytes at the input area, `shift` bytes behind its aligned start. */
function put(bytes: Uint8Array, shift = 0): number {
  core.memory.set(bytes, input + shift);
  return input + shift;
}

function hex(address: number, size: number): string {
  return Buffer.from(core.memory.slice(address, address + size)).toString("hex");
}

// ── functions of bytes ────────────────────────────────────────────────────────────────────────────

describe("CRC32C", () => {
  const crc = (bytes: Uint8Array, start = 0, shift = 0): number =>
    core.exports.crc32c(start, put(bytes, shift), bytes.length) >>> 0;

  test("has its check value", () => {
    expect(crc(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc(new Uint8Array(0))).toBe(0);
    expect(crc(new Uint8Array(32))).toBe(0x8a9136aa); // RFC 3720, B.4
    expect(crc(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  });

  test("is that of the definition, at any length and alignment, in one piece or two", () => {
    const random = new Random(SEED);
    for (let round = 0; round < 500; round++) {
      const bytes = random.bytes(random.below(round < 100 ? 40 : 600));
      const shift = random.below(16);
      const cut = random.below(bytes.length + 1);
      const expected = crcByDefinition(bytes);
      expect(crc(bytes, 0, shift), `seed ${SEED}, round ${round}`).toBe(expected);
      const first = crc(bytes.subarray(0, cut), 0, shift);
      expect(crc(bytes.subarray(cut), first, shift), `seed ${SEED}, round ${round}`).toBe(expected);
    }
  });
});

function crcByDefinition(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

/** SipHash-2-4-128 of 00 01 02 …, by length, as the Rust crate siphasher 1.0 gives it. */
const SIPHASH: readonly (readonly [number, string])[] = [
  [0, "a3817f04ba25a8e66df67214c7550293"],
  [1, "da87c1d86b99af44347659119b22fc45"],
  [7, "a1f1ebbed8dbc153c0b84aa61ff08239"],
  [8, "3b62a9ba6258f5610f83e264f31497b4"],
  [9, "264499060ad9baabc47f8b02bb6d71ed"],
  [15, "5493e99933b0a8117e08ec0f97cfc3d9"],
  [16, "6ee2a4ca67b054bbfd3315bf85230577"],
  [17, "473d06e8738db89854c066c47ae47740"],
  [31, "2939b0183223fafc1723de4f52c43d35"],
  [32, "7c3956ca5eeafc3e363e9d556546eb68"],
  [33, "77c6077146f01c32b6b69d5f4ea9ffcf"],
  [63, "5150d1772f50834a503e069a973fbd7c"],
  [64, "1eaf077dc0d4cd3f8cad4d383658a74b"],
  [255, "1c9bb67528165f8e468248e3799b0eab"],
];

test.each(SIPHASH)("SipHash-2-4-128 of %i bytes, its first 96 bits", (size, expected) => {
  const bytes = Uint8Array.from({ length: size }, (_, i) => i);
  for (const shift of [0, 3]) {
    core.exports.hash96(output, put(bytes, shift), size);
    expect(hex(output, 12)).toBe(expected.slice(0, 24));
  }
});

describe("UUIDs", () => {
  const TEXT = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
  const PLAIN = TEXT.replaceAll("-", "");
  const NAMESPACE = TEXT;

  const parse = (text: string): string | null => {
    const bytes = Buffer.from(text, "latin1");
    return core.parseUuid(put(bytes), bytes.length, output) ? hex(output, UUID_BYTES) : null;
  };

  test.each([
    TEXT,
    TEXT.toUpperCase(),
    PLAIN,
    PLAIN.toUpperCase(),
    `{${TEXT}}`,
    `urn:uuid:${TEXT}`,
    `URN:UUID:${TEXT.toUpperCase()}`,
    "219BD637-e279-53E9-9e2b-eabe5d9120CC",
  ])("%s is one", (text) => {
    expect(parse(text)).toBe(PLAIN);
  });

  test.each([
    "",
    TEXT.slice(1),
    `${TEXT}0`,
    ` ${TEXT.slice(1)}`,
    PLAIN.slice(1),
    `${PLAIN}0`,
    `{${PLAIN}}`,
    `{${TEXT}`,
    `(${TEXT})`,
    `${TEXT}}`,
    `urn:uuid:${PLAIN}`,
    `urn-uuid:${TEXT}`,
    `urn:uuid-${TEXT}`,
    `urn\x1auuid:${TEXT}`,
    `urn:uuid\x1a${TEXT}`,
    TEXT.replace("-", "_"),
    TEXT.replace("6", "-"),
    "219bd637e-279-53e9-9e2b-eabe5d9120cc",
  ])("%j is none", (text) => {
    expect(parse(text)).toBe(null);
  });

  test("take hexadecimal digits alone, at every place", () => {
    for (let at = 0; at < PLAIN.length; at++) {
      for (let code = 0; code < 256; code++) {
        const char = String.fromCharCode(code);
        const isDigit = /^[0-9a-fA-F]$/.test(char);
        const text = PLAIN.slice(0, at) + char + PLAIN.slice(at + 1);
        expect(parse(text), `code ${code} at ${at}`).toBe(isDigit ? text.toLowerCase() : null);
      }
    }
  });

  test("version 5 is that of the npm package uuid, around every block of SHA-1", () => {
    const random = new Random(SEED);
    const sizes = [
      0, 1, 39, 40, 41, 46, 47, 48, 49, 55, 56, 63, 64, 65, 103, 104, 111, 112, 119, 120, 255,
    ];
    for (const size of sizes) {
      const bytes = random.bytes(size);
      core.exports.uuidV5(output, put(bytes), size);
      expect(core.uuidText(output), `seed ${SEED}, size ${size}`).toBe(uuidV5(bytes, NAMESPACE));
    }
    for (let size = 0; size < 200; size++) {
      const text = "x".repeat(size);
      core.exports.uuidV5(output, put(Buffer.from(text)), size);
      expect(core.uuidText(output), `size ${size}`).toBe(uuidV5(text, NAMESPACE));
    }
  });

  test("a partition key's hash is its bits 46 to 61", () => {
    const random = new Random(SEED);
    for (let round = 0; round < 200; round++) {
      const key = random.bytes(UUID_BYTES);
      const number = BigInt(`0x${Buffer.from(key).toString("hex")}`);
      expect(core.partitionHash(put(key))).toBe(Number((number >> 46n) & 0xffffn));
    }
  });

  test("those that the store makes: version 7 of the clock, the partition's hash inside", async () => {
    const { store } = open();
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const events = Array.from({ length: 20 }, () => ({ stream: `s-${i}`, name: "E" }));
      const { events: appended } = await append(store, events);
      for (const { eventId, partitionKey } of appended) {
        const number = BigInt(`0x${eventId.replaceAll("-", "")}`);
        expect(Number(number >> 80n)).toBe(CLOCK_MS);
        expect(eventId[14]).toBe("7");
        expect("89ab").toContain(eventId[19]);
        const key = BigInt(`0x${partitionKey.replaceAll("-", "")}`);
        expect((number >> 46n) & 0xffffn).toBe((key >> 46n) & 0xffffn);
        seen.add(eventId);
      }
    }
    expect(seen.size).toBe(800);
    const transactions = readAll(store).map((event) => event.transactionId);
    expect(new Set(transactions).size).toBe(40);
    for (const id of transactions) expect(id).toMatch(/^.{14}4.{4}[89ab]/);
  });
});

describe("UTF-8", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const agrees = (bytes: Uint8Array): void => {
    let expected = true;
    try {
      decoder.decode(bytes);
    } catch {
      expected = false;
    }
    const found = core.validUtf8(put(bytes), bytes.length);
    if (found !== expected) {
      throw new Error(`${Buffer.from(bytes).toString("hex")}: ${found} instead of ${expected}`);
    }
  };
  /** Where the definition draws its lines. */
  const EDGES = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
    0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
  ];

  test("all of one and two bytes, and all edges of three and four", () => {
    for (let one = 0; one < 256; one++) {
      agrees(Uint8Array.of(one));
      for (let two = 0; two < 256; two++) agrees(Uint8Array.of(one, two));
    }
    for (const a of EDGES) {
      for (const b of EDGES) {
        for (const c of EDGES) {
          agrees(Uint8Array.of(a, b, c));
          for (const d of EDGES) agrees(Uint8Array.of(a, b, c, d));
        }
      }
    }
  });

  test("random texts, whole, cut and with one byte changed", () => {
    const random = new Random(SEED);
    const letters = ["a", "é", "ߺ", "ࠀ", "€", "퟿", "", "￿", "𐀀", "😀", "􏿿"];
    for (let round = 0; round < 2_000; round++) {
      let text = "";
      for (let i = random.below(12); i >= 0; i--) text += random.pick(letters);
      const bytes = new Uint8Array(Buffer.from(text));
      agrees(bytes);
      agrees(bytes.subarray(0, random.below(bytes.length + 1)));
      bytes[random.below(bytes.length)] = random.pick(EDGES);
      agrees(bytes);
    }
  });
});

// ── tables and lists ──────────────────────────────────────────────────────────────────────────────

interface OpenOptions {
  readonly disk?: SimulatedDisk;
  readonly cacheBytes?: number;
  readonly memoryBytesMax?: number;
  readonly segmentBytes?: number;
  readonly log?: (line: string) => void;
}

interface Changed {
  readonly store: EventStore;
  readonly disk: SimulatedDisk;
  readonly log: string[];
}

function open(options: OpenOptions = {}): { store: EventStore; disk: SimulatedDisk } {
  const random = new Random(SEED);
  const disk = options.disk ?? new SimulatedDisk({ random });
  const store = EventStore.open({
    disk: disk.boot(),
    folder: FOLDER,
    partitions: 4,
    segmentBytes: options.segmentBytes ?? MiB,
    durability: "fsync",
    strict: false,
    clock: () => CLOCK_MS,
    random: (target) => random.fill(target),
    log: options.log ?? (() => undefined),
    syncPlace: "loop",
    schedules: false,
    cacheBytes: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
    ...(options.memoryBytesMax !== undefined && { memoryBytesMax: options.memoryBytesMax }),
  });
  return { store, disk };
}

/** Opens the store again as a new process does. */
function reopen(disk: SimulatedDisk, options: OpenOptions = {}): EventStore {
  disk.kill();
  return open({ ...options, disk }).store;
}

function event(stream: string, payload: string | Uint8Array): NewEvent {
  return {
    stream,
    name: "E",
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
  };
}

/** What a scan of versions gives: version and payload of each event. */
function scan(
  store: EventStore,
  stream: string,
  from = 0,
  to = Infinity,
  count = Infinity,
): string[] {
  const bytes = Buffer.from(stream);
  const address = store.input(bytes.length);
  store.core.memory.set(bytes, address);
  store.openStreamScan(address, bytes.length, 0, { from, to, count, isReverse: false });
  const area = new OutputArea(store.core, MiB);
  store.writeScan(area, Encoding.resp3);
  const text = store.core.text(area.origin, area.length);
  area.clear();
  store.core.exports.release(area.origin, MiB);
  const found = text.matchAll(
    /\+stream_version\r\n:(\d+)\r\n.*?\+payload\r\n\$\d+\r\n([^\r]*)\r\n/gs,
  );
  return [...found].map(([, version, payload]) => `${version} ${payload}`);
}

/** Around every length at which a list takes a further chunk: 4, 16, 44, 104 values, and beyond the largest chunk. */
const LENGTHS = [1, 3, 4, 5, 12, 13, 15, 16, 17, 43, 44, 45, 103, 104, 105, 1_000, 9_000];

describe("streams of every length", () => {
  const versions = (from: number, to: number): string[] =>
    Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => `${from + i} v${from + i}`);

  test("are read back in full and in ranges, before and after a restart", () => {
    const { store, disk } = open();
    const longest = Math.max(...LENGTHS);
    for (let version = 0; version < longest; version++) {
      const events = LENGTHS.filter((length) => version < length).map((length) =>
        event(`s-${length}`, `v${version}`),
      );
      expect(queue(store, events)).not.toBe(null);
      if (version % 100 === 99 || version === longest - 1) store.flush();
    }
    const check = (opened: EventStore): void => {
      for (const length of LENGTHS) {
        const stream = `s-${length}`;
        expect(streamVersion(opened, stream), stream).toBe(length - 1);
        expect(scan(opened, stream), stream).toEqual(versions(0, length - 1));
        const middle = length >> 1;
        expect(scan(opened, stream, middle, middle + 2)).toEqual(
          versions(middle, Math.min(middle + 2, length - 1)),
        );
        expect(scan(opened, stream, length - 1)).toEqual(versions(length - 1, length - 1));
        expect(scan(opened, stream, length)).toEqual([]);
        expect(scan(opened, stream, 0, Infinity, 2)).toEqual(versions(0, Math.min(1, length - 1)));
      }
    };
    check(store);
    check(reopen(disk));
  });

  test("show their durable events alone, at every length", () => {
    const { store } = open();
    for (let version = 0; version < 110; version++) {
      for (let pending = 0; pending < 3; pending++) queue(store, [event(`s-${version}`, "p")]);
      queue(store, [event("s", `v${version}`)]);
      expect(streamVersion(store, "s")).toBe(version - 1);
      expect(streamVersion(store, `s-${version}`)).toBe(-1);
      expect(scan(store, "s")).toHaveLength(version);
      store.flush();
      expect(streamVersion(store, "s")).toBe(version);
      expect(streamVersion(store, `s-${version}`)).toBe(2);
    }
  });
});

test("half a million events in many streams: every table and directory grows, and all are found", async () => {
  // The cores of the tests before it: while they hold the fast memory there is, each growth of one copies all of it.
  await nextTurn();
  Bun.gc(true);
  const TRANSACTIONS = 66; // beyond 64 chunks of places, where their directory doubles
  const STREAMS = 30_000;
  const { store, disk } = open({ segmentBytes: 64 * MiB });
  const bytesBefore = store.core.memory.length;
  const ids = new Map<number, string>();
  for (let t = 0; t < TRANSACTIONS; t++) {
    const events = Array.from({ length: EVENTS_MAX }, (_, i) => {
      return { stream: `s-${(t * EVENTS_MAX + i) % STREAMS}`, name: "E" };
    });
    let queued = queue(store, events);
    if (queued === null) {
      store.flush();
      queued = queue(store, events);
    }
    const appended = queued?.result.events ?? [];
    expect(appended).toHaveLength(EVENTS_MAX);
    for (const index of [0, 1, EVENTS_MAX - 1]) {
      const numbers = appended[index];
      if (numbers !== undefined) ids.set(numbers.position, numbers.eventId);
    }
    store.flush();
  }
  expect(store.core.memory.length).toBeGreaterThan(bytesBefore);
  const total = TRANSACTIONS * EVENTS_MAX;
  const check = (opened: EventStore): void => {
    expect(opened.lastPosition()).toBe(total - 1);
    expect(opened.streamCount()).toBe(STREAMS);
    for (let s = 0; s < STREAMS; s++) {
      const expected = Math.floor((total - 1 - s) / STREAMS);
      if (streamVersion(opened, `s-${s}`) !== expected)
        throw new Error(`s-${s} is not at ${expected}`);
    }
    expect(streamVersion(opened, `s-${STREAMS}`)).toBe(-1);
    for (const [position, eventId] of ids) {
      const found = eventById(opened, eventId);
      expect(found).toMatchObject({ position, eventId, streamId: `s-${position % STREAMS}` });
    }
  };
  check(store);
  check(reopen(disk, { segmentBytes: 64 * MiB }));
});

// ── the block cache ───────────────────────────────────────────────────────────────────────────────

describe("reads through a cache", () => {
  /** One block, two, and all. */
  const CACHES = [1, 140_000, CACHE_BYTES_DEFAULT];
  /** Sizes that put frames inside a block, over a block's end, over several blocks and beyond a segment. */
  const SIZES = [0, 1, 100, 1_000, 20_000, 65_400, 65_536, 70_000, 200_000, 1_500_000];

  test("of one block or many: right in any order, over rolls and restarts", async () => {
    const random = new Random(SEED);
    const { store, disk } = open({ segmentBytes: 256 * KiB });
    const payloads: Uint8Array[] = [];
    for (let i = 0; i < 120; i++) {
      const payload = random.bytes(i < SIZES.length ? (SIZES[i] ?? 0) : random.below(40_000));
      payloads.push(payload);
      await append(store, [event(`s-${i % 3}`, payload)]);
    }
    expect(store.segmentCount()).toBeGreaterThan(3);
    for (const cacheBytes of CACHES) {
      const opened = reopen(disk, { cacheBytes, segmentBytes: 256 * KiB });
      for (let round = 0; round < 400; round++) {
        const position = random.below(payloads.length);
        const [found] = opened.readEvents(position, 1);
        const isRight = Buffer.compare(found?.payload ?? KEY, payloads[position] ?? KEY) === 0;
        if (!isRight || found?.position !== position) {
          throw new Error(`seed ${SEED}: position ${position} is wrong with ${cacheBytes} bytes`);
        }
      }
      expect(opened.memoryFigures().cacheBytes).toBeLessThanOrEqual(Math.max(cacheBytes, 65 * KiB));
    }
  });

  test("follow a block that fills up while it is read", async () => {
    const { store } = open({ cacheBytes: 1 });
    for (let i = 0; i < 600; i++) {
      await append(store, [event("s", `${i} ${"x".repeat(i % 300)}`)]);
      const [last] = store.readEvents(i, 1);
      expect(Buffer.from(last?.payload ?? KEY).toString()).toBe(`${i} ${"x".repeat(i % 300)}`);
      const [first] = store.readEvents(0, 1);
      expect(first?.position).toBe(0);
    }
  });

  test("a read that the disk refused is tried again by the next one", async () => {
    for (const size of [10, 100_000]) {
      const { store, disk } = open({ cacheBytes: 1 });
      await append(store, [event("s", new Uint8Array(size))]);
      await append(store, [event("s", new Uint8Array(200_000))]);
      await append(store, [event("s", "another block, in the cache's only place")]);
      store.readEvents(2, 1);
      // The longer frame is read twice: its head with its block, then all of it.
      disk.fail({ kind: "read", code: "EIO", path: ".seg", skip: size > 64 * KiB ? 1 : 0 });
      expect(() => store.readEvents(0, 1)).toThrow(
        /^the record in .*\.seg at offset 64 is damaged$/,
      );
      expect(store.readEvents(0, 1)[0]?.payload).toHaveLength(size);
    }
  });
});

// ── frames ────────────────────────────────────────────────────────────────────────────────────────

describe("a payload that holds copies of frames", () => {
  /** The store's only segment, up to its last byte that is not zero, rounded up. */
  function frames(disk: SimulatedDisk): { path: string; bytes: Uint8Array } {
    const [path, file] = [...disk.image()].find(([name]) => name.endsWith(".seg")) ?? ["", KEY];
    const end = file.findLastIndex((byte) => byte !== 0) + 1;
    return { path, bytes: file.slice(0, Math.ceil(end / 8) * 8) };
  }

  test("is read as a payload, and none of them is taken for a frame when its own frame is torn", async () => {
    for (let shift = 0; shift < 8; shift++) {
      const { store, disk } = open();
      await append(store, [event("s", "first")]);
      await append(store, [event("s", "second")]);
      const { bytes } = frames(disk);
      // Every alignment comes up over the shifts: the copy of the log begins at a multiple of 8 in one of them.
      const payload = Buffer.concat([
        new Uint8Array(shift),
        bytes.subarray(64),
        bytes.subarray(64),
      ]);
      await append(store, [event("s", payload)]);
      expect(Buffer.compare(store.readEvents(2, 1)[0]?.payload ?? KEY, payload)).toBe(0);

      const image = disk.image();
      const { path } = frames(disk);
      const torn = (image.get(path) ?? KEY).slice();
      torn.fill(0, bytes.length, bytes.length + 36); // the head of the third frame never reached the disk
      const after = SimulatedDisk.fromImage(new Map([...image, [path, torn]]), {
        random: new Random(SEED),
      });
      const reopened = open({ disk: after }).store;
      expect(readAll(reopened)).toHaveLength(2);
      await append(reopened, [event("s", "third")]);
      expect(
        readAll(reopen(after)).map(({ payload: data }) => Buffer.from(data).toString()),
      ).toEqual(["first", "second", "third"]);
    }
  });
});

describe("the end of the log", () => {
  /** Opens a store on another's files, with its segment changed; what it said goes into `log`. */
  function openChanged(disk: SimulatedDisk, change: (segment: Uint8Array) => Uint8Array): Changed {
    const image = disk.image();
    const [path, segment] = [...image].find(([name]) => name.endsWith(".seg")) ?? ["", KEY];
    const changed = SimulatedDisk.fromImage(new Map([...image, [path, change(segment)]]), {
      random: new Random(SEED),
    });
    const log: string[] = [];
    return { ...open({ disk: changed, log: (line) => log.push(line) }), log };
  }

  /** The segment without its last frame's second half. */
  const tearLast = (segment: Uint8Array): Uint8Array => {
    const end = segment.findLastIndex((byte) => byte !== 0) + 1;
    return segment.slice().fill(0, end - 10);
  };

  test("an append that tore after an orderly stop is cut, and said", async () => {
    const { store, disk } = open();
    await append(store, [event("s", "before the stop")]);
    await store.stop();
    const second = open({ disk }).store;
    await append(second, [event("s", "after the stop")]);
    const { store: third, log } = openChanged(disk, tearLast);
    expect(readAll(third)).toHaveLength(1);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(
      /seg at offset \d+: cut an incomplete last transaction, \d+ bytes, kept in/,
    );
    const { events } = await append(third, [event("s", "again")]);
    expect(events[0]).toMatchObject({ position: 1, streamVersion: 1 });
  });

  test("a file that ends with its last frame opens, stops in order and goes on", async () => {
    const { store, disk } = open();
    await append(store, [event("s", "four of padding")]);
    const opened = openChanged(disk, (segment) =>
      segment.slice(0, segment.findLastIndex((byte) => byte !== 0) + 1),
    );
    await opened.store.stop();
    const again = open({ disk: opened.disk, log: (line) => opened.log.push(line) }).store;
    expect(opened.log).toEqual([]);
    await append(again, [event("s", new Uint8Array(100_000))]);
    expect(readAll(reopen(opened.disk))).toHaveLength(2);
  });
});

// ── memory ────────────────────────────────────────────────────────────────────────────────────────

test("no area ends with the memory: texts are read in words, some bytes beyond their end", () => {
  const core = makeCore();
  const leastBehind = Array.from({ length: 4_000 }, () => {
    const area = core.allocate(4 * KiB);
    return core.memory.length - area - 4 * KiB;
  });
  expect(Math.min(...leastBehind)).toBeGreaterThanOrEqual(16);
});

describe("memory at its limit", () => {
  const MEMORY_BYTES = 48 * MiB;

  test("appends are refused and leave no trace, reads go on, and the store opens again", async () => {
    const options = { memoryBytesMax: MEMORY_BYTES, segmentBytes: 64 * MiB };
    const { store, disk } = open(options);
    const transaction = (n: number): NewEvent[] =>
      Array.from({ length: 10 }, (_, i) => event(`stream ${n} ${i}`, `${n}`));
    let count = 0;
    let refusal: unknown = null;
    while (refusal === null) {
      try {
        const queued = queue(store, transaction(count));
        if (queued !== null) count++;
        if (queued === null || count % 100 === 0) {
          store.flush();
          await new Promise((resolve) => setImmediate(resolve)); // lets the next segment be prepared
        }
      } catch (error) {
        // What waits for its sync takes memory too.
        if (store.pendingBatch() > 0) store.flush();
        else refusal = error;
      }
    }
    expect(refusal).toBeInstanceOf(StoreError);
    expect((refusal as StoreError).code).toBe("READONLY");
    expect((refusal as StoreError).message).toBe(
      "nothing was written: the index has reached the limit of its memory",
    );
    store.flush();
    expect(count).toBeGreaterThan(1_000);
    expect(store.core.memory.length).toBeLessThanOrEqual(MEMORY_BYTES);
    const check = (opened: EventStore): void => {
      expect(opened.lastPosition()).toBe(count * 10 - 1);
      expect(streamVersion(opened, `stream ${count} 0`)).toBe(-1);
      for (const n of [0, count >> 1, count - 1])
        expect(scan(opened, `stream ${n} 9`)).toEqual([`0 ${n}`]);
      expect(opened.readEvents(count * 10 - 1, 1)[0]?.streamId).toBe(`stream ${count - 1} 9`);
    };
    check(store);
    check(reopen(disk, options));
    // With more memory it goes on where it was.
    const larger = reopen(disk, { ...options, memoryBytesMax: 2 * MEMORY_BYTES });
    const { events } = await append(larger, transaction(count));
    expect(events[0]).toMatchObject({ position: count * 10, streamVersion: 0 });
  });
});
