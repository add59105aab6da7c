// Sorts by hash. Hashes are uniform, so they are laid out by their upper bits into buckets of a few, and brought into
// order within those by insertion. A hash is its first 64 bits, then 32 more, at the beginning of what is sorted.
//
// The shell's rows are sorted as   0 hash 12 │ 12 number u32, or, ids, 12 place u64
import { ID_SIZE } from "./run-format";

const NUMBERED_SIZE: usize = 16;
/** Hashes that share a bucket, on average, are 1 << this. */
const BUCKET_SHIFT: u32 = 2;

/** Bytes that the buckets of so many hashes take. */
export function bucketsSize(count: u32): usize {
  return sizeof<u32>() << bucketBits(count);
}

/** Writes the numbers of the rows, u32, to `out` in order of their hashes. `scratch` has 16 bytes a row. */
export function sortNumbers(rows: usize, rowSize: usize, count: u32, buckets: usize, scratch: usize, out: usize): void {
  const shift = <u64>(64 - bucketBits(count));
  countBuckets(rows, rowSize, count, buckets, shift);
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * rowSize;
    const low = load<u64>(row);
    const item = scratch + <usize>bucketTake(buckets, low, shift) * NUMBERED_SIZE;
    store<u64>(item, low);
    store<u32>(item, load<u32>(row, 8), 8);
    store<u32>(item, i, 12);
  }
  const end = scratch + <usize>count * NUMBERED_SIZE;
  for (let item = scratch + NUMBERED_SIZE; item < end; item += NUMBERED_SIZE) {
    const low = load<u64>(item);
    const rest = load<u64>(item, 8);
    let at = item;
    while (at > scratch && isBelow(low, <u32>rest, at - NUMBERED_SIZE)) {
      store<u64>(at, load<u64>(at - NUMBERED_SIZE));
      store<u64>(at, load<u64>(at - NUMBERED_SIZE + 8), 8);
      at -= NUMBERED_SIZE;
    }
    store<u64>(at, low);
    store<u64>(at, rest, 8);
  }
  for (let i: usize = 0; i < <usize>count; i++) store<u32>(out + (i << 2), load<u32>(scratch + i * NUMBERED_SIZE, 12));
}

/** Writes the rows' hashes and places to `out`, as a run's ids are, in order. */
export function sortIds(rows: usize, rowSize: usize, rowPlace: usize, count: u32, buckets: usize, out: usize): void {
  const shift = <u64>(64 - bucketBits(count));
  countBuckets(rows, rowSize, count, buckets, shift);
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * rowSize;
    const low = load<u64>(row);
    const item = out + <usize>bucketTake(buckets, low, shift) * ID_SIZE;
    store<u64>(item, low);
    store<u32>(item, load<u32>(row, 8), 8);
    store<u64>(item, load<u64>(row + rowPlace), 12);
  }
  const end = out + <usize>count * ID_SIZE;
  for (let item = out + ID_SIZE; item < end; item += ID_SIZE) {
    const low = load<u64>(item);
    const high = load<u32>(item, 8);
    if (!isBelow(low, high, item - ID_SIZE)) continue;
    const place = load<u64>(item, 12);
    let at = item;
    while (at > out && isBelow(low, high, at - ID_SIZE)) {
      memory.copy(at, at - ID_SIZE, ID_SIZE);
      at -= ID_SIZE;
    }
    store<u64>(at, low);
    store<u32>(at, high, 8);
    store<u64>(at, place, 12);
  }
}

/** Bits of a hash that choose its bucket, at least one. */
function bucketBits(count: u32): u32 {
  return 32 - clz<u32>((count >> BUCKET_SHIFT) | 1);
}

/** Counts the rows of each bucket, and turns the counts into where each bucket begins. */
function countBuckets(rows: usize, rowSize: usize, count: u32, buckets: usize, shift: u64): void {
  const end = buckets + bucketsSize(count);
  memory.fill(buckets, 0, end - buckets);
  for (let i: usize = 0; i < <usize>count; i++) {
    const bucket = buckets + (<usize>(load<u64>(rows + i * rowSize) >> shift) << 2);
    store<u32>(bucket, load<u32>(bucket) + 1);
  }
  let before: u32 = 0;
  for (let bucket = buckets; bucket < end; bucket += sizeof<u32>()) {
    const own = load<u32>(bucket);
    store<u32>(bucket, before);
    before += own;
  }
}

/** Index at which the next item of a hash's bucket goes. */
@inline function bucketTake(buckets: usize, low: u64, shift: u64): u32 {
  const bucket = buckets + (<usize>(low >> shift) << 2);
  const index = load<u32>(bucket);
  store<u32>(bucket, index + 1);
  return index;
}

@inline function isBelow(low: u64, high: u32, other: usize): bool {
  const otherLow = load<u64>(other);
  return low < otherLow || (low == otherLow && high < load<u32>(other, 8));
}
