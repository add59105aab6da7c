/**
 * The grammar that the store's commands share: names, keys, partitions, ranges. The options of reads are in
 * `read-options.ts`, what an append says of its events is in `event-options.ts`.
 *
 * Errors begin as SierraDB words them and then say more: what came, and as which argument (the command's name
 * is argument 0). Nothing here allocates unless it throws.
 */
import { StoreError } from "../errors.ts";
import { EVENT_NAME_BYTES_MAX, INTEGER_MAX, STREAM_ID_BYTES_MAX } from "../limits.ts";
import {
  BYTES_BEYOND_ASCII,
  BYTES_DIGITS,
  BYTES_FORBIDDEN,
  looksLikePartitions,
  OWN_STREAM_PREFIX,
} from "../store/names.ts";
import type { TransactionBuilder } from "../store/transaction-builder.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";

/** What parsing needs of the core. Addresses are of core memory, lengths in bytes. */
export interface ParseCore {
  /** Where 16 bytes of a key or an id that a request names are put: one a request, valid until the next. */
  readonly requestKeyAddress: number;
  /** All of core memory. */
  readonly memory: Uint8Array;
  /** Reads a UUID in any of its forms into 16 bytes; false where the text is none. */
  parseUuid(address: number, length: number, target: number): boolean;
  /** Makes 16 bytes of partition key from a text: a UUID, or any other text. */
  parsePartitionKey(address: number, length: number, target: number): void;
  validUtf8(address: number, length: number): boolean;
  /** The 16 bits of a key that choose its partition. */
  partitionHash(keyAddress: number): number;
}

/** What parsing needs of the transaction that it fills. */
export type TransactionToParse = Pick<
  TransactionBuilder,
  | "addEvent"
  | "begin"
  | "count"
  | "dataBytes"
  | "setEventId"
  | "setExpectedVersion"
  | "setMetadata"
  | "setPartitionKey"
  | "setPayload"
  | "setTimestamp"
>;

/** What parsing needs of a command's context. */
export interface ParseContext {
  readonly store: {
    readonly core: ParseCore;
    readonly transaction: TransactionToParse;
    /** An append must state EXPECTED_VERSION `empty` or a number. */
    readonly strict: boolean;
    readonly partitions: number;
  };
}

// ── errors ────────────────────────────────────────────────────────────────────────────────────────

/** The request ended before what was expected. */
export function unexpectedEnd(expected: string): StoreError {
  return new StoreError("INVALIDARG", `unexpected end of input: expected ${expected}`);
}

/** An argument is none of what was expected. */
export function unexpected(args: Arguments, index: number, expected: string): StoreError {
  const text = `unexpected string: expected ${expected}, got '${shown(args, index)}' as argument ${index}`;
  return new StoreError("INVALIDARG", text);
}

/** An argument stands where it belongs, but its value is none. */
export function invalid(
  args: Arguments,
  index: number,
  what: string,
  expected: string,
): StoreError {
  return new StoreError(
    "INVALIDARG",
    `invalid ${what} '${shown(args, index)}': expected ${expected}`,
  );
}

/** `what` as in "payload". */
export function alreadySpecified(what: string): StoreError {
  return new StoreError("INVALIDARG", `${what} already specified`);
}

/** The numbers that a client may give, as errors name them. */
export const NUMBER = `a number from 0 to ${INTEGER_MAX}`;

// ── names ─────────────────────────────────────────────────────────────────────────────────────────

/** Checks the stream id of a read. */
export function checkStreamId(args: Arguments, index: number, core: ParseCore): void {
  if (index >= args.count) throw unexpectedEnd("stream id");
  checkName(args, index, core, "stream id", STREAM_ID_BYTES_MAX);
}

/** Checks the stream id of an append, which must not be one of the store's own. */
export function checkStreamToAppend(args: Arguments, index: number, core: ParseCore): void {
  checkStreamId(args, index, core);
  if (args.startsWith(index, OWN_STREAM_PREFIX)) {
    const text = `stream id '${shown(args, index)}' begins with '${OWN_STREAM_PREFIX}': these streams are the store's own`;
    throw new StoreError("INVALIDARG", text);
  }
}

export function checkEventName(args: Arguments, index: number, core: ParseCore): void {
  if (index >= args.count) throw unexpectedEnd("event name");
  checkName(args, index, core, "event name", EVENT_NAME_BYTES_MAX);
}

function checkName(
  args: Arguments,
  index: number,
  core: ParseCore,
  what: string,
  bytesMax: number,
): void {
  const length = args.length(index);
  if (length === 0 || length > bytesMax) {
    const text = `${what} must be between 1 and ${bytesMax} bytes in length, but got ${length} for '${shown(args, index)}'`;
    throw new StoreError("INVALIDARG", text);
  }
  const classes = args.byteClasses(index);
  if ((classes & BYTES_FORBIDDEN) !== 0) {
    throw new StoreError(
      "INVALIDARG",
      `${what} '${shown(args, index)}' contains NUL, CR or LF, which are not allowed`,
    );
  }
  if ((classes & BYTES_BEYOND_ASCII) !== 0 && !core.validUtf8(args.address(index), length)) {
    throw new StoreError("INVALIDARG", `${what} '${shown(args, index)}' is not valid UTF-8`);
  }
}

// ── keys and partitions ───────────────────────────────────────────────────────────────────────────

/** Takes the UUID of an event into the request's 16 bytes and returns their address. */
export function parseEventId(args: Arguments, index: number, core: ParseCore): number {
  if (index >= args.count) throw unexpectedEnd("event id");
  const target = core.requestKeyAddress;
  if (!core.parseUuid(args.address(index), args.length(index), target)) {
    throw invalid(args, index, "event id", "a UUID");
  }
  return target;
}

/** Takes a partition key into the request's 16 bytes and returns their address. */
export function parsePartitionKey(args: Arguments, index: number, core: ParseCore): number {
  const target = core.requestKeyAddress;
  checkPartitionKey(args, index, core);
  core.parsePartitionKey(args.address(index), args.length(index), target);
  return target;
}

/** Refuses a text that could be read as partition numbers. Overwrites the request's 16 bytes. */
export function checkPartitionKey(args: Arguments, index: number, core: ParseCore): void {
  if (!looksLikePartitions(args.byteClasses(index))) return;
  // A UUID may well be all digits and hyphens.
  const isUuid = core.parseUuid(args.address(index), args.length(index), core.requestKeyAddress);
  if (!isUuid) {
    throw invalid(
      args,
      index,
      "partition key",
      "a UUID, or a text of more than digits, commas, hyphens and '*'",
    );
  }
}

/** The partition that an argument names: by its number, or by a key in it. */
export function parsePartition(args: Arguments, index: number, context: ParseContext): number {
  if (index >= args.count) throw unexpectedEnd("partition id or key");
  const { core, partitions } = context.store;
  const length = args.length(index);
  if (length >= UUID_LENGTH_MIN) {
    const target = core.requestKeyAddress;
    if (core.parseUuid(args.address(index), length, target)) {
      return core.partitionHash(target) % partitions;
    }
  }
  const partition = args.integer(index);
  if (partition >= 0 && partition < partitions) return partition;
  if (length > 0 && args.byteClasses(index) === BYTES_DIGITS) {
    throw new StoreError(
      "NOTFOUND",
      `partition ${shown(args, index)} does not exist: this store has partitions 0 to ${partitions - 1}`,
    );
  }
  throw unexpected(args, index, "partition id or key");
}

/** A UUID's shortest form: 32 hexadecimal digits. */
const UUID_LENGTH_MIN = 32;

// ── ranges ──────────────────────────────────────────────────────────────────────────────────────────

/** Where a range starts: a number (2^53-1 for a larger one), or `-` for 0. `what` as in "version". */
export function parseRangeStart(args: Arguments, index: number, what: string): number {
  if (index < args.count && args.is(index, "+")) {
    throw new StoreError("INVALIDARG", `start ${what} cannot be '+'`);
  }
  return parseRangeValue(args, index);
}

/** Where a range ends, inclusive: a number (2^53-1 for a larger one), or `+` for infinity. */
export function parseRangeEnd(args: Arguments, index: number, what: string): number {
  if (index < args.count && args.is(index, "-")) {
    throw new StoreError("INVALIDARG", `end ${what} cannot be '-'`);
  }
  return parseRangeValue(args, index);
}

function parseRangeValue(args: Arguments, index: number): number {
  if (index >= args.count) throw unexpectedEnd(RANGE_VALUE);
  if (args.is(index, "-")) return 0;
  if (args.is(index, "+")) return Number.POSITIVE_INFINITY;
  const value = args.integer(index);
  if (value >= 0) return value;
  const length = args.length(index);
  const isNumber =
    length > 0 && length <= U64_DIGITS_MAX && args.byteClasses(index) === BYTES_DIGITS;
  if (isNumber) return INTEGER_MAX; // SierraDB's clients say 2^64-1 for "the end": no event is that far
  throw unexpected(args, index, RANGE_VALUE);
}

/** Digits of 2^64-1. */
const U64_DIGITS_MAX = 20;

const RANGE_VALUE = "range value (-, +, or number)";
