/**
 * An error as HTTP tells it: RFC 9457, `application/problem+json`, with the error's code of `errors.ts`.
 */
import { STATUS_CODES } from "node:http";
import { ERRORS, type ErrorCode, type StoreError } from "../errors.ts";

/** Seconds after which a client may try again what failed for a while: `Retry-After`. */
const RETRY_AFTER_SECONDS = 1;

/** The answer to a request that failed with an error of the store. */
export function problemOfError(error: StoreError): Response {
  const { httpStatus } = ERRORS[error.code];
  return problem(httpStatus, error.code, error.message, { members: error.facts });
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
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      "Content-Type": "application/problem+json",
      "Cache-Control": "no-store",
      ...(ERRORS[code].retryable ? { "Retry-After": String(RETRY_AFTER_SECONDS) } : {}),
      ...headers,
    },
  });
}
