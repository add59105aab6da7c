/**
 * EPOS
 *
 * Answers the last position, or null when the store has no events.
 */
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

export const epos: Command<void, number | null> = {
  name: "EPOS",
  kind: "read",
  summary: "Get the last position of the store.",
  arity: 1,
  flags: ["readonly", "fast"],

  parse(args) {
    checkArity(epos, args);
  },

  run(_request, { store }) {
    return store.lastPosition();
  },

  reply(position, reply) {
    if (position === null) reply.null();
    else reply.integer(position);
  },
};
