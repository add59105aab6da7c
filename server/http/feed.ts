/**
 * A feed of Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html): a subscription whose
 * events are framed as messages, and a stream that Bun pulls.
 *
 * Each message has an id, with which Last-Event-ID resumes exactly behind it. What was examined without a match
 * moves it on too: an `id:` without data, at the latest every 15 s. The stream takes bytes up to its mark; then the
 * subscription has no room and the log is not read for it, so that a client that does not read costs no more than that.
 */
import type { Encoding } from "../core/encoding.ts";
import type { StoreError } from "../errors.ts";
import { FEED_UNSENT_BYTES, PUSHED_EVENTS_MAX } from "../limits.ts";
import type { EventEncoder, FeedNumbers } from "../store/event-encoder.ts";
import type { EventStore } from "../store/event-store.ts";
import type { Filter } from "../store/filter.ts";
import type { Interest } from "../store/interest.ts";
import { PositionReader } from "../store/position-reader.ts";
import type { Subscription, SubscriptionSink } from "../store/subscription.ts";
import type { Subscriptions } from "../store/subscriptions.ts";

export interface FeedOptions {
  readonly interest: Interest;
  readonly filter: Filter | null;
  readonly encoding: Encoding;
  /** What its ids are. */
  readonly numbers: FeedNumbers;
  /** The id of the last event before its first one; -1 where it begins with 0. */
  readonly before: number;
  /** The last number that is examined, where all events up to a position are. */
  readonly examined: (position: number) => number;
}

/** Milliseconds after which a client connects again. */
const RETRY_MS = 2_000;

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** The feeds of a door that are open. */
export class Feeds {
  /** Says which versions and sequences lie below a position. */
  readonly positions: PositionReader;
  private readonly subscriptions: Subscriptions;
  private readonly open = new Set<FeedSink>();

  constructor({ core, subscriptions }: Pick<EventStore, "core" | "subscriptions">) {
    this.positions = new PositionReader(core);
    this.subscriptions = subscriptions;
  }

  /** The body of a feed: it begins at once, and ends when the client goes or an event is damaged. */
  body(options: FeedOptions): ReadableStream<Uint8Array> {
    let sink: FeedSink | null = null;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          controller.enqueue(Buffer.from(`retry: ${RETRY_MS}\n\n`));
          const begun = new FeedSink(this.subscriptions, options, controller, () =>
            this.open.delete(begun),
          );
          this.open.add(begun);
          sink = begun;
        },
        pull: () => sink?.resume(),
        cancel: () => sink?.end(),
      },
      { highWaterMark: FEED_UNSENT_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
    );
  }

  /** Ends all feeds, when the server stops: their clients come back with Last-Event-ID. */
  close(): void {
    for (const sink of [...this.open]) sink.close();
  }
}

class FeedSink implements SubscriptionSink {
  readonly encoding: Encoding;
  readonly wantsProgress = true;
  readonly backlogBytesMax = Number.POSITIVE_INFINITY;
  private readonly subscriptions: Subscriptions;
  private readonly options: FeedOptions;
  private readonly controller: Controller;
  private readonly forget: () => void;
  private readonly subscription: Subscription;

  constructor(
    subscriptions: Subscriptions,
    options: FeedOptions,
    controller: Controller,
    forget: () => void,
  ) {
    this.encoding = options.encoding;
    this.forget = forget;
    this.subscriptions = subscriptions;
    this.options = options;
    this.controller = controller;
    this.subscription = subscriptions.open(options.interest, options.filter, this);
  }

  resume(): void {
    this.subscription.resume();
  }

  /** The client is gone. */
  end(): void {
    this.forget();
    this.subscription.end();
  }

  close(): void {
    this.end();
    this.controller.close();
  }

  room(): number {
    return this.hasRoom ? PUSHED_EVENTS_MAX : 0;
  }

  take(events: EventEncoder): void {
    const { frames } = this.subscriptions;
    events.writeFeed(frames, this.options.numbers, this.encoding);
    this.controller.enqueue(frames.memory.slice(frames.origin, frames.tail));
    frames.clear();
  }

  progress(position: number): void {
    if (this.hasRoom) this.send(`id: ${this.numberAt(position)}\n\n`); // else the next one says more
  }

  caughtUp(position: number): void {
    const data = JSON.stringify({ position });
    this.send(`id: ${this.numberAt(position)}\nevent: caught-up\ndata: ${data}\n\n`);
  }

  failed({ code, message, facts }: StoreError): void {
    const data = JSON.stringify({ code, detail: message, ...facts });
    this.send(`event: problem\ndata: ${data}\n\n`);
    this.close();
  }

  private get hasRoom(): boolean {
    return (this.controller.desiredSize ?? 0) > 0;
  }

  /** A feed that begins later than what there is must not be resumed earlier. */
  private numberAt(position: number): number {
    return Math.max(this.options.before, this.options.examined(position));
  }

  private send(text: string): void {
    this.controller.enqueue(Buffer.from(text));
  }
}
