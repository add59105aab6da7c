/**
 * EPSCAN partition start end [COUNT n] [REV] [BLOCK ms] [WITHPOSITION] [filter …]
 *
 * Answers the partition's events whose sequences are in the range, both ends inclusive. The partition is a number,
 * or a key in it.
 */
import { respEncoding } from "../core/encoding.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { type ParseContext, parsePartition, parseRangeEnd, parseRangeStart } from "./options.ts";
import {
  noReadOptions,
  OPTION_BLOCK,
  OPTION_COUNT,
  OPTION_FILTERS,
  OPTION_REV,
  OPTION_WITHPOSITION,
  parseReadOptions,
  type RangeRequest,
} from "./read-options.ts";
import { isShort, type RunningScan, scanOrWait, scanParts } from "./scan-reply.ts";

export interface EpscanRequest extends RangeRequest {
  partition: number;
  /** An unfiltered scan of a partition has no `next`. */
  readonly withNext: false;
}

/** One for the process: a request is parsed and run within one turn. */
const request: EpscanRequest = {
  ...noReadOptions(),
  partition: 0,
  from: 0,
  to: 0,
  withNext: false,
};

const OPTIONS = OPTION_COUNT | OPTION_REV | OPTION_BLOCK | OPTION_WITHPOSITION | OPTION_FILTERS;

export function parseEpscan(args: Arguments, context: ParseContext): EpscanRequest {
  request.partition = parsePartition(args, 1, context);
  request.from = parseRangeStart(args, 2, "sequence");
  request.to = parseRangeEnd(args, 3, "sequence");
  parseReadOptions(args, 4, context, OPTIONS, request);
  return request;
}

export const epscan: Command<EpscanRequest, RunningScan> = {
  ...scanParts,
  name: "EPSCAN",
  summary: "Read a range of sequences of a partition.",
  arity: -4,
  parse: parseEpscan,

  run(request, { store, session }) {
    const { partition, filter } = request;
    if (filter === null && request.blockMs === null) {
      store.openPartitionScan(partition, request);
      if (isShort(store)) return request;
    }
    const encoding = respEncoding(session.protocol, request.withPosition);
    return scanOrWait(store, { kind: "partition", partition }, request, encoding);
  },
};
