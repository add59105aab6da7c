/**
 * What the store's answers must be, said in the plainest way: arrays and maps, and no disk.
 *
 * The model is asked together with a server. It computes what it can (numbers, keys, errors), takes what only
 * the server can know (ids and times that it made) from the first answer that shows them, and holds every
 * later answer to that. Texts are byte strings (latin1), so that any payload compares.
 */
import { v5 as uuidV5 } from "uuid";

/** Namespace of partition keys that are made from text. */
const KEY_NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
/** Words that EMAPPEND does not take for a stream id. */
const RESERVED_WORDS = new Set(
  "EVENT_ID PARTITION_KEY EXPECTED_VERSION TIMESTAMP PAYLOAD METADATA WITHPOSITION CHECK TAG TAGS IF UNLESS KEY CONTENT_TYPE EXPIRES VERSION".split(
    " ",
  ),
);
const TEXT_BYTES_MAX = 255;

type Version = "any" | "exists" | "empty" | number;

/** An event as an append asks for it. */
export interface AskedEvent {
  readonly stream: string;
  readonly name: string;
  readonly eventId?: string | undefined;
  readonly expectedVersion?: Version | undefined;
  readonly timestamp?: number | undefined;
  readonly payload?: string | undefined;
  readonly metadata?: string | undefined;
}

export interface AskedAppend {
  /** EAPPEND has one event; EMAPPEND any number. */
  readonly command: "EAPPEND" | "EMAPPEND";
  /** The key as it is written; `*` or undefined: each stream keeps its own. */
  readonly key?: string | undefined;
  readonly events: readonly AskedEvent[];
  readonly withPosition: boolean;
}

/** A range of ESCAN, EPSCAN or ELOG; undefined: `-`, `+`, no COUNT, no filter. */
export interface AskedRange {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  readonly count?: number | undefined;
  readonly isReverse?: boolean;
  readonly withPosition: boolean;
  readonly filter?: AskedFilter | undefined;
}

/** What a filter says; its pattern has no other signs than `*` and `?`. At least one part is given. */
export interface AskedFilter {
  readonly match?: string | undefined;
  readonly names?: readonly string[] | undefined;
  readonly key?: string | undefined;
  readonly partitions?: readonly number[] | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** A reply without its protocol's types: maps are objects, texts are byte strings. */
export type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain };

/** An error reply. */
export class ErrorReply {
  readonly code: string;
  readonly text: string;

  constructor(code: string, text: string) {
    this.code = code;
    this.text = text;
  }
}

interface ModelTransaction {
  id: string | null;
  recordedAt: number | null;
  readonly events: ModelEvent[];
}

interface ModelEvent {
  readonly transaction: ModelTransaction;
  eventId: string;
  readonly key: string;
  readonly partition: number;
  readonly sequence: number;
  readonly version: number;
  timestamp: number;
  readonly stream: string;
  readonly name: string;
  readonly metadata: string;
  readonly payload: string;
  readonly position: number;
}

export class Model {
  readonly transactions: ModelTransaction[] = [];
  private readonly partitions: number;
  private readonly log: ModelEvent[] = [];
  private readonly streams = new Map<string, ModelEvent[]>();
  private readonly byPartition = new Map<number, ModelEvent[]>();
  private readonly byId = new Map<string, ModelEvent>();

  constructor(partitions: number) {
    this.partitions = partitions;
  }

  /** Holds the answer to an append against the model, and takes the append over where it was done. */
  append(asked: AskedAppend, reply: Plain | ErrorReply): void {
    const codes = this.refusals(asked);
    if (codes.size > 0) {
      this.expectError(reply, codes, asked);
      return;
    }
    const repeated = this.repeated(asked);
    const transaction = repeated ?? this.plan(asked);
    const answer = expectValue(reply);
    if (asked.command === "EAPPEND") this.checkAppended(asked, transaction, answer);
    else this.checkTransaction(asked, transaction, answer);
    if (repeated === null) this.take(transaction);
  }

  /** Takes over an append whose answer was lost, as a read shows it; false: it was not done. */
  appendUnanswered(asked: AskedAppend, found: readonly Plain[]): boolean {
    if (this.refusals(asked).size > 0 || this.repeated(asked) !== null) return false;
    const transaction = this.plan(asked);
    if (found.every((event) => event === null)) return false;
    for (const [index, event] of transaction.events.entries()) {
      const seen = record(found[index] ?? null);
      event.eventId = string(seen.event_id);
      event.timestamp = number(seen.timestamp);
      this.checkEvent(event, seen, true);
    }
    this.take(transaction);
    return true;
  }

  eget(eventId: string, withPosition: boolean, reply: Plain | ErrorReply): void {
    const event = this.byId.get(canonicalUuid(eventId) ?? "");
    const answer = expectValue(reply);
    if (event === undefined) same(answer, null, `EGET ${eventId}`);
    else this.checkEvent(event, record(answer), withPosition);
  }

  escan(
    stream: string,
    key: string | undefined,
    range: AskedRange,
    reply: Plain | ErrorReply,
  ): void {
    this.checkScan(this.streamEvents(stream, key), (event) => event.version, range, reply);
  }

  epscan(partition: number | string, range: AskedRange, reply: Plain | ErrorReply): void {
    const number = this.partitionNumber(partition);
    if (number === null) {
      this.expectError(reply, new Set(["NOTFOUND"]), partition);
    } else {
      this.checkScan(this.byPartition.get(number) ?? [], (event) => event.sequence, range, reply);
    }
  }

  elog(range: AskedRange, reply: Plain | ErrorReply): void {
    if (range.isReverse !== true && (range.start ?? 0) > this.log.length) {
      this.expectError(reply, new Set(["AHEAD"]), range);
      return;
    }
    this.checkScan(
      this.log,
      (event) => event.position,
      { ...range, withPosition: true },
      reply,
      true,
    );
  }

  epos(reply: Plain | ErrorReply): void {
    same(expectValue(reply), this.log.length === 0 ? null : this.log.length - 1, "EPOS");
  }

  /** `found` is what a whole walk with SCAN gave. */
  streamIds(found: readonly string[]): void {
    same([...found], [...this.streams.keys()], "SCAN");
  }

  exists(streams: readonly string[], reply: Plain | ErrorReply): void {
    const count = streams.filter((stream) => this.streams.has(stream)).length;
    same(expectValue(reply), count, `EXISTS ${streams}`);
  }

  esver(stream: string, key: string | undefined, reply: Plain | ErrorReply): void {
    const version = this.streamEvents(stream, key).length - 1;
    same(expectValue(reply), version < 0 ? null : version, `ESVER ${stream}`);
  }

  epseq(partition: number | string, reply: Plain | ErrorReply): void {
    const number = this.partitionNumber(partition);
    if (number === null) {
      this.expectError(reply, new Set(["NOTFOUND"]), partition);
      return;
    }
    const sequence = (this.byPartition.get(number)?.length ?? 0) - 1;
    same(expectValue(reply), sequence < 0 ? null : sequence, `EPSEQ ${partition}`);
  }

  /** The codes of which an append must be refused with one; none where it must be done. */
  private refusals(asked: AskedAppend): Set<string> {
    const key = asked.key === undefined || asked.key === "*" ? null : partitionKey(asked.key);
    const wrong = asked.events.some((event) => !this.isWellFormed(asked, event));
    if (wrong || key === "invalid" || asked.events.length === 0) return new Set(["INVALIDARG"]);
    const ids = asked.events.map((event) => event.eventId && canonicalUuid(event.eventId));
    const given = ids.filter((id) => id !== undefined);
    if (new Set(given).size < given.length) return new Set(["DUPLICATE"]);
    if (given.some((id) => this.byId.has(id ?? ""))) {
      return this.repeated(asked) === null ? new Set(["DUPLICATE"]) : new Set();
    }
    const codes = new Set<string>();
    const added = new Map<string, number>();
    for (const event of asked.events) {
      const events = this.streams.get(event.stream) ?? [];
      const current = events.length + (added.get(event.stream) ?? 0) - 1;
      added.set(event.stream, (added.get(event.stream) ?? 0) + 1);
      if (key !== null && events[0] !== undefined && events[0].key !== key) codes.add("WRONGKEY");
      if (!versionHolds(event.expectedVersion ?? "any", current)) codes.add("WRONGVER");
    }
    return codes;
  }

  private isWellFormed(asked: AskedAppend, event: AskedEvent): boolean {
    if (asked.command === "EMAPPEND" && RESERVED_WORDS.has(event.stream.toUpperCase()))
      return false;
    if (event.stream.startsWith("$cairn")) return false;
    if (event.eventId !== undefined && canonicalUuid(event.eventId) === null) return false;
    return isText(event.stream) && isText(event.name);
  }

  /** The earlier transaction that this append repeats: count, order and contents are the same. */
  private repeated(asked: AskedAppend): ModelTransaction | null {
    const known = asked.events
      .map((event) => this.byId.get((event.eventId && canonicalUuid(event.eventId)) ?? ""))
      .find((event) => event !== undefined);
    if (known === undefined) return null;
    const { events } = known.transaction;
    const equal = asked.events.every((event, index) => {
      const earlier = events[index];
      return (
        earlier !== undefined &&
        (event.eventId === undefined || canonicalUuid(event.eventId) === earlier.eventId) &&
        earlier.stream === event.stream &&
        earlier.name === event.name &&
        earlier.payload === (event.payload ?? "")
      );
    });
    return equal && events.length === asked.events.length ? known.transaction : null;
  }

  /** The transaction that the append makes, with all the numbers; ids and times come with the answer. */
  private plan(asked: AskedAppend): ModelTransaction {
    const transaction: ModelTransaction = { id: null, recordedAt: null, events: [] };
    for (const event of asked.events) {
      const earlier = transaction.events;
      const own = this.streams.get(event.stream)?.[0]?.key;
      const asksKey = asked.key !== undefined && asked.key !== "*";
      const key = asksKey ? partitionKey(asked.key ?? "") : (own ?? defaultKey(event.stream));
      const partition = partitionOf(key, this.partitions);
      transaction.events.push({
        transaction,
        eventId: (event.eventId && canonicalUuid(event.eventId)) ?? "",
        key,
        partition,
        sequence:
          (this.byPartition.get(partition)?.length ?? 0) +
          earlier.filter((other) => other.partition === partition).length,
        version:
          (this.streams.get(event.stream)?.length ?? 0) +
          earlier.filter((other) => other.stream === event.stream).length,
        timestamp: event.timestamp ?? -1,
        stream: event.stream,
        name: event.name,
        metadata: event.metadata ?? "",
        payload: event.payload ?? "",
        position: this.log.length + earlier.length,
      });
    }
    return transaction;
  }

  private take(transaction: ModelTransaction): void {
    this.transactions.push(transaction);
    for (const event of transaction.events) {
      this.log.push(event);
      this.byId.set(event.eventId, event);
      listOf(this.streams, event.stream).push(event);
      listOf(this.byPartition, event.partition).push(event);
    }
  }

  private checkAppended(asked: AskedAppend, transaction: ModelTransaction, reply: Plain): void {
    const event = transaction.events[0];
    if (event === undefined) throw new Error("a transaction without events");
    const seen = record(reply);
    this.adopt(event, seen);
    this.checkTimes(event, seen, asked.withPosition);
    same(
      reply,
      {
        event_id: event.eventId,
        partition_key: event.key,
        partition_id: event.partition,
        partition_sequence: event.sequence,
        stream_version: event.version,
        timestamp: event.timestamp,
        ...positionOf(event, asked.withPosition),
      },
      "answer to EAPPEND",
    );
  }

  private checkTransaction(asked: AskedAppend, transaction: ModelTransaction, reply: Plain): void {
    const answer = record(reply);
    const rows = answer.events;
    if (!Array.isArray(rows)) throw new Error("EMAPPEND answered without a list of events");
    const ownKeys = asked.key === "*";
    for (const [index, event] of transaction.events.entries()) {
      const seen = record(rows[index] ?? null);
      this.adopt(event, seen);
      this.checkTimes(event, seen, asked.withPosition);
    }
    const first = transaction.events[0];
    const last = transaction.events.at(-1);
    same(
      reply,
      {
        partition_key: ownKeys ? null : (first?.key ?? null),
        partition_id: ownKeys ? null : (first?.partition ?? null),
        first_partition_sequence: ownKeys ? null : (first?.sequence ?? null),
        last_partition_sequence: ownKeys ? null : (last?.sequence ?? null),
        events: transaction.events.map((event) => ({
          event_id: event.eventId,
          stream_id: event.stream,
          stream_version: event.version,
          timestamp: event.timestamp,
          ...(ownKeys && {
            partition_key: event.key,
            partition_id: event.partition,
            partition_sequence: event.sequence,
          }),
          ...positionOf(event, asked.withPosition),
        })),
      },
      "answer to EMAPPEND",
    );
  }

  /** Takes the id and the time that the server made. */
  private adopt(event: ModelEvent, seen: Record<string, Plain>): void {
    if (event.eventId === "") {
      event.eventId = string(seen.event_id);
      checkMadeId(event.eventId, event.key);
      if (this.byId.has(event.eventId)) throw new Error(`the id ${event.eventId} was made twice`);
    }
    if (event.timestamp < 0) event.timestamp = number(seen.timestamp);
  }

  private checkScan(
    events: readonly ModelEvent[],
    numberOf: (event: ModelEvent) => number,
    range: AskedRange,
    reply: Plain | ErrorReply,
    withNext = range.filter !== undefined,
  ): void {
    const { start = 0, end = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = range;
    const isReverse = range.isReverse === true;
    const inRange = events.filter(
      (event) =>
        numberOf(event) >= start &&
        numberOf(event) <= end &&
        (range.filter === undefined || isWanted(event, range.filter)),
    );
    if (isReverse) inRange.reverse();
    const expected = inRange.slice(0, count);
    const answer = record(expectValue(reply));
    const fields = ["events", "has_more", ...(withNext ? ["next"] : [])];
    same(Object.keys(answer).sort(), fields, "fields of a scan");
    same(answer.has_more ?? null, inRange.length > expected.length, "has_more");
    if (withNext) {
      const following = inRange[expected.length];
      const isOver = isReverse || start > end || end < events.length;
      const beyond = isOver ? null : Math.max(start, events.length);
      same(answer.next ?? null, following === undefined ? beyond : numberOf(following), "next");
    }
    const rows = answer.events;
    if (!Array.isArray(rows)) throw new Error("a scan answered without a list of events");
    same(rows.length, expected.length, "number of events");
    for (const [index, event] of expected.entries()) {
      this.checkEvent(event, record(rows[index] ?? null), range.withPosition);
    }
  }

  private checkEvent(event: ModelEvent, seen: Record<string, Plain>, withPosition: boolean): void {
    const { transaction } = event;
    transaction.id ??= string(seen.transaction_id);
    this.checkTimes(event, seen, withPosition);
    same(
      seen,
      {
        event_id: event.eventId,
        partition_key: event.key,
        partition_id: event.partition,
        transaction_id: transaction.id,
        partition_sequence: event.sequence,
        stream_version: event.version,
        timestamp: event.timestamp,
        stream_id: event.stream,
        event_name: event.name,
        metadata: event.metadata,
        payload: event.payload,
        ...positionOf(event, withPosition),
      },
      `event at ${event.position}`,
    );
    const others = this.transactions.filter((other) => other !== transaction);
    if (others.some((other) => other.id === transaction.id)) {
      throw new Error(`two transactions have the id ${transaction.id}`);
    }
  }

  /** recorded_at is one for a transaction and never falls from one to the next. */
  private checkTimes(event: ModelEvent, seen: Record<string, Plain>, withPosition: boolean): void {
    if (!withPosition) return;
    const { transaction } = event;
    transaction.recordedAt ??= number(seen.recorded_at);
    const index = this.transactions.indexOf(transaction);
    const earlier = index < 0 ? this.transactions : this.transactions.slice(0, index);
    const floor = Math.max(0, ...earlier.map((other) => other.recordedAt ?? 0));
    if (transaction.recordedAt < floor) throw new Error(`recorded_at falls at ${event.position}`);
  }

  private streamEvents(stream: string, key: string | undefined): readonly ModelEvent[] {
    const events = this.streams.get(stream) ?? [];
    return key === undefined || events[0]?.key === partitionKey(key) ? events : [];
  }

  private partitionNumber(partition: number | string): number | null {
    if (typeof partition === "string") return partitionOf(partitionKey(partition), this.partitions);
    return partition < this.partitions ? partition : null;
  }

  private expectError(reply: Plain | ErrorReply, codes: Set<string>, asked: unknown): void {
    if (reply instanceof ErrorReply && codes.has(reply.code)) return;
    const wanted = [...codes].join(" or ");
    throw new Error(`${inspect(asked)} answered ${inspect(reply)} instead of ${wanted}`);
  }
}

function isWanted(event: ModelEvent, filter: AskedFilter): boolean {
  const { match, names, key, partitions, since, until } = filter;
  return (
    (match === undefined || patternOf(match).test(event.stream)) &&
    (names === undefined || names.includes(event.name)) &&
    (key === undefined || event.key === partitionKey(key)) &&
    (partitions === undefined || partitions.includes(event.partition)) &&
    (since === undefined || event.timestamp >= since) &&
    (until === undefined || event.timestamp <= until)
  );
}

function patternOf(match: string): RegExp {
  const source = match
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}

/** UUIDs in any of the accepted forms, in the one that answers have; null where the text is none. */
function canonicalUuid(text: string): string | null {
  const bare = text.replace(/^urn:uuid:/i, "").replace(/^\{(.*)\}$/, "$1");
  const match =
    /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i.exec(bare);
  return match === null ? null : match.slice(1).join("-").toLowerCase();
}

function partitionKey(text: string): string {
  const uuid = canonicalUuid(text);
  if (uuid !== null) return uuid;
  return /^[\d,\-*]*$/.test(text) ? "invalid" : defaultKey(text);
}

function defaultKey(text: string): string {
  return uuidV5(Buffer.from(text, "latin1"), KEY_NAMESPACE);
}

/** Bits 46 to 61 of the key. */
function partitionHash(key: string): number {
  return Number((BigInt(`0x${key.replaceAll("-", "")}`) >> 46n) & 0xffffn);
}

function partitionOf(key: string, partitions: number): number {
  return partitionHash(key) % partitions;
}

function checkMadeId(eventId: string, key: string): void {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(eventId)) {
    throw new Error(`${eventId} is no UUID of version 7`);
  }
  same(partitionHash(eventId), partitionHash(key), `partition hash in ${eventId}`);
}

function versionHolds(expected: Version, current: number): boolean {
  if (expected === "any") return true;
  if (expected === "exists") return current >= 0;
  return expected === "empty" ? current < 0 : current === expected;
}

function isText(text: string): boolean {
  if (text.length < 1 || text.length > TEXT_BYTES_MAX || /[\0\r\n]/.test(text)) return false;
  return (
    Buffer.from(Buffer.from(text, "latin1").toString("utf8"), "utf8").toString("latin1") === text
  );
}

function positionOf(event: ModelEvent, withPosition: boolean): Record<string, Plain> {
  if (!withPosition) return {};
  return { position: event.position, recorded_at: event.transaction.recordedAt };
}

function listOf<Key, Value>(map: Map<Key, Value[]>, key: Key): Value[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}

function expectValue(reply: Plain | ErrorReply): Plain {
  if (reply instanceof ErrorReply) throw new Error(`refused with ${reply.code} ${reply.text}`);
  return reply;
}

function record(value: Plain): Record<string, Plain> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error(`${inspect(value)} is no map`);
  }
  return value;
}

function string(value: Plain | undefined): string {
  if (typeof value !== "string") throw new Error(`${inspect(value)} is no text`);
  return value;
}

function number(value: Plain | undefined): number {
  if (typeof value !== "number") throw new Error(`${inspect(value)} is no number`);
  return value;
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (Bun.deepEquals(actual, expected)) return;
  throw new Error(`${what}: ${inspect(actual)} instead of ${inspect(expected)}`);
}

function inspect(value: unknown): string {
  return Bun.inspect(value).slice(0, 1_000);
}
