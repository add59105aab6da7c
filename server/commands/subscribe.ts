/**
 * SUBSCRIBE stream …, PSUBSCRIBE pattern …, UNSUBSCRIBE [stream …], PUNSUBSCRIBE [pattern …], PUBLISH
 *
 * Redis' publish and subscribe over the store, for any Redis client: a channel is a stream id, and a message is an event
 * that was appended after the answer, as JSON. Nothing is replayed or acknowledged. PUBLISH is refused: events are
 * appended. In RESP2 a connection that has subscribed may do little else.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { PATTERN_BYTES_MAX } from "../limits.ts";
import type { Reply } from "../resp/reply.ts";
import { checkArity } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import type { PublishSink } from "./publish-sink.ts";
import type { Session } from "./session.ts";
import { SessionSubscriptions } from "./session-subscriptions.ts";

/** One answer each: what was done, to which name, and how many channels and patterns there are then. */
interface Answer {
  readonly name: Uint8Array | null;
  readonly count: number;
}

export const subscribe = adding("SUBSCRIBE", "Follow streams by name: each event is a message.", {
  add: (sink, name) => sink.addChannel(name),
});

export const psubscribe = adding("PSUBSCRIBE", "Follow the streams whose ids match patterns.", {
  add: (sink, name) => sink.addPattern(name),
});

export const unsubscribe = removing(
  "UNSUBSCRIBE",
  "Follow streams no longer, those named or all.",
  {
    all: (sink) => sink.channelNames(),
    remove: (sink, name) => sink.removeChannel(name),
  },
);

export const punsubscribe = removing("PUNSUBSCRIBE", "Follow patterns no longer, these or all.", {
  all: (sink) => sink.patternNames(),
  remove: (sink, name) => sink.removePattern(name),
});

/** PUBLISH: refused. */
export const publish: Command<void, never> = {
  name: "PUBLISH",
  kind: "connection",
  summary: "Refused: events are appended.",
  arity: 3,
  flags: ["pubsub", "loading", "stale", "fast"],

  parse(args) {
    checkArity(publish, args);
  },

  run() {
    throw new StoreError(
      "INVALIDARG",
      "nothing is published: append an event with EAPPEND stream name [PAYLOAD data], and its subscribers get it",
    );
  },

  reply() {},
};

/** The error with which a subscribed RESP2 connection is refused a command, or null. To be asked before each. */
export function subscribedRefusal(session: Session, command: Command | null): StoreError | null {
  if (session.protocol === 3 || (session.subscriptions?.publishedCount ?? 0) === 0) return null;
  if (command === null || ALLOWED.has(command.name)) return null;
  const name = command.name.toLowerCase();
  return new StoreError(
    "ERR",
    `Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
  );
}

const ALLOWED: ReadonlySet<string> = new Set([
  "SUBSCRIBE",
  "PSUBSCRIBE",
  "UNSUBSCRIBE",
  "PUNSUBSCRIBE",
  "PING",
  "QUIT",
  "RESET",
]);

function adding(
  name: "SUBSCRIBE" | "PSUBSCRIBE",
  summary: string,
  { add }: { add(sink: PublishSink, name: Uint8Array): void },
): Command<Uint8Array[], Answer[]> {
  return {
    name,
    // It begins behind the connection's own appends.
    kind: "read",
    summary,
    arity: -2,
    flags: ["pubsub", "noscript", "loading", "stale"],

    parse(args) {
      checkArity({ name, arity: -2 }, args);
      return parseNames(args);
    },

    run(names, { store, session }) {
      const subscriptions = SessionSubscriptions.of(store, session);
      subscriptions.checkRoom(names.length);
      return names.map((name) => {
        add(subscriptions.channels, name);
        return { name, count: subscriptions.publishedCount };
      });
    },

    reply(answers, reply) {
      writeAnswers(name, answers, reply);
    },
  };
}

function removing(
  name: "UNSUBSCRIBE" | "PUNSUBSCRIBE",
  summary: string,
  what: {
    all(sink: PublishSink): Uint8Array[];
    remove(sink: PublishSink, name: Uint8Array): void;
  },
): Command<Uint8Array[], Answer[]> {
  return {
    name,
    kind: "connection",
    summary,
    arity: -1,
    flags: ["pubsub", "noscript", "loading", "stale"],
    parse: parseNames,

    run(given, { session: { subscriptions } }) {
      const sink = subscriptions?.channelsIfAny ?? null;
      const names = given.length > 0 || sink === null ? given : what.all(sink);
      const count = () => subscriptions?.publishedCount ?? 0;
      if (names.length === 0) return [{ name: null, count: count() }];
      const answers = names.map((name) => {
        if (sink !== null) what.remove(sink, name);
        return { name, count: count() };
      });
      subscriptions?.channelsRemoved();
      return answers;
    },

    reply(answers, reply) {
      writeAnswers(name, answers, reply);
    },
  };
}

function parseNames(args: Arguments): Uint8Array[] {
  return Array.from({ length: args.count - 1 }, (_, i) => {
    const length = args.length(i + 1);
    if (length > PATTERN_BYTES_MAX) {
      throw tooLarge("the length of a channel or a pattern in bytes", PATTERN_BYTES_MAX, length);
    }
    return args.bytes(i + 1).slice();
  });
}

function writeAnswers(command: string, answers: readonly Answer[], reply: Reply): void {
  const kind = command.toLowerCase();
  for (const { name, count } of answers) {
    reply.push(3);
    reply.blob(kind);
    if (name === null) reply.null();
    else reply.blob(name);
    reply.integer(count);
  }
}
