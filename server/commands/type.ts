/**
 * TYPE stream
 *
 * Answers `stream` where the stream has events, else `none`.
 */
import { checkArity } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";

export const type: Command<Arguments, boolean> = {
  name: "TYPE",
  kind: "read",
  summary: "Tell whether a stream exists.",
  arity: 2,
  flags: ["readonly", "fast"],

  parse(args) {
    checkArity(type, args);
    return args;
  },

  run(args, { store }) {
    return store.streamVersion(args.address(1), args.length(1), 0) >= 0;
  },

  reply(isThere, reply) {
    reply.simple(isThere ? "stream" : "none");
  },
};
