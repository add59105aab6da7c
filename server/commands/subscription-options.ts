/**
 * What follows the streams of ESUB and the partitions of EPSUB, in any order, each once but NAME:
 *
 *     FROM LATEST | n | MAP name=n … [DEFAULT n] | POSITION n     WINDOW n | NOACK     PROGRESS     filter …
 */
import { StoreError, tooLarge } from "../errors.ts";
import { INTEGER_MAX, SUBSCRIPTION_ARGUMENTS_MAX, WINDOW_DEFAULT } from "../limits.ts";
import { Filter } from "../store/filter.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import { FILTER_WORDS, parseFilterPart } from "./filter-options.ts";
import {
  alreadySpecified,
  invalid,
  NUMBER,
  type ParseContext,
  unexpected,
  unexpectedEnd,
} from "./options.ts";
import type { PushOptions } from "./push-sink.ts";
import type { Session } from "./session.ts";

/** Where a subscription begins. Numbers are versions, for partitions sequences. */
export type From =
  | { readonly kind: "latest" }
  | { readonly kind: "number"; readonly number: number }
  | { readonly kind: "position"; readonly position: number }
  | {
      readonly kind: "map";
      /** By the names as they were written, as Latin-1. */
      readonly numbers: ReadonlyMap<string, number>;
      /** What is not named begins here; null: at the latest. */
      readonly rest: number | null;
    };

export interface SubscriptionOptions extends PushOptions {
  readonly from: From;
  /** Null where every event is wanted. */
  readonly filter: Filter | null;
}

const OWN_WORDS = ["FROM", "WINDOW", "NOACK", "PROGRESS"];

/** Whether an option stands here, and no stream. */
export function isSubscriptionOption(args: Arguments, index: number): boolean {
  return [...OWN_WORDS, ...FILTER_WORDS].some((word) => args.is(index, word));
}

/** Takes the options from argument `start` to the request's end. `hasDefault`: MAP may end with DEFAULT. */
export function parseSubscriptionOptions(
  args: Arguments,
  start: number,
  context: ParseContext,
  hasDefault: boolean,
): SubscriptionOptions {
  let from: From | null = null;
  let window: number | null = null;
  let wantsProgress = false;
  let filter: Filter | null = null;
  let index = start;
  while (index < args.count) {
    if (args.is(index, "FROM")) {
      if (from !== null) throw alreadySpecified("FROM");
      [from, index] = parseFrom(args, index + 1, hasDefault);
    } else if (args.is(index, "WINDOW") || args.is(index, "NOACK")) {
      if (window !== null) throw alreadySpecified("WINDOW or NOACK");
      [window, index] = parseWindow(args, index);
    } else if (args.is(index, "PROGRESS")) {
      if (wantsProgress) throw alreadySpecified("PROGRESS");
      wantsProgress = true;
      index++;
    } else {
      filter ??= new Filter();
      const end = parseFilterPart(args, index, context, filter);
      if (end === index) {
        throw unexpected(
          args,
          index,
          `${[...OWN_WORDS, ...FILTER_WORDS].join(", ")} or end of input`,
        );
      }
      index = end;
    }
  }
  return {
    from: from ?? { kind: "latest" },
    window: window ?? WINDOW_DEFAULT,
    wantsProgress,
    withPosition: from?.kind === "position",
    filter,
  };
}

/** Throws where the connection cannot tell a push from a reply. */
export function checkPushes(name: string, session: Session): void {
  if (session.protocol === 3) return;
  throw new StoreError(
    "NOPROTO",
    `${name} needs RESP3, which HELLO 3 chooses; in RESP2 use SUBSCRIBE or PSUBSCRIBE, BLOCK on ESCAN, EPSCAN or ELOG, or Server-Sent Events over HTTP`,
  );
}

/** Throws where a subscription has more streams, patterns or names than it may. */
export function checkArgumentCount(count: number): void {
  if (count <= SUBSCRIPTION_ARGUMENTS_MAX) return;
  throw tooLarge("the number of streams of a subscription", SUBSCRIPTION_ARGUMENTS_MAX, count);
}

function parseFrom(args: Arguments, index: number, hasDefault: boolean): [From, number] {
  if (index === args.count) throw unexpectedEnd(FROM_VALUE);
  if (args.is(index, "LATEST")) return [{ kind: "latest" }, index + 1];
  if (args.is(index, "MAP")) return parseMap(args, index + 1, hasDefault);
  if (args.is(index, "POSITION")) {
    const position = numberAt(args, index + 1, "POSITION");
    return [{ kind: "position", position }, index + 2];
  }
  const number = args.integer(index);
  if (number < 0) throw invalid(args, index, "FROM", FROM_VALUE);
  return [{ kind: "number", number }, index + 1];
}

/** `name=n`, split at the last `=`, as long as there is one in the argument. */
function parseMap(args: Arguments, start: number, hasDefault: boolean): [From, number] {
  const numbers = new Map<string, number>();
  let index = start;
  for (; index < args.count; index++) {
    const text = latin1(args.bytes(index));
    const split = text.lastIndexOf("=");
    if (split < 0) break;
    const name = text.slice(0, split);
    const number = text.slice(split + 1);
    if (name === "" || !/^\d{1,16}$/.test(number) || !Number.isSafeInteger(Number(number))) {
      throw invalid(args, index, "MAP", `name=n, n being ${NUMBER}`);
    }
    if (numbers.has(name)) throw alreadySpecified(`'${shown(args, index)}' in MAP`);
    numbers.set(name, Number(number));
    checkArgumentCount(numbers.size);
  }
  if (numbers.size === 0) throw unexpectedEnd("name=n after MAP");
  if (!hasDefault || index === args.count || !args.is(index, "DEFAULT")) {
    return [{ kind: "map", numbers, rest: null }, index];
  }
  return [{ kind: "map", numbers, rest: numberAt(args, index + 1, "DEFAULT") }, index + 2];
}

function parseWindow(args: Arguments, index: number): [number, number] {
  if (args.is(index, "NOACK")) return [Number.POSITIVE_INFINITY, index + 1];
  if (index + 1 >= args.count) throw unexpectedEnd(WINDOW_VALUE);
  const window = args.integer(index + 1);
  if (window < 1) throw invalid(args, index + 1, "WINDOW", WINDOW_VALUE);
  return [window, index + 2];
}

function numberAt(args: Arguments, index: number, word: string): number {
  if (index >= args.count) throw unexpectedEnd(`a number after ${word}`);
  const number = args.integer(index);
  if (number < 0) throw invalid(args, index, word, NUMBER);
  return number;
}

/** Bytes as text that holds them one for one. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

const WINDOW_VALUE = `a number from 1 to ${INTEGER_MAX} after WINDOW, or NOACK, which is no window`;
const FROM_VALUE = "LATEST, a number, MAP or POSITION after FROM";
