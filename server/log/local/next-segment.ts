/**
 * The next segment, prepared ahead of its use: the file `log/next`, zeros written and synced.
 *
 * A log that is written into zeros needs no file-system metadata with its syncs. Preparing goes in slices, each
 * synced in a thread, and as far ahead as the log has come in its own segment: an idle store prepares nothing,
 * and the load beside the log is in proportion to the log's own. A segment may be taken before it has its full
 * size; it is then as long as what was prepared, so that a new store's segments grow from small to full.
 */
import { assert } from "../../assert.ts";
import { type Disk, type DiskFile, writeFully } from "../../disk.ts";
import { PREPARE_SLICE_BYTES } from "../../limits.ts";
import { NoRoom } from "../log.ts";
import { NEXT_NAME } from "./segment.ts";

/** How many bytes are prepared for each byte that the log has written of its segment. */
const PREPARED_PER_WRITTEN = 2;

export interface Prepared {
  readonly file: DiskFile;
  readonly bytes: number;
}

export class NextSegment {
  private readonly disk: Disk;
  private readonly folder: string;
  private readonly segmentBytes: number;
  private readonly zeros: Uint8Array;
  private file: DiskFile | null = null;
  private preparedBytes = 0;
  private slices = 0;
  /** Called with the error of a slice whose file the log has taken meanwhile. */
  private readonly failed: (error: Error) => void;

  constructor(disk: Disk, folder: string, segmentBytes: number, failed: (error: Error) => void) {
    this.disk = disk;
    this.folder = folder;
    this.segmentBytes = segmentBytes;
    this.zeros = new Uint8Array(Math.min(PREPARE_SLICE_BYTES, segmentBytes));
    this.failed = failed;
  }

  /** Whether a slice is being synced now: the log's own sync is slow meanwhile. */
  get isBusy(): boolean {
    return this.slices > 0;
  }

  /** Prepares a slice more where the log, which has written this much of its segment, will need it. */
  advance(writtenBytes: number): void {
    const wanted = Math.min(this.segmentBytes, writtenBytes * PREPARED_PER_WRITTEN);
    if (this.isBusy || this.preparedBytes >= wanted) return;
    try {
      this.addSlice();
    } catch {
      return; // no room on the disk now: `take` tries again, and says so
    }
    const file = this.file as DiskFile;
    this.slices++;
    file.syncInThread((error) => {
      this.slices--;
      if (error === null) return;
      if (this.file !== file) this.failed(error);
      else this.discard();
    });
  }

  /** Gives a segment of at least `bytes` bytes, to be synced, whose file is still `log/next`. Throws NoRoom. */
  take(bytes: number): Prepared {
    try {
      const least = Math.max(bytes, this.zeros.length);
      while (this.preparedBytes < least) this.addSlice();
      const prepared = { file: this.file as DiskFile, bytes: this.preparedBytes };
      this.file = null;
      this.preparedBytes = 0;
      return prepared;
    } catch (error) {
      this.discard();
      throw new NoRoom(`no room for the next segment: ${(error as Error).message}`);
    }
  }

  /** Gives up what was prepared; the file goes with it, and where the disk refuses that, at the next use. */
  discard(): void {
    this.file?.close();
    this.file = null;
    this.preparedBytes = 0;
    try {
      this.removeFile();
    } catch {
      // The file holds nothing: whoever needs its name tries again, and says why it cannot.
    }
  }

  path(): string {
    return `${this.folder}/${NEXT_NAME}`;
  }

  private removeFile(): void {
    if (this.disk.exists(this.path())) this.disk.remove(this.path());
  }

  private addSlice(): void {
    if (this.file === null) {
      this.removeFile();
      this.file = this.disk.open(this.path(), "create");
    }
    assert(this.preparedBytes % this.zeros.length === 0);
    writeFully(this.file, this.zeros, this.preparedBytes);
    this.preparedBytes += this.zeros.length;
  }
}
