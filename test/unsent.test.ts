/**
 * What sockets have not taken: in order, whole, and in memory that is used again.
 */
import { expect, test } from "vitest";
import { KiB } from "../server/limits.ts";
import { CHUNK_BYTES, ChunkPool } from "../server/resp/chunk-pool.ts";
import { Unsent } from "../server/resp/unsent.ts";
import { Random } from "./support/random.ts";

const SEED = Number(process.env.SEED ?? 1);

/** A socket that takes what it is told to. */
class SlowSocket {
  room = 0;
  readonly taken: Buffer[] = [];

  write(bytes: Uint8Array, start = 0, length = bytes.length - start): number {
    const count = Math.min(this.room, length);
    this.room -= count;
    this.taken.push(Buffer.from(bytes.subarray(start, start + count)));
    return count > 0 ? count : -1;
  }
}

test("a socket gets what was sent, in order and once, however little it takes at a time", () => {
  const random = new Random(SEED);
  const pool = new ChunkPool();
  for (let connection = 0; connection < 40; connection++) {
    const socket = new SlowSocket();
    const unsent = new Unsent(socket, pool);
    const sent: Buffer[] = [];
    for (let step = 0; step < 120; step++) {
      socket.room = random.pick([0, 0, 1, 5_000, CHUNK_BYTES, 300 * KiB]);
      if (random.chance(0.5)) {
        const memory = new Uint8Array(random.pick([10, 1_000, 5_000, CHUNK_BYTES, 200 * KiB]) + 20);
        random.fill(memory);
        sent.push(Buffer.from(memory.subarray(7, memory.length - 13)));
        unsent.send(memory, 7, memory.length - 20);
        memory.fill(0); // it need not outlive the call
      } else {
        unsent.drain();
      }
      const waiting = Buffer.concat(sent).length - Buffer.concat(socket.taken).length;
      expect(unsent.bytes, `seed ${SEED}`).toBe(waiting);
      expect(unsent.heldBytes).toBeGreaterThanOrEqual(waiting === 0 ? 0 : unsent.bytes);
      expect(unsent.heldBytes).toBeLessThanOrEqual(waiting === 0 ? 0 : waiting + 2 * CHUNK_BYTES);
    }
    if (random.chance(0.5)) {
      socket.room = Number.POSITIVE_INFINITY;
      unsent.drain();
      expect(Buffer.concat(socket.taken).equals(Buffer.concat(sent)), `seed ${SEED}`).toBe(true);
    } else {
      unsent.clear();
    }
    expect([unsent.bytes, unsent.heldBytes]).toEqual([0, 0]);
  }
});

test("memory of one connection is used for the next, and a little takes little", () => {
  const pool = new ChunkPool();
  const memory = new Uint8Array(10 * CHUNK_BYTES);
  const first = new Unsent(new SlowSocket(), pool);
  first.send(memory, 0, memory.length);
  expect(pool.freeBytes).toBe(0);
  first.clear();
  expect(pool.freeBytes).toBe(memory.length);
  const second = new Unsent(new SlowSocket(), pool);
  second.send(memory, 0, 4 * CHUNK_BYTES);
  expect(pool.freeBytes).toBe(6 * CHUNK_BYTES);
  const third = new Unsent(new SlowSocket(), pool);
  third.send(memory, 0, 100);
  expect(third.heldBytes).toBe(100);
  expect(pool.freeBytes).toBe(6 * CHUNK_BYTES);
});
