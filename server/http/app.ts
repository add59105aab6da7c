/**
 * The HTTP door: routes, and the checks that every request passes before one.
 *
 * Every answer that is an error is a problem (RFC 9457), the unknown path and the wrong method included. What
 * cannot be parsed as HTTP is answered by Bun.serve with a bare status, before anything here.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { type Address, formatAddress, isLoopback, type Settings } from "../config.ts";
import { OpenError, StoreError } from "../errors.ts";
import {
  HTTP_BODY_BYTES_MAX,
  HTTP_HEADER_TIMEOUT_SECONDS,
  HTTP_REQUEST_TIMEOUT_SECONDS,
  KiB,
} from "../limits.ts";
import type { MetricsRegistry } from "../metrics/registry.ts";
import type { Tell } from "../stderr-log.ts";
import { headAsGet } from "./head.ts";
import { metricsHandler } from "./metrics.ts";
import type { RequestObserver } from "./observe-requests.ts";
import { problem, problemOfError } from "./problem.ts";

/** Whether the store takes writes, and where it does not, why. */
export interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
}

export interface HttpParts {
  readonly ready: () => Readiness;
  /** Takes one event for the server's log. */
  readonly log: Tell;
  /** What watches requests, and what `/metrics` tells: a door without them has neither. */
  readonly observer?: RequestObserver;
  readonly metrics?: MetricsRegistry;
}

export interface HttpDoor {
  /** `HOST:PORT` with the real port. */
  readonly address: string;
  readonly port: number;
  /** Requests that are being answered now, feeds included. */
  pendingRequests(): number;
  /** Takes no new connections; resolves when what is under way is answered. */
  stop(): Promise<void>;
}

/** Bun cuts a body that is longer than this; ours are refused above `HTTP_BODY_BYTES_MAX`, with a problem. */
const BODY_BYTES_CUT = HTTP_BODY_BYTES_MAX + 64 * KiB;

/** Opens the HTTP door. Throws OpenError when the address cannot be had. */
export function serveHttp(
  settings: Pick<Settings, "http" | "allowedHosts">,
  parts: HttpParts,
): HttpDoor {
  const server = listen(settings.http, createApp(settings, parts));
  const port = server.port ?? settings.http.port;
  return {
    address: formatAddress({ host: settings.http.host, port }),
    port,
    pendingRequests: () => server.pendingRequests,
    stop: () => stopInOrder(server),
  };
}

function listen(address: Address, app: Hono): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: address.host,
      port: address.port,
      idleTimeout: HTTP_HEADER_TIMEOUT_SECONDS,
      maxRequestBodySize: BODY_BYTES_CUT,
      development: false,
      reusePort: false, // without it, and without development, Bun would share the port with another server
      fetch: (request) => app.fetch(headAsGet(request)),
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OpenError(`HTTP cannot listen at ${formatAddress(address)}: ${reason}`);
  }
}

/**
 * Lets the requests under way end, then closes what is left. Bun's own orderly stop would wait for connections that
 * sent no request too, until their time limit.
 */
async function stopInOrder(server: Bun.Server<undefined>): Promise<void> {
  const stopped = server.stop();
  const deadlineMs = performance.now() + HTTP_REQUEST_TIMEOUT_SECONDS * 1_000;
  while (server.pendingRequests > 0 && performance.now() < deadlineMs) {
    await Bun.sleep(STOP_POLL_MS);
  }
  await server.stop(true);
  await stopped;
}

/** How often a stop looks whether a request is still under way; Bun tells the count, not the moment. */
const STOP_POLL_MS = 5;

/** The routes without a socket, for tests and for `serveHttp`. */
export function createApp(
  settings: { readonly http: Address; readonly allowedHosts: readonly string[] },
  { ready, log, observer, metrics }: HttpParts,
): Hono {
  const app = new Hono();
  if (observer !== undefined) app.use(observer.middleware);
  app.use(checkHost(isLoopback(settings.http.host), settings.allowedHosts));

  route(app, "/healthz", (context) => context.json({ status: "ok" }, 200, NOT_STORED));
  route(app, "/readyz", (context) => {
    const { ready: isReady, reason } = ready();
    if (isReady) return context.json({ status: "ok" }, 200, NOT_STORED);
    return problem(503, "READONLY", reason ?? "the store takes no writes");
  });

  if (metrics !== undefined) route(app, "/metrics", metricsHandler(metrics));

  app.notFound((context) => problem(404, "NOTFOUND", `there is nothing at ${context.req.path}`));
  app.onError((error, context) => {
    if (error instanceof StoreError) return problemOfError(error);
    const id = crypto.randomUUID();
    log(
      `error ${id}: ${context.req.method} ${context.req.path}: ${error.stack ?? error.message}`,
      "error",
    );
    return problem(500, "INTERNAL", `internal error ${id}`);
  });
  return app;
}

const NOT_STORED = { "Cache-Control": "no-store" };

/** A path that is read alone: GET and HEAD (which Hono answers as GET, without the body), all else is 405. */
function route(
  app: Hono,
  path: string,
  handler: (context: Context) => Response | Promise<Response>,
): void {
  app.get(path, handler);
  app.all(path, (context) =>
    problem(405, "INVALIDARG", `${context.req.method} is not allowed at ${path}; use GET`, {
      headers: { Allow: "GET, HEAD" },
    }),
  );
}

/**
 * Refuses a Host header that a page of another site may have sent through DNS rebinding: a door bound to loopback
 * answers to loopback's names and to `--allowed-hosts` alone.
 */
function checkHost(isBoundToLoopback: boolean, allowedHosts: readonly string[]): MiddlewareHandler {
  return async (context, next) => {
    const header = context.req.header("Host") ?? "";
    // Bun joins several Host headers with a comma; which one a proxy went by is unknown.
    if (header.includes(",")) {
      return problem(400, "INVALIDARG", "the request has more than one Host header", {
        headers: { Connection: "close" },
      });
    }
    const host = header.replace(/:\d*$/, "").toLowerCase();
    if (isBoundToLoopback && !isLoopback(host) && !allowedHosts.includes(host)) {
      return problem(421, "INVALIDARG", MISDIRECTED);
    }
    return next();
  };
}

const MISDIRECTED =
  "the Host header names neither loopback nor a host that the server was started with: --allowed-hosts";
