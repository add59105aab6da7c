// Blocks of the log in memory, so that a read costs no system call where it was read before. The shell loads
// what is missing; a frame's checksum is verified the first time it is met in a loaded block. Frames that reach
// over a block's end are loaded alone into a scratch area.
//
//   block     16 KiB of the log, found by its number in a clock (clock.ts)
//   verified  256 bytes for each slot of the clock: a bit for each multiple of 8 at which a checked frame begins
import { allocate, areaSize, release } from "./memory";
import {
  CLOCK_SIZE, SLOT_AREA, SLOT_LOADED, SLOT_NUMBER, SLOT_USED, clockCount, clockFind, clockInit, clockTake, slotIndex,
} from "./clock";
import { FRAME_HEAD_SIZE, FRAME_KIND, FRAME_LENGTH, KIND_EVENTS, frameCount, frameHeadLength, frameIsWhole } from "./frame";
import { bodyIsWhole } from "./frame-body";
import { batchFrame, durableOffset, flightFrames, flightLength } from "./batch";
import { viewClear } from "./event";
import { placeIndex, placeOffset } from "./lookup";
import { CORRUPT, DONE, NEED_BLOCK, NO_MEMORY } from "./status";

export const BLOCK_SIZE: usize = 16384;
const BLOCK_SHIFT: u64 = 14;
const VERIFIED_SIZE: usize = BLOCK_SIZE / 8 / 8;

const clock: usize = memory.data(32, 8);
let verified: usize = 0;

let scratch: usize = 0;
let scratchCapacity: usize = 0;
let scratchOffset: u64 = u64.MAX_VALUE;
let scratchLoaded: usize = 0;
let scratchVerified: bool = false;

/** What must be loaded (after NEED_BLOCK): log offset, bytes, and where to. */
export let missedOffset: u64 = 0;
export let missedSize: usize = 0;
export let missedPtr: usize = 0;
/** The slot that it is loaded into, or 0 for the scratch area. */
let missedSlot: usize = 0;

/** Frames that were found in memory at once, and reads of the log for what was not; since the start. */
export let cacheHits: u64 = 0;
export let cacheMisses: u64 = 0;
/** The frame asked for next was missed the last time: that it is found now is no hit. */
let wasMissed: bool = false;

/** Bounds the cache to `bytes`; one block at least. */
export function cacheInit(bytes: usize): void {
  assert(CLOCK_SIZE <= 32);
  const slotMax = max<u32>(1, <u32>(bytes / (BLOCK_SIZE + VERIFIED_SIZE)));
  clockInit(clock, slotMax, BLOCK_SIZE);
  verified = allocate(<usize>slotMax * VERIFIED_SIZE);
  assert(verified != 0);
}

/** Bytes of blocks held. */
export function cacheBytes(): usize {
  return <usize>clockCount(clock) * (BLOCK_SIZE + VERIFIED_SIZE);
}

@external("env", "logWanted")
declare function logWanted(offset: f64, size: u32): void;

/** Says that the frame at a log offset is asked for soon, so that the disk reads several of them at a time. */
export function frameHint(offset: u64): void {
  const number = offset >> BLOCK_SHIFT;
  if (offset >= durableOffset || clockFind(clock, number) != 0) return;
  logWanted(<f64>(number << BLOCK_SHIFT), <u32>BLOCK_SIZE);
}

/** A checked frame, in `foundFrame` after DONE. */
export let foundFrame: usize = 0;
/** Log offset of the frame that was asked for last: what an error names. */
export let wantedOffset: u64 = 0;

/** Finds the frame of the event at a place that some table gave: a run may have any. */
export function frameOf(place: u64): i32 {
  const status = frameAt(placeOffset(place));
  if (status != DONE) return status;
  return placeIndex(place) < frameCount(foundFrame) ? DONE : CORRUPT;
}

/** Whether a frame that was read is a transaction as some append wrote it. */
function isTransaction(frame: usize, length: usize): bool {
  return frameIsWhole(frame) && load<u8>(frame, FRAME_KIND) == KIND_EVENTS && bodyIsWhole(frame, length);
}

/** Finds the frame at a log offset. */
function frameAt(offset: u64): i32 {
  wantedOffset = offset;
  if (offset >= durableOffset) {
    foundFrame = batchFrame(offset);
    return DONE;
  }
  if (offset == scratchOffset) return frameInScratch();
  const number = offset >> BLOCK_SHIFT;
  const slot = clockFind(clock, number);
  if (slot == 0) return missBlock(number, 0, 0);
  store<u32>(slot, 1, SLOT_USED);
  const inBlock = <usize>(offset & (BLOCK_SIZE - 1));
  const loaded: usize = load<u32>(slot, SLOT_LOADED);
  const block: usize = load<u32>(slot, SLOT_AREA);
  const frame = block + inBlock;
  const byte = verified + <usize>slotIndex(clock, slot) * VERIFIED_SIZE + (inBlock >> 6);
  const bit: u32 = 1 << (<u32>(inBlock >> 3) & 7);
  if (<u32>load<u8>(byte) & bit) return found(frame);
  if (inBlock + FRAME_HEAD_SIZE > BLOCK_SIZE) return missScratch(offset, FRAME_HEAD_SIZE);
  if (inBlock + FRAME_HEAD_SIZE > loaded) return missRest(slot, offset, loaded);
  const length = frameHeadLength(frame, offset);
  if (length == 0) return corrupt(offset);
  if (inBlock + length > BLOCK_SIZE) return missScratch(offset, length);
  if (inBlock + length > loaded) return missRest(slot, offset, loaded);
  if (!isTransaction(frame, length)) return corrupt(offset);
  store<u8>(byte, <u32>load<u8>(byte) | bit);
  return found(frame);
}

@inline function found(frame: usize): i32 {
  foundFrame = frame;
  if (wasMissed) wasMissed = false;
  else cacheHits++;
  return DONE;
}

/** A block was loaded only up to what was durable then: the rest is there now, or the frame is damaged. */
function missRest(slot: usize, offset: u64, loaded: usize): i32 {
  const number = load<u64>(slot, SLOT_NUMBER);
  const available = min<u64>(durableOffset - (number << BLOCK_SHIFT), BLOCK_SIZE);
  if (<u64>loaded >= available) return corrupt(offset);
  return missBlock(number, loaded, slot);
}

function missBlock(number: u64, loaded: usize, slot: usize): i32 {
  if (slot == 0) slot = takeSlot(number);
  if (slot == 0) return NO_MEMORY;
  countMiss();
  missedSlot = slot;
  missedOffset = (number << BLOCK_SHIFT) + loaded;
  missedSize = <usize>(min<u64>(durableOffset - (number << BLOCK_SHIFT), BLOCK_SIZE) - loaded);
  missedPtr = <usize>load<u32>(slot, SLOT_AREA) + loaded;
  return NEED_BLOCK;
}

function countMiss(): void {
  cacheMisses++;
  wasMissed = true;
}

function missScratch(offset: u64, size: usize): i32 {
  if (size > scratchCapacity) {
    const capacity = areaSize(size);
    const fresh = allocate(capacity);
    if (fresh == 0) return NO_MEMORY;
    if (scratchCapacity > 0) release(scratch, scratchCapacity);
    scratch = fresh;
    scratchCapacity = capacity;
  }
  viewClear();
  countMiss();
  missedSlot = 0;
  scratchOffset = offset;
  scratchLoaded = 0;
  scratchVerified = false;
  missedOffset = offset;
  missedSize = <usize>min<u64>(size, durableOffset - offset);
  missedPtr = scratch;
  return NEED_BLOCK;
}

function frameInScratch(): i32 {
  if (scratchVerified) return found(scratch);
  const offset = scratchOffset;
  if (scratchLoaded == 0) return missScratch(offset, FRAME_HEAD_SIZE); // the disk refused it the last time
  if (scratchLoaded < FRAME_HEAD_SIZE) return corrupt(offset);
  const length = frameHeadLength(scratch, offset);
  if (length == 0) return corrupt(offset);
  if (length > scratchLoaded) {
    if (offset + length > durableOffset || scratchLoaded > FRAME_HEAD_SIZE) return corrupt(offset);
    return missScratch(offset, length);
  }
  if (!isTransaction(scratch, length)) return corrupt(offset);
  scratchVerified = true;
  return found(scratch);
}

function corrupt(offset: u64): i32 {
  if (offset == scratchOffset) scratchOffset = u64.MAX_VALUE;
  return CORRUPT;
}

/** The shell has read `size` bytes to `missedPtr`; fewer than asked for where the file ends. */
export function cacheLoaded(size: usize): void {
  if (missedSlot == 0) {
    scratchLoaded = size;
    return;
  }
  const loaded = load<u32>(missedSlot, SLOT_LOADED) + <u32>size;
  store<u32>(missedSlot, loaded, SLOT_LOADED);
  assert(<usize>loaded <= BLOCK_SIZE);
}

/**
 * Takes over the batch that has become durable, so that what was just written is read without the disk, which
 * direct I/O makes the only other place that has it. What the cache does not hold from a block's start is left.
 */
export function cacheFlight(): void {
  let ptr = flightFrames();
  let offset = durableOffset;
  const end = offset + flightLength;
  while (offset < end) {
    const number = offset >> BLOCK_SHIFT;
    const inBlock = <usize>(offset & (BLOCK_SIZE - 1));
    const size = <usize>min<u64>(end - offset, BLOCK_SIZE - inBlock);
    let slot = clockFind(clock, number);
    if (slot == 0 && inBlock == 0) {
      slot = takeSlot(number);
      if (slot != 0) store<u32>(slot, 0, SLOT_USED); // the first to make room, unless somebody reads it
    }
    if (slot != 0 && <usize>load<u32>(slot, SLOT_LOADED) == inBlock) {
      memory.copy(<usize>load<u32>(slot, SLOT_AREA) + inBlock, ptr, size);
      store<u32>(slot, <u32>(inBlock + size), SLOT_LOADED);
    }
    ptr += size;
    offset += size;
  }
}

/** A slot for a block that has none, or 0 where memory is refused. */
function takeSlot(number: u64): usize {
  const slot = clockTake(clock, number);
  if (slot == 0) return 0;
  viewClear();
  memory.fill(verified + <usize>slotIndex(clock, slot) * VERIFIED_SIZE, 0, VERIFIED_SIZE);
  return slot;
}
