/**
 * SELECT index
 *
 * A server holds one store, which is database 0; any other is an error.
 *
 *     SELECT 0    → OK
 */
import { StoreError } from "../errors.ts";
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

export const select: Command<void, void> = {
  name: "SELECT",
  kind: "connection",
  summary: "Answer OK to database 0, the only one.",
  arity: 2,
  flags: ["loading", "stale", "fast"],

  parse(args) {
    checkArity(select, args);
    const index = args.integer(1);
    if (index === -1) {
      throw new StoreError("INVALIDARG", "value is not an integer or out of range");
    }
    if (index !== 0) throw new StoreError("ERR", "DB index is out of range");
  },

  run() {},

  reply(_result, reply) {
    reply.simple("OK");
  },
};
