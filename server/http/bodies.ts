/**
 * Reads the body of a request, up to its limit and within its time, and knows in which media type it came.
 */
import { StoreError, tooLarge } from "../errors.ts";
import {
  HTTP_BODY_BYTES_MAX,
  HTTP_DISCARD_BYTES_MAX,
  HTTP_DISCARD_MS,
  HTTP_SMALL_BYTES,
} from "../limits.ts";
import { quote } from "../usage.ts";
import type { HeldBody, HeldBytes } from "./held-bytes.ts";
import type { DoorContext } from "./operation.ts";
import { ProblemError, problem } from "./problem.ts";
import { JSON_TYPE, MSGPACK_TYPE } from "./request.ts";

/** The media type of an append's body; anything else, and none, is 415. */
export function bodyType(context: DoorContext): typeof JSON_TYPE | typeof MSGPACK_TYPE {
  const header = context.request.headers.get("Content-Type");
  const type = header?.split(";")[0]?.trim().toLowerCase();
  const coding = context.request.headers.get("Content-Encoding");
  if (coding !== null && coding.toLowerCase() !== "identity") {
    throw unsupported(`Content-Encoding ${quote(coding)} is not taken: send the body as it is`, {
      "Accept-Encoding": "identity",
    });
  }
  if (type === JSON_TYPE || type === MSGPACK_TYPE) return type;
  const given = header === null ? "there is none" : `got ${quote(header)}`;
  throw unsupported(`Content-Type must be ${JSON_TYPE} or ${MSGPACK_TYPE}, but ${given}`, {
    "Accept-Post": `${JSON_TYPE}, ${MSGPACK_TYPE}`,
  });
}

function unsupported(detail: string, headers: Record<string, string>): ProblemError {
  return new ProblemError(problem(415, "INVALIDARG", detail, { headers }));
}

/** A body that was read. */
export interface Body {
  readonly bytes: Uint8Array;
  /** To be called when the bytes are no longer needed. */
  readonly release: () => void;
}

interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** All of the body. Throws TOOLARGE when it is known to be longer than the limit. */
export async function readBody(context: DoorContext, held: HeldBytes): Promise<Body> {
  const { request, work, contentLength } = context;
  const length = contentLength === null ? null : Number(contentLength);
  work.readingCount++;
  try {
    if (length !== null && length > HTTP_BODY_BYTES_MAX) {
      // Who waits for "100 Continue" sends nothing of it when refused.
      if (!request.headers.has("Expect")) await discard(request.body?.getReader());
      throw bodyTooLarge(length);
    }
    // A stream costs more than what a small body is: it is not asked for without need.
    const isSmall = length !== null && length <= HTTP_SMALL_BYTES;
    const stream = isSmall ? null : request.body;
    if (stream !== null) return await readPieces(stream, held);
    return { bytes: await request.bytes(), release: nothing };
  } catch (error) {
    throw error instanceof StoreError || error instanceof ProblemError ? error : endedEarly();
  } finally {
    work.readingCount--;
  }
}

/** A large body, or one of unknown length: it is counted once it is no longer small. */
async function readPieces(stream: ReadableStream<Uint8Array>, held: HeldBytes): Promise<Body> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  let body: HeldBody | null = null;
  const reader = stream.getReader();
  try {
    while (true) {
      await body?.room();
      const { done, value } = await reader.read();
      if (body?.isCut) throw tooSlow();
      if (done) {
        body?.complete();
        return { bytes: Buffer.concat(pieces, size), release: body?.release ?? nothing };
      }
      pieces.push(value);
      size += value.length;
      if (size > HTTP_BODY_BYTES_MAX) {
        body?.release();
        await discard(reader);
        throw bodyTooLarge(size);
      }
      if (body !== null) {
        body.add(value.length);
      } else if (size > HTTP_SMALL_BYTES) {
        body = held.openBody(() => void reader.cancel().catch(nothing));
        body.add(size);
      }
    }
  } catch (error) {
    body?.release();
    throw error;
  }
}

/**
 * Takes the rest of a body that is refused, and throws it away. A connection that is closed while its client still sends is reset,
 * and many clients then do not look for the answer. What is longer, or slower, is cut nevertheless.
 */
async function discard(reader: BodyReader | undefined): Promise<void> {
  if (reader === undefined) return;
  const timer = setTimeout(() => void reader.cancel().catch(nothing), HTTP_DISCARD_MS);
  try {
    for (let size = 0; size <= HTTP_DISCARD_BYTES_MAX; ) {
      const { done, value } = await reader.read();
      if (done || value === undefined) return;
      size += value.length;
    }
    await reader.cancel();
  } finally {
    clearTimeout(timer);
  }
}

function nothing(): void {}

/** Others waited for the room that its first part took. */
function tooSlow(): ProblemError {
  const text =
    "the body came too slowly while others waited for room: nothing was written, send it again";
  return new ProblemError(problem(408, "INVALIDARG", text, { headers: { Connection: "close" } }));
}

/** The client went away, and nobody sees this. */
function endedEarly(): StoreError {
  return new StoreError("INVALIDARG", "the request's body ended early");
}

function bodyTooLarge(asked: number): StoreError {
  return tooLarge("size of a request's body in bytes", HTTP_BODY_BYTES_MAX, asked);
}
