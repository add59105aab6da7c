/**
 * The event store: the one API that both doors call.
 *
 * It is the sequencer. An append is checked, numbered and encoded in one turn. What was queued goes to the disk through the
 * commit pipeline (commit-pipeline.ts), for which the log has room (log-room.ts), and says what is durable (log-claims.ts).
 * When the log is fenced nothing is appended until a restart, and reads go on over what was durable.
 */
import { assert } from "../assert.ts";
import type { OutputArea } from "../core/output-area.ts";
import { DONE, INDEX_BEHIND, NEED_BLOCK, NO_ROOM, REPEATED } from "../core/status.ts";
import { AT_ONCE, type RunIndex } from "../index/run-index.ts";
import type { LocalLog } from "../log/local/local-log.ts";
import type { Outcome } from "../log/log.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { AppendMeter } from "./append-meter.ts";
import { appendRefusal, readOnly } from "./append-refusal.ts";
import {
  type AppendResult,
  type AppendSummary,
  readAppendResult,
  readAppendSummary,
} from "./append-result.ts";
import { BlockLoader } from "./block-loader.ts";
import { CommitPipeline } from "./commit-pipeline.ts";
import { EventReader } from "./event-reader.ts";
import { LogClaims } from "./log-claims.ts";
import { LogRoom } from "./log-room.ts";
import { type MemoryFigures, readMemoryFigures } from "./memory-figures.ts";
import { hasWorker, openStore } from "./open-store.ts";
import { SliceQueue } from "./slice-queue.ts";
import { uuidText } from "./store-file.ts";
import type { Durability, StoreOptions } from "./store-options.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TransactionBuilder } from "./transaction-builder.ts";

/** Between two pieces of work for which nobody waits. */
const LEISURE_MS = 1;

export class EventStore extends EventReader {
  readonly storeId: string;
  readonly partitions: number;
  readonly strict: boolean;
  readonly durability: Durability;
  /** The transaction that `append` takes. */
  readonly transaction: TransactionBuilder;
  /** The batch on which the last append's answer depends; 0 where it can be told at once. */
  answerBatch = 0;
  /** Batches on their way to the disk. */
  readonly commits: CommitPipeline;
  /** Long reads of both doors, a slice at a time. */
  readonly slices = new SliceQueue();
  /** What appends cost and carried. */
  readonly meter = new AppendMeter();
  /** Who follows the store: both doors open subscriptions here. */
  readonly subscriptions: Subscriptions;
  /** Whether the last append repeated an earlier one, whose answer it has. */
  wasRepeated = false;

  private readonly options: StoreOptions;
  private readonly log: LocalLog;
  private readonly index: RunIndex;
  private readonly unlock: () => void;
  private readonly claims: LogClaims;
  private readonly room: LogRoom;
  private isStopping = false;
  private stopped: (() => void) | null = null;

  /** Opens a store, or makes one. Throws OpenError, one line that says why. */
  static open(options: StoreOptions): EventStore {
    return new EventStore(options);
  }

  private constructor(options: StoreOptions) {
    let fence = (_error: Error): void => {};
    const opened = openStore(options, (error) => fence(error));
    const { core, identity, log } = opened;
    super(core, new BlockLoader(core, log, options.log), uuidText(identity.epoch));
    fence = (error) => this.commits.fence(error);
    this.options = options;
    this.log = log;
    this.unlock = opened.unlock;
    this.storeId = uuidText(identity.storeId);
    this.partitions = identity.partitions;
    this.strict = options.strict;
    this.durability = options.durability;
    this.transaction = new TransactionBuilder(core);
    this.subscriptions = new Subscriptions({
      core,
      blocks: this.blocks,
      slices: this.slices,
      partitions: identity.partitions,
      isCommitting: () => this.commits.isScheduled,
    });
    this.index = opened.index;
    const { clock, log: tell } = options;
    const schedules = options.schedules !== false;
    const { meter, subscriptions } = this;
    const stages = {
      idle: () => this.room.settle(),
      written: () => this.claims.written(),
      settled: () => this.batchSettled(),
      fenced: () => this.logFenced(),
    };
    this.commits = new CommitPipeline({ core, log, meter, subscriptions, schedules, tell, stages });
    this.claims = new LogClaims({
      core,
      log,
      commits: this.commits,
      syncsBatches: options.durability === "fsync",
      schedules,
      clock,
      tell,
      isExtending: () => this.room.isExtending,
    });
    this.room = new LogRoom({
      core,
      log,
      commits: this.commits,
      claims: this.claims,
      clock,
      tell,
      extended: () => this.finishStop(),
    });
    this.startIndex();
  }

  private startIndex(): void {
    // Later, since it may come from within an append, whose transaction those who wait would write over.
    const changed = (): void => {
      queueMicrotask(() => {
        if (this.pendingBatch() === 0) this.room.release();
      });
    };
    const later = (work: () => void): void => this.slices.add(work);
    const atLeisure = (work: () => void): void => {
      setTimeout(() => later(work), LEISURE_MS).unref();
    };
    this.index.start(hasWorker(this.options) ? { later, atLeisure } : AT_ONCE, changed);
  }

  // ── append ──────────────────────────────────────────────────────────────────────────────────────

  /** Core address of an area for what a request brings. */
  input(bytes: number): number {
    return this.core.input(bytes);
  }

  /** Loads what the RESP requests between two addresses will look at, if they are appends; the first begins there. */
  lookAhead(start: number, end: number): void {
    this.core.exports.appendsAhead(start, end);
  }

  /**
   * Appends what `transaction` holds. False: there is no room now; ask again from `whenRoom`. Throws StoreError
   * where it is refused; nothing is written then. The answer, an error included, may be told only when
   * `answerBatch` has settled.
   */
  append(): boolean {
    const { transaction, core } = this;
    this.answerBatch = this.pendingBatch();
    this.wasRepeated = false;
    if (this.commits.fenceReason !== null) throw readOnly(this.commits.fenceReason);
    if (this.isStopping) throw readOnly("the server is stopping");
    if (this.room.isWaiting) return false;
    while (true) {
      const now = this.options.clock();
      const status = core.exports.append(transaction.count, transaction.hasPartitionKey, now);
      switch (status) {
        case DONE:
          this.claims.isMarked = false;
          this.meter.appended();
          this.answerBatch = this.commits.fillingBatch;
          this.commits.schedule();
          return true;
        case REPEATED:
          this.wasRepeated = true;
          if (core.exports.getRepeatIsPending() === 0) this.answerBatch = 0;
          return true;
        case NEED_BLOCK:
          this.loadBlock();
          break;
        case INDEX_BEHIND:
          this.index.advance();
          if (core.exports.indexIsBehind() === 0) break;
          if (this.index.buildFailure !== null) throw readOnly(this.indexFailure());
          if (this.pendingBatch() > 0) this.commits.schedule();
          return false;
        case NO_ROOM:
          if (!this.room.make(core.exports.getNeededSize())) return false;
          break;
        default:
          throw appendRefusal(status, core, transaction, {
            peekEvent: (position) => this.peekEvent(position),
            corrupt: () => this.blocks.corrupt(),
          });
      }
    }
  }

  /** Calls back, once, when an append that found no room should be tried again. */
  whenRoom(callback: () => void): void {
    this.room.whenRoom(callback);
  }

  /** Calls back, once, when a batch that is not settled yet has settled. */
  whenSettled(batch: number, callback: (outcome: Outcome) => void): void {
    this.commits.whenSettled(batch, callback);
  }

  isSettled(batch: number): boolean {
    return this.commits.isSettled(batch);
  }

  /** The newest batch that holds something unsettled, or 0. */
  pendingBatch(): number {
    return this.commits.pendingBatch();
  }

  /** The numbers of the last transaction, appended or repeated. */
  lastAppend(): AppendResult {
    return readAppendResult(this.core, this.transaction);
  }

  /** What HTTP's headers say of the last transaction. */
  appendSummary(): AppendSummary {
    return readAppendSummary(this.core, this.transaction);
  }

  /** Writes EAPPEND's answer for the last append. */
  writeAppendReply(area: OutputArea, isResp3: boolean, withPosition: boolean): void {
    area.reserve(this.core.exports.APPEND_REPLY_MAX.value as number);
    area.tail = this.core.exports.appendReply(area.tail, isResp3, withPosition) >>> 0;
  }

  /** Writes EMAPPEND's answer for the last append. */
  writeTransactionReply(area: OutputArea, isResp3: boolean, withPosition: boolean): void {
    const { exports } = this.core;
    const { count, hasPartitionKey } = this.transaction;
    area.reserve(exports.transactionReplyMax(count));
    const end = exports.transactionReply(area.tail, count, hasPartitionKey, isResp3, withPosition);
    area.tail = end >>> 0;
  }

  // ── commit ──────────────────────────────────────────────────────────────────────────────────────

  /** Writes and syncs what is queued; normally at the end of the turn that queued it. */
  flush(): void {
    this.commits.flush();
  }

  private batchSettled(): void {
    this.advanceIndex();
    if (this.commits.fenceReason !== null) return;
    this.room.settle();
    if (this.core.exports.getFillLength() > 0) this.commits.schedule();
    else this.claims.scheduleMark();
    this.finishStop();
  }

  private logFenced(): void {
    this.room.giveUp();
    this.finishStop();
  }

  /** Lets the index go on; with durability "os" it gets the sync that it waits for. */
  private advanceIndex(): void {
    if (this.index.awaitsSync && !this.claims.trySync()) return;
    this.index.advance();
  }

  /** Claims, in a mark frame, that what was appended is synced; nothing where that is claimed already. */
  markIdle(): void {
    this.claims.markIdle();
  }

  // ── the end ─────────────────────────────────────────────────────────────────────────────────────

  /** Stops in order: what is queued becomes durable, an end frame says so, files are closed. Never throws. */
  stop(): Promise<void> {
    assert(!this.isStopping);
    this.isStopping = true;
    return new Promise((resolve) => {
      this.stopped = resolve;
      if (this.pendingBatch() > 0) this.flush();
      this.finishStop();
    });
  }

  private finishStop(): void {
    if (!this.isStopping || this.stopped === null || this.room.isExtending) return;
    const isFenced = this.commits.fenceReason !== null;
    if (!isFenced && this.pendingBatch() > 0) {
      this.flush();
      return;
    }
    const stopped = this.stopped;
    this.stopped = null;
    if (!isFenced) this.claims.writeEnd();
    this.close();
    stopped();
  }

  /** Closes the files without a word to the log, as a crash does: for tests, and after `stop`. */
  close(): void {
    this.claims.close();
    this.subscriptions.close();
    this.index.close();
    this.log.close();
    this.unlock();
  }

  /** The server's clock, by which recorded_at is given; milliseconds. */
  now(): number {
    return this.options.clock();
  }

  /** Streams with a durable event. */
  streamCount(): number {
    return this.commits.visibleStreams;
  }

  /** Why appends are refused, or null; asks the disk again where it had no room. */
  readOnlyReason(): string | null {
    this.room.askAgain();
    return this.commits.fenceReason ?? this.room.noRoomReason ?? this.indexBehindReason();
  }

  /** Why appends are refused for want of index runs, or null; tries once more to make them. */
  private indexBehindReason(): string | null {
    if (this.index.buildFailure === null) return null;
    this.advanceIndex();
    const isBehind = this.core.exports.indexIsBehind() !== 0;
    return this.index.buildFailure !== null && isBehind ? this.indexFailure() : null;
  }

  private indexFailure(): string {
    return `the index cannot be written: ${this.index.buildFailure}`;
  }

  memoryBytes(): number {
    return this.core.exports.memoryUsed();
  }

  /** What the index and the cache take of memory and disk. */
  memoryFigures(): MemoryFigures {
    return readMemoryFigures(this.core, this.index, this.options);
  }

  /** Bytes of frames in the log, headers and marks included. */
  logBytes(): number {
    return this.core.exports.getDurableOffset();
  }

  /** Bytes that the segments take on the disk, prepared room included. */
  diskBytes(): number {
    return this.log.diskBytes();
  }

  segmentCount(): number {
    return this.log.segmentCount();
  }

  /** Bytes that the disk has left for the store; null where it does not say. */
  freeBytes(): number | null {
    try {
      return this.options.disk.freeBytes(this.options.folder);
    } catch {
      return null;
    }
  }

  /** Times of the log's syncs. */
  get syncSeconds(): Histogram {
    return this.log.syncSeconds;
  }

  private loadBlock(): void {
    if (!this.blocks.load()) throw this.blocks.corrupt();
  }
}
