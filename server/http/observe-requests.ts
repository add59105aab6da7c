/**
 * What HTTP requests come and how they are answered: a line of the log for each, and figures.
 *
 * A request is counted under its route as the app has it (`/v1/streams/:stream/events`), never under its path, so
 * that stream ids make no figures. A line has method, path, status, duration and the lengths that the heads tell;
 * never a query, a body or a header of the client's. A feed counts when it begins.
 */
import type { ErrorCode } from "../errors.ts";
import { LOGGED_PATH_LENGTH_MAX } from "../limits.ts";
import { Histogram, SECONDS_BOUNDS } from "../metrics/histogram.ts";
import type { MetricsRegistry } from "../metrics/registry.ts";
import type { StderrLog } from "../stderr-log.ts";
import type { DoorContext } from "./operation.ts";
import { codeOf } from "./problem.ts";

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

  /** Notes how a request was answered. */
  answered(context: DoorContext, response: Response, durationMs: number): void {
    const route = context.route ?? NO_ROUTE;
    this.count(context.request.method, route, response.status, durationMs);
    if (response.status >= 400) this.countError(response, route);
    this.tell(context, response, durationMs);
  }

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

  private countError(response: Response, route: string): void {
    const code = codeOf(response);
    // Who asks whether the store takes writes, and is told that it does not, was refused none.
    if (code === "READONLY" && POLLED.has(route)) return;
    if (code !== null) this.errorCounts.set(code, (this.errorCounts.get(code) ?? 0) + 1);
  }

  private tell(
    { request, path, route, contentLength, answerBytes }: DoorContext,
    { status, headers }: Response,
    durationMs: number,
  ): void {
    const level = status >= 500 ? "warn" : "info";
    const shown = route !== null && POLLED.has(route) ? "debug" : level;
    if (!this.log.isOn(shown)) return;
    this.log.gather("http request", shown, {
      method: request.method,
      path: path.slice(0, LOGGED_PATH_LENGTH_MAX),
      route: route ?? NO_ROUTE,
      status,
      duration_ms: Math.round(durationMs * 1_000) / 1_000,
      request_bytes: lengthOf(contentLength),
      bytes: answerBytes ?? lengthOf(headers.get("Content-Length")),
    });
  }
}

/** A body's length, where the head tells it. */
function lengthOf(header: string | null): number | undefined {
  return header === null ? undefined : Number(header);
}
