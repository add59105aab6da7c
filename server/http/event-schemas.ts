/**
 * What bodies look like, as JSON Schema: made of the same fields by which they are read (event-fields.ts), and of the
 * fields that answers have.
 */
import { ERRORS } from "../errors.ts";
import { FIELD_NAMES, Field, fieldSchema } from "./event-fields.ts";
import { type JsonSchema, NUMBER_SCHEMA } from "./schema.ts";

/**
 * A body's form. MessagePack has no forms of data but one: a str or a bin, which JSON Schema knows as a string.
 */
type Form = "json" | "msgpack";

function fieldsOf(fields: readonly number[], form: Form): Record<string, JsonSchema> {
  return Object.fromEntries(
    fields
      .filter((field) => form === "json" || !DATA_FORMS.has(field))
      .map((field) => [
        FIELD_NAMES[field],
        form === "msgpack" && DATA_FIELDS.has(field) ? PACKED_DATA : fieldSchema(field),
      ]),
  );
}

const DATA_FIELDS: ReadonlySet<number> = new Set([Field.payload, Field.metadata]);
const DATA_FORMS: ReadonlySet<number> = new Set([
  Field.payloadJson,
  Field.payloadBase64,
  Field.metadataJson,
  Field.metadataBase64,
]);
const PACKED_DATA: JsonSchema = {
  type: "string",
  description: "A str where the bytes are UTF-8, else a bin; either is taken.",
};

/** At most one of the forms of payload, and of metadata. */
const ONE_FORM_EACH = [Field.payload, Field.metadata].map((field) => {
  const [plain, asJson, asBase64] = [0, 1, 2].map((form) => FIELD_NAMES[field + form] as string);
  const both = (...names: (string | undefined)[]) => ({ required: names });
  return { not: { anyOf: [both(plain, asJson), both(plain, asBase64), both(asJson, asBase64)] } };
});

function eventOf(fields: readonly number[], required: readonly number[], form: Form): JsonSchema {
  return {
    type: "object",
    properties: fieldsOf(fields, form),
    required: required.map((field) => FIELD_NAMES[field]),
    additionalProperties: false,
    ...(form === "json" ? { allOf: ONE_FORM_EACH } : {}),
  };
}

/** What an event says that is appended, wherever it goes. */
const EVENT_FIELDS = [
  Field.eventName,
  Field.eventId,
  Field.payload,
  Field.payloadJson,
  Field.payloadBase64,
  Field.metadata,
  Field.metadataJson,
  Field.metadataBase64,
  Field.timestamp,
  Field.expectedVersion,
];

function reference(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

function listOf(name: string): JsonSchema {
  return { ...fieldSchema(Field.events), items: reference(name) };
}

const UUID = { type: "string", format: "uuid" };
const NUMBER_OR_NULL = { anyOf: [NUMBER_SCHEMA, { type: "null" }] };
const PARTITION_ID = { ...NUMBER_SCHEMA, maximum: 65_535 };

function object(properties: Record<string, JsonSchema>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required };
}

const ANSWERED = {
  event_id: UUID,
  partition_key: UUID,
  partition_id: PARTITION_ID,
  partition_sequence: NUMBER_SCHEMA,
  stream_version: NUMBER_SCHEMA,
  timestamp: NUMBER_SCHEMA,
  position: NUMBER_SCHEMA,
  recorded_at: NUMBER_SCHEMA,
};

const JSON_DATA = {
  metadata: { type: "string", description: "Where the bytes are UTF-8." },
  metadata_json: { description: "In its place with data=json, where it is JSON." },
  metadata_base64: { type: "string", description: "In its place where it is no UTF-8." },
  payload: { type: "string" },
  payload_json: {},
  payload_base64: { type: "string" },
};

/** The schemas of bodies that hold data, in one of the two forms; MessagePack's names begin with Packed. */
function dataSchemas(form: Form): Record<string, JsonSchema> {
  const name = (json: string): string => (form === "json" ? json : `Packed${json}`);
  const data = form === "json" ? JSON_DATA : { metadata: PACKED_DATA, payload: PACKED_DATA };
  return {
    [name("NewEvent")]: eventOf([...EVENT_FIELDS, Field.partitionKey], [Field.eventName], form),
    [name("NewEvents")]: {
      type: "object",
      properties: {
        ...fieldsOf([Field.expectedVersion, Field.partitionKey], form),
        events: listOf(name("NewEvent")),
      },
      required: ["events"],
      additionalProperties: false,
    },
    [name("TransactionEvent")]: eventOf(
      [Field.streamId, ...EVENT_FIELDS],
      [Field.streamId, Field.eventName],
      form,
    ),
    [name("Transaction")]: {
      type: "object",
      properties: {
        ...fieldsOf([Field.partitionKey], form),
        events: listOf(name("TransactionEvent")),
      },
      required: ["events"],
      additionalProperties: false,
    },
    [name("Event")]: object(
      {
        event_id: UUID,
        partition_key: UUID,
        partition_id: PARTITION_ID,
        transaction_id: UUID,
        partition_sequence: NUMBER_SCHEMA,
        stream_version: NUMBER_SCHEMA,
        timestamp: NUMBER_SCHEMA,
        stream_id: { type: "string" },
        event_name: { type: "string" },
        ...data,
        position: NUMBER_SCHEMA,
        recorded_at: NUMBER_SCHEMA,
      },
      form === "json" ? Object.keys(JSON_DATA) : [],
    ),
    [name("Events")]: object(
      {
        has_more: { type: "boolean" },
        events: { type: "array", items: reference(name("Event")) },
        next: {
          ...NUMBER_OR_NULL,
          description:
            "With a filter: the first number not yet examined, or null where the range's end was reached for good.",
        },
      },
      ["next"],
    ),
    [name("StreamEvents")]: {
      allOf: [reference(name("Events")), object({ version: NUMBER_OR_NULL })],
    },
  };
}

/** `components/schemas` of /openapi.json. */
export const COMPONENT_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  ...dataSchemas("json"),
  ...dataSchemas("msgpack"),
  AppendedEvent: object(ANSWERED),
  AppendedEvents: object({ events: { type: "array", items: reference("AppendedEvent") } }),
  Store: object({
    store_id: UUID,
    epoch: UUID,
    position: { ...NUMBER_OR_NULL, description: "Of the last event; null where there is none." },
    partitions: { type: "integer", minimum: 1, maximum: 65_536 },
    version: { type: "string" },
  }),
  Stream: object({
    stream_id: { type: "string" },
    version: NUMBER_SCHEMA,
    partition_key: UUID,
    partition_id: PARTITION_ID,
  }),
  Streams: object({
    streams: { type: "array", items: reference("Stream") },
    cursor: NUMBER_OR_NULL,
  }),
  Partition: object({ partition_id: PARTITION_ID, sequence: NUMBER_OR_NULL }),
  Health: object({ status: { const: "ok" } }),
  Problem: object(
    {
      type: { type: "string" },
      title: { type: "string" },
      status: { type: "integer" },
      code: { type: "string", enum: Object.keys(ERRORS) },
      detail: { type: "string" },
      stream_id: { type: "string" },
      expected_version: {},
      current_version: NUMBER_OR_NULL,
      partition_key: UUID,
      event_index: NUMBER_SCHEMA,
      event_id: UUID,
      stream_version: NUMBER_SCHEMA,
      partition_id: PARTITION_ID,
      partition_sequence: NUMBER_SCHEMA,
      position: NUMBER_SCHEMA,
      end: { type: "integer", minimum: -1 },
      epoch: UUID,
      limit: { type: "string" },
      limit_value: NUMBER_SCHEMA,
      asked: NUMBER_SCHEMA,
      outcome: { type: "string", enum: ["none", "unknown"] },
    },
    [
      "stream_id",
      "expected_version",
      "current_version",
      "partition_key",
      "event_index",
      "event_id",
      "stream_version",
      "partition_id",
      "partition_sequence",
      "position",
      "end",
      "epoch",
      "limit",
      "limit_value",
      "asked",
      "outcome",
    ],
  ),
};

/** A body's schema in each of its media types. */
export interface BodySchemas {
  readonly json: JsonSchema;
  readonly msgpack: JsonSchema;
}

/** Of a body without data: the same in both. */
function alike(name: string): BodySchemas {
  return { json: reference(name), msgpack: reference(name) };
}

function bodyOf(name: string): BodySchemas {
  return { json: reference(name), msgpack: reference(`Packed${name}`) };
}

/** What answers are; with data in them, in each of their media types. */
export const SCHEMAS = {
  store: alike("Store"),
  streams: alike("Streams"),
  stream: alike("Stream"),
  partition: alike("Partition"),
  event: bodyOf("Event"),
  events: bodyOf("Events"),
  streamEvents: bodyOf("StreamEvents"),
  appended: { anyOf: [reference("AppendedEvent"), reference("AppendedEvents")] },
  health: reference("Health"),
  problem: reference("Problem"),
};

function appendSchema(event: string, events: string): JsonSchema {
  return { anyOf: [reference(event), reference(events), listOf(event)] };
}

export const APPEND_SCHEMAS = {
  stream: {
    json: appendSchema("NewEvent", "NewEvents"),
    msgpack: appendSchema("PackedNewEvent", "PackedNewEvents"),
  },
  transaction: bodyOf("Transaction"),
};

/**
 * Every example is sent by a test, in this order, and answered with 201. The stream is one that the README's first
 * steps do not use, since here its version counts.
 */
const APPEND_EXAMPLES_JSON = {
  one: {
    summary: "One event; the payload is stored as this string",
    value: {
      event_name: "UserRegistered",
      event_id: "018bcfe5-6800-7000-8000-000000000001",
      payload: '{"email":"alice@example.com","name":"Alice Johnson"}',
      metadata: '{"source":"registration-api","correlation_id":"abc-123"}',
    },
  },
  json: {
    summary: "The payload as JSON, stored byte for byte as it stands in the request",
    value: { event_name: "EmailVerified", payload: { verified_at: "2024-01-01" } },
  },
  several: {
    summary: "Several events, all or nothing",
    value: [
      { event_name: "ProfileUpdated", payload: { name: "Alice Smith" } },
      { event_name: "AvatarUploaded", payload_base64: "iVBORw0KGgo=" },
    ],
  },
  expecting: {
    summary: "Several events, if nobody else has appended to the three versions above",
    value: {
      expected_version: 3,
      events: [{ event_name: "ProfileUpdated", payload: { name: "Alice Jones" } }],
    },
  },
};

/** Written here as the JSON that says the same; what is sent is MessagePack. */
const APPEND_EXAMPLES_MSGPACK = {
  packed: {
    summary: "One event, its payload a str; a bin holds any bytes",
    value: {
      event_name: "PhoneVerified",
      event_id: "018bcfe5-6800-7000-8000-000000000002",
      payload: '{"verified_at":"2024-01-02"}',
    },
  },
};

export const APPEND_EXAMPLES = { json: APPEND_EXAMPLES_JSON, msgpack: APPEND_EXAMPLES_MSGPACK };

const TRANSACTION_EXAMPLES_JSON = {
  transfer: {
    summary: "A transfer between two accounts, each with a partition key of its own",
    value: {
      events: [
        { stream_id: "account-42", event_name: "MoneyWithdrawn", payload: { amount: 100 } },
        { stream_id: "account-43", event_name: "MoneyDeposited", payload: { amount: 100 } },
      ],
    },
  },
  together: {
    summary: "New streams that share a partition key",
    value: {
      partition_key: "user-partition-key",
      events: [
        { stream_id: "user-9", event_name: "UserRegistered", expected_version: "empty" },
        { stream_id: "user-account-9", event_name: "AccountCreated", expected_version: "empty" },
      ],
    },
  },
};

const TRANSACTION_EXAMPLES_MSGPACK = {
  packed: {
    summary: "A transfer between two accounts",
    value: {
      events: [
        { stream_id: "account-42", event_name: "MoneyWithdrawn", payload: '{"amount":100}' },
        { stream_id: "account-43", event_name: "MoneyDeposited", payload: '{"amount":100}' },
      ],
    },
  },
};

export const TRANSACTION_EXAMPLES = {
  json: TRANSACTION_EXAMPLES_JSON,
  msgpack: TRANSACTION_EXAMPLES_MSGPACK,
};
