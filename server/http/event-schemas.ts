/**
 * What bodies look like, as JSON Schema: made of the same fields by which they are read (event-fields.ts), and of the
 * fields that answers have.
 */
import { ERRORS } from "../errors.ts";
import { FIELD_NAMES, Field, fieldSchema } from "./event-fields.ts";
import { type JsonSchema, NUMBER_SCHEMA } from "./schema.ts";

function fieldsOf(fields: readonly number[]): Record<string, JsonSchema> {
  return Object.fromEntries(fields.map((field) => [FIELD_NAMES[field], fieldSchema(field)]));
}

/** At most one of the forms of payload, and of metadata. */
const ONE_FORM_EACH = [Field.payload, Field.metadata].map((field) => {
  const [plain, asJson, asBase64] = [0, 1, 2].map((form) => FIELD_NAMES[field + form] as string);
  const both = (...names: (string | undefined)[]) => ({ required: names });
  return { not: { anyOf: [both(plain, asJson), both(plain, asBase64), both(asJson, asBase64)] } };
});

function eventOf(fields: readonly number[], required: readonly number[]): JsonSchema {
  return {
    type: "object",
    properties: fieldsOf(fields),
    required: required.map((field) => FIELD_NAMES[field]),
    additionalProperties: false,
    allOf: ONE_FORM_EACH,
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

const DATA = [
  "metadata",
  "metadata_json",
  "metadata_base64",
  "payload",
  "payload_json",
  "payload_base64",
];

/** `components/schemas` of /openapi.json. */
export const COMPONENT_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  NewEvent: eventOf([...EVENT_FIELDS, Field.partitionKey], [Field.eventName]),
  NewEvents: {
    type: "object",
    properties: {
      ...fieldsOf([Field.expectedVersion, Field.partitionKey]),
      events: listOf("NewEvent"),
    },
    required: ["events"],
    additionalProperties: false,
  },
  TransactionEvent: eventOf([Field.streamId, ...EVENT_FIELDS], [Field.streamId, Field.eventName]),
  Transaction: {
    type: "object",
    properties: { ...fieldsOf([Field.partitionKey]), events: listOf("TransactionEvent") },
    required: ["events"],
    additionalProperties: false,
  },
  AppendedEvent: object(ANSWERED),
  AppendedEvents: object({ events: { type: "array", items: reference("AppendedEvent") } }),
  Event: object(
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
      metadata: { type: "string", description: "Where the bytes are UTF-8." },
      metadata_json: { description: "In its place with data=json, where it is JSON." },
      metadata_base64: { type: "string", description: "In its place where it is no UTF-8." },
      payload: { type: "string" },
      payload_json: {},
      payload_base64: { type: "string" },
      position: NUMBER_SCHEMA,
      recorded_at: NUMBER_SCHEMA,
    },
    DATA,
  ),
  Events: object(
    {
      has_more: { type: "boolean" },
      events: { type: "array", items: reference("Event") },
      next: {
        ...NUMBER_OR_NULL,
        description:
          "With a filter: the first number not yet examined, or null where the range's end was reached for good.",
      },
    },
    ["next"],
  ),
  StreamEvents: {
    allOf: [reference("Events"), object({ version: NUMBER_OR_NULL })],
  },
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

/** Answers of the look-ups. */
export const SCHEMAS = {
  store: reference("Store"),
  streams: reference("Streams"),
  stream: reference("Stream"),
  partition: reference("Partition"),
  event: reference("Event"),
  events: reference("Events"),
  streamEvents: reference("StreamEvents"),
  appended: { anyOf: [reference("AppendedEvent"), reference("AppendedEvents")] },
  health: reference("Health"),
  problem: reference("Problem"),
};

export const APPEND_SCHEMAS = {
  stream: {
    anyOf: [
      reference("NewEvent"),
      reference("NewEvents"),
      { ...fieldSchema(Field.events), items: reference("NewEvent") },
    ],
  },
  transaction: reference("Transaction"),
};

/** Every example is sent by a test, in this order, and answered with 201. */
export const APPEND_EXAMPLES = {
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
    summary: "Several events, if nobody else appended meanwhile",
    value: {
      expected_version: 3,
      events: [{ event_name: "ProfileUpdated", payload: { name: "Alice Jones" } }],
    },
  },
};

export const TRANSACTION_EXAMPLES = {
  transfer: {
    summary: "A transfer between two accounts, each with a partition key of its own",
    value: {
      events: [
        { stream_id: "account-123", event_name: "MoneyWithdrawn", payload: { amount: 100 } },
        { stream_id: "account-456", event_name: "MoneyDeposited", payload: { amount: 100 } },
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
