/**
 * A subscription of ESUB or EPSUB on its connection: RESP3 pushes, a cursor that counts messages, and the window that
 * says how many of them may be unacknowledged.
 *
 *     >3 subscribe <id> <count>     >4 message <id> <cursor> <event>     >3 progress <id> <position>
 *     >3 error <id> <text>                                               >3 caught-up <id> <position>
 */
import { type Encoding, respEncoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import { Reply } from "../resp/reply.ts";
import type { EventEncoder } from "../store/event-encoder.ts";
import type { Filter } from "../store/filter.ts";
import type { Interest } from "../store/interest.ts";
import type { Subscription, SubscriptionSink } from "../store/subscription.ts";
import type { Subscriptions } from "../store/subscriptions.ts";
import type { SessionLink } from "./session.ts";

export interface PushOptions {
  /** Messages that may be unacknowledged; infinity where nothing is acknowledged (NOACK). */
  readonly window: number;
  /** Whether `progress` and `caught-up` are wanted. */
  readonly wantsProgress: boolean;
  readonly withPosition: boolean;
}

export class PushSink implements SubscriptionSink {
  /** A UUID. */
  readonly id = crypto.randomUUID();
  readonly encoding: Encoding;
  readonly wantsProgress: boolean;
  readonly backlogBytesMax = Number.POSITIVE_INFINITY;
  private readonly subscriptions: Subscriptions;
  private readonly link: SessionLink;
  private readonly forget: () => void;
  private readonly window: number;
  private readonly prefix: Uint8Array;
  private subscription: Subscription | null = null;
  /** The next message's cursor: messages sent so far. */
  private cursor = 0;
  /** Cursors below it are acknowledged. */
  private acknowledged = 0;

  /** `forget` is called when the subscription ends by itself. */
  constructor(
    subscriptions: Subscriptions,
    link: SessionLink,
    options: PushOptions,
    forget: () => void,
  ) {
    this.subscriptions = subscriptions;
    this.link = link;
    this.forget = forget;
    this.window = options.window;
    this.wantsProgress = options.wantsProgress;
    this.encoding = respEncoding(3, options.withPosition);
    this.prefix = textEncoder.encode(`>4\r\n+message\r\n+${this.id}\r\n:`);
  }

  /** Begins; nothing is pushed before the turn's end. */
  open(interest: Interest, filter: Filter | null): void {
    this.subscription = this.subscriptions.open(interest, filter, this);
  }

  end(): void {
    this.subscription?.end();
  }

  resume(): void {
    this.subscription?.resume();
  }

  /** Acknowledges all messages up to a cursor. Throws INVALIDARG for one that was not sent. */
  acknowledge(cursor: number): void {
    if (this.window === Number.POSITIVE_INFINITY) return;
    if (cursor >= this.cursor) {
      const sent = this.cursor === 0 ? "none was" : `0 to ${this.cursor - 1} were`;
      throw new StoreError("INVALIDARG", `cursor ${cursor} was not sent yet: ${sent}`);
    }
    if (cursor < this.acknowledged) return;
    this.acknowledged = cursor + 1;
    this.subscription?.resume();
  }

  /** Whether its window is used up: nothing comes before an EACK. */
  get waitsForAck(): boolean {
    return this.cursor - this.acknowledged >= this.window;
  }

  // ── what the subscription asks and gives ────────────────────────────────────────────────────────

  room(): number {
    if (!this.link.takesPushes) return 0;
    return this.window - (this.cursor - this.acknowledged);
  }

  take(events: EventEncoder): void {
    const { frames } = this.subscriptions;
    events.writePushes(frames, this.prefix, this.cursor);
    this.cursor += events.count;
    this.send();
  }

  progress(position: number): void {
    if (this.link.takesPushes) this.pushNumber("progress", position); // else the next one says more
  }

  /** Told once, so also where the events just given have filled the socket: there was room before these. */
  caughtUp(position: number): void {
    this.pushNumber("caught-up", position);
  }

  failed(error: StoreError): void {
    this.forget();
    const reply = this.openPush("error");
    reply.simple(`${error.code} ${error.message}`);
    this.send();
  }

  private pushNumber(kind: string, value: number): void {
    const reply = this.openPush(kind);
    reply.integer(value);
    this.send();
  }

  private openPush(kind: string): Reply {
    const reply = new Reply(this.subscriptions.frames);
    reply.protocol = 3;
    reply.push(3);
    reply.simple(kind);
    reply.simple(this.id);
    return reply;
  }

  private send(): void {
    const { frames } = this.subscriptions;
    this.link.push(frames.memory, frames.origin, frames.length);
    frames.clear();
  }
}

const textEncoder = new TextEncoder();
