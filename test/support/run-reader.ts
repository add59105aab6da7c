/**
 * A second reader of index runs, naive and slow, that knows only what FORMAT.md says of them.
 *
 * It reads a whole file, checks every page, and gives what the run holds in the terms of the index: which event is where.
 * What cannot be right in any run throws.
 */

const PAGE_BYTES = 4096;
const MAGIC = "CAIRNIDX";

/** The parts in their order: bytes of an entry, entries of a page, where in the page they begin. */
export const RUN_PART_LAYOUT = {
  ids: [20, 204, 0],
  heads: [28, 145, 8],
  places: [8, 511, 0],
  keys: [16, 255, 0],
  partitions: [24, 170, 0],
  partitionPlaces: [8, 511, 0],
  positions: [8, 511, 0],
  order: [8, 511, 0],
  times: [32, 127, 0],
  idFilter: [64, 63, 0],
  headFilter: [64, 63, 0],
  idFences: [4, 1022, 0],
  headFences: [4, 1022, 0],
} as const;

export type RunPartName = keyof typeof RUN_PART_LAYOUT;

interface ReadStream {
  /** First of the 96 bits as a number of 24 hex digits, the low 64 bits first. */
  readonly hash: string;
  readonly firstVersion: number;
  readonly hash16: number;
  readonly key: string | null;
  readonly places: readonly bigint[];
}

export interface ReadRun {
  readonly storeId: string;
  readonly from: number;
  readonly to: number;
  readonly endOffset: number;
  readonly crc: number;
  readonly span: number;
  readonly recordedAt: number;
  readonly newStreams: number;
  readonly partitionCount: number;
  readonly pages: number;
  /** In the file's order, as `hash:place`. */
  readonly ids: readonly string[];
  readonly streams: readonly ReadStream[];
  readonly partitions: readonly {
    readonly partition: number;
    readonly firstSequence: number;
    readonly places: readonly bigint[];
  }[];
  readonly positions: readonly bigint[];
  readonly order: readonly number[];
  readonly times: readonly {
    readonly stretch: number;
    readonly smallest: number;
    readonly largest: number;
    readonly recordedAt: number;
  }[];
  /** Whether the filter admits a hash. */
  idMayBeHere(hash: string): boolean;
  streamMayBeHere(hash: string): boolean;
}

/** The hash whose low 64 and high 32 bits these are, as text that sorts as runs do. */
export function hashText(low: bigint, high: number): string {
  return low.toString(16).padStart(16, "0") + high.toString(16).padStart(8, "0");
}

/** A place of a partition without its tag. */
export function untagged(place: bigint, isTagged = true): bigint {
  return isTagged ? place & 0x00ff_ffff_ffff_1fffn : place;
}

/** The tag of a place of a partition. */
export function tagOf(place: bigint): number {
  return Number(((place >> 56n) << 3n) | ((place >> 13n) & 7n));
}

export function readRun(bytes: Uint8Array): ReadRun {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (at: number): number => Number(view.getBigUint64(at, true));
  const seed = crc32c(bytes.subarray(0, 112));
  expectEqual(Buffer.from(bytes.subarray(0, 8)).toString("latin1"), MAGIC, "magic");
  expectEqual(view.getUint32(8, true), 2, "version");
  expectEqual(view.getUint32(12, true), PAGE_BYTES, "page size");
  const pages = bytes.length / PAGE_BYTES;
  for (let page = 0; page < pages; page++) {
    const start = page * PAGE_BYTES;
    const body = bytes.subarray(start, start + PAGE_BYTES - 4);
    const begun = page === 0 ? 0 : (seed ^ page) >>> 0;
    expectEqual(
      view.getUint32(start + PAGE_BYTES - 4, true),
      crc32c(body, begun),
      `CRC of page ${page}`,
    );
  }

  const entries = {} as Record<RunPartName, number[]>;
  let nextPage = 1;
  for (const [index, name] of (Object.keys(RUN_PART_LAYOUT) as RunPartName[]).entries()) {
    const [size, perPage, start] = RUN_PART_LAYOUT[name];
    const firstPage = number(112 + index * 16);
    const count = number(112 + index * 16 + 8);
    expectEqual(firstPage, nextPage, `first page of ${name}`);
    nextPage += Math.ceil(count / perPage);
    entries[name] = Array.from({ length: count }, (_, i) => {
      const page = firstPage + Math.floor(i / perPage);
      return page * PAGE_BYTES + start + (i % perPage) * size;
    });
  }
  expectEqual(nextPage, pages, "pages of the file");

  const place = (at: number): bigint => view.getBigUint64(at, true);
  const hash = (at: number): string => hashText(place(at), view.getUint32(at + 8, true));
  const places = entries.places.map(place);
  const partitionCount = view.getUint32(104, true);
  const isTagged = number(48) <= 2 ** 43;
  const partitionPlaces = entries.partitionPlaces.map((at) => untagged(place(at), isTagged));
  const keys = entries.keys.map((at) => Buffer.from(bytes.subarray(at, at + 16)).toString("hex"));

  let start = 0;
  const streams = entries.heads.map((at, index) => {
    if (index % 145 === 0) expectEqual(number(at - 8), start, `start of heads from ${index} on`);
    const count = view.getUint32(at + 12, true);
    const keyNumber = view.getUint32(at + 24, true);
    const facts = place(at + 16);
    const stream = {
      hash: hash(at),
      firstVersion: Number(facts >> 16n),
      hash16: Number(facts & 0xffffn),
      key: keyNumber === 0 ? null : (keys[keyNumber - 1] ?? "none there"),
      places: places.slice(start, start + count),
    };
    start += count;
    return stream;
  });
  expectEqual(start, places.length, "places of all streams");

  const hashes = new Map(
    streams.flatMap((stream) => stream.places.map((at) => [at, stream.hash16] as const)),
  );
  entries.partitionPlaces.forEach((at, index) => {
    const hash16 = hashes.get(partitionPlaces[index] as bigint) as number;
    const tag = isTagged ? Math.floor(hash16 / partitionCount) % 2_048 : 0;
    expectEqual(isTagged ? tagOf(place(at)) : 0, tag, `tag of the partition place ${index}`);
  });
  const partitions = entries.partitions.map((at) => {
    const first = number(at + 16);
    return {
      partition: view.getUint32(at, true),
      firstSequence: number(at + 8),
      places: partitionPlaces.slice(first, first + view.getUint32(at + 4, true)),
    };
  });
  const ids = entries.ids.map((at) => `${hash(at)}:${place(at + 12)}`);
  expectFences(view, entries.idFences, ids, 204);
  expectFences(
    view,
    entries.headFences,
    streams.map((stream) => stream.hash),
    145,
  );
  return {
    storeId: Buffer.from(bytes.subarray(16, 32)).toString("hex"),
    from: number(32),
    to: number(40),
    endOffset: number(48),
    crc: view.getUint32(56, true),
    span: view.getUint32(60, true),
    recordedAt: number(64),
    newStreams: number(72),
    partitionCount,
    pages,
    ids,
    streams,
    partitions,
    positions: entries.positions.map(place),
    order: entries.order.map(number),
    times: entries.times.map((at) => ({
      stretch: number(at),
      smallest: number(at + 8),
      largest: number(at + 16),
      recordedAt: number(at + 24),
    })),
    idMayBeHere: (text) => isAdmitted(view, entries.idFilter, text),
    streamMayBeHere: (text) => isAdmitted(view, entries.headFilter, text),
  };
}

/** A fence is the first 32 bits of its page's first hash. */
function expectFences(
  view: DataView,
  fences: readonly number[],
  hashes: readonly string[],
  perPage: number,
): void {
  expectEqual(fences.length, Math.ceil(hashes.length / perPage), "fences");
  for (const [page, at] of fences.entries()) {
    const fence = view.getUint32(at, true).toString(16).padStart(8, "0");
    expectEqual(fence, (hashes[page * perPage] ?? "").slice(0, 8), `fence ${page}`);
  }
}

/** Seven bits of the block that the first 32 bits choose, nine bits of the others for each. */
function isAdmitted(view: DataView, blocks: readonly number[], text: string): boolean {
  const low = BigInt(`0x${text.slice(0, 16)}`);
  const high = BigInt(`0x${text.slice(16)}`);
  const block = blocks[Number(((low >> 32n) * BigInt(blocks.length)) >> 32n)];
  if (block === undefined) throw new Error("the filter has no such block");
  const bits = (low & 0xffffffffn) | (high << 32n);
  return Array.from({ length: 7 }, (_, i) => Number((bits >> BigInt(9 * i)) & 511n)).every(
    (bit) => ((view.getUint8(block + (bit >> 3)) >> (bit & 7)) & 1) === 1,
  );
}

function expectEqual<T>(found: T, wanted: T, what: string): void {
  if (found !== wanted) throw new Error(`${what}: ${found}, and ${wanted} was expected`);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc >>> 0;
});

export function crc32c(bytes: Uint8Array, start = 0): number {
  let crc = ~start >>> 0;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}
