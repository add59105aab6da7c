/**
 * The settings of `cairn serve`. The table is also what `cairn help serve` prints, so a setting has no second description.
 */
import {
  CACHE_BYTES_DEFAULT,
  CACHE_BYTES_MAX,
  CACHE_BYTES_MIN,
  INDEX_MEMORY_BYTES_DEFAULT,
  INDEX_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_MIN,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
} from "../limits.ts";
import { LOG_LEVELS, type LogFormat, type LogLevel } from "../stderr-log.ts";
import { ADDRESS_ALLOWED, type Address, parseAddress } from "./address.ts";
import { setting, size, toggle } from "./setting.ts";
import {
  parseAllowedHost,
  parseList,
  parseOrigin,
  parsePath,
  textOfList,
  textOfNumber,
  wholeNumber,
  within,
} from "./values.ts";

export const TABLE = {
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

/** The table of flags as `cairn help serve` shows it, one setting a paragraph. */
export function describeSettings(): string {
  return Object.values(TABLE)
    .map((setting) => {
      const flag = `--${setting.name}${setting.isSwitch ? "" : ` ${setting.placeholder}`}`;
      return `  ${flag.padEnd(26)}${setting.help}\n${" ".repeat(28)}default ${setting.initialText}; ${setting.environment}\n`;
    })
    .join("");
}
