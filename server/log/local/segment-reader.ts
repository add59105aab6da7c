/**
 * Reads the log by log offset: finds the segment file that holds a place, and keeps some of them open.
 */
import { type Disk, type DiskFile, descriptorLimit, readFully } from "../../disk.ts";
import {
  CONNECTIONS_MAX,
  DESCRIPTORS_RESERVED,
  SEGMENT_FILES_OPEN_MAX,
  SEGMENT_FILES_OPEN_MIN,
} from "../../limits.ts";
import type { SegmentFile } from "./recovery.ts";

export class SegmentReader {
  /** In order of the log; the last one may be replaced by a longer one. */
  readonly segments: SegmentFile[];
  private readonly disk: Disk;
  private readonly files = new Map<string, DiskFile>();
  private readonly filesOpenMax: number;

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
