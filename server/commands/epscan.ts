/**
 * EPSCAN partition start end [COUNT n] [WITHPOSITION]
 *
 * Answers the partition's events whose sequences are in the range, both ends inclusive.
 */
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import {
  OPTION_COUNT,
  OPTION_WITHPOSITION,
  type ParseContext,
  parsePartition,
  parseRangeEnd,
  parseRangeStart,
  parseReadOptions,
  type ReadOptions,
} from "./options.ts";
import { writeScanReply } from "./scan-reply.ts";

export interface EpscanRequest extends ReadOptions {
  partition: number;
  /** Sequences, inclusive; the end may be infinity. */
  start: number;
  end: number;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EpscanRequest = {
  partition: 0,
  start: 0,
  end: 0,
  keyAddress: null,
  count: 0,
  withPosition: false,
};

const OPTIONS = OPTION_COUNT | OPTION_WITHPOSITION;

export function parseEpscan(args: Arguments, context: ParseContext): EpscanRequest {
  request.partition = parsePartition(args, 1, context);
  request.start = parseRangeStart(args, 2, "sequence");
  request.end = parseRangeEnd(args, 3, "sequence");
  parseReadOptions(args, 4, context.store.core, OPTIONS, request);
  return request;
}

export const epscan: Command<EpscanRequest, EpscanRequest> = {
  name: "EPSCAN",
  kind: "read",
  summary: "Read a range of sequences of a partition.",
  arity: -4,
  flags: ["readonly"],
  parse: parseEpscan,

  run(request, { store }) {
    const { partition, start, end, count } = request;
    store.openPartitionScan(partition, start, end, count);
    return request;
  },

  reply({ withPosition }, reply, context) {
    writeScanReply(reply, context, withPosition);
  },
};
