/**
 * A stored event as an object, and as JSON in the form that HTTP gives and `dump` prints. The RESP path never
 * makes one: there the core writes replies straight from the record.
 */
import type { Core } from "../core/core.ts";

export interface StoredEvent {
  readonly eventId: string;
  readonly partitionKey: string;
  readonly partitionId: number;
  readonly transactionId: string;
  readonly partitionSequence: number;
  readonly streamVersion: number;
  readonly timestamp: number;
  readonly streamId: string;
  readonly eventName: string;
  readonly metadata: Uint8Array;
  readonly payload: Uint8Array;
  readonly position: number;
  readonly recordedAt: number;
}

/** Reads the event that the core shows; core-wasm/assembly/index.ts draws the fields. */
export function readStoredEvent(core: Core): StoredEvent {
  const address = core.exports.viewFields() >>> 0;
  const { doubles, words, memory } = core;
  const double = (index: number): number => doubles[address / 8 + index] as number;
  const word = (index: number): number => words[address / 4 + index] as number;
  const bytes = (index: number): Uint8Array =>
    memory.slice(word(index), word(index) + word(index + 1));
  return {
    position: double(0),
    recordedAt: double(1),
    partitionSequence: double(2),
    streamVersion: double(3),
    timestamp: double(4),
    partitionId: word(10),
    eventId: core.uuidText(word(11)),
    transactionId: core.uuidText(word(12)),
    partitionKey: core.uuidText(word(13)),
    streamId: core.text(word(14), word(15)),
    eventName: core.text(word(16), word(17)),
    payload: bytes(18),
    metadata: bytes(20),
  };
}

/** The event as one JSON object, without white space; data that is no UTF-8 is given in base64. */
export function storedEventJson(event: StoredEvent): string {
  return JSON.stringify({
    event_id: event.eventId,
    partition_key: event.partitionKey,
    partition_id: event.partitionId,
    transaction_id: event.transactionId,
    partition_sequence: event.partitionSequence,
    stream_version: event.streamVersion,
    timestamp: event.timestamp,
    stream_id: event.streamId,
    event_name: event.eventName,
    ...dataMember("metadata", event.metadata),
    ...dataMember("payload", event.payload),
    position: event.position,
    recorded_at: event.recordedAt,
  });
}

function dataMember(name: string, data: Uint8Array): Record<string, string> {
  try {
    return { [name]: strictDecoder.decode(data) };
  } catch {
    return { [`${name}_base64`]: Buffer.from(data).toString("base64") };
  }
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
