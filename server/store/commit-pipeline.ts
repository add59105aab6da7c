/**
 * The batches on their way to the disk: one is filled while one is in flight, and each settles in order.
 *
 * All that a turn of the event loop queued is one batch, written and synced together; only when that has returned is
 * it told settled, and seen by readers. Batches are numbered from 1. One that fails fences the log: it is uncertain, what
 * was filled behind it is never written, and nothing follows until a restart.
 */
import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import type { Log, Outcome } from "../log/log.ts";
import type { Tell } from "../stderr-log.ts";
import type { AppendMeter } from "./append-meter.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** Turns of the event loop for which a commit may wait while appends go on coming in. */
const GATHER_TURNS_MAX = 16;

/** Weight of a batch's way to the disk in the average of all. */
const AVERAGE_WEIGHT = 1 / 8;

/** What the pipeline's owner does at its turns. */
interface CommitStages {
  /** Nothing waits to be written. */
  idle(): void;
  /** A batch is durable as the store promises; nobody was told yet. */
  written(): void;
  /** Those who waited for the batch were told. */
  settled(): void;
  /** The log is fenced, and those who waited were told. */
  fenced(): void;
}

export interface CommitOptions {
  readonly core: Core;
  readonly log: Log;
  readonly meter: AppendMeter;
  readonly subscriptions: Subscriptions;
  /** False: the owner calls `flush` itself. */
  readonly schedules: boolean;
  readonly tell: Tell;
  readonly stages: CommitStages;
}

export class CommitPipeline {
  /** Clients that may append, and those of them that have since the last commit: their doors count both. */
  clientCount = 0;
  clientsQueued = 0;
  /** Why nothing is written any more, or null. */
  fenceReason: string | null = null;
  /** The batch that appends go into. */
  fillingBatch = 1;
  /** Streams with a durable event. */
  visibleStreams: number;
  /** When the last batch was handed to the log, by `performance.now`. */
  lastCommitAt = 0;
  private readonly options: CommitOptions;
  private readonly settledCallbacks = new Map<number, ((outcome: Outcome) => void)[]>();
  private flightBatch = 0;
  /** A commit comes at the end of this turn, or some turns later. */
  isScheduled = false;
  /** Most clients that one batch had, less one for each batch since: one writer among idle ones never waits. */
  private recentClients = 0;
  private sealedStreams = 0;
  /** What a batch's way to the disk takes: it pays to gather appends for so long, not longer. */
  private averageFlightMs = 0;

  constructor(options: CommitOptions) {
    this.options = options;
    this.visibleStreams = options.core.exports.streamCount();
  }

  /** Calls back, once, when a batch that is not settled yet has settled. */
  whenSettled(batch: number, callback: (outcome: Outcome) => void): void {
    assert(batch > 0 && batch <= this.fillingBatch && !this.isSettled(batch));
    const callbacks = this.settledCallbacks.get(batch);
    if (callbacks === undefined) this.settledCallbacks.set(batch, [callback]);
    else callbacks.push(callback);
  }

  isSettled(batch: number): boolean {
    return batch < (this.flightBatch > 0 ? this.flightBatch : this.fillingBatch);
  }

  /** The newest batch that holds something unsettled, or 0. */
  pendingBatch(): number {
    if (this.fenceReason !== null) return 0; // what waited was told, and nothing follows
    if (this.options.core.exports.getFillLength() > 0) return this.fillingBatch;
    return this.flightBatch;
  }

  get isInFlight(): boolean {
    return this.flightBatch > 0;
  }

  /**
   * Writes and syncs what is queued; normally at the end of the turn that queued it. With `isLoopBusy` more appends are coming,
   * which are to be taken meanwhile.
   */
  flush(isLoopBusy = false): void {
    const { core, log, meter, stages } = this.options;
    const { exports } = core;
    if (this.flightBatch > 0 || this.fenceReason !== null) return;
    if (exports.getFillLength() === 0) {
      stages.idle();
      return;
    }
    exports.batchSeal();
    meter.sealed();
    this.recentClients = Math.max(this.clientsQueued, this.recentClients - 1);
    this.clientsQueued = 0;
    this.flightBatch = this.fillingBatch++;
    this.sealedStreams = exports.streamCount();
    this.lastCommitAt = performance.now();
    log.append((error) => this.settle(error), isLoopBusy);
  }

  /**
   * Commits at the end of the turn; a turn or more later while every turn brings appends from clients that have
   * not asked yet, since one sync then serves them all. Where it takes longer to take them than to sync, the others are taken
   * while a first part is synced.
   */
  schedule(): void {
    if (this.isScheduled || !this.options.schedules) return;
    this.isScheduled = true;
    let seen = 0;
    let turns = 0;
    const startedAt = performance.now();
    const endTurn = (): void => {
      this.options.meter.turnEnded();
      const areMoreComing =
        this.clientsQueued > seen &&
        this.clientsQueued < this.clientCount &&
        Math.max(this.recentClients, this.clientsQueued) > 1;
      const hasTime = performance.now() - startedAt < this.averageFlightMs;
      if (areMoreComing && hasTime && turns < GATHER_TURNS_MAX) {
        seen = this.clientsQueued;
        turns++;
        setImmediate(endTurn);
        return;
      }
      this.isScheduled = false;
      this.flush(areMoreComing);
    };
    setImmediate(endTurn);
  }

  /** Commits at once where every client has appended: nothing can come that a turn would gather. */
  flushIfComplete(): void {
    if (this.clientsQueued > 0 && this.clientsQueued >= this.clientCount) this.flush();
  }

  private settle(error: Error | null): void {
    if (error !== null) {
      this.fence(error);
      return;
    }
    if (this.fenceReason !== null) return; // fenced meanwhile, and answered
    const { core, meter, subscriptions, stages } = this.options;
    const { exports } = core;
    this.averageFlightMs +=
      (performance.now() - this.lastCommitAt - this.averageFlightMs) * AVERAGE_WEIGHT;
    subscriptions.collect();
    const position = exports.getDurablePosition();
    const bytes = exports.getFlightLength();
    exports.batchSettle();
    meter.settled(exports.getDurablePosition() - position, bytes);
    stages.written();
    this.visibleStreams = this.sealedStreams;
    const batch = this.flightBatch;
    this.flightBatch = 0;
    this.notify(batch, "durable");
    subscriptions.deliver();
    stages.settled();
  }

  private notify(batch: number, outcome: Outcome): void {
    const callbacks = this.settledCallbacks.get(batch);
    if (callbacks === undefined) return;
    this.settledCallbacks.delete(batch);
    for (const callback of callbacks) callback(outcome);
  }

  /** A write or a sync failed: what it carried is uncertain, what waited is not written, and nothing follows. */
  fence(error: Error): void {
    if (this.fenceReason !== null) return;
    this.fenceReason = `the log failed (${error.message}); restart the server to recover`;
    this.options.tell(`read-only: ${this.fenceReason}`, "error");
    const flight = this.flightBatch;
    // Each batch counts as settled before its callbacks run, and not earlier: they ask.
    this.flightBatch = 0;
    if (flight > 0) this.notify(flight, "uncertain");
    this.notify(this.fillingBatch++, "unwritten");
    this.options.stages.fenced();
  }
}
