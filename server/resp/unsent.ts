/**
 * What a connection has written and its socket has not taken yet, in order. A socket takes what fits, so this is where
 * a slow client's bytes wait; the connection bounds them.
 *
 * A little is kept as it is, in memory of its own size: many connections may have a little. What is more lies in chunks.
 */
import { CHUNK_BYTES, type ChunkPool } from "./chunk-pool.ts";

/** What is needed of a socket: writes a part of some bytes, and answers how many it took (negative: none). */
interface ByteSocket {
  write(bytes: Uint8Array, start?: number, length?: number): number;
}

/** Bytes that wait, from `start` to `end`. A chunk of the pool where `isChunk`: its rest takes what comes next. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly isChunk: boolean;
  start: number;
  end: number;
}

/** What fits this is kept in memory of its own size. */
const LITTLE_BYTES = 4_096;

export class Unsent {
  /** Bytes that wait. */
  bytes = 0;
  /** Memory that they take. */
  heldBytes = 0;
  private readonly socket: ByteSocket;
  private readonly pool: ChunkPool;
  private pieces: Piece[] = [];

  constructor(socket: ByteSocket, pool: ChunkPool) {
    this.socket = socket;
    this.pool = pool;
  }

  /** Writes a part of some memory that need not outlive the call. */
  send(memory: Uint8Array, start: number, length: number): void {
    let sent = 0;
    if (this.bytes === 0) {
      sent = Math.max(0, this.socket.write(memory, start, length));
      if (sent === length) return;
    }
    this.keep(memory, start + sent, start + length);
  }

  /** The socket takes bytes again: writes as many as it does. */
  drain(): void {
    let done = 0;
    for (const piece of this.pieces) {
      const length = piece.end - piece.start;
      const sent = Math.max(0, this.socket.write(piece.bytes, piece.start, length));
      this.bytes -= sent;
      piece.start += sent;
      if (sent < length) break;
      this.forget(piece);
      done++;
    }
    this.pieces.splice(0, done);
  }

  /** Forgets all of it. */
  clear(): void {
    for (const piece of this.pieces) this.forget(piece);
    this.pieces = [];
    this.bytes = 0;
  }

  private keep(memory: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    if (this.pieces.length === 0 && end - start <= LITTLE_BYTES) {
      this.add({ bytes: memory.slice(start, end), isChunk: false, start: 0, end: end - start });
      return;
    }
    for (let at = start; at < end; ) {
      let last = this.pieces.at(-1);
      if (last === undefined || !last.isChunk || last.end === CHUNK_BYTES) {
        last = { bytes: this.pool.take(), isChunk: true, start: 0, end: 0 };
        this.add(last);
      }
      const count = Math.min(end - at, CHUNK_BYTES - last.end);
      last.bytes.set(memory.subarray(at, at + count), last.end);
      last.end += count;
      at += count;
    }
  }

  private add(piece: Piece): void {
    this.pieces.push(piece);
    this.heldBytes += piece.bytes.length;
  }

  private forget({ bytes, isChunk }: Piece): void {
    this.heldBytes -= bytes.length;
    if (isChunk) this.pool.giveBack(bytes);
  }
}
