/**
 * CLIENT KILL address
 * CLIENT KILL [ID id] [ADDR address] [LADDR address] [USER user] [TYPE type] [MAXAGE seconds] [SKIPME yes|no] …
 *
 * The old form closes the connection from that address, or is an error; the new one closes all that every
 * filter lets through, not the caller's own unless SKIPME is no, and answers how many.
 *
 *     CLIENT KILL 127.0.0.1:50000    → OK
 *     CLIENT KILL ID 7               → (integer) 1
 */
import { StoreError } from "../errors.ts";
import { shown, syntaxError } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import { type ClientType, hasType, parseClientType } from "./client-list.ts";
import type { Command } from "./command.ts";
import { DEFAULT_USER, type Session } from "./session.ts";

/** Which connections to close; null where a filter was not given. */
interface Kill {
  oldForm: boolean;
  id: number | null;
  address: string | null;
  localAddress: string | null;
  user: string | null;
  type: ClientType | null;
  minAgeMs: number | null;
  skipMe: boolean;
}

interface Killed {
  readonly oldForm: boolean;
  readonly count: number;
}

export const clientKill: Command<Kill, Killed> = {
  name: "CLIENT|KILL",
  kind: "connection",
  summary: "Close connections.",
  arity: -3,
  flags: ["admin", "noscript", "loading", "stale"],

  parse(args) {
    const oldForm = args.count === 3;
    const kill: Kill = {
      oldForm,
      id: null,
      address: oldForm ? args.text(2) : null,
      localAddress: null,
      user: null,
      type: null,
      minAgeMs: null,
      skipMe: !oldForm,
    };
    if (oldForm) return kill;
    for (let i = 2; i < args.count; i += 2) {
      if (i + 1 === args.count) throw syntaxError();
      parseFilter(args, i, kill);
    }
    return kill;
  },

  run(kill, { session: own, server }) {
    const nowMs = performance.now();
    let count = 0;
    for (const session of server.sessions.all()) {
      if (!selects(kill, session, own, nowMs)) continue;
      if (session === own)
        own.closing = true; // after this command's own answer
      else session.link.kill();
      count++;
    }
    if (kill.oldForm && count === 0) throw new StoreError("INVALIDARG", "No such client");
    return { oldForm: kill.oldForm, count };
  },

  reply({ oldForm, count }, reply) {
    if (oldForm) reply.simple("OK");
    else reply.integer(count);
  },
};

function parseFilter(args: Arguments, index: number, kill: Kill): void {
  const value = index + 1;
  if (args.is(index, "ID")) {
    kill.id = positive(args, value, "client-id");
  } else if (args.is(index, "TYPE")) {
    kill.type = parseClientType(args, value);
  } else if (args.is(index, "ADDR")) {
    kill.address = args.text(value);
  } else if (args.is(index, "LADDR")) {
    kill.localAddress = args.text(value);
  } else if (args.is(index, "USER")) {
    kill.user = args.text(value);
    if (kill.user !== DEFAULT_USER) {
      throw new StoreError("INVALIDARG", `No such user '${shown(args, value)}'`);
    }
  } else if (args.is(index, "MAXAGE")) {
    kill.minAgeMs = positive(args, value, "maxage") * 1000;
  } else if (args.is(index, "SKIPME") && args.is(value, "YES")) {
    kill.skipMe = true;
  } else if (args.is(index, "SKIPME") && args.is(value, "NO")) {
    kill.skipMe = false;
  } else {
    throw syntaxError();
  }
}

function selects(kill: Kill, session: Session, own: Session, nowMs: number): boolean {
  if (kill.skipMe && session === own) return false;
  if (kill.id !== null && session.id !== kill.id) return false;
  if (kill.address !== null && session.address !== kill.address) return false;
  if (kill.localAddress !== null && session.localAddress !== kill.localAddress) return false;
  if (kill.user !== null && session.user !== kill.user) return false;
  if (kill.minAgeMs !== null && nowMs - session.connectedAtMs < kill.minAgeMs) return false;
  return hasType(session, kill.type);
}

function positive(args: Arguments, index: number, what: string): number {
  const number = args.integer(index);
  if (number < 1) throw new StoreError("INVALIDARG", `${what} should be greater than 0`);
  return number;
}
