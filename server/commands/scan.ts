/**
 * SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]
 *
 * Walks over the stream ids, a step at a time: answers the next cursor, 0 at the end, and ids. What is there from
 * the walk's start to its end comes exactly once; what is appended meanwhile comes too if the walk has not ended.
 * A step gives COUNT ids at the most, and may give fewer: it also ends after about a millisecond's work. The only
 * type is `stream`.
 */
import { StoreError } from "../errors.ts";
import type { StreamWalk } from "../store/stream-walk.ts";
import { checkArity, syntaxError } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { parsePattern } from "./filter-options.ts";

/** Ids of a step without COUNT, as in Redis. */
const COUNT_DEFAULT = 10;

interface ScanRequest {
  readonly cursor: number;
  readonly pattern: Uint8Array | null;
  readonly count: number;
  /** False: another type than the one that there is was asked for. */
  readonly wantsStreams: boolean;
}

export const scan: Command<ScanRequest, StreamWalk | null> = {
  name: "SCAN",
  kind: "read",
  summary: "Walk over the stream ids.",
  arity: -2,
  flags: ["readonly"],
  parse: parseScan,

  run({ cursor, pattern, count, wantsStreams }, { store }) {
    return wantsStreams ? store.openStreamWalk(cursor, pattern, count) : null;
  },

  work(walk) {
    return walk;
  },

  reply(walk, reply, { area }) {
    reply.array(2);
    reply.blob(String(walk?.cursor ?? 0));
    reply.array(walk?.idCount ?? 0);
    for (const ids of walk?.pieces ?? []) {
      area.reserve(ids.length);
      area.memory.set(ids, area.tail);
      area.tail += ids.length;
    }
  },
};

function parseScan(args: Arguments): ScanRequest {
  checkArity(scan, args);
  const cursor = args.integer(1);
  if (cursor < 0) throw new StoreError("INVALIDARG", "invalid cursor");
  let pattern: Uint8Array | null = null;
  let count = COUNT_DEFAULT;
  let wantsStreams = true;
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 === args.count) throw syntaxError();
    if (args.is(i, "MATCH")) {
      pattern = parsePattern(args, i + 1);
    } else if (args.is(i, "COUNT")) {
      count = args.integer(i + 1);
      if (count < 0) throw new StoreError("INVALIDARG", "value is not an integer or out of range");
      if (count === 0) throw syntaxError();
    } else if (args.is(i, "TYPE")) {
      wantsStreams = args.is(i + 1, "STREAM");
    } else {
      throw syntaxError();
    }
  }
  return { cursor, pattern, count, wantsStreams };
}
