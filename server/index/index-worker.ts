/**
 * The worker that makes index runs, with a core of its own: what a WorkerRunMaker starts.
 *
 * Builds come first, as appends may wait for them: one that arrives while merges are under way is done between two of
 * their slices. Of several merges the smallest goes on: a large one takes minutes, in which small runs would grow many. Once a
 * server answers requests the worker gives way, and a merge pauses after each slice, so that the log's own writes find the
 * disk free. Bugs end the worker.
 */
import type { MessagePort } from "node:worker_threads";
import { giveWay, systemDisk } from "../disk.ts";
import { RUN_CORE_BYTES_KEPT, RUN_MERGE_ALONE_PAUSES, RUN_MERGE_PAUSE_MS_MAX } from "../limits.ts";
import { parseRunName, type RunRange } from "./run-file.ts";
import {
  FLAG_BUSY,
  FLAG_LIFE,
  FLAG_NEWS,
  FLAG_SERVES,
  FLAG_STOP,
  isBug,
  type WorkerReply,
  type WorkerRequest,
} from "./run-maker.ts";
import { RunInputError, type RunMerge, RunWork } from "./run-work.ts";

declare const self: Worker;

/** A merge that is asked for, and under way where `merge` is not null. Each has a core of its own. */
interface QueuedMerge {
  readonly request: Extract<WorkerRequest, { kind: "merge" }>;
  readonly events: number;
  work: RunWork | null;
  merge: RunMerge | null;
}

class RunWorker {
  private readonly folder: string;
  private readonly flags: Int32Array;
  private readonly port: MessagePort;
  private hasGivenWay = false;
  /** Builds and removes. */
  private work: RunWork | null = null;
  /** The smallest first. */
  private readonly merges: QueuedMerge[] = [];
  /** Of a merge that has ended, for the next one. */
  private spare: RunWork | null = null;
  private sliceTimer: NodeJS.Timeout | null = null;

  constructor(folder: string, flags: SharedArrayBuffer, port: MessagePort) {
    this.folder = folder;
    this.flags = new Int32Array(flags);
    this.port = port;
    this.live(1);
  }

  take(request: WorkerRequest): void {
    this.untilBug(() => this.begin(request));
  }

  /** Does what may end the worker, and says so where it does: who waits for an answer must not wait for ever. */
  private untilBug(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.live(-1);
      throw error;
    }
  }

  private live(life: number): void {
    Atomics.store(this.flags, FLAG_LIFE, life);
    this.tellNews();
  }

  private tellNews(): void {
    Atomics.add(this.flags, FLAG_NEWS, 1);
    Atomics.notify(this.flags, FLAG_NEWS);
  }

  private begin(request: WorkerRequest): void {
    if (this.isStopped) return;
    if (request.kind === "build") {
      this.whileBusy(() => this.answer(request.id, () => this.runWork().build(request.job)));
    } else if (request.kind === "remove") {
      this.remove(request.names);
    } else if (request.kind === "merge") {
      const { from, to } = parseRunName(request.output) as RunRange;
      this.merges.push({ request, events: to - from, work: null, merge: null });
      this.merges.sort((a, b) => a.events - b.events);
      this.sliceTimer ??= this.later(0);
    }
  }

  private later(pauseMs: number): NodeJS.Timeout {
    return setTimeout(() => this.untilBug(() => this.mergeSlice()), pauseMs);
  }

  /** Whether a server answers requests meanwhile. */
  private get serves(): boolean {
    return Atomics.load(this.flags, FLAG_SERVES) === 1;
  }

  private get isStopped(): boolean {
    return Atomics.load(this.flags, FLAG_STOP) === 1;
  }

  private runWork(): RunWork {
    this.work ??= this.newWork();
    return this.work;
  }

  private newWork(): RunWork {
    return new RunWork(systemDisk, this.folder, () => this.isStopped);
  }

  /** Begins the smallest merge, or does a slice of it. */
  private mergeSlice(): void {
    this.sliceTimer = null;
    const queued = this.merges[0];
    if (queued === undefined) return;
    const begun = performance.now();
    const { request } = queued;
    this.whileBusy(() => {
      this.answer(request.id, () => {
        if (queued.work === null) {
          queued.work = this.spare ?? this.newWork();
          this.spare = null;
        }
        queued.merge ??= queued.work.merge(request.inputs, request.output);
        return queued.merge.step();
      });
    });
    if (this.merges.length === 0) return;
    this.sliceTimer = this.later(this.serves ? this.pauseMs(performance.now() - begun) : 0);
  }

  /** A merge that no other waits for is in no hurry: it is spread, and those who append do not notice when it begins. */
  private pauseMs(sliceMs: number): number {
    const share = this.merges.length > 1 ? 1 : RUN_MERGE_ALONE_PAUSES;
    return Math.min(share * sliceMs, RUN_MERGE_PAUSE_MS_MAX);
  }

  /** Does some of a job; answers when it is done, which is when `job` gives something but null, or has failed. */
  private answer(id: number, job: () => number | null): void {
    let error: WorkerReply["error"] = null;
    try {
      if (this.isStopped || job() === null) return;
    } catch (failure) {
      if (!(failure instanceof Error) || isBug(failure)) throw failure;
      error = {
        message: failure.message,
        code: (failure as NodeJS.ErrnoException).code ?? null,
        run: failure instanceof RunInputError ? failure.run : null,
      };
    }
    if (this.merges[0]?.request.id === id) this.spare = this.merges.shift()?.work ?? null;
    this.rest();
    const reply: WorkerReply = { id, error, memoryBytes: this.memoryBytes };
    self.postMessage(reply);
    if (!this.serves) this.port.postMessage(reply);
    this.tellNews();
  }

  /**
   * Says in shared memory that a file is not whole: during a job, and from a merge's first slice to its last. What is
   * under way when all is stopped is given up here.
   */
  private whileBusy(job: () => void): void {
    if (this.serves && !this.hasGivenWay) {
      giveWay();
      this.hasGivenWay = true;
    }
    Atomics.store(this.flags, FLAG_BUSY, 1);
    job();
    const underway = this.merges.flatMap(({ merge }) => merge ?? []);
    if (underway.length > 0 && !this.isStopped) return;
    for (const merge of underway) merge.abandon();
    if (underway.length > 0) this.merges.length = 0;
    Atomics.store(this.flags, FLAG_BUSY, 0);
    Atomics.notify(this.flags, FLAG_BUSY);
  }

  private remove(names: readonly string[]): void {
    try {
      this.runWork().remove(names);
    } catch (error) {
      if (!(error instanceof Error) || isBug(error)) throw error;
      // The next start removes what is not used.
    }
  }

  private get memoryBytes(): number {
    const merging = this.merges.reduce((sum, { work }) => sum + (work?.memoryBytes ?? 0), 0);
    return merging + (this.work?.memoryBytes ?? 0) + (this.spare?.memoryBytes ?? 0);
  }

  /** Cores that grew large for a job are let go. */
  private rest(): void {
    if ((this.work?.memoryBytes ?? 0) > RUN_CORE_BYTES_KEPT) this.work = null;
    if ((this.spare?.memoryBytes ?? 0) > RUN_CORE_BYTES_KEPT) this.spare = null;
  }
}

let worker: RunWorker | null = null;

self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
  if (data.kind === "open") {
    worker = new RunWorker(data.folder, data.flags, data.port);
  } else {
    worker?.take(data);
  }
};
