/**
 * The shape of every command: parse → run → reply.
 *
 * Parse reads the arguments and touches nothing else (it throws INVALIDARG); run calls the store once; reply
 * writes the answer. The registry (`registry.ts`) finds a command by its name and COMMAND describes it.
 */
import type { OutputArea } from "../core/output-area.ts";
import type { Reply } from "../resp/reply.ts";
import type { EventStore } from "../store/event-store.ts";
import type { SlicedWork } from "../store/slice-queue.ts";
import type { Arguments } from "./arguments.ts";
import type { ServerInfo } from "./server-info.ts";
import type { Session } from "./session.ts";

/** What a command may use when it runs and replies. */
export interface Context {
  readonly store: EventStore;
  readonly session: Session;
  readonly server: ServerInfo;
  /** Where the reply is being written: for what the core writes by itself. */
  area: OutputArea;
}

/**
 * What a command needs of the order of things on its connection.
 * - "append": queues a transaction; the reply is held until its sync has returned.
 * - "read": reads events, so it waits until the connection's own appends are durable.
 * - "connection": neither; its reply only keeps its place in the order.
 */
type CommandKind = "append" | "read" | "connection";

/** Returned by `run` of an append: there is no room for it now; it is run again when there is. */
export const WAIT = Symbol("wait");

export interface Command<Request = unknown, Result = unknown> {
  /** Upper case. */
  readonly name: string;
  readonly kind: CommandKind;
  /** One sentence, for COMMAND DOCS and the README. */
  readonly summary: string;
  /** As in Redis' COMMAND: the number of arguments with the name, negative for "at least". */
  readonly arity: number;
  /** As in Redis' COMMAND: `write`, `readonly`, `fast`, … */
  readonly flags: readonly string[];
  parse(args: Arguments, context: Context): Request;
  run(request: Request, context: Context): Result | typeof WAIT;
  /** What of a result is still to be done before `reply`; null where that is nothing. */
  work?(result: Result): SlicedWork | null;
  /** May throw a StoreError where what it reads is damaged: then nothing of the reply is sent but that. */
  reply(result: Result, reply: Reply, context: Context): void;
}
