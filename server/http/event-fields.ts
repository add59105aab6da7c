/**
 * The fields of an event to append, as they are found: places in core memory, and numbers. One object serves event
 * after event.
 */
import { StoreError } from "../errors.ts";
import {
  EVENT_NAME_BYTES_MAX,
  JSON_DEPTH_MAX,
  STREAM_ID_BYTES_MAX,
  TRANSACTION_EVENTS_MAX,
} from "../limits.ts";
import { ExpectedVersion } from "../store/transaction-builder.ts";
import { type JsonSchema, NUMBER_SCHEMA } from "./schema.ts";

const BASE64_PATTERN = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
/** What a partition key has, unless it is a UUID of digits alone: a sign that no list of partitions has. */
const KEY_PATTERN = "[^0-9,*-]|^[0-9]{8}-?(?:[0-9]{4}-?){3}[0-9]{12}$";
/** What names never hold. */
const NAME_PATTERN = "^[^\\u0000\\r\\n]*$";

const NESTING = `Its arrays and objects may be nested ${JSON_DEPTH_MAX} deep.`;

/** Indexes of `FIELD_NAMES`. */
export const Field = {
  eventName: 0,
  eventId: 1,
  payload: 2,
  payloadJson: 3,
  payloadBase64: 4,
  metadata: 5,
  metadataJson: 6,
  metadataBase64: 7,
  timestamp: 8,
  expectedVersion: 9,
  partitionKey: 10,
  streamId: 11,
  /** Of a request of several. */
  events: 12,
} as const;

/** The fields in this order, each as JSON Schema describes it. */
const FIELDS: Readonly<Record<string, JsonSchema>> = {
  event_name: {
    type: "string",
    minLength: 1,
    maxLength: EVENT_NAME_BYTES_MAX,
    pattern: NAME_PATTERN,
    description: "1 to 255 bytes of UTF-8 without NUL, CR and LF.",
  },
  event_id: {
    type: "string",
    format: "uuid",
    description: "Any UUID; made where it is not given. A request with the same ids is a repeat.",
  },
  payload: {
    description: `A string is stored as it is, any other value byte for byte as it stands here. ${NESTING}`,
  },
  payload_json: {
    description: `Any JSON value, strings too: stored byte for byte. ${NESTING}`,
  },
  payload_base64: {
    type: "string",
    contentEncoding: "base64",
    pattern: BASE64_PATTERN,
    description: "Bytes in base64, with padding.",
  },
  metadata: { description: "As payload." },
  metadata_json: { description: "As payload_json." },
  metadata_base64: {
    type: "string",
    contentEncoding: "base64",
    pattern: BASE64_PATTERN,
    description: "As payload_base64.",
  },
  timestamp: {
    ...NUMBER_SCHEMA,
    description: "Milliseconds since 1970; the server's clock where it is not given.",
  },
  expected_version: {
    anyOf: [{ enum: ["any", "exists", "empty"] }, NUMBER_SCHEMA],
    description: "What the stream's version must be; any unless given.",
  },
  partition_key: {
    type: "string",
    pattern: KEY_PATTERN,
    description:
      "A UUID, or any other text. The stream keeps the key of its first event, by default one made of its id.",
  },
  stream_id: {
    type: "string",
    minLength: 1,
    maxLength: STREAM_ID_BYTES_MAX,
    pattern: NAME_PATTERN,
    description: "1 to 255 bytes of UTF-8 without NUL, CR and LF.",
  },
  events: { type: "array", minItems: 1, maxItems: TRANSACTION_EVENTS_MAX },
};

export const FIELD_NAMES: readonly string[] = Object.keys(FIELDS);

/** A field's schema, by its index. */
export function fieldSchema(field: number): JsonSchema {
  return FIELDS[FIELD_NAMES[field] as string] as JsonSchema;
}

const FIELD_BYTES = FIELD_NAMES.map((name) => Buffer.from(name));

/** The field whose name the bytes are, or -1. */
export function fieldOf(memory: Uint8Array, address: number, size: number): number {
  for (let field = 0; field < FIELD_BYTES.length; field++) {
    const name = FIELD_BYTES[field] as Buffer;
    if (name.length === size && isAt(memory, address, name)) return field;
  }
  return -1;
}

function isAt(memory: Uint8Array, address: number, name: Uint8Array): boolean {
  for (let i = name.length - 1; i >= 0; i--) {
    if (memory[address + i] !== name[i]) return false; // names differ at their ends rather
  }
  return true;
}

export class EventFields {
  /** A bit for each field that was given. */
  given = 0;
  timestamp = 0;
  expectedKind: ExpectedVersion = ExpectedVersion.any;
  expectedVersion = 0;
  private readonly addresses = new Float64Array(FIELD_NAMES.length);
  private readonly sizes = new Float64Array(FIELD_NAMES.length);

  clear(): void {
    this.given = 0;
  }

  has(field: number): boolean {
    return (this.given & (1 << field)) !== 0;
  }

  set(field: number, address: number, size: number): void {
    this.given |= 1 << field;
    this.addresses[field] = address;
    this.sizes[field] = size;
  }

  address(field: number): number {
    return this.addresses[field] as number;
  }

  size(field: number): number {
    return this.sizes[field] as number;
  }

  /** The one of the fields that was given, or -1. Throws where there are several. */
  oneOf(fields: readonly number[], where: string): number {
    let found = -1;
    for (const field of fields) {
      if (!this.has(field)) continue;
      if (found >= 0) {
        const names = `${FIELD_NAMES[found]} and ${FIELD_NAMES[field]}`;
        throw new StoreError("INVALIDARG", `${names} say the same${where && `, in ${where}`}`);
      }
      found = field;
    }
    return found;
  }
}
