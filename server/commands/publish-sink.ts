/**
 * The channels and patterns of one connection's SUBSCRIBE and PSUBSCRIBE. A channel is a stream id, and the message is
 * the event as JSON.
 *
 * One subscription serves them all, so that messages come in the order of the log. What a connection does not take is not
 * held but counted, as a place in the log and bytes; beyond its output limit it is disconnected, as in Redis.
 */
import { Encoding } from "../core/encoding.ts";
import { PUSH_BYTES, STREAM_ID_BYTES_MAX, UNSENT_BYTES_MAX } from "../limits.ts";
import { globMatches } from "../resp/glob.ts";
import type { EventEncoder } from "../store/event-encoder.ts";
import type { Interest, PatternInterest, StreamInterest } from "../store/interest.ts";
import type { Subscription, SubscriptionSink } from "../store/subscription.ts";
import type { Subscriptions } from "../store/subscriptions.ts";
import type { Session } from "./session.ts";

/** Messages given at a time; their bytes are bounded too. */
const MESSAGES_PER_TAKE = 1_024;

interface Channel {
  /** Null where no stream can have this id: then nothing comes. */
  readonly interest: StreamInterest | null;
  readonly position: number;
}

export class PublishSink implements SubscriptionSink {
  readonly encoding = Encoding.json;
  readonly wantsProgress = false;
  readonly backlogBytesMax = UNSENT_BYTES_MAX;
  private readonly subscriptions: Subscriptions;
  private readonly session: Session;
  private readonly subscription: Subscription;
  /** By their bytes as Latin-1, in the order in which they were subscribed to. */
  private readonly channels = new Map<string, Channel>();
  private readonly patterns = new Map<string, PatternInterest>();

  constructor(subscriptions: Subscriptions, session: Session) {
    this.subscriptions = subscriptions;
    this.session = session;
    const nothing: Interest = { kind: "streams", streams: [], patterns: [] };
    this.subscription = subscriptions.open(nothing, null, this);
  }

  get channelCount(): number {
    return this.channels.size;
  }

  get patternCount(): number {
    return this.patterns.size;
  }

  /** Subscribes to a channel from now on; once more changes nothing. The bytes are kept. */
  addChannel(name: Uint8Array): void {
    const text = latin1(name);
    if (this.channels.has(text)) return;
    const position = this.subscriptions.end;
    const canBeStream = name.length > 0 && name.length <= STREAM_ID_BYTES_MAX;
    const interest = canBeStream
      ? { streamId: name, key: null, start: { number: 0, position } }
      : null;
    if (interest !== null) this.subscription.add(interest);
    this.channels.set(text, { interest, position });
  }

  addPattern(pattern: Uint8Array): void {
    const text = latin1(pattern);
    if (this.patterns.has(text)) return;
    const interest = { pattern, start: { number: 0, position: this.subscriptions.end } };
    this.subscription.add(interest);
    this.patterns.set(text, interest);
  }

  removeChannel(name: Uint8Array): void {
    const text = latin1(name);
    const interest = this.channels.get(text)?.interest ?? null;
    if (interest !== null) this.subscription.remove(interest);
    this.channels.delete(text);
  }

  removePattern(pattern: Uint8Array): void {
    const text = latin1(pattern);
    const interest = this.patterns.get(text);
    if (interest !== undefined) this.subscription.remove(interest);
    this.patterns.delete(text);
  }

  channelNames(): Uint8Array[] {
    return [...this.channels.keys()].map(bytesOf);
  }

  patternNames(): Uint8Array[] {
    return [...this.patterns.keys()].map(bytesOf);
  }

  end(): void {
    this.subscription.end();
  }

  resume(): void {
    this.subscription.resume();
  }

  // ── what the subscription asks and gives ────────────────────────────────────────────────────────

  room(): number {
    return this.session.link.takesPushes ? MESSAGES_PER_TAKE : 0;
  }

  take(events: EventEncoder): void {
    const only = this.onlyPattern(events);
    if (only !== null) {
      events.writeMessages(this.subscriptions.frames, 0, events.count, this.patternPrefix(only));
    } else {
      for (let row = 0; row < events.count; row++) this.takeRow(events, row);
    }
    this.send();
  }

  /** The pattern that all these events came for, where there is nothing else; what it replaced lies before it. */
  private onlyPattern(events: EventEncoder): Uint8Array | null {
    if (this.channels.size > 0 || this.patterns.size !== 1) return null;
    const [interest] = this.patterns.values();
    if (interest === undefined || events.position(0) < interest.start.position) return null;
    return interest.pattern;
  }

  /** As Redis does: for the channel first, then for each pattern. */
  private takeRow(events: EventEncoder, row: number): void {
    const { frames } = this.subscriptions;
    const streamId = events.streamId(row).slice(); // writing may move the core's memory
    const position = events.position(row);
    const channel = this.channels.size > 0 ? this.channels.get(latin1(streamId)) : undefined;
    if (channel !== undefined && channel.position <= position) {
      events.writeMessages(frames, row, 1, this.head("message", 3));
    }
    for (const { pattern, start } of this.patterns.values()) {
      if (start.position > position || !globMatches(pattern, streamId)) continue;
      events.writeMessages(frames, row, 1, this.patternPrefix(pattern));
      if (frames.length > PUSH_BYTES) this.send();
    }
  }

  private send(): void {
    const { frames } = this.subscriptions;
    const { link } = this.session;
    // One message may be above the limit by itself, since JSON can be six times its payload.
    const isOver = link.unsentBytes > UNSENT_BYTES_MAX;
    if (!isOver) link.push(frames.memory, frames.origin, frames.length);
    frames.clear();
    if (isOver) link.kill();
  }

  progress(): void {}

  caughtUp(): void {}

  /** Redis' clients know no error here but the end of the connection. */
  failed(): void {
    this.session.link.kill();
  }

  private head(kind: string, size: number): Buffer {
    const type = this.session.protocol === 3 ? ">" : "*";
    return Buffer.from(`${type}${size}\r\n$${kind.length}\r\n${kind}\r\n`);
  }

  private patternPrefix(pattern: Uint8Array): Uint8Array {
    const name = [Buffer.from(`$${pattern.length}\r\n`), pattern, Buffer.from("\r\n")];
    return Buffer.concat([this.head("pmessage", 4), ...name]);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}
