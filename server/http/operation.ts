/**
 * The shape of every route: one object says the path, what the request may bring and what comes of it, and handles
 * it. The router finds it, requests are checked by it and /openapi.json is made of it.
 */
import type { OutputArea } from "../core/output-area.ts";
import type { EventStore } from "../store/event-store.ts";
import type { BodySchemas } from "./event-schemas.ts";
import type { Feeds } from "./feed.ts";
import type { HeldBytes } from "./held-bytes.ts";
import type { JsonSchema, Parameters } from "./schema.ts";

/** What a stop of the door waits for. */
export interface DoorWork {
  /** Requests that have no answer yet. */
  unansweredCount: number;
  /** Those of them whose body has not come. */
  readingCount: number;
}

/** A request on its way through the door. */
export class DoorContext {
  readonly request: Request;
  /** Absent where a test calls the routes without a socket. */
  readonly server: Bun.Server<undefined> | undefined;
  /** What is under way in the door. */
  readonly work: DoorWork;
  /** The path of the request's URL as it stands there, percent signs included. */
  readonly path: string;
  /** What stands behind the URL's question mark; empty without one. */
  readonly query: string;
  /** Of the header Content-Length; null without one. */
  readonly contentLength: string | null;
  /** The route that took the request; null where none has. */
  route: string | null = null;
  /** Bytes of the answer's body, where its head does not tell them: Bun adds them then. */
  answerBytes: number | null = null;
  /** What stands in the path where the route has its parameter, percent signs included. */
  parameter = "";

  constructor(request: Request, work: DoorWork, server?: Bun.Server<undefined>) {
    this.request = request;
    this.work = work;
    this.server = server;
    const { url } = request;
    const authority = url.indexOf("://");
    const start = authority < 0 ? 0 : url.indexOf("/", authority + 3);
    const query = url.indexOf("?", start);
    this.path = url.slice(start, query < 0 ? undefined : query);
    this.query = query < 0 ? "" : url.slice(query + 1);
    this.contentLength = request.headers.get("Content-Length");
  }

  /** The answer's body goes nowhere: the client asks for the head alone. */
  get isHead(): boolean {
    return this.request.method === "HEAD";
  }
}

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
