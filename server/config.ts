/**
 * The settings of `cairn serve`: one table, read from flags, environment and a TOML file.
 *
 * A flag beats the environment, and that the file. Every wrong value, unknown flag and unknown key is a
 * `UsageError`: one line that names the setting, where it was given and what is allowed. The table is also
 * what `cairn help serve` prints, so a setting has no second description.
 */
import { isIPv4, isIPv6 } from "node:net";
import { parseArgs } from "node:util";
import {
  CACHE_BYTES_DEFAULT,
  CACHE_BYTES_MAX,
  CACHE_BYTES_MIN,
  GiB,
  INDEX_MEMORY_BYTES_DEFAULT,
  INDEX_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_MIN,
  KiB,
  MiB,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
} from "./limits.ts";
import { LOG_LEVELS, type LogFormat, type LogLevel } from "./stderr-log.ts";
import { quote, suggestion, UsageError } from "./usage.ts";

/** Where a door listens. Port 0 takes a free one; an IPv6 host is without brackets here. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Settings {
  /** For an ephemeral store this is not used: its folder is made at the start. */
  readonly dataFolder: string;
  readonly ephemeral: boolean;
  readonly resp: Address;
  readonly http: Address;
  /** Null where it was not given: a new store gets `PARTITIONS_DEFAULT`, an existing one keeps its own. */
  readonly partitions: number | null;
  readonly segmentBytes: number;
  readonly indexMemoryBytes: number;
  readonly cacheBytes: number;
  readonly durability: "fsync" | "os";
  readonly strict: boolean;
  /** Host names, lower case and without a port, that a Host header may carry beside loopback. */
  readonly allowedHosts: readonly string[];
  /** Origins as a browser sends them, `https://app.example.org`. */
  readonly corsOrigins: readonly string[];
  readonly insecure: boolean;
  /** How the log on standard error is written, and from which level on. */
  readonly logFormat: LogFormat;
  readonly logLevel: LogLevel;
}

/**
 * Reads the settings from the arguments after `serve`, the environment and the file that `--config` names.
 * Throws a `UsageError` for the first thing that is wrong.
 */
export async function readSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => Promise<string>,
): Promise<Settings> {
  const flags = readFlags(args);
  const config = given(TABLE.config, [flags, environmentSource(environment)]);
  const file = config === null ? null : await readConfigFile(config.value, readFile);
  const sources = [flags, environmentSource(environment), ...(file === null ? [] : [file])];
  const value = <Value>(setting: Setting<Value>): Value =>
    given(setting, sources)?.value ?? setting.initial;

  const settings: Settings = {
    dataFolder: value(TABLE.data),
    ephemeral: value(TABLE.ephemeral),
    resp: value(TABLE.resp),
    http: value(TABLE.http),
    partitions: value(TABLE.partitions),
    segmentBytes: value(TABLE.segmentBytes),
    indexMemoryBytes: value(TABLE.indexMemoryBytes),
    cacheBytes: value(TABLE.cacheBytes),
    durability: value(TABLE.durability),
    strict: value(TABLE.strict),
    allowedHosts: value(TABLE.allowedHosts),
    corsOrigins: value(TABLE.corsOrigins),
    insecure: value(TABLE.insecure),
    logFormat: value(TABLE.log),
    logLevel: value(TABLE.logLevel),
  };
  refuseForgottenFolder(settings, sources);
  if (!settings.insecure) {
    refuseOpenDoor(settings.resp, TABLE.resp, sources);
    refuseOpenDoor(settings.http, TABLE.http, sources);
  }
  return settings;
}

/** The table of flags as `cairn help serve` shows it, one setting a paragraph. */
export function describeSettings(): string {
  return Object.values(TABLE)
    .map((setting) => {
      const flag = `--${setting.name}${setting.isSwitch ? "" : ` ${setting.placeholder}`}`;
      return `  ${flag.padEnd(26)}${setting.help}\n${" ".repeat(28)}default ${setting.initialText}; ${setting.environment}\n`;
    })
    .join("");
}

/** `HOST:PORT` as it is written, an IPv6 host in brackets. */
export function formatAddress(address: Address): string {
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** The address in `HOST:PORT`, or undefined where the text is none. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > PORT_MAX) return undefined;
  if (match[1] !== undefined) return isIPv6(match[1]) ? { host: match[1], port } : undefined;
  const host = match[2] ?? "";
  return isIPv4(host) || isHostName(host) ? { host, port } : undefined;
}

/** Whether only this machine reaches the host. Its form may be any: a name, IPv4, IPv6 in or without brackets. */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, "").toLowerCase();
  if (isIPv4(plain)) return plain.startsWith("127.");
  if (!isIPv6(plain)) return plain === "localhost";
  const shortest = URL.parse(`http://[${plain}]`)?.hostname ?? ""; // zone indexes are no URL, and no loopback
  return shortest === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:/.test(shortest);
}

/** What an error line says of `--resp`, `--http` and ping's address. */
export const ADDRESS_ALLOWED = "HOST:PORT, an IPv6 host in brackets, the port from 0 to 65535";

// ── the table ─────────────────────────────────────────────────────────────────────────────────────

const PORT_MAX = 65_535;

interface Setting<Value> {
  /** The flag without its hyphens, and the key in the file. */
  readonly name: string;
  readonly environment: string;
  /** What stands for the value in the help. */
  readonly placeholder: string;
  /** A switch needs no value on the command line. */
  readonly isSwitch: boolean;
  /** The value when it is given nowhere. */
  readonly initial: Value;
  readonly initialText: string;
  /** What is allowed; ends the error line. */
  readonly allowed: string;
  readonly help: string;
  /** Undefined where the text is not allowed. */
  readonly parse: (text: string) => Value | undefined;
  /** What the file may hold beside a string, as the text that `parse` takes; undefined where it may not. */
  readonly textOfToml: (value: unknown) => string | undefined;
}

const TABLE = {
  data: setting<string>({
    name: "data",
    placeholder: "DIR",
    initial: "./data",
    initialText: "./data",
    allowed: "a folder",
    help: "the store's folder; made when missing, with mode 0700",
    parse: parsePath,
  }),
  ephemeral: toggle(
    "ephemeral",
    "a throw-away store in a temporary folder, removed at the end: for tests",
  ),
  resp: setting<Address>({
    name: "resp",
    placeholder: "HOST:PORT",
    initial: { host: "127.0.0.1", port: 9090 },
    initialText: "127.0.0.1:9090",
    allowed: ADDRESS_ALLOWED,
    help: "where Redis clients connect; port 0 takes a free one",
    parse: parseAddress,
  }),
  http: setting<Address>({
    name: "http",
    placeholder: "HOST:PORT",
    initial: { host: "127.0.0.1", port: 9091 },
    initialText: "127.0.0.1:9091",
    allowed: ADDRESS_ALLOWED,
    help: "where HTTP clients connect; port 0 takes a free one",
    parse: parseAddress,
  }),
  config: setting<string | null>({
    name: "config",
    placeholder: "FILE",
    initial: null,
    initialText: "none",
    allowed: "a TOML file",
    help: "a TOML file with the same names; a flag beats the environment, and that the file",
    parse: parsePath,
  }),
  partitions: setting<number | null>({
    name: "partitions",
    placeholder: "N",
    initial: null,
    initialText: `${PARTITIONS_DEFAULT}, or the store's own`,
    allowed: `a whole number from 1 to ${PARTITIONS_MAX}`,
    help: "logical partitions, fixed when the store is made",
    parse: (text) => within(1, PARTITIONS_MAX, wholeNumber(text)),
    textOfToml: textOfNumber,
  }),
  segmentBytes: size({
    name: "segment-bytes",
    initial: SEGMENT_BYTES_DEFAULT,
    least: SEGMENT_BYTES_MIN,
    most: SEGMENT_BYTES_MAX,
    help: "size of one file of the log; a larger transaction gets a file of its own",
  }),
  indexMemoryBytes: size({
    name: "index-memory",
    initial: INDEX_MEMORY_BYTES_DEFAULT,
    least: INDEX_MEMORY_BYTES_MIN,
    most: INDEX_MEMORY_BYTES_MAX,
    help: "memory for the newest part of the index, heads of streams, filters and pages",
  }),
  cacheBytes: size({
    name: "cache",
    initial: CACHE_BYTES_DEFAULT,
    least: CACHE_BYTES_MIN,
    most: CACHE_BYTES_MAX,
    help: "memory for blocks of the log that were read or written lately",
  }),
  durability: setting<"fsync" | "os">({
    name: "durability",
    placeholder: "fsync|os",
    initial: "fsync",
    initialText: "fsync",
    allowed: "fsync or os",
    help: "os acknowledges what is written but not yet synced: a power cut may lose a second",
    parse: (text) => (text === "fsync" || text === "os" ? text : undefined),
  }),
  strict: toggle("strict", "an append must state EXPECTED_VERSION empty or a number"),
  allowedHosts: setting<readonly string[]>({
    name: "allowed-hosts",
    placeholder: "A,B",
    initial: [],
    initialText: "none",
    allowed: "host names without a port, separated by commas",
    help: "names that a Host header may carry beside loopback, where HTTP is bound to it",
    parse: (text) => parseList(text, parseAllowedHost),
    textOfToml: textOfList,
  }),
  corsOrigins: setting<readonly string[]>({
    name: "cors-origins",
    placeholder: "A,B",
    initial: [],
    initialText: "none",
    allowed: "origins like https://app.example.org, separated by commas",
    help: "web pages of these origins may use the HTTP door",
    parse: (text) => parseList(text, parseOrigin),
    textOfToml: textOfList,
  }),
  insecure: toggle("insecure", "lets a HOST beyond loopback do without users and TLS"),
  log: setting<LogFormat>({
    name: "log",
    placeholder: "json|text",
    initial: "text",
    initialText: "text",
    allowed: "json or text",
    help: "how the log on standard error is written, one event a line",
    parse: (text) => (text === "json" || text === "text" ? text : undefined),
  }),
  logLevel: setting<LogLevel>({
    name: "log-level",
    placeholder: "LEVEL",
    initial: "info",
    initialText: "info",
    allowed: "debug, info, warn or error",
    help: "what is logged at the least; info has a line for each HTTP request",
    parse: (text) => LOG_LEVELS.find((level) => level === text),
  }),
};

type Described<Value> = Omit<Setting<Value>, "environment" | "isSwitch" | "textOfToml"> &
  Partial<Pick<Setting<Value>, "isSwitch" | "textOfToml">>;

function setting<Value>(described: Described<Value>): Setting<Value> {
  const environment = `CAIRN_${described.name.replaceAll("-", "_").toUpperCase()}`;
  return { isSwitch: false, textOfToml: () => undefined, ...described, environment };
}

function size({
  name,
  initial,
  least,
  most,
  help,
}: {
  readonly name: string;
  readonly initial: number;
  readonly least: number;
  readonly most: number;
  readonly help: string;
}): Setting<number> {
  return setting<number>({
    name,
    placeholder: "SIZE",
    initial,
    initialText: formatSize(initial),
    allowed: `a size from ${formatSize(least)} to ${formatSize(most)}, in bytes or with KiB, MiB or GiB`,
    help,
    parse: (text) => within(least, most, parseSize(text)),
    textOfToml: textOfNumber,
  });
}

function toggle(name: string, help: string): Setting<boolean> {
  return setting<boolean>({
    name,
    placeholder: "",
    isSwitch: true,
    initial: false,
    initialText: "off",
    allowed: "true, yes, on, 1 or false, no, off, 0",
    help,
    parse: (text) => SWITCH_WORDS.get(text.toLowerCase()),
    textOfToml: (value) => (typeof value === "boolean" ? String(value) : undefined),
  });
}

const SWITCH_WORDS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["on", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["off", false],
  ["0", false],
]);

// ── sources ───────────────────────────────────────────────────────────────────────────────────────

/** One place where settings are given: the flags, the environment or the file. */
interface Source {
  /** The setting's name in this place, for an error line. */
  label(setting: Setting<unknown>): string;
  /** The setting's text, or undefined where this source does not give it. Throws for a value that is no text. */
  text(setting: Setting<unknown>): string | undefined;
}

/** The value that the first of the sources gives, and which that is; null where none does. */
function given<Value>(
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

function readFlags(args: readonly string[]): Source {
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
function environmentSource(environment: Readonly<Record<string, string | undefined>>): Source {
  return {
    label: (setting) => `environment variable ${setting.environment}`,
    text: (setting) => environment[setting.environment] || undefined,
  };
}

async function readConfigFile(
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

// ── relations ─────────────────────────────────────────────────────────────────────────────────────

/** A named folder beside `--ephemeral` would be left unused, and what the user wants kept would be lost. */
function refuseForgottenFolder(settings: Settings, sources: readonly Source[]): void {
  if (!settings.ephemeral) return;
  const data = given(TABLE.data, sources);
  const ephemeral = given(TABLE.ephemeral, sources);
  if (data === null || ephemeral === null) return;
  if (sources.indexOf(data.source) > sources.indexOf(ephemeral.source)) return;
  throw new UsageError(
    `${data.source.label(TABLE.data)}: ${quote(data.value)} is not allowed with ${ephemeral.source.label(TABLE.ephemeral)}, whose folder is a temporary one; give one of them`,
  );
}

/** Without users and TLS the store's doors open to this machine alone, unless that is asked for. */
function refuseOpenDoor(
  address: Address,
  setting: Setting<Address>,
  sources: readonly Source[],
): void {
  if (isLoopback(address.host)) return;
  const source = given(setting, sources)?.source;
  const label = source?.label(setting) ?? `flag --${setting.name}`;
  throw new UsageError(
    `${label}: ${quote(formatAddress(address))} is not allowed, since a host beyond loopback needs users and TLS, which this version does not have; give a loopback host, or --insecure to do without them`,
  );
}

// ── values ────────────────────────────────────────────────────────────────────────────────────────

function parsePath(text: string): string | undefined {
  return text === "" || text.includes("\0") ? undefined : text;
}

/** Decimal digits alone: no sign, no point, no exponent. */
function wholeNumber(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function within(min: number, max: number, value: number | undefined): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, kib: KiB, mib: MiB, gib: GiB };

function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15}) ?([a-z]*)$/i.exec(text);
  if (match === null) return undefined;
  const unit = SIZE_UNITS[(match[2] ?? "").toLowerCase()];
  return unit === undefined ? undefined : Number(match[1]) * unit;
}

function formatSize(size: number): string {
  if (size % GiB === 0) return `${size / GiB} GiB`;
  return size % MiB === 0 ? `${size / MiB} MiB` : `${size / KiB} KiB`;
}

/** The items between commas, none of an empty text; undefined where one is not allowed. */
function parseList(
  text: string,
  parseItem: (item: string) => string | undefined,
): readonly string[] | undefined {
  if (text.trim() === "") return [];
  const items = text.split(",").map((item) => parseItem(item.trim()));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function parseAllowedHost(text: string): string | undefined {
  const host = text.toLowerCase();
  const inBrackets = /^\[(.+)\]$/.exec(host)?.[1];
  if (inBrackets !== undefined) return isIPv6(inBrackets) ? host : undefined;
  return isIPv4(host) || isHostName(host) ? host : undefined;
}

/** An origin must be as browsers send it, or it would never match. */
function parseOrigin(text: string): string | undefined {
  return /^https?:\/\//.test(text) && URL.parse(text)?.origin === text ? text : undefined;
}

/** Labels of letters, digits, hyphens and underscores; one that is digits alone at the end would be a broken IPv4. */
function isHostName(text: string): boolean {
  return (
    /^(?=.{1,253}$)([a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(
      text,
    ) && !/(^|\.)\d+$/.test(text)
  );
}

function textOfNumber(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : undefined;
}

function textOfList(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => typeof item === "string") ? value.join(",") : undefined;
}
