/**
 * One subscription: a place in the log that moves on, either behind (it reads the log, in slices) or live (settled
 * batches tell it where its events are).
 *
 * Whatever its sources are, its events come in the order of positions, which is also that of a stream's versions and a
 * partition's sequences; so all that it keeps is positions. It is never given more than its sink has room for. A live one that
 * cannot keep up drops what it was told and is behind again: the log has it.
 */
import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { MemoryRefused } from "../core/core.ts";
import type { Encoding } from "../core/encoding.ts";
import { StoreError, tooLarge } from "../errors.ts";
import { PENDING_EVENTS_MAX, PROGRESS_EVENTS } from "../limits.ts";
import type { EventEncoder } from "./event-encoder.ts";
import {
  firstPosition,
  firstStart,
  type Interest,
  type PatternInterest,
  type StreamInterest,
} from "./interest.ts";
import { interestProgram } from "./interest-program.ts";
import type { Argument, LiveIndex, LiveListener } from "./live-index.ts";
import { PositionMerge } from "./position-merge.ts";
import { POSITIONS_PER_READ, type PositionReader } from "./position-reader.ts";

/** Where a subscription's events go. It knows what carries them; the subscription does not. */
export interface SubscriptionSink {
  /** How each event is encoded. */
  readonly encoding: Encoding;
  /** Whether it is told of `progress`, and `caughtUp`. */
  readonly wantsProgress: boolean;
  /** Bytes of events that may wait for room (they are counted, not held). Above: `failed`. */
  readonly backlogBytesMax: number;
  /** How many events it takes now. After 0 it must call the subscription's `resume` when it takes some again. */
  room(): number;
  /** Takes the events, `events.count` rows, within the call: at most as many as `room` said. */
  take(events: EventEncoder): void;
  /** Everything up to this position was examined; -1 before the first event. */
  progress(position: number): void;
  /** The same, once: the history is through, and what comes now is new. */
  caughtUp(position: number): void;
  /** The subscription has ended by itself: an event is damaged, or its backlog too large. */
  failed(error: StoreError): void;
}

/** What subscriptions share. */
export interface SubscriptionHost {
  readonly core: Core;
  readonly reader: PositionReader;
  readonly encoder: EventEncoder;
  readonly index: LiveIndex;
  readonly partitions: number;
  /** Runs it when the batch has settled that it has heard of. */
  wake(subscription: Subscription): void;
  /** Runs it soon. */
  queue(subscription: Subscription): void;
  ended(subscription: Subscription): void;
}

/** Bytes of an encoded event beyond its texts, about. */
const EVENT_FIXED_BYTES = 400;
/** A merge asks for at most so many positions at a time. */
const MERGED_PER_READ = 512;
/** Progress is told a step early, so that it is not late by one. */
const PROGRESS_DUE_EVENTS = PROGRESS_EVENTS - POSITIONS_PER_READ;
/** Reading this many events of the log costs about as much as opening one list of a merge. */
const EVENTS_PER_LIST = 4;

export class Subscription implements LiveListener {
  /** Whether it waits in the host's queue. */
  isQueued = false;
  /** Whether the host knows that it has heard of something. */
  isWoken = false;
  readonly sink: SubscriptionSink;
  private readonly host: SubscriptionHost;
  private readonly interest: Interest;
  private readonly filter: Uint8Array | null;
  private readonly leave: () => void;
  private readonly leaveAdded = new Map<StreamInterest | PatternInterest, () => void>();
  /** The interest for the core; undefined until it is asked for. */
  private program: Uint8Array | null | undefined;
  private isEnded = false;
  private isBehind: boolean;
  /** Behind: positions below it are examined or pending. */
  private next: number;
  private merge: PositionMerge | null = null;
  /** Positions of events to look at, from index `pendingAt` on; whether the interest has to be asked of each. */
  private pending: number[] = [];
  private pendingAt = 0;
  private asksInterest = false;
  private lastHeard = -1;
  private claimed = -1;
  private backlogBytes = 0;
  private hasCaughtUp = false;
  /** Its sink knows that everything below was examined. */
  private toldEnd: number;

  constructor(
    host: SubscriptionHost,
    interest: Interest,
    filter: Uint8Array | null,
    sink: SubscriptionSink,
  ) {
    this.host = host;
    this.interest = interest;
    this.filter = filter;
    this.sink = sink;
    this.next = Math.min(firstPosition(interest), host.reader.end);
    this.toldEnd = this.next;
    this.isBehind = this.next < host.reader.end;
    this.leave = host.index.enter(interest, this);
    host.queue(this);
  }

  /** The sink has room again. */
  resume(): void {
    if (this.isEnded || this.isQueued) return;
    if (this.isBehind || this.pendingCount > 0 || !this.hasCaughtUp) this.host.queue(this);
  }

  /** Takes one stream or pattern more, from the end of what is durable on. Throws MemoryRefused. */
  add(argument: StreamInterest | PatternInterest): void {
    assert(this.interest.kind === "streams" && argument.start.position === this.host.reader.end);
    const isStream = "streamId" in argument;
    const entered: Interest = {
      kind: "streams",
      streams: isStream ? [argument] : [],
      patterns: isStream ? [] : [argument],
    };
    this.leaveAdded.set(argument, this.host.index.enter(entered, this));
    if (isStream) this.interest.streams.push(argument);
    else this.interest.patterns.push(argument);
    this.interestChanged();
  }

  /** Takes what was added no longer. The sink may still be given some of it. */
  remove(argument: StreamInterest | PatternInterest): void {
    assert(this.interest.kind === "streams");
    this.leaveAdded.get(argument)?.();
    this.leaveAdded.delete(argument);
    const { streams, patterns } = this.interest;
    if ("streamId" in argument) streams.splice(streams.indexOf(argument), 1);
    else patterns.splice(patterns.indexOf(argument), 1);
    this.interestChanged();
  }

  private interestChanged(): void {
    this.program = undefined;
    this.merge = null; // the next one begins where this one was
  }

  /** Nothing comes of it after this. Once more is fine. */
  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.leave();
    for (const leave of this.leaveAdded.values()) leave();
    this.leaveAdded.clear();
    this.dropPending();
    this.merge = null;
    this.host.ended(this);
  }

  /** Positions below it were examined, and given where they match. */
  get examinedEnd(): number {
    if (this.pendingCount > 0) return this.pending[this.pendingAt] as number;
    return this.isBehind ? this.next : this.host.reader.end;
  }

  get isLive(): boolean {
    return !this.isBehind;
  }

  private get pendingCount(): number {
    return this.pending.length - this.pendingAt;
  }

  // ── what batches tell ───────────────────────────────────────────────────────────────────────────

  heard(argument: Argument, position: number, number: number, bytes: number): void {
    if (position === this.lastHeard) return;
    if ("streamId" in argument) {
      if (argument.key !== null && !this.host.index.keyIs(position, argument.key)) return;
      this.claimed = position;
    } else if (position === this.claimed) {
      return; // an argument that names the stream beats a pattern's start
    }
    if (number < argument.start.number) return;
    this.lastHeard = position;
    this.backlogBytes += bytes + EVENT_FIXED_BYTES;
    if (!this.isBehind) this.pending.push(position);
    if (!this.isBehind || this.isOverrun) this.host.wake(this);
  }

  heardLog(): void {
    if (this.isBehind) return;
    this.isBehind = true;
    this.host.wake(this);
  }

  private get isOverrun(): boolean {
    return this.backlogBytes > this.sink.backlogBytesMax;
  }

  // ── running ─────────────────────────────────────────────────────────────────────────────────────

  /** Gives the sink some events. Returns whether there may be more for it now. */
  run(): boolean {
    if (this.isEnded) return false;
    try {
      return this.step();
    } catch (error) {
      const failure = failureOf(error);
      this.end();
      this.sink.failed(failure);
      return false;
    }
  }

  private step(): boolean {
    const room = Math.floor(this.sink.room());
    if (room <= 0) {
      this.wait();
      return false;
    }
    if (this.pendingCount === 0 && this.isBehind && !this.refill()) return true;
    if (this.pendingCount > 0) this.give(room);
    if (this.isEnded) return false;
    if (this.pendingCount > 0) return true;
    if (this.isBehind && this.next < this.host.reader.end) {
      this.tellProgress();
      return true;
    }
    this.isBehind = false;
    this.backlogBytes = 0;
    if (this.hasCaughtUp) {
      this.tellProgress();
    } else {
      this.hasCaughtUp = true;
      this.toldEnd = this.host.reader.end;
      if (this.sink.wantsProgress) this.sink.caughtUp(this.toldEnd - 1);
    }
    return false;
  }

  /** There is no room. Few positions are kept; for many the log is read again. */
  private wait(): void {
    if (this.isOverrun) {
      throw tooLarge(
        "the backlog of a subscriber in bytes",
        this.sink.backlogBytesMax,
        this.backlogBytes,
      );
    }
    if (this.isBehind || this.pendingCount <= PENDING_EVENTS_MAX) return;
    this.next = this.examinedEnd;
    this.isBehind = true;
    this.dropPending();
  }

  private dropPending(): void {
    this.pending.length = 0;
    this.pendingAt = 0;
  }

  /** Behind: finds where events to look at are. False: that goes on in the next step. */
  private refill(): boolean {
    const { reader } = this.host;
    const left = reader.end - this.next;
    if (left <= 0) return true;
    if (this.merge === null && this.walksLog(left)) {
      this.asksInterest = true;
      this.next = reader.logPositions(this.next, this.filter, POSITIONS_PER_READ, this.pending);
      return true;
    }
    this.merge ??= new PositionMerge(reader, this.interest, this.next, this.patternsFirst());
    if (!this.merge.open()) return false;
    this.asksInterest = false;
    this.next = this.merge.take(MERGED_PER_READ, this.pending);
    if (this.next >= this.merge.end) this.merge = null;
    return true;
  }

  /** Whether the log itself is read, and not the lists of streams or partitions. */
  private walksLog(left: number): boolean {
    const { interest } = this;
    if (interest.kind === "log" || this.next >= this.patternsFirst()) return true;
    const lists = interest.kind === "streams" ? interest.streams : interest.partitions;
    return lists.length * EVENTS_PER_LIST >= left;
  }

  /** The position from which on patterns may take events: before it the streams named are all there is. */
  private patternsFirst(): number {
    const { interest } = this;
    if (interest.kind !== "streams") return Number.POSITIVE_INFINITY;
    return firstStart(interest.patterns);
  }

  private give(room: number): void {
    const { encoder } = this.host;
    const interest = this.isBehind && this.asksInterest ? this.interestProgram() : null;
    encoder.examine(this.pending, this.pendingAt, room, interest, this.filter, this.sink.encoding);
    this.pendingAt += encoder.examined;
    if (this.pendingAt === this.pending.length) this.dropPending();
    if (encoder.count === 0) return;
    this.toldEnd = encoder.position(encoder.count - 1) + 1;
    for (let row = 0; row < encoder.count; row++) this.backlogBytes -= encoder.bodySize(row);
    this.backlogBytes = Math.max(0, this.backlogBytes);
    this.sink.take(encoder);
  }

  private interestProgram(): Uint8Array | null {
    const { core, partitions } = this.host;
    this.program ??= interestProgram(core, this.interest, partitions);
    return this.program;
  }

  /** Tells the sink how far it is, where that is due since many events did not match. */
  private tellProgress(): void {
    if (this.examinedEnd - this.toldEnd >= PROGRESS_DUE_EVENTS) this.tellProgressNow();
  }

  /** A batch has settled: as `tellProgress`, for one that has nothing to do with it. */
  batchSettled(): void {
    if (!this.isBehind && this.pendingCount === 0) this.tellProgress();
  }

  /** Tells the sink how far it is. */
  tellProgressNow(): void {
    if (!this.sink.wantsProgress) return;
    this.toldEnd = this.examinedEnd;
    this.sink.progress(this.toldEnd - 1);
  }
}

function failureOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof MemoryRefused) return new StoreError("READONLY", error.message);
  throw error;
}
