/**
 * Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): pages of `--cors-origins` may use the
 * door, and without that setting no page of another origin.
 */
/** Headers that are not of the kind that every page may send, and those of answers that it may read. */
const REQUEST_HEADERS = "Accept, Content-Type, If-Match, If-None-Match, Last-Event-ID";
const ANSWER_HEADERS = "ETag, Idempotent-Replayed, Link, Location, Retry-After";
/** How long a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

export class OriginSharing {
  private readonly origins: readonly string[];

  constructor(origins: readonly string[]) {
    this.origins = origins;
  }

  /** The answer to a browser that asks what a page may do; null for any other request. */
  preflight(request: Request): Response | null {
    const origin = this.sharedOrigin(request);
    return origin !== null && isPreflight(request) ? preflight(origin) : null;
  }

  /** Adds to an answer what its origin may do with it. */
  permit(request: Request, { headers }: Response): void {
    headers.append("Vary", "Origin");
    const origin = this.sharedOrigin(request);
    if (origin === null) return;
    headers.set("Access-Control-Allow-Origin", origin);
    headers.set("Access-Control-Expose-Headers", ANSWER_HEADERS);
  }

  private sharedOrigin({ headers }: Request): string | null {
    const origin = headers.get("Origin");
    return origin !== null && this.origins.includes(origin) ? origin : null;
  }
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
