// Holds the index against the log, whatever the store's size: the events of a run's positions, taken from the log, and
// the run's own entries give the same sums, or the run is wrong. A sum is over mixed words, so order does not matter.
import { hash, hashHigh, hashLow } from "./hash";
import { partitionOf } from "./memtable";
import {
  HEADS_PER_PAGE, HEADS_START, HEAD_SIZE, IDS_PER_PAGE, ID_SIZE, PARTITIONS_PER_PAGE, PARTITION_SIZE, PART_HEADS, PART_IDS,
  PART_ORDER, PART_PARTITIONS, PART_PARTITION_PLACES, PART_PLACES, PART_POSITIONS,
} from "./run-format";
import { partEntries, partPage, runAt, runFrom, runValue } from "./runs";
import { UUID_SIZE } from "./uuid";

/** Sums of what the log said since `digestClear`. */
let ids: u64 = 0;
let streams: u64 = 0;
let partitions: u64 = 0;
let positions: u64 = 0;
let order: u64 = 0;

/** The kinds of sums in which a run may differ, as bits. */
export const DIFFERS_IDS: u32 = 1;
export const DIFFERS_STREAMS: u32 = 2;
export const DIFFERS_PARTITIONS: u32 = 4;
export const DIFFERS_POSITIONS: u32 = 8;
export const DIFFERS_ORDER: u32 = 16;

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
  ids = streams = partitions = positions = order = 0;
}

/** Counts in an event of the log; its stream's hash is the last that was made. */
export function digestEvent(
  position: u64, place: u64, streamLow: u64, streamHigh: u32, version: u64, hash16: u32, sequence: u64, eventId: usize,
): void {
  streams += mix(streamLow ^ streamHigh, version, place);
  partitions += mix(partitionOf(hash16), sequence, place);
  positions += mix(1, position, place);
  if (version == 0) order += mix(2, position, 0);
  hash(eventId, UUID_SIZE);
  ids += mix(hashLow, hashHigh, place);
}

/** Reads all of a run and gives the kinds in which it differs from what was counted in. */
export function digestCompare(index: u32): u32 {
  const run = runAt(index);
  let differs: u32 = 0;
  if (sumIds(run) != ids) differs |= DIFFERS_IDS;
  if (sumStreams(run) != streams) differs |= DIFFERS_STREAMS;
  if (sumPartitions(run) != partitions) differs |= DIFFERS_PARTITIONS;
  let sum: u64 = 0;
  for (let i: u64 = 0; i < partEntries(run, PART_POSITIONS); i++) sum += mix(1, runFrom(run) + i, runValue(run, PART_POSITIONS, i));
  if (sum != positions) differs |= DIFFERS_POSITIONS;
  sum = 0;
  for (let i: u64 = 0; i < partEntries(run, PART_ORDER); i++) sum += mix(2, runValue(run, PART_ORDER, i), 0);
  if (sum != order) differs |= DIFFERS_ORDER;
  return differs;
}

function sumIds(run: usize): u64 {
  let sum: u64 = 0;
  const entries = partEntries(run, PART_IDS);
  for (let i: u64 = 0; i < entries; i++) {
    const entry = partPage(run, PART_IDS, <u32>(i / IDS_PER_PAGE)) + <usize>(i % IDS_PER_PAGE) * ID_SIZE;
    sum += mix(load<u64>(entry), load<u32>(entry, 8), load<u64>(entry, 12));
  }
  return sum;
}

function sumStreams(run: usize): u64 {
  let sum: u64 = 0;
  let start: u64 = 0;
  const entries = partEntries(run, PART_HEADS);
  for (let i: u64 = 0; i < entries; i++) {
    const entry = partPage(run, PART_HEADS, <u32>(i / HEADS_PER_PAGE)) + HEADS_START + <usize>(i % HEADS_PER_PAGE) * HEAD_SIZE;
    const low = load<u64>(entry) ^ load<u32>(entry, 8);
    const count = load<u32>(entry, 12);
    const first = load<u64>(entry, 16) >> 16;
    for (let j: u32 = 0; j < count; j++) sum += mix(low, first + j, runValue(run, PART_PLACES, start + j));
    start += count;
  }
  return sum;
}

function sumPartitions(run: usize): u64 {
  let sum: u64 = 0;
  const entries = <u32>partEntries(run, PART_PARTITIONS);
  for (let i: u32 = 0; i < entries; i++) {
    const entry = partPage(run, PART_PARTITIONS, i / PARTITIONS_PER_PAGE) + <usize>(i % PARTITIONS_PER_PAGE) * PARTITION_SIZE;
    const partition = load<u32>(entry);
    const count = load<u32>(entry, 4);
    const first = load<u64>(entry, 8);
    const start = load<u64>(entry, 16);
    for (let j: u32 = 0; j < count; j++) sum += mix(partition, first + j, runValue(run, PART_PARTITION_PLACES, start + j));
  }
  return sum;
}
