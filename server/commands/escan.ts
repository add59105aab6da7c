/**
 * ESCAN stream start end [PARTITION_KEY key] [COUNT n] [REV] [BLOCK ms] [WITHPOSITION] [filter …]
 *
 * Answers the stream's events whose versions are in the range, both ends inclusive.
 */
import { UUID_BYTES } from "../core/core.ts";
import { respEncoding } from "../core/encoding.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { checkStreamId, type ParseContext, parseRangeEnd, parseRangeStart } from "./options.ts";
import {
  noReadOptions,
  OPTION_BLOCK,
  OPTION_COUNT,
  OPTION_FILTERS,
  OPTION_PARTITION_KEY,
  OPTION_REV,
  OPTION_WITHPOSITION,
  parseReadOptions,
  type RangeRequest,
} from "./read-options.ts";
import { isShort, type RunningScan, scanOrWait, scanParts } from "./scan-reply.ts";

export interface EscanRequest extends RangeRequest {
  /** The stream id in core memory, valid within the turn. */
  streamAddress: number;
  streamLength: number;
  /** An unfiltered scan of a stream has no `next`. */
  readonly withNext: false;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EscanRequest = {
  ...noReadOptions(),
  streamAddress: 0,
  streamLength: 0,
  from: 0,
  to: 0,
  withNext: false,
};

const OPTIONS =
  OPTION_PARTITION_KEY |
  OPTION_COUNT |
  OPTION_REV |
  OPTION_BLOCK |
  OPTION_WITHPOSITION |
  OPTION_FILTERS;

export function parseEscan(args: Arguments, context: ParseContext): EscanRequest {
  checkStreamId(args, 1, context.store.core);
  request.from = parseRangeStart(args, 2, "version");
  request.to = parseRangeEnd(args, 3, "version");
  parseReadOptions(args, 4, context, OPTIONS, request);
  request.streamAddress = args.address(1);
  request.streamLength = args.length(1);
  return request;
}

export const escan: Command<EscanRequest, RunningScan> = {
  ...scanParts,
  name: "ESCAN",
  summary: "Read a range of versions of a stream.",
  arity: -4,
  parse: parseEscan,

  run(request, { store, session }) {
    const { streamAddress, streamLength, keyAddress, filter } = request;
    if (filter === null && request.blockMs === null) {
      store.openStreamScan(streamAddress, streamLength, keyAddress ?? 0, request);
      if (isShort(store)) return request;
    }
    const { memory } = store.core;
    const streamId = memory.slice(streamAddress, streamAddress + streamLength);
    const key = keyAddress === null ? null : memory.slice(keyAddress, keyAddress + UUID_BYTES);
    const encoding = respEncoding(session.protocol, request.withPosition);
    const source = { kind: "stream", streamId, key } as const;
    return scanOrWait(store, source, request, encoding);
  },
};
