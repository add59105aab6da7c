/**
 * Room in the log for what is appended: when the segment is full, the next one is opened, and appends wait for it in
 * order. Where the disk has no room they are refused, and go on by themselves once it has some.
 */
import type { Core } from "../core/core.ts";
import { StoreError } from "../errors.ts";
import type { LocalLog } from "../log/local/local-log.ts";
import { NoRoom, type Room } from "../log/log.ts";
import type { Tell } from "../stderr-log.ts";
import { readOnly } from "./append-refusal.ts";
import type { CommitPipeline } from "./commit-pipeline.ts";
import type { LogClaims } from "./log-claims.ts";

/** After the disk had no room, it is asked again at the earliest after this. */
const ROOM_RETRY_MS = 250;

export interface LogRoomOptions {
  readonly core: Core;
  readonly log: LocalLog;
  readonly commits: CommitPipeline;
  readonly claims: LogClaims;
  readonly clock: () => number;
  readonly tell: Tell;
  /** A segment was opened, or was not, in a later turn than it was asked for. */
  readonly extended: () => void;
}

export class LogRoom {
  /** Why the disk takes no more, or null. */
  noRoomReason: string | null = null;
  /** A new segment is being made in a thread: nothing is written meanwhile. */
  isExtending = false;
  private readonly options: LogRoomOptions;
  private callbacks: (() => void)[] = [];
  /** Bytes for which a new segment is needed; appends wait for it in order. */
  private wantedBytes = 0;
  private refusedAt = 0;

  constructor(options: LogRoomOptions) {
    this.options = options;
  }

  /** Whether appends wait for a new segment. */
  get isWaiting(): boolean {
    return this.wantedBytes > 0;
  }

  /** Calls back, once, when an append that found no room should be tried again. */
  whenRoom(callback: () => void): void {
    this.callbacks.push(callback);
  }

  /** Makes room for a transaction now, or sees to it that there will be: then false. Throws READONLY. */
  make(bytes: number): boolean {
    const { core, commits } = this.options;
    if (core.exports.segmentLacksRoom(bytes) === 0) {
      commits.schedule(); // the batch is full
      return false;
    }
    if (commits.pendingBatch() === 0) return this.extend(bytes);
    this.wantedBytes = bytes;
    commits.schedule();
    return false;
  }

  /** Opens the segment that appends wait for, and lets them go on. */
  settle(): void {
    if (this.isExtending) return;
    const { commits } = this.options;
    if (this.wantedBytes > 0 && commits.pendingBatch() === 0 && commits.fenceReason === null) {
      const bytes = this.wantedBytes;
      this.wantedBytes = 0;
      try {
        this.extend(bytes);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error; // those who wait are told when they try again
      }
    }
    if (this.wantedBytes === 0) this.release();
  }

  /** The log is fenced: whoever waits for room is told when it tries again. */
  giveUp(): void {
    this.wantedBytes = 0;
    this.release();
  }

  /** Lets those who wait try again. */
  release(): void {
    if (this.callbacks.length === 0) return;
    const { callbacks } = this;
    this.callbacks = [];
    for (const callback of callbacks) callback();
  }

  /** Asks the disk again where it had no room. */
  askAgain(): void {
    const { commits } = this.options;
    if (this.noRoomReason === null || this.wantedBytes > 0) return;
    if (commits.fenceReason !== null || commits.pendingBatch() > 0) return;
    try {
      this.extend(0);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /**
   * Opens a new segment; nothing waits to be written. False: it will be there in a later turn, and appends wait for it.
   * Throws READONLY where the disk has no room.
   */
  private extend(bytes: number): boolean {
    const { core, log, commits, claims, clock } = this.options;
    const { exports } = core;
    const sinceRefusalMs = clock() - this.refusedAt; // negative where the clock was set back
    if (this.noRoomReason !== null && sinceRefusalMs >= 0 && sinceRefusalMs < ROOM_RETRY_MS) {
      throw readOnly(this.noRoomReason);
    }
    this.isExtending = true;
    let isTurnOver = false;
    const extended = (result: Room | Error): void => {
      this.isExtending = false;
      this.wantedBytes = 0;
      this.take(result);
      if (!isTurnOver) return;
      this.release();
      this.options.extended();
    };
    try {
      claims.syncWritten();
      log.extend(
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
    const reason = commits.fenceReason ?? this.noRoomReason;
    if (reason !== null) throw readOnly(reason);
    return true;
  }

  /** Goes on in a new segment, or notes why there is none. */
  private take(result: Room | Error): void {
    const { log, commits, clock, tell } = this.options;
    if (!(result instanceof Error)) {
      try {
        log.enter(result);
      } catch (error) {
        commits.fence(error as Error); // the segment has its name, but not its beginning in memory
        return;
      }
      if (this.noRoomReason !== null) tell("the disk has room again: appends go on");
      this.noRoomReason = null;
    } else if (result instanceof NoRoom) {
      if (this.noRoomReason === null) tell(`read-only: ${result.message}`, "error");
      this.noRoomReason = result.message;
      this.refusedAt = clock();
    } else {
      commits.fence(result);
    }
  }
}
