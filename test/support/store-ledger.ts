/**
 * What is known of a store's appends, and whether an open store holds just that.
 *
 * The history lists the transactions that got numbers, in their order. After a restart the store must hold the
 * history's first n transactions, whole and as they were, and nothing else; n counts at least every transaction
 * that was acknowledged, or was shown by an earlier start. What was answered READONLY must not be there.
 */
import type { Outcome } from "../../server/log/log.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import type { Durability } from "../../server/store/store-options.ts";
import type { StoredEvent } from "../../server/store/stored-event.ts";
import {
  eventById,
  type NewEvent,
  type QueuedAppend,
  queue,
  readAll,
  streamVersion,
} from "./store-driver.ts";

/** A transaction that got numbers. */
export interface KnownTransaction {
  readonly events: readonly ExpectedEvent[];
  readonly request: readonly NewEvent[];
  readonly partitionKey: string | undefined;
  /** When it was queued and when its sync was heard of, on one count of such moments. */
  readonly queuedAt: number;
  durableAt: number | null;
  transactionId: string | null;
}

/** What is known of an event when its append is answered. */
type ExpectedEvent = Omit<StoredEvent, "transactionId">;

interface OpenAppend {
  readonly known: KnownTransaction;
  readonly queued: QueuedAppend;
}

export class StoreLedger {
  history: KnownTransaction[] = [];

  private readonly durability: Durability;
  private readonly tell: (line: string) => void;
  private moments = 0;
  /** The first transactions of the history that a restart must not lose. */
  private guaranteed = 0;
  /** The first transactions that are in the page cache at least, as long as the power stays on. */
  private cached = 0;
  private open: OpenAppend[] = [];

  /** `tell` takes what happens, a line each, for the message of a failure. */
  constructor(durability: Durability, tell: (line: string) => void) {
    this.durability = durability;
    this.tell = tell;
  }

  /** Appends that nobody has answered yet. */
  get openCount(): number {
    return this.open.length;
  }

  get nextPosition(): number {
    return (this.history.at(-1)?.events.at(-1)?.position ?? -1) + 1;
  }

  /** Takes an append that got its numbers, and listens for its answer. */
  take(request: readonly NewEvent[], partitionKey: string | undefined, queued: QueuedAppend): void {
    const { result } = queued;
    same(result.events[0]?.position, this.nextPosition, "position of the append");
    const known: KnownTransaction = {
      request,
      partitionKey,
      queuedAt: ++this.moments,
      durableAt: null,
      transactionId: null,
      events: result.events.map((numbers, index) => {
        const { name, payload, metadata } = request[index] ?? fail("more events than asked for");
        return {
          eventId: numbers.eventId,
          partitionKey: numbers.partitionKey,
          partitionId: numbers.partitionId,
          partitionSequence: numbers.partitionSequence,
          streamVersion: numbers.streamVersion,
          timestamp: numbers.timestamp,
          streamId: numbers.streamId,
          position: numbers.position,
          recordedAt: numbers.recordedAt,
          eventName: name,
          payload: payload ?? new Uint8Array(0),
          metadata: metadata ?? new Uint8Array(0),
        };
      }),
    };
    this.history.push(known);
    const entry = { known, queued };
    this.open.push(entry);
    void queued.outcome.then((outcome) => this.takeOutcome(entry, outcome));
    const positions = known.events.map((event) => event.position);
    this.tell(`appended ${positions[0]} to ${positions.at(-1)}`);
  }

  /** The process ended: nobody hears what becomes of the open appends. */
  forgetOpen(): void {
    this.open = [];
  }

  /** The process was killed while nothing failed: what was acknowledged is in the page cache at least. */
  killed(): void {
    this.cached = this.history.filter((known) => known.durableAt !== null).length;
  }

  /** The power was cut: what the page cache alone had may be gone. */
  crashed(): void {
    this.cached = 0;
  }

  /** Everything in the history is durable: an orderly stop or a start made it so. */
  guarantee(): void {
    this.guaranteed = this.history.length;
    this.cached = 0;
    this.moments++;
    for (const known of this.history) known.durableAt ??= this.moments;
  }

  /**
   * Checks an open store against the history, and takes what it shows for the history from now on. Of one event,
   * which `pick` chooses, it asks by the id too.
   */
  check(store: EventStore, pick: (events: readonly StoredEvent[]) => StoredEvent): void {
    const found = readAll(store);
    this.takeHistory(found);
    for (const stream of new Set(found.map((event) => event.streamId))) {
      const ofStream = found.filter((event) => event.streamId === stream);
      same(streamVersion(store, stream), ofStream.length - 1, `version of ${stream}`);
    }
    if (found.length > 0) {
      const event = pick(found);
      same(eventById(store, event.eventId), event, `event ${event.eventId}`);
    }
  }

  /** Checks what an open store shows while it runs: everything acknowledged, and nothing that was not appended. */
  checkRunning(store: EventStore): void {
    const found = readAll(store);
    const expected = this.history.flatMap((known) =>
      known.events.map((event) => ({ known, event })),
    );
    for (const [position, event] of found.entries()) {
      const { known, event: asAppended } =
        expected[position] ?? fail(`position ${position} comes from nowhere`);
      sameEvent(event, asAppended, known);
    }
    const durable = this.history.findLast((known) => known.durableAt !== null);
    const least = (durable?.events.at(-1)?.position ?? -1) + 1;
    if (found.length < least) fail(`${least} events are durable, but ${found.length} are shown`);
  }

  /** Transactions of which every event's id was given: they can be given again. */
  repeatable(): KnownTransaction[] {
    return this.history.filter((known) => known.request.every((event) => event.eventId));
  }

  /** Gives an append of the history again with its event ids: it must be answered as it was. */
  repeat(store: EventStore, known: KnownTransaction): void {
    const repeated = queue(store, known.request, known.partitionKey);
    const { result } = repeated ?? fail("no room for a repeat, which takes none");
    same(
      result.events.map((event) => event.position),
      known.events.map((event) => event.position),
      "positions of a repeated append",
    );
  }

  /**
   * The transactions that a synced frame claims, so that damage to them must be found: those that were known
   * to be durable when a transaction was queued that became durable too.
   */
  claimed(): KnownTransaction[] {
    if (this.durability === "os") return [];
    const last = this.history.filter((known) => known.durableAt !== null).at(-1)?.queuedAt ?? 0;
    return this.history.filter((known) => (known.durableAt ?? last) < last);
  }

  private takeHistory(found: readonly StoredEvent[]): void {
    let count = 0;
    let position = 0;
    for (const known of this.history) {
      if (position === found.length) break;
      for (const expected of known.events) {
        const event = found[position++];
        if (event === undefined) fail(`transaction ${count} is there in part: ${summary(known)}`);
        sameEvent(event, expected, known);
      }
      count++;
    }
    if (position < found.length) fail(`position ${position} comes from nowhere`);
    const least = Math.max(this.guaranteed, this.cached);
    if (count < least) {
      const lost = this.history[count];
      fail(`lost transaction ${count} of ${least}: ${lost && summary(lost)}`);
    }
    checkNumbers(found);
    this.history = this.history.slice(0, count);
    this.guarantee();
  }

  private takeOutcome(entry: OpenAppend, outcome: Outcome): void {
    if (!this.open.includes(entry)) return; // answered after the process had ended: nobody heard it
    this.open = this.open.filter((other) => other !== entry);
    const index = this.history.indexOf(entry.known);
    this.tell(`${entry.known.events[0]?.position} is ${outcome}`);
    if (outcome === "unwritten") {
      this.history = this.history.filter((known) => known !== entry.known);
    } else if (outcome === "durable") {
      entry.known.durableAt = ++this.moments;
      if (this.durability === "fsync") this.guaranteed = Math.max(this.guaranteed, index + 1);
    }
  }
}

/** The checks that need no history: numbers without gaps, times that never fall, whole transactions. */
function checkNumbers(events: readonly StoredEvent[]): void {
  const versions = new Map<string, number>();
  const sequences = new Map<number, number>();
  let recordedAt = 0;
  for (const [position, event] of events.entries()) {
    same(event.position, position, "position");
    same(event.streamVersion, versions.get(event.streamId) ?? 0, `version at ${position}`);
    same(event.partitionSequence, sequences.get(event.partitionId) ?? 0, `sequence at ${position}`);
    if (event.recordedAt < recordedAt) throw new Error(`recorded_at falls at ${position}`);
    versions.set(event.streamId, event.streamVersion + 1);
    sequences.set(event.partitionId, event.partitionSequence + 1);
    recordedAt = event.recordedAt;
  }
}

function sameEvent(event: StoredEvent, expected: ExpectedEvent, known: KnownTransaction): void {
  const { transactionId, ...rest } = event;
  known.transactionId ??= transactionId;
  same(transactionId, known.transactionId, `transaction id at ${event.position}`);
  same(rest, expected, `event at ${event.position}`);
}

/** Throws where two values differ; thousands of times faster than `expect` with long lists of events. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (!Bun.deepEquals(actual, expected)) throw new Error(differenceText(actual, expected, what));
}

export function differenceText(actual: unknown, expected: unknown, what: string): string {
  return `${what}: ${inspect(actual)} instead of ${inspect(expected)}`;
}

export function fail(message: string): never {
  throw new Error(message);
}

function inspect(value: unknown): string {
  return Bun.inspect(value).slice(0, 1_000);
}

function summary(known: KnownTransaction): string {
  const first = known.events[0]?.position;
  return `positions ${first} to ${known.events.at(-1)?.position}`;
}
