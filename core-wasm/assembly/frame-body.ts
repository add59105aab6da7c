// Whether a body is one: every field and text within the frame, numbers that a double holds, nothing left over.
//
// A right checksum says that the bytes are those that were written, not who wrote them. A start asks this of each frame
// before it looks at the events, and so does a read when it meets a frame in a block that was loaded.
import { EVENT_EXPLICIT_KEY, EVENT_EXTENSION, unzigzag } from "./event";
import {
  FLAG_EXPLICIT_KEY, FLAG_EXTENSION, FLAG_KEY_PER_EVENT, FRAME_COUNT, FRAME_FLAGS, FRAME_HEAD_SIZE, frameRecordedAt,
} from "./frame";
import { UUID_SIZE } from "./uuid";

/** 2^53 - 1: versions, sequences and times are doubles outside of the core. */
const NUMBER_MAX: u64 = 9007199254740991;
const VARINT_BITS: u64 = 64;

/** Where the walk is, and where the body ends; `at` is beyond `end` once something did not fit. */
let at: usize = 0;
let end: usize = 0;

/** Checks the body of a frame of events that has `length` bytes in all. */
export function bodyIsWhole(frame: usize, length: usize): bool {
  at = frame + FRAME_HEAD_SIZE;
  end = frame + length;
  const flags: u32 = load<u8>(frame, FRAME_FLAGS);
  const keyPerEvent = (flags & FLAG_KEY_PER_EVENT) != 0;
  if (flags & FLAG_EXTENSION) pass(varint());
  pass(UUID_SIZE);
  if (!keyPerEvent) passKey(flags & FLAG_EXPLICIT_KEY);
  const count: u32 = load<u16>(frame, FRAME_COUNT);
  const recordedAt = <i64>frameRecordedAt(frame);
  for (let i: u32 = 0; i < count && at <= end; i++) passEvent(recordedAt, keyPerEvent);
  return at == end;
}

function passEvent(recordedAt: i64, keyPerEvent: bool): void {
  const flags = byte();
  pass(UUID_SIZE);
  number(varint());
  number(<u64>(recordedAt + unzigzag(varint())));
  const texts: u64 = byte() + byte();
  const payloadSize = varint();
  const metadataSize = varint();
  if (keyPerEvent) passKey(flags & EVENT_EXPLICIT_KEY);
  if (flags & EVENT_EXTENSION) pass(varint());
  pass(texts);
  pass(payloadSize);
  pass(metadataSize);
}

/** A key and the sequence behind it. */
function passKey(isExplicit: u32): void {
  pass(isExplicit ? UUID_SIZE : sizeof<u16>());
  number(varint());
}

function pass(size: u64): void {
  at = at <= end && size <= <u64>(end - at) ? at + <usize>size : end + 1;
}

function number(value: u64): void {
  if (value > NUMBER_MAX) at = end + 1;
}

function byte(): u32 {
  if (at >= end) {
    at = end + 1;
    return 0;
  }
  return load<u8>(at++);
}

function varint(): u64 {
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < VARINT_BITS; shift += 7) {
    const part: u64 = byte();
    value |= (part & 0x7f) << shift;
    if (part < 0x80) return value;
  }
  at = end + 1;
  return 0;
}
