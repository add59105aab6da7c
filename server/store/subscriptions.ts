/**
 * Live reading: the one mechanism under ESUB and EPSUB, Server-Sent Events, SUBSCRIBE and BLOCK.
 *
 * A door opens a subscription with three things: an `Interest` (interest.ts: streams by name, patterns, partitions or the
 * log, and where each begins), a `Filter` or null, and a `SubscriptionSink` (subscription.ts), which is the door's own:
 *
 *     const subscription = store.subscriptions.open(interest, filter, sink);
 *     …
 *     sink.room()       → how many events it takes now; 0 where the socket is full or a window is used up
 *     sink.take(events) → rows of encoded events (event-encoder.ts), in the order of positions, valid within the call:
 *                         it frames them as its protocol does and writes them, and may end the subscription meanwhile
 *     subscription.resume()   when there is room again: nothing comes after a `room` of 0 without it
 *     subscription.end()      when its connection goes, whatever state it is in
 *
 * "From now on" is the position `store.subscriptions.end` at the time of opening. The first events come in a later turn
 * of the event loop, never within `open`. For BLOCK, `wait` calls back once when a batch has something of an interest.
 *
 * How it works: `collect` runs when a batch's sync has returned, just before it settles, and tells the live ones where
 * their events are (live-index.ts). `deliver` runs when the batch's appends were answered, and gives out events in the
 * same turn. All who have something to get stand in one queue, and are given some events at a time in rotation, so that many who
 * follow the same events get the same encoded bytes. While appends come in, the queue has a share of the time
 * from one batch to the next; else it has a slice of each turn.
 */
import type { Core } from "../core/core.ts";
import { OutputArea } from "../core/output-area.ts";
import { PROGRESS_MS, PUSH_BYTES, SLICE_MS } from "../limits.ts";
import type { BlockLoader } from "./block-loader.ts";
import { EventEncoder } from "./event-encoder.ts";
import type { Filter } from "./filter.ts";
import type { Interest } from "./interest.ts";
import { LiveIndex, type LiveListener } from "./live-index.ts";
import { PositionReader } from "./position-reader.ts";
import type { SliceQueue } from "./slice-queue.ts";
import { Subscription, type SubscriptionHost, type SubscriptionSink } from "./subscription.ts";

/** Between two looks at who is to hear of progress, positions. */
const PROGRESS_CHECK_EVENTS = 256;
/** What giving out events may take of the time from one batch to the next, at most `SLICE_MS`. */
const DELIVER_SHARE = 1 / 3;
/** For so long after a batch one subscriber at a time is given something, and sockets are looked at in between. */
const APPENDS_NEAR_MS = 2;

export interface SubscriptionsOptions {
  readonly core: Core;
  readonly blocks: BlockLoader;
  readonly slices: SliceQueue;
  readonly partitions: number;
  /** Whether appends are queued that the end of this turn or one of the next commits. */
  readonly isCommitting: () => boolean;
}

export class Subscriptions {
  private readonly options: SubscriptionsOptions;
  private liveIndex: LiveIndex | null = null;
  private readonly live = new Set<Subscription>();
  private readonly progressing = new Set<Subscription>();
  /** Made with the first subscription: most stores in tests, and many servers, have none. */
  private host: SubscriptionHost | null = null;
  /** Who has heard of the batch that settles. */
  private woken: (Subscription | Waiter)[] = [];
  /** Who has something to do, in turn; from index `queueAt` on. */
  private queue: Subscription[] = [];
  private queueAt = 0;
  private isScheduled = false;
  /** When the last batch's events were given out. */
  private deliveredAt = 0;
  private waiterCount = 0;
  private framesArea: OutputArea | null = null;
  private progressEnd = 0;
  private progressTimer: Timer | null = null;

  constructor(options: SubscriptionsOptions) {
    this.options = options;
  }

  /** An area in which sinks frame what they take: empty when `take` begins, and to be left so. */
  get frames(): OutputArea {
    this.framesArea ??= new OutputArea(this.options.core, 2 * PUSH_BYTES);
    return this.framesArea;
  }

  /** Where "from now on" begins: the position of the next event that will be durable. */
  get end(): number {
    return this.options.core.exports.getDurablePosition();
  }

  /** Subscriptions that there are, of all kinds. */
  get count(): number {
    return this.live.size;
  }

  /** How many of them read the log now, or would if they had room. */
  get behindCount(): number {
    let count = 0;
    for (const subscription of this.live) if (!subscription.isLive) count++;
    return count;
  }

  /** Events that the one furthest behind has yet to examine. */
  get lagEvents(): number {
    let lag = 0;
    for (const { examinedEnd } of this.live) lag = Math.max(lag, this.end - examinedEnd);
    return lag;
  }

  /** Those who wait in `wait`. */
  get waitingCount(): number {
    return this.waiterCount;
  }

  /** Opens a subscription. Throws MemoryRefused where the core has no memory for it. */
  open(interest: Interest, filter: Filter | null, sink: SubscriptionSink): Subscription {
    const subscription = new Subscription(
      this.subscriptionHost(),
      interest,
      filter?.program() ?? null,
      sink,
    );
    this.live.add(subscription);
    if (sink.wantsProgress) {
      this.progressing.add(subscription);
      this.progressTimer ??= setInterval(() => this.tellProgress(), PROGRESS_MS);
    }
    return subscription;
  }

  /**
   * Calls back, once, when a batch with something of the interest has settled (starts are not looked at). The function
   * returned ends the wait before that; later it does nothing.
   */
  wait(interest: Interest, callback: () => void): () => void {
    const waiter = new Waiter(callback, (heard) => this.woken.push(heard));
    const leave = this.index.enter(interest, waiter);
    this.waiterCount++;
    waiter.end = () => {
      waiter.end = () => {};
      waiter.isEnded = true;
      this.waiterCount--;
      leave();
    };
    return () => waiter.end();
  }

  /** The batch in flight is synced and is about to settle: finds out whom it concerns. */
  collect(): void {
    this.liveIndex?.collect(this.end, this.options.core.exports.getFlightPosition());
  }

  /** The batch has settled, and its appends were answered: gives its events to those who are live. */
  deliver(): void {
    if (this.woken.length > 0) {
      const { woken } = this;
      this.woken = [];
      for (const listener of woken) {
        if (listener instanceof Waiter) {
          listener.call();
        } else {
          listener.isWoken = false;
          this.enqueue(listener);
        }
      }
    }
    const sinceLastMs = performance.now() - this.deliveredAt;
    this.runQueue(Math.min(SLICE_MS, sinceLastMs * DELIVER_SHARE));
    this.deliveredAt = performance.now();
    this.checkProgress();
  }

  /** Ends all, without a word to their sinks. */
  close(): void {
    for (const subscription of [...this.live]) subscription.end();
    if (this.progressTimer !== null) clearInterval(this.progressTimer);
  }

  // ── those who have something to do ──────────────────────────────────────────────────────────────

  private enqueue(subscription: Subscription): void {
    if (subscription.isQueued) return;
    subscription.isQueued = true;
    this.queue.push(subscription);
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.options.slices.add(() => {
      this.isScheduled = false;
      // A commit that is due does not wait for subscribers: they have their share when it is done.
      if (this.options.isCommitting()) this.schedule();
      else this.runQueue(this.areAppendsNear ? 0 : SLICE_MS);
    });
  }

  /** Whether a batch has just settled: its clients' next appends may be there in any moment, and should not wait long. */
  private get areAppendsNear(): boolean {
    return performance.now() - this.deliveredAt < APPENDS_NEAR_MS;
  }

  /** Runs those in the queue in turn, each some events at a time, for so long; one of them at the least. */
  private runQueue(timeMs: number): void {
    if (this.queue.length === 0) return;
    const startedAt = performance.now();
    while (this.queueAt < this.queue.length) {
      const subscription = this.queue[this.queueAt++] as Subscription;
      subscription.isQueued = false;
      if (subscription.run()) {
        subscription.isQueued = true;
        this.queue.push(subscription);
      }
      if (performance.now() - startedAt > timeMs) break;
    }
    this.queue.splice(0, this.queueAt);
    this.queueAt = 0;
    if (this.queue.length > 0) this.schedule();
  }

  private get index(): LiveIndex {
    this.liveIndex ??= new LiveIndex(this.options.core);
    return this.liveIndex;
  }

  private subscriptionHost(): SubscriptionHost {
    if (this.host !== null) return this.host;
    const { core, blocks, partitions } = this.options;
    this.host = {
      core,
      partitions,
      index: this.index,
      reader: new PositionReader(core),
      encoder: new EventEncoder(core, blocks),
      wake: (subscription) => {
        if (subscription.isWoken) return;
        subscription.isWoken = true;
        this.woken.push(subscription);
      },
      queue: (subscription) => {
        this.enqueue(subscription);
        this.schedule();
      },
      ended: (subscription) => {
        this.live.delete(subscription);
        this.progressing.delete(subscription);
        if (this.progressing.size > 0 || this.progressTimer === null) return;
        clearInterval(this.progressTimer);
        this.progressTimer = null;
      },
    };
    return this.host;
  }

  // ── progress ────────────────────────────────────────────────────────────────────────────────────

  private checkProgress(): void {
    if (this.progressing.size === 0 || this.end - this.progressEnd < PROGRESS_CHECK_EVENTS) return;
    this.progressEnd = this.end;
    for (const subscription of this.progressing) subscription.batchSettled();
  }

  private tellProgress(): void {
    for (const subscription of this.progressing) subscription.tellProgressNow();
  }
}

/** Waits for one batch that has something of its interest. */
class Waiter implements LiveListener {
  isEnded = false;
  end: () => void = () => {};
  private isWoken = false;
  private readonly callback: () => void;
  private readonly wake: (waiter: Waiter) => void;

  constructor(callback: () => void, wake: (waiter: Waiter) => void) {
    this.callback = callback;
    this.wake = wake;
  }

  heard(): void {
    if (this.isWoken) return;
    this.isWoken = true;
    this.wake(this);
  }

  heardLog(): void {
    this.heard();
  }

  call(): void {
    if (this.isEnded) return;
    this.end();
    this.callback();
  }
}
