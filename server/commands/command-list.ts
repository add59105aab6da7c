/**
 * COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
 * COMMAND GETKEYS command [arg …], COMMAND GETKEYSANDFLAGS command [arg …]
 *
 * LIST names the commands and their subcommands, all or those that a filter takes. GETKEYS finds the keys in a
 * command's arguments, which no command here has: streams are no keys of a cluster. So it answers as Redis
 * does for its own commands without keys.
 *
 *     COMMAND LIST FILTERBY PATTERN db*    → dbsize
 */
import { StoreError, tooLarge } from "../errors.ts";
import { PATTERN_BYTES_MAX } from "../limits.ts";
import { globMatches } from "../resp/glob.ts";
import { syntaxError } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { categoriesOf, findByName } from "./command-names.ts";
import { isContainer } from "./container.ts";

type Takes = (command: Command) => boolean;

export function list(commands: () => readonly Command[]): Command<Takes, string[]> {
  return {
    name: "COMMAND|LIST",
    kind: "connection",
    summary: "List the names of the commands.",
    arity: -2,
    flags: ["loading", "stale"],
    parse(args) {
      if (args.count === 2) return () => true;
      if (args.count !== 5 || !args.is(2, "FILTERBY")) throw syntaxError();
      return parseFilter(args);
    },
    run(takes) {
      return commands()
        .flatMap((command) => [command, ...(isContainer(command) ? command.subcommands : [])])
        .filter(takes)
        .map(({ name }) => name.toLowerCase());
    },
    reply(names, reply) {
      reply.array(names.length);
      for (const name of names) reply.blob(name);
    },
  };
}

function parseFilter(args: Arguments): Takes {
  if (args.is(3, "MODULE")) return () => false; // there are no modules
  if (args.is(3, "ACLCAT")) {
    const category = `@${args.text(4).toLowerCase()}`;
    return (command) => categoriesOf(command).includes(category);
  }
  if (!args.is(3, "PATTERN")) throw syntaxError();
  if (args.length(4) > PATTERN_BYTES_MAX) {
    throw tooLarge("a pattern of COMMAND LIST, in bytes,", PATTERN_BYTES_MAX, args.length(4));
  }
  const pattern = args.bytes(4).slice();
  return ({ name }) => globMatches(pattern, Buffer.from(name), true);
}

/** `GETKEYS` or `GETKEYSANDFLAGS`: neither finds a key. */
export function getKeys(
  name: string,
  commands: () => readonly Command[],
): Command<Command | null, never> {
  return {
    name,
    kind: "connection",
    summary: "Find the keys among a command's arguments: no command here has any.",
    arity: -4,
    flags: ["loading", "stale"],
    parse(args) {
      const family = args.text(2).toUpperCase();
      const command = findByName(commands(), family);
      if (command === null || !isContainer(command)) return command;
      return findByName(commands(), `${family}|${args.text(3).toUpperCase()}`);
    },
    run(command) {
      if (command === null) throw new StoreError("INVALIDARG", "Invalid command specified");
      throw new StoreError("INVALIDARG", "The command has no key arguments");
    },
    reply() {},
  };
}
