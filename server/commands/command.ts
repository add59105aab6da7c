/**
 * The shape of every command: parse → run → reply.
 *
 * Parse reads the arguments and touches nothing else (it throws INVALIDARG); run calls the store once; reply
 * writes the answer. The registry (`registry.ts`) finds a command by its name and COMMAND describes it.
 */
import type { OutputArea } from "../core/core.ts";
import type { Reply } from "../resp/reply.ts";
import type { EventStore } from "../store/event-store.ts";
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

/**
 * Work that may take longer than a turn should: it is done in slices, and other connections are served between
 * them. It keeps what it needs, since nothing of the request outlives the turn.
 */
export interface SlicedWork {
  /** Does a slice; true when it was the last. May use the area, and leaves it as it was. May throw a StoreError. */
  advance(area: OutputArea): boolean;
  /** Bytes of results that it holds. */
  readonly heldBytes: number;
  /**
   * To be asked when `advance` has returned false: where the next slice has to wait for something it calls `wake`, once,
   * when that is there. Null: the next slice may come in the next turn.
   */
  wait?(wake: () => void): Wait | null;
}

/** Work that waits. */
export interface Wait {
  /** Ends the wait now: `wake` is called, and the work finishes with what there is. */
  release(): void;
  /** Forgets the work: nothing is called any more. */
  cancel(): void;
}

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
