// Events inside a frame: how they are written, and the view through which they are read.
//
//   frame body   [extension: varint size, bytes] │ transaction id 16 │
//                unless KEY_PER_EVENT: key 16 (EXPLICIT_KEY) or hash u16 │ varint sequence of the first event │ events
//   event        flags u8 │ event id 16 │ varint version │ varint zigzag(timestamp - recordedAt) │
//                stream size u8 │ name size u8 │ varint payload size │ varint metadata size │
//                if KEY_PER_EVENT: key 16 or hash u16 │ varint sequence │ [extension: varint size, bytes] │
//                stream id │ name │ payload │ metadata
//
// Varints are LEB128. In a frame with one key, sequences count up from the first event's.
import {
  FLAG_EXPLICIT_KEY, FLAG_EXTENSION, FLAG_KEY_PER_EVENT, FRAME_COUNT, FRAME_FLAGS, FRAME_HEAD_SIZE, FRAME_LENGTH,
  framePosition, frameRecordedAt,
} from "./frame";
import { UUID_SIZE, partitionHash, uuidCopy, uuidEquals, uuidV5 } from "./uuid";

/** Event flag: the event's own key stands in it (with KEY_PER_EVENT). */
export const EVENT_EXPLICIT_KEY: u32 = 1;
/** Event flag: an extension area stands before the stream id. */
export const EVENT_EXTENSION: u32 = 2;

/** Most bytes of a frame before its events: head, transaction id, key, sequence. */
export const FRAME_FIXED_MAX: usize = FRAME_HEAD_SIZE + UUID_SIZE + UUID_SIZE + 8;
/** Most bytes of an event beyond its four texts. */
export const EVENT_FIXED_MAX: usize = 1 + UUID_SIZE + 8 + 8 + 2 + 5 + 5 + UUID_SIZE + 8;

// ── varints ───────────────────────────────────────────────────────────────────────────────────────

/** Where the last varint ended. */
let varintEnd: usize = 0;

export function varintWrite(ptr: usize, value: u64): usize {
  while (value >= 0x80) {
    store<u8>(ptr++, <u8>value | 0x80);
    value >>= 7;
  }
  store<u8>(ptr++, <u8>value);
  return ptr;
}

function varintRead(ptr: usize): u64 {
  let byte: u64 = load<u8>(ptr++);
  let value = byte & 0x7f;
  let shift: u64 = 7;
  while (byte >= 0x80) {
    assert(shift < 64); // a frame with a right CRC holds what we wrote
    byte = load<u8>(ptr++);
    value |= (byte & 0x7f) << shift;
    shift += 7;
  }
  varintEnd = ptr;
  return value;
}

@inline export function zigzag(value: i64): u64 {
  return <u64>((value << 1) ^ (value >> 63));
}

@inline export function unzigzag(value: u64): i64 {
  return <i64>(value >> 1) ^ -(<i64>value & 1);
}

// ── the view ──────────────────────────────────────────────────────────────────────────────────────

export let viewFrame: usize = 0;
export let viewTransactionId: usize = 0;
export let viewIndex: u32 = 0;
export let viewEventId: usize = 0;
export let viewVersion: u64 = 0;
export let viewSequence: u64 = 0;
export let viewTimestamp: u64 = 0;
export let viewStream: usize = 0;
export let viewStreamSize: usize = 0;
export let viewName: usize = 0;
export let viewNameSize: usize = 0;
export let viewPayload: usize = 0;
export let viewPayloadSize: usize = 0;
export let viewMetadata: usize = 0;
export let viewMetadataSize: usize = 0;
/** The 16 bytes of an explicit key, or 0 where the key is the stream's default. */
export let viewExplicitKey: usize = 0;
export let viewHash: u32 = 0;

/** Where every 16th event of the shown frame begins, as far as it was walked: for reads that go backwards. */
const MARK_SHIFT: u32 = 4;
const MARKS_MAX: u32 = 512;
const marks: usize = memory.data(512 * sizeof<u32>(), 4);
let markCount: u32 = 0;

let viewNext: usize = 0;
let frameKey: usize = 0;
let frameHash: u32 = 0;
let frameSequence: u64 = 0;

@inline export function viewPosition(): u64 {
  return framePosition(viewFrame) + viewIndex;
}

@inline export function viewRecordedAt(): u64 {
  return frameRecordedAt(viewFrame);
}

/** Shows the event `index` of a checked frame: at once for the first and the next one, else by walking there. */
export function viewEvent(frame: usize, index: u32): void {
  assert(index < load<u16>(frame, FRAME_COUNT));
  if (index == 0) {
    openFrame(frame);
    readNext();
    return;
  }
  if (frame != viewFrame) {
    openFrame(frame);
    readNext();
  } else if (index <= viewIndex) {
    goBack(index);
  }
  while (viewIndex < index) {
    viewIndex++;
    const mark = viewIndex >> MARK_SHIFT;
    if (mark == markCount && mark < MARKS_MAX && (viewIndex & ((1 << MARK_SHIFT) - 1)) == 0) {
      store<u32>(marks + (mark << 2), <u32>viewNext);
      markCount++;
    }
    readNext();
  }
}

/** Shows the last event up to `index` whose place is known, in the frame that is shown. */
function goBack(index: u32): void {
  const mark = min(index >> MARK_SHIFT, markCount - 1);
  if (mark == 0) {
    const known = markCount;
    openFrame(viewFrame);
    markCount = known;
  } else {
    viewIndex = mark << MARK_SHIFT;
    viewNext = load<u32>(marks + (mark << 2));
  }
  readNext();
}

/** Forgets the frame that is shown: its memory holds something else now. */
export function viewClear(): void {
  viewFrame = 0;
}

function openFrame(frame: usize): void {
  const flags: u32 = load<u8>(frame, FRAME_FLAGS);
  let ptr = frame + FRAME_HEAD_SIZE;
  if (flags & FLAG_EXTENSION) {
    const size = <usize>varintRead(ptr);
    ptr = varintEnd + size;
  }
  viewTransactionId = ptr;
  ptr += UUID_SIZE;
  if (!(flags & FLAG_KEY_PER_EVENT)) {
    ptr = readKey(ptr, flags & FLAG_EXPLICIT_KEY);
    frameKey = viewExplicitKey;
    frameHash = viewHash;
    frameSequence = varintRead(ptr);
    ptr = varintEnd;
  }
  viewFrame = frame;
  viewIndex = 0;
  viewNext = ptr;
  markCount = 1; // the first event's place is here
}

@inline function readKey(ptr: usize, isExplicit: u32): usize {
  if (isExplicit) {
    viewExplicitKey = ptr;
    viewHash = partitionHash(ptr);
    return ptr + UUID_SIZE;
  }
  viewExplicitKey = 0;
  viewHash = load<u16>(ptr);
  return ptr + sizeof<u16>();
}

function readNext(): void {
  let ptr = viewNext;
  const flags: u32 = load<u8>(ptr);
  viewEventId = ptr + 1;
  viewVersion = varintRead(ptr + 1 + UUID_SIZE);
  viewTimestamp = <u64>(<i64>frameRecordedAt(viewFrame) + unzigzag(varintRead(varintEnd)));
  ptr = varintEnd;
  viewStreamSize = load<u8>(ptr);
  viewNameSize = load<u8>(ptr, 1);
  viewPayloadSize = <usize>varintRead(ptr + 2);
  viewMetadataSize = <usize>varintRead(varintEnd);
  ptr = varintEnd;
  if (load<u8>(viewFrame, FRAME_FLAGS) & FLAG_KEY_PER_EVENT) {
    ptr = readKey(ptr, flags & EVENT_EXPLICIT_KEY);
    viewSequence = varintRead(ptr);
    ptr = varintEnd;
  } else {
    viewExplicitKey = frameKey;
    viewHash = frameHash;
    viewSequence = frameSequence + viewIndex;
  }
  if (flags & EVENT_EXTENSION) {
    const size = <usize>varintRead(ptr);
    ptr = varintEnd + size;
  }
  viewStream = ptr;
  viewName = viewStream + viewStreamSize;
  viewPayload = viewName + viewNameSize;
  viewMetadata = viewPayload + viewPayloadSize;
  viewNext = viewMetadata + viewMetadataSize;
  assert(viewNext <= viewFrame + load<u32>(viewFrame, FRAME_LENGTH)); // bounds before anyone reads the texts
}

/** Where the event after the shown one begins: after the last one, the frame's end. */
export function viewEnd(): usize {
  return viewNext;
}

// ── default partition keys ────────────────────────────────────────────────────────────────────────

const lastStream: usize = memory.data(256);
let lastStreamSize: usize = <usize>-1;
const lastKey: usize = memory.data(16, 8);

/** The default partition key of a stream id; the last one is remembered, since events of a stream come together. */
export function defaultKey(stream: usize, size: usize): usize {
  if (defaultKeyIsLast(stream, size)) return lastKey;
  uuidV5(lastKey, stream, size);
  keepStream(stream, size);
  return lastKey;
}

/** Whether it is the stream id whose key is remembered. */
export function defaultKeyIsLast(stream: usize, size: usize): bool {
  return size == lastStreamSize && memory.compare(lastStream, stream, size) == 0;
}

/** Remembers a default key that was made elsewhere. */
export function defaultKeyKeep(stream: usize, size: usize, key: usize): void {
  uuidCopy(lastKey, key);
  keepStream(stream, size);
}

function keepStream(stream: usize, size: usize): void {
  memory.copy(lastStream, stream, size);
  lastStreamSize = size;
}

/** The partition key of the shown event. */
export function viewKey(): usize {
  return viewExplicitKey != 0 ? viewExplicitKey : defaultKey(viewStream, viewStreamSize);
}

/**
 * The shown event's key where it is not its stream's default one, or 0: a transaction of one key names that for all of
 * its streams, the ones whose default it is among them.
 */
export function viewOwnKey(): usize {
  if (viewExplicitKey == 0 || uuidEquals(viewExplicitKey, defaultKey(viewStream, viewStreamSize))) return 0;
  return viewExplicitKey;
}

/** Writes a key as a frame or an event holds it. */
export function keyWrite(ptr: usize, key: usize, isExplicit: bool): usize {
  if (isExplicit) {
    uuidCopy(ptr, key);
    return ptr + UUID_SIZE;
  }
  store<u16>(ptr, <u16>partitionHash(key));
  return ptr + sizeof<u16>();
}
