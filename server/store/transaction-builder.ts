/**
 * The transaction that is being asked for: a table in core memory, filled by either door.
 *
 * One builder serves the whole process, since a request is parsed and appended within one turn. Nothing is
 * allocated per event: texts stay where the door put them in core memory, and the table holds their
 * addresses. Layout: `core-wasm/assembly/request.ts`.
 */

import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { TRANSACTION_EVENTS_MAX } from "../limits.ts";

/** What an append expects of its stream's current version. The numbers cross into the core. */
export const ExpectedVersion = { any: 0, exists: 1, empty: 2, exact: 3 } as const;
export type ExpectedVersion = (typeof ExpectedVersion)[keyof typeof ExpectedVersion];

/** Bytes of one event's row, and its fields as indexes of u32 and f64 (request.ts draws them). */
const ROW_SIZE = 80;
const STREAM = 0;
const NAME = 2;
const PAYLOAD = 4;
const METADATA = 6;
const HAS_EVENT_ID = 8;
const EXPECTED_KIND = 9;
const HAS_TIMESTAMP = 10;
const EXPECTED_VERSION = 6; // f64 index: byte 48
const TIMESTAMP = 7; // f64 index: byte 56
const EVENT_ID_OFFSET = 64;

export class TransactionBuilder {
  /** Events added so far. */
  count = 0;
  /** True: every event has the key given to `setPartitionKey`. False: each stream keeps its own. */
  hasPartitionKey = false;

  private readonly core: Core;

  constructor(core: Core) {
    this.core = core;
  }

  begin(): void {
    this.count = 0;
    this.hasPartitionKey = false;
  }

  /**
   * Adds an event; its other fields are then set by the index returned.
   * Addresses are of core memory, lengths in bytes; the texts were checked by `checkStreamId` and the like.
   */
  addEvent(
    streamAddress: number,
    streamLength: number,
    nameAddress: number,
    nameLength: number,
  ): number {
    assert(this.count < TRANSACTION_EVENTS_MAX);
    const index = this.count++;
    const row = this.words(index);
    const words = this.core.words;
    words[row + STREAM] = streamAddress;
    words[row + STREAM + 1] = streamLength;
    words[row + NAME] = nameAddress;
    words[row + NAME + 1] = nameLength;
    words[row + PAYLOAD] = 0;
    words[row + PAYLOAD + 1] = 0;
    words[row + METADATA] = 0;
    words[row + METADATA + 1] = 0;
    words[row + HAS_EVENT_ID] = 0;
    words[row + EXPECTED_KIND] = ExpectedVersion.any;
    words[row + HAS_TIMESTAMP] = 0;
    return index;
  }

  setPayload(index: number, address: number, length: number): void {
    const row = this.words(index);
    this.core.words[row + PAYLOAD] = address;
    this.core.words[row + PAYLOAD + 1] = length;
  }

  setMetadata(index: number, address: number, length: number): void {
    const row = this.words(index);
    this.core.words[row + METADATA] = address;
    this.core.words[row + METADATA + 1] = length;
  }

  /** Bytes of payload and metadata of an event together. */
  dataBytes(index: number): number {
    const row = this.words(index);
    return (this.core.words[row + PAYLOAD + 1] ?? 0) + (this.core.words[row + METADATA + 1] ?? 0);
  }

  /** Takes the event id from its text; false where the text is no UUID. */
  setEventId(index: number, address: number, length: number): boolean {
    if (!this.core.parseUuid(address, length, this.rowAddress(index) + EVENT_ID_OFFSET))
      return false;
    this.core.words[this.words(index) + HAS_EVENT_ID] = 1;
    return true;
  }

  /** `version` counts for `exact` alone: 0 to 2^53-1. */
  setExpectedVersion(index: number, kind: ExpectedVersion, version = 0): void {
    this.core.words[this.words(index) + EXPECTED_KIND] = kind;
    this.core.doubles[this.doubles(index) + EXPECTED_VERSION] = version;
  }

  /** Milliseconds, 0 to 2^53-1. Without it the event gets the server's clock. */
  setTimestamp(index: number, timestampMs: number): void {
    this.core.words[this.words(index) + HAS_TIMESTAMP] = 1;
    this.core.doubles[this.doubles(index) + TIMESTAMP] = timestampMs;
  }

  /** Takes the partition key of all events from its text: a UUID, or any other text (UUIDv5 of it). */
  setPartitionKey(address: number, length: number): void {
    this.core.parsePartitionKey(address, length, this.core.requestKeyAddress);
    this.hasPartitionKey = true;
  }

  /** What the event expects, as the client said it. */
  expectedText(index: number): string | number {
    switch (this.core.words[this.words(index) + EXPECTED_KIND]) {
      case ExpectedVersion.any:
        return "any";
      case ExpectedVersion.exists:
        return "exists";
      case ExpectedVersion.empty:
        return "empty";
      default:
        return this.core.doubles[this.doubles(index) + EXPECTED_VERSION] as number;
    }
  }

  streamText(index: number): string {
    const row = this.words(index);
    const { words } = this.core;
    return this.core.text(words[row + STREAM] as number, words[row + STREAM + 1] as number);
  }

  /** The given event id in its usual form. */
  eventIdText(index: number): string {
    return this.core.uuidText(this.rowAddress(index) + EVENT_ID_OFFSET);
  }

  private rowAddress(index: number): number {
    return this.core.requestAddress + index * ROW_SIZE;
  }

  private words(index: number): number {
    return this.rowAddress(index) / 4;
  }

  private doubles(index: number): number {
    return this.rowAddress(index) / 8;
  }
}
