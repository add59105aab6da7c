/**
 * ESUB stream [PARTITION_KEY key] [stream …] [FROM LATEST|n|MAP s=n …|POSITION n] [WINDOW n|NOACK] [PROGRESS] [filter …]
 *
 * Follows streams, and patterns of streams, from any point of their history into the present. Answers the
 * subscription's id; what it follows comes as pushes (push-sink.ts), so it needs RESP3.
 *
 * Any word that is no option is a stream, words of other commands too: a stream may have any id.
 *
 *     ESUB user-* FROM LATEST     → "8b5…", then >3 subscribe 8b5… 1, then >4 message 8b5… 0 {…} for each event
 */
import { UUID_BYTES } from "../core/core.ts";
import { StoreError } from "../errors.ts";
import type { Interest, Start } from "../store/interest.ts";
import { hasWildcard } from "../store/stream-pattern.ts";
import { shownBytes } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command, Context } from "./command.ts";
import { parsePattern } from "./filter-options.ts";
import { checkStreamId, parsePartitionKey, unexpected, unexpectedEnd } from "./options.ts";
import type { PushSink } from "./push-sink.ts";
import { SessionSubscriptions } from "./session-subscriptions.ts";
import { unescaped } from "./stream-argument.ts";
import {
  checkArgumentCount,
  checkPushes,
  type From,
  isSubscriptionOption,
  latin1,
  parseSubscriptionOptions,
  type SubscriptionOptions,
} from "./subscription-options.ts";

/** A stream or a pattern as it was written. */
interface StreamArgument {
  /** As Latin-1: what MAP names it by. */
  readonly written: string;
  /** The stream's id, or the pattern. */
  readonly bytes: Uint8Array;
  readonly isPattern: boolean;
  readonly key: Uint8Array | null;
}

interface EsubRequest {
  readonly streams: readonly StreamArgument[];
  readonly options: SubscriptionOptions;
}

export interface Subscribed {
  readonly sink: PushSink;
  /** ESUB and EPSUB subscriptions of the connection, this one included. */
  readonly count: number;
}

/** How a subscription is answered: the id, and the first push. */
export const subscribedReply: Pick<Command<never, Subscribed>, "kind" | "reply"> = {
  // It begins behind the connection's own appends.
  kind: "read",

  reply({ sink, count }, reply) {
    reply.simple(sink.id);
    reply.push(3);
    reply.simple("subscribe");
    reply.simple(sink.id);
    reply.integer(count);
  },
};

export const esub: Command<EsubRequest, Subscribed> = {
  ...subscribedReply,
  name: "ESUB",
  summary: "Follow streams and patterns of streams: history, then live events, as pushes.",
  arity: -2,
  flags: ["readonly", "pubsub", "noscript"],

  parse(args, context) {
    checkPushes("ESUB", context.session);
    const streams: StreamArgument[] = [];
    let index = 1;
    do {
      // It belongs to a stream by name, behind which it was looked for.
      if (index > 1 && args.is(index, "PARTITION_KEY")) throw unexpected(args, index, "stream id");
      const [stream, next] = parseStream(args, index, context);
      streams.push(stream);
      checkArgumentCount(streams.length);
      index = next;
    } while (index < args.count && !isSubscriptionOption(args, index));
    const options = parseSubscriptionOptions(args, index, context, false);
    checkNames(options.from, streams);
    return { streams, options };
  },

  run({ streams, options }, { store, session }) {
    if (options.from.kind === "position") store.checkStart(options.from.position);
    const end = store.subscriptions.end;
    const interest = interestOf(streams, options.from, end);
    const subscriptions = SessionSubscriptions.of(store, session);
    const sink = subscriptions.open(interest, options.filter, options);
    return { sink, count: subscriptions.pushedCount };
  },
};

/** A stream argument, with its PARTITION_KEY; returns where the next argument stands. */
function parseStream(args: Arguments, index: number, context: Context): [StreamArgument, number] {
  const { core } = context.store;
  if (index === args.count) throw unexpectedEnd("stream id");
  const written = latin1(args.bytes(index));
  if (hasWildcard(args.bytes(index))) {
    const bytes = parsePattern(args, index);
    return [{ written, bytes, isPattern: true, key: null }, index + 1];
  }
  const isPlain = !written.includes("\\");
  if (isPlain) checkStreamId(args, index, core);
  const bytes = isPlain ? args.bytes(index).slice() : unescaped(args, index);
  if (index + 1 === args.count || !args.is(index + 1, "PARTITION_KEY")) {
    return [{ written, bytes, isPattern: false, key: null }, index + 1];
  }
  if (index + 2 === args.count) throw unexpectedEnd("partition key after PARTITION_KEY");
  const address = parsePartitionKey(args, index + 2, core);
  const key = core.memory.slice(address, address + UUID_BYTES);
  return [{ written, bytes, isPattern: false, key }, index + 3];
}

function checkNames(from: From, streams: readonly StreamArgument[]): void {
  if (from.kind !== "map") return;
  const written = new Set(streams.map((stream) => stream.written));
  for (const name of from.numbers.keys()) {
    if (written.has(name)) continue;
    const text = shownBytes(Buffer.from(name, "latin1"));
    throw new StoreError("INVALIDARG", `MAP names '${text}', which is none of the streams given`);
  }
}

/** What is followed; `end` is the position of the next event that will be durable. */
function interestOf(streams: readonly StreamArgument[], from: From, end: number): Interest {
  // Every stream from one point on is the log itself, whatever else is named.
  const takesAll = streams.some(({ isPattern, written }) => isPattern && written === "*");
  const position = takesAll ? logPosition(from, end) : null;
  if (position !== null) return { kind: "log", position };
  const interest: Interest = { kind: "streams", streams: [], patterns: [] };
  for (const { written, bytes, isPattern, key } of streams) {
    const start = startOf(from, written, end);
    if (isPattern) interest.patterns.push({ pattern: bytes, start });
    else interest.streams.push({ streamId: bytes, key, start });
  }
  return interest;
}

/** The position from which on everything is followed where all is, or null where that is no one position. */
export function logPosition(from: From, end: number): number | null {
  if (from.kind === "latest") return end;
  if (from.kind === "position") return from.position;
  return from.kind === "number" && from.number === 0 ? 0 : null;
}

/** Where the argument with this name begins; `end` is the position of the next event that will be durable. */
export function startOf(from: From, name: string, end: number): Start {
  if (from.kind === "number") return { number: from.number, position: 0 };
  if (from.kind === "position") return { number: 0, position: from.position };
  const number = from.kind === "map" ? (from.numbers.get(name) ?? from.rest) : null;
  return number === null ? { number: 0, position: end } : { number, position: 0 };
}
