// Blocks of the log in memory, so that a read costs no system call where it was read before. The shell loads
// what is missing; a frame's checksum is verified the first time it is met in a loaded block. Frames that reach
// over a block's end are loaded alone into a scratch area.
//
//   slot      0 block number u64 │ 8 loaded bytes u32 │ 12 used since the hand passed u32 │ 16 block ptr u32 │ 20 –
//   block     64 KiB of the log
//   verified  1 KiB for each slot: a bit for each multiple of 8 at which a checked frame begins
//
// Replacement is CLOCK (Corbató, 1968): a hand passes over the slots and takes the first that was not used since.
import { allocate, areaSize, release } from "./memory";
import { FRAME_HEAD_SIZE, FRAME_LENGTH, frameHeadLength, frameIsWhole } from "./frame";
import { batchFrame, durableOffset, flightFrames, flightLength } from "./batch";
import { viewClear } from "./event";
import { CORRUPT, DONE, NEED_BLOCK, NO_MEMORY } from "./status";

export const BLOCK_SIZE: usize = 65536;
const BLOCK_SHIFT: u64 = 16;
const VERIFIED_SIZE: usize = BLOCK_SIZE / 8 / 8;
const SLOT_SIZE: usize = 24;
const SLOT_NUMBER: usize = 0;
const SLOT_LOADED: usize = 8;
const SLOT_USED: usize = 12;
const SLOT_BLOCK: usize = 16;

let slots: usize = 0;
let verified: usize = 0;
let slotMax: u32 = 0;
let slotCount: u32 = 0;
let hand: u32 = 0;
/** Open addressing from block number to slot index + 1; at most half full. */
let index: usize = 0;
let indexMask: u32 = 0;

let scratch: usize = 0;
let scratchCapacity: usize = 0;
let scratchOffset: u64 = u64.MAX_VALUE;
let scratchLoaded: usize = 0;
let scratchVerified: bool = false;

/** What must be loaded (after NEED_BLOCK): log offset, bytes, and where to. */
export let missedOffset: u64 = 0;
export let missedSize: usize = 0;
export let missedPtr: usize = 0;
let missedSlot: i32 = -1;

let lastSlot: usize = 0;

/** Bounds the cache to `bytes`; one block at least. */
export function cacheInit(bytes: usize): void {
  slotMax = max<u32>(1, <u32>(bytes / (BLOCK_SIZE + VERIFIED_SIZE)));
  slots = allocate(<usize>slotMax * SLOT_SIZE);
  let capacity: u32 = 4;
  while (capacity < slotMax * 2) capacity <<= 1;
  index = allocate(capacity * sizeof<u32>());
  verified = allocate(<usize>slotMax * VERIFIED_SIZE);
  assert(slots != 0 && index != 0 && verified != 0);
  memory.fill(index, 0, capacity * sizeof<u32>());
  indexMask = capacity - 1;
}

/** Bytes of blocks held. */
export function cacheBytes(): usize {
  return <usize>slotCount * (BLOCK_SIZE + VERIFIED_SIZE);
}

/** A checked frame, in `foundFrame` after DONE. */
export let foundFrame: usize = 0;
/** Log offset of the frame that was asked for last: what an error names. */
export let wantedOffset: u64 = 0;

/** Finds the frame at a log offset that some table gave. */
export function frameAt(offset: u64): i32 {
  wantedOffset = offset;
  if (offset >= durableOffset) {
    foundFrame = batchFrame(offset);
    return DONE;
  }
  if (offset == scratchOffset) return frameInScratch();
  const number = offset >> BLOCK_SHIFT;
  const slot = slotOf(number);
  if (slot == 0) return missBlock(number, 0, -1);
  store<u32>(slot, 1, SLOT_USED);
  const inBlock = <usize>(offset & (BLOCK_SIZE - 1));
  const loaded: usize = load<u32>(slot, SLOT_LOADED);
  const block: usize = load<u32>(slot, SLOT_BLOCK);
  const frame = block + inBlock;
  const byte = verified + ((slot - slots) / SLOT_SIZE) * VERIFIED_SIZE + (inBlock >> 6);
  const bit: u32 = 1 << (<u32>(inBlock >> 3) & 7);
  if (<u32>load<u8>(byte) & bit) {
    foundFrame = frame;
    return DONE;
  }
  if (inBlock + FRAME_HEAD_SIZE > BLOCK_SIZE) return missScratch(offset, FRAME_HEAD_SIZE);
  if (inBlock + FRAME_HEAD_SIZE > loaded) return missRest(slot, offset, loaded);
  const length = frameHeadLength(frame, offset);
  if (length == 0) return corrupt(offset);
  if (inBlock + length > BLOCK_SIZE) return missScratch(offset, length);
  if (inBlock + length > loaded) return missRest(slot, offset, loaded);
  if (!frameIsWhole(frame)) return corrupt(offset);
  store<u8>(byte, <u32>load<u8>(byte) | bit);
  foundFrame = frame;
  return DONE;
}

/** A block was loaded only up to what was durable then: the rest is there now, or the frame is damaged. */
function missRest(slot: usize, offset: u64, loaded: usize): i32 {
  const number = load<u64>(slot, SLOT_NUMBER);
  const available = min<u64>(durableOffset - (number << BLOCK_SHIFT), BLOCK_SIZE);
  if (<u64>loaded >= available) return corrupt(offset);
  return missBlock(number, loaded, <i32>((slot - slots) / SLOT_SIZE));
}

function missBlock(number: u64, loaded: usize, slotIndex: i32): i32 {
  if (slotIndex < 0) {
    slotIndex = takeSlot(number);
    if (slotIndex < 0) return NO_MEMORY;
  }
  const slot = slots + <usize>slotIndex * SLOT_SIZE;
  missedSlot = slotIndex;
  missedOffset = (number << BLOCK_SHIFT) + loaded;
  missedSize = <usize>(min<u64>(durableOffset - (number << BLOCK_SHIFT), BLOCK_SIZE) - loaded);
  missedPtr = <usize>load<u32>(slot, SLOT_BLOCK) + loaded;
  return NEED_BLOCK;
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
  missedSlot = -1;
  scratchOffset = offset;
  scratchLoaded = 0;
  scratchVerified = false;
  missedOffset = offset;
  missedSize = <usize>min<u64>(size, durableOffset - offset);
  missedPtr = scratch;
  return NEED_BLOCK;
}

function frameInScratch(): i32 {
  foundFrame = scratch;
  if (scratchVerified) return DONE;
  const offset = scratchOffset;
  if (scratchLoaded == 0) return missScratch(offset, FRAME_HEAD_SIZE); // the disk refused it the last time
  if (scratchLoaded < FRAME_HEAD_SIZE) return corrupt(offset);
  const length = frameHeadLength(scratch, offset);
  if (length == 0) return corrupt(offset);
  if (length > scratchLoaded) {
    if (offset + length > durableOffset || scratchLoaded > FRAME_HEAD_SIZE) return corrupt(offset);
    return missScratch(offset, length);
  }
  if (!frameIsWhole(scratch)) return corrupt(offset);
  scratchVerified = true;
  return DONE;
}

function corrupt(offset: u64): i32 {
  if (offset == scratchOffset) scratchOffset = u64.MAX_VALUE;
  return CORRUPT;
}

/** The shell has read `size` bytes to `missedPtr`; fewer than asked for where the file ends. */
export function cacheLoaded(size: usize): void {
  if (missedSlot < 0) {
    scratchLoaded = size;
    return;
  }
  const slot = slots + <usize>missedSlot * SLOT_SIZE;
  const loaded = load<u32>(slot, SLOT_LOADED) + <u32>size;
  store<u32>(slot, loaded, SLOT_LOADED);
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
    let slot = slotOf(number);
    if (slot == 0 && inBlock == 0) {
      const taken = takeSlot(number);
      if (taken >= 0) {
        slot = slots + <usize>taken * SLOT_SIZE;
        store<u32>(slot, 0, SLOT_USED); // the first to make room, unless somebody reads it
      }
    }
    if (slot != 0 && <usize>load<u32>(slot, SLOT_LOADED) == inBlock) {
      memory.copy(<usize>load<u32>(slot, SLOT_BLOCK) + inBlock, ptr, size);
      store<u32>(slot, <u32>(inBlock + size), SLOT_LOADED);
    }
    ptr += size;
    offset += size;
  }
}

@inline function home(number: u64): u32 {
  return <u32>((number * 0x9e3779b97f4a7c15) >> 32) & indexMask;
}

function slotOf(number: u64): usize {
  if (lastSlot != 0 && load<u64>(lastSlot, SLOT_NUMBER) == number) return lastSlot;
  let at = home(number);
  while (true) {
    const found = load<u32>(index + (at << 2));
    if (found == 0) return 0;
    const slot = slots + <usize>(found - 1) * SLOT_SIZE;
    if (load<u64>(slot, SLOT_NUMBER) == number) {
      lastSlot = slot;
      return slot;
    }
    at = (at + 1) & indexMask;
  }
}

/** A slot for a block: a new one while there may be more, else the next that was not used lately. */
function takeSlot(number: u64): i32 {
  let taken: i32 = -1;
  if (slotCount < slotMax) {
    const block = allocate(BLOCK_SIZE);
    if (block != 0) {
      const slot = slots + <usize>slotCount * SLOT_SIZE;
      store<u32>(slot, <u32>block, SLOT_BLOCK);
      taken = <i32>slotCount;
      slotCount++;
    } else if (slotCount == 0) {
      return -1;
    }
  }
  if (taken < 0) {
    while (true) {
      const slot = slots + <usize>hand * SLOT_SIZE;
      const at = hand;
      hand = hand + 1 == slotCount ? 0 : hand + 1;
      if (load<u32>(slot, SLOT_USED) == 0) {
        taken = <i32>at;
        unlink(load<u64>(slot, SLOT_NUMBER));
        break;
      }
      store<u32>(slot, 0, SLOT_USED);
    }
  }
  viewClear();
  lastSlot = 0;
  const slot = slots + <usize>taken * SLOT_SIZE;
  store<u64>(slot, number, SLOT_NUMBER);
  store<u32>(slot, 0, SLOT_LOADED);
  store<u32>(slot, 1, SLOT_USED);
  memory.fill(verified + <usize>taken * VERIFIED_SIZE, 0, VERIFIED_SIZE);
  let at = home(number);
  while (load<u32>(index + (at << 2)) != 0) at = (at + 1) & indexMask;
  store<u32>(index + (at << 2), <u32>taken + 1);
  return taken;
}

/** Takes a block number out of the index and closes the gap (Knuth 6.4, algorithm R). */
function unlink(number: u64): void {
  let at = home(number);
  while (load<u64>(slots + <usize>(load<u32>(index + (at << 2)) - 1) * SLOT_SIZE, SLOT_NUMBER) != number) {
    at = (at + 1) & indexMask;
  }
  let gap = at;
  while (true) {
    store<u32>(index + (gap << 2), 0);
    let next = gap;
    while (true) {
      next = (next + 1) & indexMask;
      const found = load<u32>(index + (next << 2));
      if (found == 0) return;
      const wanted = home(load<u64>(slots + <usize>(found - 1) * SLOT_SIZE, SLOT_NUMBER));
      if (((next - wanted) & indexMask) >= ((next - gap) & indexMask)) {
        store<u32>(index + (gap << 2), found);
        gap = next;
        break;
      }
    }
  }
}
