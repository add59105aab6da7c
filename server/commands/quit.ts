/**
 * QUIT
 *
 * Answers OK, after everything asked before it, and closes the connection.
 */
import type { Command } from "./command.ts";

export const quit: Command<void, void> = {
  name: "QUIT",
  kind: "connection",
  summary: "Close the connection after the answers to what was asked before.",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],

  parse() {},

  run(_request, { session }) {
    session.closing = true;
  },

  reply(_result, reply) {
    reply.simple("OK");
  },
};
