/**
 * Who makes index runs: a worker while a server runs, the calling thread where a test has a disk of its own.
 *
 * Both do the same work (`run-work.ts`). A job's `done` gets null once the run is durable under its name, or why there is
 * none; then no file of it is left, and the job may be given again. Runs that cannot be removed do no harm: the next
 * start removes what is not used.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Disk } from "../disk.ts";
import { RUN_MAKER_BEGIN_MS, RUN_MAKER_STOP_MS } from "../limits.ts";
import { type RunBuild, RunInputError, RunWork } from "./run-work.ts";

export type RunDone = (error: Error | null) => void;

export interface RunMaker {
  /** Bytes of core memory that making runs takes. */
  readonly memoryBytes: number;
  /** Builds a run. The chunks of the job are given away: they must not be used after. */
  build(job: RunBuild, done: RunDone): void;
  /**
   * Merges runs that follow one another, oldest first, into one of the name `output`; RunInputError where one is unfit. Several
   * merges of different runs may be under way.
   */
  merge(inputs: readonly string[], output: string, done: RunDone): void;
  /** Removes runs that nobody uses any more. */
  remove(names: readonly string[]): void;
  /**
   * Calls `done` of each job that has ended, and with `waits` not before one has: for a start, which has no turns of
   * the event loop in which it would be called anyway.
   */
  settle(waits: boolean): void;
  /** From now on somebody is served: work gives way. */
  giveWay(): void;
  /** Gives up what is under way; no `done` is called after. */
  close(): void;
}

/** Does each job at once. Its core begins with the first one. */
export class InlineRunMaker implements RunMaker {
  private readonly disk: Disk;
  private readonly folder: string;
  private work: RunWork | null = null;

  constructor(disk: Disk, folder: string) {
    this.disk = disk;
    this.folder = folder;
  }

  get memoryBytes(): number {
    return this.work?.memoryBytes ?? 0;
  }

  build(job: RunBuild, done: RunDone): void {
    done(failureOf(() => this.runWork().build(job)));
  }

  merge(inputs: readonly string[], output: string, done: RunDone): void {
    const failure = failureOf(() => {
      const merge = this.runWork().merge(inputs, output);
      while (merge.step() === null);
    });
    done(failure);
  }

  remove(names: readonly string[]): void {
    failureOf(() => this.runWork().remove(names));
  }

  settle(): void {}

  giveWay(): void {}

  private runWork(): RunWork {
    this.work ??= new RunWork(this.disk, this.folder);
    return this.work;
  }

  close(): void {}
}

/** What went wrong with a job, or null. A bug of ours is no failure of the job: it is thrown on. */
function failureOf(job: () => void): Error | null {
  try {
    job();
    return null;
  } catch (error) {
    if (!(error instanceof Error) || isBug(error)) throw error;
    return error;
  }
}

export function isBug(error: Error): boolean {
  return error.name === "CoreTrap" || error.name === "AssertionError";
}

// ── the worker's side is index-worker.ts ──────────────────────────────────────────────────────────

/** What the worker is told. The first message opens it. */
export type WorkerRequest =
  | {
      readonly kind: "open";
      readonly folder: string;
      readonly flags: SharedArrayBuffer;
      /** Where answers go, beside the usual way, while a start may wait for them without a turn. */
      readonly port: MessagePort;
    }
  | { readonly kind: "build"; readonly id: number; readonly job: RunBuild }
  | {
      readonly kind: "merge";
      readonly id: number;
      readonly inputs: readonly string[];
      readonly output: string;
    }
  | { readonly kind: "remove"; readonly names: readonly string[] };

/** What it answers: a job is done, or why not. */
export interface WorkerReply {
  readonly id: number;
  readonly error: {
    readonly message: string;
    /** What the system says, as ENOSPC. */
    readonly code: string | null;
    /** The run that is unfit to be merged. */
    readonly run: string | null;
  } | null;
  readonly memoryBytes: number;
}

// Flags in shared memory, so that a worker in the midst of a job can be stopped, waited for, and told of what changed.

/** 1: nothing more is to be begun, and what is under way given up. */
export const FLAG_STOP = 0;
/** 1 while the worker has a file that is not whole. */
export const FLAG_BUSY = 1;
/** Changes with each answer, and when the worker has begun or died: who waits, waits for it. */
export const FLAG_NEWS = 2;
/** 1 once the worker has begun; -1 when a bug ends it. */
export const FLAG_LIFE = 3;
/** 1: a server answers requests meanwhile, so work gives way. */
export const FLAG_SERVES = 4;
const FLAG_BYTES = 5 * Int32Array.BYTES_PER_ELEMENT;

/**
 * Does the jobs in a worker with a core of its own, on the real disk. The worker begins with the first job; one that
 * died failed the jobs that it had, and the next job begins another.
 */
export class WorkerRunMaker implements RunMaker {
  memoryBytes = 0;
  private readonly folder: string;
  private worker: Worker | null = null;
  private port: MessagePort | null = null;
  private flags = new Int32Array(new SharedArrayBuffer(FLAG_BYTES));
  private givesWay = false;
  private readonly waiting = new Map<number, RunDone>();
  private nextId = 1;

  constructor(folder: string) {
    this.folder = folder;
  }

  build(job: RunBuild, done: RunDone): void {
    const { rows, streams, sequences, times } = job;
    // Copied field by field: the caller's job may have more, which nobody here knows.
    const message: RunBuild = {
      name: job.name,
      from: job.from,
      endOffset: job.endOffset,
      crc: job.crc,
      span: job.span,
      recordedAt: job.recordedAt,
      storeId: job.storeId,
      partitions: job.partitions,
      rows,
      streams,
      sequences,
      times,
    };
    const buffers = [rows, streams, sequences, times].flat().map(({ buffer }) => buffer);
    this.send({ kind: "build", id: this.expect(done), job: message }, buffers as ArrayBuffer[]);
  }

  merge(inputs: readonly string[], output: string, done: RunDone): void {
    this.send({ kind: "merge", id: this.expect(done), inputs, output });
  }

  remove(names: readonly string[]): void {
    this.send({ kind: "remove", names });
  }

  settle(waits: boolean): void {
    while (this.port !== null) {
      const news = Atomics.load(this.flags, FLAG_NEWS);
      const answers = this.takeAnswers(this.port);
      if (answers > 0 || !waits || this.waiting.size === 0) return;
      const life = Atomics.load(this.flags, FLAG_LIFE);
      const patienceMs = life === 0 ? RUN_MAKER_BEGIN_MS : Number.POSITIVE_INFINITY;
      const waited = life < 0 ? "died" : Atomics.wait(this.flags, FLAG_NEWS, news, patienceMs);
      if (waited === "died") this.lose("the worker that makes runs failed");
      if (waited === "timed-out") this.lose("the worker that makes runs does not begin");
    }
  }

  giveWay(): void {
    this.givesWay = true;
    Atomics.store(this.flags, FLAG_SERVES, 1);
  }

  /** Waits until the worker has given up its file, which is a slice at the most, and ends it. */
  close(): void {
    this.waiting.clear();
    if (this.worker === null) return;
    Atomics.store(this.flags, FLAG_STOP, 1);
    Atomics.wait(this.flags, FLAG_BUSY, 1, RUN_MAKER_STOP_MS);
    this.end();
  }

  private end(): void {
    this.worker?.terminate();
    this.port?.close();
    this.worker = null;
    this.port = null;
    this.memoryBytes = 0;
  }

  /** The worker is no more: fails the jobs that it had. */
  private lose(said: string): void {
    this.end();
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const done of lost) done(new Error(said));
  }

  /** Takes the answers that have come; returns how many. */
  private takeAnswers(port: MessagePort): number {
    let count = 0;
    for (;;) {
      const received = receiveMessageOnPort(port);
      if (received === undefined) return count;
      this.take(received.message as WorkerReply);
      count++;
    }
  }

  private expect(done: RunDone): number {
    const id = this.nextId++;
    this.waiting.set(id, done);
    return id;
  }

  private send(request: WorkerRequest, buffers: ArrayBuffer[] = []): void {
    this.worker ??= this.start();
    this.worker.postMessage(request, buffers);
  }

  private start(): Worker {
    const worker = new Worker(workerPath(), { smol: true });
    worker.unref(); // what it makes can be made again: nobody waits for it at the end
    let said = "the worker that makes runs ended";
    worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => this.take(data);
    worker.onerror = (event) => {
      said = `the worker that makes runs failed: ${errorLine(event.message)}`;
    };
    worker.addEventListener("close", () => {
      if (this.worker === worker) this.lose(said);
    });
    const { port1: port, port2: answers } = new MessageChannel();
    this.port = port;
    this.flags = new Int32Array(new SharedArrayBuffer(FLAG_BYTES));
    if (this.givesWay) this.giveWay();
    const flags = this.flags.buffer as SharedArrayBuffer;
    const opening: WorkerRequest = { kind: "open", folder: this.folder, flags, port: answers };
    worker.postMessage(opening, [answers as never]);
    return worker;
  }

  /** Takes an answer; the second of the two ways in which one may come finds nobody who waits. */
  private take({ id, error, memoryBytes }: WorkerReply): void {
    this.memoryBytes = memoryBytes;
    const done = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === null) done?.(null);
    else if (error.run !== null) done?.(new RunInputError(error.run, error.message));
    else done?.(Object.assign(new Error(error.message), { code: error.code }));
  }
}

/** The line that names the error, of a text that may show source and stack around it. */
function errorLine(text: string): string {
  const lines = text.trim().split("\n");
  return lines.find((line) => /^\w*(Error|Trap): /.test(line)) ?? (lines[0] as string);
}

/** Where the executable has its files. Its worker is an entry point of its own, named from the folder of main.ts. */
const EMBEDDED_FOLDER = "file:///$bunfs/";

function workerPath(): string {
  if (import.meta.url.startsWith(EMBEDDED_FOLDER)) return "./index/index-worker.ts";
  return new URL("./index-worker.ts", import.meta.url).href;
}
