// Memtables: the newest part of the index, in memory. The last one, the active, takes what is appended; full ones
// are sealed, and stay until their run is on the disk. Rows and streams are numbered in the order in which they came.
//
//   memtable    0 first position u64 │ 8 log offset of its end u64 │ 16 the last frame's CRC u32 │ 20 its span u32
//               24 its recorded_at u64 │ 32 streams that begin here u32 │ 36 its partitions ptr u32 │ 40 arena
//               56 table of ids │ 72 table of streams │ 88 rows │ 112 streams │ 136 list of rows: first events of streams
//               144 bytes of the arena when it was empty u32 │ 148 rows whose ids stand in the table u32
//   row         0 event id's hash 12 │ 12 stream ptr u32 │ 16 place u64: log offset / 8 << 16 | index in the frame
//   stream      0 hash 12 │ 12 key ptr u32 (0: the default key) │ 16 list of rows │ 24 first version u64 │ 32 hash16 u32
//               36 number u32 │ 40 1 where the stream begins here u32 │ 44 –
//   partition   0 list of rows │ 8 first sequence u64
import { ARENA_BLOCK_SIZE, arenaAllocate, arenaBytes, arenaInit, arenaRelease } from "./arena";
import { CHUNK_SIZE_MAX, listAppend, listCount, listCountBelow, listGet, listTouch, listsForget } from "./list";
import { allocateReserved, areaSize, ensureMemory, memoryLeft } from "./memory";
import { tagOf } from "./run-format";
import { ROWS_SIZE, rowAt, rowsAdd, rowsCount, rowsGrowthBytes, rowsInit } from "./rows";
import { TABLE_ENTRY_BYTES, TABLE_PAGE_SIZE, tableFind, tableGrowthBytes, tableInit, tableInsert, tableTouch } from "./table";
import { timesGrowthBytes } from "./times";
import { UUID_SIZE, uuidCopy } from "./uuid";

/** Memtables at a time. Above: appends wait until a run is written. */
export const MEMTABLES_MAX: u32 = 4;

const FIRST: usize = 0;
const END_OFFSET: usize = 8;
const CRC: usize = 16;
const SPAN: usize = 20;
const RECORDED_AT: usize = 24;
const NEW_STREAMS: usize = 32;
const PARTITIONS: usize = 36;
const ARENA: usize = 40;
const IDS: usize = 56;
const STREAMS: usize = 72;
const ROWS: usize = 88;
const STREAM_ROWS: usize = ROWS + ROWS_SIZE;
const ORDER: usize = STREAM_ROWS + ROWS_SIZE;
const EMPTY_BYTES: usize = ORDER + 8;
const ROWS_WITH_ID: usize = EMPTY_BYTES + 4;
const MEMTABLE_SIZE: usize = EMPTY_BYTES + 8;

/** Ids of appended events that are entered together. */
const IDS_TOGETHER: u32 = 64;

const ROW_STREAM: usize = 12;
const ROW_PLACE: usize = 16;
const ROW_SIZE: usize = 24;
const STREAM_KEY: usize = 12;
const STREAM_LIST: usize = 16;
const STREAM_FIRST: usize = 24;
const STREAM_HASH: usize = 32;
const STREAM_NUMBER: usize = 36;
const STREAM_IS_NEW: usize = 40;
const STREAM_SIZE: usize = 48;
const PARTITION_SIZE: usize = 16;

const tables: usize = memory.data(1024, 8);
/** The memtables, oldest first: which of `tables` each is. */
const order: usize = memory.data(4 * sizeof<u32>(), 4);
export let memtableCount: u32 = 0;
/** The one that takes what is appended. */
export let active: usize = 0;

/** Lower halves of the hashes of the active memtable's ids that are not entered yet, in the order of their rows. */
const lateIds: usize = memory.data(64 * sizeof<u64>(), 8);

let partitionCount: u32 = 0;
/** For each partition the sequence that its next event gets, u64. */
let nextSequences: usize = 0;
/** The active memtable is full above these. */
let bytesMax: usize = usize.MAX_VALUE;
let rowsMax: u32 = u32.MAX_VALUE;

export function memtablesInit(partitions: u32): void {
  assert(MEMTABLE_SIZE * MEMTABLES_MAX <= 1024);
  partitionCount = partitions;
  nextSequences = allocateReserved(<usize>partitions * sizeof<u64>());
  memory.fill(nextSequences, 0, <usize>partitions * sizeof<u64>());
  for (let i: u32 = 0; i < MEMTABLES_MAX; i++) store<u32>(order + (i << 2), <u32>(tables + <usize>i * MEMTABLE_SIZE));
  memtableCount = 1;
  open(0);
}

/** Bounds a memtable by its bytes and its events; one event at least. */
export function memtablesLimit(bytes: usize, rows: u32): void {
  bytesMax = bytes;
  rowsMax = rows;
}

@inline export function memtableAt(index: u32): usize {
  return load<u32>(order + (index << 2));
}

/** Makes the last memtable the active one, from a position on. */
function open(first: u64): void {
  active = memtableAt(memtableCount - 1);
  memory.fill(active, 0, MEMTABLE_SIZE);
  store<u64>(active, first);
  const arena = active + ARENA;
  arenaInit(arena);
  tableInit(active + IDS, arena);
  tableInit(active + STREAMS, arena);
  rowsInit(active + ROWS, arena, ROW_SIZE);
  rowsInit(active + STREAM_ROWS, arena, STREAM_SIZE);
  const partitions = arenaAllocate(arena, <usize>partitionCount * PARTITION_SIZE);
  memory.fill(partitions, 0, <usize>partitionCount * PARTITION_SIZE);
  store<u32>(active, <u32>partitions, PARTITIONS);
  store<u32>(active, <u32>arenaBytes(arena), EMPTY_BYTES);
}

/** Begins at a position, behind what runs cover; nothing was entered yet. */
export function memtablesBegin(first: u64): void {
  assert(memtableCount == 1 && rowsCount(active + ROWS) == 0);
  store<u64>(active, first);
}

/** Whether no memtable takes another event until a run is written. */
export function memtablesAreFull(): bool {
  return memtableCount == MEMTABLES_MAX && memtableIsFull();
}

/** Makes sure that a memtable can be opened without a refusal of memory. */
export function memtableCanOpen(): bool {
  return ensureMemory(2 * ARENA_BLOCK_SIZE + 2 * areaSize(<usize>partitionCount * PARTITION_SIZE + 16));
}

/** Whether the active memtable holds as much as it may. */
export function memtableIsFull(): bool {
  const rows = rowsCount(active + ROWS);
  if (rows == 0 || rows >= rowsMax) return rows >= rowsMax;
  const idBytes = <usize>(rows - load<u32>(active, ROWS_WITH_ID)) * TABLE_ENTRY_BYTES; // as if they were entered
  return arenaBytes(active + ARENA) + idBytes - load<u32>(active, EMPTY_BYTES) >= bytesMax;
}

/** Seals the active memtable, which ends where the log does now, and opens the next one. */
export function memtableSeal(endOffset: u64, crc: u32, span: u32, recordedAt: u64): void {
  assert(memtableCount < MEMTABLES_MAX && rowsCount(active + ROWS) > 0);
  store<u64>(active, endOffset, END_OFFSET);
  store<u32>(active, crc, CRC);
  store<u32>(active, span, SPAN);
  store<u64>(active, recordedAt, RECORDED_AT);
  const next = memtableEnd(active);
  memtableCount++;
  open(next);
}

/** Forgets the oldest memtable, which is sealed: a run has what it has. */
export function memtableDrop(): void {
  assert(memtableCount > 1);
  const oldest = memtableAt(0);
  listsForget();
  arenaRelease(oldest + ARENA);
  memtableCount--;
  for (let i: u32 = 0; i < memtableCount; i++) store<u32>(order + (i << 2), load<u32>(order + (i << 2), 4));
  store<u32>(order + (memtableCount << 2), <u32>oldest);
}

/** Bytes that all memtables take. */
export function memtableBytes(): usize {
  let bytes: usize = 0;
  for (let i: u32 = 0; i < memtableCount; i++) bytes += arenaBytes(memtableAt(i) + ARENA);
  return bytes;
}

@inline export function memtableFirst(memtable: usize): u64 {
  return load<u64>(memtable);
}

/** Position behind the memtable's last event. */
@inline export function memtableEnd(memtable: usize): u64 {
  return load<u64>(memtable) + rowsCount(memtable + ROWS);
}

@inline export function memtableEndOffset(memtable: usize): u64 { return load<u64>(memtable, END_OFFSET); }
@inline export function memtableCrc(memtable: usize): u32 { return load<u32>(memtable, CRC); }
@inline export function memtableSpan(memtable: usize): u32 { return load<u32>(memtable, SPAN); }
@inline export function memtableRecordedAt(memtable: usize): u64 { return load<u64>(memtable, RECORDED_AT); }
@inline export function memtableNewStreams(memtable: usize): u32 { return load<u32>(memtable, NEW_STREAMS); }
@inline export function memtableRows(memtable: usize): u32 { return rowsCount(memtable + ROWS); }
@inline export function memtableStreams(memtable: usize): u32 { return rowsCount(memtable + STREAM_ROWS); }

/** The list of rows that are the first events of their streams. */
@inline export function memtableOrder(memtable: usize): usize {
  return memtable + ORDER;
}

// ── what it holds ─────────────────────────────────────────────────────────────────────────────────

/** The row of the event with this id, or 0. It takes no memory: reads ask too, which reserve none. */
export function memtableId(memtable: usize, low: u64, high: u32): usize {
  const row = tableFind(memtable + IDS, low, high);
  return row == 0 && memtable == active ? lateRow(low, high) : row;
}

/** The same among the ids that are not entered yet: a few dozen at the most. */
function lateRow(low: u64, high: u32): usize {
  const count = rowsWithoutId(active);
  assert(count <= IDS_TOGETHER);
  const first = load<u32>(active, ROWS_WITH_ID);
  for (let i: u32 = 0; i < count; i++) {
    if (load<u64>(lateIds + (i << 3)) != low) continue;
    const row = rowAt(active + ROWS, first + i);
    if (load<u32>(row, 8) == high) return row;
  }
  return 0;
}

/** The row with a number: the event's id's hash comes first. */
@inline export function memtableRowAt(memtable: usize, number: u32): usize {
  return rowAt(memtable + ROWS, number);
}

@inline export function rowPlace(row: usize): u64 {
  return load<u64>(row, ROW_PLACE);
}

/** Place of the event at a position that the memtable holds. */
@inline export function memtablePlace(memtable: usize, position: u64): u64 {
  assert(position < memtableEnd(memtable));
  return rowPlace(rowAt(memtable + ROWS, <u32>(position - load<u64>(memtable))));
}

/** The stream, of its memtable, of the event at a position that a memtable holds; most are in the active one. */
export function memtableStreamAt(position: u64): usize {
  let index = memtableCount - 1;
  while (position < memtableFirst(memtableAt(index))) index--;
  const memtable = memtableAt(index);
  return load<u32>(rowAt(memtable + ROWS, <u32>(position - memtableFirst(memtable))), ROW_STREAM);
}

/** The stream with this hash, or 0. */
@inline export function memtableStream(memtable: usize, low: u64, high: u32): usize {
  return tableFind(memtable + STREAMS, low, high);
}

/** Loads what the look-up of a stream, that of an id, and an append to a stream will look at. */
@inline export function memtableStreamTouch(memtable: usize, low: u64): void { tableTouch(memtable + STREAMS, low); }
@inline export function memtableIdTouch(memtable: usize, low: u64): void { tableTouch(memtable + IDS, low); }
@inline export function streamTouch(stream: usize): void { listTouch(stream + STREAM_LIST); }

/** The stream with a number. */
@inline export function streamAt(memtable: usize, number: u32): usize {
  return rowAt(memtable + STREAM_ROWS, number);
}

@inline export function streamHashLow(stream: usize): u64 { return load<u64>(stream); }
@inline export function streamHashHigh(stream: usize): u32 { return load<u32>(stream, 8); }
/** The stream's explicit key, or 0 where it has its default key. */
@inline export function streamKey(stream: usize): usize { return load<u32>(stream, STREAM_KEY); }
@inline export function streamHash(stream: usize): u32 { return load<u32>(stream, STREAM_HASH); }
/** Version of the stream's first event here. */
@inline export function streamFirst(stream: usize): u64 { return load<u64>(stream, STREAM_FIRST); }
/** The list of the stream's rows. */
@inline export function streamList(stream: usize): usize { return stream + STREAM_LIST; }

/** The version that the stream's next event gets. */
@inline export function streamNext(stream: usize): u64 {
  return load<u64>(stream, STREAM_FIRST) + listCount(stream + STREAM_LIST);
}

@inline export function partitionOf(hash16: u32): u32 {
  return hash16 % partitionCount;
}

/** What the tag of a place says of a partition hash (run-format.ts). */
@inline export function partitionTag(hash16: u32): u32 {
  return tagOf(hash16, partitionCount);
}

export function partitionIsKnown(partition: u32): bool {
  return partition < partitionCount;
}

@inline export function partitionNextSequence(partition: u32): u64 {
  return load<u64>(nextSequences + <usize>partition * sizeof<u64>());
}

/** Takes over what the runs say. */
export function partitionResume(partition: u32, nextSequence: u64): void {
  store<u64>(nextSequences + <usize>partition * sizeof<u64>(), nextSequence);
}

/** The list of the partition's rows. */
@inline export function memtablePartition(memtable: usize, partition: u32): usize {
  return <usize>load<u32>(memtable, PARTITIONS) + <usize>partition * PARTITION_SIZE;
}

/** Sequence of the first of them. */
@inline export function partitionFirst(list: usize): u64 {
  return load<u64>(list, 8);
}

/** How many of a memtable's list lie below a position. */
export function rowsBelow(memtable: usize, list: usize, position: u64): u32 {
  const count = listCount(list);
  const first = load<u64>(memtable);
  if (count == 0 || position <= first) return 0;
  const bound = <u32>min<u64>(position - first, u32.MAX_VALUE);
  if (listGet(list, count - 1) < bound) return count;
  return listCountBelow(list, bound);
}

/** The stream of the event that a memtable's list has at an index. */
@inline export function listedStream(memtable: usize, list: usize, index: u32): usize {
  return load<u32>(rowAt(memtable + ROWS, listGet(list, index)), ROW_STREAM);
}

/** Place of the event that a memtable's list has at an index. */
@inline export function listedPlace(memtable: usize, list: usize, index: u32): u64 {
  return rowPlace(rowAt(memtable + ROWS, listGet(list, index)));
}

// ── what is entered ───────────────────────────────────────────────────────────────────────────────

/**
 * What appends leave free of the memory's limit: a start replays through a window of 4 MiB before it has tables,
 * and a reply may take 16 MiB. Without it a store that filled its memory could be neither read nor opened again.
 */
export const APPEND_SPARE_BYTES: usize = 32 << 20;

/** Makes sure that `count` events can be added without a refusal of memory, and `spare` bytes are left then. */
export function memtableReserve(count: u32, spare: usize): bool {
  const perEvent: usize = 3 * <usize>CHUNK_SIZE_MAX + 2 * 4096 + UUID_SIZE + ROW_SIZE + STREAM_SIZE;
  const fixed: usize = tableGrowthBytes(active + IDS) + tableGrowthBytes(active + STREAMS) + rowsGrowthBytes(active + ROWS) +
    rowsGrowthBytes(active + STREAM_ROWS) + timesGrowthBytes() + ARENA_BLOCK_SIZE;
  const bytes: usize = fixed + fixed + <usize>count * perEvent + <usize>IDS_TOGETHER * TABLE_PAGE_SIZE;
  return <u64>bytes + spare <= memoryLeft() && ensureMemory(bytes);
}

/** A stream that the active memtable does not have yet; `key` is 0 for the default key. */
export function streamInsert(low: u64, high: u32, key: usize, hash16: u32, firstVersion: u64, isNew: bool): usize {
  const arena = active + ARENA;
  const number = rowsCount(active + STREAM_ROWS);
  const stream = rowsAdd(active + STREAM_ROWS, arena);
  memory.fill(stream, 0, STREAM_SIZE);
  tableInsert(active + STREAMS, low, high, stream);
  if (key != 0) {
    const copy = arenaAllocate(arena, UUID_SIZE);
    uuidCopy(copy, key);
    store<u32>(stream, <u32>copy, STREAM_KEY);
  }
  store<u64>(stream, firstVersion, STREAM_FIRST);
  store<u32>(stream, hash16, STREAM_HASH);
  store<u32>(stream, number, STREAM_NUMBER);
  if (isNew) {
    store<u32>(stream, 1, STREAM_IS_NEW);
    store<u32>(active, load<u32>(active, NEW_STREAMS) + 1, NEW_STREAMS);
    listAppend(active + ORDER, rowsCount(active + ROWS), arena);
  }
  return stream;
}

/**
 * Adds one event of a stream of the active memtable at the next position. `memtableReserve` came before. Its id is entered in the
 * table together with some others.
 */
export function eventInsert(stream: usize, idLow: u64, idHigh: u32, logOffset: u64, index: u32): void {
  assert(rowsWithoutId(active) < IDS_TOGETHER);
  store<u64>(lateIds + (rowsWithoutId(active) << 3), idLow);
  rowInsert(stream, idLow, idHigh, logOffset, index);
  if (rowsWithoutId(active) == IDS_TOGETHER) enterIds(active);
}

/** The same, but its id is not entered until `memtableEnterIds`: what becomes a run anyway needs no table of them. */
export function rowInsert(stream: usize, idLow: u64, idHigh: u32, logOffset: u64, index: u32): void {
  const arena = active + ARENA;
  const number = rowsCount(active + ROWS);
  const row = rowsAdd(active + ROWS, arena);
  store<u64>(row, idLow);
  store<u32>(row, idHigh, 8);
  store<u32>(row, <u32>stream, ROW_STREAM);
  store<u64>(row, ((logOffset >> 3) << 16) | index, ROW_PLACE);
  listAppend(stream + STREAM_LIST, number, arena);
  const partition = partitionOf(streamHash(stream));
  const sequence = nextSequences + <usize>partition * sizeof<u64>();
  const list = memtablePartition(active, partition);
  if (listCount(list) == 0) store<u64>(list, load<u64>(sequence), 8);
  listAppend(list, number, arena);
  store<u64>(sequence, load<u64>(sequence) + 1);
}

@inline function rowsWithoutId(memtable: usize): u32 {
  return rowsCount(memtable + ROWS) - load<u32>(memtable, ROWS_WITH_ID);
}

/** Enters all ids that are not entered yet; false where memory is refused. */
export function memtableEnterIds(memtable: usize): bool {
  while (rowsWithoutId(memtable) > 0) {
    if (!ensureMemory(<usize>IDS_TOGETHER * TABLE_PAGE_SIZE + 2 * (tableGrowthBytes(memtable + IDS) + ARENA_BLOCK_SIZE))) return false;
    enterIds(memtable);
  }
  return true;
}

/** Enters up to `IDS_TOGETHER` ids: their places in the table are loaded together first, which waits for memory once. */
function enterIds(memtable: usize): void {
  const first = load<u32>(memtable, ROWS_WITH_ID);
  const end = min(rowsCount(memtable + ROWS), first + IDS_TOGETHER);
  for (let i = first; i < end; i++) memtableIdTouch(memtable, load<u64>(rowAt(memtable + ROWS, i)));
  for (let i = first; i < end; i++) {
    const row = rowAt(memtable + ROWS, i);
    tableInsert(memtable + IDS, load<u64>(row), load<u32>(row, 8), row);
  }
  store<u32>(memtable, end, ROWS_WITH_ID);
}

// ── what a run is built of ────────────────────────────────────────────────────────────────────────

/** Copies rows to `out` as run-build.ts takes them: the stream's number in the place of its ptr. */
export function memtableCopyRows(memtable: usize, from: u32, count: u32, out: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const row = rowAt(memtable + ROWS, from + i);
    memory.copy(out, row, ROW_SIZE);
    store<u32>(out, load<u32>(load<u32>(row, ROW_STREAM), STREAM_NUMBER), ROW_STREAM);
    out += ROW_SIZE;
  }
}

const STREAM_BEGINS: u16 = 1;
const STREAM_HAS_KEY: u16 = 2;

/** Copies streams to `out` as run-build.ts takes them. */
export function memtableCopyStreams(memtable: usize, from: u32, count: u32, out: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const stream = rowAt(memtable + STREAM_ROWS, from + i);
    const key = streamKey(stream);
    memory.fill(out, 0, STREAM_SIZE);
    memory.copy(out, stream, 12);
    store<u32>(out, listCount(stream + STREAM_LIST), 12);
    store<u64>(out, load<u64>(stream, STREAM_FIRST), 16);
    store<u16>(out, <u16>streamHash(stream), 24);
    store<u16>(out, (load<u32>(stream, STREAM_IS_NEW) != 0 ? STREAM_BEGINS : 0) | (key != 0 ? STREAM_HAS_KEY : 0), 26);
    if (key != 0) uuidCopy(out + 32, key);
    out += STREAM_SIZE;
  }
}

/** Partitions that have events in a memtable. */
export function memtableSequences(memtable: usize): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < partitionCount; i++) {
    if (listCount(memtablePartition(memtable, i)) > 0) count++;
  }
  return count;
}

/** Copies the first sequence of each of them to `out`, 16 bytes each, as run-build.ts takes them. */
export function memtableCopySequences(memtable: usize, out: usize): void {
  for (let i: u32 = 0; i < partitionCount; i++) {
    const list = memtablePartition(memtable, i);
    if (listCount(list) == 0) continue;
    store<u64>(out, i);
    store<u64>(out, partitionFirst(list), 8);
    out += 16;
  }
}
