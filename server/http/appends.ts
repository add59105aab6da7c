/**
 * Runs an append of HTTP: its body goes into the store's transaction, and its answer waits until the batch on
 * which it depends is durable. An append without room waits for it, and its body is read again.
 *
 * Each request under way counts as a client of the store's commits, as a connection of RESP does, so that one sync
 * serves those that come together.
 */
import { MemoryRefused } from "../core/core.ts";
import { Encoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import type { Outcome } from "../log/log.ts";
import type { EventStore } from "../store/event-store.ts";
import { AppendBody, type Expected } from "./append-body.ts";
import { JsonCursor } from "./json-cursor.ts";
import { MsgpackCursor } from "./msgpack-cursor.ts";
import type { StoreParts } from "./operation.ts";
import { JSON_TYPE, type MSGPACK_TYPE } from "./request.ts";
import { rowOf } from "./rows.ts";

export interface AppendRequest {
  /** UTF-8; null where each event names its stream. */
  readonly streamId: Uint8Array | null;
  readonly expected: Expected | null;
  readonly body: Uint8Array;
  readonly bodyType: typeof JSON_TYPE | typeof MSGPACK_TYPE;
  /** In which the answer is written. */
  readonly encoding: Encoding;
}

export interface AppendAnswer {
  readonly body: Uint8Array;
  /** The request repeated an earlier append, whose answer this is. */
  readonly isRepeat: boolean;
  readonly firstEventId: string;
  /** Of the last event. */
  readonly lastVersion: number;
}

/** An append that has its numbers, or a refusal, and may not be told before its batch is durable. */
interface Pending {
  readonly answer: AppendAnswer | StoreError;
  /** What becomes of the batch on which it depends. */
  readonly outcome: Outcome | Promise<Outcome>;
  readonly isAppended: boolean;
}

const UNCERTAIN =
  "the log failed while this was written: it may or may not be there after a restart; repeat it with the same event_id";
const READONLY = "nothing was written: the log failed; restart the server to recover";

export class Appends {
  private readonly parts: StoreParts;
  private readonly store: EventStore;
  private readonly clients: AppendClients;

  constructor(parts: StoreParts) {
    this.parts = parts;
    this.store = parts.store;
    this.clients = new AppendClients(parts.store);
  }

  /** Appends, and resolves when the answer may be told. Throws the StoreError with which it is refused. */
  async run(request: AppendRequest): Promise<AppendAnswer> {
    this.clients.enter();
    try {
      let pending = this.attempt(request);
      while (pending === null) {
        await new Promise<void>((resolve) => this.store.whenRoom(resolve));
        pending = this.attempt(request);
      }
      const outcome = await pending.outcome;
      if (outcome !== "durable") throw failure(pending, outcome);
      if (pending.answer instanceof StoreError) throw pending.answer;
      return pending.answer;
    } finally {
      this.clients.leave();
    }
  }

  /** One attempt, in one turn; null where there is no room now. */
  private attempt(request: AppendRequest): Pending | null {
    const { store } = this;
    const isSingle = this.stage(request);
    try {
      if (!store.append()) return null;
    } catch (error) {
      // The refusal may be owed to an append that is not durable yet, of any client.
      const answer = this.refusalOf(error);
      return { answer, outcome: this.settled(store.answerBatch), isAppended: false };
    }
    const batch = store.answerBatch;
    const outcome = this.settled(batch);
    const answer = this.write(request.encoding, isSingle);
    // The turn's end commits: Bun runs one request after the other, and others of this turn are still to come.
    if (batch > 0) store.commits.clientsQueued++;
    return { answer, outcome, isAppended: !answer.isRepeat };
  }

  /** Puts the request into core memory and the store's transaction. */
  private stage({ streamId, expected, body, bodyType }: AppendRequest): boolean {
    const { store } = this;
    const streamSize = streamId?.length ?? 0;
    const address = store.input(streamSize + body.length);
    const { memory } = store.core;
    if (streamId !== null) memory.set(streamId, address);
    memory.set(body, address + streamSize);
    const Cursor = bodyType === JSON_TYPE ? JsonCursor : MsgpackCursor;
    const cursor = new Cursor(store.core, address + streamSize, body.length);
    const stream = streamId === null ? null : { address, size: streamSize };
    return new AppendBody(store, cursor, { stream, expected }).read();
  }

  /** The answer to the last append. Read at once: the next one overwrites it. */
  private write(encoding: Encoding, isSingle: boolean): AppendAnswer {
    const { store } = this;
    const { area } = this.parts;
    const { exports } = store.core;
    const { count } = store.transaction;
    const start = area.length;
    for (let index = 0; index < count; index++) {
      area.reserve(exports.ANSWER_WRITE_MAX.value as number);
      area.tail = exports.answerWriteInRow(area.tail, index, encoding) >>> 0;
    }
    // In JSON a comma follows each row, which one alone does not need.
    const end = isSingle && encoding !== Encoding.msgpack ? area.tail - 1 : area.tail;
    const rows = area.memory.slice(area.origin + start, end);
    area.clear();
    const { firstEventId, lastVersion } = store.appendSummary();
    return {
      body: isSingle ? rows : Buffer.concat(rowOf({}, "events", count, [rows], {}, encoding)),
      isRepeat: store.wasRepeated,
      firstEventId,
      lastVersion,
    };
  }

  private settled(batch: number): Outcome | Promise<Outcome> {
    if (batch === 0) return "durable";
    return new Promise((resolve) => this.store.whenSettled(batch, resolve));
  }

  private refusalOf(error: unknown): StoreError {
    if (error instanceof StoreError) return error;
    if (error instanceof MemoryRefused) return new StoreError("READONLY", error.message);
    return this.parts.crash(error);
  }
}

function failure({ answer, isAppended }: Pending, outcome: Outcome): StoreError {
  if (answer instanceof StoreError || (isAppended && outcome !== "uncertain")) {
    return new StoreError("READONLY", READONLY, { outcome: "none" });
  }
  return new StoreError("UNCERTAIN", UNCERTAIN, { outcome: "unknown" });
}

/** How often the count of clients is brought down to what came lately. */
const COUNT_INTERVAL_MS = 100;

/**
 * How many clients append over HTTP: the most requests that were under way together lately, since connections are
 * not seen here and a client that was answered comes back.
 */
class AppendClients {
  private readonly store: EventStore;
  private active = 0;
  private most = 0;
  private counted = 0;
  private timer: Timer | null = null;

  constructor(store: EventStore) {
    this.store = store;
  }

  enter(): void {
    this.active++;
    this.most = Math.max(this.most, this.active);
    if (this.active > this.counted) this.count(this.active);
    this.timer ??= setInterval(() => this.recount(), COUNT_INTERVAL_MS);
  }

  leave(): void {
    this.active--;
  }

  private recount(): void {
    this.count(this.most);
    this.most = this.active;
    if (this.counted > 0 || this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  private count(clients: number): void {
    this.store.commits.clientCount += clients - this.counted;
    this.counted = clients;
  }
}
