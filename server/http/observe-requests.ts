/**
 * What HTTP requests come and how they are answered: a line of the log for each, and figures.
 *
 * A request is counted under its route as the app has it (`/v1/streams/:stream/events`), never under its path, so
 * that stream ids make no figures. A line has method, path, status, duration and the lengths that the heads tell;
 * never a query, a body or a header of the client's. A feed counts when it begins.
 */
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { ERRORS, type ErrorCode } from "../errors.ts";
import { LOGGED_PATH_LENGTH_MAX } from "../limits.ts";
import { Histogram, SECONDS_BOUNDS } from "../metrics/histogram.ts";
import type { MetricsRegistry } from "../metrics/registry.ts";
import type { StderrLog } from "../stderr-log.ts";
import { askedMethod } from "./head.ts";

/** What pollers ask every few seconds is no news. */
const POLLED: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);
/** Methods that are counted under their names; what else a client may invent is `other`. */
const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);
const NO_ROUTE = "none";

/** One method at one route. */
interface RequestFigures {
  readonly method: string;
  readonly route: string;
  readonly seconds: Histogram;
  /** Answers by their status. */
  readonly statuses: Map<number, number>;
}

export class RequestObserver {
  private readonly log: Pick<StderrLog, "isOn" | "gather">;
  /** By method, then by route. */
  private readonly figures = new Map<string, Map<string, RequestFigures>>();
  private readonly errorCounts = new Map<ErrorCode, number>();

  constructor(log: Pick<StderrLog, "isOn" | "gather">) {
    this.log = log;
  }

  /** To be the app's first. */
  readonly middleware: MiddlewareHandler = async (context, next) => {
    const startedAt = performance.now();
    await next();
    const durationMs = performance.now() - startedAt;
    const method = askedMethod(context.req.raw);
    const route = routeOf(context);
    this.count(method, route, context.res.status, durationMs);
    if (context.res.status >= 400) await this.countError(context.res);
    this.tell(context, method, route, durationMs);
  };

  addFigures(metrics: MetricsRegistry): void {
    const all = (): RequestFigures[] =>
      [...this.figures.values()].flatMap((routes) => [...routes.values()]);
    metrics.counter("cairn_http_requests_total", "HTTP requests that were answered.", () =>
      all().flatMap(({ method, route, statuses }) =>
        [...statuses].map(([status, value]) => ({
          labels: { method, route, status: String(status) },
          value,
        })),
      ),
    );
    metrics.histogram(
      "cairn_http_request_seconds",
      "From an HTTP request's head to its answer; a feed's answer is its beginning.",
      () =>
        all().map(({ method, route, seconds }) => ({ labels: { method, route }, value: seconds })),
    );
  }

  /** Errors that were told over HTTP, by their code. */
  errors(): ReadonlyMap<ErrorCode, number> {
    return this.errorCounts;
  }

  private count(method: string, route: string, status: number, durationMs: number): void {
    const figures = this.figuresOf(METHODS.has(method) ? method : "other", route);
    figures.seconds.observe(durationMs / 1_000);
    figures.statuses.set(status, (figures.statuses.get(status) ?? 0) + 1);
  }

  private figuresOf(method: string, route: string): RequestFigures {
    let routes = this.figures.get(method);
    if (routes === undefined) {
      routes = new Map();
      this.figures.set(method, routes);
    }
    const known = routes.get(route);
    if (known !== undefined) return known;
    const made = { method, route, seconds: new Histogram(SECONDS_BOUNDS), statuses: new Map() };
    routes.set(route, made);
    return made;
  }

  private async countError(response: Response): Promise<void> {
    if (response.headers.get("Content-Type") !== "application/problem+json") return;
    const { code } = (await response.clone().json()) as { code: ErrorCode };
    if (Object.hasOwn(ERRORS, code)) {
      this.errorCounts.set(code, (this.errorCounts.get(code) ?? 0) + 1);
    }
  }

  private tell(context: Context, method: string, route: string, durationMs: number): void {
    const { status, headers } = context.res;
    const level = status >= 500 ? "warn" : "info";
    const shown = POLLED.has(route) ? "debug" : level;
    if (!this.log.isOn(shown)) return;
    this.log.gather("http request", shown, {
      method,
      path: pathOf(context.req.raw.url).slice(0, LOGGED_PATH_LENGTH_MAX),
      route,
      status,
      duration_ms: Math.round(durationMs * 1_000) / 1_000,
      request_bytes: lengthIn(context.req.raw.headers),
      bytes: lengthIn(headers),
    });
  }
}

/** The pattern of the route that answered. Middleware, which is at every path, is none. */
function routeOf(context: Context): string {
  const path = matchedRoutes(context).at(-1)?.path;
  return path === undefined || path.endsWith("*") ? NO_ROUTE : path;
}

/** The path of an absolute URL as it stands there, percent signs included: Hono's own is decoded. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const end = url.indexOf("?", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** The body's length, where the head has it. */
function lengthIn(headers: Headers): number | undefined {
  const text = headers.get("Content-Length");
  return text === null ? undefined : Number(text);
}
