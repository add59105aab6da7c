// Builds a run of what a memtable holds. The shell fills the areas of its rows, then takes the file step by step
// (run-writer.ts). Hashes are sorted (run-sort.ts); places are put in order by counting.
//
//   row         0 event id's hash 12 │ 12 stream number u32 │ 16 place u64: in order of position
//   stream      0 hash 12 │ 12 count u32 │ 16 first version u64 │ 24 hash16 u16 │ 26 flags u16 │ 28 its partition u32,
//               filled in here │ 32 explicit key 16: in order of first appearance
//   partition   0 partition u32 │ 4 – │ 8 sequence of its first event here u64: every partition that has events here
//   times       as in the run
import { filterAdd, filterBlocks } from "./run-filter";
import { touch } from "./touch";
import {
  FENCE_SIZE, FILTER_BLOCK_SIZE, HEADS_START, HEAD_SIZE, ID_SIZE, KEY_SIZE, PARTITION_SIZE, PARTS, PART_HEADS,
  PART_HEAD_FENCES, PART_HEAD_FILTER, PART_IDS, PART_ID_FENCES, PART_ID_FILTER, PART_KEYS, PART_ORDER, PART_PARTITIONS,
  PART_PARTITION_PLACES, PART_PLACES, PART_POSITIONS, PART_TIMES, PLACE_SIZE, TIMES_SIZE, isTagged, tagOf, tagPlace,
} from "./run-format";
import { bucketsSize, sortIds, sortNumbers } from "./run-sort";
import { RunWriter, pagesFor } from "./run-writer";
import { DONE, NO_MEMORY, PAUSED } from "./status";

const ROW_SIZE: usize = 24;
const ROW_STREAM: usize = 12;
const ROW_PLACE: usize = 16;
const STREAM_SIZE: usize = 48;
const STREAM_HIGH: usize = 8;
const STREAM_COUNT: usize = 12;
const STREAM_FIRST_VERSION: usize = 16;
const STREAM_HASH: usize = 24;
const STREAM_FLAGS: usize = 26;
const STREAM_PARTITION: usize = 28;
const STREAM_KEY: usize = 32;
/** The stream's first event here is its very first. */
const STREAM_BEGINS: u32 = 1;
const STREAM_HAS_KEY: u32 = 2;
const SEQUENCE_SIZE: usize = 16;

const writer = changetype<RunWriter>(memory.data(offsetof<RunWriter>(), 8));
let firstPosition: u64 = 0;
let endOffset: u64 = 0;
let partitionCount: u32 = 0;
let rowCount: u32 = 0;
let streamCount: u32 = 0;
let timesCount: u32 = 0;
let sequenceCount: u32 = 0;
let isPrepared: bool = false;

// Areas. What lies in `scratch` changes from part to part: streams while they are sorted, ids, then places.
let rows: usize = 0;
let streams: usize = 0;
let sequences: usize = 0;
let times: usize = 0;
let scratch: usize = 0;
let buckets: usize = 0;
/** Stream numbers, u32, in order of hash. */
let sorted: usize = 0;
/** For each stream, by number, where its next place goes, u32. */
let placeIndexes: usize = 0;
/** For each partition its events here, then where its next place goes, u32; and its first sequence, u64. */
let partitionIndexes: usize = 0;
let firstSequences: usize = 0;
let idFilter: usize = 0;
let headFilter: usize = 0;
let idFilterBlocks: u32 = 0;
let headFilterBlocks: u32 = 0;
let idFences: usize = 0;
let headFences: usize = 0;

// How far the part is that is being written, beyond the entries that the writer counts.
let placeIndex: u32 = 0;
let keyIndex: u32 = 0;
let scanned: u32 = 0;
let streamsSeen: u32 = 0;
let partitionStart: u32 = 0;

/** Takes the areas for so many rows of each kind: NO_MEMORY, or DONE, and the shell fills them. `buildEnd` gives back. */
export function buildOpen(events: u32, streamRows: u32, sequenceRows: u32, timesRows: u32, partitions: u32): i32 {
  assert(streamRows > 0 && streamRows <= events);
  rowCount = events;
  streamCount = streamRows;
  sequenceCount = sequenceRows;
  timesCount = timesRows;
  partitionCount = partitions;
  isPrepared = false;
  if (!writer.open() || !takeAreas()) {
    writer.end();
    return NO_MEMORY;
  }
  writer.setPartitions(partitions);
  return DONE;
}

function takeAreas(): bool {
  idFilterBlocks = filterBlocks(rowCount);
  headFilterBlocks = filterBlocks(streamCount);
  rows = writer.take(<usize>rowCount * ROW_SIZE);
  streams = writer.take(<usize>streamCount * STREAM_SIZE);
  sequences = writer.take(<usize>sequenceCount * SEQUENCE_SIZE);
  times = writer.take(<usize>timesCount * TIMES_SIZE);
  scratch = writer.take(<usize>rowCount * ID_SIZE);
  buckets = writer.take(bucketsSize(rowCount));
  sorted = writer.take(<usize>streamCount * sizeof<u32>());
  placeIndexes = writer.take(<usize>streamCount * sizeof<u32>());
  partitionIndexes = writer.take(<usize>partitionCount * sizeof<u32>());
  firstSequences = writer.take(<usize>partitionCount * sizeof<u64>());
  idFilter = writer.take(<usize>idFilterBlocks * FILTER_BLOCK_SIZE);
  headFilter = writer.take(<usize>headFilterBlocks * FILTER_BLOCK_SIZE);
  idFences = writer.take(<usize>pagesFor(PART_IDS, rowCount) * FENCE_SIZE);
  headFences = writer.take(<usize>pagesFor(PART_HEADS, streamCount) * FENCE_SIZE);
  return rows != 0 && streams != 0 && sequences != 0 && times != 0 && scratch != 0 && buckets != 0 && sorted != 0 &&
    placeIndexes != 0 && partitionIndexes != 0 && firstSequences != 0 && idFilter != 0 && headFilter != 0 &&
    idFences != 0 && headFences != 0;
}

export function buildStoreId(): usize { return writer.storeId(); }
export function buildRows(): usize { return rows; }
export function buildStreams(): usize { return streams; }
export function buildSequences(): usize { return sequences; }
export function buildTimes(): usize { return times; }
export function buildOutput(): usize { return writer.output; }
/** Where in the file the output of the step belongs, in pages, and how many they are. */
export function buildOutputPage(): u32 { return writer.outputFirst; }
export function buildOutputPages(): u32 { return writer.outputPages; }

/** What the run covers, and the log's end at its last position. The store's id was put to `buildStoreId`. */
export function buildCover(from: u64, end: u64, crc: u32, span: u32, recordedAt: u64): void {
  firstPosition = from;
  endOffset = end;
  writer.cover(from, from + rowCount, endOffset, crc, span, recordedAt);
}

/** Makes the next pages: PAUSED, or DONE, when they are the last ones, the header. */
export function buildStep(): i32 {
  if (!isPrepared) prepare();
  writer.clear();
  while (writer.part < PARTS) {
    if (!writePart()) return PAUSED;
    writer.enter(writer.part + 1);
    preparePart();
  }
  if (writer.outputPages > 0) return PAUSED;
  writer.finish();
  return DONE;
}

/** Gives back all memory, the run being whole or not. */
export function buildEnd(): void {
  writer.end();
}

// ── before the first page ─────────────────────────────────────────────────────────────────────────

function prepare(): void {
  let events: u64 = 0;
  let newStreams: u32 = 0;
  let keys: u32 = 0;
  memory.fill(partitionIndexes, 0, <usize>partitionCount * sizeof<u32>());
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    const flags = <u32>load<u16>(stream, STREAM_FLAGS);
    const count = load<u32>(stream, STREAM_COUNT);
    const partition = <u32>load<u16>(stream, STREAM_HASH) % partitionCount;
    store<u32>(stream, partition, STREAM_PARTITION);
    store<u32>(partitionIndexes + (partition << 2), load<u32>(partitionIndexes + (partition << 2)) + count);
    events += count;
    if (flags & STREAM_BEGINS) newStreams++;
    if (flags & STREAM_HAS_KEY) keys++;
  }
  assert(events == <u64>rowCount);
  let partitions: u32 = 0;
  for (let i: u32 = 0; i < partitionCount; i++) if (load<u32>(partitionIndexes + (i << 2)) > 0) partitions++;
  takeSequences(partitions);
  sortNumbers(streams, STREAM_SIZE, streamCount, buckets, scratch, sorted);
  sortIds(rows, ROW_SIZE, ROW_PLACE, rowCount, buckets, scratch);
  memory.fill(idFilter, 0, <usize>idFilterBlocks * FILTER_BLOCK_SIZE);
  memory.fill(headFilter, 0, <usize>headFilterBlocks * FILTER_BLOCK_SIZE);
  writer.setNewStreams(newStreams);
  writer.lay(PART_IDS, rowCount);
  writer.lay(PART_HEADS, streamCount);
  writer.lay(PART_PLACES, rowCount);
  writer.lay(PART_KEYS, keys);
  writer.lay(PART_PARTITIONS, partitions);
  writer.lay(PART_PARTITION_PLACES, rowCount);
  writer.lay(PART_POSITIONS, rowCount);
  writer.lay(PART_ORDER, newStreams);
  writer.lay(PART_TIMES, timesCount);
  writer.lay(PART_ID_FILTER, idFilterBlocks);
  writer.lay(PART_HEAD_FILTER, headFilterBlocks);
  writer.lay(PART_ID_FENCES, pagesFor(PART_IDS, rowCount));
  writer.lay(PART_HEAD_FENCES, pagesFor(PART_HEADS, streamCount));
  writer.start();
  placeIndex = keyIndex = 0;
  isPrepared = true;
}

@inline function streamAt(number: u32): usize {
  return streams + <usize>number * STREAM_SIZE;
}

/** Takes the partitions' first sequences, which must be there for each that has events. */
function takeSequences(partitions: u32): void {
  let found: u32 = 0;
  for (let i: u32 = 0; i < sequenceCount; i++) {
    const row = sequences + <usize>i * SEQUENCE_SIZE;
    const partition = load<u32>(row);
    assert(partition < partitionCount);
    store<u64>(firstSequences + (<usize>partition << 3), load<u64>(row, 8));
    if (load<u32>(partitionIndexes + (partition << 2)) > 0) found++;
  }
  assert(found == partitions);
}

// ── part by part ──────────────────────────────────────────────────────────────────────────────────

/** What a part needs once, before its first page; the part before it is written. */
function preparePart(): void {
  const part = writer.part;
  if (part == PART_PLACES) placesByStream();
  else if (part == PART_PARTITION_PLACES) placesByPartition();
  scanned = streamsSeen = partitionStart = 0;
}

/** Writes the part as far as the output takes it; true when it is whole. */
function writePart(): bool {
  const part = writer.part;
  if (part == PART_IDS) return writeIds();
  if (part == PART_HEADS) return writeHeads();
  if (part == PART_PLACES || part == PART_PARTITION_PLACES) return writer.copy(scratch);
  if (part == PART_KEYS) return writeKeys();
  if (part == PART_PARTITIONS) return writePartitions();
  if (part == PART_POSITIONS) return writePositions();
  if (part == PART_ORDER) return writeOrder();
  if (part == PART_TIMES) return writer.copy(times);
  if (part == PART_ID_FILTER) return writer.copy(idFilter);
  if (part == PART_HEAD_FILTER) return writer.copy(headFilter);
  return writer.copy(part == PART_ID_FENCES ? idFences : headFences);
}

function writeIds(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const page = writer.page();
    const count = writer.pageEntries();
    const size = <usize>count * ID_SIZE;
    const items = scratch + <usize>writer.done * ID_SIZE;
    store<u32>(idFences + <usize>pagesFor(PART_IDS, writer.done) * FENCE_SIZE, <u32>(load<u64>(items) >> 32));
    memory.copy(page, items, size);
    for (let item = items; item < items + size; item += ID_SIZE) {
      filterAdd(idFilter, idFilterBlocks, load<u64>(item), load<u32>(item, 8));
    }
    writer.seal(count);
  }
  return true;
}

function writeHeads(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const page = writer.page();
    const count = writer.pageEntries();
    let number = sorted + (<usize>writer.done << 2);
    store<u32>(headFences + <usize>pagesFor(PART_HEADS, writer.done) * FENCE_SIZE, <u32>(load<u64>(streamAt(load<u32>(number))) >> 32));
    store<u64>(page, placeIndex);
    for (let i: u32 = 0; i < count; i++) touch(streamAt(load<u32>(number + (i << 2))));
    let head = page + HEADS_START;
    for (let i: u32 = 0; i < count; i++) {
      writeHead(head, load<u32>(number));
      head += HEAD_SIZE;
      number += sizeof<u32>();
    }
    writer.seal(count);
  }
  return true;
}

function writeHead(head: usize, number: u32): void {
  const stream = streamAt(number);
  const low = load<u64>(stream);
  const high = load<u32>(stream, STREAM_HIGH);
  const count = load<u32>(stream, STREAM_COUNT);
  store<u64>(head, low);
  store<u32>(head, high, 8);
  store<u32>(head, count, 12);
  store<u64>(head, (load<u64>(stream, STREAM_FIRST_VERSION) << 16) | load<u16>(stream, STREAM_HASH), 16);
  store<u32>(head, <u32>load<u16>(stream, STREAM_FLAGS) & STREAM_HAS_KEY ? ++keyIndex : 0, 24);
  filterAdd(headFilter, headFilterBlocks, low, high);
  store<u32>(placeIndexes + (<usize>number << 2), placeIndex);
  placeIndex += count;
}

/** The streams' places, to `scratch`. */
function placesByStream(): void {
  for (let i: u32 = 0; i < rowCount; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    const number = load<u32>(row, ROW_STREAM);
    assert(number < streamCount);
    const next = placeIndexes + (<usize>number << 2);
    const index = load<u32>(next);
    assert(index < rowCount);
    store<u32>(next, index + 1);
    store<u64>(scratch + (<usize>index << 3), load<u64>(row, ROW_PLACE));
  }
}

function writeKeys(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const count = writer.pageEntries();
    let key = writer.page();
    for (let i: u32 = 0; i < count; scanned++) {
      const stream = streamAt(load<u32>(sorted + (<usize>scanned << 2)));
      if (!(<u32>load<u16>(stream, STREAM_FLAGS) & STREAM_HAS_KEY)) continue;
      memory.copy(key, stream + STREAM_KEY, KEY_SIZE);
      key += KEY_SIZE;
      i++;
    }
    writer.seal(count);
  }
  return true;
}

/** Also turns each partition's count into where its places begin. */
function writePartitions(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const count = writer.pageEntries();
    let entry = writer.page();
    for (let i: u32 = 0; i < count; scanned++) {
      const index = partitionIndexes + (<usize>scanned << 2);
      const events = load<u32>(index);
      if (events == 0) continue;
      store<u32>(entry, scanned);
      store<u32>(entry, events, 4);
      store<u64>(entry, load<u64>(firstSequences + (<usize>scanned << 3)), 8);
      store<u64>(entry, partitionStart, 16);
      store<u32>(index, partitionStart);
      partitionStart += events;
      entry += PARTITION_SIZE;
      i++;
    }
    writer.seal(count);
  }
  return true;
}

/** The partitions' places, to `scratch`. */
function placesByPartition(): void {
  const withTags = isTagged(endOffset);
  for (let i: u32 = 0; i < rowCount; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    const stream = streamAt(load<u32>(row, ROW_STREAM));
    const next = partitionIndexes + (<usize>load<u32>(stream, STREAM_PARTITION) << 2);
    const index = load<u32>(next);
    store<u32>(next, index + 1);
    const place = load<u64>(row, ROW_PLACE);
    const tag = tagOf(load<u16>(stream, STREAM_HASH), partitionCount);
    store<u64>(scratch + (<usize>index << 3), withTags ? tagPlace(place, tag) : place);
  }
}

function writePositions(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const count = writer.pageEntries();
    const page = writer.page();
    const row = rows + <usize>writer.done * ROW_SIZE;
    for (let i: usize = 0; i < <usize>count; i++) {
      store<u64>(page + i * PLACE_SIZE, load<u64>(row + i * ROW_SIZE, ROW_PLACE));
    }
    writer.seal(count);
  }
  return true;
}

/** Streams are numbered by their first rows: a row with the next number is one. */
function writeOrder(): bool {
  while (writer.left() > 0) {
    if (writer.isFull()) return false;
    const count = writer.pageEntries();
    let entry = writer.page();
    for (let i: u32 = 0; i < count; scanned++) {
      assert(scanned < rowCount);
      const number = load<u32>(rows + <usize>scanned * ROW_SIZE, ROW_STREAM);
      if (number != streamsSeen) continue;
      streamsSeen++;
      if (!(<u32>load<u16>(streamAt(number), STREAM_FLAGS) & STREAM_BEGINS)) continue;
      store<u64>(entry, firstPosition + scanned);
      entry += PLACE_SIZE;
      i++;
    }
    writer.seal(count);
  }
  return true;
}
