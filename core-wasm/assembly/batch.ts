// Encoded transactions that are not durable yet: one batch is filled while another one may be written and
// synced. Both lie one after the other in the log, and end where the log ends.
//
//   … durable │ in flight │ filling │ ← logOffset, where the next frame will lie
import { allocate, areaSize, release } from "./memory";
import { FRAME_HEAD_SIZE, KIND_END, frameClose, frameOpen, frameSpan } from "./frame";

/** Room that is kept in every segment, so that an orderly stop can always write its end frame. */
export const END_FRAME_SPAN: usize = (FRAME_HEAD_SIZE + 7) & ~7;
const BATCH_SIZE_MIN: usize = 1 << 18;
/** A batch's area is given back after a batch that needed more than this. */
const BATCH_SIZE_KEPT: usize = 1 << 22;

export let fillPtr: usize = 0;
export let fillLength: usize = 0;
let fillCapacity: usize = 0;
export let flightPtr: usize = 0;
export let flightLength: usize = 0;
let flightCapacity: usize = 0;

/** Log offset of the next frame. */
export let logOffset: u64 = 0;
/** CRC of the frame before it. */
export let previousCrc: u32 = 0;
/** What readers may see ends here: synced, or, with `--durability os`, written. */
export let durableOffset: u64 = 0;
/** Positions below it may be seen. */
export let durablePosition: u64 = 0;
/** Everything below is known synced: what a frame's durable mark says. */
let syncedOffset: u64 = 0;
export let nextPosition: u64 = 0;
/** Largest recorded_at so far, milliseconds. */
export let lastRecordedAt: u64 = 0;
/** Frames of transactions must end at or below this log offset. */
let roomEnd: u64 = 0;
/** Position up to which the batch in flight reaches. */
let flightPosition: u64 = 0;
let batchBytesMax: usize = 0;

export function batchInit(bytesMax: usize): void {
  batchBytesMax = bytesMax;
}

/** Takes the end of the log as recovery found it, all of it durable. */
export function batchResume(offset: u64, crc: u32, position: u64, recordedAt: u64): void {
  assert(fillLength == 0 && flightLength == 0);
  logOffset = durableOffset = syncedOffset = offset;
  previousCrc = crc;
  nextPosition = durablePosition = position;
  lastRecordedAt = recordedAt;
}

/** Goes on at `offset` in a new segment that ends at `end`; nothing waits, and all before it is synced. */
export function batchEnterSegment(offset: u64, end: u64): void {
  assert(fillLength == 0 && flightLength == 0 && offset >= logOffset && end > offset);
  logOffset = durableOffset = syncedOffset = offset;
  roomEnd = end - END_FRAME_SPAN;
}

/** Whether a frame of at most `size` bytes fits the segment and the batch. */
export function batchHasRoom(size: usize): bool {
  const span = frameSpan(size);
  if (logOffset + span > roomEnd) return false;
  return fillLength == 0 || fillLength + span <= batchBytesMax;
}

/** Whether the segment, not the batch, is what lacks room for `size` bytes. */
export function segmentLacksRoom(size: usize): bool {
  return logOffset + frameSpan(size) > roomEnd;
}

/** Where the next frame of at most `size` bytes is to be written; 0 when memory is refused. */
export function batchReserve(size: usize): usize {
  const needed = fillLength + frameSpan(size) + END_FRAME_SPAN;
  if (needed > fillCapacity) {
    const capacity = areaSize(max(needed, max(BATCH_SIZE_MIN, fillCapacity)));
    const fresh = allocate(capacity);
    if (fresh == 0) return 0;
    if (fillLength > 0) memory.copy(fresh, fillPtr, fillLength);
    if (fillCapacity > 0) release(fillPtr, fillCapacity);
    fillPtr = fresh;
    fillCapacity = capacity;
  }
  return fillPtr + fillLength;
}

/** Distance from the next frame back to what is known synced. */
export function durableDistance(): u32 {
  return <u32>(logOffset - syncedOffset);
}

/** Counts in the frame of `length` bytes that was written where `batchReserve` said. */
export function batchAdd(length: usize, crc: u32, events: u32, recordedAt: u64): void {
  const span = frameSpan(length);
  fillLength += span;
  assert(fillLength <= fillCapacity);
  logOffset += span;
  previousCrc = crc;
  nextPosition += events;
  lastRecordedAt = recordedAt;
}

/** Adds a mark or an end frame. False when there is no room (for an end frame there always is). */
export function batchAddClaim(kind: u32, recordedAt: u64): bool {
  const end = kind == KIND_END ? roomEnd + END_FRAME_SPAN : roomEnd;
  if (logOffset + END_FRAME_SPAN > end) return false;
  const frame = batchReserve(FRAME_HEAD_SIZE);
  if (frame == 0) return false;
  const time = max(recordedAt, lastRecordedAt);
  frameOpen(frame, kind, 0, 0, nextPosition, time, previousCrc, durableDistance());
  batchAdd(FRAME_HEAD_SIZE, frameClose(frame, FRAME_HEAD_SIZE, logOffset), 0, time);
  return true;
}

/** Makes the filled batch the one in flight; there must be none. */
export function batchSeal(): void {
  assert(flightLength == 0 && fillLength > 0);
  const ptr = flightPtr;
  const capacity = flightCapacity;
  flightPtr = fillPtr;
  flightLength = fillLength;
  flightCapacity = fillCapacity;
  flightPosition = nextPosition;
  fillPtr = ptr;
  fillCapacity = capacity;
  fillLength = 0;
}

/** A sync has returned: what is written, which is all but the filling batch, is on the disk. */
export function batchSynced(): void {
  assert(flightLength == 0);
  syncedOffset = durableOffset;
}

/** The batch in flight is as durable as the store promises: readers may see it. */
export function batchSettle(): void {
  assert(flightLength > 0);
  durableOffset += flightLength;
  durablePosition = flightPosition;
  flightLength = 0;
  if (flightCapacity > BATCH_SIZE_KEPT) {
    release(flightPtr, flightCapacity);
    flightPtr = 0;
    flightCapacity = 0;
  }
}

/** The frame at a log offset that is not durable yet. */
export function batchFrame(offset: u64): usize {
  assert(offset >= durableOffset && offset < logOffset);
  const distance = <usize>(offset - durableOffset);
  return distance < flightLength ? flightPtr + distance : fillPtr + (distance - flightLength);
}
