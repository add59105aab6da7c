/**
 * CLIENT LIST [TYPE normal|master|replica|pubsub | ID id …]
 *
 * One line a connection, in Redis' fields and order, since tools split them. Fields that mean nothing here
 * (databases, argument memory, a descriptor that Bun does not show) have the value Redis gives for none.
 */
import { StoreError } from "../errors.ts";
import { shown, syntaxError } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import type { Session } from "./session.ts";

/** `type` null: of every type. `ids` null: all of them. */
interface ClientFilter {
  readonly type: ClientType | null;
  readonly ids: ReadonlySet<number> | null;
}

export type ClientType = "normal" | "master" | "replica" | "pubsub";

export const clientList: Command<ClientFilter, string> = {
  name: "CLIENT|LIST",
  kind: "connection",
  summary: "List the connections.",
  arity: -2,
  flags: ["admin", "noscript", "loading", "stale"],

  parse(args) {
    if (args.count === 2) return { type: null, ids: null };
    if (args.count === 4 && args.is(2, "TYPE"))
      return { type: parseClientType(args, 3), ids: null };
    if (args.count > 3 && args.is(2, "ID")) return { type: null, ids: parseIds(args) };
    throw syntaxError();
  },

  run({ type, ids }, { server: { sessions } }) {
    const nowMs = performance.now();
    let text = "";
    for (const session of sessions.all()) {
      if (hasType(session, type) && (ids === null || ids.has(session.id)))
        text += clientLine(session, nowMs);
    }
    return text;
  },

  reply(text, reply) {
    reply.verbatim(text);
  },
};

/** A connection's line, its line end included. */
export function clientLine(session: Session, nowMs: number): string {
  const { link, subscriptions } = session;
  const command = session.lastCommand === "" ? "NULL" : session.lastCommand.toLowerCase();
  const fields = [
    `id=${session.id}`,
    `addr=${session.address}`,
    `laddr=${session.localAddress}`,
    "fd=-1",
    `name=${session.name}`,
    `age=${wholeSeconds(nowMs - session.connectedAtMs)}`,
    `idle=${wholeSeconds(nowMs - session.activeAtMs)}`,
    `flags=${flagsOf(session)}`,
    `db=0 sub=${subscriptions?.channelCount ?? 0} psub=${subscriptions?.patternCount ?? 0} ssub=0 multi=-1`,
    `qbuf=${link.waitingBytes}`,
    "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0",
    `omem=${link.unsentBytes}`,
    `tot-mem=${link.waitingBytes + link.unsentBytes}`,
    "events=r",
    `cmd=${command}`,
    `user=${session.user}`,
    "redir=-1",
    `resp=${session.protocol}`,
    `lib-name=${session.libraryName}`,
    `lib-ver=${session.libraryVersion}`,
  ];
  return `${fields.join(" ")}\n`;
}

/** A client type as LIST and KILL take it. */
export function parseClientType(args: Arguments, index: number): ClientType {
  if (args.is(index, "NORMAL")) return "normal";
  if (args.is(index, "MASTER")) return "master";
  if (args.is(index, "REPLICA") || args.is(index, "SLAVE")) return "replica";
  if (args.is(index, "PUBSUB")) return "pubsub";
  throw new StoreError("INVALIDARG", `Unknown client type '${shown(args, index)}'`);
}

/** Whether a filter lets a connection through by its type. */
export function hasType(session: Session, type: ClientType | null): boolean {
  return type === null || type === (isPubsub(session) ? "pubsub" : "normal");
}

function flagsOf(session: Session): string {
  if (session.closing) return "c";
  return isPubsub(session) ? "P" : "N";
}

/** Whether it has channels or patterns of SUBSCRIBE. */
function isPubsub({ subscriptions }: Session): boolean {
  return (subscriptions?.publishedCount ?? 0) > 0;
}

function parseIds(args: Arguments): Set<number> {
  const ids = new Set<number>();
  for (let i = 3; i < args.count; i++) {
    const id = args.integer(i);
    if (id < 1) throw new StoreError("INVALIDARG", "Invalid client ID");
    ids.add(id);
  }
  return ids;
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}
