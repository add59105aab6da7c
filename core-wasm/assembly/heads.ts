// Heads of streams in memory: what the next version is of streams that no memtable has, so that an append to one, or
// ESVER, need not ask the runs. A cache: a stream that is not here is looked for in the runs, and put here then.
//
//   heads    buckets of 64 bytes, one cache line each; the upper 32 bits of a stream's hash choose
//   bucket   4 slots; the one that was put first, the last to be put out, lies first
//   slot     0 hash 12 │ 12 next version u32, 0 where the slot is free
//
// A head is right only while no memtable has the stream: before a memtable is given up, all its streams are put here.
// A slot that was used never becomes free again, so what is offered to a free one was not put out before by newer heads. And
// once the heads of all runs were offered, a bucket with a free slot has all of its streams: one that is not there is new.
// Of streams with an explicit key only that they exist is kept.
import { allocateFresh } from "./memory";

const SLOT_SIZE: usize = 16;
const SLOTS: usize = 4;
const BUCKET_SIZE: usize = SLOT_SIZE * SLOTS;
const HIGH: usize = 8;
const NEXT: usize = 12;
/** Stands for what 32 bits cannot say: whoever asks looks for the stream elsewhere. */
export const NEXT_UNKNOWN: u32 = u32.MAX_VALUE;
/** Offers are of no use once so many of 8 slots are taken. */
const FILLED_OF_8: u64 = 7;

let bytesMax: usize = 0;
let buckets: usize = 0;
let bucketCount: u32 = 0;
let usedSlots: u32 = 0;
/** The heads of all runs were offered. */
let isComplete: bool = false;

/** Bounds the heads to `bytes`, none where that is no bucket. Their memory is taken with the first, and touched as they come. */
export function headsInit(bytes: usize): void {
  bytesMax = bytes & ~(BUCKET_SIZE - 1);
}

/** Bytes that the heads take. */
export function headsBytes(): usize {
  return <usize>bucketCount * BUCKET_SIZE;
}

@inline function bucketOf(low: u64): usize {
  return buckets + <usize>(((low >> 32) * <u64>bucketCount) >> 32) * BUCKET_SIZE;
}

@inline function isAt(slot: usize, low: u64, high: u32): bool {
  return load<u64>(slot) == low && load<u32>(slot, HIGH) == high;
}

/** Loads what `headFind` will look at, while others are asked first. What is returned says nothing, but must be used. */
@inline export function headTouch(low: u64): u64 {
  return bucketCount == 0 ? 0 : load<u64>(bucketOf(low));
}

/** After `headFind` gave 0: whether no run has the stream. */
export let headIsNone: bool = false;

/** The version that the stream's next event gets, or 0 where that is not known here. */
export function headFind(low: u64, high: u32): u64 {
  headIsNone = false;
  if (bucketCount == 0) return 0;
  const bucket = bucketOf(low);
  for (let slot = bucket; slot < bucket + BUCKET_SIZE; slot += SLOT_SIZE) {
    if (!isAt(slot, low, high)) continue;
    const next = load<u32>(slot, NEXT);
    return next == NEXT_UNKNOWN ? 0 : next;
  }
  headIsNone = isComplete && load<u32>(bucket + BUCKET_SIZE - SLOT_SIZE, NEXT) == 0;
  return 0;
}

/** All that the runs have was offered. What memtables have is put before they become runs. */
export function headsComplete(): void {
  isComplete = true;
}

/** Puts a stream's head in, in the place of what was known of it, or of the one that was put in first. */
export function headPut(low: u64, high: u32, next: u64): void {
  if (bucketCount == 0 && !takeMemory()) return;
  const bucket = bucketOf(low);
  const last = bucket + BUCKET_SIZE - SLOT_SIZE;
  let slot = bucket;
  while (slot < last && load<u32>(slot, NEXT) != 0 && !isAt(slot, low, high)) slot += SLOT_SIZE;
  if (load<u32>(slot, NEXT) == 0) usedSlots++;
  while (slot > bucket) {
    v128.store(slot, v128.load(slot - SLOT_SIZE));
    slot -= SLOT_SIZE;
  }
  write(bucket, low, high, next);
}

@inline function write(slot: usize, low: u64, high: u32, next: u64): void {
  store<u64>(slot, low);
  store<u32>(slot, high, HIGH);
  store<u32>(slot, <u32>min<u64>(next, NEXT_UNKNOWN), NEXT);
}

/** Puts a stream's head in where there is a free slot and nothing is known of it: runs are read newest first. */
export function headOffer(low: u64, high: u32, next: u64): void {
  if (bucketCount == 0 && !takeMemory()) return;
  const bucket = bucketOf(low);
  for (let slot = bucket; slot < bucket + BUCKET_SIZE; slot += SLOT_SIZE) {
    if (isAt(slot, low, high)) return;
    if (load<u32>(slot, NEXT) != 0) continue;
    usedSlots++;
    write(slot, low, high, next);
    return;
  }
}

/** Whether so few slots are free that offers are of no use, or there is no memory for heads. */
export function headsAreFilled(): bool {
  return bytesMax == 0 || <u64>usedSlots * 8 > <u64>bucketCount * SLOTS * FILLED_OF_8;
}

/** False where memory is refused: then there are no heads, now or later. */
function takeMemory(): bool {
  if (bytesMax == 0) return false;
  buckets = allocateFresh(bytesMax);
  if (buckets == 0) bytesMax = 0;
  bucketCount = <u32>(bytesMax / BUCKET_SIZE);
  return bucketCount > 0;
}
