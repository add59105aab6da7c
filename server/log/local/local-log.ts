/**
 * The log on this machine's disk: the single writer of its segment files.
 *
 * A batch is written at its offset and synced before it is told durable. Where the sync runs follows the disk:
 * on the event loop while that takes well under a millisecond, since a hand-over to a thread and back costs
 * more; in a thread while the disk is slow or a segment is being prepared beside it, so that reads and other
 * connections go on. A write or a sync that failed is never tried again: the pages may be gone.
 */
import { assert } from "../../assert.ts";
import type { Core } from "../../core/core.ts";
import {
  DIRECT_BLOCK_BYTES,
  type Disk,
  type DiskFile,
  directMemory,
  writeFully,
  zeroFill,
} from "../../disk.ts";
import { MiB } from "../../limits.ts";
import { Histogram, SECONDS_BOUNDS } from "../../metrics/histogram.ts";
import { type Log, type LogRange, NoRoom, type Room } from "../log.ts";
import { writeEndFile } from "./end-file.ts";
import { NextSegment } from "./next-segment.ts";
import { alignSegment, type RecoveredLog, type SegmentFile } from "./recovery.ts";
import {
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./segment.ts";
import { SegmentReader } from "./segment-reader.ts";

/** Average sync time above which syncs move to a thread, and below which they come back, milliseconds. */
const THREAD_ABOVE_MS = 1;
const LOOP_BELOW_MS = 0.7;
/** What a thread writes from is given back after a batch that needed more than this. */
const THREAD_MEMORY_BYTES_KEPT = 4 * MiB;
/** Weight of a new measurement in the moving average. */
const AVERAGE_WEIGHT = 1 / 16;

/** Where syncs run: chosen by measurement, or fixed by a test. */
export type SyncPlace = "measured" | "loop" | "thread";

export interface LocalLogOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `log`. */
  readonly folder: string;
  readonly storeId: Uint8Array;
  readonly segmentBytes: number;
  /** False: a batch is done when it is written; `sync` is the caller's (`--durability os`). */
  readonly syncBatches: boolean;
  readonly syncPlace: SyncPlace;
  /** Whether other files are being written: the log's own syncs are slow meanwhile. */
  readonly isDiskShared: () => boolean;
  /** A sync failed of which no batch waits. */
  readonly failed: (error: Error) => void;
}

export class LocalLog implements Log {
  /** Moving average of the time that a batch's write and sync take, milliseconds. */
  averageSyncMs = 0;
  /** What it took to make something durable: a batch's write and sync, or what `sync` was called for. */
  readonly syncSeconds = new Histogram(SECONDS_BOUNDS);
  private readonly options: LocalLogOptions;
  private readonly next: NextSegment;
  private readonly reader: SegmentReader;
  private writer: DiskFile;
  /** The same file for direct writes; null where there are none. */
  private direct: DiskFile | null;
  private inThread = false;
  /** What a thread writes from. */
  private threadMemory = new Uint8Array(0);
  /** The next segment's file, while it gets its header and its name. */
  private extending: DiskFile | null = null;
  private isClosed = false;

  /** Goes on where recovery found the log's end. */
  constructor(options: LocalLogOptions, recovered: RecoveredLog) {
    this.options = options;
    this.next = new NextSegment(options.disk, options.folder, options.segmentBytes, options.failed);
    this.next.discard(); // from before this start: nobody knows how far it was prepared
    this.reader = new SegmentReader(options.disk, recovered.segments);
    this.writer = options.disk.open(this.lastSegment().path, "write");
    this.direct = this.openDirect();
  }

  /** Where the room ends in which the log goes on. */
  get roomEnd(): number {
    const last = this.lastSegment();
    return last.header.base + last.bytes;
  }

  /** Tells the core where the log goes on, and what lies before that in its block. Throws what the disk says. */
  enter(room: Room): void {
    const { core } = this.options;
    core.exports.enterSegment(room.start, room.end);
    const address = core.exports.fillHeadPtr() >>> 0;
    const head = core.memory.subarray(address, address + core.exports.fillHeadSize());
    const count = this.reader.read(room.start - head.length, head);
    assert(count === head.length);
  }

  append(done: (error: Error | null) => void, isLoopBusy: boolean): void {
    const startedAt = performance.now();
    const written = (error: Error | null): void => {
      if (error === null) this.written(startedAt);
      done(error);
    };
    if (!this.options.syncBatches || !this.useThread(isLoopBusy)) {
      written(attempt(() => this.appendNow()) ?? null);
    } else if (this.direct?.writeInThread !== undefined) {
      this.writeDirectInThread(this.direct, written);
    } else {
      this.writeAndSyncInThread(written);
    }
  }

  private writeAndSyncInThread(written: (error: Error | null) => void): void {
    const failure = attempt(() => this.write());
    if (failure instanceof Error) written(failure);
    else this.writer.syncInThread(written);
  }

  appendNow(): void {
    if (!this.options.syncBatches) {
      this.write();
    } else if (!this.writeDirect()) {
      this.write();
      this.writer.sync();
    }
  }

  sync(): void {
    const startedAt = performance.now();
    this.writer.sync();
    this.syncSeconds.observe((performance.now() - startedAt) / 1_000);
  }

  end(): void {
    const { disk, core, folder } = this.options;
    writeEndFile(disk, core, folder, {
      offset: core.exports.getLogOffset(),
      position: core.exports.getNextPosition(),
      crc: core.exports.getPreviousCrc() >>> 0,
    });
  }

  /** Writes the batch in flight through the page cache. */
  private write(): void {
    const { core } = this.options;
    const address = core.exports.getFlightPtr() >>> 0;
    const batch = core.memory.subarray(address, address + core.exports.getFlightLength());
    writeFully(this.writer, batch, this.flightStart());
  }

  /** Writes the blocks that the batch in flight lies in, durably; false where direct writes are not to be had. */
  private writeDirect(): boolean {
    const { direct } = this;
    if (direct === null) return false;
    const { source, offset } = this.flightBlocks();
    const failure = directFailure(
      attempt(() => direct.write(source, offset)),
      source.length,
    );
    if (failure === null) return true;
    this.dropDirect(failure);
    return false;
  }

  /** The same in a thread, from a copy: core memory may grow, and move, meanwhile. */
  private writeDirectInThread(direct: DiskFile, written: (error: Error | null) => void): void {
    const { source, offset } = this.flightBlocks();
    if (this.threadMemory.length < source.length) this.threadMemory = directMemory(source.length);
    const copy = this.threadMemory.subarray(0, source.length);
    copy.set(source);
    direct.writeInThread?.(copy, offset, (taken) => {
      const failure = directFailure(taken, copy.length);
      if (copy.length > THREAD_MEMORY_BYTES_KEPT) this.threadMemory = new Uint8Array(0);
      if (failure === null) {
        written(null);
        return;
      }
      const refusal = attempt(() => this.dropDirect(failure));
      if (refusal instanceof Error) written(refusal);
      else this.writeAndSyncInThread(written);
    });
  }

  /** The blocks of the segment's file in which the batch in flight lies. */
  private flightBlocks(): { readonly source: Uint8Array; readonly offset: number } {
    const { core } = this.options;
    const head = core.exports.getFlightHead();
    const address = (core.exports.getFlightPtr() >>> 0) - head;
    const size = head + core.exports.getFlightLength();
    const blocks = Math.ceil(size / DIRECT_BLOCK_BYTES) * DIRECT_BLOCK_BYTES;
    return {
      source: core.memory.subarray(address, address + blocks),
      offset: this.flightStart() - head,
    };
  }

  /** Does without direct writes where they are not to be had; throws any other failure of one. */
  private dropDirect(failure: Error): void {
    if ((failure as NodeJS.ErrnoException).code !== "EINVAL") throw failure;
    this.direct?.close();
    this.direct = null;
  }

  /** Where the batch in flight begins in the segment's file. */
  private flightStart(): number {
    const { exports } = this.options.core;
    const segment = this.lastSegment();
    const start = exports.getDurableOffset() - segment.header.base;
    assert(start >= SEGMENT_HEADER_BYTES && start + exports.getFlightLength() <= segment.bytes);
    return start;
  }

  private openDirect(): DiskFile | null {
    if (!this.options.syncBatches) return null;
    return this.options.disk.openDirect(this.lastSegment().path);
  }

  extend(
    offset: number,
    position: number,
    crc: number,
    bytes: number,
    done: (result: Room | Error) => void,
  ): void {
    if (position === this.lastSegment().header.firstPosition) {
      done(attempt(() => this.lengthen(offset, bytes)));
      return;
    }
    const { disk, core, folder, storeId } = this.options;
    const inThread = this.useThread();
    const header = {
      storeId,
      base: alignSegment(offset),
      firstPosition: position,
      previousCrc: crc,
    };
    const path = `${folder}/${segmentName(position)}`;
    const prepared = attempt(() => {
      // The header and the room for an end frame come on top of what is asked for.
      const taken = this.next.take(bytes + SEGMENT_HEADER_BYTES + SEGMENT_HEADER_BYTES);
      this.extending = taken.file;
      writeFully(taken.file, encodeSegmentHeader(core, header), 0);
      return taken;
    });
    if (prepared instanceof Error) {
      done(this.refuseSegment(prepared));
      return;
    }
    const named = (error: Error | null): void => {
      if (this.isClosed) return;
      this.extending = null;
      const room =
        error ?? attempt(() => this.enterSegment(prepared.file, path, header, prepared.bytes));
      done(room);
    };
    const synced = (error: Error | null): void => {
      if (this.isClosed) return;
      if (error !== null) {
        done(this.refuseSegment(error));
        return;
      }
      // Beyond this point a failure leaves the folder in a state that only a restart can read: the caller fences.
      const failure = attempt(() => disk.rename(this.next.path(), path));
      if (failure instanceof Error) named(failure);
      else if (inThread) disk.syncFolderInThread(folder, named);
      else named(attempt(() => disk.syncFolder(folder)) ?? null);
    };
    if (inThread) prepared.file.syncInThread(synced);
    else synced(attempt(() => prepared.file.sync()) ?? null);
  }

  /** The next segment could not be written; it has no name yet, so nothing is lost. */
  private refuseSegment(error: Error): NoRoom {
    this.extending?.close();
    this.extending = null;
    this.next.discard();
    if (error instanceof NoRoom) return error;
    return new NoRoom(`the next segment was not written: ${error.message}`);
  }

  private enterSegment(file: DiskFile, path: string, header: SegmentHeader, bytes: number): Room {
    this.writer.close();
    this.direct?.close();
    this.writer = file;
    this.reader.segments.push({ path, header, bytes });
    this.direct = this.openDirect();
    return { start: header.base + SEGMENT_HEADER_BYTES, end: header.base + bytes };
  }

  /** Makes a segment longer that has no event yet: another one would have its name. */
  private lengthen(offset: number, bytes: number): Room {
    const segment = this.lastSegment();
    const { writer } = this;
    const start = offset - segment.header.base;
    const fileBytes = Math.max(segment.bytes, alignSegment(start + bytes + SEGMENT_HEADER_BYTES));
    try {
      zeroFill(writer, segment.bytes, fileBytes);
      writer.sync();
    } catch (error) {
      throw new NoRoom(`no room for a longer segment: ${(error as Error).message}`);
    }
    this.reader.segments[this.reader.segments.length - 1] = { ...segment, bytes: fileBytes };
    return { start: offset, end: segment.header.base + fileBytes };
  }

  read(offset: number, target: Uint8Array): number {
    return this.reader.read(offset, target);
  }

  willRead(offset: number, bytes: number): void {
    this.reader.willRead(offset, bytes);
  }

  readAhead(offset: number, range: LogRange, done: () => void): LogRange | null {
    return this.reader.readAhead(offset, range, done);
  }

  placeText(offset: number): string {
    return this.reader.placeText(offset);
  }

  diskBytes(): number {
    return this.reader.diskBytes();
  }

  segmentCount(): number {
    return this.reader.segments.length;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.writer.close();
    this.direct?.close();
    this.extending?.close();
    this.reader.close();
    this.next.discard();
  }

  private useThread(isLoopBusy = false): boolean {
    if (this.options.syncPlace !== "measured") return this.options.syncPlace === "thread";
    return isLoopBusy || this.inThread || this.next.isBusy || this.options.isDiskShared();
  }

  private written(startedAt: number): void {
    const elapsedMs = performance.now() - startedAt;
    if (this.options.syncBatches) this.syncSeconds.observe(elapsedMs / 1_000);
    // A slice beside the log says nothing about the disk by itself.
    if (!this.next.isBusy && !this.options.isDiskShared()) {
      this.averageSyncMs += (elapsedMs - this.averageSyncMs) * AVERAGE_WEIGHT;
      if (this.averageSyncMs > THREAD_ABOVE_MS) this.inThread = true;
      else if (this.averageSyncMs < LOOP_BELOW_MS) this.inThread = false;
    }
    if (!this.isClosed) this.next.advance(this.flightStart());
  }

  private lastSegment(): SegmentFile {
    return this.reader.segments[this.reader.segments.length - 1] as SegmentFile;
  }
}

/** Why a direct write did not do all of its work, or null. */
function directFailure(taken: number | Error, size: number): Error | null {
  if (taken instanceof Error) return taken;
  return taken === size ? null : new Error(`the system took ${taken} of ${size} bytes`);
}

/** What `work` gives, or the error that it throws. */
function attempt<Result>(work: () => Result): Result | Error {
  try {
    return work();
  } catch (error) {
    return error as Error;
  }
}
