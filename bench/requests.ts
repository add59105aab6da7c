/**
 * The requests that the benchmarks send: one payload, one way to name streams, one seed.
 *
 * A pool is many requests of one size behind one another, made before the clock starts, so that sending a
 * pipeline of them is one write of a part of the pool.
 */
import { encodeRequest } from "./resp.ts";

/** Everything random in the benchmarks' own requests comes from this seed. */
export const SEED = 0x5eed_ca14;

export const PAYLOAD_BYTES = 130;
export const EVENT_NAME = "ev";

/** 130 bytes of letters and digits: nothing that a tool must quote. */
export const PAYLOAD = makePayload(PAYLOAD_BYTES);

export interface Pool {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly requestBytes: number;
}

/** `key:` and twelve digits: what redis-benchmark makes of `key:__rand_int__`. */
export function streamId(index: number, prefix = "key:"): string {
  return `${prefix}${String(index).padStart(12, "0")}`;
}

/** An append of one event, as Cairn takes it. */
export function eappend(stream: string): string[] {
  return ["EAPPEND", stream, EVENT_NAME, "PAYLOAD", PAYLOAD];
}

/** The same event as a Redis stream entry. */
export function xadd(stream: string): string[] {
  return ["XADD", stream, "*", "name", EVENT_NAME, "payload", PAYLOAD];
}

/** Makes a pool of `count` RESP requests; all must have the first one's size. */
export function makePool(count: number, make: (index: number) => readonly string[]): Pool {
  return makeBytePool(count, (index) => encodeRequest(make(index)));
}

/** Makes a pool of `count` requests of any protocol; all must have the first one's size. */
export function makeBytePool(count: number, make: (index: number) => Uint8Array): Pool {
  const requestBytes = make(0).length;
  const bytes = new Uint8Array(count * requestBytes);
  for (let i = 0; i < count; i++) {
    const request = make(i);
    if (request.length !== requestBytes) {
      throw new Error(`request ${i} has ${request.length} bytes, request 0 has ${requestBytes}`);
    }
    bytes.set(request, i * requestBytes);
  }
  return { bytes, count, requestBytes };
}

/** A generator of whole numbers in [0, bound), the same for the same seed (mulberry32). */
export function makeRandom(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) * bound) / 2 ** 32);
  };
}

/** The numbers 0 to count-1 in an order that the seed decides (Fisher and Yates). */
export function shuffled(count: number, seed: number): Uint32Array {
  const random = makeRandom(seed);
  const numbers = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random(i + 1);
    const other = numbers[j] as number;
    numbers[j] = numbers[i] as number;
    numbers[i] = other;
  }
  return numbers;
}

function makePayload(size: number): string {
  const random = makeRandom(SEED);
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  let payload = "";
  while (payload.length < size) payload += letters[random(letters.length)];
  return payload;
}
