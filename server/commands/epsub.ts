/**
 * EPSUB *|key|p,a-b,… [FROM LATEST|n|MAP p=n … [DEFAULT n]|POSITION n] [WINDOW n|NOACK] [PROGRESS] [filter …]
 *
 * Follows partitions, all or some of them, as ESUB follows streams.
 */
import { StoreError } from "../errors.ts";
import type { Interest } from "../store/interest.ts";
import { shownBytes } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command, Context } from "./command.ts";
import { logPosition, type Subscribed, startOf, subscribedReply } from "./esub.ts";
import { parsePartitions } from "./filter-options.ts";
import { parsePartition, unexpectedEnd } from "./options.ts";
import { SessionSubscriptions } from "./session-subscriptions.ts";
import {
  checkPushes,
  type From,
  parseSubscriptionOptions,
  type SubscriptionOptions,
} from "./subscription-options.ts";

interface EpsubRequest {
  /** A 1 for each partition that is followed; null for all. */
  readonly chosen: Uint8Array | null;
  readonly options: SubscriptionOptions;
}

export const epsub: Command<EpsubRequest, Subscribed> = {
  ...subscribedReply,
  name: "EPSUB",
  summary: "Follow partitions: history, then live events, as pushes.",
  arity: -2,
  flags: ["readonly", "pubsub", "noscript"],

  parse(args, context) {
    checkPushes("EPSUB", context.session);
    const chosen = parseChosen(args, 1, context);
    const options = parseSubscriptionOptions(args, 2, context, true);
    checkNames(options.from, chosen, context.store.partitions);
    return { chosen, options };
  },

  run({ chosen, options }, { store, session }) {
    if (options.from.kind === "position") store.checkStart(options.from.position);
    const interest = interestOf(chosen, options.from, store.subscriptions.end, store.partitions);
    const subscriptions = SessionSubscriptions.of(store, session);
    const sink = subscriptions.open(interest, options.filter, options);
    return { sink, count: subscriptions.pushedCount };
  },
};

function parseChosen(args: Arguments, index: number, context: Context): Uint8Array | null {
  if (index === args.count) {
    throw unexpectedEnd("*, partition id or comma-separated partition ids");
  }
  if (args.is(index, "*")) return null;
  const text = args.text(index);
  if (/^[\d,-]{1,31}$/.test(text) || text.includes(",")) {
    return parsePartitions(args, index, context, "partitions");
  }
  const chosen = new Uint8Array(context.store.partitions);
  chosen[parsePartition(args, index, context)] = 1;
  return chosen;
}

function checkNames(from: From, chosen: Uint8Array | null, partitions: number): void {
  if (from.kind !== "map") return;
  for (const name of from.numbers.keys()) {
    const partition = /^(0|[1-9]\d{0,4})$/.test(name) ? Number(name) : partitions;
    if (partition < partitions && (chosen === null || chosen[partition] === 1)) continue;
    const text = shownBytes(Buffer.from(name, "latin1"));
    throw new StoreError(
      "INVALIDARG",
      `MAP names '${text}', which is none of the partitions followed`,
    );
  }
}

/** All partitions from one point on are the log itself. */
function interestOf(
  chosen: Uint8Array | null,
  from: From,
  end: number,
  partitions: number,
): Interest {
  const position = chosen === null ? logPosition(from, end) : null;
  if (position !== null) return { kind: "log", position };
  const followed = [];
  for (let partition = 0; partition < partitions; partition++) {
    if (chosen !== null && chosen[partition] !== 1) continue;
    followed.push({ partition, start: startOf(from, String(partition), end) });
  }
  return { kind: "partitions", partitions: followed };
}
