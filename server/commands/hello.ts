/**
 * HELLO [2|3 [AUTH user password] [SETNAME name]]
 *
 * Chooses the protocol of all that follows, and tells what the server is. Without a version the protocol
 * stays. The keys up to `modules` are Redis', the others are for clients that know event stores.
 */
import { StoreError } from "../errors.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import { checkUser } from "./auth.ts";
import { clientText } from "./client-text.ts";
import type { Command } from "./command.ts";

interface Hello {
  readonly protocol: 2 | 3 | null;
  readonly user: string | null;
  readonly name: string | null;
}

export const hello: Command<Hello, void> = {
  name: "HELLO",
  kind: "connection",
  summary:
    "Choose the protocol, optionally log in and name the connection, and tell what the server is.",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],

  parse(args) {
    const protocol = args.count === 1 ? null : parseProtocol(args);
    let user: string | null = null;
    let name: string | null = null;
    for (let i = 2; i < args.count; i++) {
      const left = args.count - 1 - i;
      if (args.is(i, "AUTH") && left >= 2) {
        user = args.text(i + 1);
        i += 2;
      } else if (args.is(i, "SETNAME") && left >= 1) {
        name = clientText(args, i + 1, "Client names");
        i += 1;
      } else {
        const text = `Syntax error in HELLO option '${shown(args, i)}'`;
        throw new StoreError("INVALIDARG", text);
      }
    }
    return { protocol, user, name };
  },

  run({ protocol, user, name }, { session }) {
    if (protocol === 2 && (session.subscriptions?.pushedCount ?? 0) > 0) {
      throw new StoreError(
        "ERR",
        "HELLO 2 is refused while ESUB or EPSUB subscriptions live: their pushes need RESP3",
      );
    }
    // The user comes first: a refused HELLO changes nothing.
    if (user !== null) session.user = checkUser(user);
    if (name !== null) session.name = name;
    if (protocol !== null) session.protocol = protocol;
  },

  reply(_result, reply, { session, server, store }) {
    reply.protocol = session.protocol; // this answer is the first in the protocol that it chose
    reply.map(12);
    reply.blob("server");
    reply.blob("cairn");
    reply.blob("version");
    reply.blob(server.version);
    reply.blob("proto");
    reply.integer(session.protocol);
    reply.blob("id");
    reply.integer(session.id);
    reply.blob("mode");
    reply.blob("standalone");
    reply.blob("role");
    reply.blob("master");
    reply.blob("modules");
    reply.array(0);
    reply.blob("peer_id");
    reply.blob(store.storeId); // one node is the whole store
    reply.blob("num_partitions");
    reply.integer(store.partitions);
    reply.blob("store_id");
    reply.blob(store.storeId);
    reply.blob("epoch");
    reply.blob(store.epoch);
    reply.blob("durability");
    reply.blob(store.durability);
  },
};

function parseProtocol(args: Arguments): 2 | 3 {
  const protocol = args.integer(1);
  if (protocol === -1) {
    throw new StoreError("INVALIDARG", "Protocol version is not an integer or out of range");
  }
  if (protocol !== 2 && protocol !== 3) {
    throw new StoreError("NOPROTO", "unsupported protocol version");
  }
  return protocol;
}
