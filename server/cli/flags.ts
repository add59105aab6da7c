/**
 * Flags and positional arguments of the small commands (`serve` has the table in `config.ts`).
 *
 * Every flag takes a value. What is wrong is a `UsageError` that names it and the command's usage.
 */
import { parseArgs } from "node:util";
import { INTEGER_MAX } from "../limits.ts";
import { quote, suggestion, UsageError } from "../usage.ts";

export interface Flags {
  readonly positionals: readonly string[];
  /** The text given to a flag, the last one where it came twice; undefined where it was not given. */
  text(name: string): string | undefined;
}

/** Splits a command's arguments; `names` are its flags, without hyphens. */
export function readFlags(
  command: string,
  args: readonly string[],
  names: readonly string[],
): Flags {
  const positionals: string[] = [];
  const texts = new Map<string, string>();
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(names.map((name) => [name, { type: "string" } as const])),
    strict: false, // unknown flags and missing values are told in our own words
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const name = names.find((known) => token.rawName === `--${known}`);
    if (name === undefined) {
      const flags = names.map((known) => `--${known}`);
      const near = suggestion(token.rawName, flags) || `; see cairn help ${command}`;
      throw new UsageError(`unknown flag ${quote(token.rawName)} of ${command}${near}`);
    }
    if (token.value === undefined) throw new UsageError(`flag --${name} needs a value`);
    texts.set(name, token.value);
  }
  return { positionals, text: (name) => texts.get(name) };
}

/** A flag's whole number from 0 to 2^53-1, or `initial` where the flag was not given. */
export function wholeNumberFlag<Initial>(
  flags: Flags,
  name: string,
  initial: Initial,
): number | Initial {
  const text = flags.text(name);
  if (text === undefined) return initial;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value <= INTEGER_MAX) return value;
  throw new UsageError(
    `flag --${name}: ${quote(text)} is not allowed; give a whole number from 0 to ${INTEGER_MAX}`,
  );
}

/** The one folder that the command takes. */
export function folderArgument(command: string, flags: Flags): string {
  const [folder, surplus] = flags.positionals;
  if (folder === undefined || folder === "") {
    throw new UsageError(`${command} needs DIR, the folder of a store; see cairn help ${command}`);
  }
  if (surplus !== undefined) {
    throw new UsageError(`${command} takes one DIR, but ${quote(surplus)} was given too`);
  }
  return folder;
}
