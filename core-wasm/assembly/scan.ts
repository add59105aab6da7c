// Reads: from an id to its event, and from a range of versions, sequences or positions to a row of event replies.
// A scan stops where a block of the log is missing and goes on when the shell has loaded it. Between two turns
// it is nothing but numbers, with which the shell opens it again.
import { CORRUPT, DONE, NEED_OUTPUT, PAUSED } from "./status";
import { durablePosition } from "./batch";
import { foundFrame, frameHint, frameOf } from "./cache";
import {
  defaultKey, viewEvent, viewEventId, viewPosition, viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewVersion,
} from "./event";
import {
  filterAdmits, filterAdmitsPartition, filterAdmitsStream, filterHasTimes, filterKeyHash, filterPartition, filterSince, filterUntil, filterUse,
} from "./filter";
import { globMatches, globSteps } from "./glob";
import { hash, hashHigh, hashLow } from "./hash";
import { eventWriteInRow, eventWriteMax } from "./encoding";
import { NAME_REPLY_FIXED_MAX, nameReply } from "./resp";
import {
  durablePlace, eventIdFind, foundPlace, headKey, headNext, placeIndex, placeOf, placeOffset, positionOf, streamFindVisible,
} from "./lookup";
import {
  piecesBelow, piecesCount, piecesFirst, piecesHint, piecesMayHaveHash, piecesOfOrder, piecesOfPartition, piecesOfStream, piecesPlace, piecesPosition,
  piecesRefuse,
} from "./pieces";
import { rowBegin, rowEnd } from "./row-keys";
import { stretchAfter, stretchBefore, stretchOf, stretchStart, stretchesRecordedBy } from "./times";
import { UUID_SIZE, uuidEquals } from "./uuid";

// ── single values ─────────────────────────────────────────────────────────────────────────────────

/** Whether the stream can be seen under this key (0: any key); `headNext` is then behind its last version. */
function seesStream(stream: usize, size: usize, key: usize): bool {
  hash(stream, size);
  if (!streamFindVisible(hashLow, hashHigh)) return false;
  return key == 0 || uuidEquals(headKey != 0 ? headKey : defaultKey(stream, size), key);
}

/** The stream's current version, or -1 where it has no (visible) event under this key. */
export function streamVersion(stream: usize, size: usize, key: usize): f64 {
  return seesStream(stream, size, key) ? <f64>headNext - 1 : -1;
}

/** The partition key of a stream that exists, as 16 bytes. */
export function streamKeyOf(stream: usize, size: usize): usize {
  const exists = seesStream(stream, size, 0);
  assert(exists);
  return headKey != 0 ? headKey : defaultKey(stream, size);
}

/** The partition's last sequence, or -1. */
export function partitionSequence(partition: u32): f64 {
  piecesOfPartition(partition);
  return <f64>(piecesFirst + piecesCount) - 1;
}

/** Finds the event with this id; false where there is none to be seen. `showFound` shows it. */
export function findEvent(id: usize): bool {
  hash(id, UUID_SIZE);
  return eventIdFind(hashLow, hashHigh) && foundPlace < durablePlace();
}

/** Shows the event that `findEvent` found, which must have this id. */
export function showFound(id: usize): i32 {
  const found = showPlace(foundPlace);
  if (found != DONE) return found;
  return uuidEquals(id, viewEventId) ? DONE : CORRUPT;
}

/** Shows the event at a position. */
export function showEvent(position: f64): i32 {
  return show(<u64>position);
}

function show(position: u64): i32 {
  const status = showPlace(placeOf(position));
  if (status != DONE) return status;
  return viewPosition() == position ? DONE : CORRUPT;
}

function showPlace(place: u64): i32 {
  const status = frameOf(place);
  if (status != DONE) return status;
  viewEvent(foundFrame, placeIndex(place));
  return DONE;
}

// ── ranges ────────────────────────────────────────────────────────────────────────────────────────

const OF_STREAM: u32 = 0;
const OF_PARTITION: u32 = 1;
const OF_LOG: u32 = 2;

/**
 * Indexes of the next event, of where the range ends and of where COUNT stops: in the pieces, or, in the whole log,
 * positions. Newest first they go down, and both ends lie one below the last.
 */
export let scanAt: i64 = 0;
export let scanEnd: i64 = 0;
export let scanStop: i64 = 0;
let scanStep: i64 = 1;
/** What the scan's numbers are. */
let scanKind: u32 = OF_STREAM;
/** Whether the index is one of the pieces; else it is the position. */
let inPieces: bool = false;
/** The number of the first event, where numbers are not positions. */
let scanFirst: u64 = 0;
/** In pieces whose numbers are positions: where to go on, before anything was examined and after what was. */
let nextExamined: f64 = 0;
/** The events before the index were passed over since: it says more than `nextExamined`. */
let hasPassed: bool = false;
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
  isFiltered = hasPassed = false;
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
  hasPassed = false;
  filterUse(program);
}

/** Opens a scan of a stream's versions `from` to `to`, `count` events at the most. */
export function scanOpenStream(
  stream: usize, size: usize, key: usize, from: f64, to: f64, count: f64, isReverse: bool,
): void {
  scanKind = OF_STREAM;
  scanStream = stream;
  scanStreamSize = size;
  if (!seesStream(stream, size, key)) {
    inPieces = true;
    openNumbers(0, 0, 0, from, to, count, isReverse);
    return;
  }
  const admits = !isFiltered || filterAdmitsStream(headKey, stream, size);
  hash(stream, size);
  piecesOfStream(hashLow, hashHigh);
  openPieces(admits, from, to, count, isReverse);
  if (!isFiltered) readAhead();
}

/** Opens a scan of a partition's sequences. */
export function scanOpenPartition(partition: u32, from: f64, to: f64, count: f64, isReverse: bool): void {
  scanKind = OF_PARTITION;
  piecesOfPartition(partition);
  openPieces(!isFiltered || filterAdmitsPartition(partition), from, to, count, isReverse);
}

/** Opens the numbers of the pieces; without `admits` none of them has to be looked at. */
function openPieces(admits: bool, from: f64, to: f64, count: f64, isReverse: bool): void {
  inPieces = true;
  openNumbers(piecesFirst, piecesBelow(snapshot), admits ? piecesBelow(lookEnd) : 0, from, to, count, isReverse);
}

/** Opens a scan of positions; where a filter admits one partition only, its events alone are looked at. */
export function scanOpenLog(from: f64, to: f64, count: f64, isReverse: bool): void {
  scanKind = OF_LOG;
  const partition = isFiltered ? filterPartition() : -1;
  if (partition < 0) {
    inPieces = false;
    openNumbers(0, snapshot, lookEnd, from, to, count, isReverse);
    return;
  }
  inPieces = true;
  nextExamined = isReverse ? to : from;
  piecesOfPartition(partition);
  setBeyond(<f64>snapshot - 1, from, to, isReverse);
  const low = belowNumber(from);
  const end = min(belowNumber(to + 1), filterAdmitsPartition(partition) ? piecesBelow(lookEnd) : 0);
  openIndexes(low, end, count, isReverse);
}

/** Events of a scan whose places are known before it begins, and which the disk then reads several of at a time. */
const READ_AHEAD_EVENTS: u64 = 32;

/** The events of a stream lie anywhere in the log, and what says where anywhere in the runs. */
function readAhead(): void {
  const count = min<u64>(<u64>((scanStop - scanAt) * scanStep), READ_AHEAD_EVENTS);
  if (count < 2) return;
  for (let i: u64 = 0; i < count; i++) piecesHint(<u64>(scanAt + <i64>i * scanStep));
  for (let i: u64 = 0; i < count; i++) frameHint(placeOffset(piecesPlace(<u64>(scanAt + <i64>i * scanStep))));
}

/** How many events of the pieces lie below a position that a request names. */
@inline function belowNumber(position: f64): u64 {
  return piecesBelow(<u64>min(position, <f64>durablePosition));
}

/**
 * Opens the numbers `from` to `to` of events of which the first has number `first`: `seen` of them can be seen, and
 * `looked` of them have to be looked at.
 */
function openNumbers(first: u64, seen: u64, looked: u64, from: f64, to: f64, count: f64, isReverse: bool): void {
  scanFirst = first;
  setBeyond(<f64>(first + seen) - 1, from, to, isReverse);
  const begin = max(from, <f64>first);
  const end = min(to, <f64>(first + looked) - 1);
  if (begin > end) openIndexes(0, 0, count, isReverse);
  else openIndexes(<u64>(begin - <f64>first), <u64>(end - <f64>first) + 1, count, isReverse);
}

/** What follows a range that was examined to its end, where `last` is the last number that can be seen. */
function setBeyond(last: f64, from: f64, to: f64, isReverse: bool): void {
  scanBeyond = isReverse || from > to || to <= last ? -1 : max(from, last + 1);
}

/** Opens the indexes from `low` on, below `end`. */
function openIndexes(low: u64, end: u64, count: f64, isReverse: bool): void {
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

/** Bytes of the log between the first event and the last of a scan of positions, as far as COUNT goes. */
export function scanLogBytes(): f64 {
  assert(scanKind == OF_LOG && !inPieces);
  if (scanAt == scanStop) return 0;
  const first = placeOffset(placeOf(<u64>scanAt));
  const last = placeOffset(placeOf(<u64>(scanStop - scanStep)));
  return <f64>(max(first, last) - min(first, last));
}

/** Shows the scan's next event. */
@inline function showNext(): i32 {
  return inPieces ? showPlace(piecesPlace(<u64>scanAt)) : show(<u64>scanAt);
}

/** The number at which a scan goes on, or -1 where there is nothing more to come of its range. */
export function scanNext(): f64 {
  if (scanAt == scanEnd) return scanBeyond;
  if (scanKind == OF_LOG && hasPassed) keepOrder(<f64>positionOf(piecesPlace(<u64>scanAt)));
  if (scanKind == OF_LOG) return inPieces ? nextExamined : <f64>scanAt;
  return <f64>(scanFirst + scanAt);
}

/**
 * Writes the positions of the scan's next events, `most` at the most, and passes them; returns how many. It goes forwards, and
 * leaves out what the filter's times are known not to match.
 */
export function scanPositions(out: usize, most: u32): u32 {
  assert(scanStep > 0);
  let count: u32 = 0;
  while (count < most && scanAt != scanEnd) {
    const position = inPieces ? positionOf(piecesPlace(<u64>scanAt)) : <u64>scanAt;
    if (inPieces && scanKind == OF_LOG) keepOrder(<f64>position);
    if (isFiltered && filterHasTimes() && passStretches(position)) continue;
    store<f64>(out + ((<usize>count) << 3), <f64>position);
    count++;
    scanAt++;
    nextExamined = <f64>position + 1;
  }
  return count;
}

/** The version of the stream's first visible event at a position or beyond it, or its next version. */
export function streamVersionFrom(stream: usize, size: usize, key: usize, position: f64): f64 {
  if (!seesStream(stream, size, key)) return 0;
  hash(stream, size);
  piecesOfStream(hashLow, hashHigh);
  return <f64>(piecesFirst + belowNumber(position));
}

/** The sequence of the partition's first visible event at a position or beyond it, or its next sequence. */
export function partitionSequenceFrom(partition: u32, position: f64): f64 {
  piecesOfPartition(partition);
  return <f64>(piecesFirst + belowNumber(position));
}

/**
 * Writes the replies of the scan's next events from `out` on, whose area ends at `outEnd`; stops after
 * `bytesMax`, but never before the first event. `isFirst`: nothing of this scan was written yet.
 */
export function scanRun(out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, encoding: u32): i32 {
  rowBegin();
  const status = runAll(out, outEnd, bytesMax, isFirst, encoding);
  rowEnd();
  return status;
}

function runAll(out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, encoding: u32): i32 {
  const start = out;
  scanTail = out;
  while (scanAt != scanStop) {
    const status = showNext();
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
  rowBegin();
  const status = runFiltered(out, outEnd, bytesMax, isFirst, encoding, wanted, work);
  rowEnd();
  return status;
}

function runFiltered(
  out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, encoding: u32, wanted: f64, work: u32,
): i32 {
  const start = out;
  const steps = globSteps;
  const keyHash = inPieces && scanKind != OF_STREAM ? filterKeyHash() : -1;
  let passed: u32 = 0;
  scanTail = out;
  scanWritten = 0;
  scanExamined = 0;
  while (scanAt != scanEnd) {
    if (!inPieces && filterHasTimes() && passStretches(scanAt)) continue;
    const workLeft = <i64>work - scanExamined - ((globSteps - steps) >> GLOB_STEPS_SHIFT) - (passed >> PASSED_SHIFT);
    if (workLeft <= 0) return PAUSED;
    if (keyHash >= 0) {
      const count = passOtherKeys(keyHash, <u32>workLeft << PASSED_SHIFT);
      passed += count;
      if (count > 0) continue;
    }
    const status = showNext();
    if (status != DONE) return status;
    if (!isScanned()) return CORRUPT;
    if (inPieces && scanKind == OF_LOG) keepOrder(<f64>viewPosition());
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
    } else if (inPieces && filterHasTimes() && passStretches(viewPosition())) {
      scanExamined++;
      continue;
    }
    scanExamined++;
    scanAt += scanStep;
    nextExamined += <f64>scanStep;
  }
  return DONE;
}

/** Events that are passed over without being read count as much as looking at one. */
const PASSED_SHIFT: u32 = 5;

/** Passes over events of a partition, `most` at the most, that have another key; returns how many. */
function passOtherKeys(keyHash: u32, most: u32): u32 {
  let count: u32 = 0;
  while (scanAt != scanEnd && count < most && !piecesMayHaveHash(<u64>scanAt, keyHash)) {
    scanAt += scanStep;
    count++;
  }
  if (count > 0) hasPassed = true;
  return count;
}

/** A scan in pieces that is told in positions is at this one; out of order it could go on without end. */
@inline function keepOrder(position: f64): void {
  if (scanStep > 0 ? position < nextExamined : position > nextExamined) piecesRefuse(<u64>scanAt);
  nextExamined = position;
  hasPassed = false;
}

/** Bytes of patterns that count as much as looking at an event. */
const GLOB_STEPS_SHIFT: u32 = 6;

/** Passes over the stretches of positions whose times cannot match; false where the stretch of this one can. */
function passStretches(position: u64): bool {
  const stretch = stretchOf(position);
  if (stretch == checkedStretch) return false;
  if (scanStep > 0) {
    const next = stretchAfter(stretch, filterSince, filterUntil);
    checkedStretch = next;
    if (next == stretch) return false;
    scanAt = min(indexFrom(stretchStart(next)), scanEnd);
    nextExamined = <f64>stretchStart(next);
  } else {
    const next = stretchBefore(stretch, filterSince, filterUntil);
    checkedStretch = next;
    if (next == stretch) return false;
    scanAt = max(indexFrom(stretchStart(next + 1)) - 1, scanEnd);
    nextExamined = <f64>stretchStart(next + 1) - 1;
  }
  return true;
}

/** Index of the scan's first event at a position or beyond it. */
@inline function indexFrom(position: u64): i64 {
  return inPieces ? <i64>piecesBelow(position) : <i64>position;
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
let streamAt: u64 = 0;
let streamEnd: u64 = 0;
/** The next stream's first event lies here or beyond: out of order, a walk would not end. */
let streamFrom: u64 = 0;
/** Stream ids that the last `streamsRun` wrote, and looked at. */
export let streamsWritten: u32 = 0;
export let streamsExamined: u32 = 0;

/** Begins with the first stream whose first event is at position `cursor` or beyond it. */
export function streamsOpen(cursor: f64): void {
  piecesOfOrder();
  streamEnd = piecesCount;
  streamAt = belowNumber(cursor);
  streamFrom = <u64>cursor;
}

/** Position of the next stream's first event. */
function streamPosition(): u64 {
  const position = piecesPosition(streamAt);
  if (position < streamFrom) piecesRefuse(streamAt);
  return position;
}

/** The cursor with which to go on, or 0 where all streams were passed. */
export function streamsCursor(): f64 {
  return streamAt == streamEnd ? 0 : <f64>streamPosition();
}

/** Writes the ids that match (all, where the pattern is at 0), `wanted` at the most; PAUSED after `work`. */
export function streamsRun(out: usize, outEnd: usize, pattern: usize, patternSize: usize, wanted: f64, work: u32): i32 {
  const steps = globSteps;
  scanTail = out;
  streamsWritten = 0;
  streamsExamined = 0;
  while (streamAt < streamEnd && <f64>streamsWritten < wanted) {
    if (streamsExamined + ((globSteps - steps) >> GLOB_STEPS_SHIFT) >= work) return PAUSED;
    const position = streamPosition();
    const status = show(position);
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
    streamFrom = position + 1;
  }
  return DONE;
}
