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
import { MERGES_MAX, RUNS_MAX, START_MERGED_RUNS } from "../limits.ts";
import type { Tell } from "../stderr-log.ts";
import type { IndexMemory } from "./index-memory.ts";
import { MemtableBuild } from "./memtable-build.ts";
import { chooseMerge, type MergeChoice } from "./merge-policy.ts";
import { RunCheck } from "./run-check.ts";
import { runName } from "./run-file.ts";
import { isBug, type RunMaker } from "./run-maker.ts";
import { type HeadsOffered, type OpenRun, RunSet, type Unfit } from "./run-set.ts";
import { RunInputError } from "./run-work.ts";

/** Rows of a memtable that are copied in one turn. */
const ROWS_PER_TURN = 8_192;
/** A run that could not be made is tried again after this. */
const RETRY_MS = 1_000;
/** A start that takes so long tells of events that it read, though runs cover all that they should. */
const START_TOLD_SECONDS = 1;
/** A start takes runs for one size where the largest has less than so many times the events of the smallest. */
const START_SIZES_APART = 4;
/** No bound of a memtable: core memory is one. */
const UNBOUNDED = 2 ** 32 - 1;

/** Building runs, or merging them. */
interface Work {
  /** Why the last one failed, until one succeeds. */
  failure: string | null;
  failedAt: number;
}

/** A run that is being made: one at a time is built, a few of different sizes merged. */
interface Job {
  readonly work: Work;
  /** The runs that it is merged of. */
  readonly inputs: readonly OpenRun[];
  readonly events: number;
}

/** A start reads what is synced, then what may not be; the server runs; the end. */
type Phase = "reading" | "ending" | "serving" | "closed";

/** When a piece of work is done. */
export interface WorkTurns {
  /** In a later turn of the event loop. */
  readonly later: (work: () => void) => void;
  /** Some turns later: nobody waits for it. */
  readonly atLeisure: (work: () => void) => void;
}

/** For a start, and for tests. */
export const AT_ONCE: WorkTurns = { later: (work) => work(), atLeisure: (work) => work() };

export interface RunIndexOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `index`. */
  readonly folder: string;
  readonly storeId: Uint8Array;
  readonly partitions: number;
  readonly unfit: Unfit;
  readonly memory: IndexMemory;
  /** Null where nothing is written. */
  readonly maker: RunMaker | null;
  /** Reads bytes of the log at an offset; returns how many there were. */
  readonly readLog: (offset: number, target: Uint8Array) => number;
  /** Takes one line for whoever runs the server. */
  readonly log: Tell;
}

export class RunIndex {
  private readonly options: RunIndexOptions;
  private readonly set: RunSet;
  private readonly maker: RunMaker | null;
  private turns: WorkTurns = AT_ONCE;
  /** Heads of streams are being read from the runs. */
  isLoadingHeads = false;
  private changed: () => void = () => {};
  private readonly builds: Work = { failure: null, failedAt: 0 };
  private readonly merges: Work = { failure: null, failedAt: 0 };
  private readonly jobs = new Set<Job>();
  private phase: Phase = "reading";
  private isBounded = false;
  /** Events of the newest run: what one memtable holds. */
  private memtableEvents = 1;
  private readonly openedAt = performance.now();
  /** Positions below it a start did not have to read. */
  private readonly coveredEnd: number;
  /** More of the index is made than its newest part, of which no runs are made before the memtable is full. */
  private isMadeAgain: boolean;

  /** Opens what the folder has, as far as it is fit. */
  constructor(options: RunIndexOptions) {
    this.options = options;
    this.maker = options.maker;
    this.set = new RunSet(options);
    const isWhole = this.set.openAll();
    this.coveredEnd = options.core.exports.runsEnd();
    this.isMadeAgain = !isWhole;
    options.core.exports.resumeIndex();
    // What is only read is not written: its memtables take what they must.
    if (options.unfit === "remove") this.boundMemtables(true);
  }

  // ── at a start ──────────────────────────────────────────────────────────────────────────────────

  /**
   * Goes on making runs of sealed memtables, which are durable: a start reads no others meanwhile. Waits where all are
   * full. A disk that does not take runs must not keep the store from opening: memtables then grow until one is written.
   */
  makeAtStart(): void {
    const { exports } = this.options.core;
    this.isMadeAgain = true;
    this.advance();
    while (exports.indexIsBehind() !== 0 && this.builds.failure === null) {
      assert(this.jobCount > 0);
      this.maker?.settle(true);
    }
    if (this.builds.failure !== null) this.boundMemtables(false);
  }

  /** Uses what was made while the log was read. */
  settle(): void {
    this.maker?.settle(false);
  }

  private boundMemtables(isBounded: boolean): void {
    const { core, memory } = this.options;
    this.isBounded = isBounded;
    if (isBounded) core.exports.limitMemtables(memory.memtableBytes, memory.memtableEvents);
    else core.exports.limitMemtables(UNBOUNDED, UNBOUNDED);
  }

  /** Makes the folder of the runs where there is none yet, durably. */
  private makeFolder(): void {
    const { disk, folder } = this.options;
    if (disk.exists(folder)) return;
    disk.makeFolder(folder);
    disk.syncFolder(folder.slice(0, folder.lastIndexOf("/")));
  }

  private describe(): MemtableBuild {
    const { core, storeId, partitions } = this.options;
    return new MemtableBuild(core, storeId, partitions);
  }

  /** From now on no run is made of what a start reads: memtables grow meanwhile. */
  stopMaking(): void {
    this.phase = "ending";
    if (this.options.unfit === "remove") this.boundMemtables(false);
  }

  /** The log is read up to this position, and all of it is synced. Tells what had to be made. */
  endStart(position: number): void {
    const { core, memory, unfit } = this.options;
    if (unfit !== "remove") return;
    const events = position - this.coveredEnd;
    // Where there is no run at all, it is missed if one would have been made of so much.
    const isMuch =
      core.exports.memtableBytes() > memory.memtableBytes || events > memory.memtableEvents;
    if (this.coveredEnd === 0 && isMuch) this.isMadeAgain = true;
    if (this.builds.failure === null) this.boundMemtables(true);
    const seconds = (performance.now() - this.openedAt) / 1_000;
    if (events === 0 || !(this.isMadeAgain || seconds >= START_TOLD_SECONDS)) return;
    const rate = Math.round(events / Math.max(seconds, 0.001));
    this.options.log(
      `index: made from the log for ${events} events in ${seconds.toFixed(1)} s, ${rate} events/s`,
    );
  }

  // ── verify ──────────────────────────────────────────────────────────────────────────────────────

  /** Holds the runs against the log, which is read from its beginning; `placeText` names file and offset of a place in it. */
  startCheck(placeText: (offset: number) => string): RunCheck {
    return new RunCheck(this.options.core, this.options.folder, this.set, placeText);
  }

  // ── while the server runs ───────────────────────────────────────────────────────────────────────

  /**
   * Goes on while the server runs, with its work in `turns`; `changed` is called when a memtable became free, or cannot.
   */
  start(turns: WorkTurns, changed: () => void): void {
    this.phase = "serving";
    this.maker?.giveWay();
    this.turns = turns;
    this.changed = changed;
    this.offerHeads({ before: this.options.core.exports.runsEnd(), run: null, page: 0 });
    this.options.core.useHugePages();
    this.options.core.exports.sealFull(); // what a start read may be more than a memtable
    this.advance();
  }

  /** Why memtables cannot become runs, or null: appends are refused once all memtables are full. */
  get buildFailure(): string | null {
    return this.builds.failure;
  }

  /** Why runs cannot be made, or merged, or null. */
  get failureReason(): string | null {
    return this.builds.failure ?? this.merges.failure;
  }

  /** Whether the oldest full memtable waits for a sync of the log: no run may know what the log can still lose. */
  get awaitsSync(): boolean {
    const { exports } = this.options.core;
    return exports.getMemtableCount() > 1 && exports.memtableOffset() > exports.getSyncedOffset();
  }

  /** Whether all of the oldest memtable is: a start fills none beyond what is. */
  private get isSynced(): boolean {
    return this.phase !== "serving" || !this.awaitsSync;
  }

  /** Begins what there is to do: a run of the oldest memtable once it is synced, and a merge. */
  advance(): void {
    if (this.maker === null || this.phase === "closed") return;
    const { exports } = this.options.core;
    if (this.mayBegin(this.merges, this.mergesMax)) this.startMerge(this.maker);
    if (this.mayBegin(this.builds, 1) && exports.getMemtableCount() > 1 && this.isSynced) {
      if (this.set.runs.length < RUNS_MAX) this.startBuild(this.maker);
      else if (this.jobs.size === 0) this.refuse(this.builds, new Error(this.crowded()));
    }
  }

  private crowded(): string {
    return `there are ${RUNS_MAX} index runs, and they cannot be merged: ${this.merges.failure ?? "some are damaged"}`;
  }

  private startBuild(maker: RunMaker): void {
    const job = this.beginJob({ work: this.builds, inputs: [], events: 0 });
    const begin = (): void => {
      this.makeFolder();
      const build = this.describe();
      const copy = (): void => {
        if (!build.copy(ROWS_PER_TURN)) {
          this.turns.later(() => this.attempt(job, copy));
          return;
        }
        maker.build(build, (error) => {
          if (error !== null) this.fail(job, error);
          else this.keepHeads(job, () => this.openBuilt(job, build.name));
        });
      };
      copy();
    };
    this.attempt(job, begin);
  }

  /**
   * Keeps the heads of the memtable's streams, some a turn: from when it is given up no memtable may have them. A start has
   * none yet: it offers them when all is read.
   */
  private keepHeads(job: Job, then: () => void): void {
    if (this.phase !== "serving") {
      then();
      return;
    }
    this.attempt(job, () => {
      if (this.options.core.exports.memtableKeepHeads(ROWS_PER_TURN) !== 0) then();
      else this.turns.later(() => this.keepHeads(job, then));
    });
  }

  private openBuilt(job: Job, name: string): void {
    this.open(job, name, (run) => this.finishBuild(run));
  }

  private beginJob(job: Job): Job {
    this.jobs.add(job);
    return job;
  }

  private busyCount(work: Work): number {
    return [...this.jobs].filter((job) => job.work === work).length;
  }

  private mayBegin(work: Work, jobsMax: number): boolean {
    const hasRested = performance.now() - work.failedAt >= RETRY_MS;
    return this.busyCount(work) < jobsMax && (work.failure === null || hasRested);
  }

  /** Does a piece of a job; what disk or memory refuse is a failure of it. */
  private attempt(job: Job, act: () => void): void {
    if (this.phase === "closed") return;
    try {
      act();
    } catch (error) {
      this.fail(job, expected(error));
    }
  }

  /** Merges at a time: at a start nobody waits for the small ones. */
  private get mergesMax(): number {
    return this.phase === "serving" ? MERGES_MAX : 1;
  }

  private startMerge(maker: RunMaker): void {
    const inputs = this.nextMerge();
    if (inputs === null) return;
    const from = (inputs[0] as OpenRun).header.from;
    const to = (inputs[inputs.length - 1] as OpenRun).header.to;
    const job = this.beginJob({ work: this.merges, inputs, events: to - from });
    const name = runName(from, to);
    const names = inputs.map((input) => input.name);
    maker.merge(names, name, (error) => {
      if (error instanceof RunInputError) {
        this.set.tellDamage(error.run, error.message);
        this.jobs.delete(job);
        this.advance();
      } else if (error !== null) {
        this.fail(job, error);
      } else {
        this.open(job, name, (run) => {
          this.finishMerge(inputs, run);
          maker.remove(names);
        });
      }
    });
    this.advance(); // a smaller one may be due beside it
  }

  /** Opens a run that was made, loads it piece by piece and hands it to `use`. */
  private open(job: Job, name: string, use: (run: OpenRun) => void): void {
    this.attempt(job, () => {
      const run = this.set.openMade(name, job.inputs);
      const load = (): void => {
        if (this.phase === "closed") return;
        try {
          if (!this.set.load(run)) {
            this.turns.later(load);
            return;
          }
        } catch (error) {
          this.set.abandon(run);
          this.fail(job, expected(error));
          return;
        }
        use(run);
        this.succeed(job);
      };
      load();
    });
  }

  /** Puts what the runs have of streams into memory, a piece at a time, so that appends and ESVER need not ask them. */
  private offerHeads(at: HeadsOffered): void {
    this.isLoadingHeads = true;
    this.turns.atLeisure(() => {
      const next = this.phase === "closed" ? null : this.set.offerHeads(at);
      this.isLoadingHeads = next !== null;
      if (next !== null) this.offerHeads(next);
    });
  }

  private succeed(job: Job): void {
    const { work } = job;
    this.jobs.delete(job);
    if (work.failure !== null) this.options.log("index: runs are made again");
    work.failure = null;
    this.advance();
    this.changed();
  }

  private fail(job: Job, error: Error): void {
    this.jobs.delete(job);
    if (this.phase !== "closed") this.refuse(job.work, error);
  }

  private refuse(work: Work, error: Error): void {
    if (work.failure === null) {
      const what = work === this.builds ? "a run cannot be made" : "runs cannot be merged";
      this.options.log(`index: ${what}: ${error.message}`, "error");
    }
    work.failure = error.message;
    work.failedAt = performance.now();
    // Builds that wait for a merge learn that there is none.
    if (work === this.merges) this.advance();
    this.changed();
  }

  private finishBuild(run: OpenRun): void {
    const { exports } = this.options.core;
    this.memtableEvents = run.header.to - run.header.from;
    this.set.use(this.set.runs.length, 0, run);
    exports.memtableGiveUp();
    this.options.core.useHugePages();
    if (!this.isBounded && this.phase !== "ending") this.boundMemtables(true);
  }

  private finishMerge(inputs: readonly OpenRun[], run: OpenRun): void {
    const index = this.set.runs.indexOf(inputs[0] as OpenRun);
    assert(index >= 0 && this.set.runs[index + inputs.length - 1] === inputs[inputs.length - 1]);
    this.set.use(index, inputs.length, run);
  }

  private choose(events: readonly number[]): MergeChoice | null {
    const isStart = this.phase !== "serving" && events.length < RUNS_MAX / 2;
    return isStart ? chooseAtStart(events) : chooseMerge(events, this.memtableEvents);
  }

  private nextMerge(): readonly OpenRun[] | null {
    const { runs } = this.set;
    const merging = new Set([...this.jobs].flatMap(({ inputs }) => inputs));
    const eventsMax = Math.min(
      ...[...this.jobs].filter(({ work }) => work === this.merges).map(({ events }) => events),
    );
    // A damaged run stays as it is until the next start makes it again; those beside it are merged without it.
    const isLeft = (run: OpenRun): boolean => this.set.isDamaged(run) || merging.has(run);
    for (let end = runs.length; end > 0; ) {
      let start = end;
      while (start > 0 && !isLeft(runs[start - 1] as OpenRun)) start--;
      const events = runs.slice(start, end).map(({ header }) => header.to - header.from);
      const choice = this.choose(events);
      if (choice !== null) {
        const inputs = runs.slice(start + choice.index, start + choice.index + choice.count);
        const sum = (inputs.at(-1) as OpenRun).header.to - (inputs[0] as OpenRun).header.from;
        return sum < eventsMax ? inputs : null;
      }
      end = start - 1;
    }
    return null;
  }

  // ── figures, the end ────────────────────────────────────────────────────────────────────────────

  /** Runs that are being made of a memtable or of other runs. */
  get jobCount(): number {
    return this.jobs.size;
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
    this.phase = "closed";
    this.maker?.close();
    this.set.close();
  }
}

/**
 * A start merges few times and many at once, as soon as there are so many of about one size: what is left to be merged can be
 * while the server runs.
 */
function chooseAtStart(events: readonly number[]): MergeChoice | null {
  for (let end = events.length; end >= START_MERGED_RUNS; end--) {
    const index = end - START_MERGED_RUNS;
    const sizes = events.slice(index, end);
    if (Math.max(...sizes) < START_SIZES_APART * Math.min(...sizes))
      return { index, count: START_MERGED_RUNS };
  }
  return null;
}

/** What disk or memory refused; a bug of ours is thrown on. */
function expected(error: unknown): Error {
  if (!(error instanceof Error) || isBug(error)) throw error;
  return error;
}
