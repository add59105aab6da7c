/**
 * ESCAN stream start end [PARTITION_KEY key] [COUNT n] [WITHPOSITION]
 *
 * Answers the stream's events whose versions are in the range, both ends inclusive.
 */
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import {
  checkStreamId,
  OPTION_COUNT,
  OPTION_PARTITION_KEY,
  OPTION_WITHPOSITION,
  type ParseContext,
  parseRangeEnd,
  parseRangeStart,
  parseReadOptions,
  type ReadOptions,
} from "./options.ts";
import { writeScanReply } from "./scan-reply.ts";

export interface EscanRequest extends ReadOptions {
  /** The stream id in core memory, valid within the turn. */
  streamAddress: number;
  streamLength: number;
  /** Versions, inclusive; the end may be infinity. */
  start: number;
  end: number;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EscanRequest = {
  streamAddress: 0,
  streamLength: 0,
  start: 0,
  end: 0,
  keyAddress: null,
  count: 0,
  withPosition: false,
};

const OPTIONS = OPTION_PARTITION_KEY | OPTION_COUNT | OPTION_WITHPOSITION;

export function parseEscan(args: Arguments, context: ParseContext): EscanRequest {
  const { core } = context.store;
  checkStreamId(args, 1, core);
  request.start = parseRangeStart(args, 2, "version");
  request.end = parseRangeEnd(args, 3, "version");
  parseReadOptions(args, 4, core, OPTIONS, request);
  request.streamAddress = args.address(1);
  request.streamLength = args.length(1);
  return request;
}

export const escan: Command<EscanRequest, EscanRequest> = {
  name: "ESCAN",
  kind: "read",
  summary: "Read a range of versions of a stream.",
  arity: -4,
  flags: ["readonly"],
  parse: parseEscan,

  run(request, { store }) {
    const { streamAddress, streamLength, keyAddress, start, end, count } = request;
    store.openStreamScan(streamAddress, streamLength, keyAddress ?? 0, start, end, count);
    return request;
  },

  reply({ withPosition }, reply, context) {
    writeScanReply(reply, context, withPosition);
  },
};
