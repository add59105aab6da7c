// UUIDs (RFC 9562): text to 16 bytes and back, version 5 in the namespace of partition keys, version 7 with the
// partition hash inside, version 4. Bytes are in the order of the text.

/** Where randomness comes from: a pool that the shell fills. */
const POOL_SIZE: usize = 4096;
const pool: usize = memory.data(4096, 8);
let poolOffset: usize = POOL_SIZE;

const HEX: usize = memory.data(256 * 2, 16);

/** 219bd637-e279-53e9-9e2b-eabe5d9120cc: partition keys are UUIDv5 of a text in it, as in SierraDB. */
export const NAMESPACE: usize = memory.data<u8>([
  0x21, 0x9b, 0xd6, 0x37, 0xe2, 0x79, 0x53, 0xe9, 0x9e, 0x2b, 0xea, 0xbe, 0x5d, 0x91, 0x20, 0xcc,
]);

export const UUID_SIZE: usize = 16;
export const UUID_TEXT_SIZE: usize = 36;

@external("env", "fillRandom")
declare function fillRandom(ptr: usize, size: usize): void;

export function uuidInit(): void {
  for (let i: u32 = 0; i < 256; i++) {
    store<u8>(HEX + (i << 1), digit(i >> 4));
    store<u8>(HEX + (i << 1), digit(i & 15), 1);
  }
}

@inline function digit(value: u32): u32 {
  return value < 10 ? 0x30 + value : 0x57 + value;
}

@inline function random64(): u64 {
  if (poolOffset == POOL_SIZE) {
    fillRandom(pool, POOL_SIZE);
    poolOffset = 0;
  }
  const value = load<u64>(pool + poolOffset);
  poolOffset += 8;
  return value;
}

/** Writes the 36 characters of the UUID at `ptr` to `out`. */
export function uuidWrite(out: usize, ptr: usize): void {
  hexPair(out, ptr, 0);
  hexPair(out + 4, ptr, 2);
  store<u8>(out, 0x2d, 8);
  hexPair(out + 9, ptr, 4);
  store<u8>(out, 0x2d, 13);
  hexPair(out + 14, ptr, 6);
  store<u8>(out, 0x2d, 18);
  hexPair(out + 19, ptr, 8);
  store<u8>(out, 0x2d, 23);
  hexPair(out + 24, ptr, 10);
  hexPair(out + 28, ptr, 12);
  hexPair(out + 32, ptr, 14);
}

@inline function hexPair(out: usize, ptr: usize, index: usize): void {
  const low = load<u16>(HEX + (<usize>load<u8>(ptr + index) << 1));
  const high = load<u16>(HEX + (<usize>load<u8>(ptr + index + 1) << 1));
  store<u32>(out, <u32>low | (<u32>high << 16));
}

/**
 * Reads a UUID in any of its usual forms into `out`: either case, with or without hyphens, in braces, after
 * `urn:uuid:`. False, and `out` undefined, where the text is none.
 */
export function uuidParse(ptr: usize, size: usize, out: usize): bool {
  if (size == 45 && isUrn(ptr)) return hyphenated(ptr + 9, out);
  if (size == 38 && load<u8>(ptr) == 0x7b && load<u8>(ptr, 37) == 0x7d) return hyphenated(ptr + 1, out);
  if (size == UUID_TEXT_SIZE) return hyphenated(ptr, out);
  if (size == 32) return hexDigits(v128.load(ptr), out) && hexDigits(v128.load(ptr, 16), out + 8);
  return false;
}

/** `urn:uuid:` in either case: the letters are compared with the bit that tells the cases apart set. */
function isUrn(ptr: usize): bool {
  return (load<u64>(ptr) | 0x2020202020202020) == 0x646975753a6e7275 && load<u8>(ptr, 8) == 0x3a && load<u8>(ptr, 3) == 0x3a;
}

function hyphenated(ptr: usize, out: usize): bool {
  if (!(load<u8>(ptr, 8) == 0x2d && load<u8>(ptr, 13) == 0x2d && load<u8>(ptr, 18) == 0x2d && load<u8>(ptr, 23) == 0x2d)) return false;
  const start = v128.load(ptr);
  const middle = v128.load(ptr, 16);
  const end = v128.load(ptr, 20);
  return hexDigits(v128.shuffle<u8>(start, middle, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17), out) &&
    hexDigits(v128.shuffle<u8>(middle, end, 3, 4, 5, 6, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31), out + 8);
}

/** Writes the 8 bytes that 16 hexadecimal digits say; false where one is none. */
@inline function hexDigits(digits: v128, out: usize): bool {
  const value = v128.sub<u8>(digits, v128.splat<u8>(0x30));
  const isDecimal = v128.lt<u8>(value, v128.splat<u8>(10));
  const letter = v128.sub<u8>(v128.or(digits, v128.splat<u8>(0x20)), v128.splat<u8>(0x61));
  const isLetter = v128.lt<u8>(letter, v128.splat<u8>(6));
  if (!v128.all_true<u8>(v128.or(isDecimal, isLetter))) return false;
  const nibbles = v128.bitselect(value, v128.add<u8>(letter, v128.splat<u8>(10)), isDecimal);
  // Of two digits the first, in the lower half of 16 bits, is worth more.
  const pairs = v128.or(v128.shl<u16>(v128.and(nibbles, v128.splat<u16>(0xff)), 4), v128.shr<u16>(nibbles, 8));
  store<u64>(out, v128.extract_lane<u64>(v128.narrow<u16>(pairs, pairs), 0));
  return true;
}

export function uuidEquals(one: usize, other: usize): bool {
  return load<u64>(one) == load<u64>(other) && load<u64>(one, 8) == load<u64>(other, 8);
}

export function uuidCopy(target: usize, source: usize): void {
  store<u64>(target, load<u64>(source));
  store<u64>(target, load<u64>(source, 8), 8);
}

/** Bits 46 to 61 of a partition key read as a 128-bit number. */
export function partitionHash(key: usize): u32 {
  return <u32>(bswap(load<u64>(key, 8)) >> 46) & 0xffff;
}

/** A random UUIDv4. */
export function uuidV4(out: usize): void {
  store<u64>(out, random64());
  store<u64>(out, random64(), 8);
  store<u8>(out, (load<u8>(out, 6) & 0x0f) | 0x40, 6);
  store<u8>(out, (load<u8>(out, 8) & 0x3f) | 0x80, 8);
}

/** A UUIDv7 of this time (milliseconds) whose bits 46 to 61 are the partition hash. */
export function uuidV7(out: usize, timeMs: u64, hash16: u32): void {
  const high = (timeMs << 16) | 0x7000 | (random64() & 0xfff);
  const low = (<u64>2 << 62) | (<u64>hash16 << 46) | (random64() & 0x3fffffffffff);
  store<u64>(out, bswap(high));
  store<u64>(out, bswap(low), 8);
}

/** UUIDv5 of a text in the namespace of partition keys. */
export function uuidV5(out: usize, ptr: usize, size: usize): void {
  sha1(ptr, size);
  uuidV5Of(out, h0, h1, h2, h3);
}

/** The UUIDv5 that a hash's first four words make. */
export function uuidV5Of(out: usize, first: u32, second: u32, third: u32, fourth: u32): void {
  store<u32>(out, bswap(first));
  store<u32>(out, bswap(second), 4);
  store<u32>(out, bswap(third), 8);
  store<u32>(out, bswap(fourth), 12);
  store<u8>(out, (load<u8>(out, 6) & 0x0f) | 0x50, 6);
  store<u8>(out, (load<u8>(out, 8) & 0x3f) | 0x80, 8);
}

// ── SHA-1 (FIPS 180-4) of the namespace and a text ────────────────────────────────────────────────

const BLOCK_SIZE: usize = 64;
const block: usize = memory.data(64, 16);
const schedule: usize = memory.data(80 * 4, 16);
let h0: u32 = 0;
let h1: u32 = 0;
let h2: u32 = 0;
let h3: u32 = 0;
let h4: u32 = 0;

function sha1(ptr: usize, size: usize): void {
  h0 = 0x67452301;
  h1 = 0xefcdab89;
  h2 = 0x98badcfe;
  h3 = 0x10325476;
  h4 = 0xc3d2e1f0;
  const bits = <u64>(size + UUID_SIZE) << 3;
  memory.copy(block, NAMESPACE, UUID_SIZE);
  let filled = UUID_SIZE;
  while (size >= BLOCK_SIZE - filled) {
    const part = BLOCK_SIZE - filled;
    memory.copy(block + filled, ptr, part);
    sha1Block();
    ptr += part;
    size -= part;
    filled = 0;
  }
  memory.copy(block + filled, ptr, size);
  filled += size;
  store<u8>(block + filled, 0x80);
  filled++;
  if (filled > BLOCK_SIZE - 8) {
    memory.fill(block + filled, 0, BLOCK_SIZE - filled);
    sha1Block();
    filled = 0;
  }
  memory.fill(block + filled, 0, BLOCK_SIZE - 8 - filled);
  store<u64>(block, bswap(bits), BLOCK_SIZE - 8);
  sha1Block();
}

function sha1Block(): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(schedule + i, bswap(load<u32>(block + i)));
  for (let i: usize = 64; i < 320; i += 4) {
    const at = schedule + i;
    store<u32>(at, rotl(load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64), 1));
  }
  let a = h0, b = h1, c = h2, d = h3, e = h4;
  for (let i: usize = 0; i < 80; i += 4) {
    const t = rotl(a, 5) + (d ^ (b & (c ^ d))) + e + 0x5a827999 + load<u32>(schedule + i);
    e = d; d = c; c = rotl(b, 30); b = a; a = t;
  }
  for (let i: usize = 80; i < 160; i += 4) {
    const t = rotl(a, 5) + (b ^ c ^ d) + e + 0x6ed9eba1 + load<u32>(schedule + i);
    e = d; d = c; c = rotl(b, 30); b = a; a = t;
  }
  for (let i: usize = 160; i < 240; i += 4) {
    const t = rotl(a, 5) + ((b & c) | (d & (b | c))) + e + 0x8f1bbcdc + load<u32>(schedule + i);
    e = d; d = c; c = rotl(b, 30); b = a; a = t;
  }
  for (let i: usize = 240; i < 320; i += 4) {
    const t = rotl(a, 5) + (b ^ c ^ d) + e + 0xca62c1d6 + load<u32>(schedule + i);
    e = d; d = c; c = rotl(b, 30); b = a; a = t;
  }
  h0 += a;
  h1 += b;
  h2 += c;
  h3 += d;
  h4 += e;
}
