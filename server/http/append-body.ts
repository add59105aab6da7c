/**
 * What the body of an append says, in JSON or MessagePack: one event, a list of events, or a request of
 * several with what holds for all. It goes into the store's transaction; nothing is kept of it.
 */
import type { Core } from "../core/core.ts";
import { StoreError, tooLarge } from "../errors.ts";
import { EVENT_DATA_BYTES_MAX, INTEGER_MAX, TRANSACTION_EVENTS_MAX } from "../limits.ts";
import type { EventStore } from "../store/event-store.ts";
import { ExpectedVersion } from "../store/transaction-builder.ts";
import { quote, suggestion } from "../usage.ts";
import type { BodyCursor } from "./body-cursor.ts";
import { checkEventName, checkPartitionKey, checkStreamToAppend } from "./checks.ts";
import { EventFields, FIELD_NAMES, Field, fieldOf } from "./event-fields.ts";
import { ProblemError, problem } from "./problem.ts";

/** What the request says beside its body. */
export interface AppendForm {
  /** The stream id in core memory, or null where each event names its own. */
  readonly stream: { readonly address: number; readonly size: number } | null;
  /** What the headers expect of the stream's version; null where they say nothing. */
  readonly expected: Expected | null;
}

export interface Expected {
  readonly kind: ExpectedVersion;
  /** Counts for `exact` alone. */
  readonly version: number;
}

/** One for the process: a body is read within one turn. The request's own fields, and those of an event in it. */
const outer = new EventFields();
const inner = new EventFields();

/** Fields that hold for all events of a request. */
const REQUEST_FIELDS = (1 << Field.expectedVersion) | (1 << Field.partitionKey);

export class AppendBody {
  private readonly store: EventStore;
  private readonly core: Core;
  private readonly cursor: BodyCursor;
  private readonly form: AppendForm;
  /** Events beyond those that a transaction may have. */
  private surplus = 0;
  /** The first event said itself what it expects. */
  private hasOwn = false;
  /** Where an event is that should say what it expects of its stream, as the first one to it; for strict stores. */
  private firstIsMissing: string | null = null;
  private otherIsMissing: string | null = null;
  /** Streams that an event of the request named already; null where nobody asks. */
  private readonly seen: Set<string> | null;

  constructor(store: EventStore, cursor: BodyCursor, form: AppendForm) {
    this.store = store;
    this.core = store.core;
    this.cursor = cursor;
    this.form = form;
    this.seen = store.strict ? new Set() : null;
  }

  /** Fills the store's transaction; true where the request is one event by its form. */
  read(): boolean {
    this.store.transaction.begin();
    const isSingle = this.readRequest();
    this.cursor.end();
    const { count } = this.store.transaction;
    if (count === 0) throw new StoreError("INVALIDARG", "the request has no events");
    if (this.surplus > 0) {
      const asked = count + this.surplus;
      throw tooLarge("number of events in a transaction", TRANSACTION_EVENTS_MAX, asked);
    }
    return isSingle;
  }

  private readRequest(): boolean {
    const { cursor, form } = this;
    const ahead = cursor.ahead();
    if (ahead === "list" && form.stream !== null) {
      this.readEvents("");
      if (this.store.transaction.count > 0) this.expectFirst(form.expected);
      this.checkStrict("");
      return false;
    }
    if (ahead !== "map") {
      throw cursor.fault(form.stream === null ? "an object" : "an event or a list of events");
    }
    outer.clear();
    let hasEvents = false;
    cursor.openMap();
    while (cursor.nextField()) {
      const field = this.field();
      if (field !== Field.events) {
        this.readField(outer, field, "");
        continue;
      }
      if (hasEvents) throw twice("events");
      hasEvents = true;
      this.readEvents("events");
    }
    if (hasEvents || form.stream === null) {
      if (!hasEvents) throw missing("events", "");
      this.takeRequestFields();
      return false;
    }
    this.addEvent(outer, "");
    this.expectFirst(form.expected);
    this.checkStrict("");
    return true;
  }

  private takeRequestFields(): void {
    const { form } = this;
    const others = outer.given & ~REQUEST_FIELDS;
    const isOfStream = form.stream !== null;
    for (let field = 0; field < FIELD_NAMES.length; field++) {
      if ((others & (1 << field)) !== 0) throw this.misplaced(field);
    }
    if (outer.has(Field.expectedVersion) && !isOfStream)
      throw this.misplaced(Field.expectedVersion);
    if (outer.has(Field.partitionKey)) this.takeKey(outer, "");
    if (isOfStream && this.store.transaction.count > 0) {
      const given = outer.has(Field.expectedVersion)
        ? { kind: outer.expectedKind, version: outer.expectedVersion }
        : null;
      if (given !== null && form.expected !== null) throw headerBeside();
      this.expectFirst(given ?? form.expected);
    }
    this.checkStrict("events");
  }

  private misplaced(field: number): StoreError {
    const name = FIELD_NAMES[field] as string;
    return new StoreError("INVALIDARG", `${name} belongs into each event, not beside events`);
  }

  private readEvents(label: string): void {
    const { cursor } = this;
    if (cursor.ahead() !== "list") throw wrongType(label, "a list of events");
    cursor.openList();
    for (let index = 0; cursor.nextItem(); index++) {
      const where = `${label}[${index}]`;
      if (cursor.ahead() !== "map") throw wrongType(where, "an event, which is an object");
      inner.clear();
      cursor.openMap();
      while (cursor.nextField()) {
        const field = this.field();
        this.readField(inner, field, where);
      }
      this.addEvent(inner, where);
    }
  }

  // ── fields ──────────────────────────────────────────────────────────────────────────────────────

  /** The field whose name was read, or -1. */
  private field(): number {
    return fieldOf(this.core.memory, this.cursor.address, this.cursor.size);
  }

  private readField(fields: EventFields, field: number, where: string): void {
    const { cursor } = this;
    if (!this.isKnown(field, fields)) throw this.unknownField(where, fields);
    const label = at(where, FIELD_NAMES[field] as string);
    if (fields.has(field)) throw twice(label);
    switch (field) {
      case Field.payload:
      case Field.metadata:
        if (!cursor.data()) throw wrongType(label, "a str or a bin");
        break;
      case Field.payloadJson:
      case Field.metadataJson:
        cursor.value();
        break;
      case Field.timestamp: {
        const value = cursor.ahead() === "number" ? cursor.number() : Number.NaN;
        if (Number.isNaN(value)) throw wrongType(label, `milliseconds from 0 to ${INTEGER_MAX}`);
        fields.timestamp = value;
        break;
      }
      case Field.expectedVersion:
        this.readExpected(fields, label);
        break;
      default:
        if (cursor.ahead() !== "text") throw wrongType(label, "a string");
        cursor.text();
    }
    fields.set(field, cursor.address, cursor.size);
    if (field === Field.payloadBase64 || field === Field.metadataBase64) {
      this.decodeBase64(fields, field, label);
    }
  }

  private isKnown(field: number, fields: EventFields): boolean {
    if (field < 0) return false;
    if (field === Field.events) return fields === outer;
    if (field === Field.streamId) return this.form.stream === null;
    if (field === Field.partitionKey && this.form.stream === null) return fields === outer;
    if (this.cursor.hasDataForms) return true;
    return (
      field !== Field.payloadJson &&
      field !== Field.metadataJson &&
      field !== Field.payloadBase64 &&
      field !== Field.metadataBase64
    );
  }

  private unknownField(where: string, fields: EventFields): StoreError {
    const name = this.core.text(this.cursor.address, this.cursor.size);
    const known = FIELD_NAMES.filter((_, field) => this.isKnown(field, fields));
    const text = `unknown field ${quote(name)}${where === "" ? "" : ` in ${where}`}`;
    const help = suggestion(name, known) || `: expected ${known.join(", ")}`;
    return new StoreError("INVALIDARG", text + help);
  }

  private readExpected(fields: EventFields, label: string): void {
    const { cursor } = this;
    const ahead = cursor.ahead();
    if (ahead === "number") {
      fields.expectedKind = ExpectedVersion.exact;
      fields.expectedVersion = cursor.number();
      if (!Number.isNaN(fields.expectedVersion)) return;
    } else if (ahead === "text") {
      cursor.text();
      const word = this.core.text(cursor.address, cursor.size);
      if (word === "any" || word === "exists" || word === "empty") {
        fields.expectedKind = ExpectedVersion[word];
        return;
      }
    }
    throw wrongType(label, `"any", "exists", "empty" or a number from 0 to ${INTEGER_MAX}`);
  }

  /** Puts the bytes where their text was: they are fewer. */
  private decodeBase64(fields: EventFields, field: number, label: string): void {
    const address = fields.address(field);
    const text = Buffer.from(
      this.core.memory.subarray(address, address + fields.size(field)),
    ).toString("latin1");
    if (text.length % 4 !== 0 || !BASE64.test(text)) {
      throw wrongType(label, "base64 with padding (RFC 4648, section 4)");
    }
    const bytes = Buffer.from(text, "base64");
    this.core.memory.set(bytes, address);
    fields.set(field, address, bytes.length);
  }

  // ── events ──────────────────────────────────────────────────────────────────────────────────────

  private addEvent(fields: EventFields, where: string): void {
    const { transaction } = this.store;
    if (!fields.has(Field.eventName)) throw missing("event_name", where);
    if (this.form.stream === null && !fields.has(Field.streamId)) throw missing("stream_id", where);
    if (transaction.count === TRANSACTION_EVENTS_MAX) {
      this.surplus++;
      return;
    }
    const streamAddress = this.form.stream?.address ?? fields.address(Field.streamId);
    const streamSize = this.form.stream?.size ?? fields.size(Field.streamId);
    const { memory } = this.core;
    if (this.form.stream === null) {
      checkStreamToAppend(memory, streamAddress, streamSize, at(where, "stream_id"));
    }
    const nameAddress = fields.address(Field.eventName);
    const nameSize = fields.size(Field.eventName);
    checkEventName(memory, nameAddress, nameSize, at(where, "event_name"));
    const event = transaction.addEvent(streamAddress, streamSize, nameAddress, nameSize);
    const payload = fields.oneOf(PAYLOADS, where);
    if (payload >= 0) {
      transaction.setPayload(event, fields.address(payload), fields.size(payload));
    }
    const metadata = fields.oneOf(METADATAS, where);
    if (metadata >= 0) {
      transaction.setMetadata(event, fields.address(metadata), fields.size(metadata));
    }
    const dataSize = transaction.dataBytes(event);
    if (dataSize > EVENT_DATA_BYTES_MAX) {
      throw tooLarge("size of payload and metadata in bytes", EVENT_DATA_BYTES_MAX, dataSize);
    }
    if (fields.has(Field.eventId)) {
      const [address, size] = [fields.address(Field.eventId), fields.size(Field.eventId)];
      if (!transaction.setEventId(event, address, size)) {
        throw wrongType(at(where, "event_id"), "a UUID");
      }
    }
    if (fields.has(Field.timestamp)) transaction.setTimestamp(event, fields.timestamp);
    if (fields.has(Field.partitionKey)) this.takeKey(fields, where);
    if (fields.has(Field.expectedVersion)) {
      transaction.setExpectedVersion(event, fields.expectedKind, fields.expectedVersion);
    }
    this.noteStrict(event, fields, where);
  }

  /** Sets what the request as a whole expects of its first event's stream. */
  private expectFirst(expected: Expected | null): void {
    if (expected === null) return;
    if (this.hasOwn) throw headerBeside();
    this.store.transaction.setExpectedVersion(0, expected.kind, expected.version);
    this.firstIsMissing = null;
    this.checkStrictKind(expected.kind);
  }

  private noteStrict(event: number, fields: EventFields, where: string): void {
    const hasVersion = fields.has(Field.expectedVersion);
    if (event === 0) this.hasOwn = hasVersion;
    if (this.seen === null) return;
    if (hasVersion) this.checkStrictKind(fields.expectedKind);
    const stream = this.store.transaction.streamText(event);
    if (this.seen.has(stream)) return;
    this.seen.add(stream);
    if (hasVersion) return;
    if (event === 0) this.firstIsMissing = where === "" ? "the event" : where;
    else this.otherIsMissing ??= where;
  }

  private checkStrictKind(kind: ExpectedVersion): void {
    if (this.seen === null) return;
    if (kind === ExpectedVersion.exact || kind === ExpectedVersion.empty) return;
    const text = 'this server is strict: the expected version must be "empty" or a number';
    throw new StoreError("INVALIDARG", text);
  }

  private checkStrict(label: string): void {
    const where = this.firstIsMissing ?? this.otherIsMissing;
    if (where !== null) throw versionMissing(where === "" ? label : where);
  }

  /** Takes the partition key of all events; two different ones are refused. */
  private takeKey(fields: EventFields, where: string): void {
    const { core } = this;
    const { transaction } = this.store;
    const address = fields.address(Field.partitionKey);
    const size = fields.size(Field.partitionKey);
    const before = transaction.hasPartitionKey ? core.uuidText(core.requestKeyAddress) : null;
    checkPartitionKey(core, address, size, at(where, "partition_key"));
    transaction.setPartitionKey(address, size);
    if (before !== null && before !== core.uuidText(core.requestKeyAddress)) {
      const label = at(where, "partition_key");
      throw new StoreError(
        "INVALIDARG",
        `${label}: all events of a request have one partition key`,
      );
    }
  }
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const PAYLOADS = [Field.payload, Field.payloadJson, Field.payloadBase64];
const METADATAS = [Field.metadata, Field.metadataJson, Field.metadataBase64];

function at(where: string, name: string): string {
  return where === "" ? name : `${where}.${name}`;
}

function wrongType(label: string, expected: string): StoreError {
  return new StoreError("INVALIDARG", `${label}: expected ${expected}`);
}

function missing(name: string, where: string): StoreError {
  return new StoreError("INVALIDARG", `${at(where, name)} is missing`);
}

function twice(label: string): StoreError {
  return new StoreError("INVALIDARG", `${label} is given twice`);
}

function headerBeside(): StoreError {
  return new StoreError(
    "INVALIDARG",
    "the expected version is given twice: in expected_version and in If-Match, If-None-Match or beside events",
  );
}

/** A request to a strict store that does not say which version it expects. */
function versionMissing(where: string): ProblemError {
  const text = `this server is strict: ${where} must say which version it expects, in expected_version or If-Match`;
  return new ProblemError(problem(428, "INVALIDARG", text));
}
