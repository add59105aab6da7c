/**
 * Recovery: from segment files to memtables and a log's end.
 *
 * What index runs cover is known: reading begins with the segment in which they end, or with the last. The segments
 * read must be whole: each ends where the next one's header says. In the last segment, let the claim
 * be the highest durable mark of any valid frame, searched to the file's end, past damage too. What lies below
 * the claim was synced: damage there is damage to synced data, and the store is not opened. What lies at or
 * beyond it is a torn tail: it is copied aside and cut at the first bad frame. Then the bytes from the claim to
 * the new end are rewritten, zeros behind them, and synced, since what the page cache shows after a failed sync
 * need not be on the disk, and the next durable mark will claim it. An orderly stop also notes the log's end beside
 * it (`end-file.ts`): a log that ends earlier is damaged, too.
 */

import type { Core } from "../../core/core.ts";
import {
  KIND_END,
  REPLAY_FULL,
  REPLAY_MISFIT,
  REPLAY_NEEDS_MORE,
  REPLAY_NO_MEMORY,
  REPLAY_RUN_END,
  REPLAY_STOPPED,
  REPLAY_UNKNOWN_KIND,
} from "../../core/status.ts";
import { type Disk, type DiskFile, readFully, writeFully, zeroFill } from "../../disk.ts";
import { DamageError, OpenError } from "../../errors.ts";
import { PREPARE_SLICE_BYTES } from "../../limits.ts";
import type { Tell } from "../../stderr-log.ts";
import { readEndFile, removeEndFile } from "./end-file.ts";
import {
  decodeSegmentHeader,
  isSegmentName,
  SEGMENT_ALIGNMENT,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentHeaderIsWhole,
  segmentName,
} from "./segment.ts";
import { WINDOW_BYTES, Window } from "./segment-window.ts";

/** A replay that lasts longer than this tells how far it is, this often. */
const PROGRESS_INTERVAL_MS = 1_000;

export interface SegmentFile {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly bytes: number;
}

export interface RecoveredLog {
  readonly segments: readonly SegmentFile[];
  /** Where the next frame lies, behind the last whole one. */
  readonly end: number;
  readonly crc: number;
  readonly position: number;
  readonly recordedAt: number;
  /** True where an end frame is the last one: the store was stopped in order. */
  readonly wasStopped: boolean;
}

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `log`. */
  readonly folder: string;
  readonly segments: readonly SegmentFile[];
  /** Leaves every byte as it is: a torn tail is told, not cut. */
  readonly readOnly: boolean;
  /** Reads all of the log, what index runs cover too, and is called where each of them ends; null: reads the rest. */
  readonly runEnd: (() => void) | null;
  /** The memtables are full: makes index runs of those that are sealed, of segments that are synced. */
  readonly full: () => void;
  /** Some of the log was read; the next of it may wait for what is to be done between. */
  readonly taken: () => void;
  /** The last segment is read next, of which nobody knows yet what is synced: no run may be made of it. */
  readonly lastSegment: () => void;
  readonly log: Tell;
}

/** Opens the log: fills the core's tables and mends a torn tail. Throws OpenError where synced data is damaged. */
export function recover(options: RecoveryOptions): RecoveredLog {
  const { core, segments } = options;
  const unread = options.runEnd !== null ? 0 : coveredSegments(segments, core.exports.runsEnd());
  const progress = new Progress(options.log, segments.slice(unread));
  segments.forEach((segment, index) => {
    if (index < unread) return;
    const { header } = segment;
    if (index === unread && index > 0) {
      core.exports.replayEnter(header.base, header.previousCrc, header.firstPosition);
    }
    if (header.firstPosition !== core.exports.getReplayPosition()) {
      throw damage(
        segment,
        0,
        `it begins at position ${header.firstPosition}, but the log before it ends before position ${core.exports.getReplayPosition()}`,
      );
    }
    if (header.previousCrc !== core.exports.getReplayCrc() >>> 0) {
      throw damage(segment, 0, "it does not follow from the segment before it");
    }
    core.exports.replayEnter(
      header.base + SEGMENT_HEADER_BYTES,
      header.previousCrc,
      header.firstPosition,
    );
    const next = segments[index + 1];
    if (next === undefined) {
      options.lastSegment();
      if (core.exports.replayLast() === 0) throw noMemory(segment, options.readOnly);
    }
    const file = options.disk.open(segment.path, "read");
    try {
      replaySegment(options, file, segment, progress);
    } finally {
      file.close();
    }
    if (next !== undefined) checkSealed(core, segment, next);
  });
  const last = segments[segments.length - 1] as SegmentFile;
  checkEnd(options, last);
  const endsInOrder = core.exports.getReplayLastKind() === KIND_END;
  const { bytes, hasTail } = mendLastSegment(options, last, endsInOrder);
  if (!options.readOnly) removeEndFile(options.disk, options.folder);
  return {
    segments: [...segments.slice(0, -1), { ...last, bytes }],
    end: core.exports.getReplayOffset(),
    crc: core.exports.getReplayCrc(),
    position: core.exports.getReplayPosition(),
    recordedAt: core.exports.getReplayRecordedAt(),
    wasStopped: endsInOrder && !hasTail,
  };
}

/** Segments before the one in which the runs end; the last one is always read. */
function coveredSegments(segments: readonly SegmentFile[], runsEnd: number): number {
  let index = segments.length - 1;
  while (index > 0 && (segments[index] as SegmentFile).header.firstPosition > runsEnd) index--;
  return index;
}

interface SegmentsOptions {
  readonly disk: Disk;
  readonly core: Core;
  readonly folder: string;
  readonly storeId: Uint8Array;
}

/** The log's segments, in order, their headers checked. Throws OpenError. */
export function listSegments(options: SegmentsOptions): SegmentFile[] {
  const names = options.disk.list(options.folder).filter(isSegmentName);
  if (names.length === 0) throw new OpenError(`${options.folder}: the log holds no segment`);
  const segments = names.map((name) => openSegment(options, name));
  const first = segments[0] as SegmentFile;
  if (first.header.firstPosition !== 0) {
    throw damage(first, 0, "it is the first segment, but the segments before it are missing");
  }
  return segments;
}

function openSegment(options: SegmentsOptions, name: string): SegmentFile {
  const path = `${options.folder}/${name}`;
  const file = options.disk.open(path, "read");
  try {
    const bytes = file.size();
    const start = new Uint8Array(SEGMENT_HEADER_BYTES);
    const count = readFully(file, start, 0);
    const header = decodeSegmentHeader(options.core, start.subarray(0, count));
    if (typeof header === "string") {
      const isDamaged = !segmentHeaderIsWhole(options.core, start.subarray(0, count));
      throw new (isDamaged ? DamageError : OpenError)(`${path} at offset 0: ${header}`);
    }
    const segment = { path, header, bytes };
    if (segmentName(header.firstPosition) !== name) {
      throw damage(
        segment,
        0,
        `its header says that its name is ${segmentName(header.firstPosition)}`,
      );
    }
    if (Buffer.compare(header.storeId, options.storeId) !== 0) {
      throw damage(segment, 0, "it belongs to another store");
    }
    return segment;
  } finally {
    file.close();
  }
}

/** Takes the segment's frames up to the first place that is no whole frame. */
function replaySegment(
  { core, full, taken, runEnd, readOnly }: RecoveryOptions,
  file: DiskFile,
  segment: SegmentFile,
  progress: Progress,
): void {
  const window = new Window(core, file, segment);
  try {
    let needed = WINDOW_BYTES;
    while (true) {
      const start = core.exports.getReplayOffset();
      const size = window.load(start, needed);
      const status = core.exports.replayFrames(window.address, size);
      progress.add(core.exports.getReplayOffset() - start, core.exports.getReplayPosition());
      taken();
      if (status === REPLAY_STOPPED) return;
      if (status === REPLAY_FULL) {
        full();
        continue;
      }
      if (status === REPLAY_RUN_END) {
        runEnd?.();
        continue;
      }
      if (status === REPLAY_NEEDS_MORE) {
        const missing = core.exports.getReplayNeeded();
        if (core.exports.getReplayOffset() + missing > segment.header.base + segment.bytes) return;
        needed = Math.max(WINDOW_BYTES, missing);
        continue;
      }
      const offset = core.exports.getReplayOffset() - segment.header.base;
      if (status === REPLAY_MISFIT) {
        throw damage(segment, offset, "this record does not follow from the one before it");
      }
      if (status === REPLAY_UNKNOWN_KIND) {
        throw damage(segment, offset, "this record was written by a newer version of Cairn");
      }
      if (status === REPLAY_NO_MEMORY) {
        throw noMemory(segment, readOnly);
      }
      throw new Error(`unknown replay status ${status}`);
    }
  } finally {
    window.free();
  }
}

/** A sealed segment ends where the next one's header says that the log went on. */
function checkSealed(core: Core, segment: SegmentFile, next: SegmentFile): void {
  const end = core.exports.getReplayOffset();
  const isWhole =
    alignSegment(end) === next.header.base &&
    core.exports.getReplayPosition() === next.header.firstPosition &&
    core.exports.getReplayCrc() >>> 0 === next.header.previousCrc;
  if (!isWhole) throw damage(segment, end - segment.header.base, "the record here is damaged");
}

/** The log offset at which the segment after one that ends at `end` begins. */
export function alignSegment(end: number): number {
  return Math.ceil(end / SEGMENT_ALIGNMENT) * SEGMENT_ALIGNMENT;
}

/** A log that ends before the place where an orderly stop left it has lost synced data. */
function checkEnd(options: RecoveryOptions, last: SegmentFile): void {
  const { core } = options;
  const stopped = readEndFile(options.disk, core, options.folder);
  const end = core.exports.getReplayOffset();
  if (stopped === "damaged") {
    const text = `${options.folder}/end is damaged: it would say whether the log's end is missing`;
    if (options.readOnly) throw new DamageError(text);
    options.log(text, "warn");
    return;
  }
  if (stopped === null || end > stopped.offset) return; // no orderly stop, or the log went on after it
  if (end === stopped.offset && core.exports.getReplayCrc() >>> 0 === stopped.crc) return;
  throw damage(
    last,
    end - last.header.base,
    `the log ends here, before position ${core.exports.getReplayPosition()}, but an orderly stop left it before position ${stopped.position}, ${stopped.offset - end} bytes further on`,
  );
}

/** Returns the segment's size from now on, and whether there was a torn tail. */
function mendLastSegment(
  options: RecoveryOptions,
  segment: SegmentFile,
  endsInOrder: boolean,
): { bytes: number; hasTail: boolean } {
  const { core, disk } = options;
  const end = core.exports.getReplayOffset();
  const base = segment.header.base;
  const file = disk.open(segment.path, options.readOnly ? "read" : "write");
  try {
    const tail = searchTail(core, file, segment, end);
    const claim = Math.max(core.exports.getReplayClaim(), base + SEGMENT_HEADER_BYTES);
    if (claim > end) {
      throw damage(
        segment,
        end - base,
        `the record here is damaged, and ${claim - end} bytes behind it are known to have been synced`,
      );
    }
    const hasTail = tail > end;
    if (options.readOnly) {
      if (hasTail)
        options.log(
          `${segment.path} at offset ${end - base}: an incomplete last transaction`,
          "warn",
        );
      return { bytes: segment.bytes, hasTail };
    }
    if (hasTail) {
      const kept = keepTail(disk, file, segment, end, tail);
      options.log(
        `${segment.path} at offset ${end - base}: cut an incomplete last transaction, ${tail - end} bytes, ${kept}`,
        "warn",
      );
    }
    rewrite(core, file, segment, claim, end);
    // The file may have lost its last bytes with a crash; room for an end frame is always kept.
    const bytes = Math.max(segment.bytes, end - base + SEGMENT_HEADER_BYTES);
    // Behind an end frame lie the zeros that were synced before it, unless a later run wrote there.
    if (!endsInOrder || hasTail) zeroFill(file, end - base, bytes);
    else zeroFill(file, segment.bytes, bytes);
    file.sync();
    disk.syncFolder(options.folder);
    return { bytes, hasTail };
  } finally {
    file.close();
  }
}

/** Raises the claim by what lies behind `end`; returns where the last byte there that is not zero ends. */
function searchTail(core: Core, file: DiskFile, segment: SegmentFile, end: number): number {
  const fileEnd = segment.header.base + segment.bytes;
  const window = new Window(core, file, segment);
  let tail = end;
  try {
    let at = end;
    let needed = WINDOW_BYTES;
    while (at < fileEnd) {
      const size = window.load(at, needed);
      const zero = core.exports.zeroBytes(window.address, size);
      if (zero === size) {
        at += size;
        needed = WINDOW_BYTES;
        continue;
      }
      tail = Math.max(
        tail,
        at + lastNonZero(core.memory.subarray(window.address, window.address + size)) + 1,
      );
      const searched = core.exports.findClaims(window.address, size, at);
      const missing = core.exports.getReplayNeeded();
      if (missing > 0 && at + searched + missing <= fileEnd) {
        at += searched;
        needed = Math.max(WINDOW_BYTES, missing);
      } else {
        // Nothing more can begin in what is left of the file, or a head there names a frame beyond its end.
        at += missing > 0 ? searched + 8 : Math.max(searched, 8);
        needed = WINDOW_BYTES;
      }
    }
  } finally {
    window.free();
  }
  return tail;
}

function lastNonZero(bytes: Uint8Array): number {
  let at = bytes.length - 1;
  while (at >= 0 && bytes[at] === 0) at--;
  return at;
}

/**
 * Copies the cut bytes beside the segment, so that nothing is lost that somebody may want to look at. They were
 * never acknowledged: a disk without room for the copy must not keep the store from opening.
 */
function keepTail(
  disk: Disk,
  file: DiskFile,
  segment: SegmentFile,
  end: number,
  tail: number,
): string {
  const start = end - segment.header.base;
  const path = `${segment.path}.cut-${start}`;
  try {
    if (disk.exists(path)) disk.remove(path);
    copyTail(disk.open(path, "create"), file, start, tail - end);
    return `kept in ${path}`;
  } catch (error) {
    return `not kept, since ${path} cannot be written: ${(error as Error).message}`;
  }
}

function copyTail(copy: DiskFile, file: DiskFile, start: number, size: number): void {
  try {
    const slice = new Uint8Array(PREPARE_SLICE_BYTES);
    for (let at = 0; at < size; at += slice.length) {
      const part = slice.subarray(0, Math.min(slice.length, size - at));
      const count = readFully(file, part, start + at);
      writeFully(copy, part.subarray(0, count), at);
    }
    copy.sync();
  } finally {
    copy.close();
  }
}

/** Writes bytes that are there once more, so that the sync that follows takes them to the disk. */
function rewrite(core: Core, file: DiskFile, segment: SegmentFile, from: number, to: number): void {
  const window = new Window(core, file, segment);
  try {
    for (let at = from; at < to; at += WINDOW_BYTES) {
      const size = window.load(at, Math.min(WINDOW_BYTES, to - at));
      const bytes = core.memory.subarray(window.address, window.address + size);
      writeFully(file, bytes, at - segment.header.base);
    }
  } finally {
    window.free();
  }
}

function noMemory(segment: SegmentFile, readOnly: boolean): OpenError {
  // A server writes index runs, and needs no memory for what they have.
  const way = readOnly ? "; start the server once, which makes its index on the disk" : "";
  return new OpenError(`${segment.path}: there is no memory for the index of this store${way}`);
}

function damage(segment: { path: string }, offset: number, what: string): DamageError {
  return new DamageError(`${segment.path} at offset ${offset}: ${what}`);
}

/** Tells on the log how far a long replay is. */
class Progress {
  private done = 0;
  private readonly total: number;
  private readonly log: Tell;
  private toldAt = performance.now();

  constructor(log: Tell, segments: readonly SegmentFile[]) {
    this.log = log;
    this.total = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  add(bytes: number, events: number): void {
    this.done += bytes;
    const now = performance.now();
    if (now - this.toldAt < PROGRESS_INTERVAL_MS) return;
    this.toldAt = now;
    const percent = Math.floor((this.done / Math.max(1, this.total)) * 100);
    this.log(`reading the log: ${percent} %, ${events} events`);
  }
}
