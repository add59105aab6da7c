/**
 * The grammar of filters, the same words wherever a command takes them:
 *
 *     MATCH pattern   NAME event_name …   KEY partition_key   PARTITIONS p,a-b,…   SINCE ms   UNTIL ms   ASOF ms
 *
 * Each stands once, but NAME, of which one has to be the event's name; of the others all have to hold.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { FILTER_NAMES_MAX, PARTITION_LIST_BYTES_MAX, PATTERN_BYTES_MAX } from "../limits.ts";
import type { Filter } from "../store/filter.ts";
import { parsePartitionList } from "../store/partition-list.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import {
  alreadySpecified,
  checkEventName,
  invalid,
  NUMBER,
  type ParseContext,
  parsePartitionKey,
  unexpectedEnd,
} from "./options.ts";

export const FILTER_WORDS = ["MATCH", "NAME", "KEY", "PARTITIONS", "SINCE", "UNTIL", "ASOF"];

/** Bytes of a partition key. */
const KEY_BYTES = 16;

/** Takes a filter's word and value at `index` into the filter; returns where the next one stands, or `index` where it is no filter. */
export function parseFilterPart(
  args: Arguments,
  index: number,
  context: ParseContext,
  filter: Filter,
): number {
  const value = index + 1;
  if (args.is(index, "MATCH")) {
    if (filter.pattern !== null) throw alreadySpecified("MATCH");
    filter.pattern = parsePattern(args, value);
  } else if (args.is(index, "NAME")) {
    if (value === args.count) throw unexpectedEnd("event name after NAME");
    checkEventName(args, value, context.store.core);
    if (filter.names.length === FILTER_NAMES_MAX) {
      throw tooLarge("the number of names in a filter", FILTER_NAMES_MAX, FILTER_NAMES_MAX + 1);
    }
    filter.names.push(args.bytes(value).slice());
  } else if (args.is(index, "KEY")) {
    if (filter.key !== null) throw alreadySpecified("KEY");
    filter.key = parseKey(args, value, context);
  } else if (args.is(index, "PARTITIONS")) {
    if (filter.hasPartitions()) throw alreadySpecified("PARTITIONS");
    if (value === args.count) throw unexpectedEnd("partitions after PARTITIONS");
    filter.setPartitions(parsePartitions(args, value, context, "PARTITIONS"));
  } else if (args.is(index, "SINCE")) {
    if (filter.since !== null) throw alreadySpecified("SINCE");
    filter.since = parseTime(args, value, "SINCE");
  } else if (args.is(index, "UNTIL")) {
    if (filter.until !== null) throw alreadySpecified("UNTIL");
    filter.until = parseTime(args, value, "UNTIL");
  } else if (args.is(index, "ASOF")) {
    if (filter.asOf !== null) throw alreadySpecified("ASOF");
    filter.asOf = parseTime(args, value, "ASOF");
  } else {
    return index;
  }
  return value + 1;
}

/** A glob pattern, for SCAN too. The bytes are the caller's. */
export function parsePattern(args: Arguments, index: number): Uint8Array {
  if (index === args.count) throw unexpectedEnd("a pattern after MATCH");
  const length = args.length(index);
  if (length > PATTERN_BYTES_MAX) {
    throw tooLarge("the length of a pattern in bytes", PATTERN_BYTES_MAX, length);
  }
  return args.bytes(index).slice();
}

/** The key's 16 bytes. The request's own may hold PARTITION_KEY's meanwhile, and keep it. */
function parseKey(args: Arguments, index: number, context: ParseContext): Uint8Array {
  if (index === args.count) throw unexpectedEnd("partition key after KEY");
  const { core } = context.store;
  const address = core.requestKeyAddress;
  const kept = core.memory.slice(address, address + KEY_BYTES);
  parsePartitionKey(args, index, core);
  const key = core.memory.slice(address, address + KEY_BYTES);
  core.memory.set(kept, address);
  return key;
}

function parseTime(args: Arguments, index: number, word: string): number {
  if (index === args.count) throw unexpectedEnd(`milliseconds after ${word}`);
  const time = args.integer(index);
  if (time < 0) throw invalid(args, index, word, `milliseconds, ${NUMBER}`);
  return time;
}

/** A list of partitions and ranges of them: a 1 for each partition named. `what` names the argument in errors. */
export function parsePartitions(
  args: Arguments,
  index: number,
  context: ParseContext,
  what: string,
): Uint8Array {
  const { partitions } = context.store;
  const length = args.length(index);
  if (length > PARTITION_LIST_BYTES_MAX) {
    throw tooLarge("the length of a list of partitions in bytes", PARTITION_LIST_BYTES_MAX, length);
  }
  const named = parsePartitionList(args.text(index), partitions);
  if (named === null) throw invalid(args, index, what, "numbers and ranges as in 0,4-7");
  if (named.unknown === null) return named.chosen;
  throw new StoreError(
    "NOTFOUND",
    `partition ${named.unknown} of '${shown(args, index)}' does not exist: this store has partitions 0 to ${partitions - 1}`,
  );
}
