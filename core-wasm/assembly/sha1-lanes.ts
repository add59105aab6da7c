// SHA-1 (FIPS 180-4) of four messages at a time, one in each lane of a SIMD register: little dearer than of one.
//
//   message   its bytes, 0x80, zeros up to 8 bytes before a multiple of 64, its length in bits u64 big-endian
//
// The four lie `LANE_SIZE` bytes apart from `lanes` on; `lanesBegin` takes the number of 64-byte blocks of each.

export const LANES: u32 = 4;
const BLOCK_SIZE: usize = 64;
const LANE_BLOCKS: usize = 5;
/** Bytes that a message may have with what follows it. */
export const LANE_SIZE: usize = LANE_BLOCKS * BLOCK_SIZE;
const VECTOR_SIZE: usize = 16;

export const lanes: usize = memory.data(4 * 320, 16);
/** 64-byte blocks of each message, u32. */
const blockCounts: usize = memory.data(16, 16);
/** The five words of the hash, each a vector of the four messages' words. */
const state: usize = memory.data(5 * 16, 16);
const schedule: usize = memory.data(80 * 16, 16);

/** Ends the message of a lane, `size` bytes of which are there. */
export function laneEnd(lane: u32, size: usize): void {
  const message = lanes + <usize>lane * LANE_SIZE;
  const blocks = (size + 9 + BLOCK_SIZE - 1) / BLOCK_SIZE;
  assert(blocks <= LANE_BLOCKS);
  const lengthPtr = message + blocks * BLOCK_SIZE - 8;
  memory.fill(message + size, 0, lengthPtr - message - size);
  store<u8>(message + size, 0x80);
  store<u64>(lengthPtr, bswap(<u64>size << 3));
  store<u32>(blockCounts + (<usize>lane << 2), <u32>blocks);
}

/** Hashes the messages of the first `count` lanes; `laneWord` gives what came of it. */
export function lanesHash(count: u32): void {
  v128.store(state, i32x4.splat(0x67452301));
  v128.store(state, i32x4.splat(0xefcdab89), 16);
  v128.store(state, i32x4.splat(0x98badcfe), 32);
  v128.store(state, i32x4.splat(0x10325476), 48);
  v128.store(state, i32x4.splat(0xc3d2e1f0), 64);
  let blocks: u32 = 0;
  for (let lane: u32 = 0; lane < count; lane++) blocks = max(blocks, load<u32>(blockCounts + (<usize>lane << 2)));
  for (let block: u32 = 0; block < blocks; block++) hashBlock(block);
}

/** A word of a lane's hash, as a number. */
export function laneWord(lane: u32, index: usize): u32 {
  return load<u32>(state + index * VECTOR_SIZE + (<usize>lane << 2));
}

/** Takes the block with this number of each message that has one. */
function hashBlock(block: u32): void {
  const first = lanes + <usize>block * BLOCK_SIZE;
  for (let i: usize = 0; i < 4; i++) takeWords(first + i * VECTOR_SIZE, schedule + 4 * i * VECTOR_SIZE);
  for (let at = schedule + 16 * VECTOR_SIZE; at < schedule + 80 * VECTOR_SIZE; at += VECTOR_SIZE) {
    const near = v128.xor(v128.load(at - 3 * VECTOR_SIZE), v128.load(at - 8 * VECTOR_SIZE));
    const far = v128.xor(v128.load(at - 14 * VECTOR_SIZE), v128.load(at - 16 * VECTOR_SIZE));
    v128.store(at, rotate(v128.xor(near, far), 1));
  }
  let a = v128.load(state), b = v128.load(state, 16), c = v128.load(state, 32), d = v128.load(state, 48), e = v128.load(state, 64);
  let at = schedule;
  for (; at < schedule + 20 * VECTOR_SIZE; at += VECTOR_SIZE) {
    const t = step(a, v128.xor(d, v128.and(b, v128.xor(c, d))), e, 0x5a827999, at);
    e = d; d = c; c = rotate(b, 30); b = a; a = t;
  }
  for (; at < schedule + 40 * VECTOR_SIZE; at += VECTOR_SIZE) {
    const t = step(a, v128.xor(b, v128.xor(c, d)), e, 0x6ed9eba1, at);
    e = d; d = c; c = rotate(b, 30); b = a; a = t;
  }
  for (; at < schedule + 60 * VECTOR_SIZE; at += VECTOR_SIZE) {
    const t = step(a, v128.or(v128.and(b, c), v128.and(d, v128.or(b, c))), e, 0x8f1bbcdc, at);
    e = d; d = c; c = rotate(b, 30); b = a; a = t;
  }
  for (; at < schedule + 80 * VECTOR_SIZE; at += VECTOR_SIZE) {
    const t = step(a, v128.xor(b, v128.xor(c, d)), e, 0xca62c1d6, at);
    e = d; d = c; c = rotate(b, 30); b = a; a = t;
  }
  const isPart = i32x4.gt_u(v128.load(blockCounts), i32x4.splat(block));
  addWhere(isPart, state, a);
  addWhere(isPart, state + VECTOR_SIZE, b);
  addWhere(isPart, state + 2 * VECTOR_SIZE, c);
  addWhere(isPart, state + 3 * VECTOR_SIZE, d);
  addWhere(isPart, state + 4 * VECTOR_SIZE, e);
}

/** Four words of each message, which are big-endian, as four vectors. */
@inline function takeWords(first: usize, out: usize): void {
  const m0 = swapped(first);
  const m1 = swapped(first + LANE_SIZE);
  const m2 = swapped(first + 2 * LANE_SIZE);
  const m3 = swapped(first + 3 * LANE_SIZE);
  const lower01 = v128.shuffle<i32>(m0, m1, 0, 4, 1, 5);
  const upper01 = v128.shuffle<i32>(m0, m1, 2, 6, 3, 7);
  const lower23 = v128.shuffle<i32>(m2, m3, 0, 4, 1, 5);
  const upper23 = v128.shuffle<i32>(m2, m3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(lower01, lower23, 0, 2));
  v128.store(out, v128.shuffle<i64>(lower01, lower23, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(upper01, upper23, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(upper01, upper23, 1, 3), 48);
}

@inline function swapped(ptr: usize): v128 {
  return v128.swizzle(v128.load(ptr), i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
}

@inline function rotate(words: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(words, bits), i32x4.shr_u(words, 32 - bits));
}

@inline function step(a: v128, mixed: v128, e: v128, constant: u32, at: usize): v128 {
  return i32x4.add(i32x4.add(rotate(a, 5), mixed), i32x4.add(e, i32x4.add(i32x4.splat(constant), v128.load(at))));
}

@inline function addWhere(isPart: v128, ptr: usize, words: v128): void {
  v128.store(ptr, i32x4.add(v128.load(ptr), v128.and(words, isPart)));
}
