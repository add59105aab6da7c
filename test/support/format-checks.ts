/**
 * The seed of frames' head checks as core-wasm/FORMAT.md says it, written for tests alone: slow and plain.
 */

/** The seed of a frame's head check, as the document gives it. */
export function offsetSeed(secret: Uint8Array, logOffset: number): number {
  const view = new DataView(secret.buffer, secret.byteOffset, secret.byteLength);
  const mask = (1n << 64n) - 1n;
  let x = BigInt(logOffset) ^ view.getBigUint64(0, true);
  x ^= x >> 33n;
  x = (x * 0xff51afd7ed558ccdn) & mask;
  x ^= x >> 33n;
  x ^= view.getBigUint64(8, true);
  x = (x * 0xc4ceb9fe1a85ec53n) & mask;
  x ^= x >> 33n;
  return Number(x & 0xffffffffn);
}
