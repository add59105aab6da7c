/**
 * CONFIG GET pattern [pattern …]
 *
 * Tells the settings whose names match: every flag of `serve` under its own name, and under Redis' names what
 * clients and tools of Redis ask for, with the value that is true here. CONFIG SET is refused: settings are
 * given at the start.
 *
 *     CONFIG GET appendfsync    → appendfsync always
 */
import { StoreError, tooLarge } from "../errors.ts";
import { ARGUMENT_BYTES_MAX, KiB, REQUEST_BYTES_MAX } from "../limits.ts";
import { globMatches } from "../resp/glob.ts";
import type { Command, Context } from "./command.ts";
import { container } from "./container.ts";

/** A pattern of CONFIG GET. Above: TOOLARGE. */
const PATTERN_BYTES_MAX = 1 * KiB;
/** Patterns of one CONFIG GET. Above: TOOLARGE. */
const PATTERNS_MAX = 64;

type Setting = readonly [name: string, value: string];

const configGet: Command<Uint8Array[], Setting[]> = {
  name: "CONFIG|GET",
  kind: "connection",
  summary: "Tell the settings whose names match the patterns.",
  arity: -3,
  flags: ["admin", "noscript", "loading", "stale"],

  parse(args) {
    const patternCount = args.count - 2;
    if (patternCount > PATTERNS_MAX) {
      throw tooLarge("the number of patterns of CONFIG GET", PATTERNS_MAX, patternCount);
    }
    const patterns: Uint8Array[] = [];
    for (let i = 2; i < args.count; i++) {
      if (args.length(i) > PATTERN_BYTES_MAX) {
        throw tooLarge("a pattern of CONFIG GET, in bytes,", PATTERN_BYTES_MAX, args.length(i));
      }
      patterns.push(args.bytes(i));
    }
    return patterns;
  },

  run(patterns, context) {
    return settingsOf(context).filter(([name]) => {
      const nameBytes = Buffer.from(name);
      return patterns.some((pattern) => globMatches(pattern, nameBytes, true));
    });
  },

  reply(settings, reply) {
    reply.map(settings.length);
    for (const [name, value] of settings) {
      reply.blob(name);
      reply.blob(value);
    }
  },
};

const configSet: Command<void, never> = {
  name: "CONFIG|SET",
  kind: "connection",
  summary: "Refused: settings are given at the start.",
  arity: -4,
  flags: ["admin", "noscript", "loading", "stale"],
  parse() {},
  run() {
    throw new StoreError(
      "INVALIDARG",
      "settings are given when the server starts, by flag, environment or configuration file",
    );
  },
  reply() {},
};

export const config = container({
  name: "CONFIG",
  summary: "Tell the settings.",
  subcommands: [configGet, configSet],
});

/** Names of our own beat Redis'. */
function settingsOf({ server, store }: Context): Setting[] {
  const redis: Setting[] = [
    ["appendfsync", store.durability === "fsync" ? "always" : "everysec"],
    ["appendonly", "yes"], // the log is one file to which is appended
    ["bind", server.respHost],
    ["client-query-buffer-limit", String(REQUEST_BYTES_MAX)],
    ["cluster-enabled", "no"],
    ["databases", "1"],
    ["maxclients", String(server.connectionsMax)],
    ["maxmemory", "0"], // no events are evicted
    ["maxmemory-policy", "noeviction"],
    ["notify-keyspace-events", ""],
    ["port", String(server.respPort)],
    ["proto-max-bulk-len", String(ARGUMENT_BYTES_MAX)],
    ["requirepass", ""],
    ["save", ""], // no snapshots
    ["timeout", "0"], // idle connections stay
  ];
  const names = new Set(server.settings.keys());
  return [...server.settings, ...redis.filter(([name]) => !names.has(name))];
}
