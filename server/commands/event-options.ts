/**
 * The grammar of an event to append, which EAPPEND and EMAPPEND share: its options go into the transaction.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { EVENT_DATA_BYTES_MAX, INTEGER_MAX } from "../limits.ts";
import { ExpectedVersion } from "../store/transaction-builder.ts";
import type { Arguments } from "./arguments.ts";
import {
  alreadySpecified,
  checkPartitionKey,
  invalid,
  NUMBER,
  type ParseContext,
  unexpected,
  unexpectedEnd,
} from "./options.ts";

/** The options of an event, and the two of EAPPEND alone. */
const EVENT_ID = 1;
const EXPECTED_VERSION = 2;
const TIMESTAMP = 4;
const PAYLOAD = 8;
const METADATA = 16;
const PARTITION_KEY = 32;
const WITHPOSITION = 64;
/** What EAPPEND takes; EMAPPEND names its key and WITHPOSITION once, before its events. */
export const OPTIONS_OF_EAPPEND =
  EVENT_ID | EXPECTED_VERSION | TIMESTAMP | PAYLOAD | METADATA | PARTITION_KEY | WITHPOSITION;
export const OPTIONS_OF_EMAPPEND = EVENT_ID | EXPECTED_VERSION | TIMESTAMP | PAYLOAD | METADATA;

const EXPECTED_IN_EAPPEND =
  "EVENT_ID, PARTITION_KEY, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, WITHPOSITION or end of input";
/** Where EMAPPEND expects its next event. */
export const EXPECTED_IN_EMAPPEND =
  "EVENT_ID, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, stream id or end of input";

/** What an append says beside its transaction. */
export interface AppendRequest {
  /** The answer has position and recorded_at too. */
  withPosition: boolean;
}

/**
 * Takes the options of the transaction's event `event`, from argument `from` on and in any order, and checks
 * what they say together. Returns the first argument that is none: EMAPPEND's next stream id. EAPPEND has one
 * event, so there nothing else may follow.
 */
export function parseEventOptions(
  args: Arguments,
  from: number,
  context: ParseContext,
  event: number,
  allowed: number,
  request: AppendRequest,
): number {
  const { transaction } = context.store;
  let seen = 0;
  let index = from;
  for (; index < args.count; index++) {
    const option = eventOption(args, index) & allowed;
    if (option === 0) {
      if (allowed === OPTIONS_OF_EAPPEND) throw unexpected(args, index, EXPECTED_IN_EAPPEND);
      break;
    }
    if ((seen & option) !== 0) throw alreadySpecified(EVENT_OPTIONS[option]?.noun as string);
    seen |= option;
    if (option === WITHPOSITION) {
      request.withPosition = true;
      continue;
    }
    index++;
    if (index === args.count) throw unexpectedEnd(EVENT_OPTIONS[option]?.value as string);
    switch (option) {
      case PAYLOAD:
        transaction.setPayload(event, args.address(index), args.length(index));
        break;
      case METADATA:
        transaction.setMetadata(event, args.address(index), args.length(index));
        break;
      case EXPECTED_VERSION:
        parseExpectedVersion(args, index, context, event);
        break;
      case EVENT_ID:
        if (!transaction.setEventId(event, args.address(index), args.length(index))) {
          throw invalid(args, index, "EVENT_ID", "a UUID");
        }
        break;
      case TIMESTAMP: {
        const timestampMs = args.integer(index);
        if (timestampMs < 0) {
          throw invalid(args, index, "TIMESTAMP", `milliseconds from 0 to ${INTEGER_MAX}`);
        }
        transaction.setTimestamp(event, timestampMs);
        break;
      }
      case PARTITION_KEY:
        checkPartitionKey(args, index, context.store.core);
        transaction.setPartitionKey(args.address(index), args.length(index));
        break;
    }
  }
  if (context.store.strict && (seen & EXPECTED_VERSION) === 0) throw notStrict(event);
  const dataSize = transaction.dataBytes(event);
  if (dataSize > EVENT_DATA_BYTES_MAX) {
    throw tooLarge("size of payload and metadata in bytes", EVENT_DATA_BYTES_MAX, dataSize);
  }
  return index;
}

function parseExpectedVersion(
  args: Arguments,
  index: number,
  context: ParseContext,
  event: number,
): void {
  const { transaction, strict } = context.store;
  const version = args.integer(index);
  if (version >= 0) {
    transaction.setExpectedVersion(event, ExpectedVersion.exact, version);
  } else if (args.is(index, "EMPTY")) {
    transaction.setExpectedVersion(event, ExpectedVersion.empty);
  } else if (args.is(index, "ANY")) {
    if (strict) throw notStrict(event);
    transaction.setExpectedVersion(event, ExpectedVersion.any);
  } else if (args.is(index, "EXISTS")) {
    if (strict) throw notStrict(event);
    transaction.setExpectedVersion(event, ExpectedVersion.exists);
  } else {
    throw invalid(args, index, "EXPECTED_VERSION", `any, exists, empty or ${NUMBER}`);
  }
}

function notStrict(event: number): StoreError {
  const text = `this server is strict: EXPECTED_VERSION must be given as empty or a number (event ${event} of the request)`;
  return new StoreError("INVALIDARG", text, { event_index: event });
}

/** The option that a word stands for, or 0. Looks at lengths first, since most words are none. */
function eventOption(args: Arguments, index: number): number {
  switch (args.length(index)) {
    case 7:
      return args.is(index, "PAYLOAD") ? PAYLOAD : 0;
    case 8:
      if (args.is(index, "METADATA")) return METADATA;
      return args.is(index, "EVENT_ID") ? EVENT_ID : 0;
    case 9:
      return args.is(index, "TIMESTAMP") ? TIMESTAMP : 0;
    case 12:
      return args.is(index, "WITHPOSITION") ? WITHPOSITION : 0;
    case 13:
      return args.is(index, "PARTITION_KEY") ? PARTITION_KEY : 0;
    case 16:
      return args.is(index, "EXPECTED_VERSION") ? EXPECTED_VERSION : 0;
    default:
      return 0;
  }
}

/** How errors speak of an option, and of the value that is missing. */
const EVENT_OPTIONS: Readonly<Record<number, { readonly noun: string; readonly value: string }>> = {
  [EVENT_ID]: { noun: "event id", value: "event id after EVENT_ID" },
  [EXPECTED_VERSION]: {
    noun: "expected version",
    value: "any, exists, empty or a number after EXPECTED_VERSION",
  },
  [TIMESTAMP]: { noun: "timestamp", value: "milliseconds after TIMESTAMP" },
  [PAYLOAD]: { noun: "payload", value: "data after PAYLOAD" },
  [METADATA]: { noun: "metadata", value: "data after METADATA" },
  [PARTITION_KEY]: { noun: "partition key", value: "partition key after PARTITION_KEY" },
  [WITHPOSITION]: { noun: "WITHPOSITION", value: "" },
};

/** Whether a word is one of the grammar's, so that EMAPPEND takes it for no stream id. */
export function isGrammarWord(args: Arguments, index: number): boolean {
  const length = args.length(index);
  if (length > GRAMMAR_WORD_LENGTH_MAX) return false;
  for (const word of GRAMMAR_WORDS) {
    if (word.length === length && args.is(index, word)) return true;
  }
  return false;
}

/** The options of appends, and the words that are kept for later ones. */
const GRAMMAR_WORDS = [
  "EVENT_ID",
  "PARTITION_KEY",
  "EXPECTED_VERSION",
  "TIMESTAMP",
  "PAYLOAD",
  "METADATA",
  "WITHPOSITION",
  "CHECK",
  "TAG",
  "TAGS",
  "IF",
  "UNLESS",
  "KEY",
  "CONTENT_TYPE",
  "EXPIRES",
  "VERSION",
];
const GRAMMAR_WORD_LENGTH_MAX = Math.max(...GRAMMAR_WORDS.map((word) => word.length));

/** The number of events that EMAPPEND's arguments from `from` on name, for an error that must count them. */
export function countEvents(args: Arguments, from: number): number {
  let count = 0;
  let index = from;
  while (index < args.count) {
    count++;
    index += 2;
    while (index < args.count && (eventOption(args, index) & OPTIONS_OF_EMAPPEND) !== 0) index += 2;
  }
  return count;
}
