// Heads of streams in memory: what the next version is of streams that no memtable has, so that an append to one, or
// ESVER, need not ask the runs. A cache: a stream that is not here is looked for in the runs, and put here then.
//
//   heads    buckets of 64 bytes, one cache line each; either half of a stream's hash chooses one, and it lies in one of the two
//   bucket   4 slots, used from the first on; the one that was put last lies first, and is put out last
//   slot     0 hash 12 │ 12 next version u32, 0 where the slot is free
//
// A head goes where more slots are free (Azar, Broder, Karlin and Upfal, 1999); where none is, another one moves to its other bucket
// first (Pagh and Rodler, 2004). So hardly any is lost before nearly all slots are used.
//
// A head is right only while no memtable has the stream: before a memtable is given up, all its streams are put here.
// What a start offers of the runs, newest first, may not be older than what was known before: a head that found no room finds none
// later, since a used slot never becomes free again (one that moves leaves its slot to the next). One that was put out might find
// room in its other bucket for an older one of the same stream: from the first that is put out on no offers are taken.
// Once the heads of all runs were offered, a stream that is not here is new, unless heads were lost: then only where neither of its
// buckets is full, since none was put out of those.
// Of streams with an explicit key only that they exist is kept.
import { allocateFresh } from "./memory";
import { touch } from "./touch";

const SLOT_SIZE: usize = 16;
const SLOTS: usize = 4;
const BUCKET_SIZE: usize = SLOT_SIZE * SLOTS;
const LAST_SLOT: usize = BUCKET_SIZE - SLOT_SIZE;
const HIGH: usize = 8;
const NEXT: usize = 12;
/** Stands for what 32 bits cannot say: whoever asks looks for the stream elsewhere. */
export const NEXT_UNKNOWN: u32 = u32.MAX_VALUE;
/** Offers are of no use once so many of 16 slots are taken, and moving others finds no room. */
const FILLED_OF_16: u64 = 15;

let bytesMax: usize = 0;
let buckets: usize = 0;
let bucketCount: u32 = 0;
let usedSlots: u32 = 0;
/** The heads of all runs were offered. */
let isComplete: bool = false;
/** A head was put out, or found no room. */
let hasLost: bool = false;
/** A head was put out. */
let hasPutOut: bool = false;

/** Bounds the heads to `bytes`, none where that is no bucket. Their memory is taken with the first, and touched as they come. */
export function headsInit(bytes: usize): void {
  bytesMax = bytes & ~(BUCKET_SIZE - 1);
}

/** Bytes that the heads take. */
export function headsBytes(): usize {
  return <usize>bucketCount * BUCKET_SIZE;
}

@inline function bucketAt(half: u64): usize {
  return buckets + <usize>((half * <u64>bucketCount) >> 32) * BUCKET_SIZE;
}

@inline function firstBucket(low: u64): usize {
  return bucketAt(low >> 32);
}

@inline function secondBucket(low: u64): usize {
  return bucketAt(low & 0xffffffff);
}

@inline function nextAt(slot: usize): u32 {
  return load<u32>(slot, NEXT);
}

@inline function isFull(bucket: usize): bool {
  return nextAt(bucket + LAST_SLOT) != 0;
}

@inline function usedOf(bucket: usize): usize {
  let used: usize = 0;
  for (let i: usize = 0; i < SLOTS; i++) used += <usize>(nextAt(bucket + i * SLOT_SIZE) != 0);
  return used;
}

/** The slot of a bucket that has a head of this hash, or 0. */
@inline function slotIn(bucket: usize, low: u64, high: u32): usize {
  for (let i: usize = 0; i < SLOTS; i++) {
    const slot = bucket + i * SLOT_SIZE;
    if (load<u64>(slot) == low && load<u32>(slot, HIGH) == high) return slot;
  }
  return 0;
}

/** Loads what `headFind` will look at, while others are asked first. */
@inline export function headTouch(low: u64): void {
  if (bucketCount == 0) return;
  touch(firstBucket(low));
  touch(secondBucket(low));
}

/** After `headFind` gave 0: whether no run has the stream. */
export let headIsNone: bool = false;

/** The version that the stream's next event gets, or 0 where that is not known here. */
export function headFind(low: u64, high: u32): u64 {
  headIsNone = false;
  if (bucketCount == 0) return 0;
  const first = firstBucket(low);
  const second = secondBucket(low);
  let slot = slotIn(first, low, high);
  if (slot == 0) slot = slotIn(second, low, high);
  if (slot != 0) {
    const next = nextAt(slot);
    return next == NEXT_UNKNOWN ? 0 : next;
  }
  headIsNone = isComplete && (!hasLost || !(isFull(first) || isFull(second)));
  return 0;
}

/** All that the runs have was offered. What memtables have is put before they become runs. */
export function headsComplete(): void {
  isComplete = true;
}

/** Puts a stream's head in, in the place of what was known of it, or where there is no room of the one that was put in first. */
export function headPut(low: u64, high: u32, next: u64): void {
  if (bucketCount == 0 && !takeMemory()) return;
  let bucket = firstBucket(low);
  let slot = slotIn(bucket, low, high);
  if (slot == 0) {
    bucket = secondBucket(low);
    slot = slotIn(bucket, low, high);
  }
  if (slot == 0) {
    bucket = bucketWithRoom(low);
    if (bucket != 0) {
      usedSlots++;
      slot = bucket + usedOf(bucket) * SLOT_SIZE;
    } else {
      hasLost = true;
      hasPutOut = true;
      bucket = firstBucket(low);
      slot = bucket + LAST_SLOT;
    }
  }
  for (; slot > bucket; slot -= SLOT_SIZE) v128.store(slot, v128.load(slot - SLOT_SIZE));
  write(bucket, low, high, next);
}

@inline function write(slot: usize, low: u64, high: u32, next: u64): void {
  store<u64>(slot, low);
  store<u32>(slot, high, HIGH);
  store<u32>(slot, <u32>min<u64>(next, NEXT_UNKNOWN), NEXT);
}

/** Puts a stream's head in where there is room and nothing is known of it: runs are read newest first. */
export function headOffer(low: u64, high: u32, next: u64): void {
  if (hasPutOut || (bucketCount == 0 && !takeMemory())) return;
  if (slotIn(firstBucket(low), low, high) != 0 || slotIn(secondBucket(low), low, high) != 0) return;
  const bucket = bucketWithRoom(low);
  if (bucket == 0) {
    hasLost = true;
    return;
  }
  usedSlots++;
  write(bucket + usedOf(bucket) * SLOT_SIZE, low, high, next);
}

/** The one of a hash's buckets that has more free slots; one is made where none is free. 0: there is no room. */
function bucketWithRoom(low: u64): usize {
  const first = firstBucket(low);
  const second = secondBucket(low);
  const used = usedOf(first);
  if (used < SLOTS) return used <= usedOf(second) ? first : second;
  if (!isFull(second)) return second;
  if (isFilled()) return 0;
  if (moveOne(first)) return first;
  return moveOne(second) ? second : 0;
}

/** Moves one head of a full bucket to its other bucket, if one of them has room; those that were put in first are asked first. */
function moveOne(bucket: usize): bool {
  for (let slot = bucket + LAST_SLOT; slot >= bucket; slot -= SLOT_SIZE) {
    const low = load<u64>(slot);
    const first = firstBucket(low);
    const other = first == bucket ? secondBucket(low) : first;
    if (isFull(other)) continue;
    v128.store(other + usedOf(other) * SLOT_SIZE, v128.load(slot));
    for (; slot < bucket + LAST_SLOT; slot += SLOT_SIZE) v128.store(slot, v128.load(slot + SLOT_SIZE));
    store<u32>(bucket + LAST_SLOT, 0, NEXT);
    return true;
  }
  return false;
}

/** Whether so few slots are free that it is of no use to look for more. */
@inline function isFilled(): bool {
  return <u64>usedSlots * 16 > <u64>bucketCount * <u64>SLOTS * FILLED_OF_16;
}

/** Whether offers are of no use: they are not taken, find no room, or there is no memory for heads. */
export function headsAreFilled(): bool {
  return bytesMax == 0 || hasPutOut || isFilled();
}

/** False where memory is refused: then there are no heads, now or later. */
function takeMemory(): bool {
  if (bytesMax == 0) return false;
  buckets = allocateFresh(bytesMax);
  if (buckets == 0) bytesMax = 0;
  bucketCount = <u32>(bytesMax / BUCKET_SIZE);
  return bucketCount > 0;
}
