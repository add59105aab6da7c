// A bounded number of equal areas, found by a number: what the caches of blocks and of index pages are made of.
//
//   clock   0 slots ptr │ 4 slots at the most │ 8 slots │ 12 hand │ 16 index ptr │ 20 index mask │ 24 area size │ 28 last slot
//   slot    0 number u64 │ 8 loaded bytes u32 │ 12 used since the hand passed it u32 │ 16 area ptr u32 │ 20 –
//   index   open addressing from a number to its slot's index + 1; at most half full
//
// Replacement is CLOCK (Corbató, 1968): a hand passes over the slots and takes the first that was not used since.
import { allocate, release } from "./memory";

export const CLOCK_SIZE: usize = 32;
const SLOTS: usize = 0;
const SLOT_MAX: usize = 4;
const SLOT_COUNT: usize = 8;
const HAND: usize = 12;
const INDEX: usize = 16;
const MASK: usize = 20;
const AREA_SIZE: usize = 24;
const LAST: usize = 28;

const SLOT_SIZE: usize = 24;
export const SLOT_NUMBER: usize = 0;
export const SLOT_LOADED: usize = 8;
export const SLOT_USED: usize = 12;
export const SLOT_AREA: usize = 16;

/** Bounds a clock to `slotMax` areas; each is taken from memory when it is needed first. */
export function clockInit(clock: usize, slotMax: u32, size: usize): void {
  memory.fill(clock, 0, CLOCK_SIZE);
  let capacity: u32 = 4;
  while (capacity < slotMax * 2) capacity <<= 1;
  const slots = allocate(<usize>slotMax * SLOT_SIZE);
  const index = allocate(capacity * sizeof<u32>());
  assert(slots != 0 && index != 0);
  memory.fill(index, 0, capacity * sizeof<u32>());
  store<u32>(clock, <u32>slots);
  store<u32>(clock, slotMax, SLOT_MAX);
  store<u32>(clock, <u32>index, INDEX);
  store<u32>(clock, capacity - 1, MASK);
  store<u32>(clock, <u32>size, AREA_SIZE);
}

@inline export function clockCount(clock: usize): u32 {
  return load<u32>(clock, SLOT_COUNT);
}

/** Which of the clock's slots this is. */
@inline export function slotIndex(clock: usize, slot: usize): u32 {
  return <u32>((slot - <usize>load<u32>(clock)) / SLOT_SIZE);
}

@inline function slotAt(clock: usize, index: u32): usize {
  return <usize>load<u32>(clock) + <usize>index * SLOT_SIZE;
}

@inline function home(clock: usize, number: u64): u32 {
  return <u32>((number * 0x9e3779b97f4a7c15) >> 32) & load<u32>(clock, MASK);
}

/** The slot with this number, or 0. */
export function clockFind(clock: usize, number: u64): usize {
  const last: usize = load<u32>(clock, LAST);
  if (last != 0 && load<u64>(last) == number) return last;
  const index: usize = load<u32>(clock, INDEX);
  const mask = load<u32>(clock, MASK);
  let at = home(clock, number);
  while (true) {
    const found = load<u32>(index + (at << 2));
    if (found == 0) return 0;
    const slot = slotAt(clock, found - 1);
    if (load<u64>(slot) == number) {
      store<u32>(clock, <u32>slot, LAST);
      return slot;
    }
    at = (at + 1) & mask;
  }
}

/**
 * A slot for a number that has none: a new one while there may be more, else the next that was not used lately,
 * whose area is given over. 0 where memory is refused for the first.
 */
export function clockTake(clock: usize, number: u64): usize {
  let slot: usize = 0;
  const count = load<u32>(clock, SLOT_COUNT);
  if (count < load<u32>(clock, SLOT_MAX)) {
    const area = allocate(load<u32>(clock, AREA_SIZE));
    if (area != 0) {
      slot = slotAt(clock, count);
      store<u32>(slot, <u32>area, SLOT_AREA);
      store<u32>(clock, count + 1, SLOT_COUNT);
    } else if (count == 0) {
      return 0;
    }
  }
  while (slot == 0) {
    const hand = load<u32>(clock, HAND);
    const passed = slotAt(clock, hand);
    store<u32>(clock, hand + 1 == count ? 0 : hand + 1, HAND);
    const used = load<u32>(passed, SLOT_USED);
    if (used == 0) {
      slot = passed;
      unlink(clock, load<u64>(passed));
    } else {
      store<u32>(passed, 0, SLOT_USED);
    }
  }
  store<u32>(clock, 0, LAST);
  store<u64>(slot, number);
  store<u32>(slot, 0, SLOT_LOADED);
  store<u32>(slot, 1, SLOT_USED);
  const index: usize = load<u32>(clock, INDEX);
  const mask = load<u32>(clock, MASK);
  let at = home(clock, number);
  while (load<u32>(index + (at << 2)) != 0) at = (at + 1) & mask;
  store<u32>(index + (at << 2), slotIndex(clock, slot) + 1);
  return slot;
}

/** Bounds a clock to fewer areas, or to more again, up to what `clockInit` was told. What is above is given back. */
export function clockLimit(clock: usize, slotMax: u32): void {
  store<u32>(clock, slotMax, SLOT_MAX);
  let count = load<u32>(clock, SLOT_COUNT);
  if (count <= slotMax) return;
  store<u32>(clock, 0, LAST);
  store<u32>(clock, 0, HAND);
  while (count > slotMax) {
    const slot = slotAt(clock, --count);
    unlink(clock, load<u64>(slot, SLOT_NUMBER));
    release(load<u32>(slot, SLOT_AREA), load<u32>(clock, AREA_SIZE));
  }
  store<u32>(clock, count, SLOT_COUNT);
}

/** Takes a number out of the index and closes the gap (Knuth 6.4, algorithm R). */
function unlink(clock: usize, number: u64): void {
  const index: usize = load<u32>(clock, INDEX);
  const mask = load<u32>(clock, MASK);
  let gap = home(clock, number);
  while (load<u64>(slotAt(clock, load<u32>(index + (gap << 2)) - 1)) != number) gap = (gap + 1) & mask;
  while (true) {
    store<u32>(index + (gap << 2), 0);
    let next = gap;
    while (true) {
      next = (next + 1) & mask;
      const found = load<u32>(index + (next << 2));
      if (found == 0) return;
      const wanted = home(clock, load<u64>(slotAt(clock, found - 1)));
      if (((next - wanted) & mask) >= ((next - gap) & mask)) {
        store<u32>(index + (gap << 2), found);
        gap = next;
        break;
      }
    }
  }
}
