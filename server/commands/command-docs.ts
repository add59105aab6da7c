/**
 * COMMAND, COMMAND COUNT, COMMAND INFO [name …], COMMAND DOCS [name …]: the commands, described in Redis' shapes
 * (`command-list.ts` has LIST and GETKEYS).
 *
 * redis-cli makes its help and hints of them. No command has keys in Redis' sense (streams are no keys of a
 * cluster), so key positions are 0 and key specifications empty.
 */
import { tooLarge } from "../errors.ts";
import type { Reply } from "../resp/reply.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { getKeys, list } from "./command-list.ts";
import { categoriesOf, findByName } from "./command-names.ts";
import { type ContainerCommand, container, isContainer } from "./container.ts";

/** The version from which on a command is there; none is younger than the first. */
const SINCE = "0.1.0";

/** Names of one COMMAND INFO or DOCS, since the answer is many times the request. Above: TOOLARGE. */
const NAMES_MAX = 256;

const SERVER_GROUP: ReadonlySet<string> = new Set(["COMMAND", "CONFIG", "DBSIZE", "INFO", "TIME"]);
const TRANSACTIONS_GROUP: ReadonlySet<string> = new Set([
  "DISCARD",
  "EMAPPEND",
  "EXEC",
  "MULTI",
  "UNWATCH",
  "WATCH",
]);

const PUBSUB_GROUP: ReadonlySet<string> = new Set([
  "PSUBSCRIBE",
  "PUBLISH",
  "PUBSUB",
  "PUNSUBSCRIBE",
  "SUBSCRIBE",
  "UNSUBSCRIBE",
]);

const GENERIC_GROUP: ReadonlySet<string> = new Set(["EXISTS", "SCAN", "TYPE"]);

/** COMMAND over a list of commands that is complete only later: COMMAND is itself in it. */
export function commandCommand(commands: () => readonly Command[]): ContainerCommand {
  return container({
    name: "COMMAND",
    summary: "Describe all commands.",
    alone: describe("COMMAND", commands),
    subcommands: [
      count(commands),
      describe("COMMAND|INFO", commands),
      docs(commands),
      list(commands),
      getKeys("COMMAND|GETKEYS", commands),
      getKeys("COMMAND|GETKEYSANDFLAGS", commands),
    ],
  });
}

function count(commands: () => readonly Command[]): Command<void, number> {
  return {
    name: "COMMAND|COUNT",
    kind: "connection",
    summary: "Count the commands.",
    arity: 2,
    flags: ["loading", "stale"],
    parse() {},
    run() {
      return commands().length;
    },
    reply(total, reply) {
      reply.integer(total);
    },
  };
}

/** A name that is no command's is described by null. */
function describe(
  name: string,
  commands: () => readonly Command[],
): Command<string[] | null, (Command | null)[]> {
  return {
    name,
    kind: "connection",
    summary: "Describe the commands named, or all.",
    arity: -1,
    flags: ["loading", "stale"],
    parse: parseNames,
    run(names) {
      if (names === null) return [...commands()];
      return names.map((wanted) => findByName(commands(), wanted));
    },
    reply(described, reply) {
      reply.array(described.length);
      for (const command of described) {
        if (command === null) reply.null();
        else writeInfo(command, reply);
      }
    },
  };
}

/** A name that is no command's is left out. */
function docs(commands: () => readonly Command[]): Command<string[] | null, Command[]> {
  return {
    name: "COMMAND|DOCS",
    kind: "connection",
    summary: "Document the commands named, or all.",
    arity: -2,
    flags: ["loading", "stale"],
    parse: parseNames,
    run(names) {
      if (names === null) return [...commands()];
      return names
        .map((wanted) => findByName(commands(), wanted))
        .filter((command) => command !== null);
    },
    reply(documented, reply) {
      reply.map(documented.length);
      for (const command of documented) writeDocs(command, groupOf(command), reply);
    },
  };
}

/** Upper-case names from the third word on; null where there are none. */
function parseNames(args: Arguments): string[] | null {
  if (args.count <= 2) return null;
  const nameCount = args.count - 2;
  if (nameCount > NAMES_MAX) {
    throw tooLarge("the number of names of COMMAND", NAMES_MAX, nameCount);
  }
  return Array.from({ length: nameCount }, (_, i) => args.text(i + 2).toUpperCase());
}

function writeInfo(command: Command, reply: Reply): void {
  reply.array(10);
  reply.blob(command.name.toLowerCase());
  reply.integer(command.arity);
  writeSimpleSet(command.flags, reply);
  reply.integer(0); // first key, last key, step
  reply.integer(0);
  reply.integer(0);
  writeSimpleSet(categoriesOf(command), reply);
  reply.set(0); // tips
  reply.set(0); // key specifications
  if (isContainer(command)) {
    reply.array(command.subcommands.length);
    for (const subcommand of command.subcommands) writeInfo(subcommand, reply);
  } else {
    reply.set(0);
  }
}

function writeSimpleSet(members: readonly string[], reply: Reply): void {
  reply.set(members.length);
  for (const member of members) reply.simple(member);
}

function writeDocs(command: Command, group: string, reply: Reply): void {
  reply.blob(command.name.toLowerCase());
  reply.map(isContainer(command) ? 4 : 3);
  reply.blob("summary");
  reply.blob(command.summary);
  reply.blob("since");
  reply.blob(SINCE);
  reply.blob("group");
  reply.blob(group);
  if (!isContainer(command)) return;
  reply.blob("subcommands");
  reply.map(command.subcommands.length);
  for (const subcommand of command.subcommands) writeDocs(subcommand, group, reply);
}

/** One of Redis' groups, under which redis-cli lists the command. */
function groupOf(command: Command): string {
  const family = command.name.split("|", 1)[0] as string;
  if (SERVER_GROUP.has(family)) return "server";
  if (GENERIC_GROUP.has(family)) return "generic";
  if (PUBSUB_GROUP.has(family)) return "pubsub";
  if (TRANSACTIONS_GROUP.has(family)) return "transactions";
  const isOfStreams = command.kind !== "connection" || command.flags.includes("pubsub");
  return isOfStreams ? "stream" : "connection";
}
