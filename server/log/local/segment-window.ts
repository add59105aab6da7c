/**
 * Reads a segment's bytes by log offset into core memory, some MiB at a time.
 */
import type { Core } from "../../core/core.ts";
import { type DiskFile, readFully } from "../../disk.ts";
import { MiB } from "../../limits.ts";

/** Bytes of a segment that are read at a time; a longer frame is read whole. */
export const WINDOW_BYTES = 4 * MiB;

/** What a window has to know of a segment. */
interface WindowSegment {
  readonly header: { readonly base: number };
  readonly bytes: number;
}

/** A part of a segment in core memory. */
export class Window {
  address = 0;
  private capacity = 0;
  private readonly core: Core;
  private readonly file: DiskFile;
  private readonly segment: WindowSegment;

  constructor(core: Core, file: DiskFile, segment: WindowSegment) {
    this.core = core;
    this.file = file;
    this.segment = segment;
  }

  /** Loads up to `wanted` bytes from a log offset on; returns how many there are before the file's end. */
  load(offset: number, wanted: number): number {
    const start = offset - this.segment.header.base;
    const size = Math.max(0, Math.min(wanted, this.segment.bytes - start));
    if (size > this.capacity) {
      this.free();
      this.address = this.core.allocate(size);
      this.capacity = size;
    }
    return readFully(
      this.file,
      this.core.memory.subarray(this.address, this.address + size),
      start,
    );
  }

  free(): void {
    if (this.capacity > 0) this.core.exports.release(this.address, this.capacity);
    this.capacity = 0;
  }
}
