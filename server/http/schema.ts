/**
 * What requests may say, once: each parameter and each field of a body both checks what came and describes itself
 * as JSON Schema, of which /openapi.json is made. So the description cannot differ from what is taken.
 *
 * A check throws INVALIDARG, which says what was expected and where.
 */
import { StoreError } from "../errors.ts";
import { INTEGER_MAX } from "../limits.ts";
import { quote } from "../usage.ts";

/** A JSON Schema (2020-12), as far as it is used here. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A parameter of a path or a query. Its name is its key in the record of an operation's parameters. */
export interface Parameter<Value> {
  readonly description: string;
  readonly schema: JsonSchema;
  readonly example?: unknown;
  /** True: may stand several times, and its value is a list. */
  readonly repeats: boolean;
  /** Where it must stand: what an error says to do. */
  readonly required?: string;
  /** `label` names the parameter for an error. */
  parse(text: string, label: string): Value;
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>;

/** What a query says: null, or the empty list, where a parameter is not given. */
export type ValuesOf<P extends Parameters> = {
  [Name in keyof P]: P[Name] extends Repeated<infer Value>
    ? readonly Value[]
    : P[Name] extends Parameter<infer Value>
      ? Value | null
      : never;
};

/** A parameter that may stand several times. */
export interface Repeated<Value> extends Parameter<Value> {
  readonly repeats: true;
}

/** `what` was given, where `expected` was: `from 'x': expected a number …`. */
export function unexpectedValue(label: string, given: string, expected: string): StoreError {
  return new StoreError("INVALIDARG", `${label} ${quote(given)}: expected ${expected}`);
}

const NUMBER_EXPECTED = `a number from 0 to ${INTEGER_MAX}`;

/** Integers that JSON numbers can say: 0 to 2^53-1. */
export const NUMBER_SCHEMA: JsonSchema = { type: "integer", minimum: 0, maximum: INTEGER_MAX };

/** A number of 0 to 2^53-1 in decimal, or null. */
export function parseNumber(text: string): number | null {
  if (!/^\d{1,16}$/.test(text)) return null;
  const value = Number(text);
  return value <= INTEGER_MAX ? value : null;
}

/** A number from `min` to `max`. */
export function number(
  description: string,
  example: number,
  { min = 0, max = INTEGER_MAX } = {},
): Parameter<number> {
  return {
    description,
    schema: { type: "integer", minimum: min, maximum: max },
    example,
    repeats: false,
    parse(text, label) {
      const value = parseNumber(text);
      if (value === null || value < min || value > max) {
        throw unexpectedValue(label, text, `a number from ${min} to ${max}`);
      }
      return value;
    },
  };
}

/** One of a few words. */
export function choice<Word extends string>(
  description: string,
  words: readonly Word[],
): Parameter<Word> {
  return {
    description,
    schema: { type: "string", enum: words },
    example: words[0],
    repeats: false,
    parse(text, label) {
      const word = words.find((candidate) => candidate === text);
      if (word === undefined) throw unexpectedValue(label, text, words.join(" or "));
      return word;
    },
  };
}

/** Any text. What it says is checked where it is used. */
export function text(
  description: string,
  example: string,
  schema: JsonSchema = {},
): Parameter<string> {
  return {
    description,
    schema: { type: "string", ...schema },
    example,
    repeats: false,
    parse: (given) => given,
  };
}

/** The same for a parameter that may stand several times, and once at least where it says why it is `required`. */
export function repeated<Value>(
  parameter: Parameter<Value>,
  { required }: { required?: string } = {},
): Repeated<Value> {
  return { ...parameter, repeats: true, ...(required === undefined ? {} : { required }) };
}

/** A moment: milliseconds since 1970, or RFC 3339. */
export function time(description: string): Parameter<number> {
  return {
    description: `${description} Milliseconds since 1970, or RFC 3339 (2024-01-01T00:00:00Z).`,
    schema: { anyOf: [NUMBER_SCHEMA, { type: "string", format: "date-time" }] },
    example: 1_697_641_800_000,
    repeats: false,
    parse(given, label) {
      // A `+` that was not percent-encoded arrives as a space.
      const moment = parseNumber(given) ?? parseRfc3339(given.replace(" ", "+"));
      if (moment === null) {
        throw unexpectedValue(
          label,
          given,
          `milliseconds (${NUMBER_EXPECTED}) or an RFC 3339 time`,
        );
      }
      return moment;
    },
  };
}

// Hours end at 23, while Date.parse takes 24:00:00.
const RFC3339 =
  /^((\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:)([0-5]\d|60)((?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d))$/;

/** Milliseconds since 1970 (parts of one are cut), or null where the text is no time from then on. */
function parseRfc3339(given: string): number | null {
  const [, minute = "", year, month, day, second, rest = ""] = RFC3339.exec(given) ?? [];
  const isLeap = second === "60";
  const moment = Date.parse((isLeap ? `${minute}59${rest}` : given).toUpperCase());
  if (day === undefined || Number.isNaN(moment) || moment < 0) return null;
  // Date.parse takes February 31 for March 2 or 3.
  const isDate = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate();
  if (isDate !== Number(day)) return null;
  return isLeap ? afterLeapSecond(moment) : moment;
}

/**
 * Clocks that count milliseconds since 1970 have no leap second: it is the same as the second after it. It ends a
 * month in UTC; anywhere else it is no time.
 */
function afterLeapSecond(secondBefore: number): number | null {
  const moment = secondBefore + 1_000;
  const date = new Date(moment);
  const isMonthsFirst = date.getUTCDate() === 1 && moment % DAY_MS < 1_000;
  return isMonthsFirst ? moment : null;
}

const DAY_MS = 86_400_000;
