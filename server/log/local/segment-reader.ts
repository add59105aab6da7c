/**
 * Reads the log by log offset: finds the segment file that holds a place, and keeps some of them open.
 */
import { type Disk, type DiskFile, descriptorLimit, readFully } from "../../disk.ts";
import {
  CONNECTIONS_MAX,
  DESCRIPTORS_RESERVED,
  READ_AHEAD_BYTES_MAX,
  SEGMENT_FILES_OPEN_MAX,
  SEGMENT_FILES_OPEN_MIN,
} from "../../limits.ts";
import type { LogRange } from "../log.ts";
import type { SegmentFile } from "./recovery.ts";

export class SegmentReader {
  /** In order of the log; the last one may be replaced by a longer one. */
  readonly segments: SegmentFile[];
  private readonly disk: Disk;
  private readonly files = new Map<string, DiskFile>();
  private readonly filesOpenMax: number;
  /** What is read ahead is thrown away here. */
  private readAheadTarget: Uint8Array | null = null;

  constructor(disk: Disk, segments: readonly SegmentFile[]) {
    this.disk = disk;
    this.segments = [...segments];
    const spare = descriptorLimit() - CONNECTIONS_MAX - DESCRIPTORS_RESERVED;
    this.filesOpenMax = Math.max(SEGMENT_FILES_OPEN_MIN, Math.min(spare, SEGMENT_FILES_OPEN_MAX));
  }

  /** The segment that holds a place. */
  segmentAt(offset: number): SegmentFile {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.segments[middle] as SegmentFile).header.base <= offset) low = middle;
      else high = middle - 1;
    }
    return this.segments[low] as SegmentFile;
  }

  /** Reads bytes at a log offset; returns how many there were. Throws what the disk says. */
  read(offset: number, target: Uint8Array): number {
    const segment = this.segmentAt(offset);
    return readFully(this.fileOf(segment.path), target, offset - segment.header.base);
  }

  /** Has the disk read bytes at a log offset, as far as it can: whoever reads them hears what is wrong with them. */
  willRead(offset: number, bytes: number): void {
    const segment = this.segmentAt(offset);
    try {
      this.fileOf(segment.path).willRead?.(offset - segment.header.base, bytes);
    } catch {
      // The file cannot be opened now.
    }
  }

  /** Has a thread read a range, as far as the segment of an offset holds it; null where the disk has none, or does not open it. */
  readAhead(offset: number, range: LogRange, done: () => void): LogRange | null {
    const { path, header, bytes } = this.segmentAt(offset);
    const start = Math.max(range.start, header.base);
    const end = Math.min(range.end, header.base + bytes, start + READ_AHEAD_BYTES_MAX);
    let file: DiskFile;
    try {
      file = this.fileOf(path);
    } catch {
      return null; // whoever reads there hears why
    }
    if (file.readInThread === undefined || start >= end) return null;
    this.readAheadTarget ??= new Uint8Array(READ_AHEAD_BYTES_MAX);
    file.readInThread(this.readAheadTarget.subarray(0, end - start), start - header.base, done);
    return { start, end };
  }

  /** Names file and offset of a place in the log, for an error. */
  placeText(offset: number): string {
    const segment = this.segmentAt(offset);
    return `${segment.path} at offset ${offset - segment.header.base}`;
  }

  /** Bytes that the segments take on the disk. */
  diskBytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  close(): void {
    for (const file of this.files.values()) file.close();
    this.files.clear();
  }

  private fileOf(path: string): DiskFile {
    const open = this.files.get(path);
    if (open !== undefined) return open;
    if (this.files.size >= this.filesOpenMax) {
      const [oldest, file] = this.files.entries().next().value as [string, DiskFile];
      file.close();
      this.files.delete(oldest);
    }
    const file = this.disk.open(path, "read");
    this.files.set(path, file);
    return file;
  }
}
