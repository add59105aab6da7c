/**
 * The event store: the one API that both doors call.
 *
 * It is the sequencer. An append is checked, numbered and encoded in one turn; all that a turn queued is one
 * batch, written and synced together; only then is it told settled, and only then can any reader see it. Batches
 * are numbered from 1, and settle in order. A batch that fails fences the log: nothing is appended until a
 * restart, and reads go on over what was durable.
 */
import { assert } from "../assert.ts";
import { Core, type OutputArea, UUID_BYTES } from "../core/core.ts";
import {
  DONE,
  INDEX_BEHIND,
  KIND_END,
  KIND_MARK,
  NEED_BLOCK,
  NO_ROOM,
  REPEATED,
} from "../core/status.ts";
import { type Disk, systemDisk } from "../disk.ts";
import { StoreError } from "../errors.ts";
import { divideIndexMemory } from "../index/index-memory.ts";
import type { RunIndex } from "../index/run-index.ts";
import { InlineRunMaker, WorkerRunMaker } from "../index/run-maker.ts";
import {
  BATCH_BYTES_MAX,
  CACHE_BYTES_DEFAULT,
  CORE_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_DEFAULT,
} from "../limits.ts";
import { LocalLog, type SyncPlace } from "../log/local/local-log.ts";
import { NoRoom, type Outcome, type Room } from "../log/log.ts";
import type { Histogram } from "../metrics/histogram.ts";
import type { Tell } from "../stderr-log.ts";
import { AppendMeter } from "./append-meter.ts";
import { appendRefusal, readOnly } from "./append-refusal.ts";
import {
  type AppendResult,
  type AppendSummary,
  readAppendResult,
  readAppendSummary,
} from "./append-result.ts";
import { BlockLoader } from "./block-loader.ts";
import { EventReader } from "./event-reader.ts";
import { SliceQueue } from "./slice-queue.ts";
import { openStoreFolder, whileOpening } from "./store-folder.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TransactionBuilder } from "./transaction-builder.ts";

/** After this long without an append a mark frame claims what was synced. */
const IDLE_MARK_MS = 1_000;
/** Turns of the event loop for which a commit may wait while appends go on coming in. */
const GATHER_TURNS_MAX = 16;
/** With durability "os" the log is synced at least this often. */
const OS_SYNC_INTERVAL_MS = 1_000;
/** After the disk had no room, it is asked again at the earliest after this. */
const ROOM_RETRY_MS = 250;

export type Durability = "fsync" | "os";

export interface StoreOptions {
  readonly disk: Disk;
  readonly folder: string;
  /** Null: what the store was made with, 32 for a new one. */
  readonly partitions: number | null;
  readonly segmentBytes: number;
  readonly durability: Durability;
  readonly strict: boolean;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly random: (target: Uint8Array) => void;
  /** Takes one line for whoever runs the server. */
  readonly log: Tell;
  /** Where syncs run; "measured" unless a test fixes it. */
  readonly syncPlace?: SyncPlace;
  /** False: the owner calls `flush` and `markIdle` itself, as a simulation does. */
  readonly schedules?: boolean;
  /** Bounds of core memory and of its cache, for tests of what happens at them. */
  readonly memoryBytesMax?: number;
  readonly cacheBytes?: number;
  readonly indexMemoryBytes?: number;
  /** Events of a memtable, for tests in which few make a run. */
  readonly memtableEvents?: number;
}

/** What the index and the cache take; sizes in bytes. */
export interface MemoryFigures {
  readonly cacheBytes: number;
  readonly cacheBytesMax: number;
  readonly indexMemoryBytesMax: number;
  readonly memtableCount: number;
  readonly memtableBytes: number;
  /** Filters and fences of the runs. */
  readonly filterBytes: number;
  /** Pages of runs in memory, and pages read since the start. */
  readonly pageBytes: number;
  readonly pageReads: number;
  readonly runCount: number;
  /** The runs' files. */
  readonly diskBytes: number;
  /** The worker that makes runs. */
  readonly makerBytes: number;
  /** Why runs cannot be made, or null. */
  readonly failureReason: string | null;
}

export class EventStore extends EventReader {
  readonly storeId: string;
  readonly partitions: number;
  readonly strict: boolean;
  readonly durability: Durability;
  /** The transaction that `append` takes. */
  readonly transaction: TransactionBuilder;
  /** The batch on which the last append's answer depends; 0 where it can be told at once. */
  answerBatch = 0;
  /** Clients that may append, and those of them that have since the last commit: their doors count both. */
  clientCount = 0;
  clientsQueued = 0;
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
  private readonly settledCallbacks = new Map<number, ((outcome: Outcome) => void)[]>();
  private roomCallbacks: (() => void)[] = [];
  private fillingBatch = 1;
  private flightBatch = 0;
  private isCommitScheduled = false;
  /** Most clients that one batch had, less one for each batch since: one writer among idle ones never waits. */
  private recentClients = 0;
  /** Bytes for which a new segment is needed; appends wait for it in order. */
  private wantedBytes = 0;
  /** A new segment is being made in a thread: nothing is written meanwhile. */
  private isExtending = false;
  private fenceReason: string | null = null;
  private noRoomReason: string | null = null;
  private roomRefusedAt = 0;
  private visibleStreams: number;
  private sealedStreams = 0;
  private isMarked = true;
  private isUnsynced = false;
  private lastCommitAt = 0;
  private idleTimer: Timer | null = null;
  private syncTimer: Timer | null = null;
  private isStopping = false;
  private stopped: (() => void) | null = null;

  /** Opens a store, or makes one. Throws OpenError, one line that says why. */
  static open(options: StoreOptions): EventStore {
    return new EventStore(options);
  }

  private constructor(options: StoreOptions) {
    const indexMemory = divideIndexMemory(
      options.indexMemoryBytes ?? INDEX_MEMORY_BYTES_DEFAULT,
      options.memtableEvents,
    );
    const opened = openStoreFolder({
      disk: options.disk,
      folder: options.folder,
      partitions: options.partitions,
      segmentBytes: options.segmentBytes,
      index: indexMemory,
      clock: options.clock,
      random: options.random,
      log: options.log,
      makeCore: (partitions) =>
        new Core({
          memoryBytesMax: options.memoryBytesMax ?? CORE_MEMORY_BYTES_MAX,
          partitions,
          cacheBytes: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
          pageBytes: indexMemory.pageBytes,
          batchBytesMax: BATCH_BYTES_MAX,
          random: options.random,
        }),
    });
    const { core, identity, recovered } = opened;
    let fence = (_error: Error): void => {};
    const log = whileOpening(options.folder, opened.unlock, () => {
      const logOptions = {
        disk: options.disk,
        core,
        folder: opened.logFolder,
        storeId: identity.storeId,
        segmentBytes: options.segmentBytes,
        syncBatches: options.durability === "fsync",
        syncPlace: options.syncPlace ?? "measured",
        isDiskShared: () => opened.index.isBusy,
        failed: (error: Error) => fence(error),
      };
      const made = new LocalLog(logOptions, recovered);
      const { end, crc, position, recordedAt } = recovered;
      core.exports.resumeLog(end, crc, position, recordedAt);
      made.enter({ start: end, end: made.roomEnd });
      return made;
    });
    super(core, new BlockLoader(core, log, options.log), uuidText(identity.epoch));
    fence = (error) => this.fence(error);
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
      isCommitting: () => this.isCommitScheduled,
    });
    this.visibleStreams = core.exports.streamCount();
    this.index = opened.index;
    this.startIndex(`${options.folder}/index`);
  }

  /** Runs are made in a worker on a real disk, and at once where a test has a disk of its own. */
  private startIndex(folder: string): void {
    const { disk, schedules } = this.options;
    // Later, since it may come from within an append, whose transaction those who wait would write over.
    const changed = (): void => {
      queueMicrotask(() => {
        if (this.pendingBatch() === 0) this.releaseWaiters();
      });
    };
    if (disk === systemDisk && schedules !== false) {
      const later = (work: () => void): void => this.slices.add(work);
      this.index.start(new WorkerRunMaker(folder), later, changed);
    } else {
      this.index.start(new InlineRunMaker(disk, folder), (work) => work(), changed);
    }
  }

  // ── append ──────────────────────────────────────────────────────────────────────────────────────

  /** Core address of an area for what a request brings. */
  input(bytes: number): number {
    return this.core.input(bytes);
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
    if (this.fenceReason !== null) throw readOnly(this.fenceReason);
    if (this.isStopping) throw readOnly("the server is stopping");
    if (this.wantedBytes > 0) return false;
    while (true) {
      const now = this.options.clock();
      const status = core.exports.append(transaction.count, transaction.hasPartitionKey, now);
      switch (status) {
        case DONE:
          this.isMarked = false;
          this.meter.appended();
          this.answerBatch = this.fillingBatch;
          this.scheduleCommit();
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
          if (this.pendingBatch() > 0) this.scheduleCommit();
          return false;
        case NO_ROOM:
          if (!this.makeRoom(core.exports.getNeededSize())) return false;
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
    this.roomCallbacks.push(callback);
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
    if (this.core.exports.getFillLength() > 0) return this.fillingBatch;
    return this.flightBatch;
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

  /** Makes room for a transaction now, or sees to it that there will be: then false. */
  private makeRoom(bytes: number): boolean {
    if (this.core.exports.segmentLacksRoom(bytes) === 0) {
      this.scheduleCommit(); // the batch is full
      return false;
    }
    if (this.pendingBatch() === 0) return this.extendLog(bytes);
    this.wantedBytes = bytes;
    this.scheduleCommit();
    return false;
  }

  /**
   * Opens a new segment; nothing waits to be written. False: it will be there in a later turn, and appends wait for it.
   * Throws READONLY where the disk has no room.
   */
  private extendLog(bytes: number): boolean {
    const { exports } = this.core;
    const now = this.options.clock();
    const sinceRefusalMs = now - this.roomRefusedAt; // negative where the clock was set back
    if (this.noRoomReason !== null && sinceRefusalMs >= 0 && sinceRefusalMs < ROOM_RETRY_MS) {
      throw readOnly(this.noRoomReason);
    }
    this.isExtending = true;
    let isTurnOver = false;
    const extended = (result: Room | Error): void => {
      this.isExtending = false;
      this.wantedBytes = 0;
      this.takeRoom(result);
      if (!isTurnOver) return;
      this.releaseWaiters();
      this.finishStop();
    };
    try {
      this.syncWritten();
      this.log.extend(
        exports.getLogOffset(),
        exports.getNextPosition(),
        exports.getPreviousCrc() >>> 0,
        bytes,
        extended,
      );
    } catch (error) {
      extended(error as Error);
    }
    isTurnOver = true;
    if (this.isExtending) {
      this.wantedBytes = Math.max(1, bytes);
      return false;
    }
    const reason = this.fenceReason ?? this.noRoomReason;
    if (reason !== null) throw readOnly(reason);
    return true;
  }

  /** Goes on in a new segment, or notes why there is none. */
  private takeRoom(result: Room | Error): void {
    if (!(result instanceof Error)) {
      try {
        this.log.enter(result);
      } catch (error) {
        this.fence(error as Error); // the segment has its name, but not its beginning in memory
        return;
      }
      if (this.noRoomReason !== null) this.options.log("the disk has room again: appends go on");
      this.noRoomReason = null;
    } else if (result instanceof NoRoom) {
      if (this.noRoomReason === null) this.options.log(`read-only: ${result.message}`, "error");
      this.noRoomReason = result.message;
      this.roomRefusedAt = this.options.clock();
    } else {
      this.fence(result);
    }
  }

  // ── commit ──────────────────────────────────────────────────────────────────────────────────────

  /** Writes and syncs what is queued; normally at the end of the turn that queued it. */
  flush(): void {
    const { exports } = this.core;
    if (this.flightBatch > 0 || this.fenceReason !== null) return;
    if (exports.getFillLength() === 0) {
      this.settleRoom();
      return;
    }
    exports.batchSeal();
    this.meter.sealed();
    this.recentClients = Math.max(this.clientsQueued, this.recentClients - 1);
    this.clientsQueued = 0;
    this.flightBatch = this.fillingBatch++;
    this.sealedStreams = exports.streamCount();
    this.lastCommitAt = performance.now();
    this.log.append((error) => this.settle(error));
  }

  /**
   * Commits at the end of the turn; a turn or more later while every turn brings appends from clients that have
   * not asked yet, since one sync then serves them all.
   */
  private scheduleCommit(): void {
    if (this.isCommitScheduled || this.options.schedules === false) return;
    this.isCommitScheduled = true;
    let seen = 0;
    let turns = 0;
    const endTurn = (): void => {
      this.meter.turnEnded();
      if (
        this.clientsQueued > seen &&
        this.clientsQueued < this.clientCount &&
        Math.max(this.recentClients, this.clientsQueued) > 1 &&
        turns < GATHER_TURNS_MAX
      ) {
        seen = this.clientsQueued;
        turns++;
        setImmediate(endTurn);
        return;
      }
      this.isCommitScheduled = false;
      this.flush();
    };
    setImmediate(endTurn);
  }

  /** Commits at once where every client has appended: nothing can come that a turn would gather. */
  commitIfComplete(): void {
    if (this.clientsQueued > 0 && this.clientsQueued >= this.clientCount) this.flush();
  }

  private settle(error: Error | null): void {
    if (error !== null) {
      this.fence(error);
      return;
    }
    if (this.fenceReason !== null) return; // fenced meanwhile, and answered
    const { exports } = this.core;
    this.subscriptions.collect();
    const position = exports.getDurablePosition();
    const bytes = exports.getFlightLength();
    exports.batchSettle();
    this.meter.settled(exports.getDurablePosition() - position, bytes);
    if (this.durability === "fsync") exports.batchSynced();
    else this.scheduleSync();
    this.visibleStreams = this.sealedStreams;
    const batch = this.flightBatch;
    this.flightBatch = 0;
    this.notify(batch, "durable");
    this.subscriptions.deliver();
    this.advanceIndex();
    if (this.fenceReason !== null) return;
    this.settleRoom();
    if (exports.getFillLength() > 0) this.scheduleCommit();
    else this.scheduleMark();
    this.finishStop();
  }

  /** Opens the segment that appends wait for, and lets them go on. */
  private settleRoom(): void {
    if (this.isExtending) return;
    if (this.wantedBytes > 0 && this.pendingBatch() === 0 && this.fenceReason === null) {
      const bytes = this.wantedBytes;
      this.wantedBytes = 0;
      try {
        this.extendLog(bytes);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error; // those who wait are told when they try again
      }
    }
    if (this.wantedBytes === 0) this.releaseWaiters();
  }

  private releaseWaiters(): void {
    if (this.roomCallbacks.length === 0) return;
    const callbacks = this.roomCallbacks;
    this.roomCallbacks = [];
    for (const callback of callbacks) callback();
  }

  private notify(batch: number, outcome: Outcome): void {
    const callbacks = this.settledCallbacks.get(batch);
    if (callbacks === undefined) return;
    this.settledCallbacks.delete(batch);
    for (const callback of callbacks) callback(outcome);
  }

  /** A write or a sync failed: what it carried is uncertain, what waited is not written, and nothing follows. */
  private fence(error: Error): void {
    if (this.fenceReason !== null) return;
    this.fenceReason = `the log failed (${error.message}); restart the server to recover`;
    this.options.log(`read-only: ${this.fenceReason}`, "error");
    const flight = this.flightBatch;
    this.wantedBytes = 0;
    // Each batch counts as settled before its callbacks run, and not earlier: they ask.
    this.flightBatch = 0;
    if (flight > 0) this.notify(flight, "uncertain");
    this.notify(this.fillingBatch++, "unwritten");
    this.releaseWaiters();
    this.finishStop();
  }

  /** With durability "os": syncs what was written since the last sync. */
  private syncWritten(): void {
    if (!this.isUnsynced) return;
    this.log.sync();
    this.core.exports.batchSynced();
    this.isUnsynced = false;
  }

  /** Lets the index go on; with durability "os" it gets the sync that it waits for. */
  private advanceIndex(): void {
    try {
      if (this.index.awaitsSync) this.syncWritten();
    } catch (error) {
      this.fence(error as Error);
      return;
    }
    this.index.advance();
  }

  private scheduleSync(): void {
    this.isUnsynced = true;
    if (this.syncTimer !== null || this.options.schedules === false) return;
    this.syncTimer = setTimeout(() => {
      this.syncTimer = null;
      if (this.fenceReason !== null || this.flightBatch > 0) {
        if (this.fenceReason === null) this.scheduleSync();
        return;
      }
      try {
        this.syncWritten();
      } catch (error) {
        this.fence(error as Error);
      }
    }, OS_SYNC_INTERVAL_MS);
  }

  /** Claims, in a mark frame, that what was appended is synced; nothing where that is claimed already. */
  markIdle(): void {
    const { exports } = this.core;
    if (this.isMarked || this.fenceReason !== null || this.pendingBatch() > 0) return;
    if (this.isExtending) {
      this.scheduleMark();
      return;
    }
    try {
      this.syncWritten();
    } catch (error) {
      this.fence(error as Error);
      return;
    }
    this.isMarked = true;
    if (exports.addClaim(KIND_MARK, this.options.clock()) !== 0) this.flush();
  }

  private scheduleMark(): void {
    if (this.isMarked || this.idleTimer !== null || this.options.schedules === false) return;
    this.idleTimer = setTimeout(() => {
      this.idleTimer = null;
      if (performance.now() - this.lastCommitAt >= IDLE_MARK_MS) this.markIdle();
      else this.scheduleMark();
    }, IDLE_MARK_MS);
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
    if (!this.isStopping || this.stopped === null || this.isExtending) return;
    if (this.fenceReason === null && this.pendingBatch() > 0) {
      this.flush();
      return;
    }
    const stopped = this.stopped;
    this.stopped = null;
    if (this.fenceReason === null) this.writeEnd();
    this.close();
    stopped();
  }

  private writeEnd(): void {
    const { exports } = this.core;
    try {
      this.syncWritten();
      const isAdded = exports.addClaim(KIND_END, this.options.clock()) !== 0;
      assert(isAdded); // room for it is kept in every segment
      exports.batchSeal();
      this.log.appendNow();
      this.log.sync();
      this.log.end();
    } catch (error) {
      this.options.log(
        `the orderly end of the log was not noted: ${(error as Error).message}`,
        "error",
      );
    }
  }

  /** Closes the files without a word to the log, as a crash does: for tests, and after `stop`. */
  close(): void {
    if (this.idleTimer !== null) clearTimeout(this.idleTimer);
    if (this.syncTimer !== null) clearTimeout(this.syncTimer);
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
    return this.visibleStreams;
  }

  /** Why appends are refused, or null; asks the disk again where it had no room. */
  readOnlyReason(): string | null {
    if (this.fenceReason !== null) return this.fenceReason;
    if (this.noRoomReason !== null && this.pendingBatch() === 0 && this.wantedBytes === 0) {
      try {
        this.extendLog(0);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
    }
    return this.fenceReason ?? this.noRoomReason ?? this.indexBehindReason();
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
    const { exports } = this.core;
    return {
      cacheBytes: exports.cacheBytes(),
      cacheBytesMax: this.options.cacheBytes ?? CACHE_BYTES_DEFAULT,
      indexMemoryBytesMax: this.options.indexMemoryBytes ?? INDEX_MEMORY_BYTES_DEFAULT,
      memtableCount: exports.getMemtableCount(),
      memtableBytes: exports.memtableBytes(),
      filterBytes: exports.runsBytes(),
      pageBytes: exports.pagesBytes(),
      pageReads: exports.getPageReads(),
      runCount: this.index.runCount,
      diskBytes: this.index.diskBytes,
      makerBytes: this.index.makerBytes,
      failureReason: this.index.failureReason,
    };
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

function uuidText(bytes: Uint8Array): string {
  assert(bytes.length === UUID_BYTES);
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
