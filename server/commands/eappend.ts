/**
 * EAPPEND stream name [EVENT_ID uuid] [PARTITION_KEY key] [EXPECTED_VERSION any|exists|empty|n]
 *         [TIMESTAMP ms] [PAYLOAD data] [METADATA data] [WITHPOSITION]
 *
 * Appends one event and answers where it is.
 */
import type { Arguments } from "./arguments.ts";
import { type Command, WAIT } from "./command.ts";
import { type AppendRequest, OPTIONS_OF_EAPPEND, parseEventOptions } from "./event-options.ts";
import { checkEventName, checkStreamToAppend, type ParseContext } from "./options.ts";

/** One for the process: a request is parsed and run within one turn. */
const request: AppendRequest = { withPosition: false };

/** Fills the store's transaction with the one event. */
export function parseEappend(args: Arguments, context: ParseContext): AppendRequest {
  const { core, transaction } = context.store;
  checkStreamToAppend(args, 1, core);
  checkEventName(args, 2, core);
  transaction.begin();
  const event = transaction.addEvent(
    args.address(1),
    args.length(1),
    args.address(2),
    args.length(2),
  );
  request.withPosition = false;
  parseEventOptions(args, 3, context, event, OPTIONS_OF_EAPPEND, request);
  return request;
}

export const eappend: Command<AppendRequest, AppendRequest> = {
  name: "EAPPEND",
  kind: "append",
  summary: "Append an event to a stream; it is durable when this answers.",
  arity: -3,
  flags: ["write", "denyoom"],
  parse: parseEappend,

  run(request, { store }) {
    return store.append() ? request : WAIT;
  },

  reply({ withPosition }, reply, { store, area }) {
    store.writeAppendReply(area, reply.protocol === 3, withPosition);
  },
};
