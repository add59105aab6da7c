/**
 * EGET event_id [WITHPOSITION]
 *
 * Answers the event, or null.
 */
import { respEncoding } from "../core/encoding.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { type ParseContext, parseEventId } from "./options.ts";
import {
  noReadOptions,
  OPTION_WITHPOSITION,
  parseReadOptions,
  type ReadOptions,
} from "./read-options.ts";

export interface EgetRequest extends ReadOptions {
  /** Core address of the 16 bytes of the event id. */
  eventIdAddress: number;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EgetRequest = {
  eventIdAddress: 0,
  ...noReadOptions(),
};

export function parseEget(args: Arguments, context: ParseContext): EgetRequest {
  const { core } = context.store;
  request.eventIdAddress = parseEventId(args, 1, core);
  parseReadOptions(args, 2, context, OPTION_WITHPOSITION, request);
  return request;
}

export const eget: Command<EgetRequest, EgetRequest> = {
  name: "EGET",
  kind: "read",
  summary: "Get an event by its id.",
  arity: -2,
  flags: ["readonly", "fast"],
  parse: parseEget,
  run: (request) => request,

  reply({ eventIdAddress, withPosition }, reply, { store, area }) {
    const isThere = store.writeEvent(
      area,
      eventIdAddress,
      respEncoding(reply.protocol, withPosition),
    );
    if (!isThere) reply.null();
  },
};
