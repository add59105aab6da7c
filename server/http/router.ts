/**
 * Finds what handles a request: the operation of its path and method. A path has one parameter at most, so that it is
 * found by what stands before and behind it, at the cost of a few comparisons.
 */
import type { DoorContext, Operation } from "./operation.ts";
import { problem } from "./problem.ts";

/** What there is at one path. */
interface Endpoint {
  /** As OpenAPI writes it: `/v1/streams/{stream}`. */
  readonly path: string;
  /** As it is counted and logged: `/v1/streams/:stream`. */
  readonly label: string;
  /** What stands before and behind the parameter; null where there is none. */
  readonly around: { readonly before: string; readonly behind: string } | null;
  readonly handlers: Map<string, Operation["handle"]>;
}

export class Router {
  private readonly fixed = new Map<string, Endpoint>();
  private readonly parametric: Endpoint[] = [];

  constructor(operations: readonly Operation[]) {
    for (const { method, path, handle } of operations) {
      const { handlers } = this.endpointOf(path);
      handlers.set(method, handle);
      // The answer to GET without its body, which Bun leaves out by itself.
      if (method === "GET") handlers.set("HEAD", handle);
    }
  }

  /** Handles a request; 405 at a path that has other methods, else 404. */
  handle(context: DoorContext): Response | Promise<Response> {
    const { path } = context;
    const endpoint = this.find(path, context) ?? this.find(unreservedDecoded(path), context);
    if (endpoint === null) return problem(404, "NOTFOUND", `there is nothing at ${path}`);
    context.route = endpoint.label;
    const { method } = context.request;
    const handler = endpoint.handlers.get(method);
    return handler === undefined ? methodNotAllowed(method, endpoint) : handler(context);
  }

  /** The endpoint at a path, whose parameter it notes; or null. */
  private find(path: string, context: DoorContext): Endpoint | null {
    for (const endpoint of this.parametric) {
      const { before, behind } = endpoint.around as NonNullable<Endpoint["around"]>;
      const end = path.length - behind.length;
      if (end <= before.length || !path.startsWith(before) || !path.endsWith(behind)) continue;
      const parameter = path.slice(before.length, end);
      if (parameter.includes("/")) continue;
      context.parameter = parameter;
      return endpoint;
    }
    return this.fixed.get(path) ?? null;
  }

  private endpointOf(path: string): Endpoint {
    const known = this.fixed.get(path) ?? this.parametric.find((other) => other.path === path);
    if (known !== undefined) return known;
    const [before = "", behind] = path.split(/\{\w+\}/);
    const label = path.replace(/\{(\w+)\}/, ":$1");
    const around = behind === undefined ? null : { before, behind };
    const made: Endpoint = { path, label, around, handlers: new Map() };
    if (around === null) this.fixed.set(path, made);
    else this.parametric.push(made);
    return made;
  }
}

/** The same path, without percent signs for what needs none (RFC 3986, section 6.2.2.2). */
function unreservedDecoded(path: string): string {
  return path.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : triplet;
  });
}

function methodNotAllowed(method: string, { path, handlers }: Endpoint): Response {
  const methods = [...handlers.keys()];
  const usable = methods.filter((allowed) => allowed !== "HEAD").join(" or ");
  return problem(405, "INVALIDARG", `${method} is not allowed at ${path}; use ${usable}`, {
    headers: { Allow: methods.join(", ") },
  });
}
