/**
 * Reads the body of a request, up to its limit and within its time, and knows in which media type it came.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { HTTP_BODY_BYTES_MAX } from "../limits.ts";
import { quote } from "../usage.ts";
import type { DoorContext } from "./operation.ts";
import { ProblemError, problem } from "./problem.ts";
import { JSON_TYPE, MSGPACK_TYPE } from "./request.ts";

/** The media type of an append's body; anything else, and none, is 415. */
export function bodyType(context: DoorContext): typeof JSON_TYPE | typeof MSGPACK_TYPE {
  const header = context.req.raw.headers.get("Content-Type");
  const type = header?.split(";")[0]?.trim().toLowerCase();
  const coding = context.req.raw.headers.get("Content-Encoding");
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

/** Why a body is not read to its end: the client went away, and nobody sees the answer. */
const GONE = "the request's body ended early";

/** All of the body. Throws TOOLARGE as soon as it is known to be longer than the limit. */
export async function readBody(context: DoorContext): Promise<Uint8Array> {
  const { raw } = context.req;
  const length = raw.headers.get("Content-Length");
  try {
    if (length === null) return await readChunks(raw);
    if (Number(length) > HTTP_BODY_BYTES_MAX) throw bodyTooLarge(Number(length));
    return new Uint8Array(await raw.arrayBuffer());
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError("INVALIDARG", GONE);
  }
}

/** A body of unknown length is counted as it comes. */
async function readChunks(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (request.body === null) return new Uint8Array(0);
  const reader = request.body.getReader();
  while (true) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks, size);
    chunks.push(value);
    size += value.length;
    if (size > HTTP_BODY_BYTES_MAX) {
      await reader.cancel();
      throw bodyTooLarge(size);
    }
  }
}

function bodyTooLarge(asked: number): StoreError {
  return tooLarge("size of a request's body in bytes", HTTP_BODY_BYTES_MAX, asked);
}
