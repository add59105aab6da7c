/**
 * Where settings are given: the flags, the environment and a TOML file. Each wrong value, unknown flag and unknown key is
 * a `UsageError`: one line that names the setting, where it was given and what is allowed.
 */
import { parseArgs } from "node:util";
import { quote, suggestion, UsageError } from "../usage.ts";
import type { Setting } from "./setting.ts";
import { TABLE } from "./table.ts";

/** One place where settings are given: the flags, the environment or the file. */
export interface Source {
  /** The setting's name in this place, for an error line. */
  label(setting: Setting<unknown>): string;
  /** The setting's text, or undefined where this source does not give it. Throws for a value that is no text. */
  text(setting: Setting<unknown>): string | undefined;
}

/** The value that the first of the sources gives, and which that is; null where none does. */
export function given<Value>(
  setting: Setting<Value>,
  sources: readonly Source[],
): { value: NonNullable<Value>; source: Source } | null {
  for (const source of sources) {
    const text = source.text(setting);
    if (text === undefined) continue;
    const value = setting.parse(text);
    if (value === undefined || value === null) throw wrongValue(source, setting, quote(text));
    return { value, source };
  }
  return null;
}

function wrongValue(source: Source, setting: Setting<unknown>, found: string): UsageError {
  return new UsageError(
    `${source.label(setting)}: ${found} is not allowed; give ${setting.allowed}`,
  );
}

export function readFlags(args: readonly string[]): Source {
  const table: readonly Setting<unknown>[] = Object.values(TABLE);
  const texts = new Map<string, string>();
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      table.map(({ name, isSwitch }) => [name, { type: isSwitch ? "boolean" : "string" } as const]),
    ),
    // Unknown flags and missing values are told in our own words, by the loop below.
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") {
      throw new UsageError(`serve takes flags alone, but ${quote(token.value)} was given`);
    }
    if (token.kind === "option-terminator") continue;
    const known = table.find(({ name }) => token.rawName === `--${name}`);
    if (known === undefined) {
      const near = suggestion(
        token.rawName,
        table.map(({ name }) => `--${name}`),
      );
      throw new UsageError(
        `unknown flag ${quote(token.rawName)}${near || "; see cairn help serve"}`,
      );
    }
    // A flag where the value should be is a forgotten value; one that begins so is given with =.
    const forgotten =
      token.value === undefined || (!token.inlineValue && token.value.startsWith("-"));
    if (forgotten && !known.isSwitch) {
      throw new UsageError(`flag --${known.name} needs a value: ${known.allowed}`);
    }
    texts.set(known.name, token.value ?? "true");
  }
  return {
    label: ({ name }) => `flag --${name}`,
    text: ({ name }) => texts.get(name),
  };
}

/** An empty variable counts as not given: that is how compose files and the like leave one out. */
export function environmentSource(
  environment: Readonly<Record<string, string | undefined>>,
): Source {
  return {
    label: (setting) => `environment variable ${setting.environment}`,
    text: (setting) => environment[setting.environment] || undefined,
  };
}

export async function readConfigFile(
  path: string,
  readFile: (path: string) => Promise<string>,
): Promise<Source> {
  let content: string;
  try {
    content = await readFile(path);
  } catch (error) {
    throw new UsageError(`configuration file ${quote(path)} cannot be read: ${reason(error)}`);
  }
  const values = parseToml(path, content);
  // `--config` is not a key: a file does not name another.
  const names = Object.values(TABLE)
    .map(({ name }) => name)
    .filter((name) => name !== TABLE.config.name);
  const unknown = Object.keys(values).find((key) => !names.includes(key));
  if (unknown !== undefined) {
    const near = suggestion(unknown, names) || `; known are ${names.join(", ")}`;
    throw new UsageError(`configuration file ${quote(path)}: unknown key ${quote(unknown)}${near}`);
  }
  const source: Source = {
    label: ({ name }) => `configuration file ${quote(path)}, key ${name}`,
    text(setting) {
      const value = values[setting.name];
      if (value === undefined || typeof value === "string") return value;
      const text = setting.textOfToml(value);
      if (text === undefined) throw wrongValue(source, setting, quote(JSON.stringify(value)));
      return text;
    },
  };
  return source;
}

function parseToml(path: string, content: string): Readonly<Record<string, unknown>> {
  try {
    return { ...Bun.TOML.parse(content) };
  } catch (error) {
    throw new UsageError(`configuration file ${quote(path)} is not TOML: ${reason(error)}`);
  }
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^TOML Parse error: /, "").replace(/\s+/g, " ");
}
