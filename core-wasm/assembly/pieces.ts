// The events of one stream, of one partition, or the first events of all streams, as one row of values in order that
// lies in pieces: in runs, oldest first, and in memtables. Values are places; of the streams' first events, positions.
//
//   piece   0 index of its first value u64 │ 8 values u64 │ 16 run ptr, or 0 u32 │ 20 part u32 │ 24 index in the part u64
//           32 memtable ptr u32 │ 36 list ptr u32
import { durablePosition } from "./batch";
import { listCount, listGet } from "./list";
import {
  MEMTABLES_MAX, listedPlace, listedStream, memtableAt, memtableCount, memtableEnd, memtableFirst, memtableOrder, memtablePartition, memtableStream,
  partitionFirst, rowsBelow, streamFirst, streamHash, streamList,
} from "./memtable";
import { placeOf } from "./lookup";
import { PART_ORDER, PART_PARTITION_PLACES, PART_PLACES } from "./run-format";
import {
  RUNS_MAX, foundCount, foundFirst, foundStart, runAt, runCount, runFindPartition, runFindStreamPlaces, runFrom, runHintStream, runHintValue, runMayHaveHash,
  runNewStreams, runRefuseValue, runTo, runValue, runValuesBelow,
} from "./runs";

const PIECE_SIZE: usize = 40;
const FIRST: usize = 0;
const COUNT: usize = 8;
const RUN: usize = 16;
const PART: usize = 20;
const START: usize = 24;
const MEMTABLE: usize = 32;
const LIST: usize = 36;

const PIECES_MAX: u32 = RUNS_MAX + MEMTABLES_MAX;
/** Filled from the end, since pieces are found newest first. */
const pieces: usize = memory.data(68 * 40, 8);
let firstPiece: u32 = PIECES_MAX;
/** The piece in which the last value was found. */
let lastPiece: usize = 0;

/** Number of the first value: a version or a sequence. */
export let piecesFirst: u64 = 0;
/** Values that readers may see. */
export let piecesCount: u64 = 0;

@inline function pieceAt(index: u32): usize {
  return pieces + <usize>index * PIECE_SIZE;
}

function clear(): void {
  assert(PIECES_MAX == 68 && PIECE_SIZE == 40);
  firstPiece = PIECES_MAX;
  piecesFirst = piecesCount = 0;
}

function addPiece(count: u64, run: usize, part: u32, start: u64, memtable: usize, list: usize): void {
  assert(firstPiece > 0);
  const piece = pieceAt(--firstPiece);
  store<u64>(piece, count, COUNT);
  store<u32>(piece, <u32>run, RUN);
  store<u32>(piece, part, PART);
  store<u64>(piece, start, START);
  store<u32>(piece, <u32>memtable, MEMTABLE);
  store<u32>(piece, <u32>list, LIST);
  piecesCount += count;
}

@inline function addList(memtable: usize, list: usize): u32 {
  const count = rowsBelow(memtable, list, durablePosition);
  if (count > 0) addPiece(count, 0, 0, 0, memtable, list);
  return count;
}

/** Numbers the values once all pieces are there. */
function finish(first: u64): void {
  piecesFirst = first;
  let index: u64 = 0;
  for (let i = firstPiece; i < PIECES_MAX; i++) {
    store<u64>(pieceAt(i), index, FIRST);
    index += load<u64>(pieceAt(i), COUNT);
  }
  lastPiece = firstPiece < PIECES_MAX ? pieceAt(firstPiece) : 0;
}

/** Takes the stream with this hash. */
export function piecesOfStream(low: u64, high: u32): void {
  clear();
  let first: u64 = 0;
  let isWhole = false; // its first event was met: nothing older has any of it
  for (let i = memtableCount; i > 0 && !isWhole; i--) {
    const memtable = memtableAt(i - 1);
    const stream = memtableStream(memtable, low, high);
    if (stream == 0) continue;
    first = streamFirst(stream);
    addList(memtable, streamList(stream));
    isWhole = first == 0;
  }
  if (!isWhole) for (let i = runCount; i > 0; i--) runHintStream(runAt(i - 1), low, high);
  for (let i = runCount; i > 0 && !isWhole; i--) {
    const run = runAt(i - 1);
    if (!runFindStreamPlaces(run, low, high)) continue;
    first = foundFirst;
    addPiece(foundCount, run, PART_PLACES, foundStart, 0, 0);
    isWhole = first == 0;
  }
  finish(first);
}

/** Takes a partition. */
export function piecesOfPartition(partition: u32): void {
  clear();
  let first: u64 = 0;
  let isWhole = false;
  for (let i = memtableCount; i > 0 && !isWhole; i--) {
    const memtable = memtableAt(i - 1);
    const list = memtablePartition(memtable, partition);
    if (listCount(list) == 0) continue;
    first = partitionFirst(list);
    addList(memtable, list);
    isWhole = first == 0;
  }
  for (let i = runCount; i > 0 && !isWhole; i--) {
    const run = runAt(i - 1);
    if (!runFindPartition(run, partition)) continue;
    first = foundFirst;
    addPiece(foundCount, run, PART_PARTITION_PLACES, foundStart, 0, 0);
    isWhole = first == 0;
  }
  finish(first);
}

/** Takes the positions of the streams' first events. */
export function piecesOfOrder(): void {
  clear();
  for (let i = memtableCount; i > 0; i--) addList(memtableAt(i - 1), memtableOrder(memtableAt(i - 1)));
  for (let i = runCount; i > 0; i--) {
    const run = runAt(i - 1);
    if (runNewStreams(run) > 0) addPiece(runNewStreams(run), run, PART_ORDER, 0, 0, 0);
  }
  finish(0);
}

/** The piece that holds the value at an index. */
function pieceOf(index: u64): usize {
  assert(index < piecesCount);
  const last = lastPiece;
  if (index >= load<u64>(last) && index < load<u64>(last) + load<u64>(last, COUNT)) return last;
  let i = firstPiece;
  while (index >= load<u64>(pieceAt(i)) + load<u64>(pieceAt(i), COUNT)) i++;
  lastPiece = pieceAt(i);
  return lastPiece;
}

/** Place of the event at an index. */
export function piecesPlace(index: u64): u64 {
  const piece = pieceOf(index);
  const at = index - load<u64>(piece);
  const run: usize = load<u32>(piece, RUN);
  if (run != 0) return runValue(run, load<u32>(piece, PART), load<u64>(piece, START) + at);
  return listedPlace(load<u32>(piece, MEMTABLE), load<u32>(piece, LIST), <u32>at);
}

/** Whether the event at an index of a partition may have this partition hash; what is in memory says so for certain. */
export function piecesMayHaveHash(index: u64, hash16: u32): bool {
  const piece = pieceOf(index);
  const at = index - load<u64>(piece);
  const run: usize = load<u32>(piece, RUN);
  if (run != 0) return runMayHaveHash(run, load<u64>(piece, START) + at, hash16);
  return streamHash(listedStream(load<u32>(piece, MEMTABLE), load<u32>(piece, LIST), <u32>at)) == hash16;
}

/** Says that `piecesPlace` of an index comes soon. */
export function piecesHint(index: u64): void {
  const piece = pieceOf(index);
  const run: usize = load<u32>(piece, RUN);
  if (run != 0) runHintValue(run, load<u32>(piece, PART), load<u64>(piece, START) + index - load<u64>(piece));
}

/** Position of the stream's first event at an index of `piecesOfOrder`. */
export function piecesPosition(index: u64): u64 {
  const piece = pieceOf(index);
  const at = index - load<u64>(piece);
  const run: usize = load<u32>(piece, RUN);
  if (run != 0) return runValue(run, PART_ORDER, at);
  return memtableFirst(load<u32>(piece, MEMTABLE)) + listGet(load<u32>(piece, LIST), <u32>at);
}

/** Refuses the value at an index, which is out of order: it lies in a run, and this throws. */
export function piecesRefuse(index: u64): void {
  const piece = pieceOf(index);
  const run: usize = load<u32>(piece, RUN);
  assert(run != 0);
  runRefuseValue(run, load<u32>(piece, PART), load<u64>(piece, START) + index - load<u64>(piece));
}

/** How many of the values belong to events below a position. */
export function piecesBelow(position: u64): u64 {
  for (let i = PIECES_MAX; i > firstPiece; i--) {
    const piece = pieceAt(i - 1);
    const first = load<u64>(piece);
    const count = load<u64>(piece, COUNT);
    const run: usize = load<u32>(piece, RUN);
    if (run == 0) {
      const memtable: usize = load<u32>(piece, MEMTABLE);
      if (position >= memtableEnd(memtable)) return first + count;
      if (position <= memtableFirst(memtable)) continue;
      return first + min<u64>(count, rowsBelow(memtable, load<u32>(piece, LIST), position));
    }
    if (position >= runTo(run)) return first + count;
    if (position <= runFrom(run)) continue;
    const part = load<u32>(piece, PART);
    return first + runValuesBelow(run, part, load<u64>(piece, START), count, part == PART_ORDER ? position : placeOf(position));
  }
  return 0;
}
