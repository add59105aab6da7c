// Arenas: what is taken piece by piece and given back as a whole, as a memtable is. An arena takes blocks from
// memory and hands out parts of them; a part is never given back alone.
//
//   arena   0 newest block ptr u32 │ 4 next free byte ptr u32 │ 8 its block's end ptr u32 │ 12 bytes of all blocks u32
//   block   0 older block ptr u32 │ 4 its size u32 │ 16 … parts
import { allocateReserved, areaSize, release } from "./memory";

export const ARENA_SIZE: usize = 16;
const BLOCK: usize = 0;
const NEXT: usize = 4;
const END: usize = 8;
const BYTES: usize = 12;

/** Also the most memory that a small part takes. */
export const ARENA_BLOCK_SIZE: usize = 1 << 18;
const BLOCK_HEAD_SIZE: usize = 16;
/** A larger part gets a block of its own. */
const PART_SIZE_MAX: usize = ARENA_BLOCK_SIZE / 8;

export function arenaInit(arena: usize): void {
  memory.fill(arena, 0, ARENA_SIZE);
}

/** Bytes that the arena takes of memory. */
export function arenaBytes(arena: usize): usize {
  return load<u32>(arena, BYTES);
}

/** A part of `size` bytes, aligned to 8; what it holds is not zero. `ensureMemory` came before. */
export function arenaAllocate(arena: usize, size: usize): usize {
  const rounded = (size + 7) & ~7;
  if (rounded > PART_SIZE_MAX) return newBlock(arena, rounded + BLOCK_HEAD_SIZE) + BLOCK_HEAD_SIZE;
  let part: usize = load<u32>(arena, NEXT);
  if (part + rounded > <usize>load<u32>(arena, END)) {
    const block = newBlock(arena, ARENA_BLOCK_SIZE);
    part = block + BLOCK_HEAD_SIZE;
    store<u32>(arena, <u32>(block + ARENA_BLOCK_SIZE), END);
  }
  store<u32>(arena, <u32>(part + rounded), NEXT);
  return part;
}

function newBlock(arena: usize, size: usize): usize {
  const block = allocateReserved(size);
  store<u32>(block, load<u32>(arena, BLOCK));
  store<u32>(block, <u32>size, 4);
  store<u32>(arena, <u32>block, BLOCK);
  store<u32>(arena, load<u32>(arena, BYTES) + <u32>areaSize(size), BYTES);
  return block;
}

/** Gives everything back. */
export function arenaRelease(arena: usize): void {
  let block: usize = load<u32>(arena, BLOCK);
  while (block != 0) {
    const older: usize = load<u32>(block);
    release(block, load<u32>(block, 4));
    block = older;
  }
  arenaInit(arena);
}
