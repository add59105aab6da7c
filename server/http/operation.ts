/**
 * The shape of every route: one object says the path, what the request may bring and what comes of it, and handles
 * it. The routes are registered from it, requests are checked by it and /openapi.json is made of it.
 */
import type { Context, Hono } from "hono";
import type { OutputArea } from "../core/core.ts";
import type { EventStore } from "../store/event-store.ts";
import type { BodySchemas } from "./event-schemas.ts";
import type { Feeds } from "./feed.ts";
import type { HeldBytes } from "./held-bytes.ts";
import { problem } from "./problem.ts";
import type { JsonSchema, Parameters } from "./schema.ts";

/** What goes with a request through the door. */
export interface RequestNote {
  /** Absent where a test calls the routes without a socket. */
  readonly server?: Bun.Server<undefined>;
  /** The route that took the request, as Hono writes it; null where none has. */
  route: string | null;
}

export type DoorContext = Context<{ Bindings: RequestNote }>;
export type DoorApp = Hono<{ Bindings: RequestNote }>;
/** What answers requests: the whole door, down to its routes. */
export type Responder = (request: Request, note: RequestNote) => Response | Promise<Response>;

/** Whether the store takes writes, and where it does not, why. */
export interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
}

/** What the routes of a store work with. */
export interface StoreParts {
  readonly store: EventStore;
  /** Where answers are written within a turn. */
  readonly area: OutputArea;
  readonly feeds: Feeds;
  /** Of bodies, and of answers. */
  readonly bodies: HeldBytes;
  readonly answers: HeldBytes;
  readonly version: string;
  /** Ends the process: the store's state may be half done. */
  readonly crash: (error: unknown) => never;
}

interface Example {
  readonly summary?: string;
  readonly value: unknown;
}

/** A body that a request brings. */
interface RequestBody {
  readonly description: string;
  readonly schemas: BodySchemas;
  readonly examples: Readonly<Record<keyof BodySchemas, Readonly<Record<string, Example>>>>;
}

/** One of the answers of an operation. */
export interface Answer {
  readonly description: string;
  /** By media type: the body's schema; null where there is no body. */
  readonly content?: Readonly<Record<string, JsonSchema>>;
  /** Names of headers, which /openapi.json describes in one place. */
  readonly headers?: readonly string[];
}

export interface Operation {
  readonly method: "GET" | "POST";
  /** As OpenAPI writes it: `/v1/streams/{stream}`. */
  readonly path: string;
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly pathParameters?: Parameters;
  readonly queryParameters?: Parameters;
  /** Names of the request headers that it heeds. */
  readonly requestHeaders?: readonly string[];
  readonly body?: RequestBody;
  readonly answers: Readonly<Record<number, Answer>>;
  handle(context: DoorContext): Response | Promise<Response>;
}

/** Registers the operations, and what is answered where none is: 405 at a path that has other methods, else 404. */
export function register(app: DoorApp, operations: readonly Operation[]): void {
  const paths = new Map<string, string[]>();
  for (const { method, path, handle } of operations) {
    const route = honoPath(path);
    app.on(method, route, (context) => {
      context.env.route = route;
      return handle(context);
    });
    const methods = paths.get(path) ?? [];
    paths.set(path, [...methods, ...(method === "GET" ? ["GET", "HEAD"] : [method])]);
  }
  const known = [...paths].map(([path, methods]) => ({ path, methods, pattern: patternOf(path) }));
  app.notFound((context) => {
    const { path, method } = context.req;
    const found = known.find(({ pattern }) => pattern.test(path));
    if (found !== undefined) {
      context.env.route = honoPath(found.path);
      return methodNotAllowed(method, found.path, found.methods);
    }
    return problem(404, "NOTFOUND", `there is nothing at ${path}; /docs shows what there is`);
  });
}

/** What paths match a path of OpenAPI. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
}

function methodNotAllowed(method: string, path: string, methods: readonly string[]): Response {
  const usable = methods.filter((allowed) => allowed !== "HEAD").join(" or ");
  return problem(405, "INVALIDARG", `${method} is not allowed at ${path}; use ${usable}`, {
    headers: { Allow: methods.join(", ") },
  });
}

function honoPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}
