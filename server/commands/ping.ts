/**
 * PING [text]
 *
 * Answers PONG, or the text.
 *
 *     PING          → PONG
 *     PING hello    → "hello"
 */
import { checkArity, wrongArity } from "./argument-errors.ts";
import type { Command } from "./command.ts";

/** The text's bytes are copied: the reply may have to wait for an append's sync. */
export const ping: Command<Uint8Array | null, Uint8Array | null> = {
  name: "PING",
  kind: "connection",
  summary: "Answer PONG, or the text given.",
  arity: -1,
  flags: ["fast"],

  parse(args) {
    checkArity(ping, args);
    if (args.count > 2) throw wrongArity(ping);
    return args.count === 2 ? args.bytes(1).slice() : null;
  },

  run(text) {
    return text;
  },

  reply(text, reply, { session }) {
    // As Redis answers a subscribed RESP2 client, which tells replies from messages by their shape.
    if (session.protocol === 2 && (session.subscriptions?.publishedCount ?? 0) > 0) {
      reply.array(2);
      reply.blob("pong");
      reply.blob(text ?? "");
      return;
    }
    if (text === null) reply.simple("PONG");
    else reply.blob(text);
  },
};
