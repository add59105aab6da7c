/**
 * PUBSUB CHANNELS [pattern] | NUMSUB [stream …] | NUMPAT
 *
 * Who follows what with SUBSCRIBE and PSUBSCRIBE, as Redis tells it. ESUB, EPSUB and HTTP's feeds are none of these.
 */
import { tooLarge } from "../errors.ts";
import { PATTERN_BYTES_MAX } from "../limits.ts";
import { globMatches } from "../resp/glob.ts";
import { checkArity } from "./argument-errors.ts";
import type { Command, Context } from "./command.ts";
import { container } from "./container.ts";
import type { PublishSink } from "./publish-sink.ts";
import { latin1 } from "./subscription-options.ts";

const FLAGS = ["pubsub", "loading", "stale"];

const channels: Command<Uint8Array | null, Uint8Array[]> = {
  name: "PUBSUB|CHANNELS",
  kind: "connection",
  summary: "Tell the streams that are followed by name, all or those that match a pattern.",
  arity: -2,
  flags: FLAGS,

  parse(args) {
    if (args.count === 2) return null;
    if (args.count > 3) checkArity({ name: channels.name, arity: 3 }, args);
    const length = args.length(2);
    if (length > PATTERN_BYTES_MAX) {
      throw tooLarge("the length of a pattern in bytes", PATTERN_BYTES_MAX, length);
    }
    return args.bytes(2).slice();
  },

  run(pattern, context) {
    const found = new Map<string, Uint8Array>();
    for (const sink of publishSinks(context)) {
      for (const name of sink.channelNames()) found.set(latin1(name), name);
    }
    const names = [...found.values()];
    return pattern === null ? names : names.filter((name) => globMatches(pattern, name));
  },

  reply(names, reply) {
    reply.array(names.length);
    for (const name of names) reply.blob(name);
  },
};

interface Followed {
  readonly name: Uint8Array;
  readonly count: number;
}

const numSub: Command<Uint8Array[], Followed[]> = {
  name: "PUBSUB|NUMSUB",
  kind: "connection",
  summary: "Tell how many connections follow each of these streams by name.",
  arity: -2,
  flags: FLAGS,

  parse(args) {
    return Array.from({ length: args.count - 2 }, (_, i) => args.bytes(i + 2).slice());
  },

  run(names, context) {
    const counts = new Map<string, number>();
    for (const sink of publishSinks(context)) {
      for (const name of sink.channelNames()) {
        counts.set(latin1(name), (counts.get(latin1(name)) ?? 0) + 1);
      }
    }
    return names.map((name) => ({ name, count: counts.get(latin1(name)) ?? 0 }));
  },

  reply(followed, reply) {
    reply.array(followed.length * 2);
    for (const { name, count } of followed) {
      reply.blob(name);
      reply.integer(count);
    }
  },
};

const numPat: Command<void, number> = {
  name: "PUBSUB|NUMPAT",
  kind: "connection",
  summary: "Tell how many different patterns are followed.",
  arity: 2,
  flags: FLAGS,
  parse() {},

  run(_request, context) {
    const found = new Set<string>();
    for (const sink of publishSinks(context)) {
      for (const pattern of sink.patternNames()) found.add(latin1(pattern));
    }
    return found.size;
  },

  reply(count, reply) {
    reply.integer(count);
  },
};

export const pubsub = container({
  name: "PUBSUB",
  summary: "Tell what is followed with SUBSCRIBE and PSUBSCRIBE.",
  subcommands: [channels, numSub, numPat],
});

function* publishSinks({ server }: Context): Iterable<PublishSink> {
  for (const { subscriptions } of server.sessions.all()) {
    const sink = subscriptions?.channelsIfAny ?? null;
    if (sink !== null) yield sink;
  }
}
