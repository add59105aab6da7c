/**
 * A scan of the events that a filter matches, in slices of about a millisecond: it may have to look at very many.
 *
 * It sees what was durable when it began. Between two slices it is nothing but numbers and the bytes of the
 * events written so far; each slice opens the core's scan anew where the last one stood.
 */
import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { MemoryRefused } from "../core/core.ts";
import type { Encoding } from "../core/encoding.ts";
import type { OutputArea } from "../core/output-area.ts";
import { CORRUPT, DONE, NEED_BLOCK, NEED_OUTPUT, PAUSED } from "../core/status.ts";
import { REPLY_EVENT_BYTES_MAX, SCAN_EXAMINED_MAX, SLICE_MS } from "../limits.ts";
import type { BlockLoader } from "./block-loader.ts";
import type { Filter } from "./filter.ts";
import type { WalkReads } from "./read-ahead.ts";
import type { SlicedWork, Wait } from "./slice-queue.ts";

/** Events looked at between two looks at the clock. */
const WORK_PER_CALL = 512;

/** What a scan reads: versions of a stream, sequences of a partition, or positions. */
export type ScanSource =
  | {
      readonly kind: "stream";
      readonly streamId: Uint8Array;
      /** 16 bytes, or null for any key. */
      readonly key: Uint8Array | null;
    }
  | { readonly kind: "partition"; readonly partition: number }
  | { readonly kind: "log" };

/** Numbers, both ends inclusive; `to` and `count` perhaps Infinity. */
export interface ScanRange {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** Newest first. */
  readonly isReverse: boolean;
}

export class FilteredScan implements SlicedWork {
  /** Events written. */
  eventCount = 0;
  /** Whether the range holds further matching events, or may. */
  hasMore = false;
  /** The first number that was not examined, or null where the range's end was reached for good. */
  next: number | null = null;
  /** The events written, in order, in pieces. */
  readonly pieces: Uint8Array[] = [];
  /** Bytes of the events written. */
  heldBytes = 0;
  /** It was given up where it would have more bytes than were wanted: what it has is of no use. */
  isGivenUp = false;

  private readonly core: Core;
  private readonly blocks: BlockLoader;
  private readonly source: ScanSource;
  private readonly encoding: Encoding;
  private readonly program: Uint8Array;
  private readonly asOf: number | null;
  private readonly isReverse: boolean;
  private readonly bytesMax: number;
  private from: number;
  private to: number;
  private countLeft: number;
  private examined = 0;
  /** Null where it reads a stream or a partition, whose events lie anywhere. */
  private readonly walk: WalkReads | null;
  /** Positions below it were durable when the scan began; those from `asOfEnd` on do not match. */
  private readonly seenEnd: number;
  private asOfEnd = Number.MAX_SAFE_INTEGER;

  constructor(
    core: Core,
    blocks: BlockLoader,
    source: ScanSource,
    range: ScanRange,
    filter: Filter,
    encoding: Encoding,
    bytesMax: number,
  ) {
    this.core = core;
    this.bytesMax = bytesMax;
    this.blocks = blocks;
    this.source = source;
    this.encoding = encoding;
    this.program = filter.program();
    this.asOf = filter.asOf;
    this.isReverse = range.isReverse;
    this.from = range.from;
    this.to = range.to;
    this.countLeft = range.count;
    this.walk = source.kind === "log" ? blocks.walk(range.isReverse) : null;
    this.seenEnd = core.exports.getDurablePosition();
  }

  /**
   * Does one slice; true when it was the last. `area` is used and left as it was. Throws CORRUPT where the first
   * event that it looks at is damaged; a damaged one behind others ends the scan before it.
   */
  advance(area: OutputArea): boolean {
    const startedAt = performance.now();
    if (this.asOf !== null && this.asOfEnd === Number.MAX_SAFE_INTEGER) this.searchAsOf(this.asOf);
    const streamId = this.source.kind === "stream" ? this.source.streamId : NO_BYTES;
    const key = (this.source.kind === "stream" ? this.source.key : null) ?? NO_BYTES;
    const size = this.program.length + key.length + streamId.length;
    const address = this.core.allocate(size);
    const start = area.length;
    try {
      const { memory } = this.core;
      const keyAddress = address + this.program.length;
      const streamAddress = keyAddress + key.length;
      memory.set(this.program, address);
      memory.set(key, keyAddress);
      memory.set(streamId, streamAddress);
      this.open(address, key.length > 0 ? keyAddress : 0, streamAddress);
      const isDone = this.run(area, startedAt);
      if (area.length > start) {
        const bytes = area.memory.slice(area.origin + start, area.tail);
        this.pieces.push(bytes);
        this.heldBytes += bytes.length;
      }
      return isDone;
    } finally {
      area.tail = area.origin + start;
      this.core.exports.release(address, size);
    }
  }

  /** As a SlicedWork waits: for what the disk is asked for. */
  wait(wake: () => void): Wait | null {
    return this.walk?.wait(wake) ?? null;
  }

  private searchAsOf(asOf: number): void {
    const { exports } = this.core;
    exports.asOfOpen(asOf);
    while (true) {
      const status = exports.asOfSearch();
      if (status === DONE) break;
      if (status !== NEED_BLOCK) throw new MemoryRefused(0);
      if (!this.blocks.load()) throw this.blocks.corrupt();
    }
    this.asOfEnd = exports.getAsOfPosition();
  }

  private open(program: number, key: number, streamAddress: number): void {
    const { core, source, from, to, isReverse } = this;
    const { exports } = core;
    exports.scanTakeMatching(program, this.seenEnd, this.asOfEnd);
    const count = Number.POSITIVE_INFINITY; // the filter counts
    if (source.kind === "stream") {
      const { length } = source.streamId;
      exports.scanOpenStream(streamAddress, length, key, from, to, count, isReverse);
    } else if (source.kind === "partition") {
      exports.scanOpenPartition(source.partition, from, to, count, isReverse);
    } else {
      exports.scanOpenLog(from, to, count, isReverse);
    }
  }

  /** Runs the open scan to its end, or until the slice's time is over: then false. */
  private run(area: OutputArea, startedAt: number): boolean {
    const { exports } = this.core;
    const start = area.length;
    while (true) {
      const written = this.heldBytes + area.length - start;
      const status = exports.scanFiltered(
        area.tail,
        Math.min(area.end, area.tail + this.bytesMax - written),
        Math.max(0, REPLY_EVENT_BYTES_MAX - written),
        written === 0,
        this.encoding,
        this.countLeft,
        WORK_PER_CALL,
      );
      area.tail = exports.getScanTail() >>> 0;
      this.eventCount += exports.getScanWritten();
      this.countLeft -= exports.getScanWritten();
      this.examined += exports.getScanExamined();
      if (status === DONE) return this.finish();
      if (status === NEED_OUTPUT) {
        const bytes = this.heldBytes + area.length - start + exports.getScanNeeded();
        if (bytes > this.bytesMax) return this.giveUp();
        area.reserve(exports.getScanNeeded());
      } else if (status === PAUSED || status === NEED_BLOCK) {
        if (this.examined >= SCAN_EXAMINED_MAX) return this.finish();
        if (performance.now() - startedAt > SLICE_MS) return this.pause();
        if (status === PAUSED) continue;
        if (this.walk?.mayLoad(exports.getMissedOffset()) === false) return this.pause();
        if (!this.blocks.load()) return this.finishDamaged();
      } else if (status === CORRUPT) {
        return this.finishDamaged();
      } else {
        throw new MemoryRefused(0);
      }
    }
  }

  private pause(): false {
    const next = this.core.exports.scanNext();
    assert(next >= 0);
    if (this.isReverse) this.to = next;
    else this.from = next;
    return false;
  }

  private giveUp(): true {
    this.isGivenUp = true;
    return true;
  }

  private finish(): true {
    const { exports } = this.core;
    const next = exports.scanNext();
    this.next = next < 0 ? null : next;
    this.hasMore = exports.getScanAt() !== exports.getScanEnd();
    return true;
  }

  private finishDamaged(): true {
    if (this.examined === 0) throw this.blocks.corrupt();
    return this.finish();
  }
}

const NO_BYTES = new Uint8Array(0);
