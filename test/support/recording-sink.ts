/**
 * A sink that keeps what it is given, with room as a test says.
 */
import { Encoding } from "../../server/core/encoding.ts";
import type { StoreError } from "../../server/errors.ts";
import type { EventEncoder } from "../../server/store/event-encoder.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import type { Filter } from "../../server/store/filter.ts";
import type { Interest, Start } from "../../server/store/interest.ts";
import type { Subscription, SubscriptionSink } from "../../server/store/subscription.ts";

export interface Taken {
  readonly position: number;
  readonly version: number;
  readonly sequence: number;
  readonly stream: string;
}

export class RecordingSink implements SubscriptionSink {
  readonly encoding = Encoding.resp3;
  readonly wantsProgress = true;
  readonly backlogBytesMax = Number.POSITIVE_INFINITY;
  readonly taken: Taken[] = [];
  /** `caught-up 7`, `progress 7` and `failed CORRUPT …`, in order; a taken event is `event 7`. */
  readonly log: string[] = [];
  /** Events that it takes before it must be given room again. */
  roomLeft: number;
  subscription!: Subscription;

  constructor(room = Number.POSITIVE_INFINITY) {
    this.roomLeft = room;
  }

  room(): number {
    return Math.min(this.roomLeft, 1_000_000);
  }

  take(events: EventEncoder): void {
    for (let row = 0; row < events.count; row++) {
      const position = events.position(row);
      const stream = Buffer.from(events.streamId(row)).toString();
      const version = events.version(row);
      this.taken.push({ position, version, sequence: events.sequence(row), stream });
      this.log.push(`event ${position}`);
    }
    this.roomLeft -= events.count;
  }

  progress(position: number): void {
    this.log.push(`progress ${position}`);
  }

  caughtUp(position: number): void {
    this.log.push(`caught-up ${position}`);
  }

  failed(error: StoreError): void {
    this.log.push(`failed ${error.code} ${error.message}`);
  }

  giveRoom(events: number): void {
    this.roomLeft += events;
    this.subscription.resume();
  }

  get positions(): number[] {
    return this.taken.map(({ position }) => position);
  }
}

export function subscribe(
  store: EventStore,
  interest: Interest,
  options: { room?: number; filter?: Filter } = {},
): RecordingSink {
  const sink = new RecordingSink(options.room);
  sink.subscription = store.subscriptions.open(interest, options.filter ?? null, sink);
  return sink;
}

/** "From this version, sequence or position on". */
export function from(number: number, position = 0): Start {
  return { number, position };
}

export function streams(starts: Readonly<Record<string, Start>>, patterns = {}): Interest {
  return {
    kind: "streams",
    streams: Object.entries(starts).map(([name, start]) => ({
      streamId: Buffer.from(name),
      key: null,
      start,
    })),
    patterns: Object.entries<Start>(patterns).map(([pattern, start]) => ({
      pattern: Buffer.from(pattern),
      start,
    })),
  };
}
