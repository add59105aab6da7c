/**
 * The options of reads: PARTITION_KEY, COUNT, REV, BLOCK, WITHPOSITION, and the filters, whose grammar is in
 * `filter-options.ts`.
 */
import { StoreError } from "../errors.ts";
import { Filter } from "../store/filter.ts";
import type { ScanRange } from "../store/filtered-scan.ts";
import type { Arguments } from "./arguments.ts";
import { FILTER_WORDS, parseFilterPart } from "./filter-options.ts";
import {
  alreadySpecified,
  invalid,
  NUMBER,
  type ParseContext,
  parsePartitionKey,
  unexpected,
  unexpectedEnd,
} from "./options.ts";

/** The options that there are. A command passes those that it has, as a sum. */
export const OPTION_PARTITION_KEY = 1;
export const OPTION_COUNT = 2;
export const OPTION_REV = 4;
export const OPTION_WITHPOSITION = 8;
export const OPTION_FILTERS = 16;
export const OPTION_BLOCK = 32;

/** What a read's options say; one object a command, filled anew by each request. */
export interface ReadOptions {
  /** Core address of the 16 bytes of the partition key, or null where none was given. */
  keyAddress: number | null;
  /** Events at most; infinity where COUNT was not given. */
  count: number;
  /** Newest first. */
  isReverse: boolean;
  withPosition: boolean;
  /** How long to wait for a first event, milliseconds; 0 without limit; null: not at all. */
  blockMs: number | null;
  /** Null where every event is wanted. */
  filter: Filter | null;
}

/** The options of a read that says none. */
export function noReadOptions(): ReadOptions {
  return {
    keyAddress: null,
    count: Number.POSITIVE_INFINITY,
    isReverse: false,
    withPosition: false,
    blockMs: null,
    filter: null,
  };
}

/** A read of a range of numbers; the same object is a scan's range. */
export interface RangeRequest extends ReadOptions, ScanRange {
  /** Numbers, inclusive; the end may be infinity. */
  from: number;
  to: number;
  count: number;
  isReverse: boolean;
}

/** Takes the options from argument `start` to the request's end, in any order. */
export function parseReadOptions(
  args: Arguments,
  start: number,
  context: ParseContext,
  allowed: number,
  options: ReadOptions,
): void {
  options.keyAddress = null;
  options.count = Number.POSITIVE_INFINITY;
  options.isReverse = false;
  options.withPosition = false;
  options.blockMs = null;
  options.filter = null;
  let seen = 0;
  let index = start;
  while (index < args.count) {
    const option = readOption(args, index) & allowed;
    if (option === 0) {
      if ((allowed & OPTION_FILTERS) !== 0) {
        const filter: Filter = options.filter ?? new Filter();
        const end = parseFilterPart(args, index, context, filter);
        if (end > index) {
          options.filter = filter;
          index = end;
          continue;
        }
      }
      throw unexpected(args, index, readOptionsExpected(allowed));
    }
    if ((seen & option) !== 0) throw alreadySpecified(READ_OPTION_NOUNS[option] as string);
    seen |= option;
    index++;
    if (option === OPTION_WITHPOSITION) {
      options.withPosition = true;
      continue;
    }
    if (option === OPTION_REV) {
      options.isReverse = true;
      continue;
    }
    if (option === OPTION_BLOCK) {
      if (index === args.count) throw unexpectedEnd("milliseconds after BLOCK");
      options.blockMs = args.integer(index);
      if (options.blockMs < 0) throw invalid(args, index, "BLOCK", `milliseconds, ${NUMBER}`);
    } else if (option === OPTION_COUNT) {
      if (index === args.count) throw unexpectedEnd("a number after COUNT");
      options.count = args.integer(index);
      if (options.count < 0) throw invalid(args, index, "COUNT", NUMBER);
    } else {
      if (index === args.count) throw unexpectedEnd("partition key after PARTITION_KEY");
      options.keyAddress = parsePartitionKey(args, index, context.store.core);
    }
    index++;
  }
  if (options.isReverse && options.blockMs !== null) {
    throw new StoreError("INVALIDARG", "BLOCK waits for what comes, so it does not go with REV");
  }
}

function readOption(args: Arguments, index: number): number {
  if (args.is(index, "COUNT")) return OPTION_COUNT;
  if (args.is(index, "PARTITION_KEY")) return OPTION_PARTITION_KEY;
  if (args.is(index, "REV")) return OPTION_REV;
  if (args.is(index, "BLOCK")) return OPTION_BLOCK;
  return args.is(index, "WITHPOSITION") ? OPTION_WITHPOSITION : 0;
}

const READ_OPTION_NOUNS: Readonly<Record<number, string>> = {
  [OPTION_PARTITION_KEY]: "partition key",
  [OPTION_COUNT]: "count",
  [OPTION_REV]: "REV",
  [OPTION_BLOCK]: "BLOCK",
  [OPTION_WITHPOSITION]: "WITHPOSITION",
};

function readOptionsExpected(allowed: number): string {
  const words: string[] = [];
  if ((allowed & OPTION_PARTITION_KEY) !== 0) words.push("PARTITION_KEY");
  if ((allowed & OPTION_COUNT) !== 0) words.push("COUNT");
  if ((allowed & OPTION_REV) !== 0) words.push("REV");
  if ((allowed & OPTION_BLOCK) !== 0) words.push("BLOCK");
  if ((allowed & OPTION_WITHPOSITION) !== 0) words.push("WITHPOSITION");
  if ((allowed & OPTION_FILTERS) !== 0) words.push(...FILTER_WORDS);
  return words.length === 0 ? "end of input" : `${words.join(", ")} or end of input`;
}
