// Filters that say of a hash that a run surely lacks it, or that it may have it (about 0.04 % of what it lacks): a Bloom
// filter whose bits for one hash lie in one block of 64 bytes, so that a look costs one cache line (Putze, Sanders
// and Singler, 2007). Twenty bits an entry; the block is chosen by the hash's upper 32 bits, seven bits of it by the others.
import { FILTER_BLOCK_SIZE } from "./run-format";
import { touch } from "./touch";

const BITS_PER_ENTRY: u64 = 20;
const BLOCK_BITS: u64 = 512;
const HASHES: u32 = 7;

/** Blocks of a filter for this many entries; one at least. */
export function filterBlocks(entries: u64): u32 {
  return <u32>max<u64>(1, (entries * BITS_PER_ENTRY + BLOCK_BITS - 1) / BLOCK_BITS);
}

@inline function blockOf(filter: usize, blocks: u32, low: u64): usize {
  return filter + <usize>(((low >> 32) * <u64>blocks) >> 32) * FILTER_BLOCK_SIZE;
}

@inline function bitsOf(low: u64, high: u32): u64 {
  return (low & 0xffffffff) | (<u64>high << 32);
}

/** Loads what `filterMayHold` will look at. */
@inline export function filterTouch(filter: usize, blocks: u32, low: u64): void {
  touch(blockOf(filter, blocks, low));
}

export function filterAdd(filter: usize, blocks: u32, low: u64, high: u32): void {
  const block = blockOf(filter, blocks, low);
  let bits = bitsOf(low, high);
  for (let i: u32 = 0; i < HASHES; i++) {
    const bit = <u32>bits & 511;
    const word = block + <usize>((bit >> 6) << 3);
    store<u64>(word, load<u64>(word) | (<u64>1 << (bit & 63)));
    bits >>= 9;
  }
}

/** All bits are looked at before the one branch, so that looks into the filters of many runs overlap in the processor. */
export function filterMayHold(filter: usize, blocks: u32, low: u64, high: u32): bool {
  const block = blockOf(filter, blocks, low);
  let bits = bitsOf(low, high);
  let isSet: u64 = 1;
  for (let i: u32 = 0; i < HASHES; i++) {
    const bit = <u32>bits & 511;
    isSet &= load<u64>(block + <usize>((bit >> 6) << 3)) >> (bit & 63);
    bits >>= 9;
  }
  return isSet != 0;
}
