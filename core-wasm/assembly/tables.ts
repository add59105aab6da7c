// Where everything is, in memory: streams, event ids, partitions and positions, each pointing to positions, and
// positions pointing into the log.
//
//   stream entry    0 hash 12 │ 12 key ptr u32 (0: the default key) │ 16 list of positions │ 24 first version u64 │ 32 hash16 u32
//   event id entry  0 hash 12 │ 12 position u32
//   partition       list of positions, 8 bytes each, in order of partition number
//   stream order    list of the positions of the streams' first events, in the order in which the streams came
//   places          chunks of u64: log offset / 8 in the upper 48 bits, index in the frame in the lower 16
import { ENTRY_DATA, TABLE_SIZE, tableCount, tableFind, tableGrowthBytes, tableInit, tableInsert } from "./table";
import { CHUNK_SIZE_MAX, LIST_SIZE, listAppend, listCount, listCountBelow, listGet } from "./list";
import { allocateReserved, ensureMemory, memoryLeft, release } from "./memory";
import { timesGrowthBytes } from "./times";
import { UUID_SIZE, uuidCopy } from "./uuid";

const STREAM_KEY: usize = ENTRY_DATA;
export const STREAM_LIST: usize = 16;
const STREAM_FIRST_VERSION: usize = STREAM_LIST + LIST_SIZE;
const STREAM_HASH: usize = STREAM_FIRST_VERSION + sizeof<u64>();
const STREAM_SIZE: usize = STREAM_HASH + sizeof<u64>();
const EVENT_ID_POSITION: usize = ENTRY_DATA;
const EVENT_ID_SIZE: usize = EVENT_ID_POSITION + sizeof<u32>();

const PLACES_CHUNK_SIZE: usize = 65536;
const PLACES_PER_CHUNK: u64 = PLACES_CHUNK_SIZE / sizeof<u64>();

const streams: usize = memory.data(32, 8);
const eventIds: usize = memory.data(32, 8);
/** Positions of the streams' first events, ascending. */
export const streamOrder: usize = memory.data(8, 8);
let partitions: usize = 0;
let partitionCount: u32 = 0;
let directory: usize = 0;
let directoryCapacity: u32 = 0;
let chunkCount: u32 = 0;
let placeCount: u64 = 0;

export function tablesInit(count: u32): void {
  assert(TABLE_SIZE <= 32);
  tableInit(streams, STREAM_SIZE);
  tableInit(eventIds, EVENT_ID_SIZE);
  partitionCount = count;
  partitions = allocateReserved(<usize>count * LIST_SIZE);
  memory.fill(partitions, 0, <usize>count * LIST_SIZE);
  directoryCapacity = 64;
  directory = allocateReserved(<usize>directoryCapacity * sizeof<u32>());
}

/**
 * What appends leave free of the memory's limit: a start replays through a window of 4 MiB before it has tables,
 * and a reply may take 16 MiB. Without it a store that filled its memory could be neither read nor opened again.
 */
export const APPEND_SPARE_BYTES: usize = 32 << 20;

/** Makes sure that `count` events can be added without a refusal of memory, and `spare` bytes are left then. */
export function tablesReserve(count: u32, spare: usize): bool {
  const perEvent: usize = 2 * <usize>CHUNK_SIZE_MAX + 2 * 4096 + UUID_SIZE;
  const fixed = tableGrowthBytes(streams) + tableGrowthBytes(eventIds) + PLACES_CHUNK_SIZE +
    2 * <usize>directoryCapacity * sizeof<u32>() + <usize>(count >> 9) * 2 * PLACES_CHUNK_SIZE +
    2 * <usize>CHUNK_SIZE_MAX + <usize>count * 16 + timesGrowthBytes(); // the order of streams, times
  const bytes = fixed + <usize>count * perEvent;
  return <u64>bytes + spare <= memoryLeft() && ensureMemory(bytes);
}

export function streamFind(low: u64, high: u32): usize {
  return tableFind(streams, low, high);
}

export function eventIdFind(low: u64, high: u32): usize {
  return tableFind(eventIds, low, high);
}

export function eventIdPosition(entry: usize): u64 {
  return load<u32>(entry, EVENT_ID_POSITION);
}

/** A new stream, whose first event gets the next position; `key` is 0 for the default key. */
export function streamInsert(low: u64, high: u32, key: usize, hash16: u32, firstVersion: u64): usize {
  const entry = tableInsert(streams, low, high);
  if (key != 0) {
    const copy = allocateReserved(UUID_SIZE);
    uuidCopy(copy, key);
    store<u32>(entry, <u32>copy, STREAM_KEY);
  }
  store<u64>(entry, firstVersion, STREAM_FIRST_VERSION);
  store<u32>(entry, hash16, STREAM_HASH);
  listAppend(streamOrder, <u32>placeCount);
  return entry;
}

export function streamCount(): u32 {
  return tableCount(streams);
}

/** The stream's explicit key, or 0 where it has its default key. */
@inline export function streamKey(entry: usize): usize {
  return load<u32>(entry, STREAM_KEY);
}

@inline export function streamHash(entry: usize): u32 {
  return load<u32>(entry, STREAM_HASH);
}

@inline export function streamFirstVersion(entry: usize): u64 {
  return load<u64>(entry, STREAM_FIRST_VERSION);
}

/** The version that the stream's next event gets. */
@inline export function streamNextVersion(entry: usize): u64 {
  return load<u64>(entry, STREAM_FIRST_VERSION) + listCount(entry + STREAM_LIST);
}

@inline export function partitionList(partition: u32): usize {
  return partitions + <usize>partition * LIST_SIZE;
}

@inline export function partitionOf(hash16: u32): u32 {
  return hash16 % partitionCount;
}

@inline export function partitionNextSequence(partition: u32): u64 {
  return listCount(partitionList(partition));
}

/** Adds one event at the next position to every table. `tablesReserve` came before. */
export function eventInsert(entry: usize, partition: u32, idLow: u64, idHigh: u32, logOffset: u64, index: u32): void {
  const position = <u32>placeCount;
  assert(placeCount < u32.MAX_VALUE); // memory ends long before
  listAppend(entry + STREAM_LIST, position);
  listAppend(partitionList(partition), position);
  store<u32>(tableInsert(eventIds, idLow, idHigh), position, EVENT_ID_POSITION);
  placeAppend(((logOffset >> 3) << 16) | index);
}

function placeAppend(place: u64): void {
  const index = <u32>(placeCount / PLACES_PER_CHUNK);
  if (index == chunkCount) {
    if (chunkCount == directoryCapacity) {
      const size = <usize>directoryCapacity * sizeof<u32>();
      const fresh = allocateReserved(size * 2);
      memory.copy(fresh, directory, size);
      release(directory, size);
      directory = fresh;
      directoryCapacity *= 2;
    }
    store<u32>(directory + (index << 2), <u32>allocateReserved(PLACES_CHUNK_SIZE));
    chunkCount++;
  }
  const chunk: usize = load<u32>(directory + (index << 2));
  store<u64>(chunk + <usize>(placeCount % PLACES_PER_CHUNK) * sizeof<u64>(), place);
  placeCount++;
}

@inline function placeOf(position: u64): u64 {
  assert(position < placeCount);
  const chunk: usize = load<u32>(directory + (<u32>(position / PLACES_PER_CHUNK) << 2));
  return load<u64>(chunk + <usize>(position % PLACES_PER_CHUNK) * sizeof<u64>());
}

/** Log offset of the frame that holds the event at a position. */
export function placeOffset(position: u64): u64 {
  return (placeOf(position) >> 16) << 3;
}

/** Index of the event at a position in its frame. */
export function placeIndex(position: u64): u32 {
  return <u32>(placeOf(position) & 0xffff);
}

/** Events of a list that lie below a position: what a reader may see of it. */
@inline export function visibleCount(list: usize, position: u64): u32 {
  const count = listCount(list);
  if (count == 0 || listGet(list, count - 1) < position) return count;
  return listCountBelow(list, <u32>position);
}
