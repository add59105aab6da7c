/**
 * What is looked up rather than read through: the store, its streams, a stream, a partition, one event by its id.
 */
import { encode } from "@msgpack/msgpack";
import { Encoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import { STREAMS_LISTED_DEFAULT, STREAMS_LISTED_MAX } from "../limits.ts";
import { quote } from "../usage.ts";
import { checkStreamId, partitionOf, stage, uuidAddress } from "./checks.ts";
import {
  objectAnswer,
  PARTITION_PATH_PARAMETERS,
  problems,
  STREAM_PATH_PARAMETERS,
} from "./descriptions.ts";
import { SCHEMAS } from "./event-schemas.ts";
import { DATA_PARAMETER, patternOf } from "./filter-query.ts";
import type { DoorContext, Operation, StoreParts } from "./operation.ts";
import { READ_HEADERS } from "./read-routes.ts";
import { runInSlices } from "./reads.ts";
import { JSON_TYPE, MSGPACK_TYPE, negotiate, pathParameter, readQuery } from "./request.ts";
import { number, text } from "./schema.ts";

const STREAM = "/v1/streams/{stream}";
const PARTITION = "/v1/partitions/{partition}";
const EVENT = "/v1/events/{event_id}";

const STREAMS_QUERY = {
  match: text("Streams whose id matches this pattern, as in the filter.", "user-*"),
  limit: number("Streams at most. An answer may have fewer and still a cursor.", 100, {
    min: 1,
    max: STREAMS_LISTED_MAX,
  }),
  cursor: number("The `cursor` of the answer before; none for the first.", 0),
};

export function lookupRoutes(parts: StoreParts): Operation[] {
  return [
    {
      method: "GET",
      path: "/v1",
      id: "getStore",
      tag: "Look up",
      summary: "The store: its identity, its last position, its partitions",
      answers: {
        200: objectAnswer("The store.", SCHEMAS.store),
        ...problems(400, 406, 421, 500),
      },
      handle: (context) => getStore(context, parts),
    },
    {
      method: "GET",
      path: "/v1/streams",
      id: "listStreams",
      tag: "Look up",
      summary: "List the streams, in the order in which they came",
      description:
        "Follow `cursor` until it is null: what was there all along comes exactly once. A page may be empty and still have a cursor.",
      queryParameters: STREAMS_QUERY,
      answers: {
        200: objectAnswer("Streams, and where the list goes on.", SCHEMAS.streams),
        ...problems(400, 406, 413, 421, 500),
      },
      handle: (context) => listStreams(context, parts),
    },
    {
      method: "GET",
      path: STREAM,
      id: "getStream",
      tag: "Look up",
      summary: "A stream: its version and its partition",
      pathParameters: STREAM_PATH_PARAMETERS,
      answers: {
        200: objectAnswer("The stream.", SCHEMAS.stream, ["ETag"]),
        ...problems(400, 404, 406, 421, 500),
      },
      handle: (context) => getStream(context, parts),
    },
    {
      method: "GET",
      path: PARTITION,
      id: "getPartition",
      tag: "Look up",
      summary: "A partition: its last sequence",
      pathParameters: PARTITION_PATH_PARAMETERS,
      answers: {
        200: objectAnswer("The partition.", SCHEMAS.partition),
        ...problems(400, 404, 406, 421, 500),
      },
      handle: (context) => getPartition(context, parts),
    },
    {
      method: "GET",
      path: EVENT,
      id: "getEvent",
      tag: "Look up",
      summary: "One event by its id",
      pathParameters: {
        event_id: text("The event's id, a UUID.", "550e8400-e29b-41d4-a716-446655440000", {
          format: "uuid",
        }),
      },
      queryParameters: DATA_PARAMETER,
      answers: {
        200: objectAnswer("The event.", SCHEMAS.event),
        ...problems(400, 404, 406, 421, 500),
      },
      handle: (context) => getEvent(context, parts),
    },
  ];
}

function getStore(context: DoorContext, { store, version }: StoreParts): Response {
  readQuery(context, {});
  return answer(context, {
    store_id: store.storeId,
    epoch: store.epoch,
    position: store.lastPosition(),
    partitions: store.partitions,
    version,
  });
}

async function listStreams(context: DoorContext, parts: StoreParts): Promise<Response> {
  const query = readQuery(context, STREAMS_QUERY);
  const pattern = query.match === null ? null : patternOf(query.match);
  const limit = query.limit ?? STREAMS_LISTED_DEFAULT;
  const walk = parts.store.openStreamWalk(query.cursor ?? 0, pattern, limit);
  await runInSlices(parts, walk, () => context.request.signal.aborted);
  const streams = blobs(Buffer.concat(walk.pieces)).map((id) => streamOf(parts, id));
  return answer(context, { streams, cursor: walk.cursor === 0 ? null : walk.cursor });
}

/** The texts of RESP blob strings that follow one another. */
function blobs(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = bytes.indexOf(LINE_FEED, at) + 1;
    const size = Number(Buffer.from(bytes.subarray(at + 1, start - 2)).toString());
    found.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
  return found;
}

const LINE_FEED = 0x0a;

function getStream(context: DoorContext, parts: StoreParts): Response {
  readQuery(context, {});
  const id = Buffer.from(pathParameter(context, "stream"));
  checkStreamId(id, 0, id.length, "stream");
  const stream = streamOf(parts, id);
  if (stream.version === null) {
    const { stream_id } = stream;
    throw new StoreError("NOTFOUND", `stream ${quote(stream_id)} has no events`, { stream_id });
  }
  const headers = { ...READ_HEADERS, ETag: `"${stream.version}"` };
  return answer(context, stream, headers);
}

interface StreamAnswer {
  readonly stream_id: string;
  /** Null where it has no event. */
  readonly version: number | null;
  readonly partition_key?: string;
  readonly partition_id?: number;
}

function streamOf({ store }: StoreParts, id: Uint8Array): StreamAnswer {
  const { core } = store;
  const { address, size } = stage(store, id);
  const version = store.streamVersion(address, size, 0);
  const streamId = core.text(address, size);
  if (version < 0) return { stream_id: streamId, version: null };
  const key = store.streamKey(address, size);
  return {
    stream_id: streamId,
    version,
    partition_key: core.uuidText(key),
    partition_id: core.partitionHash(key) % store.partitions,
  };
}

function getPartition(context: DoorContext, { store }: StoreParts): Response {
  readQuery(context, {});
  const partition = partitionOf(store, pathParameter(context, "partition"));
  const sequence = store.partitionSequence(partition);
  return answer(context, { partition_id: partition, sequence: sequence < 0 ? null : sequence });
}

async function getEvent(context: DoorContext, parts: StoreParts): Promise<Response> {
  const query = readQuery(context, DATA_PARAMETER);
  const type = negotiate(context, [JSON_TYPE, MSGPACK_TYPE]);
  const asJson = query.data === "json" ? Encoding.jsonData : Encoding.json;
  const encoding = type === MSGPACK_TYPE ? Encoding.msgpack : asJson;
  const eventId = pathParameter(context, "event_id");
  return parts.answers.smallOrWhenRoom(async (bytesMax) => {
    const body = eventOf(parts, eventId, encoding);
    if (body.length > bytesMax) return null;
    const length = { "Content-Length": String(body.length) };
    const headers = { "Content-Type": type, ...length, ...READ_HEADERS };
    return new Response(parts.answers.answer([body], context.isHead), {
      headers,
    });
  });
}

function eventOf({ store, area }: StoreParts, eventId: string, encoding: Encoding): Uint8Array {
  try {
    const address = uuidAddress(store, eventId, "event_id");
    const event_id = store.core.uuidText(address);
    if (!store.writeEvent(area, address, encoding)) {
      throw new StoreError("NOTFOUND", `there is no event ${quote(event_id)}`, { event_id });
    }
    return area.memory.slice(area.origin, area.tail);
  } finally {
    area.clear();
  }
}

/** A small object, in the media type that the request wants. */
function answer(
  context: DoorContext,
  value: object,
  headers: Readonly<Record<string, string>> = READ_HEADERS,
): Response {
  const type = negotiate(context, [JSON_TYPE, MSGPACK_TYPE]);
  const body =
    type === MSGPACK_TYPE ? (encode(value) as Uint8Array<ArrayBuffer>) : JSON.stringify(value);
  const length = { "Content-Length": String(Buffer.byteLength(body)) };
  return new Response(body, { headers: { "Content-Type": type, ...length, ...headers } });
}
