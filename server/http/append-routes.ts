/**
 * The appends: POST of events to a stream, and of a transaction over several.
 */
import { Encoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import { ExpectedVersion } from "../store/transaction-builder.ts";
import type { Expected } from "./append-body.ts";
import type { AppendAnswer, Appends } from "./appends.ts";
import { bodyType, readBody } from "./bodies.ts";
import { checkStreamToAppend } from "./checks.ts";
import { APPENDED, APPENDED_HEADERS, problems, STREAM_PATH_PARAMETERS } from "./descriptions.ts";
import { APPEND_EXAMPLES, APPEND_SCHEMAS, TRANSACTION_EXAMPLES } from "./event-schemas.ts";
import type { HeldBytes } from "./held-bytes.ts";
import type { DoorContext, Operation } from "./operation.ts";
import { problemOfError } from "./problem.ts";
import { JSON_TYPE, MSGPACK_TYPE, negotiate, pathParameter, readQuery } from "./request.ts";
import { parseNumber, unexpectedValue } from "./schema.ts";

const STREAM_EVENTS = "/v1/streams/{stream}/events";

export function appendRoutes(appends: Appends, held: HeldBytes): Operation[] {
  return [
    {
      method: "POST",
      path: STREAM_EVENTS,
      id: "appendToStream",
      tag: "Append",
      summary: "Append one event or several to a stream, all or nothing",
      description:
        "The answer comes when the events are synced to the disk. Give each event an `event_id`: the same request sent again then writes nothing and is answered as the first one was. The expected version stands in `expected_version`, or in If-Match or If-None-Match.",
      pathParameters: STREAM_PATH_PARAMETERS,
      requestHeaders: ["If-Match", "If-None-Match"],
      body: {
        description: "An event, a list of events, or events with what holds for all of them.",
        schemas: APPEND_SCHEMAS.stream,
        examples: APPEND_EXAMPLES,
      },
      answers: {
        201: { ...APPENDED, headers: [...APPENDED_HEADERS, "ETag"] },
        ...problems(400, 406, 408, 409, 412, 413, 415, 421, 428, 500, 503),
      },
      handle: (context) => appendToStream(context, appends, held),
    },
    {
      method: "POST",
      path: "/v1/transactions",
      id: "appendTransaction",
      tag: "Append",
      summary: "Append events to several streams, all or nothing",
      description:
        "Without `partition_key` each stream keeps its own, so that any streams can change together.",
      body: {
        description: "The events, each with its stream.",
        schemas: APPEND_SCHEMAS.transaction,
        examples: TRANSACTION_EXAMPLES,
      },
      answers: {
        201: APPENDED,
        ...problems(400, 406, 408, 409, 412, 413, 415, 421, 428, 500, 503),
      },
      handle: (context) => appendTransaction(context, appends, held),
    },
  ];
}

async function appendToStream(
  context: DoorContext,
  appends: Appends,
  held: HeldBytes,
): Promise<Response> {
  readQuery(context, {});
  const type = bodyType(context);
  const encoding = answerEncoding(context);
  const streamId = checkedStreamId(pathParameter(context, "stream"));
  const expected = expectedByHeaders(context);
  const body = await readBody(context, held);
  try {
    const request = { streamId, expected, body: body.bytes, bodyType: type, encoding };
    const answer = await appends.run(request);
    return created(context, answer, encoding, `"${answer.lastVersion}"`);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { current_version: current, event_index: index } = error.facts;
    if (typeof current !== "number" || typeof index !== "number") throw error;
    // The event was checked after those before it, all of this stream, of which none was written.
    const written = current - index;
    return problemOfError(error, written < 0 ? {} : { ETag: `"${written}"` });
  } finally {
    body.release();
  }
}

async function appendTransaction(
  context: DoorContext,
  appends: Appends,
  held: HeldBytes,
): Promise<Response> {
  readQuery(context, {});
  const type = bodyType(context);
  const encoding = answerEncoding(context);
  for (const header of ["If-Match", "If-None-Match"]) {
    if (context.request.headers.has(header)) {
      const text = `${header} is not taken here: each event says its own expected_version`;
      throw new StoreError("INVALIDARG", text);
    }
  }
  const body = await readBody(context, held);
  try {
    const request = { streamId: null, expected: null, body: body.bytes, bodyType: type, encoding };
    return created(context, await appends.run(request), encoding, null);
  } finally {
    body.release();
  }
}

function created(
  context: DoorContext,
  { body, isRepeat, firstEventId }: AppendAnswer,
  encoding: Encoding,
  etag: string | null,
): Response {
  context.answerBytes = body.length;
  const headers: Record<string, string> = {
    "Content-Type": encoding === Encoding.msgpack ? MSGPACK_TYPE : JSON_TYPE,
    "Cache-Control": "no-store",
    Vary: "Accept",
    Location: `/v1/events/${firstEventId}`,
  };
  if (isRepeat) headers["Idempotent-Replayed"] = "true";
  if (etag !== null) headers.ETag = etag;
  return new Response(body as Uint8Array<ArrayBuffer>, { status: 201, headers });
}

function answerEncoding(context: DoorContext): Encoding {
  const type = negotiate(context, [JSON_TYPE, MSGPACK_TYPE]);
  return type === MSGPACK_TYPE ? Encoding.msgpack : Encoding.json;
}

function checkedStreamId(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  checkStreamToAppend(bytes, 0, bytes.length, "stream");
  return bytes;
}

/** What If-Match or If-None-Match expects of the stream's version; null where neither is given. */
function expectedByHeaders(context: DoorContext): Expected | null {
  const { headers } = context.request;
  const match = headers.get("If-Match");
  const noneMatch = headers.get("If-None-Match");
  if (match !== null && noneMatch !== null) {
    throw new StoreError("INVALIDARG", "If-Match and If-None-Match exclude each other");
  }
  if (noneMatch !== null) {
    if (noneMatch.trim() === "*") return { kind: ExpectedVersion.empty, version: 0 };
    throw unexpectedValue("If-None-Match", noneMatch, "* (the stream must be empty)");
  }
  if (match === null) return null;
  if (match.trim() === "*") return { kind: ExpectedVersion.exists, version: 0 };
  // A proxy that compresses weakens the tags that it passes on.
  const [, digits = ""] = /^(?:W\/)?"(\d+)"$/.exec(match.trim()) ?? [];
  const version = parseNumber(digits);
  if (version === null) {
    throw unexpectedValue("If-Match", match, 'one version in double quotes, as in "2", or *');
  }
  return { kind: ExpectedVersion.exact, version };
}
