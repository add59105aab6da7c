// Rows of one size, found by their number: chunks in an arena, with a directory. Rows never move.
//
//   rows   0 directory ptr u32 │ 4 its capacity in chunks u32 │ 8 row count u32 │ 12 row size u32 │ 16 rows per chunk u32 │ 20 –
import { arenaAllocate } from "./arena";

export const ROWS_SIZE: usize = 24;
const DIRECTORY: usize = 0;
const CAPACITY: usize = 4;
const COUNT: usize = 8;
const ROW_SIZE: usize = 12;
const PER_CHUNK: usize = 16;

const CHUNK_SIZE: usize = 16384;
const CAPACITY_MIN: u32 = 16;

export function rowsInit(rows: usize, arena: usize, rowSize: usize): void {
  store<u32>(rows, <u32>arenaAllocate(arena, CAPACITY_MIN * sizeof<u32>()), DIRECTORY);
  store<u32>(rows, CAPACITY_MIN, CAPACITY);
  store<u32>(rows, 0, COUNT);
  store<u32>(rows, <u32>rowSize, ROW_SIZE);
  store<u32>(rows, <u32>(CHUNK_SIZE / rowSize), PER_CHUNK);
}

/** Most bytes that adding a row may take. */
export function rowsGrowthBytes(rows: usize): usize {
  return CHUNK_SIZE + 2 * sizeof<u32>() * <usize>load<u32>(rows, CAPACITY);
}

@inline export function rowsCount(rows: usize): u32 {
  return load<u32>(rows, COUNT);
}

/** The row with this number. */
@inline export function rowAt(rows: usize, index: u32): usize {
  const perChunk = load<u32>(rows, PER_CHUNK);
  const chunk = index / perChunk;
  const directory: usize = load<u32>(rows, DIRECTORY);
  return <usize>load<u32>(directory + (chunk << 2)) + <usize>(index - chunk * perChunk) * load<u32>(rows, ROW_SIZE);
}

/** A new last row; what it holds is not zero. */
export function rowsAdd(rows: usize, arena: usize): usize {
  const count = load<u32>(rows, COUNT);
  const perChunk = load<u32>(rows, PER_CHUNK);
  if (count % perChunk == 0) addChunk(rows, arena, count / perChunk);
  store<u32>(rows, count + 1, COUNT);
  return rowAt(rows, count);
}

function addChunk(rows: usize, arena: usize, chunk: u32): void {
  let capacity = load<u32>(rows, CAPACITY);
  if (chunk == capacity) {
    const fresh = arenaAllocate(arena, 2 * <usize>capacity * sizeof<u32>());
    memory.copy(fresh, load<u32>(rows, DIRECTORY), <usize>capacity * sizeof<u32>());
    store<u32>(rows, <u32>fresh, DIRECTORY);
    capacity *= 2;
    store<u32>(rows, capacity, CAPACITY);
  }
  store<u32>(<usize>load<u32>(rows, DIRECTORY) + (chunk << 2), <u32>arenaAllocate(arena, CHUNK_SIZE));
}
