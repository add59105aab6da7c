/**
 * ECHO text
 *
 * Answers the text.
 *
 *     ECHO hello    → "hello"
 */
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

/** The text's bytes are copied: the reply may have to wait for an append's sync. */
export const echo: Command<Uint8Array, Uint8Array> = {
  name: "ECHO",
  kind: "connection",
  summary: "Answer the text given.",
  arity: 2,
  flags: ["loading", "stale", "fast"],

  parse(args) {
    checkArity(echo, args);
    return args.bytes(1).slice();
  },

  run(text) {
    return text;
  },

  reply(text, reply) {
    reply.blob(text);
  },
};
