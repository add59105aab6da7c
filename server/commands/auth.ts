/**
 * AUTH [user] password
 *
 * Where no users are configured there is the user `default`, whom any password lets in, as in Redis.
 *
 *     AUTH default secret    → OK
 */
import { StoreError } from "../errors.ts";
import { checkArity, syntaxError } from "./argument-errors.ts";
import type { Command } from "./command.ts";
import { DEFAULT_USER } from "./session.ts";

export const auth: Command<string, void> = {
  name: "AUTH",
  kind: "connection",
  summary: "Log in to the connection.",
  arity: -2,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],

  parse(args) {
    checkArity(auth, args);
    if (args.count > 3) throw syntaxError();
    // Clients look for this text and this code to tell a needless password from a wrong one.
    if (args.count === 2) {
      throw new StoreError(
        "ERR",
        "AUTH <password> called without any password configured for the default user. " +
          "Are you sure your configuration is correct?",
      );
    }
    return args.text(1);
  },

  run(user, { session }) {
    session.user = checkUser(user);
  },

  reply(_result, reply) {
    reply.simple("OK");
  },
};

/** The user, or WRONGPASS for one that does not exist. */
export function checkUser(user: string): string {
  if (user !== DEFAULT_USER) {
    throw new StoreError("WRONGPASS", "invalid username-password pair or user is disabled.");
  }
  return user;
}
