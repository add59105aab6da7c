/**
 * What the operations say in the same words: parameters of paths, answers, and the problems that may come.
 */
import { STATUS_CODES } from "node:http";
import { STREAM_ID_BYTES_MAX } from "../limits.ts";
import { type BodySchemas, SCHEMAS } from "./event-schemas.ts";
import type { Answer } from "./operation.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import { EVENT_STREAM_TYPE, JSON_TYPE, MSGPACK_TYPE } from "./request.ts";
import { text } from "./schema.ts";

export const STREAM_PATH_PARAMETERS = {
  stream: text(
    "The stream's id, percent-encoded: any UTF-8 but NUL, CR, LF, and `.` and `..` alone, which URLs cannot carry.",
    "user-42",
    { minLength: 1, maxLength: STREAM_ID_BYTES_MAX },
  ),
};

export const PARTITION_PATH_PARAMETERS = {
  partition: text("The partition's number, or the UUID of a partition key in it.", "5", {
    minLength: 1,
  }),
};

const READ_HEADER_NAMES = ["Vary", "Cache-Control"];

/** An object in JSON or MessagePack. */
export function objectAnswer(
  description: string,
  { json, msgpack }: BodySchemas,
  headers: readonly string[] = [],
): Answer {
  return {
    description,
    content: { [JSON_TYPE]: json, [MSGPACK_TYPE]: msgpack },
    headers: [...READ_HEADER_NAMES, ...headers],
  };
}

/** Events in JSON or MessagePack; or, where the client accepts it, the feed of them. */
export function eventsAnswer(
  description: string,
  schemas: BodySchemas,
  headers: readonly string[],
): Answer {
  const answer = objectAnswer(description, schemas, headers);
  return {
    ...answer,
    description: `${description} With Accept: text/event-stream, a feed from there on, as of /v1/subscribe.`,
    content: { ...answer.content, [EVENT_STREAM_TYPE]: { type: "string" } },
  };
}

export const APPENDED_HEADERS = ["Location", "Idempotent-Replayed", "Vary", "Cache-Control"];

export const APPENDED: Answer = {
  description:
    "Appended and durable, or a repeat of an append that was: then Idempotent-Replayed is true. One event is answered by its numbers, several by a list of them.",
  content: { [JSON_TYPE]: SCHEMAS.appended, [MSGPACK_TYPE]: SCHEMAS.appended },
  headers: APPENDED_HEADERS,
};

export const FEED_ANSWER: Answer = {
  description:
    "The feed, which has no end: `message` events whose data is an event, `caught-up` once, and ids without data.",
  content: { [EVENT_STREAM_TYPE]: { type: "string" } },
  headers: ["Vary", "Cache-Control"],
};

const WHEN: Readonly<Record<number, string>> = {
  400: "The request is wrong; `detail` says what was expected and where.",
  404: "There is no such thing.",
  406: "Accept takes none of the media types that there are.",
  409: "Another partition key, an event id that stands for other content, or a position beyond the end.",
  412: "The stream has another version than was expected.",
  408: "The body came too slowly while others waited for the memory that it took: nothing was written.",
  413: "Above a limit: `limit`, `limit_value`, `asked`.",
  415: "The body is neither JSON nor MessagePack.",
  421: "The Host header names no host that this server answers for.",
  428: "The server is strict, and the request says no expected version.",
  500: "A stored record is damaged, or a bug.",
  503: "Nothing was written (READONLY), or it is not known (UNCERTAIN: repeat it with the same event ids).",
};

/** The problems with these statuses. */
export function problems(...statuses: readonly number[]): Record<number, Answer> {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: WHEN[status] ?? STATUS_CODES[status] ?? "",
        content: { [PROBLEM_TYPE]: SCHEMAS.problem },
        headers: status === 503 ? ["Retry-After"] : status === 412 ? ["ETag"] : [],
      },
    ]),
  );
}
