/**
 * Feeds of Server-Sent Events: `/v1/subscribe`, for streams and patterns of streams, and what the reads of events
 * (read-routes.ts) answer with to a client that accepts `text/event-stream`.
 */
import { Encoding } from "../core/encoding.ts";
import { StoreError, tooLarge } from "../errors.ts";
import { INTEGER_MAX, SUBSCRIPTION_ARGUMENTS_MAX } from "../limits.ts";
import type { EventStore } from "../store/event-store.ts";
import type { ScanSource } from "../store/filtered-scan.ts";
import type { Interest } from "../store/interest.ts";
import { hasWildcard, unescapedStreamId } from "../store/stream-pattern.ts";
import { FEED_ANSWER, problems } from "./descriptions.ts";
import type { FeedOptions } from "./feed.ts";
import {
  DATA_PARAMETER,
  FILTER_PARAMETERS,
  type FilterQuery,
  filterOf,
  patternOf,
} from "./filter-query.ts";
import type { DoorContext, Operation, StoreParts } from "./operation.ts";
import { EVENT_STREAM_TYPE, negotiate, readQuery } from "./request.ts";
import { parseNumber, repeated, text, unexpectedValue } from "./schema.ts";

const SUBSCRIBE_QUERY = {
  stream: repeated(
    text(
      "A stream's id, or a pattern of ids, with `*`, `?` or `[`; a backslash makes the next sign stand for itself.",
      "user-*",
      { minLength: 1 },
    ),
    { required: "name streams or patterns of them" },
  ),
  from: text("The position to begin at, inclusive, or `latest`, for what comes from now on.", "0", {
    anyOf: [{ const: "latest" }, { pattern: "^[0-9]{1,16}$" }],
  }),
  ...FILTER_PARAMETERS,
  ...DATA_PARAMETER,
};

export function feedRoutes(parts: StoreParts): Operation[] {
  return [
    {
      method: "GET",
      path: "/v1/subscribe",
      id: "subscribe",
      tag: "Follow",
      summary: "Follow streams and patterns of streams as Server-Sent Events",
      description:
        "History first, where `from` asks for it, then live events, without a gap or a repeat. The ids are positions. New streams that match a pattern are taken too.",
      queryParameters: SUBSCRIBE_QUERY,
      requestHeaders: ["Last-Event-ID"],
      answers: { 200: FEED_ANSWER, ...problems(400, 404, 406, 409, 413, 421, 500, 503) },
      handle: (context) => subscribe(context, parts),
    },
  ];
}

function subscribe(context: DoorContext, parts: StoreParts): Response {
  const { store } = parts;
  const query = readQuery(context, SUBSCRIBE_QUERY);
  negotiate(context, [EVENT_STREAM_TYPE]);
  if (query.stream.length > SUBSCRIPTION_ARGUMENTS_MAX) {
    const limit = "the number of streams of a subscription";
    throw tooLarge(limit, SUBSCRIPTION_ARGUMENTS_MAX, query.stream.length);
  }
  const isLatest = query.from === null || query.from === "latest";
  const from = isLatest ? null : numberFrom(query.from ?? "");
  const first = firstNumber(context, from) ?? store.subscriptions.end;
  store.checkStart(first);
  const filter = filterOf(store, query);
  return feed(context, parts, {
    interest: streamsInterest(query.stream, first),
    filter,
    encoding: encodingOf(query.data),
    numbers: "positions",
    before: first - 1,
    examined: (position) => position,
  });
}

function numberFrom(given: string): number {
  const value = parseNumber(given);
  if (value === null) throw unexpectedValue("from", given, "latest or a position");
  return value;
}

function streamsInterest(names: readonly string[], position: number): Interest {
  const start = { number: 0, position };
  const interest: Interest = { kind: "streams", streams: [], patterns: [] };
  for (const name of names) {
    const bytes = Buffer.from(name);
    if (hasWildcard(bytes)) {
      interest.patterns.push({ pattern: patternOf(name), start });
      continue;
    }
    const streamId = unescapedStreamId(bytes);
    if (streamId === null) throw unexpectedValue("stream", name, "a stream's id, or a pattern");
    interest.streams.push({ streamId, key: null, start });
  }
  return interest;
}

/** What a read of events asks for that is a feed. */
export interface FeedQuery extends FilterQuery {
  readonly from: number | null;
  readonly to: number | null;
  readonly limit: number | null;
  readonly direction: "forwards" | "backwards" | null;
  readonly data: "text" | "json" | null;
}

/** The feed of what a read would give, and of what comes behind it. */
export function feedOfRead(
  context: DoorContext,
  parts: StoreParts,
  source: ScanSource,
  query: FeedQuery,
): Response {
  for (const name of ["to", "limit"] as const) {
    if (query[name] !== null) throw notInFeed(name);
  }
  if (query.direction === "backwards") throw notInFeed("direction=backwards");
  const first = firstNumber(context, query.from) ?? 0;
  checkStart(parts.store, source, first);
  return feed(context, parts, {
    ...sourceOptions(parts, source, first),
    filter: filterOf(parts.store, query),
    encoding: encodingOf(query.data),
    before: first - 1,
  });
}

/** A number beyond the one that comes next is of another history: waiting for it would skip what comes before. */
function checkStart(store: EventStore, source: ScanSource, first: number): void {
  if (source.kind === "log") store.checkStart(first);
  else if (source.kind === "partition") store.checkPartitionStart(source.partition, first);
  else store.checkStreamStart(source.streamId, source.key, first);
}

function notInFeed(name: string): StoreError {
  return new StoreError("INVALIDARG", `${name} is not taken by a feed, which has no end`);
}

function sourceOptions(
  { feeds }: StoreParts,
  source: ScanSource,
  first: number,
): Pick<FeedOptions, "interest" | "numbers" | "examined"> {
  if (source.kind === "log") {
    const interest: Interest = { kind: "log", position: first };
    return { interest, numbers: "positions", examined: (position) => position };
  }
  const start = { number: first, position: 0 };
  const { positions } = feeds;
  if (source.kind === "partition") {
    const { partition } = source;
    return {
      interest: { kind: "partitions", partitions: [{ partition, start }] },
      numbers: "sequences",
      examined: (position) => positions.partitionSequenceFrom(partition, position + 1) - 1,
    };
  }
  const { streamId, key } = source;
  return {
    interest: { kind: "streams", streams: [{ streamId, key, start }], patterns: [] },
    numbers: "versions",
    examined: (position) => positions.streamVersionFrom(streamId, key, position + 1) - 1,
  };
}

/** The first number to give: behind Last-Event-ID, which beats `from`. */
function firstNumber(context: DoorContext, from: number | null): number | null {
  const header = context.request.headers.get("Last-Event-ID");
  if (header === null || header === "") return from;
  if (header === "-1") return 0;
  const last = parseNumber(header);
  if (last === null) {
    throw unexpectedValue("Last-Event-ID", header, `-1 or a number up to ${INTEGER_MAX}`);
  }
  return Math.min(last + 1, INTEGER_MAX); // no event is that far
}

function encodingOf(data: "text" | "json" | null): Encoding {
  return data === "json" ? Encoding.jsonData : Encoding.json;
}

function feed(context: DoorContext, { feeds }: StoreParts, options: FeedOptions): Response {
  // Only what the feed itself sends keeps it open: there is no end by which it should have come.
  context.server?.timeout(context.request, 0);
  const body = context.isHead ? null : feeds.body(options);
  return new Response(body, {
    headers: {
      "Content-Type": EVENT_STREAM_TYPE,
      "Cache-Control": "no-cache, no-transform",
      "X-Accel-Buffering": "no",
      Vary: "Accept",
    },
  });
}
