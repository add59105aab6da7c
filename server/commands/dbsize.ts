/**
 * DBSIZE
 *
 * The number of streams.
 *
 *     DBSIZE    → (integer) 12
 */
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

export const dbsize: Command<void, number> = {
  name: "DBSIZE",
  kind: "read",
  summary: "Count the streams.",
  arity: 1,
  flags: ["readonly", "fast"],

  parse(args) {
    checkArity(dbsize, args);
  },

  run(_request, { store }) {
    return store.streamCount();
  },

  reply(count, reply) {
    reply.integer(count);
  },
};
