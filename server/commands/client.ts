/**
 * CLIENT: what a connection tells of itself, and who else is connected.
 *
 *     CLIENT ID | INFO | GETNAME | SETNAME name | SETINFO LIB-NAME|LIB-VER text
 *     CLIENT LIST [TYPE type | ID id …]
 *     CLIENT KILL address | [ID id] [ADDR address] [LADDR address] [USER user] [TYPE type] [MAXAGE s] [SKIPME yes|no]
 *     CLIENT NO-EVICT on|off | NO-TOUCH on|off | REPLY ON
 */
import { StoreError } from "../errors.ts";
import { shown, syntaxError } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import { clientKill } from "./client-kill.ts";
import { clientLine, clientList } from "./client-list.ts";
import { clientText } from "./client-text.ts";
import type { Command } from "./command.ts";
import { container } from "./container.ts";

const FLAGS = ["noscript", "loading", "stale"];

const clientId: Command<void, number> = {
  name: "CLIENT|ID",
  kind: "connection",
  summary: "Tell this connection's id.",
  arity: 2,
  flags: FLAGS,
  parse() {},
  run(_request, { session }) {
    return session.id;
  },
  reply(id, reply) {
    reply.integer(id);
  },
};

const clientInfo: Command<void, string> = {
  name: "CLIENT|INFO",
  kind: "connection",
  summary: "Tell this connection's state, as a line of CLIENT LIST.",
  arity: 2,
  flags: FLAGS,
  parse() {},
  run(_request, { session }) {
    return clientLine(session, performance.now());
  },
  reply(line, reply) {
    reply.verbatim(line);
  },
};

const clientGetName: Command<void, string> = {
  name: "CLIENT|GETNAME",
  kind: "connection",
  summary: "Tell this connection's name.",
  arity: 2,
  flags: FLAGS,
  parse() {},
  run(_request, { session }) {
    return session.name;
  },
  reply(name, reply) {
    if (name === "") reply.null();
    else reply.blob(name);
  },
};

const clientSetName: Command<string, void> = {
  name: "CLIENT|SETNAME",
  kind: "connection",
  summary: "Name this connection; an empty name takes it away.",
  arity: 3,
  flags: FLAGS,
  parse(args) {
    return clientText(args, 2, "Client names");
  },
  run(name, { session }) {
    session.name = name;
  },
  reply(_result, reply) {
    reply.simple("OK");
  },
};

type LibraryField = "libraryName" | "libraryVersion";

const clientSetInfo: Command<{ field: LibraryField; text: string }, void> = {
  name: "CLIENT|SETINFO",
  kind: "connection",
  summary: "Tell the client library's name (LIB-NAME) or version (LIB-VER).",
  arity: 4,
  flags: FLAGS,
  parse(args) {
    if (args.is(2, "LIB-NAME")) {
      return { field: "libraryName", text: clientText(args, 3, "lib-name") };
    }
    if (args.is(2, "LIB-VER")) {
      return { field: "libraryVersion", text: clientText(args, 3, "lib-ver") };
    }
    throw new StoreError("INVALIDARG", `Unrecognized option '${shown(args, 2)}'`);
  },
  run({ field, text }, { session }) {
    session[field] = text;
  },
  reply(_result, reply) {
    reply.simple("OK");
  },
};

const clientReply: Command<void, void> = {
  name: "CLIENT|REPLY",
  kind: "connection",
  summary: "Answer OK to ON: every command is answered.",
  arity: 3,
  flags: FLAGS,
  parse(args) {
    if (args.is(2, "ON")) return;
    if (!args.is(2, "OFF") && !args.is(2, "SKIP")) throw syntaxError();
    throw new StoreError("INVALIDARG", "every command is answered: CLIENT REPLY takes ON only");
  },
  run() {},
  reply(_result, reply) {
    reply.simple("OK");
  },
};

/** For clients that ask for it: nothing is evicted here, and no read makes a key younger. */
function withoutEffect(name: string, summary: string): Command<void, void> {
  return {
    name,
    kind: "connection",
    summary,
    arity: 3,
    flags: FLAGS,
    parse: parseOnOff,
    run() {},
    reply(_result, reply) {
      reply.simple("OK");
    },
  };
}

function parseOnOff(args: Arguments): void {
  if (!args.is(2, "ON") && !args.is(2, "OFF")) throw syntaxError();
}

export const client = container({
  name: "CLIENT",
  summary: "Tell of this connection and of the others.",
  subcommands: [
    clientId,
    clientInfo,
    clientList,
    clientGetName,
    clientSetName,
    clientSetInfo,
    clientKill,
    withoutEffect("CLIENT|NO-EVICT", "Answer OK: no client is evicted."),
    withoutEffect("CLIENT|NO-TOUCH", "Answer OK: reading changes nothing."),
    clientReply,
  ],
});
