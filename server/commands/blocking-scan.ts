/**
 * A read with BLOCK: as long as its range holds nothing that matches, it waits for a batch that may bring something.
 *
 * A wait is an entry among those who listen to the store, and a timer; nothing is looked at twice.
 */

import type { Encoding } from "../core/encoding.ts";
import type { OutputArea } from "../core/output-area.ts";
import type { EventStore } from "../store/event-store.ts";
import { Filter } from "../store/filter.ts";
import type { FilteredScan, ScanSource } from "../store/filtered-scan.ts";
import type { Interest } from "../store/interest.ts";
import type { SlicedWork, Wait } from "../store/slice-queue.ts";
import type { RangeRequest } from "./read-options.ts";

/** The longest time that a timer takes. A wait without limit has none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class BlockingScan implements SlicedWork {
  /** What answers the read, once the work is done. */
  scan: FilteredScan;
  /** Whether the answer says where to go on: with a filter, or by position. */
  readonly withNext: boolean;
  private readonly store: EventStore;
  private readonly source: ScanSource;
  private readonly filter: Filter;
  private readonly encoding: Encoding;
  private readonly to: number;
  private readonly count: number;
  /** By the monotonic clock. */
  private readonly deadlineMs: number;
  /** Positions below it are visible to the scan. */
  private seenEnd = 0;
  private isWaiting = false;
  private isOver = false;

  /** `blockMs` of the request is a number. Throws AHEAD. */
  constructor(store: EventStore, source: ScanSource, request: RangeRequest, encoding: Encoding) {
    this.store = store;
    this.source = source;
    this.filter = request.filter ?? new Filter();
    this.withNext = request.filter !== null || source.kind === "log";
    this.encoding = encoding;
    this.to = request.to;
    this.count = request.count;
    const blockMs = Math.min(request.blockMs || Number.POSITIVE_INFINITY, this.matchingMs());
    this.deadlineMs = performance.now() + blockMs;
    this.scan = this.begin(request.from);
  }

  get heldBytes(): number {
    return this.scan.heldBytes;
  }

  advance(area: OutputArea): boolean {
    if (this.isWaiting) {
      if (this.isOver) return true;
      this.isWaiting = false;
      this.scan = this.begin(this.scan.next as number);
    }
    if (!this.scan.advance(area)) return false;
    const { eventCount, hasMore, next } = this.scan;
    if (eventCount > 0 || hasMore || next === null || this.count === 0) return true;
    if (this.store.subscriptions.end > this.seenEnd) {
      this.scan = this.begin(next); // what came meanwhile
      return false;
    }
    this.isWaiting = true;
    return this.isOver || performance.now() >= this.deadlineMs;
  }

  wait(wake: () => void): Wait | null {
    if (!this.isWaiting) return this.scan.wait(wake);
    const leave = this.store.subscriptions.wait(interestOf(this.source), () => end());
    const left = Math.min(this.deadlineMs - performance.now(), TIMER_MS_MAX);
    const release = (): void => {
      this.isOver = true;
      end();
    };
    const timer =
      this.deadlineMs === Number.POSITIVE_INFINITY ? null : setTimeout(release, Math.max(0, left));
    const cancel = (): void => {
      leave();
      if (timer !== null) clearTimeout(timer);
    };
    const end = (): void => {
      cancel();
      wake();
    };
    return { release, cancel };
  }

  /** For how long what is appended may still match, since ASOF is a time. */
  private matchingMs(): number {
    const { asOf } = this.filter;
    const leftMs = asOf === null ? TIMER_MS_MAX : asOf + 1 - this.store.now();
    return leftMs >= TIMER_MS_MAX ? Number.POSITIVE_INFINITY : leftMs;
  }

  private begin(from: number): FilteredScan {
    const { store, source, to, count, filter, encoding } = this;
    this.seenEnd = store.subscriptions.end;
    return store.openFilteredScan(source, { from, to, count, isReverse: false }, filter, encoding);
  }
}

function interestOf(source: ScanSource): Interest {
  const start = { number: 0, position: 0 };
  if (source.kind === "log") return { kind: "log", position: 0 };
  if (source.kind === "partition") {
    return { kind: "partitions", partitions: [{ partition: source.partition, start }] };
  }
  const { streamId, key } = source;
  return { kind: "streams", streams: [{ streamId, key, start }], patterns: [] };
}
