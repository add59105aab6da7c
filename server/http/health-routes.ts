/**
 * Whether the server lives, and whether it takes writes: for supervisors and load balancers. No user is needed.
 */
import { problems } from "./descriptions.ts";
import { SCHEMAS } from "./event-schemas.ts";
import type { Operation, Readiness } from "./operation.ts";
import { problem } from "./problem.ts";
import { JSON_TYPE } from "./request.ts";

export function healthRoutes(ready: () => Readiness): Operation[] {
  return [
    {
      method: "GET",
      path: "/healthz",
      id: "getHealth",
      tag: "Operate",
      summary: "Whether the server lives",
      answers: { 200: { ...HEALTHY, description: "It lives." }, ...problems(421) },
      handle: healthy,
    },
    {
      method: "GET",
      path: "/readyz",
      id: "getReadiness",
      tag: "Operate",
      summary: "Whether the store takes writes",
      answers: { 200: { ...HEALTHY, description: "It takes writes." }, ...problems(421, 503) },
      handle() {
        const { ready: isReady, reason } = ready();
        if (isReady) return healthy();
        return problem(503, "READONLY", reason ?? "the store takes no writes");
      },
    },
  ];
}

const HEALTHY = { content: { [JSON_TYPE]: SCHEMAS.health }, headers: ["Cache-Control"] };

function healthy(): Response {
  return new Response(JSON.stringify({ status: "ok" }), {
    headers: { "Content-Type": JSON_TYPE, "Cache-Control": "no-store" },
  });
}
