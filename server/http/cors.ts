/**
 * Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): pages of `--cors-origins` may use the
 * door, and without that setting no page of another origin.
 */
import type { Responder } from "./operation.ts";

/** Headers that are not of the kind that every page may send, and those of answers that it may read. */
const REQUEST_HEADERS = "Accept, Content-Type, If-Match, If-None-Match, Last-Event-ID";
const ANSWER_HEADERS = "ETag, Idempotent-Replayed, Link, Location, Retry-After";
/** How long a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

/** The same answers, with the permissions that pages of the origins have. */
export function shareWith(origins: readonly string[], answer: Responder): Responder {
  return async (request, note) => {
    const origin = request.headers.get("Origin");
    const isShared = origin !== null && origins.includes(origin);
    if (isShared && isPreflight(request)) return preflight(origin);
    const response = await answer(request, note);
    const { headers } = response;
    headers.append("Vary", "Origin");
    if (!isShared) return response;
    headers.set("Access-Control-Allow-Origin", origin);
    headers.set("Access-Control-Expose-Headers", ANSWER_HEADERS);
    return response;
  };
}

function isPreflight(request: Request): boolean {
  return request.method === "OPTIONS" && request.headers.has("Access-Control-Request-Method");
}

function preflight(origin: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Origin": origin,
      "Access-Control-Allow-Methods": "GET, HEAD, POST",
      "Access-Control-Allow-Headers": REQUEST_HEADERS,
      "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
      Vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    },
  });
}
