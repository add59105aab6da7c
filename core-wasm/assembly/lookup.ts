// Where everything is: what appends and reads ask, answered from the memtables, newest first, and then from the runs.
import { durableOffset, durablePosition } from "./batch";
import {
  active, memtableAt, memtableCount, memtableDrop, memtableFirst, memtableId, memtableNewStreams, memtablePlace, memtableStream, memtableStreams, rowPlace, rowsBelow, streamAt,
  streamFirst, streamHashHigh, streamHashLow, streamKey, streamList, streamNext,
} from "./memtable";
import { NEXT_UNKNOWN, headFind, headIsNone, headPut, headTouch, headsBytes } from "./heads";
import { PART_POSITIONS } from "./run-format";
import {
  foundCount, foundFirst, foundKey, foundPlace as placeInRun, runAt, runCount, runFindId, runFindStream, runFrom,
  runNewStreams, runValue, runsEnd, runsTouchIds,
} from "./runs";

/** Log offset of the frame at a place. */
@inline export function placeOffset(place: u64): u64 {
  return (place >> 16) << 3;
}

/** Index in its frame of the event at a place. */
@inline export function placeIndex(place: u64): u32 {
  return <u32>(place & 0xffff);
}

/** Places below it hold what readers may see. */
@inline export function durablePlace(): u64 {
  return (durableOffset >> 3) << 16;
}

/** Place of the event at a position, which must be there. */
export function placeOf(position: u64): u64 {
  if (position >= memtableFirst(memtableAt(0))) {
    let at = memtableCount - 1;
    while (memtableFirst(memtableAt(at)) > position) at--;
    return memtablePlace(memtableAt(at), position);
  }
  assert(position < runsEnd());
  let low: u32 = 0;
  let high = runCount;
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (runFrom(runAt(middle)) <= position) low = middle;
    else high = middle;
  }
  return runValue(runAt(low), PART_POSITIONS, position - runFrom(runAt(low)));
}

/** The position behind the last event of the record that holds the event at a position, which is durable. */
export function recordEnd(position: u64): u64 {
  const offset = placeOffset(placeOf(position));
  position++;
  while (position < durablePosition && placeOffset(placeOf(position)) == offset) position++;
  return position;
}

/** The first position of that record. */
export function recordStart(position: u64): u64 {
  return position - placeIndex(placeOf(position));
}

/** The position that `positionOf` found last: the next one asked for is mostly not far behind it. */
let lastPosition: u64 = 0;

/** Position of the durable event at a place, which some list gave: places ascend with positions. */
export function positionOf(place: u64): u64 {
  assert(place < durablePlace());
  let low: u64 = 0;
  let high = durablePosition;
  if (lastPosition < high && placeOf(lastPosition) <= place) {
    low = lastPosition;
    for (let step: u64 = 1; low + step < high; step <<= 1) {
      if (placeOf(low + step) > place) {
        high = low + step;
        break;
      }
      low += step;
    }
  }
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (placeOf(middle) <= place) low = middle;
    else high = middle;
  }
  lastPosition = low;
  return low;
}

/** The event's place, after `eventIdFind`. */
export let foundPlace: u64 = 0;

/** Whether the store has the event with this id, durable or not. */
export function eventIdFind(low: u64, high: u32): bool {
  runsTouchIds(low);
  for (let i = memtableCount; i > 0; i--) {
    const row = memtableId(memtableAt(i - 1), low, high);
    if (row == 0) continue;
    foundPlace = rowPlace(row);
    return true;
  }
  for (let i = runCount; i > 0; i--) {
    if (!runFindId(runAt(i - 1), low, high)) continue;
    foundPlace = placeInRun;
    return true;
  }
  return false;
}

/** A stream as its next append finds it, after `streamFind`. */
export let headNext: u64 = 0;
/** Its explicit key, which is to be copied at once, or 0. */
export let headKey: usize = 0;
/** The stream in the active memtable, or 0. */
export let headStream: usize = 0;

/** Whether the store has the stream, durable or not. */
export function streamFind(low: u64, high: u32): bool {
  headTouch(low);
  headStream = 0;
  for (let i = memtableCount; i > 0; i--) {
    const memtable = memtableAt(i - 1);
    const stream = memtableStream(memtable, low, high);
    if (stream == 0) continue;
    if (memtable == active) headStream = stream;
    headNext = streamNext(stream);
    headKey = streamKey(stream);
    return true;
  }
  return streamInRuns(low, high);
}

/** Whether readers may see an event of the stream; `headNext` is then behind the last one that they may. */
export function streamFindVisible(low: u64, high: u32): bool {
  let isInMemtable = false;
  for (let i = memtableCount; i > 0; i--) {
    const memtable = memtableAt(i - 1);
    const stream = memtableStream(memtable, low, high);
    if (stream == 0) continue;
    isInMemtable = true;
    const count = rowsSeen(memtable, streamList(stream));
    headNext = streamFirst(stream) + count;
    headKey = streamKey(stream);
    if (count > 0) return true;
  }
  // What comes before the oldest event that a memtable has of it is durable.
  return isInMemtable ? headNext > 0 : streamInRuns(low, high);
}

/** Finds a stream that no memtable has. */
function streamInRuns(low: u64, high: u32): bool {
  const next = headFind(low, high);
  if (next > 0) {
    headNext = next;
    headKey = 0;
    return true;
  }
  if (headIsNone) return false;
  for (let i = runCount; i > 0; i--) {
    if (!runFindStream(runAt(i - 1), low, high)) continue;
    headNext = foundFirst + foundCount;
    headKey = foundKey;
    if (headKey == 0) headPut(low, high, headNext);
    return true;
  }
  return false;
}

/** How many of a memtable's list readers may see. */
@inline function rowsSeen(memtable: usize, list: usize): u32 {
  return rowsBelow(memtable, list, durablePosition);
}

/** Heads whose places are loaded together before they are kept, so that the processor waits for memory once. */
const HEADS_TOGETHER: u32 = 64;
/** Streams of the oldest memtable whose heads are kept. */
let headsKept: u32 = 0;

/** Keeps the heads of `count` more streams of the oldest memtable, which is sealed; true when all are kept. */
export function memtableKeepHeads(count: u32): bool {
  const memtable = memtableAt(0);
  const end = min(memtableStreams(memtable), headsKept + count);
  while (headsKept < end) {
    const from = headsKept;
    headsKept = min(end, from + HEADS_TOGETHER);
    for (let i = from; i < headsKept; i++) headTouch(streamHashLow(streamAt(memtable, i)));
    for (let i = from; i < headsKept; i++) {
      const stream = streamAt(memtable, i);
      const next = streamKey(stream) == 0 ? streamNext(stream) : NEXT_UNKNOWN;
      headPut(streamHashLow(stream), streamHashHigh(stream), next);
    }
  }
  return headsKept == memtableStreams(memtable);
}

/** Gives up the oldest memtable: a run has what it has, and its heads are kept where any are. */
export function memtableGiveUp(): void {
  assert(headsBytes() == 0 || headsKept == memtableStreams(memtableAt(0)));
  headsKept = 0;
  memtableDrop();
}

/** Streams, durable or not. */
export function streamCount(): u64 {
  let count: u64 = 0;
  for (let i: u32 = 0; i < runCount; i++) count += runNewStreams(runAt(i));
  for (let i: u32 = 0; i < memtableCount; i++) count += memtableNewStreams(memtableAt(i));
  return count;
}
