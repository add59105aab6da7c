/**
 * What one connection follows: its ESUB and EPSUB subscriptions by id, and its channels and patterns of SUBSCRIBE.
 */
import { tooLarge } from "../errors.ts";
import { SUBSCRIPTIONS_MAX } from "../limits.ts";
import type { EventStore } from "../store/event-store.ts";
import type { Filter } from "../store/filter.ts";
import type { Interest } from "../store/interest.ts";
import { PublishSink } from "./publish-sink.ts";
import { type PushOptions, PushSink } from "./push-sink.ts";
import type { Session } from "./session.ts";

export class SessionSubscriptions {
  private readonly store: EventStore;
  private readonly session: Session;
  /** By id, in the order in which they were made. */
  private readonly pushed = new Map<string, PushSink>();
  private published: PublishSink | null = null;

  private constructor(store: EventStore, session: Session) {
    this.store = store;
    this.session = session;
  }

  /** The session's, made when it first follows something. */
  static of(store: EventStore, session: Session): SessionSubscriptions {
    session.subscriptions ??= new SessionSubscriptions(store, session);
    return session.subscriptions;
  }

  /** Its ESUB and EPSUB subscriptions. */
  get pushedCount(): number {
    return this.pushed.size;
  }

  /** Those of them that wait for an EACK. */
  get ackWaitingCount(): number {
    let count = 0;
    for (const sink of this.pushed.values()) if (sink.waitsForAck) count++;
    return count;
  }

  get channelCount(): number {
    return this.published?.channelCount ?? 0;
  }

  get patternCount(): number {
    return this.published?.patternCount ?? 0;
  }

  /** Channels and patterns together: while there are some, RESP2 allows few commands. */
  get publishedCount(): number {
    return this.channelCount + this.patternCount;
  }

  /** Opens a subscription of ESUB or EPSUB. Throws TOOLARGE where the connection has as many as it may. */
  open(interest: Interest, filter: Filter | null, options: PushOptions): PushSink {
    this.checkRoom(1);
    const sink = new PushSink(this.store.subscriptions, this.session.link, options, () =>
      this.pushed.delete(sink.id),
    );
    sink.open(interest, filter);
    this.pushed.set(sink.id, sink);
    return sink;
  }

  /** The subscription with this id (a UUID in lower case), or null where it is none of this connection's. */
  find(id: string): PushSink | null {
    return this.pushed.get(id) ?? null;
  }

  /** Ends one of the connection's subscriptions. */
  close(sink: PushSink): void {
    sink.end();
    this.pushed.delete(sink.id);
  }

  /** Where the connection's channels and patterns are kept; made when the first is to be added. */
  get channels(): PublishSink {
    this.published ??= new PublishSink(this.store.subscriptions, this.session);
    return this.published;
  }

  /** The same where there are any, else null. */
  get channelsIfAny(): PublishSink | null {
    return this.published;
  }

  /** Some were removed. */
  channelsRemoved(): void {
    if (this.publishedCount > 0) return;
    this.published?.end();
    this.published = null;
  }

  /** Throws TOOLARGE unless there is room for so many subscriptions more. */
  checkRoom(added: number): void {
    const asked = this.pushed.size + this.publishedCount + added;
    if (asked <= SUBSCRIPTIONS_MAX) return;
    throw tooLarge("the number of subscriptions of a connection", SUBSCRIPTIONS_MAX, asked);
  }

  /** The socket takes pushes again. */
  resume(): void {
    for (const sink of this.pushed.values()) sink.resume();
    this.published?.resume();
  }

  /** Ends all that the connection follows. */
  endAll(): void {
    for (const sink of this.pushed.values()) sink.end();
    this.pushed.clear();
    this.published?.end();
    this.published = null;
  }
}
