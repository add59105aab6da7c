// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012), keyed with the store's secret, so that
// nobody can craft ids that collide. The first 96 bits are an id's identity in the tables.

const secret: usize = memory.data(16, 8);

/** The last hash: `hashLow` (64 bits) and `hashHigh` (the next 32). */
export let hashLow: u64 = 0;
export let hashHigh: u32 = 0;

let v0: u64 = 0;
let v1: u64 = 0;
let v2: u64 = 0;
let v3: u64 = 0;

/** Takes the 16 bytes of the store's secret. */
export function hashInit(secretPtr: usize): void {
  memory.copy(secret, secretPtr, 16);
}

@inline function round(): void {
  let a = v0, b = v1, c = v2, d = v3;
  a += b; b = rotl(b, 13); b ^= a; a = rotl(a, 32);
  c += d; d = rotl(d, 16); d ^= c;
  a += d; d = rotl(d, 21); d ^= a;
  c += b; b = rotl(b, 17); b ^= c; c = rotl(c, 32);
  v0 = a; v1 = b; v2 = c; v3 = d;
}

/** Hashes `size` bytes at `ptr` into `hashLow` and `hashHigh`. */
export function hash(ptr: usize, size: usize): void {
  const key0 = load<u64>(secret);
  const key1 = load<u64>(secret, 8);
  v0 = key0 ^ 0x736f6d6570736575;
  v1 = key1 ^ 0x646f72616e646f6d ^ 0xee;
  v2 = key0 ^ 0x6c7967656e657261;
  v3 = key1 ^ 0x7465646279746573;
  const end = ptr + (size & ~7);
  while (ptr < end) {
    const word = load<u64>(ptr);
    v3 ^= word;
    round();
    round();
    v0 ^= word;
    ptr += 8;
  }
  let last = <u64>size << 56;
  for (let i: usize = 0; i < (size & 7); i++) last |= <u64>load<u8>(ptr + i) << (i << 3);
  v3 ^= last;
  round();
  round();
  v0 ^= last;
  v2 ^= 0xee;
  round();
  round();
  round();
  round();
  hashLow = v0 ^ v1 ^ v2 ^ v3;
  v1 ^= 0xdd;
  round();
  round();
  round();
  round();
  hashHigh = <u32>(v0 ^ v1 ^ v2 ^ v3);
}

/** A seed that only this store has for this log offset (the finalizer of MurmurHash3 over both). */
export function offsetSeed(logOffset: u64): u32 {
  let x = logOffset ^ load<u64>(secret);
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  x ^= x >> 33;
  x ^= load<u64>(secret, 8);
  x *= 0xc4ceb9fe1a85ec53;
  x ^= x >> 33;
  return <u32>x;
}
