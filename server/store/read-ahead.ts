/**
 * Reads the log ahead of walks over it, in a thread, so that the event loop does not wait for the disk.
 *
 * What the thread reads is thrown away: then the system has it in memory, and a block of it is loaded at once. A walk that
 * comes to what was not read waits for it as for anything else, between two slices. Once it is there the next stretch
 * is read, so that a walk which the disk can keep up with does not wait again.
 */

import { READ_AHEAD_BYTES_MAX, READ_AHEAD_BYTES_MIN } from "../limits.ts";
import type { Log, LogRange } from "../log/log.ts";
import type { Wait } from "./slice-queue.ts";

/** Stretches that are remembered as read: a few walks at a time, and what each was given last. */
const STRETCHES_KEPT = 16;
/** Blocks that a walk loads itself before it is taken for one: most reads end sooner, and find them in memory. */
const BLOCKS_BEFORE = 4;

interface Stretch extends LogRange {
  readonly isReverse: boolean;
}

export class ReadAhead {
  private readonly log: Log;
  private readonly logEnd: () => number;
  private readonly later: (work: () => void) => void;
  private reading: Stretch | null = null;
  /** The oldest first. */
  private readonly read: Stretch[] = [];
  private readonly waiting = new Set<() => void>();

  /**
   * `logEnd` is the log offset below which everything is durable. Who has waited is woken in `later`, a turn of its own: what
   * threads have done is told all at once, before sockets are looked at.
   */
  constructor(log: Log, logEnd: () => number, later: (work: () => void) => void) {
    this.log = log;
    this.logEnd = logEnd;
    this.later = later;
  }

  /**
   * Whether a walk may read what lies at a log offset. Else that is going to be in memory: `wait`, and ask again. A walk
   * that has just begun reads what nobody reads ahead.
   */
  has(offset: number, isReverse: boolean, hasJustBegun: boolean): boolean {
    const found = this.read.find((stretch) => holds(stretch, offset));
    if (found !== undefined) {
      if (this.reading === null && found.isReverse === isReverse) this.startBehind(found);
      return true;
    }
    if (this.reading === null && !hasJustBegun) this.start(offset, READ_AHEAD_BYTES_MIN, isReverse);
    if (this.reading === null) return true;
    return hasJustBegun && !holds(this.reading, offset);
  }

  /** Calls back, once, when a stretch more was read. The function returned ends the wait before that. */
  wait(callback: () => void): () => void {
    this.waiting.add(callback);
    return () => this.waiting.delete(callback);
  }

  /** Reads what follows a stretch, up to twice as much, unless that was read. */
  private startBehind({ start, end, isReverse }: Stretch): void {
    const next = isReverse ? start - 1 : end;
    if (next < 0 || next >= this.logEnd()) return;
    if (this.read.some((other) => holds(other, next))) return;
    this.start(next, Math.min(2 * (end - start), READ_AHEAD_BYTES_MAX), isReverse);
  }

  /** Reads about so many bytes from an offset on, or up to it. Nothing where there is no thread for it. */
  private start(offset: number, bytes: number, isReverse: boolean): void {
    const least = offset - (offset % READ_AHEAD_BYTES_MIN);
    const range = isReverse
      ? {
          start: Math.max(0, least + READ_AHEAD_BYTES_MIN - bytes),
          end: least + READ_AHEAD_BYTES_MIN,
        }
      : { start: least, end: Math.max(least + READ_AHEAD_BYTES_MIN, least + bytes) };
    range.end = Math.min(range.end, this.logEnd());
    const read = this.log.readAhead(offset, range, () => this.finish());
    if (read !== null) this.reading = { ...read, isReverse };
  }

  private finish(): void {
    if (this.reading !== null) this.read.push(this.reading);
    if (this.read.length > STRETCHES_KEPT) this.read.shift();
    this.reading = null;
    if (this.waiting.size > 0) this.later(() => this.wake());
  }

  private wake(): void {
    const woken = [...this.waiting];
    this.waiting.clear();
    for (const callback of woken) callback();
  }
}

function holds({ start, end }: LogRange, offset: number): boolean {
  return offset >= start && offset < end;
}

/** The reads of one walk. */
export class WalkReads {
  private readonly readAhead: ReadAhead;
  private readonly isReverse: boolean;
  private blockCount = 0;
  private isWaiting = false;
  private isHurried = false;

  constructor(readAhead: ReadAhead, isReverse: boolean) {
    this.readAhead = readAhead;
    this.isReverse = isReverse;
  }

  /** Whether a block may be loaded at once; else the walk is to pause, and `wait`. */
  mayLoad(offset: number): boolean {
    if (this.isHurried) return true;
    const hasJustBegun = ++this.blockCount <= BLOCKS_BEFORE;
    this.isWaiting = !this.readAhead.has(offset, this.isReverse, hasJustBegun);
    return !this.isWaiting;
  }

  /** What a paused walk has to wait for: null where that is nothing but its next turn. */
  wait(wake: () => void): Wait | null {
    if (!this.isWaiting) return null;
    this.isWaiting = false;
    const cancel = this.readAhead.wait(wake);
    const release = (): void => {
      this.isHurried = true;
      cancel();
      wake();
    };
    return { release, cancel };
  }
}
