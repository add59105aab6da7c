/**
 * Why the core refused an append, in the words and with the facts that a client gets. The texts of WRONGVER,
 * WRONGKEY and DUPLICATE are stable: the README has a regular expression for each.
 */
import type { Core } from "../core/core.ts";
import {
  CORRUPT,
  DUPLICATE,
  ID_TWICE,
  NO_MEMORY,
  WRONG_KEY,
  WRONG_VERSION,
} from "../core/status.ts";
import { StoreError } from "../errors.ts";
import { readAppendResult } from "./append-result.ts";
import type { StoredEvent } from "./stored-event.ts";
import type { TransactionBuilder } from "./transaction-builder.ts";

/** What a refusal may need of the log. */
export interface RefusalLog {
  /** An event that need not be durable: for naming it. */
  peekEvent(position: number): StoredEvent;
  /** The error that names the damaged record. */
  corrupt(): StoreError;
}

/** The error for a status of the core that is neither done nor to be tried again. */
export function appendRefusal(
  status: number,
  core: Core,
  transaction: TransactionBuilder,
  log: RefusalLog,
): StoreError {
  switch (status) {
    case WRONG_VERSION:
      return wrongVersion(core, transaction);
    case WRONG_KEY:
      return wrongKey(core, transaction);
    case DUPLICATE:
      return duplicate(core, transaction, log);
    case ID_TWICE: {
      const index = core.exports.getFailedIndex();
      const eventId = transaction.eventIdText(index);
      return new StoreError("DUPLICATE", `event id ${eventId} is given twice in this request`, {
        event_id: eventId,
        event_index: index,
      });
    }
    case NO_MEMORY:
      return readOnly("the index has reached the limit of its memory");
    case CORRUPT:
      return log.corrupt();
    default:
      throw new Error(`unknown append status ${status}`);
  }
}

function wrongVersion(core: Core, transaction: TransactionBuilder): StoreError {
  const index = core.exports.getFailedIndex();
  const version = core.exports.getFailedVersion();
  const current = version < 0 ? null : version;
  const expected = transaction.expectedText(index);
  const streamId = transaction.streamText(index);
  const key = readAppendResult(core, transaction).events[index]?.partitionKey ?? "";
  return new StoreError(
    "WRONGVER",
    `wrong expected version: current stream version is ${current ?? "empty"} but expected ${expected} for partition key ${key} and stream id ${streamId}`,
    {
      stream_id: streamId,
      expected_version: expected,
      current_version: current,
      event_index: index,
    },
  );
}

function wrongKey(core: Core, transaction: TransactionBuilder): StoreError {
  const index = core.exports.getFailedIndex();
  const streamId = transaction.streamText(index);
  const own = readAppendResult(core, transaction).events[index]?.partitionKey ?? "";
  const given = core.uuidText(core.requestKeyAddress);
  return new StoreError(
    "WRONGKEY",
    `stream ${streamId} has partition key ${own}, not ${given}: leave PARTITION_KEY out`,
    { stream_id: streamId, partition_key: own, event_index: index },
  );
}

function duplicate(core: Core, transaction: TransactionBuilder, log: RefusalLog): StoreError {
  const index = core.exports.getFailedIndex();
  const position = core.exports.getFailedPosition();
  const eventId = transaction.eventIdText(index);
  if (position < 0) {
    return new StoreError(
      "DUPLICATE",
      `event id ${eventId} is new, but other ids of this request stand for an earlier transaction`,
      { event_id: eventId, event_index: index },
    );
  }
  const event = log.peekEvent(position);
  return new StoreError(
    "DUPLICATE",
    `event id ${eventId} already stands for other content: stream ${event.streamId} version ${event.streamVersion} at position ${position}`,
    {
      event_id: eventId,
      stream_id: event.streamId,
      stream_version: event.streamVersion,
      position,
      event_index: index,
    },
  );
}

/** Nothing was written, and nothing is until the reason is gone. */
export function readOnly(reason: string): StoreError {
  return new StoreError("READONLY", `nothing was written: ${reason}`, { outcome: "none" });
}
