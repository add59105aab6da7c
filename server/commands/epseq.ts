/**
 * EPSEQ partition
 *
 * Answers the partition's last sequence, or null when it has no events.
 */
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { type ParseContext, parsePartition, unexpected } from "./options.ts";

/** Answers the partition's number. */
export function parseEpseq(args: Arguments, context: ParseContext): number {
  const partition = parsePartition(args, 1, context);
  if (args.count > 2) throw unexpected(args, 2, "end of input");
  return partition;
}

export const epseq: Command<number, number> = {
  name: "EPSEQ",
  kind: "read",
  summary: "Get the last sequence of a partition.",
  arity: 2,
  flags: ["readonly", "fast"],
  parse: parseEpseq,

  run(partition, { store }) {
    return store.partitionSequence(partition);
  },

  reply(sequence, reply) {
    if (sequence < 0) reply.null();
    else reply.integer(sequence);
  },
};
