/**
 * EMAPPEND key|* [WITHPOSITION] stream name [EVENT_ID uuid] [EXPECTED_VERSION any|exists|empty|n]
 *          [TIMESTAMP ms] [PAYLOAD data] [METADATA data] [stream name [options]] …
 *
 * Appends events of several streams: all of them or none. With `*` each stream keeps its own partition key.
 */
import { StoreError, tooLarge } from "../errors.ts";
import { TRANSACTION_EVENTS_MAX } from "../limits.ts";
import type { Arguments } from "./arguments.ts";
import { type Command, WAIT } from "./command.ts";
import {
  type AppendRequest,
  countEvents,
  EXPECTED_IN_EMAPPEND,
  isGrammarWord,
  OPTIONS_OF_EMAPPEND,
  parseEventOptions,
} from "./event-options.ts";
import {
  checkEventName,
  checkPartitionKey,
  checkStreamToAppend,
  type ParseContext,
  unexpected,
  unexpectedEnd,
} from "./options.ts";

/** One for the process: a request is parsed and run within one turn. */
const request: AppendRequest = { withPosition: false };

/** Fills the store's transaction with the events, in the request's order. */
export function parseEmappend(args: Arguments, context: ParseContext): AppendRequest {
  const { core, transaction } = context.store;
  if (args.count < 2) throw unexpectedEnd("partition key");
  transaction.begin();
  if (!args.is(1, "*")) {
    checkPartitionKey(args, 1, core);
    transaction.setPartitionKey(args.address(1), args.length(1));
  }
  request.withPosition = args.count > 2 && args.is(2, "WITHPOSITION");
  const first = request.withPosition ? 3 : 2;
  if (first === args.count) throw unexpectedEnd("stream id");
  let index = first;
  while (index < args.count) {
    // A mistyped or newer option must not become an event.
    if (isGrammarWord(args, index)) throw misplaced(args, index, index === first);
    checkStreamToAppend(args, index, core);
    checkEventName(args, index + 1, core);
    if (transaction.count === TRANSACTION_EVENTS_MAX) {
      const asked = countEvents(args, first);
      throw tooLarge("number of events in a transaction", TRANSACTION_EVENTS_MAX, asked);
    }
    const event = transaction.addEvent(
      args.address(index),
      args.length(index),
      args.address(index + 1),
      args.length(index + 1),
    );
    index = parseEventOptions(args, index + 2, context, event, OPTIONS_OF_EMAPPEND, request);
  }
  return request;
}

/** A word of the grammar stands where a stream id is expected; says where the word belongs, if it does. */
function misplaced(args: Arguments, index: number, isFirst: boolean): StoreError {
  const { code, message } = unexpected(args, index, isFirst ? "stream id" : EXPECTED_IN_EMAPPEND);
  if (args.is(index, "PARTITION_KEY")) {
    return new StoreError(code, `${message}: the partition key is EMAPPEND's first argument`);
  }
  if (args.is(index, "WITHPOSITION")) {
    return new StoreError(code, `${message}: WITHPOSITION stands once, after the partition key`);
  }
  return new StoreError(code, `${message}: it is a word of the grammar, and no stream id here`);
}

export const emappend: Command<AppendRequest, AppendRequest> = {
  name: "EMAPPEND",
  kind: "append",
  summary: "Append events to several streams as one transaction: all of them or none.",
  arity: -4,
  flags: ["write", "denyoom"],
  parse: parseEmappend,

  run(request, { store }) {
    return store.append() ? request : WAIT;
  },

  reply({ withPosition }, reply, { store, area }) {
    store.writeTransactionReply(area, reply.protocol === 3, withPosition);
  },
};
