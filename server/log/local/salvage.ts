/**
 * Salvage: every event of a closed log that is intact, past damage, and which ones are missing.
 *
 * A frame says by its head that it lies where it was written, and by its checksum that it is whole; so frames are
 * found again behind damage, at any multiple of 8. Positions have no gaps: what lies between two frames that were
 * found is missing. Nothing else of the log has to be right for it, neither the segments' headers nor the chain.
 *
 * In the last segment what follows a bad place is given only where it is known to have been synced, as recovery has it
 * (recovery.ts): else the bad place is a torn tail, of which nothing was acknowledged.
 */
import type { Core } from "../../core/core.ts";
import { type Disk, type DiskFile, readFully } from "../../disk.ts";
import { OpenError } from "../../errors.ts";
import { readEndFile } from "./end-file.ts";
import { alignSegment } from "./recovery.ts";
import {
  decodeSegmentHeader,
  firstPositionOf,
  isSegmentName,
  SEGMENT_HEADER_BYTES,
  segmentHeaderIsWhole,
} from "./segment.ts";
import { WINDOW_BYTES, Window } from "./segment-window.ts";

const FRAME_ALIGNMENT = 8;
/** Bytes of a frame's head: what holds none begins no frame. */
const FRAME_HEAD_BYTES = 36;

export interface SalvageOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `log`. */
  readonly folder: string;
  /** Begins with the segment that has this position. */
  readonly from: number;
}

export type Salvaged =
  /** A whole frame of events in core memory, valid until the next one is asked for. */
  | {
      readonly kind: "events";
      readonly address: number;
      readonly first: number;
      readonly count: number;
    }
  /** Something is damaged: file and offset, and the positions from `first` on, below `end`, that were lost there. */
  | {
      readonly kind: "damage";
      readonly place: string;
      readonly first: number;
      readonly end: number;
    };

/** What is intact, in order, and between it what is not. Throws OpenError where the log cannot be read at all. */
export function* salvage(options: SalvageOptions): Generator<Salvaged> {
  const { disk, core, folder, from } = options;
  const segments = segmentsFrom(options);
  const ended = readEndFile(disk, core, folder);
  const stopped = ended === "damaged" ? null : ended;
  let position = Math.min(from, segments[0]?.firstPosition ?? 0);
  /** Where something was found damaged behind the last whole frame. */
  let damage: string | null = null;
  /** Where the next frame must lie, in the log, and as file and offset. */
  let follows = 0;
  let place = folder;
  for (const [index, { path, firstPosition, base, isDamaged }] of segments.entries()) {
    if (firstPosition > position) {
      yield { kind: "damage", place: damage ?? place, first: position, end: firstPosition };
      position = firstPosition;
      damage = null;
    }
    const isLast = index === segments.length - 1;
    const segment = new SegmentFrames(disk, core, path, base ?? alignSegment(follows));
    const at = (offset: number): string => `${path} at offset ${offset - segment.base}`;
    if (isDamaged) damage ??= at(segment.base);
    try {
      const claim = isLast ? Math.max(segment.claim(), stopped?.offset ?? 0) : Infinity;
      follows = segment.base + SEGMENT_HEADER_BYTES;
      for (const frame of segment.frames()) {
        if (frame === null || frame.offset !== follows) {
          if (follows >= claim) break;
          damage ??= at(follows);
          if (frame === null) continue;
        }
        const first = core.exports.framePositionAt(frame.address);
        if (first < position) {
          damage ??= at(frame.offset); // it does not follow from what is before it
          continue;
        }
        if (damage !== null || first > position) {
          yield { kind: "damage", place: damage ?? at(follows), first: position, end: first };
          damage = null;
        }
        const count = core.exports.frameEvents(frame.address);
        if (count > 0) yield { kind: "events", address: frame.address, first, count };
        position = first + count;
        follows = frame.offset + frame.span;
      }
      place = at(follows);
    } finally {
      segment.close();
    }
  }
  const end = Math.max(position, stopped?.position ?? 0);
  if (damage !== null || end > position) {
    yield { kind: "damage", place: damage ?? place, first: position, end };
  }
}

interface SegmentPlace {
  readonly path: string;
  readonly firstPosition: number;
  /** Log offset of its first byte; null where its header is damaged, so that the end before it must tell. */
  readonly base: number | null;
  /** Its header is. */
  readonly isDamaged: boolean;
}

/** The segments from the one that holds a position on; it begins earlier where only that tells where one lies. */
function segmentsFrom({ disk, core, folder, from }: SalvageOptions): SegmentPlace[] {
  const names = disk.exists(folder) ? disk.list(folder) : [];
  const segments = names
    .filter(isSegmentName)
    .toSorted()
    .map((name) => segmentPlace(disk, core, `${folder}/${name}`, firstPositionOf(name)));
  const [first] = segments;
  if (first === undefined) throw new OpenError(`${folder}: the log holds no segment`);
  let index = segments.findLastIndex(({ firstPosition }) => firstPosition <= from);
  while (index > 0 && segments[index]?.base === null) index--;
  return segments.slice(Math.max(0, index));
}

function segmentPlace(disk: Disk, core: Core, path: string, firstPosition: number): SegmentPlace {
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
    const start = bytes.subarray(0, readFully(file, bytes, 0));
    const header = decodeSegmentHeader(core, start);
    if (typeof header !== "string") {
      return { path, firstPosition, base: header.base, isDamaged: false };
    }
    // What is whole but unknown was written by another version, which may write other frames.
    if (segmentHeaderIsWhole(core, start)) throw new OpenError(`${path} at offset 0: ${header}`);
    return { path, firstPosition, base: firstPosition === 0 ? 0 : null, isDamaged: true };
  } finally {
    file.close();
  }
}

interface FoundFrame {
  /** In the log. */
  readonly offset: number;
  /** In core memory. */
  readonly address: number;
  readonly span: number;
}

/** The whole frames of a segment. */
class SegmentFrames {
  readonly base: number;
  private readonly core: Core;
  private readonly file: DiskFile;
  private readonly window: Window;
  private readonly end: number;

  constructor(disk: Disk, core: Core, path: string, base: number) {
    this.core = core;
    this.base = base;
    this.file = disk.open(path, "read");
    const bytes = this.file.size();
    this.end = base + bytes;
    this.window = new Window(core, this.file, { header: { base }, bytes });
  }

  /** Below this log offset everything is known to have been synced. */
  claim(): number {
    const { core, window, end } = this;
    let at = this.base + SEGMENT_HEADER_BYTES;
    let needed = WINDOW_BYTES;
    while (at < end) {
      const size = window.load(at, needed);
      const searched = core.exports.findClaims(window.address, size, at);
      [at, needed] = this.next(at + searched);
    }
    return core.exports.getReplayClaim();
  }

  /** Each whole frame, in order; null where bytes lie that are neither a frame nor zeros. */
  *frames(): Generator<FoundFrame | null> {
    const { core, window, end } = this;
    const { exports } = core;
    let at = this.base + SEGMENT_HEADER_BYTES;
    let needed = WINDOW_BYTES;
    while (at < end) {
      const size = window.load(at, needed);
      let start = 0;
      while (true) {
        const found = start + exports.findFrame(window.address + start, size - start, at + start);
        const before = Math.min(found, size) - start;
        if (exports.zeroBytes(window.address + start, before) < before) yield null;
        start = found;
        if (exports.getReplayNeeded() > 0 || found + FRAME_HEAD_BYTES > size) break;
        const [address, offset] = [window.address + found, at + found];
        const span = alignFrame(exports.frameLengthAt(address, offset));
        yield { offset, address, span };
        start = Math.min(start + span, size);
      }
      [at, needed] = this.next(at + start);
    }
  }

  close(): void {
    this.window.free();
    this.file.close();
  }

  /** Where a search goes on that ended here, and how many bytes it needs. */
  private next(at: number): [at: number, needed: number] {
    const missing = this.core.exports.getReplayNeeded();
    if (missing > 0 && at + missing <= this.end) return [at, Math.max(WINDOW_BYTES, missing)];
    // A head that names a frame beyond the file's end begins none, and so do a file's last bytes.
    const isOver = missing > 0 || this.end - at < FRAME_HEAD_BYTES;
    return [isOver ? at + FRAME_ALIGNMENT : at, WINDOW_BYTES];
  }
}

function alignFrame(length: number): number {
  return Math.ceil(length / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
}
