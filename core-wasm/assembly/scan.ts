// Reads: from an id to its event, and from a range of versions, sequences or positions to a row of event replies.
// A scan stops where a block of the log is missing and goes on when the shell has loaded it. Between two turns
// it is nothing but numbers, with which the shell opens it again.
import { CORRUPT, DONE, NEED_OUTPUT, PAUSED } from "./status";
import { durablePosition } from "./batch";
import { foundFrame, frameAt } from "./cache";
import {
  defaultKey, viewEvent, viewEventId, viewPosition, viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewVersion,
} from "./event";
import { eventWriteInRow, eventWriteMax } from "./encoding";
import {
  filterAdmits, filterAdmitsPartition, filterAdmitsStream, filterHasTimes, filterPartition, filterSince, filterUntil, filterUse,
} from "./filter";
import { globMatches, globSteps } from "./glob";
import { hash, hashHigh, hashLow } from "./hash";
import { listCount, listCountBelow, listGet } from "./list";
import { NAME_REPLY_FIXED_MAX, nameReply } from "./resp";
import {
  STREAM_LIST, eventIdFind, eventIdPosition, partitionList, placeIndex, placeOffset, streamFind, streamFirstVersion, streamKey,
  streamOrder, visibleCount,
} from "./tables";
import { stretchAfter, stretchBefore, stretchOf, stretchStart, stretchesRecordedBy } from "./times";
import { UUID_SIZE, uuidEquals } from "./uuid";

// ── single values ─────────────────────────────────────────────────────────────────────────────────

/** The stream's entry where it can be seen under this key (0: any key), or 0. */
function visibleStream(stream: usize, size: usize, key: usize): usize {
  hash(stream, size);
  const entry = streamFind(hashLow, hashHigh);
  if (entry == 0 || visibleCount(entry + STREAM_LIST, durablePosition) == 0) return 0;
  if (key == 0) return entry;
  const own = streamKey(entry) != 0 ? streamKey(entry) : defaultKey(stream, size);
  return uuidEquals(own, key) ? entry : 0;
}

/** The stream's current version, or -1 where it has no (visible) event under this key. */
export function streamVersion(stream: usize, size: usize, key: usize): f64 {
  const entry = visibleStream(stream, size, key);
  if (entry == 0) return -1;
  return <f64>(streamFirstVersion(entry) + visibleCount(entry + STREAM_LIST, durablePosition)) - 1;
}

/** The partition key of a stream that exists, as 16 bytes. */
export function streamKeyOf(stream: usize, size: usize): usize {
  const entry = visibleStream(stream, size, 0);
  assert(entry != 0);
  return streamKey(entry) != 0 ? streamKey(entry) : defaultKey(stream, size);
}

/** The partition's last sequence, or -1. */
export function partitionSequence(partition: u32): f64 {
  return <f64>visibleCount(partitionList(partition), durablePosition) - 1;
}

/** The position of the event with this id, or -1. */
export function eventPosition(id: usize): f64 {
  hash(id, UUID_SIZE);
  const entry = eventIdFind(hashLow, hashHigh);
  if (entry == 0) return -1;
  const position = eventIdPosition(entry);
  return position < durablePosition ? <f64>position : -1;
}

/** Shows the event at a position; `id`, where it is not 0, must be its id. */
export function showEvent(position: f64, id: usize): i32 {
  const found = show(<u64>position);
  if (found != DONE) return found;
  return id == 0 || uuidEquals(id, viewEventId) ? DONE : CORRUPT;
}

function show(position: u64): i32 {
  const status = frameAt(placeOffset(position));
  if (status != DONE) return status;
  viewEvent(foundFrame, placeIndex(position));
  return viewPosition() == position ? DONE : CORRUPT;
}

// ── ranges ────────────────────────────────────────────────────────────────────────────────────────

const OF_STREAM: u32 = 0;
const OF_PARTITION: u32 = 1;
const OF_LOG: u32 = 2;

/**
 * Indexes of the next event, of where the range ends and of where COUNT stops: in a list, or, in the whole log,
 * positions. Newest first they go down, and both ends lie one below the last.
 */
export let scanAt: i64 = 0;
export let scanEnd: i64 = 0;
export let scanStop: i64 = 0;
let scanStep: i64 = 1;
/** What the scan's numbers are. */
let scanKind: u32 = OF_STREAM;
/** Positions of the events; 0 where the index is the position. */
let scanList: usize = 0;
/** The number of the list's first event, where numbers are not positions. */
let scanFirst: u64 = 0;
let scanStream: usize = 0;
let scanStreamSize: usize = 0;
/** The number to go on with once all of the range is examined, or -1 where its end was reached for good. */
let scanBeyond: f64 = -1;
/** Where the last event written by `scanRun` ended. */
export let scanTail: usize = 0;
/** Bytes of output that the next event needs (NEED_OUTPUT). */
export let scanNeeded: usize = 0;

/** What the next scan is opened with: a filter, and the positions below which it sees and looks at events. */
let isFiltered: bool = false;
let snapshot: u64 = 0;
let lookEnd: u64 = 0;
/** The last stretch of positions that was held against the filter's times. */
let checkedStretch: i64 = -1;
/** Events that the last `scanFiltered` wrote, and looked at. */
export let scanWritten: u32 = 0;
export let scanExamined: u32 = 0;

/** The next scan takes all events. */
export function scanTakeAll(): void {
  isFiltered = false;
  snapshot = lookEnd = durablePosition;
}

/**
 * The next scan takes what the filter's program matches, of the events below position `seen`; those from
 * `asOfEnd` on are known not to match. The program stays in use until another one is taken.
 */
export function scanTakeMatching(program: usize, seen: f64, asOfEnd: f64): void {
  isFiltered = true;
  snapshot = <u64>seen;
  assert(snapshot <= durablePosition);
  lookEnd = min(snapshot, <u64>asOfEnd);
  checkedStretch = -1;
  filterUse(program);
}

/** Opens a scan of a stream's versions `from` to `to`, `count` events at the most. */
export function scanOpenStream(
  stream: usize, size: usize, key: usize, from: f64, to: f64, count: f64, isReverse: bool,
): void {
  scanKind = OF_STREAM;
  scanStream = stream;
  scanStreamSize = size;
  const entry = visibleStream(stream, size, key);
  if (entry == 0) {
    openNumbers(0, 0, 0, 0, from, to, count, isReverse);
    return;
  }
  const list = entry + STREAM_LIST;
  const admits = !isFiltered || filterAdmitsStream(entry, stream, size);
  openNumbers(list, streamFirstVersion(entry), countBelow(list, snapshot), admits ? countBelow(list, lookEnd) : 0, from, to, count, isReverse);
}

/** Opens a scan of a partition's sequences. */
export function scanOpenPartition(partition: u32, from: f64, to: f64, count: f64, isReverse: bool): void {
  scanKind = OF_PARTITION;
  const list = partitionList(partition);
  const admits = !isFiltered || filterAdmitsPartition(partition);
  openNumbers(list, 0, countBelow(list, snapshot), admits ? countBelow(list, lookEnd) : 0, from, to, count, isReverse);
}

/** Opens a scan of positions; where a filter admits one partition only, its events alone are looked at. */
export function scanOpenLog(from: f64, to: f64, count: f64, isReverse: bool): void {
  scanKind = OF_LOG;
  const partition = isFiltered ? filterPartition() : -1;
  if (partition < 0) {
    openNumbers(0, 0, snapshot, lookEnd, from, to, count, isReverse);
    return;
  }
  const list = partitionList(partition);
  setBeyond(<f64>snapshot - 1, from, to, isReverse);
  const low = countBelow(list, positionBound(from));
  const end = min(countBelow(list, positionBound(to + 1)), filterAdmitsPartition(partition) ? countBelow(list, lookEnd) : 0);
  openIndexes(list, low, end, count, isReverse);
}

/** A number of a request as a bound of positions, which are below 2^32 while they lie in memory. */
@inline function positionBound(number: f64): u64 {
  return <u64>min(number, <f64>u32.MAX_VALUE);
}

/** Events of a list below a position. */
@inline function countBelow(list: usize, position: u64): u64 {
  return visibleCount(list, position);
}

/**
 * Opens the numbers `from` to `to` of a list whose first event has number `first`: `seen` of its events can be
 * seen, and `looked` of them have to be looked at.
 */
function openNumbers(list: usize, first: u64, seen: u64, looked: u64, from: f64, to: f64, count: f64, isReverse: bool): void {
  scanFirst = first;
  setBeyond(<f64>(first + seen) - 1, from, to, isReverse);
  const begin = max(from, <f64>first);
  const end = min(to, <f64>(first + looked) - 1);
  if (begin > end) openIndexes(list, 0, 0, count, isReverse);
  else openIndexes(list, <u64>(begin - <f64>first), <u64>(end - <f64>first) + 1, count, isReverse);
}

/** What follows a range that was examined to its end, where `last` is the last number that can be seen. */
function setBeyond(last: f64, from: f64, to: f64, isReverse: bool): void {
  scanBeyond = isReverse || from > to || to <= last ? -1 : max(from, last + 1);
}

/** Opens the indexes from `low` on, below `end`. */
function openIndexes(list: usize, low: u64, end: u64, count: f64, isReverse: bool): void {
  scanList = list;
  if (low >= end) low = end = 0;
  if (isReverse) {
    scanStep = -1;
    scanAt = <i64>end - 1;
    scanEnd = <i64>low - 1;
    scanStop = <i64>max(<f64>scanAt - count, <f64>scanEnd);
  } else {
    scanStep = 1;
    scanAt = <i64>low;
    scanEnd = <i64>end;
    scanStop = <i64>min(<f64>scanAt + count, <f64>scanEnd);
  }
}

@inline function positionAt(index: i64): u64 {
  return scanList == 0 ? <u64>index : <u64>listGet(scanList, <u32>index);
}

/** The number at which a scan goes on, or -1 where there is nothing more to come of its range. */
export function scanNext(): f64 {
  if (scanAt == scanEnd) return scanBeyond;
  return scanKind == OF_LOG ? <f64>positionAt(scanAt) : <f64>(scanFirst + scanAt);
}

/** Writes the positions of the scan's next events, `most` at the most, and passes them; returns how many. */
export function scanPositions(out: usize, most: u32): u32 {
  let count: u32 = 0;
  while (count < most && scanAt != scanEnd) {
    if (isFiltered && filterHasTimes() && passStretches()) continue;
    store<f64>(out + ((<usize>count) << 3), <f64>positionAt(scanAt));
    count++;
    scanAt += scanStep;
  }
  return count;
}

/** The version of the stream's first visible event at a position or beyond it, or its next version. */
export function streamVersionFrom(stream: usize, size: usize, key: usize, position: f64): f64 {
  const entry = visibleStream(stream, size, key);
  if (entry == 0) return 0;
  return <f64>(streamFirstVersion(entry) + countBelow(entry + STREAM_LIST, min(positionBound(position), durablePosition)));
}

/** The sequence of the partition's first visible event at a position or beyond it, or its next sequence. */
export function partitionSequenceFrom(partition: u32, position: f64): f64 {
  return <f64>countBelow(partitionList(partition), min(positionBound(position), durablePosition));
}

/**
 * Writes the replies of the scan's next events from `out` on, whose area ends at `outEnd`; stops after
 * `bytesMax`, but never before the first event. `isFirst`: nothing of this scan was written yet.
 */
export function scanRun(out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, encoding: u32): i32 {
  const start = out;
  scanTail = out;
  while (scanAt != scanStop) {
    const status = show(positionAt(scanAt));
    if (status != DONE) return status;
    if (!isScanned()) return CORRUPT;
    const needed = eventWriteMax(encoding);
    if (out + needed > outEnd) {
      scanNeeded = needed;
      return NEED_OUTPUT;
    }
    const end = eventWriteInRow(out, encoding);
    if (end - start > bytesMax && !(isFirst && out == start)) {
      scanStop = scanAt;
      return DONE;
    }
    out = end;
    scanTail = out;
    scanAt += scanStep;
  }
  return DONE;
}

/** Whether the shown event is the one that the tables say. */
@inline function isScanned(): bool {
  if (scanKind == OF_LOG) return true;
  if (scanKind == OF_PARTITION) return viewSequence == scanFirst + scanAt;
  return viewVersion == scanFirst + scanAt && viewStreamSize == scanStreamSize &&
    memory.compare(viewStream, scanStream, scanStreamSize) == 0;
}

/**
 * The same for a scan of what matches, `wanted` events at the most: it then looks for one more, so that where it
 * stands says whether there is one. PAUSED after `work`, in events and as much again for costly patterns.
 */
export function scanFiltered(
  out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, encoding: u32, wanted: f64, work: u32,
): i32 {
  const start = out;
  const steps = globSteps;
  scanTail = out;
  scanWritten = 0;
  scanExamined = 0;
  while (scanAt != scanEnd) {
    if (filterHasTimes() && passStretches()) continue;
    if (scanExamined + ((globSteps - steps) >> GLOB_STEPS_SHIFT) >= work) return PAUSED;
    const status = show(positionAt(scanAt));
    if (status != DONE) return status;
    if (!isScanned()) return CORRUPT;
    if (filterAdmits()) {
      if (<f64>scanWritten >= wanted) return DONE;
      const needed = eventWriteMax(encoding);
      if (out + needed > outEnd) {
        scanNeeded = needed;
        return NEED_OUTPUT;
      }
      const end = eventWriteInRow(out, encoding);
      if (end - start > bytesMax && !(isFirst && out == start)) return DONE;
      out = end;
      scanTail = out;
      scanWritten++;
    }
    scanExamined++;
    scanAt += scanStep;
  }
  return DONE;
}

/** Bytes of patterns that count as much as looking at an event. */
const GLOB_STEPS_SHIFT: u32 = 6;

/** Passes over the stretches of positions whose times cannot match; false where the next event's stretch can. */
function passStretches(): bool {
  const position = positionAt(scanAt);
  const stretch = stretchOf(position);
  if (stretch == checkedStretch) return false;
  if (scanStep > 0) {
    const next = stretchAfter(stretch, filterSince, filterUntil);
    checkedStretch = next;
    if (next == stretch) return false;
    scanAt = min(indexFrom(stretchStart(next)), scanEnd);
  } else {
    const next = stretchBefore(stretch, filterSince, filterUntil);
    checkedStretch = next;
    if (next == stretch) return false;
    scanAt = max(indexFrom(stretchStart(next + 1)) - 1, scanEnd);
  }
  return true;
}

/** Index of the scan's first event at a position or beyond it. */
@inline function indexFrom(position: u64): i64 {
  return scanList == 0 ? <i64>position : <i64>listCountBelow(scanList, <u32>min<u64>(position, u32.MAX_VALUE));
}

// ── recorded_at ───────────────────────────────────────────────────────────────────────────────────

/** After `asOfSearch`: the position before which all events were recorded by then. */
export let asOfPosition: u64 = 0;
/** The search's time, and the positions that are left: where it goes on once a block is loaded. */
let asOfTime: u64 = 0;
let asOfLow: u64 = 0;
let asOfHigh: u64 = 0;

/** Begins the search for the first position whose event was recorded after `asOf`. */
export function asOfOpen(asOf: f64): void {
  asOfTime = <u64>asOf;
  const stretches = stretchesRecordedBy(asOfTime);
  asOfLow = stretches == 0 ? 0 : stretchStart(stretches - 1) + 1;
  asOfHigh = min(stretchStart(stretches), durablePosition);
}

/**
 * Searches among the events of one stretch. A damaged event counts as recorded by then: the scan meets it and
 * says so, and looks at the times of the others itself.
 */
export function asOfSearch(): i32 {
  while (asOfLow < asOfHigh) {
    const middle = (asOfLow + asOfHigh) >> 1;
    const status = show(middle);
    if (status != DONE && status != CORRUPT) return status;
    if (status == CORRUPT || viewRecordedAt() <= asOfTime) asOfLow = middle + 1;
    else asOfHigh = middle;
  }
  asOfPosition = min(asOfLow, durablePosition);
  return DONE;
}

// ── the streams' ids ──────────────────────────────────────────────────────────────────────────────

/** Index of the next stream in the order in which they came. */
let streamAt: u32 = 0;
let streamEnd: u32 = 0;
/** Stream ids that the last `streamsRun` wrote, and looked at. */
export let streamsWritten: u32 = 0;
export let streamsExamined: u32 = 0;

/** Begins with the first stream whose first event is at position `cursor` or beyond it. */
export function streamsOpen(cursor: f64): void {
  streamEnd = visibleCount(streamOrder, durablePosition);
  streamAt = min(listCountBelow(streamOrder, <u32>positionBound(cursor)), streamEnd);
}

/** The cursor with which to go on, or 0 where all streams were passed. */
export function streamsCursor(): f64 {
  return streamAt == streamEnd ? 0 : <f64>listGet(streamOrder, streamAt);
}

/** Writes the ids that match (all, where the pattern is at 0), `wanted` at the most; PAUSED after `work`. */
export function streamsRun(out: usize, outEnd: usize, pattern: usize, patternSize: usize, wanted: f64, work: u32): i32 {
  const steps = globSteps;
  scanTail = out;
  streamsWritten = 0;
  streamsExamined = 0;
  while (streamAt < streamEnd && <f64>streamsWritten < wanted) {
    if (streamsExamined + ((globSteps - steps) >> GLOB_STEPS_SHIFT) >= work) return PAUSED;
    const status = show(listGet(streamOrder, streamAt));
    if (status != DONE) return status;
    if (pattern == 0 || globMatches(pattern, patternSize, viewStream, viewStreamSize)) {
      const needed = NAME_REPLY_FIXED_MAX + viewStreamSize;
      if (out + needed > outEnd) {
        scanNeeded = needed;
        return NEED_OUTPUT;
      }
      out = nameReply(out, viewStream, viewStreamSize);
      scanTail = out;
      streamsWritten++;
    }
    streamsExamined++;
    streamAt++;
  }
  return DONE;
}
