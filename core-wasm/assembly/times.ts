// When events happened, by stretches of 8,192 positions: enough to pass over what a range of times cannot match,
// and to begin a search by recorded_at without a read. Clients set timestamps and clocks jump, so a stretch knows
// its smallest and its largest, not its first and last; recorded_at never decreases.
//
//   row   0 smallest timestamp u64 │ 8 largest timestamp u64 │ 16 recorded_at of its first event u64
import { allocateReserved, release } from "./memory";

const STRETCH_SHIFT: u64 = 13;
const ROW_SIZE: usize = 24;
const ROW_LARGEST: usize = 8;
const ROW_RECORDED_AT: usize = 16;
const CAPACITY_MIN: u32 = 64;

let rows: usize = 0;
let capacity: u32 = 0;
let count: u32 = 0;

export function timesInit(): void {
  capacity = CAPACITY_MIN;
  rows = allocateReserved(<usize>capacity * ROW_SIZE);
}

/** Bytes that the events of one transaction may take here at the most. */
export function timesGrowthBytes(): usize {
  return 4 * <usize>capacity * ROW_SIZE; // twice as many rows, and an area of the next power of two
}

@inline function rowOf(stretch: u32): usize {
  return rows + <usize>stretch * ROW_SIZE;
}

@inline export function stretchOf(position: u64): u32 {
  return <u32>(position >> STRETCH_SHIFT);
}

@inline export function stretchStart(stretch: u32): u64 {
  return <u64>stretch << STRETCH_SHIFT;
}

/** Counts in the event at the next position. */
export function timesAdd(position: u64, timestamp: u64, recordedAt: u64): void {
  const stretch = stretchOf(position);
  if (stretch == count) {
    if (count == capacity) grow();
    const row = rowOf(count++);
    store<u64>(row, timestamp);
    store<u64>(row, timestamp, ROW_LARGEST);
    store<u64>(row, recordedAt, ROW_RECORDED_AT);
    return;
  }
  assert(stretch + 1 == count);
  const row = rowOf(stretch);
  store<u64>(row, min(load<u64>(row), timestamp));
  store<u64>(row, max(load<u64>(row, ROW_LARGEST), timestamp), ROW_LARGEST);
}

/** Counts in what a run knows of a stretch: the next one, or more of the last. */
export function timesUnite(stretch: u64, smallest: u64, largest: u64, recordedAt: u64): void {
  if (stretch == count) timesAdd(stretchStart(count), smallest, recordedAt);
  assert(stretch + 1 == count);
  const row = rowOf(count - 1);
  store<u64>(row, min(load<u64>(row), smallest));
  store<u64>(row, max(load<u64>(row, ROW_LARGEST), largest), ROW_LARGEST);
}

/** Writes a stretch's row as a run has it: its number, then its times. What follows later may be counted in. */
export function timesCopy(stretch: u32, out: usize): void {
  assert(stretch < count);
  store<u64>(out, stretch);
  memory.copy(out + 8, rowOf(stretch), ROW_SIZE);
}

function grow(): void {
  const size = <usize>capacity * ROW_SIZE;
  const fresh = allocateReserved(size * 2);
  memory.copy(fresh, rows, size);
  release(rows, size);
  rows = fresh;
  capacity *= 2;
}

/** Whether the stretch may hold an event of these times, both ends inclusive. */
@inline function mayHold(stretch: u32, since: u64, until: u64): bool {
  const row = rowOf(stretch);
  return load<u64>(row) <= until && load<u64>(row, ROW_LARGEST) >= since;
}

/** The first stretch from this one on that may hold an event of these times, or the number of stretches. */
export function stretchAfter(stretch: u32, since: u64, until: u64): u32 {
  while (stretch < count && !mayHold(stretch, since, until)) stretch++;
  return stretch;
}

/** The last stretch up to this one that may hold an event of these times, or -1. */
export function stretchBefore(stretch: u32, since: u64, until: u64): i32 {
  let at = <i32>stretch;
  while (at >= 0 && !mayHold(at, since, until)) at--;
  return at;
}

/** How many stretches begin with an event that was recorded at this time or earlier. */
export function stretchesRecordedBy(recordedAt: u64): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<u64>(rowOf(middle), ROW_RECORDED_AT) <= recordedAt) low = middle + 1;
    else high = middle;
  }
  return low;
}
