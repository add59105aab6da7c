/**
 * A step of a walk over the stream ids, in the order in which the streams came. What is there from a walk's start to its
 * end comes exactly once.
 *
 * A step ends after about a millisecond's work, with what it has found. It waits between two slices where the disk is
 * asked for what names the next streams.
 */
import type { Core } from "../core/core.ts";
import { MemoryRefused } from "../core/core.ts";
import type { OutputArea } from "../core/output-area.ts";
import { CORRUPT, DONE, NEED_BLOCK, NEED_OUTPUT, NO_MEMORY } from "../core/status.ts";
import { SLICE_MS } from "../limits.ts";
import type { BlockLoader } from "./block-loader.ts";
import type { WalkReads } from "./read-ahead.ts";
import type { SlicedWork, Wait } from "./slice-queue.ts";

/** Stream ids looked at between two looks at the clock. */
const STREAMS_PER_CALL = 64;

export class StreamWalk implements SlicedWork {
  /** With which the next step goes on; 0 where all were passed. */
  cursor: number;
  idCount = 0;
  /** The ids found, as RESP blob strings, one after the other, in pieces. */
  readonly pieces: Uint8Array[] = [];
  heldBytes = 0;

  private readonly core: Core;
  private readonly blocks: BlockLoader;
  private readonly walk: WalkReads;
  private readonly pattern: Uint8Array | null;
  private readonly count: number;
  private examined = 0;
  private workedMs = 0;

  constructor(
    core: Core,
    blocks: BlockLoader,
    cursor: number,
    pattern: Uint8Array | null,
    count: number,
  ) {
    this.core = core;
    this.blocks = blocks;
    this.walk = blocks.walk(false);
    this.cursor = cursor;
    this.pattern = pattern;
    this.count = count;
  }

  /** Throws CORRUPT where the event that names the first stream is damaged. */
  advance(area: OutputArea): boolean {
    const { core, pattern } = this;
    const size = pattern?.length ?? 0;
    const address = core.allocate(size);
    const start = area.length;
    try {
      if (pattern !== null) core.memory.set(pattern, address);
      core.exports.streamsOpen(this.cursor);
      const isDone = this.run(area, pattern === null ? 0 : address, size);
      this.cursor = core.exports.streamsCursor();
      if (area.length > start) {
        const bytes = area.memory.slice(area.origin + start, area.tail);
        this.pieces.push(bytes);
        this.heldBytes += bytes.length;
      }
      return isDone;
    } finally {
      area.tail = area.origin + start;
      core.exports.release(address, size);
    }
  }

  wait(wake: () => void): Wait | null {
    return this.walk.wait(wake);
  }

  private run(area: OutputArea, pattern: number, size: number): boolean {
    const { exports } = this.core;
    const startedAt = performance.now() - this.workedMs;
    while (true) {
      const wanted = this.count - this.idCount;
      const status = exports.streamsRun(
        area.tail,
        area.end,
        pattern,
        size,
        wanted,
        STREAMS_PER_CALL,
      );
      area.tail = exports.getScanTail() >>> 0;
      this.idCount += exports.getStreamsWritten();
      this.examined += exports.getStreamsExamined();
      if (status === DONE) return true;
      if (status === NO_MEMORY) throw new MemoryRefused(0);
      if (status === NEED_OUTPUT) {
        area.reserve(exports.getScanNeeded());
        continue;
      }
      this.workedMs = performance.now() - startedAt;
      if (this.examined > 0 && this.workedMs > SLICE_MS) return true;
      if (status === NEED_BLOCK && !this.walk.mayLoad(exports.getMissedOffset())) return false;
      if (status === CORRUPT || (status === NEED_BLOCK && !this.blocks.load())) {
        if (this.examined === 0) throw this.blocks.corrupt();
        return true;
      }
    }
  }
}
