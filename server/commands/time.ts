/**
 * TIME
 *
 * The server's clock: seconds since 1970, and the microseconds in that second (whole milliseconds of them).
 *
 *     TIME    → "1697641800", "250000"
 */
import { checkArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

export const time: Command<void, number> = {
  name: "TIME",
  kind: "connection",
  summary: "Tell the server's clock in seconds and microseconds.",
  arity: 1,
  flags: ["loading", "stale", "fast"],

  parse(args) {
    checkArity(time, args);
  },

  run() {
    return Date.now();
  },

  reply(nowMs, reply) {
    reply.array(2);
    reply.blob(String(Math.floor(nowMs / 1000)));
    reply.blob(String((nowMs % 1000) * 1000));
  },
};
