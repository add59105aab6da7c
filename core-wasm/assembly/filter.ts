// Filters: which events a read or a subscription wants. The shell lays a filter out as a program of bytes; here
// it is held against the shown event, against a stream and against a partition. All parts must hold.
//
//   program   0 parts u32 │ 4 pattern size u32 │ 8 since f64 │ 16 until f64 │ 24 as of f64 │ 32 key 16
//             48 names size u32 │ 52 the only partition i32, or -1 │ 56 partitions: bits, PARTITIONS_SIZE (with that part)
//             │ pattern │ names: each its size u8 and its bytes
//
// server/store/filter.ts writes the same layout.
import {
  defaultKey, viewExplicitKey, viewHash, viewName, viewNameSize, viewRecordedAt, viewStream, viewStreamSize, viewTimestamp,
} from "./event";
import { globMatches } from "./glob";
import { partitionOf } from "./memtable";
import { partitionHash, uuidEquals } from "./uuid";

const PART_MATCH: u32 = 1;
const PART_NAME: u32 = 2;
const PART_KEY: u32 = 4;
const PART_PARTITIONS: u32 = 8;
/** SINCE, UNTIL or both. */
const PART_TIMES: u32 = 16;
const PART_AS_OF: u32 = 32;

const PROGRAM_PATTERN_SIZE: usize = 4;
const PROGRAM_SINCE: usize = 8;
const PROGRAM_UNTIL: usize = 16;
const PROGRAM_AS_OF: usize = 24;
const PROGRAM_KEY: usize = 32;
const PROGRAM_NAMES_SIZE: usize = 48;
const PROGRAM_ONLY_PARTITION: usize = 52;
const PROGRAM_HEAD_SIZE: usize = 56;
/** A bit for each partition that a store can have. */
const PARTITIONS_SIZE: usize = 65536 / 8;

let parts: u32 = 0;
let pattern: usize = 0;
let patternSize: usize = 0;
let names: usize = 0;
let namesEnd: usize = 0;
let key: usize = 0;
let keyHash: u32 = 0;
let partitions: usize = 0;
let asOf: u64 = 0;
let onlyPartition: i32 = -1;
/** Smallest and largest timestamp that match. */
export let filterSince: u64 = 0;
export let filterUntil: u64 = 0;

/** Takes a program into use; it must stay where it is meanwhile. */
export function filterUse(program: usize): void {
  parts = load<u32>(program);
  filterSince = <u64>load<f64>(program, PROGRAM_SINCE);
  filterUntil = <u64>load<f64>(program, PROGRAM_UNTIL);
  asOf = <u64>load<f64>(program, PROGRAM_AS_OF);
  key = program + PROGRAM_KEY;
  keyHash = partitionHash(key);
  partitions = program + PROGRAM_HEAD_SIZE;
  pattern = partitions + (parts & PART_PARTITIONS ? PARTITIONS_SIZE : 0);
  patternSize = load<u32>(program, PROGRAM_PATTERN_SIZE);
  names = pattern + patternSize;
  namesEnd = names + load<u32>(program, PROGRAM_NAMES_SIZE);
  onlyPartition = load<i32>(program, PROGRAM_ONLY_PARTITION);
}

/** Whether timestamps are looked at. */
@inline export function filterHasTimes(): bool {
  return (parts & PART_TIMES) != 0;
}

/** The partition hash of the only key that matches, or -1 where any may. */
@inline export function filterKeyHash(): i32 {
  return parts & PART_KEY ? <i32>keyHash : -1;
}

/** Whether the shown event matches. */
export function filterAdmits(): bool {
  if (parts & PART_TIMES && (viewTimestamp < filterSince || viewTimestamp > filterUntil)) return false;
  if (parts & PART_AS_OF && viewRecordedAt() > asOf) return false;
  if (parts & PART_PARTITIONS && !filterAdmitsPartition(partitionOf(viewHash))) return false;
  if (parts & PART_KEY && !isKey()) return false;
  if (parts & PART_NAME && !isNamed()) return false;
  return (parts & PART_MATCH) == 0 || globMatches(pattern, patternSize, viewStream, viewStreamSize);
}

/** The 16 bits of the hash spare the default key, a UUIDv5, of nearly all other streams. */
@inline function isKey(): bool {
  if (viewHash != keyHash) return false;
  return uuidEquals(viewExplicitKey != 0 ? viewExplicitKey : defaultKey(viewStream, viewStreamSize), key);
}

function isNamed(): bool {
  let at = names;
  while (at < namesEnd) {
    const size: usize = load<u8>(at);
    if (size == viewNameSize && memory.compare(at + 1, viewName, size) == 0) return true;
    at += 1 + size;
  }
  return false;
}

/** Whether events of this partition may match. */
export function filterAdmitsPartition(partition: u32): bool {
  if (parts & PART_PARTITIONS && !((<u32>load<u8>(partitions + (partition >> 3)) >> (partition & 7)) & 1)) return false;
  return (parts & PART_KEY) == 0 || partitionOf(keyHash) == partition;
}

/** Whether events of this stream, which has this explicit key (0: its default), may match. */
export function filterAdmitsStream(explicitKey: usize, stream: usize, size: usize): bool {
  const streamKey = explicitKey != 0 ? explicitKey : defaultKey(stream, size);
  if (!filterAdmitsPartition(partitionOf(partitionHash(streamKey)))) return false;
  if (parts & PART_KEY && !uuidEquals(streamKey, key)) return false;
  return (parts & PART_MATCH) == 0 || globMatches(pattern, patternSize, stream, size);
}

/** The one partition whose events may match, or -1 where there may be several. */
export function filterPartition(): i32 {
  return parts & PART_KEY ? <i32>partitionOf(keyHash) : onlyPartition;
}
