/**
 * An error as HTTP tells it: RFC 9457, `application/problem+json`, with the error's code of `errors.ts`.
 */
import { STATUS_CODES } from "node:http";
import { ERRORS, type ErrorCode, type StoreError } from "../errors.ts";

export const PROBLEM_TYPE = "application/problem+json";

/** Seconds after which a client may try again what failed for a while: `Retry-After`. */
const RETRY_AFTER_SECONDS = 1;

/** The answer to a request that failed with an error of the store. */
export function problemOfError(
  error: StoreError,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const { httpStatus } = ERRORS[error.code];
  // What is left of a request that is too large is not read.
  const close = error.code === "TOOLARGE" ? { Connection: "close" } : {};
  return problem(httpStatus, error.code, error.message, {
    members: error.facts,
    headers: { ...close, ...headers },
  });
}

interface ProblemExtras {
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `status` may be one that no code has (405, 421): such a problem has the code INVALIDARG. */
export function problem(
  status: number,
  code: ErrorCode,
  detail: string,
  { members, headers }: ProblemExtras = {},
): Response {
  const body = {
    type: "about:blank",
    title: STATUS_CODES[status],
    status,
    code,
    detail,
    ...members,
  };
  const text = JSON.stringify(body);
  const response = new Response(text, {
    status,
    headers: {
      "Content-Length": String(Buffer.byteLength(text)),
      "Content-Type": PROBLEM_TYPE,
      "Cache-Control": "no-store",
      ...(ERRORS[code].retryable ? { "Retry-After": String(RETRY_AFTER_SECONDS) } : {}),
      ...headers,
    },
  });
  codes.set(response, code);
  return response;
}

/** Kept beside the answers, so that whoever counts them need not read their bodies. */
const codes = new WeakMap<Response, ErrorCode>();

/** The code of an answer that is a problem; null for any other. */
export function codeOf(response: Response): ErrorCode | null {
  return codes.get(response) ?? null;
}

/** Ends the handling of a request with a problem whose status no code has, or whose headers say more. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly response: Response;

  constructor(response: Response) {
    super("the request is answered with a problem");
    this.response = response;
  }
}
