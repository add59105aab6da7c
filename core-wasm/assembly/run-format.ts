// The layout of an index run: what run-build.ts and run-merge.ts write and runs.ts reads. FORMAT.md draws it.
//
// A run says where the events of a stretch of positions are. It is a file of 4 KiB pages, little-endian: a header,
// then the parts, each beginning with a page. A page's last four bytes are its CRC32C, begun with the run's seed
// xor the page's number, so that a page is valid only in its run and in its place. The header's own begins with 0.
import { crc32c } from "./crc32c";

export const PAGE_SIZE: usize = 4096;
export const PAGE_CRC: usize = PAGE_SIZE - 4;
export const RUN_VERSION: u32 = 2;

//   header   0 "CAIRNIDX" │ 8 version u32 │ 12 page size u32 │ 16 store id 16 │ 32 first position u64 │ 40 end position u64
//            48 log offset behind the last frame u64 │ 56 the last frame's CRC u32 │ 60 the last frame's span u32
//            64 its recorded_at u64 │ 72 streams that begin here u64 │ 80 – │ 104 partitions u32 │ 108 –
//            112 parts: first page u64, entries u64
export const HEADER_MAGIC_LOW: u32 = 0x52494143; // "CAIR"
export const HEADER_MAGIC_HIGH: u32 = 0x5844494e; // "NIDX"
export const HEADER_VERSION: usize = 8;
export const HEADER_PAGE_SIZE: usize = 12;
export const HEADER_STORE_ID: usize = 16;
export const HEADER_FROM: usize = 32;
export const HEADER_TO: usize = 40;
export const HEADER_END_OFFSET: usize = 48;
export const HEADER_CRC: usize = 56;
export const HEADER_SPAN: usize = 60;
export const HEADER_RECORDED_AT: usize = 64;
export const HEADER_NEW_STREAMS: usize = 72;
export const HEADER_PARTITIONS: usize = 104;
export const HEADER_PARTS: usize = 112;
/** The header's identity, of which the seed of the pages' CRCs is made, ends here. */
export const HEADER_IDENTITY_SIZE: usize = 112;
export const PART_SIZE: usize = 16;
export const PART_ENTRIES: usize = 8;

// The parts, in the order in which they lie.

/** Event ids by hash: 0 hash 12 │ 12 place u64. */
export const PART_IDS: u32 = 0;
export const ID_SIZE: usize = 20;
export const IDS_PER_PAGE: u32 = 204;
/**
 * Streams by hash, with what they have in this run: a page begins with the index in PART_PLACES of its first entry's
 * first place, u64. Entry: 0 hash 12 │ 12 count u32 │ 16 first version << 16 | partition hash u64 │ 24 key u32: 0, or one
 * more than its index in PART_KEYS.
 */
export const PART_HEADS: u32 = 1;
export const HEADS_START: usize = 8;
export const HEAD_SIZE: usize = 28;
export const HEADS_PER_PAGE: u32 = 145;
/** Places of the streams' events: stream after stream as in PART_HEADS, each by version. */
export const PART_PLACES: u32 = 2;
export const PLACE_SIZE: usize = 8;
export const PLACES_PER_PAGE: u32 = 511;
/** Explicit partition keys, 16 bytes each. */
export const PART_KEYS: u32 = 3;
export const KEY_SIZE: usize = 16;
export const KEYS_PER_PAGE: u32 = 255;
/** Partitions that have events here, ascending: 0 partition u32 │ 4 count u32 │ 8 first sequence u64 │ 16 start u64. */
export const PART_PARTITIONS: u32 = 4;
export const PARTITION_SIZE: usize = 24;
export const PARTITIONS_PER_PAGE: u32 = 170;
/** Tagged places of the partitions' events, partition after partition, each by sequence: PLACES_PER_PAGE. */
export const PART_PARTITION_PLACES: u32 = 5;
/** Places by position: PLACES_PER_PAGE. */
export const PART_POSITIONS: u32 = 6;
/** Positions, u64, of the first events of the streams that begin here, ascending: PLACES_PER_PAGE. */
export const PART_ORDER: u32 = 7;
/** Stretches of positions (times.ts): 0 stretch u64 │ 8 smallest timestamp u64 │ 16 largest u64 │ 24 recorded_at u64. */
export const PART_TIMES: u32 = 8;
export const TIMES_SIZE: usize = 32;
export const TIMES_PER_PAGE: u32 = 127;
/** Filters over the hashes of PART_IDS and PART_HEADS: blocks of 64 bytes (run-filter.ts). */
export const PART_ID_FILTER: u32 = 9;
export const PART_HEAD_FILTER: u32 = 10;
export const FILTER_BLOCK_SIZE: usize = 64;
export const FILTER_BLOCKS_PER_PAGE: u32 = 63;
/** The upper 32 bits of each page's first hash, u32, of PART_IDS and PART_HEADS. */
export const PART_ID_FENCES: u32 = 11;
export const PART_HEAD_FENCES: u32 = 12;
export const FENCE_SIZE: usize = 4;
export const FENCES_PER_PAGE: u32 = 1022;
export const PARTS: u32 = 13;

/** The seed of a run's page CRCs. */
export function runSeed(header: usize): u32 {
  return crc32c(0, header, HEADER_IDENTITY_SIZE);
}

export function pageSeal(page: usize, seed: u32, number: u32): void {
  store<u32>(page, crc32c(seed ^ number, page, PAGE_CRC), PAGE_CRC);
}

export function pageIsWhole(page: usize, seed: u32, number: u32): bool {
  return load<u32>(page, PAGE_CRC) == crc32c(seed ^ number, page, PAGE_CRC);
}

/** Seals a header, whose page number is 0 and which begins no seed. */
export function headerSeal(header: usize): void {
  store<u32>(header, crc32c(0, header, PAGE_CRC), PAGE_CRC);
}

// ── tagged places ─────────────────────────────────────────────────────────────────────────────────
//
//   0 index in the frame: 13 bits │ 13 tag: its lower 3 bits │ 16 log offset / 8: 40 bits │ 56 tag: its upper 8 bits
//
// A partition's places say what of the partition hash the partition does not: who looks for one key passes over the events of nearly
// all others without reading them. A run that ends beyond 8 TiB of log has no room for tags.

const TAG_LOW_SHIFT: u64 = 13;
const TAG_HIGH_SHIFT: u64 = 56;
const TAG_LOW_BITS: u32 = 3;
const TAG_MASK: u32 = 0x7ff;
const UNTAGGED: u64 = 0x00ff_ffff_ffff_1fff;
const TAGGED_OFFSET_MAX: u64 = 1 << 43;
/** Events of a frame whose places can be tagged. */
export const TAGGED_FRAME_EVENTS_MAX: u32 = 1 << 13;

/** Whether the places of partitions are tagged in a run that ends at a log offset. */
@inline export function isTagged(endOffset: u64): bool {
  return endOffset <= TAGGED_OFFSET_MAX;
}

/** The tag of a partition hash, in a store of so many partitions. */
@inline export function tagOf(hash16: u32, partitions: u32): u32 {
  return (hash16 / partitions) & TAG_MASK;
}

@inline export function tagPlace(place: u64, tag: u32): u64 {
  return place | (<u64>(tag >> TAG_LOW_BITS) << TAG_HIGH_SHIFT) | (<u64>(tag & 7) << TAG_LOW_SHIFT);
}

@inline export function untagPlace(value: u64): u64 {
  return value & UNTAGGED;
}

@inline export function placeTag(value: u64): u32 {
  return (<u32>(value >> TAG_HIGH_SHIFT) << TAG_LOW_BITS) | (<u32>(value >> TAG_LOW_SHIFT) & 7);
}
