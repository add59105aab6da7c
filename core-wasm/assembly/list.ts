// A list of u32 that only grows: chunks of doubling size, linked from the newest to the oldest, so that the
// end (what is read and appended most) is at hand and a place is found in few steps.
//
//   list   0 newest chunk ptr u32 │ 4 count u32
//   chunk  0 older chunk ptr u32 │ 4 index of its first value u32 │ 8 its size in bytes u32 │ 12 – │ 16 … values
import { arenaAllocate } from "./arena";
import { touch } from "./touch";

export const LIST_SIZE: usize = 8;
const CHUNK_HEAD_SIZE: usize = 16;
const CHUNK_SIZE_MIN: u32 = 32;
/** Also the most memory that one append to a list may take. */
export const CHUNK_SIZE_MAX: u32 = 16384;

/** Where the last value was found: reads go through a list in order, and chunks never move. */
let lastList: usize = 0;
let lastChunk: usize = 0;

/** Forgets where the last value was found: before the memory of lists is given back. */
export function listsForget(): void {
  lastList = 0;
}

export function listCount(list: usize): u32 {
  return load<u32>(list, 4);
}

export function listAppend(list: usize, value: u32, arena: usize): void {
  let chunk: usize = load<u32>(list);
  const count = load<u32>(list, 4);
  if (chunk == 0 || isFull(chunk, count)) {
    const size = chunk == 0 ? CHUNK_SIZE_MIN : min(load<u32>(chunk, 8) << 1, CHUNK_SIZE_MAX);
    const fresh = arenaAllocate(arena, size);
    store<u32>(fresh, <u32>chunk);
    store<u32>(fresh, count, 4);
    store<u32>(fresh, size, 8);
    store<u32>(list, <u32>fresh);
    chunk = fresh;
  }
  store<u32>(chunk + CHUNK_HEAD_SIZE + ((count - load<u32>(chunk, 4)) << 2), value);
  store<u32>(list, count + 1, 4);
}

/** Loads what the next `listAppend` will look at. */
@inline export function listTouch(list: usize): void {
  const chunk: usize = load<u32>(list);
  if (chunk == 0) return;
  touch(chunk);
  touch(chunk + CHUNK_HEAD_SIZE + ((load<u32>(list, 4) - 1 - load<u32>(chunk, 4)) << 2));
}

@inline function isFull(chunk: usize, count: u32): bool {
  return CHUNK_HEAD_SIZE + ((count - load<u32>(chunk, 4)) << 2) == load<u32>(chunk, 8);
}

/** Index behind the last value that a chunk can hold. */
@inline function chunkEnd(chunk: usize): u32 {
  return load<u32>(chunk, 4) + ((load<u32>(chunk, 8) - <u32>CHUNK_HEAD_SIZE) >> 2);
}

export function listGet(list: usize, index: u32): u32 {
  assert(index < load<u32>(list, 4));
  let chunk: usize = list == lastList && index < chunkEnd(lastChunk) ? lastChunk : load<u32>(list);
  while (index < load<u32>(chunk, 4)) chunk = load<u32>(chunk);
  lastList = list;
  lastChunk = chunk;
  return load<u32>(chunk + CHUNK_HEAD_SIZE + ((index - load<u32>(chunk, 4)) << 2));
}

/** How many of the list's values, which ascend, are below `bound`. */
export function listCountBelow(list: usize, bound: u32): u32 {
  let chunk: usize = load<u32>(list);
  let high = load<u32>(list, 4);
  while (chunk != 0 && load<u32>(chunk, CHUNK_HEAD_SIZE) >= bound) {
    high = load<u32>(chunk, 4);
    chunk = load<u32>(chunk);
  }
  if (chunk == 0) return 0;
  const first = load<u32>(chunk, 4);
  let low = first;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<u32>(chunk + CHUNK_HEAD_SIZE + ((middle - first) << 2)) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
