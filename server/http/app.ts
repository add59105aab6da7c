/**
 * The HTTP door: routes, and the checks that every request passes before one.
 *
 * Every answer that is an error is a problem (RFC 9457), the unknown path and the wrong method included. What
 * cannot be parsed as HTTP is answered by Bun.serve with a bare status, before anything here.
 */
import { AssertionError } from "../assert.ts";
import { type Address, formatAddress, isLoopback } from "../config/address.ts";
import { CoreTrap, MemoryRefused } from "../core/core.ts";
import { cannotListen, StoreError } from "../errors.ts";
import {
  CONNECTIONS_MAX,
  HTTP_HEADER_TIMEOUT_SECONDS,
  HTTP_REQUEST_TIMEOUT_SECONDS,
  HTTP_STOP_MS,
} from "../limits.ts";
import type { MetricsRegistry } from "../metrics/registry.ts";
import type { Tell } from "../stderr-log.ts";
import { type RequestCheck, requestCheck } from "./check-request.ts";
import { OriginSharing } from "./cors.ts";
import { healthRoutes } from "./health-routes.ts";
import { metricsRoutes } from "./metrics.ts";
import type { RequestObserver } from "./observe-requests.ts";
import { DoorContext, type DoorWork, type Operation, type Readiness } from "./operation.ts";
import { ProblemError, problem, problemOfError } from "./problem.ts";
import { Router } from "./router.ts";

export interface HttpParts {
  readonly ready: () => Readiness;
  /** Takes one event for the server's log. */
  readonly log: Tell;
  /** What watches requests, and what `/metrics` tells: a door without them has neither. */
  readonly observer?: RequestObserver;
  readonly metrics?: MetricsRegistry;
  /** What there is beside health: `storeRoutes` of a store. */
  readonly operations?: readonly Operation[];
  /** Ends the process after a bug: the store's state may be half done. */
  readonly crash?: (error: unknown) => never;
  /** Requests that may be under way at a time, feeds included. Above: 503. */
  readonly requestsMax?: () => number;
  /** Ends the answers that have no end of their own, when the door stops. */
  readonly endFeeds?: () => void;
  /** Bytes of bodies and answers that the operations hold now. */
  readonly heldBytes?: () => number;
}

interface HttpSettings {
  readonly http: Address;
  readonly allowedHosts: readonly string[];
  readonly corsOrigins?: readonly string[];
}

export interface HttpDoor {
  /** `HOST:PORT` with the real port. */
  readonly address: string;
  readonly port: number;
  /** Requests that are being answered now, feeds included. */
  pendingRequests(): number;
  /** Bytes of bodies that come and of answers that are not taken yet. */
  heldBytes(): number;
  /** Takes no new connections; resolves when what is under way is answered. */
  stop(): Promise<void>;
}

/** Bun would answer a longer body itself, without a problem: it is read up to `HTTP_BODY_BYTES_MAX`, by bodies.ts. */
const BODY_BYTES_CUT = Number.MAX_SAFE_INTEGER;

/** Opens the HTTP door. Throws OpenError when the address cannot be had. */
export function serveHttp(settings: HttpSettings, parts: HttpParts): HttpDoor {
  const app = new HttpApp(settings, parts);
  const server = listen(settings.http, app, parts.requestsMax ?? (() => CONNECTIONS_MAX));
  const port = server.port ?? settings.http.port;
  return {
    address: formatAddress({ host: settings.http.host, port }),
    port,
    pendingRequests: () => server.pendingRequests,
    heldBytes: parts.heldBytes ?? (() => 0),
    stop: () => stopInOrder(server, app.work, parts.endFeeds ?? (() => {})),
  };
}

function listen(address: Address, app: HttpApp, requestsMax: () => number): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: address.host,
      port: address.port,
      idleTimeout: HTTP_HEADER_TIMEOUT_SECONDS,
      maxRequestBodySize: BODY_BYTES_CUT,
      development: false,
      reusePort: false, // without it, and without development, Bun would share the port with another server
      fetch(request, server) {
        if (server.pendingRequests > requestsMax()) return refuseConnection(requestsMax());
        // The header came in time; what the whole takes has its own limit. Neither is lengthened by a trickle.
        server.timeout(request, HTTP_REQUEST_TIMEOUT_SECONDS);
        return app.respond(request, server);
      },
    });
  } catch (error) {
    throw cannotListen("HTTP", formatAddress(address), "--http", error);
  }
}

/** A connection needs a descriptor, and the log must always have some. */
function refuseConnection(limit: number): Response {
  const name = "the number of connections";
  const asked = limit + 1;
  return problem(503, "TOOLARGE", `${name} is limited to ${limit}, but ${asked} was asked`, {
    members: { limit: name, limit_value: limit, asked },
    headers: { Connection: "close", "Retry-After": "1" },
  });
}

/**
 * Lets the requests under way end, then closes what is left: who still sends a body, and who does not take an answer.
 * Bun's own orderly stop would wait for connections that sent no request too, until their time limit.
 */
async function stopInOrder(
  server: Bun.Server<undefined>,
  work: DoorWork,
  endFeeds: () => void,
): Promise<void> {
  const stopped = server.stop();
  endFeeds();
  const askedAtMs = performance.now();
  let pending = server.pendingRequests;
  let changedAtMs = askedAtMs;
  while (server.pendingRequests > 0) {
    await Bun.sleep(STOP_POLL_MS);
    const nowMs = performance.now();
    if (nowMs - askedAtMs > HTTP_REQUEST_TIMEOUT_SECONDS * 1_000) break;
    if (work.unansweredCount > work.readingCount) continue;
    if (server.pendingRequests !== pending) {
      pending = server.pendingRequests;
      changedAtMs = nowMs;
    }
    // What is left waits for its client.
    if (nowMs - changedAtMs > STOP_STALLED_MS || nowMs - askedAtMs > HTTP_STOP_MS) break;
  }
  await server.stop(true);
  await stopped;
}

/** How often a stop looks whether a request is still under way; Bun tells the count, not the moment. */
const STOP_POLL_MS = 5;
/** Requests of which none ends for this long, milliseconds, are cut when the door stops. */
const STOP_STALLED_MS = 2_000;

/** The routes without a socket, for tests and for `serveHttp`. */
export class HttpApp {
  readonly work: DoorWork = { unansweredCount: 0, readingCount: 0 };
  private readonly parts: HttpParts;
  private readonly router: Router;
  private readonly check: RequestCheck;
  /** Null where no page of another origin may use the door. */
  private readonly sharing: OriginSharing | null;

  constructor({ http, allowedHosts, corsOrigins = [] }: HttpSettings, parts: HttpParts) {
    this.parts = parts;
    this.router = new Router([
      ...healthRoutes(parts.ready),
      ...(parts.metrics === undefined ? [] : metricsRoutes(parts.metrics)),
      ...(parts.operations ?? []),
    ]);
    this.check = requestCheck(isLoopback(http.host), allowedHosts);
    this.sharing = corsOrigins.length === 0 ? null : new OriginSharing(corsOrigins);
  }

  respond(request: Request, server?: Bun.Server<undefined>): Response | Promise<Response> {
    const startedAt = performance.now();
    const context = new DoorContext(request, this.work, server);
    let answer: Response | Promise<Response>;
    try {
      answer =
        this.sharing?.preflight(request) ?? this.check(context) ?? this.router.handle(context);
    } catch (error) {
      answer = this.refusal(context, error);
    }
    if (answer instanceof Promise) return this.respondLater(context, answer, startedAt);
    return this.answered(context, answer, startedAt);
  }

  private async respondLater(
    context: DoorContext,
    handled: Promise<Response>,
    startedAt: number,
  ): Promise<Response> {
    this.work.unansweredCount++;
    let answer: Response;
    try {
      answer = await handled;
    } catch (error) {
      answer = this.refusal(context, error);
    }
    this.work.unansweredCount--;
    return this.answered(context, answer, startedAt);
  }

  /** What every answer passes last. */
  private answered(context: DoorContext, answer: Response, startedAt: number): Response {
    this.sharing?.permit(context.request, answer);
    this.parts.observer?.answered(context, answer, performance.now() - startedAt);
    return answer;
  }

  private refusal({ request, path }: DoorContext, error: unknown): Response {
    if (error instanceof ProblemError) return error.response;
    if (error instanceof StoreError) return problemOfError(error);
    if (error instanceof MemoryRefused) {
      return problemOfError(new StoreError("READONLY", error.message));
    }
    if (error instanceof CoreTrap || error instanceof AssertionError) this.parts.crash?.(error);
    const id = crypto.randomUUID();
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.parts.log(`error ${id}: ${request.method} ${path}: ${text}`, "error");
    return problem(500, "INTERNAL", `internal error ${id}`);
  }
}
