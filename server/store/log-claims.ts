/**
 * What the log says of its own durability: a mark frame once it has been idle, an end frame at an orderly stop. Both claim
 * that what lies before them is synced, so with durability "os", where batches are not, it is synced here: before each
 * claim, before a new segment, and after a while.
 */
import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { KIND_END, KIND_MARK } from "../core/status.ts";
import type { Log } from "../log/log.ts";
import type { Tell } from "../stderr-log.ts";
import type { CommitPipeline } from "./commit-pipeline.ts";

/** After this long without an append a mark frame claims what was synced. */
const IDLE_MARK_MS = 1_000;
/** With durability "os" the log is synced at least this often. */
const OS_SYNC_INTERVAL_MS = 1_000;

export interface LogClaimsOptions {
  readonly core: Core;
  readonly log: Log;
  readonly commits: CommitPipeline;
  /** Whether a batch that was written is synced too. */
  readonly syncsBatches: boolean;
  /** False: the owner calls `markIdle` itself. */
  readonly schedules: boolean;
  readonly clock: () => number;
  readonly tell: Tell;
  /** Whether a new segment is being made: nothing can be written then. */
  readonly isExtending: () => boolean;
}

export class LogClaims {
  /** Whether all that was appended is claimed. */
  isMarked = true;
  private readonly options: LogClaimsOptions;
  private isUnsynced = false;
  private idleTimer: Timer | null = null;
  private syncTimer: Timer | null = null;

  constructor(options: LogClaimsOptions) {
    this.options = options;
  }

  /** A batch was written. */
  written(): void {
    if (this.options.syncsBatches) this.options.core.exports.batchSynced();
    else this.scheduleSync();
  }

  /** Syncs what was written since the last sync. Throws what the disk says. */
  syncWritten(): void {
    if (!this.isUnsynced) return;
    this.options.log.sync();
    this.options.core.exports.batchSynced();
    this.isUnsynced = false;
  }

  /** The same; false where the disk did not let it, and the log is fenced. */
  trySync(): boolean {
    try {
      this.syncWritten();
      return true;
    } catch (error) {
      this.options.commits.fence(error as Error);
      return false;
    }
  }

  private scheduleSync(): void {
    this.isUnsynced = true;
    const { commits, schedules } = this.options;
    if (this.syncTimer !== null || !schedules) return;
    this.syncTimer = setTimeout(() => {
      this.syncTimer = null;
      if (commits.fenceReason !== null) return;
      if (commits.isInFlight) this.scheduleSync();
      else this.trySync();
    }, OS_SYNC_INTERVAL_MS);
  }

  /** Claims, in a mark frame, that what was appended is synced; nothing where that is claimed already. */
  markIdle(): void {
    const { core, commits, clock, isExtending } = this.options;
    if (this.isMarked || commits.fenceReason !== null || commits.pendingBatch() > 0) return;
    if (isExtending()) {
      this.scheduleMark();
      return;
    }
    if (!this.trySync()) return;
    this.isMarked = true;
    if (core.exports.addClaim(KIND_MARK, clock()) !== 0) commits.flush();
  }

  scheduleMark(): void {
    if (this.isMarked || this.idleTimer !== null || !this.options.schedules) return;
    this.idleTimer = setTimeout(() => {
      this.idleTimer = null;
      const idleMs = performance.now() - this.options.commits.lastCommitAt;
      if (idleMs >= IDLE_MARK_MS) this.markIdle();
      else this.scheduleMark();
    }, IDLE_MARK_MS);
  }

  /** Notes an orderly stop in an end frame, and where it is; nothing is appended after it. Never throws. */
  writeEnd(): void {
    const { core, log, clock, tell } = this.options;
    try {
      this.syncWritten();
      const isAdded = core.exports.addClaim(KIND_END, clock()) !== 0;
      assert(isAdded); // room for it is kept in every segment
      core.exports.batchSeal();
      log.appendNow();
      log.sync();
      log.end();
    } catch (error) {
      tell(`the orderly end of the log was not noted: ${(error as Error).message}`, "error");
    }
  }

  close(): void {
    if (this.idleTimer !== null) clearTimeout(this.idleTimer);
    if (this.syncTimer !== null) clearTimeout(this.syncTimer);
  }
}
