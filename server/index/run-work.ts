/**
 * The work of making index runs: building one of a memtable's rows, merging several, removing what was merged.
 *
 * Whoever calls decides the thread and the pace (`run-maker.ts`). A run is written beside its place as `<name>.new`,
 * in slices of at most 1 MiB each synced, so that the log's own syncs are not held up by a large one; its header
 * comes last, then it gets its name and the folder is synced. Work that fails throws, and leaves no file.
 */
import { assert } from "../assert.ts";
import { Core } from "../core/core.ts";
import { CORRUPT, DONE, MISFIT, NO_MEMORY, PAUSED } from "../core/status.ts";
import { type Disk, type DiskFile, readFully, writeFully } from "../disk.ts";
import { CORE_MEMORY_BYTES_MAX, KiB } from "../limits.ts";
import { parseRunName, RUN_NEW_SUFFIX, RUN_PAGE_BYTES, runName } from "./run-file.ts";

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

/** A run that was to be merged is damaged, or does not go on from the one before it. */
export class RunInputError extends Error {
  override name = "RunInputError";
  /** The run's name. */
  readonly run: string;

  constructor(run: string, message: string) {
    super(message);
    this.run = run;
  }
}

/** The core's other parts take as little as they can: here it only makes runs. */
const IDLE_CORE_BYTES = 64 * KiB;

export class RunWork {
  private readonly disk: Disk;
  private readonly folder: string;
  private readonly isStopped: () => boolean;
  private made: Core | null = null;
  /** The runs that are being merged, open, oldest first. */
  private inputs: readonly DiskFile[] = [];

  /** Where `isStopped` says so, what is under way is given up: the next slice throws. */
  constructor(disk: Disk, folder: string, isStopped: () => boolean = () => false) {
    this.disk = disk;
    this.folder = folder;
    this.isStopped = isStopped;
  }

  /** Made with the first job: most stores are opened and closed without one. */
  get core(): Core {
    this.made ??= new Core({
      memoryBytesMax: CORE_MEMORY_BYTES_MAX,
      partitions: 1,
      cacheBytes: IDLE_CORE_BYTES,
      pageBytes: IDLE_CORE_BYTES,
      headBytes: 0,
      batchBytesMax: IDLE_CORE_BYTES,
      random: () => {
        throw new Error("making runs needs nothing random");
      },
      readRun: (run, offset, target) => readFully(this.inputs[run] as DiskFile, target, offset),
    });
    return this.made;
  }

  /** Bytes of core memory taken. */
  get memoryBytes(): number {
    return this.made?.exports.memory.buffer.byteLength ?? 0;
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
    if (opened === NO_MEMORY) throw noMemory(job.name);
    try {
      this.fill(job);
      exports.buildCover(job.from, job.endOffset, job.crc, job.span, job.recordedAt);
      return this.writeBuilt(new NewRun(this.disk, this.folder, job.name));
    } finally {
      exports.buildEnd();
    }
  }

  private writeBuilt(file: NewRun): number {
    const { exports } = this.core;
    try {
      let status: number;
      do {
        if (this.isStopped()) throw new Error("making runs was stopped");
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
  }

  /**
   * Begins to merge runs that follow one another, the oldest first, into one of the name `output`. One merge at a time;
   * builds may run between its steps.
   */
  merge(inputs: readonly string[], output: string): RunMerge {
    const first = parseRunName(inputs[0] ?? "");
    const last = parseRunName(inputs.at(-1) ?? "");
    assert(first !== null && last !== null && output === runName(first.from, last.to));
    assert(this.inputs.length === 0);
    const files: DiskFile[] = [];
    this.inputs = files;
    let file: NewRun | null = null;
    try {
      for (const name of inputs) files.push(this.openInput(name));
      file = new NewRun(this.disk, this.folder, output);
      const merge = new RunMerge(this.core, inputs, file, () => this.closeInputs());
      merge.begin();
      return merge;
    } catch (error) {
      file?.abandon();
      this.core.exports.mergeEnd();
      this.closeInputs();
      throw error;
    }
  }

  private openInput(name: string): DiskFile {
    try {
      return this.disk.open(`${this.folder}/${name}`, "read");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw new RunInputError(name, `${name} is gone`);
    }
  }

  /** Removes runs that nobody reads any more; one that is gone is fine. */
  remove(names: readonly string[]): void {
    for (const name of names) {
      const path = `${this.folder}/${name}`;
      if (this.disk.exists(path)) this.disk.remove(path);
    }
    this.disk.syncFolder(this.folder);
  }

  private closeInputs(): void {
    for (const file of this.inputs) closeQuietly(file);
    this.inputs = [];
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

function noMemory(name: string): Error {
  return new Error(`there is no memory to make ${name}`);
}

/** Closes a file in which nothing is left to be written. */
function closeQuietly(file: DiskFile): void {
  try {
    file.close();
  } catch {
    // Whatever the system says, there is nothing to be done or lost.
  }
}

/** A merge that is under way. */
export class RunMerge {
  private readonly core: Core;
  private readonly inputs: readonly string[];
  private readonly file: NewRun;
  private readonly closeInputs: () => void;

  constructor(core: Core, inputs: readonly string[], file: NewRun, closeInputs: () => void) {
    this.core = core;
    this.inputs = inputs;
    this.file = file;
    this.closeInputs = closeInputs;
  }

  /** Checks that the runs go together. Throws as `step` does; the caller ends what was begun. */
  begin(): void {
    this.check(this.core.exports.mergeOpen(this.inputs.length));
  }

  /**
   * Writes at most one slice: null while there is more to do, the file's bytes when the run has its name. Throws
   * RunInputError, or what the disk says; the merge is over then, and has left no file.
   */
  step(): number | null {
    const { exports } = this.core;
    try {
      const status = exports.mergeStep();
      this.check(status);
      this.file.write(
        this.core,
        exports.mergeOutput(),
        exports.mergeOutputPage(),
        exports.mergeOutputPages(),
      );
      if (status === PAUSED) return null;
      const bytes = this.file.finish();
      this.end();
      return bytes;
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /** Gives the merge up. */
  abandon(): void {
    this.file.abandon();
    this.end();
  }

  private check(status: number): void {
    const { exports } = this.core;
    const run = this.inputs[exports.getMergeRun()] as string;
    if (status === NO_MEMORY) throw noMemory("a merged run");
    if (status === CORRUPT) {
      throw new RunInputError(run, `${run}: page ${exports.getMergePage()} is damaged`);
    }
    if (status === MISFIT) {
      throw new RunInputError(run, `${run} does not go on from the run before it`);
    }
    assert(status === DONE || status === PAUSED);
  }

  private end(): void {
    this.core.exports.mergeEnd();
    this.closeInputs();
  }
}

/** A run's file while it is written. */
class NewRun {
  private readonly disk: Disk;
  private readonly folder: string;
  private readonly path: string;
  private readonly file: DiskFile;
  private isClosed = false;
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
    this.isClosed = true;
    this.file.close();
    this.disk.rename(this.path + RUN_NEW_SUFFIX, this.path);
    this.isRenamed = true;
    this.disk.syncFolder(this.folder);
    return this.bytes;
  }

  /** Leaves no file behind, as far as the disk lets it: what is left is a leftover that the next start removes. */
  abandon(): void {
    if (!this.isClosed) closeQuietly(this.file);
    try {
      this.disk.remove(this.isRenamed ? this.path : this.path + RUN_NEW_SUFFIX);
    } catch {
      // The error that led here is the one to tell.
    }
  }
}
