// Holds the index against the log, whatever the store's size: the events of a run's positions, taken from the log, and
// the run's own entries give the same sums, or the run is wrong. A sum is over mixed words, so order does not matter.
import { hash, hashHigh, hashLow } from "./hash";
import { partitionOf } from "./memtable";
import { filterMayHold } from "./run-filter";
import {
  FENCES_PER_PAGE, FENCE_SIZE, FILTER_BLOCKS_PER_PAGE, FILTER_BLOCK_SIZE, HEADS_PER_PAGE, HEADS_START, HEAD_SIZE, IDS_PER_PAGE, ID_SIZE,
  KEYS_PER_PAGE, KEY_SIZE, PARTITIONS_PER_PAGE, PARTITION_SIZE, PART_HEADS, PART_HEAD_FENCES, PART_HEAD_FILTER, PART_IDS, PART_ID_FENCES,
  PART_ID_FILTER, PART_KEYS, PART_ORDER, PART_PARTITIONS, PART_PARTITION_PLACES, PART_PLACES, PART_POSITIONS, PART_TIMES, TIMES_PER_PAGE,
  TIMES_SIZE,
} from "./run-format";
import { partEntries, partPage, runAt, runEntry, runFrom, runNewStreams, runTagPlace } from "./runs";
import { stretchOf, stretchStart } from "./times";
import { UUID_SIZE } from "./uuid";

/** Sums of what the log said since `digestClear`. */
let ids: u64 = 0;
let streams: u64 = 0;
let partitions: u64 = 0;
let positions: u64 = 0;
let order: u64 = 0;
let keys: u64 = 0;
/** Whether the times of an event were none that its run admits. */
let hasStrangeTimes: bool = false;

/** The kinds of what may differ in a run, as bits; run-index.ts names them. */
export const DIFFERS_IDS: u32 = 1;
export const DIFFERS_STREAMS: u32 = 2;
export const DIFFERS_PARTITIONS: u32 = 4;
export const DIFFERS_POSITIONS: u32 = 8;
export const DIFFERS_ORDER: u32 = 16;
export const DIFFERS_KEYS: u32 = 32;
export const DIFFERS_TIMES: u32 = 64;
export const DIFFERS_FILTERS: u32 = 128;
export const DIFFERS_FENCES: u32 = 256;

/** What `digestCompare` has found so far. */
let differs: u32 = 0;

/** One number of three that only the same three give. The finalizer of MurmurHash3. */
function mix(one: u64, two: u64, three: u64): u64 {
  let x = one * 0x9e3779b97f4a7c15 + rotl(two, 23) * 0xc2b2ae3d27d4eb4f + rotl(three, 41) + 1;
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

export function digestClear(): void {
  ids = streams = partitions = positions = order = keys = 0;
  hasStrangeTimes = false;
}

/** Counts in an event of the log, which the run with an index covers. */
export function digestEvent(
  index: u32, position: u64, place: u64, streamLow: u64, streamHigh: u32, version: u64, hash16: u32, sequence: u64, eventId: usize,
): void {
  streams += mix(streamLow ^ streamHigh, version | (<u64>hash16 << 48), place);
  partitions += mix(partitionOf(hash16), sequence, runTagPlace(runAt(index), place, hash16));
  positions += mix(1, position, place);
  if (version == 0) order += mix(2, position, 0);
  hash(eventId, UUID_SIZE);
  ids += mix(hashLow, hashHigh, place);
}

/** Counts in the key of an event's stream; 0 where it is the default one. */
export function digestKey(streamLow: u64, streamHigh: u32, key: usize): void {
  if (key != 0) keys += mix(streamLow ^ streamHigh, load<u64>(key), load<u64>(key, 8));
}

/** Holds an event's times against what the run that covers it says of its stretch, which may be wider. */
export function digestTimes(index: u32, position: u64, timestamp: u64, recordedAt: u64): void {
  const run = runAt(index);
  const stretch = stretchOf(position);
  const at = stretch - stretchOf(runFrom(run));
  if (at >= partEntries(run, PART_TIMES)) {
    hasStrangeTimes = true;
    return;
  }
  const entry = partPage(run, PART_TIMES, at / TIMES_PER_PAGE) + <usize>(at % TIMES_PER_PAGE) * TIMES_SIZE;
  const begins = position == stretchStart(stretch);
  if (
    load<u64>(entry) != stretch || load<u64>(entry, 8) > timestamp || load<u64>(entry, 16) < timestamp ||
    (begins && load<u64>(entry, 24) != recordedAt)
  ) {
    hasStrangeTimes = true;
  }
}

/** Reads all of a run and gives the kinds in which it differs from what was counted in, or is not as it must be. */
export function digestCompare(index: u32): u32 {
  const run = runAt(index);
  differs = hasStrangeTimes ? DIFFERS_TIMES : 0;
  if (sumKeys(run) != keys) differs |= DIFFERS_KEYS;
  if (runNewStreams(run) != partEntries(run, PART_ORDER)) differs |= DIFFERS_ORDER;
  if (sumIds(run) != ids) differs |= DIFFERS_IDS;
  if (sumStreams(run) != streams) differs |= DIFFERS_STREAMS;
  if (sumPartitions(run) != partitions) differs |= DIFFERS_PARTITIONS;
  let sum: u64 = 0;
  for (let i: u64 = 0; i < partEntries(run, PART_POSITIONS); i++) sum += mix(1, runFrom(run) + i, runEntry(run, PART_POSITIONS, i));
  if (sum != positions) differs |= DIFFERS_POSITIONS;
  sum = 0;
  let before: i64 = -1;
  for (let i: u64 = 0; i < partEntries(run, PART_ORDER); i++) {
    const position = <i64>runEntry(run, PART_ORDER, i);
    if (position <= before) differs |= DIFFERS_ORDER;
    before = position;
    sum += mix(2, position, 0);
  }
  if (sum != order) differs |= DIFFERS_ORDER;
  return differs;
}

/** Whether a hash comes after the one before it: look-ups search. */
@inline function ascends(i: u64, low: u64, high: u32, lowBefore: u64, highBefore: u32): bool {
  return i == 0 || low > lowBefore || (low == lowBefore && high > highBefore);
}

/** Holds a hash, the `i`th of a part, against the part's filter and, where it begins a page, its fence. */
function checkGuides(run: usize, i: u64, perPage: u32, low: u64, high: u32, filterPart: u32, fencePart: u32): void {
  const blocks = partEntries(run, filterPart);
  const block = <u32>(((low >> 32) * blocks) >> 32);
  const filter = partPage(run, filterPart, block / FILTER_BLOCKS_PER_PAGE) + <usize>(block % FILTER_BLOCKS_PER_PAGE) * FILTER_BLOCK_SIZE;
  if (!filterMayHold(filter, 1, low, high)) differs |= DIFFERS_FILTERS;
  if (i % perPage != 0) return;
  const page = <u32>(i / perPage);
  const fence = partPage(run, fencePart, page / FENCES_PER_PAGE) + <usize>(page % FENCES_PER_PAGE) * FENCE_SIZE;
  if (load<u32>(fence) != <u32>(low >> 32)) differs |= DIFFERS_FENCES;
}

function sumIds(run: usize): u64 {
  let sum: u64 = 0;
  let lowBefore: u64 = 0;
  let highBefore: u32 = 0;
  const entries = partEntries(run, PART_IDS);
  for (let i: u64 = 0; i < entries; i++) {
    const entry = partPage(run, PART_IDS, <u32>(i / IDS_PER_PAGE)) + <usize>(i % IDS_PER_PAGE) * ID_SIZE;
    const low = load<u64>(entry);
    const high = load<u32>(entry, 8);
    sum += mix(low, high, load<u64>(entry, 12));
    if (!ascends(i, low, high, lowBefore, highBefore)) differs |= DIFFERS_IDS;
    lowBefore = low;
    highBefore = high;
    checkGuides(run, i, IDS_PER_PAGE, low, high, PART_ID_FILTER, PART_ID_FENCES);
  }
  return sum;
}

function sumStreams(run: usize): u64 {
  let sum: u64 = 0;
  let start: u64 = 0;
  let lowBefore: u64 = 0;
  let highBefore: u32 = 0;
  const entries = partEntries(run, PART_HEADS);
  const places = partEntries(run, PART_PLACES);
  for (let i: u64 = 0; i < entries; i++) {
    const entry = headEntry(run, i);
    const low = load<u64>(entry);
    const high = load<u32>(entry, 8);
    const count = load<u32>(entry, 12);
    const facts = load<u64>(entry, 16);
    if (i % HEADS_PER_PAGE == 0 && load<u64>(entry - HEADS_START) != start) differs |= DIFFERS_STREAMS;
    if (start + count > places) return ~streams; // more places than there are
    const hash16 = (facts & 0xffff) << 48;
    for (let j: u32 = 0; j < count; j++) {
      sum += mix(low ^ high, ((facts >> 16) + j) | hash16, runEntry(run, PART_PLACES, start + j));
    }
    start += count;
    if (!ascends(i, low, high, lowBefore, highBefore)) differs |= DIFFERS_STREAMS;
    lowBefore = low;
    highBefore = high;
    checkGuides(run, i, HEADS_PER_PAGE, low, high, PART_HEAD_FILTER, PART_HEAD_FENCES);
  }
  return sum;
}

@inline export function headEntry(run: usize, i: u64): usize {
  return partPage(run, PART_HEADS, <u32>(i / HEADS_PER_PAGE)) + HEADS_START + <usize>(i % HEADS_PER_PAGE) * HEAD_SIZE;
}

function sumKeys(run: usize): u64 {
  let sum: u64 = 0;
  const entries = partEntries(run, PART_HEADS);
  const count = partEntries(run, PART_KEYS);
  for (let i: u64 = 0; i < entries; i++) {
    const entry = headEntry(run, i);
    const low = load<u64>(entry) ^ load<u32>(entry, 8);
    const events = load<u32>(entry, 12);
    const number = load<u32>(entry, 24);
    if (number == 0) continue;
    if (number > count) return ~keys; // a key that is not there
    const at = number - 1;
    const key = partPage(run, PART_KEYS, at / KEYS_PER_PAGE) + <usize>(at % KEYS_PER_PAGE) * KEY_SIZE;
    sum += mix(low, load<u64>(key), load<u64>(key, 8)) * events;
  }
  return sum;
}

function sumPartitions(run: usize): u64 {
  let sum: u64 = 0;
  let before: i64 = -1;
  const entries = <u32>partEntries(run, PART_PARTITIONS);
  const places = partEntries(run, PART_PARTITION_PLACES);
  for (let i: u32 = 0; i < entries; i++) {
    const entry = partPage(run, PART_PARTITIONS, i / PARTITIONS_PER_PAGE) + <usize>(i % PARTITIONS_PER_PAGE) * PARTITION_SIZE;
    const partition = load<u32>(entry);
    const count = load<u32>(entry, 4);
    const first = load<u64>(entry, 8);
    const start = load<u64>(entry, 16);
    if (<i64>partition <= before) differs |= DIFFERS_PARTITIONS;
    before = partition;
    if (start + count > places) return ~partitions; // more places than there are
    for (let j: u32 = 0; j < count; j++) sum += mix(partition, first + j, runEntry(run, PART_PARTITION_PLACES, start + j));
  }
  return sum;
}
