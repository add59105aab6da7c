/**
 * A walk over a small index run whose parts take a page each at the most: every field becomes a line of FORMAT.md, and what
 * the run says is given for the test that compares it with the log. It knows only the document.
 */
import { Walk } from "./golden.ts";
import { crc32c, tagOf, untagged } from "./run-reader.ts";

const PAGE_BYTES = 4096;
const HEADER_IDENTITY_BYTES = 112;

const PARTS = [
  "event ids",
  "streams",
  "places of streams",
  "partition keys",
  "partitions",
  "places of partitions",
  "places of positions",
  "order of streams",
  "times",
  "filter of event ids",
  "filter of streams",
  "fences of event ids",
  "fences of streams",
] as const;
type Part = (typeof PARTS)[number];

/** A place as `log offset / index in the frame`; a hash as 24 hex digits in the order of its bytes. */
interface WalkedRun {
  readonly lines: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly ids: ReadonlyMap<string, string>;
  readonly streams: ReadonlyMap<
    string,
    { firstVersion: number; hash16: number; key: string | null; places: readonly string[] }
  >;
  readonly partitions: ReadonlyMap<number, { firstSequence: number; places: readonly string[] }>;
  readonly positions: readonly string[];
  readonly order: readonly number[];
  readonly times: readonly {
    stretch: number;
    smallest: number;
    largest: number;
    recordedAt: number;
  }[];
  hashOfId(eventId: string): string;
  hashOfStream(streamId: string): string;
}

export function walkRun(bytes: Uint8Array, secret: Uint8Array): WalkedRun {
  const walk = new Walk(bytes);
  walk.title("page 0: header");
  walk.text(8, "magic");
  walk.number(4, "format version");
  walk.number(4, "bytes of a page");
  walk.uuid("store id");
  const from = walk.number(8, "first position");
  const to = walk.number(8, "position behind the last");
  walk.number(8, "log offset behind the last frame, and its padding,");
  walk.number(4, "CRC of the last frame", () => "CRC of the last frame");
  walk.number(4, "bytes of the last frame, and its padding,");
  walk.number(8, "the last frame was recorded at, ms");
  walk.number(8, "streams that begin here");
  walk.number(24, "0", () => "reserve, zeros");
  const partitionCount = walk.number(4, "partitions of the store");
  walk.number(4, "0", () => "reserve, zeros");
  const parts = new Map(
    PARTS.map((part) => {
      const firstPage = walk.number(8, `${part}: page`);
      return [part, { firstPage, entries: walk.number(8, "entries") }] as const;
    }),
  );
  const seed = crc32c(bytes.subarray(0, HEADER_IDENTITY_BYTES));
  seal(walk, 0);

  const take = <T>(part: Part, entry: (index: number) => T): T[] => {
    const { firstPage, entries } = parts.get(part) as { firstPage: number; entries: number };
    if (walk.at !== firstPage * PAGE_BYTES) throw new Error(`${part} is not at page ${firstPage}`);
    if (entries === 0) return [];
    walk.title(`page ${firstPage}: ${part}`);
    if (part === "streams") walk.number(8, "index of the first stream's first place");
    const taken = Array.from({ length: entries }, (_, index) => entry(index));
    seal(walk, seed ^ firstPage);
    return taken;
  };

  const hash = () => walk.field(12, "hash", hex);
  const place = (name: string) =>
    walk.field(8, name, placeOf, (at) => `${name}: log offset ${at.replace("/", ", index ")}`);
  const taggedPlace = (): string => {
    const [place, tag] = walk.field(8, "place", taggedPlaceOf, ([at, tag]) => {
      return `place: log offset ${at.replace("/", ", index ")}, tag ${tag}`;
    });
    placeTags.push([place, tag]);
    return place;
  };
  /** Each place of a partition, and its tag. */
  const placeTags: [string, number][] = [];
  const ids = new Map(take("event ids", () => [hash(), place("place")] as const));
  const heads = take("streams", () => ({
    hash: hash(),
    count: walk.number(4, "events here"),
    facts: walk.number(8, "", (facts) => {
      return `first version ${Math.floor(facts / 65_536)}, partition hash ${facts % 65_536}`;
    }),
    key: walk.number(4, "", (key) => (key === 0 ? "default key" : `key ${key - 1}`)),
  }));
  const streamPlaces = take("places of streams", () => place("place"));
  const keys = take("partition keys", () => walk.uuid("key"));
  const partitionRows = take("partitions", () => ({
    partition: walk.number(4, "partition"),
    count: walk.number(4, "events here"),
    firstSequence: walk.number(8, "first sequence"),
    start: walk.number(8, "index of its first place"),
  }));
  const partitionPlaces = take("places of partitions", taggedPlace);
  const positions = take("places of positions", (index) => place(`position ${from + index}`));
  const order = take("order of streams", () => walk.number(8, "a stream begins at position"));
  const times = take("times", () => ({
    stretch: walk.number(8, "stretch"),
    smallest: walk.number(8, "smallest timestamp, ms"),
    largest: walk.number(8, "largest timestamp, ms"),
    recordedAt: walk.number(8, "its first event was recorded at, ms"),
  }));
  takeFilter("filter of event ids", [...ids.keys()]);
  takeFilter(
    "filter of streams",
    heads.map((head) => head.hash),
  );
  take("fences of event ids", () => takeFence([...ids.keys()][0]));
  take("fences of streams", () => takeFence(heads[0]?.hash));

  function takeFilter(part: Part, hashes: readonly string[]): void {
    take(part, () => {
      const expected = new Uint8Array(64);
      for (const bit of hashes.flatMap(filterBits)) expected[bit >> 3] = setBit(expected, bit);
      return walk.field(64, `bits of ${hashes.length} hashes`, (block) => {
        if (Buffer.compare(block, expected) !== 0) throw new Error(`${part}: ${hex(block)}`);
        return "";
      });
    });
  }

  function takeFence(first = ""): void {
    // The upper 32 of a number whose lowest byte comes first: bytes 4 to 7.
    const expected = Buffer.from(first, "hex").readUInt32LE(4);
    walk.check("upper 32 bits of the page's first hash", expected);
  }

  let start = 0;
  const streams = new Map(
    heads.map((head) => {
      const places = streamPlaces.slice(start, start + head.count);
      start += head.count;
      const facts = {
        firstVersion: Math.floor(head.facts / 65_536),
        hash16: head.facts % 65_536,
        key: head.key === 0 ? null : (keys[head.key - 1] ?? "none there"),
        places,
      };
      return [head.hash, facts] as const;
    }),
  );
  for (const [place, tag] of placeTags) {
    const stream = [...streams.values()].find(({ places }) => places.includes(place));
    const expected = Math.floor((stream?.hash16 ?? 0) / partitionCount) % 2_048;
    if (tag !== expected) throw new Error(`the tag of ${place} is ${tag} and not ${expected}`);
  }
  return {
    lines: walk.lines,
    from,
    to,
    ids,
    streams,
    partitions: new Map(
      partitionRows.map(({ partition, count, firstSequence, start: first }) => [
        partition,
        { firstSequence, places: partitionPlaces.slice(first, first + count) },
      ]),
    ),
    positions,
    order,
    times,
    hashOfId: (id) => sipHash(secret, Buffer.from(id.replaceAll("-", ""), "hex")),
    hashOfStream: (id) => sipHash(secret, Buffer.from(id)),
  };
}

/** Zeros to the page's last four bytes, and those. */
function seal(walk: Walk, start: number): void {
  const page = Math.floor(walk.at / PAGE_BYTES) * PAGE_BYTES;
  walk.skipZeros(page + PAGE_BYTES - 4);
  const crc = crc32c(walk.bytes.subarray(page, walk.at), start >>> 0);
  walk.check("CRC32C of the page, zeros before it", crc);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function placeOf(bytes: Uint8Array): string {
  const place = Buffer.from(bytes).readBigUInt64LE();
  return `${(place >> 16n) * 8n}/${place & 0xffffn}`;
}

function taggedPlaceOf(bytes: Uint8Array): [string, number] {
  const place = Buffer.from(bytes).readBigUInt64LE();
  const untaggedPlace = Buffer.alloc(8);
  untaggedPlace.writeBigUInt64LE(untagged(place));
  return [placeOf(untaggedPlace), tagOf(place)];
}

/** The bits that a hash sets in its block: seven times nine bits of its lowest 32 and its third 32. */
function filterBits(hash: string): number[] {
  const bytes = Buffer.from(hash, "hex");
  const bits = BigInt(bytes.readUInt32LE(0)) | (BigInt(bytes.readUInt32LE(8)) << 32n);
  return Array.from({ length: 7 }, (_, i) => Number((bits >> BigInt(9 * i)) & 511n));
}

function setBit(bytes: Uint8Array, bit: number): number {
  return (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
}

/** The first 96 of the 128 bits of SipHash-2-4, as it was published. */
function sipHash(secret: Uint8Array, message: Uint8Array): string {
  const mask = (1n << 64n) - 1n;
  const key = Buffer.from(secret);
  const [key0, key1] = [key.readBigUInt64LE(0), key.readBigUInt64LE(8)];
  const v = [
    key0 ^ 0x736f6d6570736575n,
    key1 ^ 0x646f72616e646f6dn ^ 0xeen,
    key0 ^ 0x6c7967656e657261n,
    key1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint];
  const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (64n - by))) & mask;
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v[0] = (v[0] + v[1]) & mask;
      v[1] = rotate(v[1], 13n) ^ v[0];
      v[0] = rotate(v[0], 32n);
      v[2] = (v[2] + v[3]) & mask;
      v[3] = rotate(v[3], 16n) ^ v[2];
      v[0] = (v[0] + v[3]) & mask;
      v[3] = rotate(v[3], 21n) ^ v[0];
      v[2] = (v[2] + v[1]) & mask;
      v[1] = rotate(v[1], 17n) ^ v[2];
      v[2] = rotate(v[2], 32n);
    }
  };
  const words = Buffer.alloc(Math.floor(message.length / 8) * 8 + 8);
  words.set(message);
  words[words.length - 1] = message.length & 0xff;
  for (let at = 0; at < words.length; at += 8) {
    const word = words.readBigUInt64LE(at);
    v[3] ^= word;
    rounds(2);
    v[0] ^= word;
  }
  const out = Buffer.alloc(16);
  v[2] ^= 0xeen;
  rounds(4);
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3], 0);
  v[1] ^= 0xddn;
  rounds(4);
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3], 8);
  return out.toString("hex").slice(0, 24);
}
