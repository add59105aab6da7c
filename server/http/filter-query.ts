/**
 * The query of reads and feeds: ranges, and filters, of which all have to hold.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { FILTER_NAMES_MAX, PATTERN_BYTES_MAX } from "../limits.ts";
import type { EventStore } from "../store/event-store.ts";
import { Filter } from "../store/filter.ts";
import { parsePartitionList } from "../store/partition-list.ts";
import { checkEventName, partitionKeyBytes } from "./checks.ts";
import { choice, number, repeated, text, time, unexpectedValue, type ValuesOf } from "./schema.ts";

/** `what` as in "versions". */
export function rangeParameters(what: string) {
  return {
    from: number(`First of the ${what} to read, inclusive; 0 unless given.`, 0),
    to: number(`Last of the ${what} to read, inclusive.`, 100),
    limit: number(
      "Events at most. An answer also ends when its events reach 8 MiB; then has_more is true.",
      100,
    ),
    direction: choice("Newest first with `backwards`: the same range, and of it the newest.", [
      "forwards",
      "backwards",
    ]),
  };
}

export const DATA_PARAMETER = {
  data: choice(
    "With `json`, payload and metadata that are JSON come as such, as payload_json and metadata_json; with white space around it or carriage returns in it, JSON comes as a string, so that nothing of it is lost.",
    ["text", "json"],
  ),
};

export const FILTER_PARAMETERS = {
  match: text(
    "Streams whose id matches: `*`, `?`, `[a-z]`, `[^a]`, and `\\` before a sign that stands for itself.",
    "user-*",
    { maxLength: PATTERN_BYTES_MAX }, // of bytes, which are no fewer than characters
  ),
  name: repeated(text("Events with this name, or one of several.", "UserRegistered")),
  key: text("Events of this partition key, over all its streams.", "user-partition-key"),
  partitions: text("Events of these partitions: numbers and ranges.", "0,4-7", {
    pattern: "^[0-9]{1,10}(?:-[0-9]{1,10})?(?:,[0-9]{1,10}(?:-[0-9]{1,10})?)*$",
  }),
  since: time("Events whose timestamp is this or later."),
  until: time("Events whose timestamp is this or earlier."),
  as_of: time("Events that were recorded by then: the state as of that moment."),
};

export type FilterQuery = ValuesOf<typeof FILTER_PARAMETERS>;

/** The filter that a query asks for, or null where it asks for none. */
export function filterOf(store: EventStore, query: FilterQuery): Filter | null {
  const { match, name, key, partitions, since, until, as_of: asOf } = query;
  const isAsked = [match, name[0] ?? null, key, partitions, since, until, asOf].some(
    (value) => value !== null,
  );
  if (!isAsked) return null;
  const filter = new Filter();
  if (match !== null) filter.pattern = patternOf(match);
  if (name.length > FILTER_NAMES_MAX) {
    throw tooLarge("the number of names in a filter", FILTER_NAMES_MAX, name.length);
  }
  for (const eventName of name) {
    const bytes = Buffer.from(eventName);
    checkEventName(bytes, 0, bytes.length, "name");
    filter.names.push(bytes);
  }
  if (key !== null) filter.key = partitionKeyBytes(store, key, "key");
  if (partitions !== null) filter.setPartitions(partitionsOf(partitions, store.partitions));
  filter.since = since;
  filter.until = until;
  filter.asOf = asOf;
  return filter;
}

/** The bytes of a glob pattern of stream ids. */
export function patternOf(pattern: string): Uint8Array {
  const bytes = Buffer.from(pattern);
  if (bytes.length > PATTERN_BYTES_MAX) {
    throw tooLarge("the length of a pattern in bytes", PATTERN_BYTES_MAX, bytes.length);
  }
  return bytes;
}

/** A list of partitions and ranges of them: a 1 for each partition named. */
function partitionsOf(list: string, partitions: number): Uint8Array {
  const named = parsePartitionList(list, partitions);
  if (named === null) throw unexpectedValue("partitions", list, "numbers and ranges as in 0,4-7");
  if (named.unknown === null) return named.chosen;
  throw new StoreError(
    "NOTFOUND",
    `partition ${named.unknown} does not exist: this store has partitions 0 to ${partitions - 1}`,
  );
}
