/**
 * The work of making index runs: building one of a memtable's rows, merging several, removing what was merged.
 *
 * Whoever calls decides the thread and the pace (`run-maker.ts`). A run is written beside its place as `<name>.new`,
 * in slices of at most 1 MiB each synced, so that the log's own syncs are not held up by a large one; its header
 * comes last, then it gets its name and the folder is synced. Work that fails throws, and leaves no file.
 */
import { assert } from "../assert.ts";
import { Core } from "../core/core.ts";
import { DONE, NO_MEMORY, PAUSED } from "../core/status.ts";
import { type Disk, type DiskFile, writeFully } from "../disk.ts";
import { CORE_MEMORY_BYTES_MAX, KiB } from "../limits.ts";
import { RUN_NEW_SUFFIX, RUN_PAGE_BYTES, runName } from "./run-file.ts";

/**
 * What a run is built of. The rows of each kind may come in any number of chunks, cut between rows; their layout stands in
 * core-wasm/assembly/run-build.ts.
 */
export interface RunBuild {
  /** `runName(from, to)`. */
  readonly name: string;
  /** Position of the first row. */
  readonly from: number;
  /** The log's end at the last row: log offset, CRC and span of the last frame, and its recorded_at. */
  readonly endOffset: number;
  readonly crc: number;
  readonly span: number;
  readonly recordedAt: number;
  readonly storeId: Uint8Array;
  readonly partitions: number;
  /** One for each event, 24 bytes, in order of position. */
  readonly rows: readonly Uint8Array[];
  /** One for each stream, 48 bytes, in order of first appearance. */
  readonly streams: readonly Uint8Array[];
  /** First sequences of the partitions that have events here, or of more, 16 bytes each. */
  readonly sequences: readonly Uint8Array[];
  /** Stretches of times, 32 bytes each, ascending. */
  readonly times: readonly Uint8Array[];
}

/** Bytes of one row of each kind. */
const BUILD_ROW_BYTES = { rows: 24, streams: 48, sequences: 16, times: 32 } as const;

/** The core's other parts take as little as they can: here it only makes runs. */
const IDLE_CORE_BYTES = 64 * KiB;

export class RunWork {
  private readonly disk: Disk;
  private readonly folder: string;
  readonly core: Core;

  constructor(disk: Disk, folder: string) {
    this.disk = disk;
    this.folder = folder;
    this.core = new Core({
      memoryBytesMax: CORE_MEMORY_BYTES_MAX,
      partitions: 1,
      cacheBytes: IDLE_CORE_BYTES,
      pageBytes: IDLE_CORE_BYTES,
      batchBytesMax: IDLE_CORE_BYTES,
      random: () => {
        throw new Error("making runs needs nothing random");
      },
    });
  }

  /** Bytes of core memory taken. */
  get memoryBytes(): number {
    return this.core.exports.memory.buffer.byteLength;
  }

  /** Builds a run and makes it durable under its name; gives the file's bytes. */
  build(job: RunBuild): number {
    const { exports } = this.core;
    const counts = {
      rows: rowCount(job.rows, BUILD_ROW_BYTES.rows),
      streams: rowCount(job.streams, BUILD_ROW_BYTES.streams),
      sequences: rowCount(job.sequences, BUILD_ROW_BYTES.sequences),
      times: rowCount(job.times, BUILD_ROW_BYTES.times),
    };
    assert(job.name === runName(job.from, job.from + counts.rows));
    const opened = exports.buildOpen(
      counts.rows,
      counts.streams,
      counts.sequences,
      counts.times,
      job.partitions,
    );
    if (opened === NO_MEMORY) throw new Error(`there is no memory to build ${job.name}`);
    try {
      this.fill(job);
      exports.buildCover(job.from, job.endOffset, job.crc, job.span, job.recordedAt);
      const file = new NewRun(this.disk, this.folder, job.name);
      try {
        let status: number;
        do {
          status = exports.buildStep();
          file.write(
            this.core,
            exports.buildOutput(),
            exports.buildOutputPage(),
            exports.buildOutputPages(),
          );
        } while (status === PAUSED);
        assert(status === DONE);
        return file.finish();
      } catch (error) {
        file.abandon();
        throw error;
      }
    } finally {
      exports.buildEnd();
    }
  }

  private fill(job: RunBuild): void {
    const { exports } = this.core;
    const { memory } = this.core;
    memory.set(job.storeId, exports.buildStoreId());
    const areas: [readonly Uint8Array[], number][] = [
      [job.rows, exports.buildRows()],
      [job.streams, exports.buildStreams()],
      [job.sequences, exports.buildSequences()],
      [job.times, exports.buildTimes()],
    ];
    for (const [chunks, address] of areas) {
      let at = address >>> 0;
      for (const chunk of chunks) {
        memory.set(chunk, at);
        at += chunk.length;
      }
    }
  }
}

function rowCount(chunks: readonly Uint8Array[], rowBytes: number): number {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  assert(bytes % rowBytes === 0);
  return bytes / rowBytes;
}

/** A run's file while it is written. */
class NewRun {
  private readonly disk: Disk;
  private readonly folder: string;
  private readonly path: string;
  private readonly file: DiskFile;
  private isRenamed = false;
  private bytes = 0;

  constructor(disk: Disk, folder: string, name: string) {
    this.disk = disk;
    this.folder = folder;
    this.path = `${folder}/${name}`;
    const temporary = this.path + RUN_NEW_SUFFIX;
    if (disk.exists(temporary)) disk.remove(temporary);
    this.file = disk.open(temporary, "create");
  }

  /** Writes and syncs pages that lie in core memory. */
  write(core: Core, address: number, firstPage: number, pages: number): void {
    if (pages === 0) return;
    const start = address >>> 0;
    const offset = firstPage * RUN_PAGE_BYTES;
    const slice = core.memory.subarray(start, start + pages * RUN_PAGE_BYTES);
    writeFully(this.file, slice, offset);
    this.file.sync();
    this.bytes = Math.max(this.bytes, offset + slice.length);
  }

  /** Gives the file its name, durably; returns its bytes. */
  finish(): number {
    this.file.close();
    this.disk.rename(this.path + RUN_NEW_SUFFIX, this.path);
    this.isRenamed = true;
    this.disk.syncFolder(this.folder);
    return this.bytes;
  }

  /** Leaves no file behind, as far as the disk lets it: what is left is a leftover that the next start removes. */
  abandon(): void {
    try {
      if (!this.isRenamed) this.file.close();
    } catch {
      // Whether it is open or not, it can be removed.
    }
    try {
      this.disk.remove(this.isRenamed ? this.path : this.path + RUN_NEW_SUFFIX);
    } catch {
      // The error that led here is the one to tell.
    }
  }
}
