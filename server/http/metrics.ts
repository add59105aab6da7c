/**
 * `GET /metrics`: the server's figures for Prometheus, who asks for them every few seconds.
 */
import type { MetricsRegistry } from "../metrics/registry.ts";
import { problems } from "./descriptions.ts";
import type { Operation } from "./operation.ts";

const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Answers with all figures as they are now. */
export function metricsRoutes(metrics: MetricsRegistry): Operation[] {
  return [
    {
      method: "GET",
      path: "/metrics",
      id: "getMetrics",
      tag: "Operate",
      summary: "The server's figures, for Prometheus",
      answers: {
        200: {
          description: "The figures, in Prometheus' text format.",
          content: { "text/plain": { type: "string" } },
          headers: ["Cache-Control"],
        },
        ...problems(421),
      },
      async handle() {
        const headers = { "Content-Type": PROMETHEUS_TYPE, "Cache-Control": "no-store" };
        return new Response(await metrics.text(), { headers });
      },
    },
  ];
}
