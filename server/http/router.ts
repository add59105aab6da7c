/**
 * Finds what handles a request: the operation of its path and method. Hono's routers do the matching; its application around
 * them, with a context and a chain of handlers for each request, is left out: one handler answers here.
 */
import { RegExpRouter } from "hono/router/reg-exp-router";
import { SmartRouter } from "hono/router/smart-router";
import { TrieRouter } from "hono/router/trie-router";
import type { DoorContext, Operation } from "./operation.ts";
import { problem } from "./problem.ts";

/** What there is at one path for one method. */
interface Endpoint {
  /** As Hono writes it, and as it is counted and logged: `/v1/streams/:stream`. */
  readonly label: string;
  readonly handle: Operation["handle"];
}

export class Router {
  private readonly routes = new SmartRouter<Endpoint>({
    routers: [new RegExpRouter(), new TrieRouter()],
  });
  private readonly methods = new Set<string>();

  constructor(operations: readonly Operation[]) {
    for (const { method, path, handle } of operations) {
      const label = path.replace(/\{(\w+)\}/, ":$1");
      // The answer to HEAD is that to GET without its body, which Bun leaves out by itself.
      for (const each of method === "GET" ? ["GET", "HEAD"] : [method]) {
        this.routes.add(each, label, { label, handle });
        this.methods.add(each);
      }
    }
  }

  /** Handles a request; 405 at a path that has other methods, else 404. */
  handle(context: DoorContext): Response | Promise<Response> {
    const { method } = context.request;
    const { path: written } = context;
    const endpoint = this.find(method, written, context);
    if (endpoint !== null) return endpoint.handle(context);
    const path = unreservedDecoded(written);
    const decoded = this.find(method, path, context);
    if (decoded !== null) return decoded.handle(context);
    const allowed = [...this.methods].filter((other) => this.find(other, path, context) !== null);
    if (allowed.length > 0) return methodNotAllowed(method, context.route ?? path, allowed);
    return problem(404, "NOTFOUND", `there is nothing at ${written}; /docs shows what there is`);
  }

  /** The endpoint of a method at a path, which it notes with its parameter; or null. */
  private find(method: string, path: string, context: DoorContext): Endpoint | null {
    const [matches, stash] = this.routes.match(method, path);
    const match = matches[0];
    if (match === undefined) return null;
    const [endpoint, parameters] = match;
    for (const name in parameters) {
      const value = parameters[name] as string | number;
      context.parameter = typeof value === "number" ? ((stash as string[])[value] ?? "") : value;
    }
    context.route = endpoint.label;
    return endpoint;
  }
}

/** The same path, without percent signs for what needs none (RFC 3986, section 6.2.2.2). */
function unreservedDecoded(path: string): string {
  return path.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : triplet;
  });
}

function methodNotAllowed(method: string, route: string, methods: readonly string[]): Response {
  const path = route.replace(/:(\w+)/, "{$1}");
  const usable = methods.filter((allowed) => allowed !== "HEAD").join(" or ");
  return problem(405, "INVALIDARG", `${method} is not allowed at ${path}; use ${usable}`, {
    headers: { Allow: methods.join(", ") },
  });
}
