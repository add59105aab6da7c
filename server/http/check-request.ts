/**
 * What every request passes before its route: who it was meant for, and that its length is not in doubt.
 */
import { isLoopback } from "../config/address.ts";
import type { DoorContext } from "./operation.ts";
import { problem } from "./problem.ts";

/** Refuses a request, or lets it pass: null. */
export type RequestCheck = (context: DoorContext) => Response | null;

/**
 * Refuses a Host header that a page of another site may have sent through DNS rebinding: a door bound to loopback
 * answers to loopback's names and to `--allowed-hosts` alone. And what two readers could read in two ways, since
 * which one a proxy took is unknown: Bun joins headers that stand twice with a comma.
 */
export function requestCheck(
  isBoundToLoopback: boolean,
  allowedHosts: readonly string[],
): RequestCheck {
  /** The last header that was found right: nearly all requests have the same. */
  let right: string | null = null;
  return ({ request, contentLength }) => {
    if (contentLength?.includes(",")) {
      return ambiguous("the request has more than one Content-Length header");
    }
    const header = request.headers.get("Host") ?? "";
    if (header === right) return null;
    if (header.includes(",")) return ambiguous("the request has more than one Host header");
    // Without one that is a host Bun gives the request no absolute URL.
    if (!/^[^\s/@?#\\]+$/.test(header)) return ambiguous("the Host header names no host");
    const host = header.replace(/:\d*$/, "").toLowerCase();
    if (isBoundToLoopback && !isLoopback(host) && !allowedHosts.includes(host)) {
      return problem(421, "INVALIDARG", MISDIRECTED);
    }
    right = header;
    return null;
  };
}

function ambiguous(detail: string): Response {
  return problem(400, "INVALIDARG", detail, { headers: { Connection: "close" } });
}

const MISDIRECTED =
  "the Host header names neither loopback nor a host that the server was started with: --allowed-hosts";
