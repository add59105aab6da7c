/**
 * Chunks of memory for what sockets have not taken, for all connections together. A chunk that is given back is used
 * again at once: what clients leave unread when they go would otherwise wait for the collector, by gigabytes where many come
 * and go.
 */
import { CHUNKS_KEPT_BYTES, KiB } from "../limits.ts";

export const CHUNK_BYTES = 64 * KiB;
/** How often chunks that nobody needed meanwhile are let go, milliseconds. */
const CHECK_MS = 5_000;

export class ChunkPool {
  private readonly free: Uint8Array[] = [];
  /** The fewest that were free since the last check. */
  private freeLeast = 0;
  private timer: Timer | null = null;

  take(): Uint8Array {
    const chunk = this.free.pop() ?? new Uint8Array(CHUNK_BYTES);
    this.freeLeast = Math.min(this.freeLeast, this.free.length);
    return chunk;
  }

  giveBack(chunk: Uint8Array): void {
    if (this.free.length * CHUNK_BYTES >= CHUNKS_KEPT_BYTES) return;
    this.free.push(chunk);
    if (this.timer !== null) return;
    this.timer = setInterval(() => this.shrink(), CHECK_MS);
    this.timer.unref();
  }

  /** Bytes that are kept for whoever comes next. */
  get freeBytes(): number {
    return this.free.length * CHUNK_BYTES;
  }

  private shrink(): void {
    this.free.length -= this.freeLeast;
    this.freeLeast = this.free.length;
    if (this.free.length > 0 || this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
  }
}
