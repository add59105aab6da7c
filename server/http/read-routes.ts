/**
 * The reads of events: of a stream by version, of a partition by sequence, of the whole store by position. Each is
 * also a feed of Server-Sent Events (feeds.ts), by its Accept header.
 */
import { Encoding } from "../core/encoding.ts";
import type { ScanSource } from "../store/filtered-scan.ts";
import { checkStreamId, partitionKeyBytes, partitionOf, stage } from "./checks.ts";
import {
  eventsAnswer,
  PARTITION_PATH_PARAMETERS,
  problems,
  STREAM_PATH_PARAMETERS,
} from "./descriptions.ts";
import { SCHEMAS } from "./event-schemas.ts";
import { feedOfRead } from "./feed-routes.ts";
import { DATA_PARAMETER, FILTER_PARAMETERS, filterOf, rangeParameters } from "./filter-query.ts";
import type { DoorContext, Operation, StoreParts } from "./operation.ts";
import { readEvents } from "./reads.ts";
import {
  EVENT_STREAM_TYPE,
  JSON_TYPE,
  MSGPACK_TYPE,
  negotiate,
  pathParameter,
  readQuery,
} from "./request.ts";
import { rowOf, sizeOf } from "./rows.ts";
import { text, type ValuesOf } from "./schema.ts";

const STREAM_EVENTS = "/v1/streams/{stream}/events";
const PARTITION_EVENTS = "/v1/partitions/{partition}/events";
const LOG_EVENTS = "/v1/events";

const STREAM_QUERY = {
  ...rangeParameters("versions"),
  partition_key: text(
    "Finds the stream under this partition key alone; without it, whatever its key is.",
    "user-partition-key",
  ),
  ...FILTER_PARAMETERS,
  ...DATA_PARAMETER,
};
const PARTITION_QUERY = {
  ...rangeParameters("sequences"),
  ...FILTER_PARAMETERS,
  ...DATA_PARAMETER,
};
const LOG_QUERY = { ...rangeParameters("positions"), ...FILTER_PARAMETERS, ...DATA_PARAMETER };

type EventsQuery = ValuesOf<typeof LOG_QUERY>;

export function readRoutes(parts: StoreParts): Operation[] {
  return [
    {
      method: "GET",
      path: STREAM_EVENTS,
      id: "readStream",
      tag: "Read",
      summary: "Read a range of versions of a stream",
      description:
        "An empty or unknown stream reads as an empty list. ETag is the stream's version, for If-Match of an append and If-None-Match of a read.",
      pathParameters: STREAM_PATH_PARAMETERS,
      queryParameters: STREAM_QUERY,
      requestHeaders: ["If-None-Match", "Last-Event-ID"],
      answers: {
        200: eventsAnswer("The events, and the stream's version.", SCHEMAS.streamEvents, [
          "ETag",
          "Link",
        ]),
        304: {
          description: "The stream still has the version that If-None-Match names.",
          headers: ["ETag", "Vary", "Cache-Control"],
        },
        ...problems(400, 404, 406, 413, 421, 500, 503),
      },
      handle: (context) => readStream(context, parts),
    },
    {
      method: "GET",
      path: PARTITION_EVENTS,
      id: "readPartition",
      tag: "Read",
      summary: "Read a range of sequences of a partition",
      pathParameters: PARTITION_PATH_PARAMETERS,
      queryParameters: PARTITION_QUERY,
      requestHeaders: ["Last-Event-ID"],
      answers: {
        200: eventsAnswer("The events.", SCHEMAS.events, ["Link"]),
        ...problems(400, 404, 406, 413, 421, 500, 503),
      },
      handle: (context) => readPartition(context, parts),
    },
    {
      method: "GET",
      path: LOG_EVENTS,
      id: "readLog",
      tag: "Read",
      summary: "Read a range of positions of the whole store",
      queryParameters: LOG_QUERY,
      requestHeaders: ["Last-Event-ID"],
      answers: {
        200: eventsAnswer("The events.", SCHEMAS.events, ["Link"]),
        ...problems(400, 404, 406, 409, 413, 421, 500, 503),
      },
      handle: (context) => readLog(context, parts),
    },
  ];
}

async function readStream(context: DoorContext, parts: StoreParts): Promise<Response> {
  const { store } = parts;
  const streamId = Buffer.from(pathParameter(context, "stream"));
  checkStreamId(streamId, 0, streamId.length, "stream");
  const query = readQuery(context, STREAM_QUERY);
  const type = negotiate(context, READ_TYPES);
  const key =
    query.partition_key === null
      ? null
      : partitionKeyBytes(store, query.partition_key, "partition_key");
  const source: ScanSource = { kind: "stream", streamId, key };
  if (type === EVENT_STREAM_TYPE) return feedOfRead(context, parts, source, query);
  const version = versionOf(parts, streamId, key);
  const etag: Record<string, string> = version === null ? {} : { ETag: `"${version}"` };
  if (version !== null && isUnchanged(context, version)) {
    return new Response(null, { status: 304, headers: { ...etag, ...READ_HEADERS } });
  }
  return answer(context, parts, { source, query, type, before: { version }, headers: etag });
}

function versionOf(
  { store }: StoreParts,
  streamId: Uint8Array,
  key: Uint8Array | null,
): number | null {
  const keyBytes = key ?? new Uint8Array(0);
  const { address } = stage(store, Buffer.concat([keyBytes, streamId]));
  const streamAddress = address + keyBytes.length;
  const version = store.streamVersion(streamAddress, streamId.length, key === null ? 0 : address);
  return version < 0 ? null : version;
}

/** Whether If-None-Match names the version, or any. */
function isUnchanged(context: DoorContext, version: number): boolean {
  const header = context.request.headers.get("If-None-Match");
  if (header === null) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(`"${version}"`) || tags.includes("*");
}

async function readPartition(context: DoorContext, parts: StoreParts): Promise<Response> {
  const query = readQuery(context, PARTITION_QUERY);
  const type = negotiate(context, READ_TYPES);
  const segment = pathParameter(context, "partition");
  const source: ScanSource = { kind: "partition", partition: partitionOf(parts.store, segment) };
  if (type === EVENT_STREAM_TYPE) return feedOfRead(context, parts, source, query);
  return answer(context, parts, { source, query, type, before: {}, headers: {} });
}

async function readLog(context: DoorContext, parts: StoreParts): Promise<Response> {
  const query = readQuery(context, LOG_QUERY);
  const type = negotiate(context, READ_TYPES);
  const source: ScanSource = { kind: "log" };
  if (type === EVENT_STREAM_TYPE) return feedOfRead(context, parts, source, query);
  return answer(context, parts, { source, query, type, before: {}, headers: {} });
}

const READ_TYPES = [JSON_TYPE, MSGPACK_TYPE, EVENT_STREAM_TYPE] as const;

function encodingOf(type: string, query: EventsQuery): Encoding {
  if (type === MSGPACK_TYPE) return Encoding.msgpack;
  return query.data === "json" ? Encoding.jsonData : Encoding.json;
}

interface EventsAnswer {
  readonly source: ScanSource;
  readonly query: EventsQuery;
  /** JSON or MessagePack. */
  readonly type: string;
  /** Members that stand before the others. */
  readonly before: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads may change with what a client accepts, and are the client's own. */
export const READ_HEADERS = { Vary: "Accept", "Cache-Control": "private, no-cache" };

/** A small page does not wait for room behind large ones. */
function answer(context: DoorContext, parts: StoreParts, asked: EventsAnswer): Promise<Response> {
  return parts.answers.smallOrWhenRoom((bytesMax) => answerNow(context, parts, asked, bytesMax));
}

/** Null where the events take more than `bytesMax`. */
async function answerNow(
  context: DoorContext,
  parts: StoreParts,
  { source, query, type, before, headers }: EventsAnswer,
  bytesMax: number,
): Promise<Response | null> {
  const isReverse = query.direction === "backwards";
  const range = {
    from: query.from ?? 0,
    to: query.to ?? Number.POSITIVE_INFINITY,
    count: query.limit ?? Number.POSITIVE_INFINITY,
    isReverse,
  };
  const filter = filterOf(parts.store, query);
  const encoding = encodingOf(type, query);
  const isGone = (): boolean => context.request.signal.aborted;
  const read = { source, range, filter, encoding, bytesMax };
  const found = await readEvents(parts, read, isGone);
  if (found === null) return null;
  const { count, rows, hasMore, next } = found;
  const members = { ...before, has_more: hasMore };
  const after = filter === null ? {} : { next };
  const body = rowOf(members, "events", count, rows, after, encoding);
  // A page of none would have itself as the next one.
  const link =
    hasMore && next !== null && query.limit !== 0 ? nextLink(context, next, isReverse) : null;
  return new Response(parts.answers.answer(body, context.isHead), {
    headers: {
      "Content-Type": type,
      "Content-Length": String(sizeOf(body)),
      ...READ_HEADERS,
      ...(link === null ? {} : { Link: link }),
      ...headers,
    },
  });
}

/** The same request with the number where the next page begins. */
function nextLink(context: DoorContext, next: number, isReverse: boolean): string {
  const url = new URL(context.request.url);
  url.searchParams.set(isReverse ? "to" : "from", String(next));
  return `<${url.pathname}${url.search}>; rel="next"`;
}
