/**
 * RESET
 *
 * Brings the connection back to how it began: RESP2, no name, no refused transaction.
 *
 *     RESET    → RESET
 */
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

export const reset: Command<void, void> = {
  name: "RESET",
  kind: "connection",
  summary: "Bring the connection back to how it began.",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],

  parse(args) {
    checkArity(reset, args);
  },

  run(_request, { session }) {
    session.reset();
  },

  reply(_result, reply) {
    reply.simple("RESET");
  },
};
