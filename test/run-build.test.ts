/**
 * Building index runs: what a run says, read by a second reader, is what the rows said that it was built of.
 *
 * Histories are made at random; a failure prints the seed. What reads runs in the server has tests of its own.
 */
import { describe, expect, test } from "vitest";
import {
  decodeRunHeader,
  parseRunName,
  type RunHeader,
  runName,
} from "../server/index/run-file.ts";
import { RunWork } from "../server/index/run-work.ts";
import { Random } from "./support/random.ts";
import { crc32c, hashText, type ReadRun, readRun } from "./support/run-reader.ts";
import {
  History,
  type HistoryOptions,
  type RunContent,
  randomHash,
  STORE_ID,
} from "./support/run-rows.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

const SEED = Number(process.env.SEED ?? 1);
const FOLDER = "/data/index";

function makeDisk(): SimulatedDisk {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  disk.boot().makeFolder(FOLDER);
  return disk;
}

function build(history: History, from: number, to: number): Uint8Array {
  const disk = makeDisk();
  const work = new RunWork(disk.boot(), FOLDER);
  const size = work.build(history.build(from, to));
  const image = disk.image();
  expect([...image.keys()]).toEqual([`${FOLDER}/${runName(from, to)}`]);
  const bytes = image.get(`${FOLDER}/${runName(from, to)}`) as Uint8Array;
  expect(bytes.length).toBe(size);
  return bytes;
}

function contentOf({ pages, idMayBeHere, streamMayBeHere, ...content }: ReadRun): RunContent {
  return content;
}

const CASES: Readonly<Record<string, Omit<HistoryOptions, "random"> & { from?: number }>> = {
  "one event": { events: 1, streams: 1, partitions: 4 },
  "one event with a key": { events: 1, streams: 1, partitions: 4, keys: 1 },
  "a page of ids to the last entry": { events: 204, streams: 20, partitions: 4 },
  "one entry more than a page of ids": { events: 205, streams: 20, partitions: 4 },
  "a few streams": { events: 3_000, streams: 20, partitions: 32, keys: 0.3 },
  "all events in one stream": { events: 3_000, streams: 1, partitions: 32 },
  "every event a stream of its own": {
    events: 3_000,
    streams: 3_000,
    partitions: 32,
    inTurn: true,
  },
  "every stream with a key": { events: 2_000, streams: 600, partitions: 7, keys: 1 },
  "65,536 partitions": { events: 2_000, streams: 900, partitions: 65_536, keys: 0.1 },
  "one partition": { events: 2_000, streams: 900, partitions: 1 },
  "a later stretch of positions": {
    events: 30_000,
    streams: 700,
    partitions: 16,
    keys: 0.1,
    from: 9_000,
  },
  "more than one slice of the file": { events: 40_000, streams: 15_000, partitions: 64, keys: 0.5 },
};

describe("a run that was built", () => {
  for (const [name, { from = 0, ...options }] of Object.entries(CASES)) {
    test(`says what its rows said: ${name}`, () => {
      const history = new History({ ...options, random: new Random(SEED) });
      const run = readRun(build(history, from, options.events));
      expect(contentOf(run), `SEED=${SEED}`).toEqual(history.content(from, options.events));
    });
  }

  test("admits by its filters all that it has, and little else", () => {
    const random = new Random(SEED);
    const history = new History({ random, events: 20_000, streams: 9_000, partitions: 32 });
    const run = readRun(build(history, 0, 20_000));
    for (const id of run.ids) expect(run.idMayBeHere(id.split(":")[0] ?? "")).toBe(true);
    for (const { hash } of run.streams) expect(run.streamMayBeHere(hash)).toBe(true);
    const others = Array.from({ length: 20_000 }, () => {
      const { low, high } = randomHash(random);
      return hashText(low, high);
    });
    const admitted = (admits: (hash: string) => boolean) => others.filter(admits).length;
    expect(admitted(run.idMayBeHere), `SEED=${SEED}`).toBeLessThan(0.01 * others.length);
    expect(admitted(run.streamMayBeHere), `SEED=${SEED}`).toBeLessThan(0.01 * others.length);
  });

  test("is sorted though hashes share their upper bits", () => {
    const random = new Random(SEED);
    const history = new History({ random, events: 600, streams: 300, partitions: 4 });
    const job = history.build(0, 600);
    for (const chunk of [...job.rows, ...job.streams]) {
      const rowBytes = job.rows.includes(chunk) ? 24 : 48;
      // The same 64 bits for all of a kind: the last 32 alone tell them apart.
      for (let at = 0; at < chunk.length; at += rowBytes) chunk.fill(0x5a, at, at + 8);
    }
    const disk = makeDisk();
    new RunWork(disk.boot(), FOLDER).build(job);
    const run = readRun(disk.image().get(`${FOLDER}/${job.name}`) as Uint8Array);
    for (const hashes of [run.ids, run.streams.map((stream) => stream.hash)]) {
      const texts = hashes.map((hash) => hash.slice(0, 24));
      expect(texts, `SEED=${SEED}`).toEqual([...texts].sort());
      expect(new Set(texts.map((text) => text.slice(0, 16)))).toEqual(new Set(["5a".repeat(8)]));
    }
  });
});

describe("a run's name", () => {
  test("says what the run covers", () => {
    expect(runName(0, 524_288)).toBe("00000000000000000000-00000000000000524288.run");
    expect(parseRunName(runName(1_000, 2 ** 53 - 1))).toEqual({ from: 1_000, to: 2 ** 53 - 1 });
  });

  test("is told from other names", () => {
    const name = runName(5, 6);
    for (const other of [
      `${name}.new`,
      name.slice(1),
      runName(6, 6),
      runName(7, 6),
      name.replace("-", "_"),
      "99999999999999999998-99999999999999999999.run",
    ]) {
      expect(parseRunName(other), other).toBeNull();
    }
  });
});

describe("a run's header", () => {
  const history = new History({
    random: new Random(SEED),
    events: 400,
    streams: 30,
    partitions: 8,
    keys: 0.5,
  });
  const bytes = build(history, 100, 400);
  const name = runName(100, 400);
  const work = new RunWork(makeDisk().boot(), FOLDER);

  function decode(page: Uint8Array, size = bytes.length, as = name, id = STORE_ID) {
    return decodeRunHeader(work.core, page, as, size, id);
  }

  /** The page with a field changed, sealed anew. */
  function changed(change: (view: DataView) => void): Uint8Array {
    const page = bytes.slice(0, 4096);
    change(new DataView(page.buffer));
    new DataView(page.buffer).setUint32(4092, crc32c(page.subarray(0, 4092)), true);
    return page;
  }

  test("says what the run covers, and where its parts are", () => {
    const run = readRun(bytes);
    const header = decode(bytes) as RunHeader;
    const { from, to, endOffset, crc, span, recordedAt, newStreams, pages } = run;
    expect(header).toMatchObject({ from, to, endOffset, crc, span, recordedAt, newStreams, pages });
    expect(header).toMatchObject({ storeId: STORE_ID, partitions: 8 });
    expect(header.parts.ids).toEqual({ firstPage: 1, entries: 300 });
    expect(header.parts.heads).toEqual({ firstPage: 3, entries: run.streams.length });
  });

  test("with any byte flipped is damaged", () => {
    for (let at = 0; at < 4096; at++) {
      const page = bytes.slice(0, 4096);
      page[at] = (page[at] ?? 0) ^ 0x10;
      expect(decode(page), `byte ${at}`).toBe("the header is damaged");
    }
  });

  test("that does not fit is refused, and the text says why", () => {
    for (const version of [1, 3]) {
      const text = `the run has format version ${version}, and this executable reads 2`;
      expect(decode(changed((view) => view.setUint32(8, version, true)))).toBe(text);
    }
    expect(decode(changed((view) => view.setUint32(12, 8192, true)))).toBe(
      "its pages have 8192 bytes",
    );
    expect(decode(changed((view) => view.setUint8(0, 0)))).toBe("this is no index run of Cairn");
    expect(decode(bytes, bytes.length, name, new Uint8Array(16))).toBe(
      "the run is another store's",
    );
    expect(decode(bytes.subarray(0, 4095))).toBe("the file is cut off");
    expect(decode(bytes, bytes.length - 4096)).toBe(
      `the file has ${bytes.length - 4096} bytes, and the run ${bytes.length}`,
    );
    expect(decode(bytes, bytes.length, runName(100, 401))).toBe(
      "the run covers positions 100 to 399, and its name says otherwise",
    );
  });
});
