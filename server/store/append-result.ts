/**
 * The numbers that a transaction got: read from the core's result table, as objects. For HTTP and for errors;
 * RESP's answers are written by the core from the same table (core-wasm/assembly/request.ts draws it).
 */
import type { Core } from "../core/core.ts";
import type { TransactionBuilder } from "./transaction-builder.ts";

const ROW_BYTES = 104;
const KEY_OFFSET = 16;
const SEQUENCE = 4; // f64 index: byte 32
const VERSION = 5;
const TIMESTAMP = 6;
const PARTITION = 14; // u32 index: byte 56

interface AppendedEvent {
  readonly eventId: string;
  readonly streamId: string;
  readonly partitionKey: string;
  readonly partitionId: number;
  readonly partitionSequence: number;
  readonly streamVersion: number;
  readonly timestamp: number;
  readonly position: number;
  readonly recordedAt: number;
}

export interface AppendResult {
  readonly events: readonly AppendedEvent[];
}

export function readAppendResult(core: Core, transaction: TransactionBuilder): AppendResult {
  const firstPosition = core.exports.getResultPosition();
  const recordedAt = core.exports.getResultRecordedAt();
  const events: AppendedEvent[] = [];
  for (let index = 0; index < transaction.count; index++) {
    const row = core.resultAddress + index * ROW_BYTES;
    const doubles = row / 8;
    events.push({
      eventId: core.uuidText(row),
      streamId: transaction.streamText(index),
      partitionKey: core.uuidText(row + KEY_OFFSET),
      partitionId: core.words[row / 4 + PARTITION] as number,
      partitionSequence: core.doubles[doubles + SEQUENCE] as number,
      streamVersion: core.doubles[doubles + VERSION] as number,
      timestamp: core.doubles[doubles + TIMESTAMP] as number,
      position: firstPosition + index,
      recordedAt,
    });
  }
  return { events };
}

export interface AppendSummary {
  readonly firstEventId: string;
  /** The version of the last event in its stream. */
  readonly lastVersion: number;
}

/** The same of a transaction, without an object for each of its events. */
export function readAppendSummary(core: Core, transaction: TransactionBuilder): AppendSummary {
  const lastRow = core.resultAddress + (transaction.count - 1) * ROW_BYTES;
  return {
    firstEventId: core.uuidText(core.resultAddress),
    lastVersion: core.doubles[lastRow / 8 + VERSION] as number,
  };
}
