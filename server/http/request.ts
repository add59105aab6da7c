/**
 * Reads what a request says outside of its body: segments of its path, its query, and which media type it wants.
 *
 * The path is taken from the URL as it came, since a stream id may hold any characters, slashes and percent signs
 * too, once decoded and never twice.
 */
import { StoreError } from "../errors.ts";
import { quote, suggestion } from "../usage.ts";
import type { DoorContext } from "./operation.ts";
import { ProblemError, problem } from "./problem.ts";
import { type Parameters, unexpectedValue, type ValuesOf } from "./schema.ts";

/** What the path has as its parameter, decoded. */
export function pathParameter({ parameter }: DoorContext, name: string): string {
  if (!parameter.includes("%")) return parameter;
  try {
    return decodeURIComponent(parameter);
  } catch {
    throw unexpectedValue(name, parameter, "percent-encoded UTF-8");
  }
}

/** Takes the query by its parameters; an unknown one, or one that stands twice, is refused. */
export function readQuery<P extends Parameters>(context: DoorContext, parameters: P): ValuesOf<P> {
  const values: Record<string, unknown> = {};
  for (const [name, { repeats }] of Object.entries(parameters)) values[name] = repeats ? [] : null;
  for (const [name, text] of queryPairs(context.query)) {
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined) throw unknownParameter(name, Object.keys(parameters));
    const value = parameter.parse(text, name);
    if (parameter.repeats) (values[name] as unknown[]).push(value);
    else if (values[name] === null) values[name] = value;
    else throw new StoreError("INVALIDARG", `${name} is given twice`);
  }
  for (const [name, { required }] of Object.entries(parameters)) {
    const value = values[name];
    const isMissing = value === null || (Array.isArray(value) && value.length === 0);
    if (required !== undefined && isMissing) {
      throw new StoreError("INVALIDARG", `${name} is missing: ${required}`);
    }
  }
  return values as ValuesOf<P>;
}

/**
 * The names and values of a query, decoded. URLSearchParams would take what is wrongly encoded for something else, and
 * a read would silently find nothing.
 */
function* queryPairs(query: string): Generator<[name: string, text: string]> {
  if (query === "") return;
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const [rawName = ""] = pair.split("=", 1);
    const name = decoded(rawName, "name of a query parameter");
    yield [name, decoded(pair.slice(rawName.length + 1), name)];
  }
}

function decoded(text: string, label: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw unexpectedValue(label, text, "percent-encoded UTF-8");
  }
}

function unknownParameter(name: string, known: readonly string[]): StoreError {
  const expected = known.length === 0 ? "none is taken here" : `expected ${known.join(", ")}`;
  const text = `unknown query parameter ${quote(name)}: ${expected}${suggestion(name, known)}`;
  return new StoreError("INVALIDARG", text);
}

// ── media types ───────────────────────────────────────────────────────────────────────────────────

export const JSON_TYPE = "application/json";
export const MSGPACK_TYPE = "application/msgpack";
export const EVENT_STREAM_TYPE = "text/event-stream";

/**
 * Which of the offered media types the Accept header likes best; of equals the first. Null where it takes none.
 * Without the header that is the first.
 */
function accepted<Type extends string>(
  header: string | undefined,
  offered: readonly Type[],
): Type | null {
  if (header === undefined || header.trim() === "") return offered[0] ?? null;
  const ranges = header.split(",").map(parseRange);
  let best: Type | null = null;
  let bestQuality = 0;
  for (const type of offered) {
    const quality = qualityOf(type, ranges);
    if (quality > bestQuality) {
      best = type;
      bestQuality = quality;
    }
  }
  return best;
}

/** The same, where a request that takes none of them is 406. */
export function negotiate<Type extends string>(
  context: DoorContext,
  offered: readonly Type[],
): Type {
  const header = context.request.headers.get("Accept") ?? undefined;
  const type = accepted(header, offered);
  if (type !== null) return type;
  const text = `Accept ${quote(header ?? "")} takes none of ${offered.join(", ")}`;
  throw new ProblemError(problem(406, "INVALIDARG", text));
}

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): MediaRange {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith("q="));
  const quality = weight === undefined ? 1 : Number(weight.slice(2));
  return { type, quality: Number.isNaN(quality) ? 0 : quality };
}

/** The most specific range that covers the type decides. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const covering = [type, `${type.split("/")[0]}/*`, "*/*"];
  for (const candidate of covering) {
    const range = ranges.find((known) => known.type === candidate);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
