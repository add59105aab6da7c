// Frames: what the log consists of. One frame is one transaction, a mark, or an end; FORMAT.md draws them.
//
//   0       4     5      6         8             14              20               24
//   │ length │ kind │ flags │ count u16 │ position u48 │ recordedAt u48 │ previousCrc u32 │ durableDistance u32
//   28             32        36
//   │ headCheck u32 │ crc u32 │ body …                                            little-endian
//
// length counts from the frame's first byte to its last; the next frame begins at the next multiple of 8.
// headCheck is the CRC32C of bytes 0 to 27, begun with a seed made of the store's secret and the frame's log
// offset: a frame is valid only where it lies. crc covers everything but itself.
import { crc32c } from "./crc32c";
import { offsetSeed } from "./hash";

export const FRAME_LENGTH: usize = 0;
export const FRAME_KIND: usize = 4;
export const FRAME_FLAGS: usize = 5;
export const FRAME_COUNT: usize = 6;
export const FRAME_POSITION: usize = 8;
export const FRAME_RECORDED_AT: usize = 14;
export const FRAME_PREVIOUS_CRC: usize = 20;
export const FRAME_DURABLE_DISTANCE: usize = 24;
export const FRAME_HEAD_CHECK: usize = 28;
export const FRAME_CRC: usize = 32;
export const FRAME_HEAD_SIZE: usize = 36;
export const FRAME_ALIGNMENT: usize = 8;

/** A transaction of 1 to 8,192 events. */
export const KIND_EVENTS: u32 = 1;
/** Claims that what lies before it was synced; written once the log is idle. */
export const KIND_MARK: u32 = 2;
/** The same, written by an orderly stop. */
export const KIND_END: u32 = 3;
/** This bit on a kind: a reader that does not know the kind may pass over it. */
export const KIND_MAY_SKIP: u32 = 0x80;

/** The frame's key stands in it; without this flag the key is its only stream's default. */
export const FLAG_EXPLICIT_KEY: u32 = 1;
/** Each event carries its own key and sequence. */
export const FLAG_KEY_PER_EVENT: u32 = 2;
/** A length-prefixed area of later fields follows the head; readers pass over it. */
export const FLAG_EXTENSION: u32 = 4;

const U48_MASK: u64 = 0xffffffffffff;

/** Bytes that a frame of this length takes in the log. */
@inline export function frameSpan(length: usize): usize {
  return (length + (FRAME_ALIGNMENT - 1)) & ~(FRAME_ALIGNMENT - 1);
}

@inline export function framePosition(frame: usize): u64 {
  return load<u64>(frame, FRAME_POSITION) & U48_MASK;
}

@inline export function frameCount(frame: usize): u32 {
  return load<u16>(frame, FRAME_COUNT);
}

@inline export function frameRecordedAt(frame: usize): u64 {
  return load<u64>(frame, FRAME_RECORDED_AT) & U48_MASK;
}

/** Writes a frame's head but for its checks, which `frameClose` adds when the body is there. */
export function frameOpen(
  frame: usize, kind: u32, flags: u32, count: u32, position: u64, recordedAt: u64, previousCrc: u32, durableDistance: u32,
): void {
  store<u8>(frame, kind, FRAME_KIND);
  store<u8>(frame, flags, FRAME_FLAGS);
  store<u16>(frame, count, FRAME_COUNT);
  store<u64>(frame, position, FRAME_POSITION); // its upper two bytes are overwritten by the next field
  store<u32>(frame, <u32>recordedAt, FRAME_RECORDED_AT);
  store<u16>(frame, <u16>(recordedAt >> 32), FRAME_RECORDED_AT + 4);
  store<u32>(frame, previousCrc, FRAME_PREVIOUS_CRC);
  store<u32>(frame, durableDistance, FRAME_DURABLE_DISTANCE);
}

/** Completes a frame of `length` bytes at this log offset, zeroes its padding and returns its CRC. */
export function frameClose(frame: usize, length: usize, logOffset: u64): u32 {
  store<u32>(frame, <u32>length, FRAME_LENGTH);
  store<u32>(frame, headCheck(frame, logOffset), FRAME_HEAD_CHECK);
  const crc = frameCrc(frame, length);
  store<u32>(frame, crc, FRAME_CRC);
  memory.fill(frame + length, 0, frameSpan(length) - length);
  return crc;
}

@inline function headCheck(frame: usize, logOffset: u64): u32 {
  return crc32c(offsetSeed(logOffset), frame, FRAME_HEAD_CHECK);
}

@inline function frameCrc(frame: usize, length: usize): u32 {
  return crc32c(crc32c(0, frame, FRAME_CRC), frame + FRAME_HEAD_SIZE, length - FRAME_HEAD_SIZE);
}

/** The length of the frame whose head lies here, or 0 where none does. The head's 36 bytes must be readable. */
export function frameHeadLength(frame: usize, logOffset: u64): usize {
  const length: usize = load<u32>(frame, FRAME_LENGTH);
  if (length < FRAME_HEAD_SIZE) return 0;
  return load<u32>(frame, FRAME_HEAD_CHECK) == headCheck(frame, logOffset) ? length : 0;
}

/** Whether all of a frame, whose head was checked, is what was written. */
export function frameIsWhole(frame: usize): bool {
  return load<u32>(frame, FRAME_CRC) == frameCrc(frame, load<u32>(frame, FRAME_LENGTH));
}
