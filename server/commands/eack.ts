/**
 * EACK subscription cursor, EUNSUB subscription
 *
 * EACK acknowledges every message of a subscription up to a cursor, so that its window moves on; below what was
 * acknowledged already it changes nothing. EUNSUB ends a subscription: nothing of it comes after the answer.
 */
import { StoreError } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command, Context } from "./command.ts";
import { invalid, NUMBER, unexpected, unexpectedEnd } from "./options.ts";
import type { PushSink } from "./push-sink.ts";

interface Acknowledgement {
  readonly sink: PushSink;
  readonly cursor: number;
}

export const eack: Command<Acknowledgement, void> = {
  name: "EACK",
  kind: "connection",
  summary: "Acknowledge a subscription's messages up to a cursor.",
  arity: 3,
  flags: ["pubsub", "noscript", "fast"],

  parse(args, context) {
    const sink = parseSubscription(args, 1, context);
    if (args.count === 2) throw unexpectedEnd("cursor");
    if (args.count > 3) throw unexpected(args, 3, "end of input");
    const cursor = args.integer(2);
    if (cursor < 0) throw invalid(args, 2, "cursor", NUMBER);
    return { sink, cursor };
  },

  run({ sink, cursor }) {
    sink.acknowledge(cursor);
  },

  reply(_result, reply) {
    reply.simple("OK");
  },
};

export const eunsub: Command<PushSink, void> = {
  name: "EUNSUB",
  kind: "connection",
  summary: "End a subscription of ESUB or EPSUB.",
  arity: 2,
  flags: ["pubsub", "noscript", "fast"],

  parse(args, context) {
    if (args.count > 2) throw unexpected(args, 2, "end of input");
    return parseSubscription(args, 1, context);
  },

  run(sink, { session }) {
    session.subscriptions?.close(sink);
  },

  reply(_result, reply) {
    reply.simple("OK");
  },
};

/** The connection's subscription that an argument names. */
function parseSubscription(args: Arguments, index: number, context: Context): PushSink {
  const { core } = context.store;
  if (index >= args.count) throw unexpectedEnd("subscription id");
  const target = core.requestKeyAddress;
  if (!core.parseUuid(args.address(index), args.length(index), target)) {
    throw invalid(args, index, "subscription id", "a UUID");
  }
  const sink = context.session.subscriptions?.find(core.uuidText(target)) ?? null;
  if (sink === null) throw new StoreError("NOTFOUND", "subscription not found");
  return sink;
}
