/**
 * `GET /metrics`: the server's figures for Prometheus, who asks for them every few seconds.
 */
import type { Context } from "hono";
import type { MetricsRegistry } from "../metrics/registry.ts";

/** Answers with all figures as they are now. */
export function metricsHandler(metrics: MetricsRegistry): (context: Context) => Promise<Response> {
  return async (context) =>
    context.body(await metrics.text(), 200, {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
      "Cache-Control": "no-store",
    });
}
