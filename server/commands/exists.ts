/**
 * EXISTS stream [stream …]
 *
 * Answers how many of the streams have events; one that is named twice counts twice, as in Redis. An id that no
 * stream can have has none.
 */
import { checkArity } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";

export const exists: Command<Arguments, number> = {
  name: "EXISTS",
  kind: "read",
  summary: "Count which of the streams exist.",
  arity: -2,
  flags: ["readonly", "fast"],

  parse(args) {
    checkArity(exists, args);
    return args;
  },

  run(args, { store }) {
    let count = 0;
    for (let i = 1; i < args.count; i++) {
      if (store.streamVersion(args.address(i), args.length(i), 0) >= 0) count++;
    }
    return count;
  },

  reply(count, reply) {
    reply.integer(count);
  },
};
