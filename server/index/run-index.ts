/**
 * The index on disk: makes a run of each memtable that is sealed and durable, merges runs as they grow many, and
 * tells the core which to use. Nothing waits for it but, in the end, appends: when all memtables are full.
 *
 * A run is used once its file is durable and what it keeps in memory is loaded, a piece a turn; its memtable, or the
 * runs that it was merged of, are given up in the same turn, so that every reader sees one or the other.
 */
import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import type { Disk } from "../disk.ts";
import { OpenError } from "../errors.ts";
import type { IndexMemory } from "./index-memory.ts";
import { chooseMerge } from "./merge-policy.ts";
import { runName } from "./run-file.ts";
import type { RunMaker } from "./run-maker.ts";
import { type OpenRun, RunSet, type Unfit } from "./run-set.ts";
import { type RunBuild, RunWork } from "./run-work.ts";

/** Rows of a memtable that are copied in one turn. */
const ROWS_PER_TURN = 8_192;
/** Pages that are read ahead in one turn. */
const PAGES_PER_TURN = 32;
/** A run that could not be made is tried again after this. */
const RETRY_MS = 1_000;
/** No bound of a memtable: core memory is one. */
const UNBOUNDED = 2 ** 32 - 1;
/** What core-wasm/assembly/digest.ts compares, bit by bit. */
const DIGESTS = ["event ids", "streams", "partitions", "positions", "order of streams"];
const ROW_BYTES = 24;
const STREAM_BYTES = 48;
const SEQUENCE_BYTES = 16;
const TIMES_BYTES = 32;

export interface RunIndexOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `index`. */
  readonly folder: string;
  readonly storeId: Uint8Array;
  readonly partitions: number;
  readonly unfit: Unfit;
  readonly memory: IndexMemory;
  /** Reads bytes of the log at an offset; returns how many there were. */
  readonly readLog: (offset: number, target: Uint8Array) => number;
  /** Takes one line for whoever runs the server. */
  readonly log: (line: string) => void;
}

export class RunIndex {
  private readonly options: RunIndexOptions;
  private readonly set: RunSet;
  private maker: RunMaker | null = null;
  /** Makes runs at a start. */
  private work: RunWork | null = null;
  /** Calls a piece of work in a later turn, or at once. */
  private later: (work: () => void) => void = (work) => work();
  private changed: () => void = () => {};
  private isBuilding = false;
  private isMerging = false;
  private isClosed = false;
  private failure: string | null = null;
  private failedAt = 0;
  private isBounded = false;
  /** Runs that were held against the log. */
  private checkedRuns = 0;
  /** Events of the newest run: what one memtable holds. */
  private memtableEvents = 1;
  private readonly openedAt = performance.now();
  /** Events for which a start made runs. */
  private madeEvents = 0;

  /** Opens what the folder has, as far as it is fit. */
  constructor(options: RunIndexOptions) {
    this.options = options;
    this.set = new RunSet({ ...options, filterBytesMax: options.memory.filterBytes });
    this.set.openAll();
    options.core.exports.resumeIndex();
    // What is only read is not written: its memtables take what they must.
    if (options.unfit === "remove") this.boundMemtables(true);
  }

  // ── at a start ──────────────────────────────────────────────────────────────────────────────────

  /**
   * Makes runs of the sealed memtables, at once: while a start reads the log, which is durable as far as it is read. A
   * disk that does not take them must not keep the store from opening: memtables then grow until one is written.
   */
  makeAtStart(): void {
    try {
      this.makeNow();
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      this.failure = error.message;
      this.failedAt = performance.now();
      this.options.log(`index: a run cannot be made, and stays in memory: ${error.message}`);
      this.boundMemtables(false);
    }
  }

  private boundMemtables(isBounded: boolean): void {
    const { core, memory } = this.options;
    this.isBounded = isBounded;
    if (isBounded) core.exports.limitMemtables(memory.memtableBytes, memory.memtableEvents);
    else core.exports.limitMemtables(UNBOUNDED, UNBOUNDED);
  }

  private makeNow(): void {
    const { disk, core, folder } = this.options;
    const { exports } = core;
    disk.makeFolder(folder);
    this.work ??= new RunWork(disk, folder);
    while (exports.getMemtableCount() > 1) {
      const job = this.describe();
      while (!this.copyRows(job, job.to - job.from));
      this.work.build(job);
      this.finishBuild(this.loaded(job.name, []));
      this.madeEvents += job.to - job.from;
    }
    for (let merge = this.nextMerge(); merge !== null; merge = this.nextMerge()) {
      const names = merge.inputs.map(({ name }) => name);
      const work = this.work.merge(names, merge.name);
      while (work.step() === null);
      this.finishMerge(merge.inputs, this.loaded(merge.name, merge.inputs));
      this.work.remove(names);
    }
  }

  /** From now on no run is made of what a start reads: memtables grow meanwhile. */
  stopMaking(): void {
    if (this.options.unfit === "remove") this.boundMemtables(false);
  }

  /** The log is read, and all of it is synced. Tells what had to be made. */
  endStart(): void {
    if (this.options.unfit === "remove" && this.failure === null) this.boundMemtables(true);
    if (this.madeEvents === 0) return;
    const seconds = (performance.now() - this.openedAt) / 1_000;
    const rate = Math.round(this.madeEvents / Math.max(seconds, 0.001));
    this.options.log(
      `index: made from the log for ${this.madeEvents} events in ${seconds.toFixed(1)} s, ${rate} events/s`,
    );
  }

  private loaded(name: string, replaced: readonly OpenRun[]): OpenRun {
    const run = this.set.openMade(name, replaced);
    while (!this.set.load(run));
    return run;
  }

  // ── verify ──────────────────────────────────────────────────────────────────────────────────────

  /** Holds the runs against the log, which is read from its beginning: the result is called where each run ends. */
  startCheck(): () => void {
    const { exports } = this.options.core;
    exports.replayCompare();
    return () => this.checkNext();
  }

  /** Checks the run that ends with the log; all are checked then. Throws OpenError. */
  finishCheck(): void {
    while (this.checkedRuns < this.set.runs.length) this.checkNext();
  }

  private checkNext(): void {
    const { core, folder } = this.options;
    const run = this.set.runs[this.checkedRuns] as OpenRun;
    try {
      this.set.checkPages(run);
      const differs = core.exports.digestCompare(this.checkedRuns);
      const kinds = DIGESTS.filter((_, bit) => (differs >> bit) & 1);
      if (kinds.length > 0) {
        throw new Error(`its ${kinds.join(", ")} are not what the log says from offset 0 on`);
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name === "CoreTrap") throw error;
      throw new OpenError(`${folder}/${run.name}: ${error.message}`);
    }
    this.checkedRuns++;
    core.exports.digestClear();
  }

  // ── while the server runs ───────────────────────────────────────────────────────────────────────

  /**
   * Goes on with a maker. `later` does a piece of work in a later turn; `changed` is called when a memtable became
   * free, or cannot.
   */
  start(maker: RunMaker, later: (work: () => void) => void, changed: () => void): void {
    this.work = null;
    this.maker = maker;
    this.later = later;
    this.changed = changed;
    for (const run of this.set.runs) this.preload(run, 0);
    this.options.core.exports.sealFull(); // what a start read may be more than a memtable
    this.advance();
  }

  /** Why runs cannot be made, or null. */
  get failureReason(): string | null {
    return this.failure;
  }

  /** Whether the oldest full memtable waits for a sync of the log: no run may know what the log can still lose. */
  get awaitsSync(): boolean {
    const { exports } = this.options.core;
    return exports.getMemtableCount() > 1 && exports.memtableOffset() > exports.getSyncedOffset();
  }

  /** Begins what there is to do: a run of the oldest memtable once it is synced, and a merge. */
  advance(): void {
    if (this.maker === null || this.isClosed) return;
    if (this.failure !== null && performance.now() - this.failedAt < RETRY_MS) return;
    const { exports } = this.options.core;
    if (
      !this.isBuilding &&
      exports.getMemtableCount() > 1 &&
      exports.memtableOffset() <= exports.getSyncedOffset()
    ) {
      this.startBuild(this.maker);
    }
    if (!this.isMerging) this.startMerge(this.maker);
  }

  private startBuild(maker: RunMaker): void {
    this.isBuilding = true;
    this.options.disk.makeFolder(this.options.folder);
    const job = this.describe();
    const copy = (): void => {
      if (this.isClosed) return;
      if (!this.copyRows(job, ROWS_PER_TURN)) {
        this.later(copy);
        return;
      }
      maker.build(job, (error) => {
        if (error !== null) this.fail("build", error);
        else this.open(job.name, [], (run) => this.finishBuild(run));
      });
    };
    copy();
  }

  private startMerge(maker: RunMaker): void {
    const merge = this.nextMerge();
    if (merge === null) return;
    this.isMerging = true;
    const names = merge.inputs.map(({ name }) => name);
    maker.merge(names, merge.name, (error) => {
      if (error !== null) {
        this.fail("merge", error);
        return;
      }
      this.open(merge.name, merge.inputs, (run) => {
        this.finishMerge(merge.inputs, run);
        maker.remove(names);
      });
    });
  }

  /** Opens a run that was made, loads it piece by piece and hands it to `use`. */
  private open(name: string, replaced: readonly OpenRun[], use: (run: OpenRun) => void): void {
    if (this.isClosed) return;
    const kind = replaced.length > 0 ? "merge" : "build";
    let run: OpenRun;
    try {
      run = this.set.openMade(name, replaced);
    } catch (error) {
      this.fail(kind, error as Error);
      return;
    }
    const load = (): void => {
      if (this.isClosed) return;
      try {
        if (!this.set.load(run)) {
          this.later(load);
          return;
        }
      } catch (error) {
        this.set.abandon(run);
        this.fail(kind, error as Error);
        return;
      }
      use(run);
      this.preload(run, 0);
      if (kind === "build") this.isBuilding = false;
      else this.isMerging = false;
      if (this.failure !== null) this.options.log("index: runs are made again");
      this.failure = null;
      this.advance();
      this.changed();
    };
    load();
  }

  /** Reads ahead, some pages a turn, what appends look at in a run. */
  private preload(run: OpenRun, from: number): void {
    this.later(() => {
      if (this.isClosed || !this.set.preload(run, from, PAGES_PER_TURN)) return;
      this.preload(run, from + PAGES_PER_TURN);
    });
  }

  private fail(kind: "build" | "merge", error: Error): void {
    if (kind === "build") this.isBuilding = false;
    else this.isMerging = false;
    if (this.isClosed) return;
    if (this.failure === null) this.options.log(`index: a run cannot be made: ${error.message}`);
    this.failure = error.message;
    this.failedAt = performance.now();
    this.changed();
  }

  private finishBuild(run: OpenRun): void {
    const { exports } = this.options.core;
    this.memtableEvents = run.header.to - run.header.from;
    this.set.use(this.set.runs.length, 0, run);
    exports.memtableDrop();
    if (!this.isBounded) this.boundMemtables(true);
  }

  private finishMerge(inputs: readonly OpenRun[], run: OpenRun): void {
    const index = this.set.runs.indexOf(inputs[0] as OpenRun);
    assert(index >= 0 && this.set.runs[index + inputs.length - 1] === inputs[inputs.length - 1]);
    this.set.use(index, inputs.length, run);
  }

  private nextMerge(): { inputs: readonly OpenRun[]; name: string } | null {
    const { runs } = this.set;
    const events = runs.map(({ header }) => header.to - header.from);
    const choice = chooseMerge(events, this.memtableEvents);
    if (choice === null) return null;
    const inputs = runs.slice(choice.index, choice.index + choice.count);
    const from = (inputs[0] as OpenRun).header.from;
    const to = (inputs[inputs.length - 1] as OpenRun).header.to;
    return { inputs, name: runName(from, to) };
  }

  // ── what a run is built of ──────────────────────────────────────────────────────────────────────

  /** The oldest memtable as a job whose rows are still to be copied. */
  private describe(): MemtableBuild {
    const { core, storeId, partitions } = this.options;
    const { exports } = core;
    const from = exports.memtableFrom();
    const to = exports.memtableTo();
    const firstStretch = exports.stretchOfPosition(from);
    const lastStretch = exports.stretchOfPosition(to - 1);
    return {
      name: runName(from, to),
      from,
      to,
      endOffset: exports.memtableOffset(),
      crc: exports.memtableLastCrc() >>> 0,
      span: exports.memtableLastSpan(),
      recordedAt: exports.memtableTime(),
      storeId,
      partitions,
      rows: [],
      streams: [],
      sequences: [
        copied(core, exports.memtableSequences() * SEQUENCE_BYTES, (out) =>
          exports.memtableSequencesTo(out),
        ),
      ],
      times: [
        copied(core, (lastStretch - firstStretch + 1) * TIMES_BYTES, (out) =>
          exports.timesTo(firstStretch, lastStretch, out),
        ),
      ],
      copiedRows: 0,
      copiedStreams: 0,
    };
  }

  /** Copies some more rows and streams of the oldest memtable; true when all are there. */
  private copyRows(job: MemtableBuild, count: number): boolean {
    const { core } = this.options;
    const { exports } = core;
    const rows = Math.min(count, exports.memtableRows() - job.copiedRows);
    if (rows > 0) {
      const from = job.copiedRows;
      job.rows.push(
        copied(core, rows * ROW_BYTES, (out) => exports.memtableRowsTo(from, rows, out)),
      );
      job.copiedRows += rows;
      return false;
    }
    const streams = Math.min(count, exports.memtableStreams() - job.copiedStreams);
    if (streams > 0) {
      const from = job.copiedStreams;
      job.streams.push(
        copied(core, streams * STREAM_BYTES, (out) =>
          exports.memtableStreamsTo(from, streams, out),
        ),
      );
      job.copiedStreams += streams;
    }
    return job.copiedStreams === exports.memtableStreams();
  }

  // ── figures, the end ────────────────────────────────────────────────────────────────────────────

  /** Whether runs are being written. */
  get isBusy(): boolean {
    return this.isBuilding || this.isMerging;
  }

  get runCount(): number {
    return this.set.runs.length;
  }

  /** Bytes of the runs' files. */
  get diskBytes(): number {
    return this.set.bytes;
  }

  /** Memory of the maker's core, bytes. */
  get makerBytes(): number {
    return this.maker?.memoryBytes ?? 0;
  }

  close(): void {
    this.isClosed = true;
    this.maker?.close();
    this.set.close();
  }
}

interface MemtableBuild extends RunBuild {
  readonly to: number;
  readonly rows: Uint8Array[];
  readonly streams: Uint8Array[];
  copiedRows: number;
  copiedStreams: number;
}

/** What `write` puts into core memory, as a copy. */
function copied(core: Core, size: number, write: (out: number) => void): Uint8Array {
  const address = core.allocate(Math.max(1, size));
  try {
    write(address);
    return core.memory.slice(address, address + size);
  } finally {
    core.exports.release(address, Math.max(1, size));
  }
}
