// Reads: from an id to its event, and from a range of versions or sequences to a row of event replies.
// A scan stops where a block of the log is missing and goes on when the shell has loaded it.
import { CORRUPT, DONE, NEED_OUTPUT } from "./status";
import { durablePosition } from "./batch";
import { foundFrame, frameAt } from "./cache";
import {
  defaultKey, viewEvent, viewEventId, viewPosition, viewSequence, viewStream, viewStreamSize, viewVersion,
} from "./event";
import { hash, hashHigh, hashLow } from "./hash";
import { listCount, listGet } from "./list";
import { eventReply, eventReplyMax } from "./resp";
import {
  STREAM_LIST, eventIdFind, eventIdPosition, partitionList, placeIndex, placeOffset, streamFind, streamFirstVersion, streamKey,
  visibleCount,
} from "./tables";
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

/** Index in the list of the next event, of the range's end, and of where COUNT stops. */
export let scanAt: u32 = 0;
export let scanEnd: u32 = 0;
export let scanStop: u32 = 0;
let scanList: usize = 0;
let scanFirst: u64 = 0;
let scanStream: usize = 0;
let scanStreamSize: usize = 0;
/** Where the last event written by `scanRun` ended. */
export let scanTail: usize = 0;
/** Bytes of output that the next event needs (NEED_OUTPUT). */
export let scanNeeded: usize = 0;

/** Begins a scan of a stream's versions `from` to `to`, `count` events at the most. */
export function scanOpenStream(stream: usize, size: usize, key: usize, from: f64, to: f64, count: f64): void {
  scanStream = stream;
  scanStreamSize = size;
  const entry = visibleStream(stream, size, key);
  if (entry == 0) openEmpty();
  else openList(entry + STREAM_LIST, streamFirstVersion(entry), from, to, count);
}

/** Begins a scan of a partition's sequences. */
export function scanOpenPartition(partition: u32, from: f64, to: f64, count: f64): void {
  scanStreamSize = 0;
  openList(partitionList(partition), 0, from, to, count);
}

function openEmpty(): void {
  scanAt = scanEnd = scanStop = 0;
}

function openList(list: usize, first: u64, from: f64, to: f64, count: f64): void {
  const visible = visibleCount(list, durablePosition);
  assert(visible <= listCount(list));
  scanList = list;
  scanFirst = first;
  const last = <f64>first + visible - 1;
  const begin = max(from, <f64>first);
  const end = min(to, last);
  if (begin > end) {
    openEmpty();
    return;
  }
  scanAt = <u32>(begin - <f64>first);
  scanEnd = <u32>(end - <f64>first) + 1;
  scanStop = <u32>min(<f64>scanAt + count, <f64>scanEnd);
}

/**
 * Writes the replies of the scan's next events from `out` on, whose area ends at `outEnd`; stops after
 * `bytesMax`, but never before the first event. `isFirst`: nothing of this scan was written yet.
 */
export function scanRun(out: usize, outEnd: usize, bytesMax: usize, isFirst: bool, isResp3: bool, withPosition: bool): i32 {
  const start = out;
  scanTail = out;
  while (scanAt < scanStop) {
    const status = show(listGet(scanList, scanAt));
    if (status != DONE) return status;
    if (!isScanned()) return CORRUPT;
    const needed = eventReplyMax();
    if (out + needed > outEnd) {
      scanNeeded = needed;
      return NEED_OUTPUT;
    }
    const end = eventReply(out, isResp3, withPosition);
    if (end - start > bytesMax && !(isFirst && out == start)) {
      scanStop = scanAt;
      return DONE;
    }
    out = end;
    scanTail = out;
    scanAt++;
  }
  return DONE;
}

/** Whether the shown event is the one that the tables say. */
@inline function isScanned(): bool {
  if (scanStreamSize == 0) return viewSequence == scanFirst + scanAt;
  return viewVersion == scanFirst + scanAt && viewStreamSize == scanStreamSize &&
    memory.compare(viewStream, scanStream, scanStreamSize) == 0;
}
