/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: Redis' transactions, which are refused.
 *
 * A client library that wraps a pipeline in MULTI and EXEC sends all of it at once, without looking at MULTI's
 * answer. So after the refusal nothing runs until the client ends the transaction: not a half of it.
 */
import { StoreError } from "../errors.ts";
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";
import { quit } from "./quit.ts";
import { reset } from "./reset.ts";
import type { Session } from "./session.ts";

const NOT_RUN = "not run, because MULTI was refused: EXEC, DISCARD or RESET ends this";
const DISCARDED =
  "Transaction discarded because of previous errors: nothing of it ran, transactions are EMAPPEND";

/**
 * The error with which the connection's state forbids a command, or null.
 * To be asked before each request, an unknown command (null) included.
 */
export function stateRefusal(session: Session, command: Command | null): StoreError | null {
  if (!session.transactionRefused || (command !== null && ALLOWED.has(command))) return null;
  return new StoreError("EXECABORT", NOT_RUN);
}

/** MULTI: refused; the connection runs nothing more until EXEC, DISCARD or RESET. */
export const multi: Command<void, never> = {
  name: "MULTI",
  kind: "connection",
  summary: "Refused: transactions are EMAPPEND.",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],

  parse(args) {
    checkArity(multi, args);
  },

  run(_request, { session }) {
    session.transactionRefused = true;
    throw new StoreError(
      "INVALIDARG",
      "transactions are EMAPPEND; in redis-py use pipeline(transaction=False)",
    );
  },

  reply() {},
};

export const exec = transactionEnd("EXEC", "End a refused transaction, of which nothing was run.");
export const discard = transactionEnd("DISCARD", "End a refused transaction.");

/** WATCH: refused; a promise to watch would be a false one. */
export const watch: Command<void, never> = {
  name: "WATCH",
  kind: "connection",
  summary: "Refused: EXPECTED_VERSION guards an append.",
  arity: -2,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],

  parse(args) {
    checkArity(watch, args);
  },

  run() {
    throw new StoreError(
      "INVALIDARG",
      "nothing can be watched: give EXPECTED_VERSION with the append, and transactions are EMAPPEND",
    );
  },

  reply() {},
};

/** UNWATCH: OK, since nothing is watched. */
export const unwatch: Command<void, void> = {
  name: "UNWATCH",
  kind: "connection",
  summary: "Answer OK: nothing is watched.",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],

  parse(args) {
    checkArity(unwatch, args);
  },

  run() {},

  reply(_result, reply) {
    reply.simple("OK");
  },
};

const ALLOWED: ReadonlySet<Command> = new Set<Command>([exec, discard, quit, reset]);

function transactionEnd(name: "EXEC" | "DISCARD", summary: string): Command<void, never> {
  return {
    name,
    kind: "connection",
    summary,
    arity: 1,
    flags: ["noscript", "loading", "stale", "fast", "allow_busy"],

    parse(args, { session }) {
      // While MULTI stands refused it ends that, whatever comes with it.
      if (!session.transactionRefused) checkArity({ name, arity: 1 }, args);
    },

    run(_request, { session }) {
      if (!session.transactionRefused) throw new StoreError("ERR", `${name} without MULTI`);
      session.transactionRefused = false;
      throw new StoreError("EXECABORT", DISCARDED);
    },

    reply() {},
  };
}
