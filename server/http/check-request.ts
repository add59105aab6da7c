/**
 * What every request passes before its route: who it was meant for, and that its length is not in doubt.
 */
import type { MiddlewareHandler } from "hono";
import { isLoopback } from "../config.ts";
import { problem } from "./problem.ts";

/**
 * Refuses a Host header that a page of another site may have sent through DNS rebinding: a door bound to loopback
 * answers to loopback's names and to `--allowed-hosts` alone. And what two readers could read in two ways, since
 * which one a proxy took is unknown: Bun joins headers that stand twice with a comma.
 */
export function checkRequest(
  isBoundToLoopback: boolean,
  allowedHosts: readonly string[],
): MiddlewareHandler {
  return async (context, next) => {
    const { headers } = context.req.raw;
    const header = headers.get("Host") ?? "";
    if (header.includes(",")) return ambiguous("the request has more than one Host header");
    if (!/^[^\s/@?#\\]*$/.test(header)) return ambiguous("the Host header is no host");
    if (headers.get("Content-Length")?.includes(",")) {
      return ambiguous("the request has more than one Content-Length header");
    }
    const host = header.replace(/:\d*$/, "").toLowerCase();
    if (isBoundToLoopback && !isLoopback(host) && !allowedHosts.includes(host)) {
      return problem(421, "INVALIDARG", MISDIRECTED);
    }
    return next();
  };
}

function ambiguous(detail: string): Response {
  return problem(400, "INVALIDARG", detail, { headers: { Connection: "close" } });
}

const MISDIRECTED =
  "the Host header names neither loopback nor a host that the server was started with: --allowed-hosts";
