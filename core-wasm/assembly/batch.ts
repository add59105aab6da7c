// Encoded transactions that are not durable yet: one batch is filled while another one may be written and
// synced. Both lie one after the other in the log, and end where the log ends.
//
//   … durable │ in flight │ filling │ ← logOffset, where the next frame will lie
//
// A batch's area begins with the bytes that lie before it in its first block of the log, its head, and ends with
// zeros up to the end of its last one: direct I/O writes whole blocks, and what was there must stay.
//
//   area  │ head │ frames … │ zeros │      head and zeros are less than a block each
import { allocate, allocateReserved, areaSize, release } from "./memory";
import { FRAME_HEAD_SIZE, KIND_END, frameClose, frameOpen, frameSpan } from "./frame";

/** Room that is kept in every segment, so that an orderly stop can always write its end frame. */
export const END_FRAME_SPAN: usize = (FRAME_HEAD_SIZE + 7) & ~7;
/** What direct I/O writes a multiple of (server/disk.ts: DIRECT_BLOCK_BYTES). */
const WRITE_BLOCK_SIZE: usize = 4096;
const BATCH_SIZE_MIN: usize = 1 << 18;
/** A batch's area is given back after a batch that needed more than this. */
const BATCH_SIZE_KEPT: usize = 1 << 22;

let fillArea: usize = 0;
let fillHead: usize = 0;
export let fillLength: usize = 0;
let fillCapacity: usize = 0;
let flightArea: usize = 0;
export let flightHead: usize = 0;
export let flightLength: usize = 0;
let flightCapacity: usize = 0;

/** Log offset of the next frame. */
export let logOffset: u64 = 0;
/** CRC of the frame before it, where that ends, and the bytes that it takes. */
export let previousCrc: u32 = 0;
export let previousEnd: u64 = 0;
export let previousSpan: u32 = 0;
/** What readers may see ends here: synced, or, with `--durability os`, written. */
export let durableOffset: u64 = 0;
/** Positions below it may be seen. */
export let durablePosition: u64 = 0;
/** Everything below is known synced: what a frame's durable mark says. */
export let syncedOffset: u64 = 0;
export let nextPosition: u64 = 0;
/** Largest recorded_at so far, milliseconds. */
export let lastRecordedAt: u64 = 0;
/** Frames of transactions must end at or below this log offset. */
let roomEnd: u64 = 0;
/** Position up to which the batch in flight reaches. */
export let flightPosition: u64 = 0;
let batchBytesMax: usize = 0;

export function batchInit(bytesMax: usize): void {
  batchBytesMax = bytesMax;
  fillArea = allocateReserved(BATCH_SIZE_MIN);
  flightArea = allocateReserved(BATCH_SIZE_MIN);
  fillCapacity = flightCapacity = BATCH_SIZE_MIN;
}

/** The batch in flight, its first byte; `flightHead` bytes of its block lie before it. */
export function flightFrames(): usize {
  return flightArea + flightHead;
}

/** Where the bytes belong that lie before the filling batch in its block of the log: `fillHeadSize` of them. */
export function fillHeadPtr(): usize {
  return fillArea;
}

export function fillHeadSize(): usize {
  return fillHead;
}

/** Takes the end of the log as recovery found it, all of it durable. */
export function batchResume(offset: u64, crc: u32, span: u32, position: u64, recordedAt: u64): void {
  assert(fillLength == 0 && flightLength == 0);
  logOffset = durableOffset = syncedOffset = previousEnd = offset;
  previousCrc = crc;
  previousSpan = span;
  nextPosition = durablePosition = position;
  lastRecordedAt = recordedAt;
}

/** Goes on at `offset` in a new segment that ends at `end`; nothing waits, and all before it is synced. */
export function batchEnterSegment(offset: u64, end: u64): void {
  assert(fillLength == 0 && flightLength == 0 && offset >= logOffset && end > offset);
  logOffset = durableOffset = syncedOffset = offset;
  fillHead = <usize>offset & (WRITE_BLOCK_SIZE - 1);
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
  const filled = fillHead + fillLength;
  const needed = filled + frameSpan(size) + END_FRAME_SPAN + WRITE_BLOCK_SIZE;
  if (needed > fillCapacity) {
    const capacity = areaSize(needed);
    const fresh = allocate(capacity);
    if (fresh == 0) return 0;
    memory.copy(fresh, fillArea, filled);
    release(fillArea, fillCapacity);
    fillArea = fresh;
    fillCapacity = capacity;
  }
  return fillArea + filled;
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
  previousEnd = logOffset;
  previousSpan = <u32>span;
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
  const area = flightArea;
  const capacity = flightCapacity;
  flightArea = fillArea;
  flightHead = fillHead;
  flightLength = fillLength;
  flightCapacity = fillCapacity;
  flightPosition = nextPosition;
  const end = flightArea + flightHead + flightLength;
  fillArea = area;
  fillHead = <usize>logOffset & (WRITE_BLOCK_SIZE - 1);
  fillCapacity = capacity;
  fillLength = 0;
  memory.copy(fillArea, end - fillHead, fillHead);
  memory.fill(end, 0, (WRITE_BLOCK_SIZE - fillHead) & (WRITE_BLOCK_SIZE - 1));
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
    release(flightArea, flightCapacity);
    flightArea = allocateReserved(BATCH_SIZE_MIN);
    flightCapacity = BATCH_SIZE_MIN;
  }
}

/** The frame at a log offset that is not durable yet. */
export function batchFrame(offset: u64): usize {
  assert(offset >= durableOffset && offset < logOffset);
  const distance = <usize>(offset - durableOffset);
  return distance < flightLength
    ? flightArea + flightHead + distance
    : fillArea + fillHead + (distance - flightLength);
}
