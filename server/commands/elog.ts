/**
 * ELOG start end [COUNT n] [REV] [BLOCK ms] [filter …]
 *
 * Answers the events of the whole store whose positions are in the range, both ends inclusive, each with its
 * position and recorded_at, and where to go on. A start beyond the end is AHEAD.
 */
import { respEncoding } from "../core/encoding.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { type ParseContext, parseRangeEnd, parseRangeStart } from "./options.ts";
import {
  noReadOptions,
  OPTION_BLOCK,
  OPTION_COUNT,
  OPTION_FILTERS,
  OPTION_REV,
  parseReadOptions,
  type RangeRequest,
} from "./read-options.ts";
import { isShortLog, type RunningScan, scanOrWait, scanParts } from "./scan-reply.ts";

interface ElogRequest extends RangeRequest {
  readonly withNext: true;
}

/** One for the process: a request is parsed and run within one turn. */
const request: ElogRequest = { ...noReadOptions(), from: 0, to: 0, withNext: true };

const OPTIONS = OPTION_COUNT | OPTION_REV | OPTION_BLOCK | OPTION_FILTERS;

function parseElog(args: Arguments, context: ParseContext): ElogRequest {
  request.from = parseRangeStart(args, 1, "position");
  request.to = parseRangeEnd(args, 2, "position");
  parseReadOptions(args, 3, context, OPTIONS, request);
  request.withPosition = true;
  return request;
}

export const elog: Command<ElogRequest, RunningScan> = {
  ...scanParts,
  name: "ELOG",
  summary: "Read a range of positions of the whole store.",
  arity: -3,
  parse: parseElog,

  run(request, { store, session }) {
    if (request.filter === null && request.blockMs === null) {
      store.openLogScan(request);
      if (isShortLog(store)) return request;
    }
    const encoding = respEncoding(session.protocol, true);
    return scanOrWait(store, { kind: "log" }, request, encoding);
  },
};
