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
import { askedMethod } from "./head.ts";
import type { RequestNote, Responder } from "./operation.ts";
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

  /** Lets the request be answered, and notes how. */
  watch(request: Request, note: RequestNote, answer: Responder): Response | Promise<Response> {
    const startedAt = performance.now();
    const response = answer(request, note);
    if (response instanceof Promise) {
      return response.then((settled) => this.noted(request, note, settled, startedAt));
    }
    return this.noted(request, note, response, startedAt);
  }

  private noted(
    request: Request,
    note: RequestNote,
    response: Response,
    startedAt: number,
  ): Response {
    const durationMs = performance.now() - startedAt;
    const method = askedMethod(request);
    const route = note.route ?? NO_ROUTE;
    this.count(method, route, response.status, durationMs);
    if (response.status >= 400) this.countError(response, route);
    this.tell(request, response, method, route, durationMs);
    return response;
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
    request: Request,
    { status, headers }: Response,
    method: string,
    route: string,
    durationMs: number,
  ): void {
    const level = status >= 500 ? "warn" : "info";
    const shown = POLLED.has(route) ? "debug" : level;
    if (!this.log.isOn(shown)) return;
    this.log.gather("http request", shown, {
      method,
      path: pathOf(request.url).slice(0, LOGGED_PATH_LENGTH_MAX),
      route,
      status,
      duration_ms: Math.round(durationMs * 1_000) / 1_000,
      request_bytes: lengthIn(request.headers),
      bytes: lengthIn(headers),
    });
  }
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
