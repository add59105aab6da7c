/**
 * Drives an `EventStore` without a socket: appends as a door does, reads everything back as plain objects.
 *
 * The texts of a transaction are written into core memory and the store's transaction is filled from there,
 * which is what the RESP and HTTP doors do with the bytes of a request.
 */
import { StoreError } from "../../server/errors.ts";
import type { Outcome } from "../../server/log/log.ts";
import type { AppendResult } from "../../server/store/append-result.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import type { StoredEvent } from "../../server/store/stored-event.ts";
import { ExpectedVersion } from "../../server/store/transaction-builder.ts";

/** An event to append; texts are UTF-8. */
export interface NewEvent {
  readonly stream: string;
  readonly name: string;
  readonly payload?: Uint8Array;
  readonly metadata?: Uint8Array;
  readonly eventId?: string;
  readonly expectedVersion?: "any" | "exists" | "empty" | number;
  readonly timestamp?: number;
}

/** An append that has its numbers and waits for its sync. */
export interface QueuedAppend {
  readonly result: AppendResult;
  readonly outcome: Promise<Outcome>;
}

/** Queues a transaction; null when there is no room for it now. Throws what the store refuses it with. */
export function queue(
  store: EventStore,
  events: readonly NewEvent[],
  partitionKey?: string,
): QueuedAppend | null {
  fillTransaction(store, events, partitionKey);
  if (!store.append()) return null;
  const result = store.lastAppend();
  const batch = store.answerBatch;
  const outcome = new Promise<Outcome>((resolve) => {
    if (batch === 0) resolve("durable");
    else store.whenSettled(batch, resolve);
  });
  return { result, outcome };
}

/** Appends a transaction and waits until it is durable; throws the error that a client would get. */
export async function append(
  store: EventStore,
  events: readonly NewEvent[],
  partitionKey?: string,
): Promise<AppendResult> {
  let queued = queue(store, events, partitionKey);
  while (queued === null) {
    const room = new Promise<void>((resolve) => store.whenRoom(resolve));
    store.flush();
    await room;
    await nextTurn(); // where room came at once: what makes more of it answers in a turn
    queued = queue(store, events, partitionKey);
  }
  store.flush();
  const outcome = await queued.outcome;
  if (outcome === "durable") return queued.result;
  throw new StoreError(outcome === "uncertain" ? "UNCERTAIN" : "READONLY", "the log failed");
}

/**
 * Lets the event loop turn: syncs in a thread complete, and what waited for one may be collected. A core takes
 * megabytes, so a loop that opens stores and never turns runs out of fast memory.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** An event that the store could not give, in place of one that it did. */
export interface DamagedEvent {
  readonly position: number;
  readonly damage: string;
}

/** Events of one read; small, so that reads end between and inside transactions and segments. */
const EVENTS_PER_READ = 7;

/** Every durable event by position, with a note in place of each that is damaged. */
export function readAllOrDamage(store: EventStore): (StoredEvent | DamagedEvent)[] {
  const end = (store.lastPosition() ?? -1) + 1;
  const found: (StoredEvent | DamagedEvent)[] = [];
  while (found.length < end) {
    const events = readOrDamage(store, found.length, EVENTS_PER_READ);
    // Where one of several is damaged, each is read by itself.
    if ("damage" in events)
      found.push(...readEach(store, found.length, Math.min(end, found.length + EVENTS_PER_READ)));
    else found.push(...events);
  }
  return found;
}

function readEach(store: EventStore, from: number, to: number): (StoredEvent | DamagedEvent)[] {
  const found: (StoredEvent | DamagedEvent)[] = [];
  for (let position = from; position < to; position++) {
    const events = readOrDamage(store, position, 1);
    if ("damage" in events) found.push(events);
    else found.push(...events);
  }
  return found;
}

function readOrDamage(
  store: EventStore,
  position: number,
  limit: number,
): StoredEvent[] | DamagedEvent {
  try {
    const events = store.readEvents(position, limit);
    if (events.length === 0) throw new Error(`there is no event at position ${position}`);
    return events;
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "CORRUPT") throw error;
    return { position, damage: error.message };
  }
}

/** Every durable event by position. */
export function readAll(store: EventStore): StoredEvent[] {
  return readAllOrDamage(store).map((event) => {
    if ("damage" in event)
      throw new Error(`position ${event.position} is damaged: ${event.damage}`);
    return event;
  });
}

/** The stream's current version, or -1. */
export function streamVersion(store: EventStore, stream: string): number {
  const { address, length } = put(store, utf8(stream));
  return store.streamVersion(address, length, 0);
}

/** The event with this id, or null. */
export function eventById(store: EventStore, eventId: string): StoredEvent | null {
  const { address } = put(store, Buffer.from(eventId.replaceAll("-", ""), "hex"));
  return store.readEvent(address);
}

function put(store: EventStore, bytes: Uint8Array): { address: number; length: number } {
  const address = store.input(bytes.length);
  store.core.memory.set(bytes, address);
  return { address, length: bytes.length };
}

function fillTransaction(
  store: EventStore,
  events: readonly NewEvent[],
  partitionKey: string | undefined,
): void {
  const staging = new Staging(store, events, partitionKey);
  const { transaction } = store;
  transaction.begin();
  for (const event of events) {
    const stream = staging.put(utf8(event.stream));
    const name = staging.put(utf8(event.name));
    const index = transaction.addEvent(stream.address, stream.length, name.address, name.length);
    if (event.payload !== undefined) {
      const payload = staging.put(event.payload);
      transaction.setPayload(index, payload.address, payload.length);
    }
    if (event.metadata !== undefined) {
      const metadata = staging.put(event.metadata);
      transaction.setMetadata(index, metadata.address, metadata.length);
    }
    if (event.eventId !== undefined) {
      const text = staging.put(utf8(event.eventId));
      if (!transaction.setEventId(index, text.address, text.length)) {
        throw new Error(`${event.eventId} is no UUID`);
      }
    }
    const { expectedVersion } = event;
    if (typeof expectedVersion === "number") {
      transaction.setExpectedVersion(index, ExpectedVersion.exact, expectedVersion);
    } else if (expectedVersion !== undefined) {
      transaction.setExpectedVersion(index, ExpectedVersion[expectedVersion]);
    }
    if (event.timestamp !== undefined) transaction.setTimestamp(index, event.timestamp);
  }
  if (partitionKey !== undefined) {
    const key = staging.put(utf8(partitionKey));
    transaction.setPartitionKey(key.address, key.length);
  }
}

/** One area of core memory that takes a transaction's texts one behind the other. */
class Staging {
  private readonly store: EventStore;
  private next: number;

  constructor(store: EventStore, events: readonly NewEvent[], partitionKey: string | undefined) {
    let size = utf8(partitionKey ?? "").length;
    for (const event of events) {
      size += utf8(event.stream + event.name + (event.eventId ?? "")).length;
      size += (event.payload?.length ?? 0) + (event.metadata?.length ?? 0);
    }
    this.store = store;
    this.next = store.input(size);
  }

  put(bytes: Uint8Array): { address: number; length: number } {
    const address = this.next;
    this.store.core.memory.set(bytes, address);
    this.next += bytes.length;
    return { address, length: bytes.length };
  }
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}
