// Reading the log back: at a start, to rebuild the tables and to find where the log ends; and for `verify`.
// The rule of recovery itself is in server/log/local/recovery.ts; here is what it asks of the bytes.
import {
  FRAME_ALIGNMENT, FRAME_COUNT, FRAME_CRC, FRAME_DURABLE_DISTANCE, FRAME_HEAD_SIZE, FRAME_KIND, FRAME_LENGTH, FRAME_PREVIOUS_CRC,
  KIND_END, KIND_EVENTS, KIND_MARK, KIND_MAY_SKIP, frameHeadLength, frameIsWhole, framePosition, frameRecordedAt, frameSpan,
} from "./frame";
import {
  viewClear, viewEnd, viewEvent, viewEventId, viewHash, viewOwnKey, viewPosition, viewRecordedAt, viewSequence, viewStream,
  viewStreamSize, viewTimestamp, viewVersion,
} from "./event";
import { bodyIsWhole } from "./frame-body";
import { hash, hashHigh, hashLow } from "./hash";
import { digestClear, digestEvent, digestKey, digestTimes } from "./digest";
import { TAGGED_FRAME_EVENTS_MAX } from "./run-format";
import { runAt, runCount, runTo } from "./runs";
import { timesAdd } from "./times";
import { UUID_SIZE } from "./uuid";
import {
  MEMTABLES_MAX, active, eventInsert, memtableAt, memtableCanOpen, memtableCount, memtableEnterIds, memtableFirst, memtableId,
  memtableIsFull, memtableReserve, memtableSeal, memtableStream, partitionNextSequence, partitionOf, rowInsert, streamHash,
  streamInsert, streamNext,
} from "./memtable";

/** What follows is no whole frame: an empty or a torn place. */
export const REPLAY_STOPPED: i32 = 0;
/** A frame reaches over the window's end; it has `replayNeeded` bytes. */
export const REPLAY_NEEDS_MORE: i32 = 1;
/** A whole frame that does not follow from what is before it: another CRC, position, version or sequence. */
export const REPLAY_MISFIT: i32 = 2;
/** A frame of a kind that this version does not know and must not pass over. */
export const REPLAY_UNKNOWN_KIND: i32 = 3;
/** Memory is at its limit. */
export const REPLAY_NO_MEMORY: i32 = 4;
/** The memtables are full: a run must be written before more is taken. */
export const REPLAY_FULL: i32 = 5;
/** A run's end was reached: `digestCompare` says whether the run has what the log has. Then call again. */
export const REPLAY_RUN_END: i32 = 6;

/** Where replay stands: log offset of the next frame, CRC of the frame before it, numbers so far. */
export let replayOffset: u64 = 0;
export let replayCrc: u32 = 0;
export let replayPosition: u64 = 0;
export let replayRecordedAt: u64 = 0;
/** Bytes of the frame that reaches over the window's end. */
export let replayNeeded: usize = 0;
/** Where the last frame ended, and the bytes that it took. */
let replayEnd: u64 = 0;
export let replaySpan: u32 = 0;
/** Highest log offset that a frame claims to be synced below. */
export let replayClaim: u64 = 0;
/** Kind of the last frame taken. */
export let replayLastKind: u32 = 0;

/** Goes on at a segment's first frame, after the CRC and position that its header names. */
export function replayEnter(offset: u64, crc: u32, position: u64): void {
  replayOffset = offset;
  replayCrc = crc;
  replayPosition = position;
}

/** Runs that were compared with the log; the next one is compared at its end. */
let comparedRuns: u32 = 0;
let isComparing: bool = false;

/** Compares the runs with the log, which is read from its beginning on. */
export function replayCompare(): void {
  isComparing = true;
  digestClear();
}

/**
 * Begins behind what the runs cover: events before it are checked, but known. A run is made of synced frames alone, so
 * its end is a claim like a durable mark: a log that is damaged before it has lost synced data.
 */
export function replayResume(recordedAt: u64, endOffset: u64): void {
  replayRecordedAt = recordedAt;
  replayClaim = endOffset;
}

/** The last segment is read, of which no runs are made meanwhile. */
let isLast: bool = false;

/**
 * The last segment is read next: what is in memory from now on stays there, and must be found by its id. False where memory
 * is refused.
 */
export function replayLast(): bool {
  isLast = true;
  for (let i: u32 = 0; i < memtableCount; i++) if (!memtableEnterIds(memtableAt(i))) return false;
  return true;
}

/** Takes the whole frames that follow one another from `ptr` on, which is at `replayOffset`. */
export function replayFrames(ptr: usize, size: usize): i32 {
  const end = ptr + size;
  while (ptr + FRAME_HEAD_SIZE <= end) {
    const length = frameHeadLength(ptr, replayOffset);
    if (length == 0) return REPLAY_STOPPED;
    if (ptr + length > end) {
      replayNeeded = length;
      return REPLAY_NEEDS_MORE;
    }
    if (!frameIsWhole(ptr)) return REPLAY_STOPPED;
    const status = takeFrame(ptr, length);
    if (status != REPLAY_STOPPED) return status;
    ptr += frameSpan(length);
  }
  replayNeeded = FRAME_HEAD_SIZE;
  return REPLAY_NEEDS_MORE;
}

function takeFrame(frame: usize, length: usize): i32 {
  const count: u32 = load<u16>(frame, FRAME_COUNT);
  const kind: u32 = load<u8>(frame, FRAME_KIND);
  if (load<u32>(frame, FRAME_PREVIOUS_CRC) != replayCrc || framePosition(frame) != replayPosition) return REPLAY_MISFIT;
  if (kind == KIND_EVENTS) {
    if (count == 0 || count > TAGGED_FRAME_EVENTS_MAX || !bodyIsWhole(frame, length)) return REPLAY_MISFIT;
    if (isComparing && comparedRuns < runCount && replayPosition == runTo(runAt(comparedRuns))) {
      comparedRuns++;
      return REPLAY_RUN_END;
    }
    const isKnown = replayPosition + count <= memtableFirst(memtableAt(0));
    if (!isKnown) {
      if (memtableIsFull()) {
        if (memtableCount == MEMTABLES_MAX) return REPLAY_FULL;
        if (isLast && !memtableEnterIds(active)) return REPLAY_NO_MEMORY;
        if (!memtableCanOpen()) return REPLAY_NO_MEMORY;
        memtableSeal(replayEnd, replayCrc, replaySpan, replayRecordedAt);
        return REPLAY_FULL;
      }
      if (!memtableReserve(count, 0)) return REPLAY_NO_MEMORY;
    }
    for (let i: u32 = 0; i < count; i++) {
      viewEvent(frame, i);
      if (isKnown) {
        if (isComparing) compareEvent(i);
      } else if (!takeEvent(i)) {
        return REPLAY_MISFIT;
      }
    }
    assert(viewEnd() == frame + length);
    viewClear();
    replayPosition += count;
  } else if (kind != KIND_MARK && kind != KIND_END && !(kind & KIND_MAY_SKIP)) {
    return REPLAY_UNKNOWN_KIND;
  }
  replayClaim = max(replayClaim, replayOffset - load<u32>(frame, FRAME_DURABLE_DISTANCE));
  replaySpan = <u32>frameSpan(length);
  replayOffset += replaySpan;
  replayEnd = replayOffset;
  replayCrc = load<u32>(frame, FRAME_CRC);
  replayRecordedAt = max(replayRecordedAt, frameRecordedAt(frame));
  replayLastKind = kind;
  return REPLAY_STOPPED;
}

/** Counts in the shown event, which a run covers. */
function compareEvent(index: u32): void {
  hash(viewStream, viewStreamSize);
  const place = ((replayOffset >> 3) << 16) | index;
  const low = hashLow;
  const high = hashHigh;
  digestEvent(comparedRuns, viewPosition(), place, low, high, viewVersion, viewHash, viewSequence, viewEventId);
  digestKey(low, high, viewOwnKey());
  digestTimes(comparedRuns, viewPosition(), viewTimestamp, viewRecordedAt());
}

/**
 * Enters the shown event; false where its numbers are not the next ones. Runs, and memtables that become runs, are not asked:
 * what is older was checked when it was appended, and `verify` checks it again.
 */
function takeEvent(index: u32): bool {
  hash(viewStream, viewStreamSize);
  let stream = memtableStream(active, hashLow, hashHigh);
  if (stream == 0) {
    const sealed = isLast ? sealedStream() : 0;
    if (sealed != 0 && (streamNext(sealed) != viewVersion || streamHash(sealed) != viewHash)) return false;
    stream = streamInsert(hashLow, hashHigh, viewOwnKey(), viewHash, viewVersion, viewVersion == 0);
  } else if (streamNext(stream) != viewVersion || streamHash(stream) != viewHash) {
    return false;
  }
  if (partitionNextSequence(partitionOf(viewHash)) != viewSequence) return false;
  hash(viewEventId, UUID_SIZE);
  timesAdd(viewPosition(), viewTimestamp, viewRecordedAt());
  if (!isLast) {
    rowInsert(stream, hashLow, hashHigh, replayOffset, index);
    return true;
  }
  for (let i: u32 = 0; i < memtableCount; i++) {
    if (memtableId(memtableAt(i), hashLow, hashHigh) != 0) return false;
  }
  eventInsert(stream, hashLow, hashHigh, replayOffset, index);
  return true;
}

/** The stream with the last hash in the newest of the sealed memtables that has it, or 0. */
function sealedStream(): usize {
  for (let i = memtableCount - 1; i > 0; i--) {
    const stream = memtableStream(memtableAt(i - 1), hashLow, hashHigh);
    if (stream != 0) return stream;
  }
  return 0;
}

/**
 * Looks for a whole frame at any multiple of 8, past damage too. Returns how many bytes lie before it, and
 * `replayNeeded` is 0; or how many were searched, where there is none: nothing is left then that holds a head. Where a
 * frame reaches over the window's end it has `replayNeeded` bytes, and lies at the place returned.
 */
export function findFrame(ptr: usize, size: usize, offset: u64): usize {
  let at: usize = 0;
  replayNeeded = 0;
  while (at + FRAME_HEAD_SIZE <= size) {
    if (load<u32>(ptr + at) != 0) {
      const length = frameHeadLength(ptr + at, offset + at);
      if (length != 0) {
        if (at + length > size) {
          replayNeeded = length;
          return at;
        }
        if (frameIsWhole(ptr + at)) return at;
      }
    }
    at += FRAME_ALIGNMENT;
  }
  return at;
}

/** Raises `replayClaim` to the highest claim of all frames that `findFrame` finds; returns what that does for the last. */
export function findClaims(ptr: usize, size: usize, offset: u64): usize {
  let at: usize = 0;
  while (true) {
    at += findFrame(ptr + at, size - at, offset + at);
    if (replayNeeded != 0 || at + FRAME_HEAD_SIZE > size) return at;
    replayClaim = max(replayClaim, offset + at - load<u32>(ptr + at, FRAME_DURABLE_DISTANCE));
    at = min(at + frameSpan(load<u32>(ptr + at, FRAME_LENGTH)), size);
  }
}

/** How many events a whole frame holds: none where it is of another kind, or its body is none. */
export function frameEvents(frame: usize): u32 {
  if (load<u8>(frame, FRAME_KIND) != KIND_EVENTS) return 0;
  return bodyIsWhole(frame, load<u32>(frame, FRAME_LENGTH)) ? load<u16>(frame, FRAME_COUNT) : 0;
}

/** How many bytes from `ptr` on are zero. */
export function zeroBytes(ptr: usize, size: usize): usize {
  let at = ptr;
  const end = ptr + size;
  while (at + 8 <= end && load<u64>(at) == 0) at += 8;
  while (at < end && load<u8>(at) == 0) at++;
  return at - ptr;
}
