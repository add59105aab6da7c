/**
 * ESVER stream [PARTITION_KEY key]
 *
 * Answers the stream's current version, or null when it has no events.
 */
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { checkStreamId, type ParseContext } from "./options.ts";
import {
  noReadOptions,
  OPTION_PARTITION_KEY,
  parseReadOptions,
  type ReadOptions,
} from "./read-options.ts";

export interface EsverRequest extends ReadOptions {
  /** The stream id in core memory, valid within the turn. */
  streamAddress: number;
  streamLength: number;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EsverRequest = {
  streamAddress: 0,
  streamLength: 0,
  ...noReadOptions(),
};

export function parseEsver(args: Arguments, context: ParseContext): EsverRequest {
  const { core } = context.store;
  checkStreamId(args, 1, core);
  parseReadOptions(args, 2, context, OPTION_PARTITION_KEY, request);
  request.streamAddress = args.address(1);
  request.streamLength = args.length(1);
  return request;
}

export const esver: Command<EsverRequest, number> = {
  name: "ESVER",
  kind: "read",
  summary: "Get the current version of a stream.",
  arity: -2,
  flags: ["readonly", "fast"],
  parse: parseEsver,

  run({ streamAddress, streamLength, keyAddress }, { store }) {
    return store.streamVersion(streamAddress, streamLength, keyAddress ?? 0);
  },

  reply(version, reply) {
    if (version < 0) reply.null();
    else reply.integer(version);
  },
};
