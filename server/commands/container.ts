/**
 * Commands whose second word says what they do: CLIENT, COMMAND, CONFIG.
 *
 * Each subcommand is a command of its own, named as Redis names it (`CLIENT|SETNAME`) and with an arity that
 * counts both words; the container finds it and passes everything on. HELP is made from the summaries.
 */
import { StoreError } from "../errors.ts";
import { checkArity, shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";
import { type Command, WAIT } from "./command.ts";

export interface ContainerCommand extends Command<Chosen, Outcome> {
  readonly subcommands: readonly Command[];
}

interface Chosen {
  readonly subcommand: Command;
  readonly request: unknown;
}

interface Outcome {
  readonly subcommand: Command;
  readonly result: unknown;
}

interface ContainerOptions {
  readonly name: string;
  readonly summary: string;
  readonly subcommands: readonly Command[];
  /** What the container's name alone does; without it that is an error. */
  readonly alone?: Command;
}

export function container(options: ContainerOptions): ContainerCommand {
  const { name, summary, alone } = options;
  const subcommands = [...options.subcommands, help(name, options.subcommands)];
  const words = subcommands.map(wordOf);

  function choose(args: Arguments): Command {
    if (args.count === 1) {
      if (alone === undefined) checkArity({ name, arity: -2 }, args);
      else return alone;
    }
    const index = words.findIndex((word) => args.is(1, word));
    const subcommand = subcommands[index];
    if (subcommand === undefined) {
      const text = `unknown subcommand '${shown(args, 1)}'. Try ${name} HELP.`;
      throw new StoreError("INVALIDARG", text);
    }
    checkArity(subcommand, args);
    return subcommand;
  }

  return {
    name,
    summary,
    subcommands,
    kind: "connection",
    arity: alone === undefined ? -2 : -1,
    flags: [],

    parse(args, context) {
      const subcommand = choose(args);
      return { subcommand, request: subcommand.parse(args, context) };
    },

    run({ subcommand, request }, context) {
      context.session.lastCommand = subcommand.name;
      const result = subcommand.run(request, context);
      return result === WAIT ? WAIT : { subcommand, result };
    },

    reply({ subcommand, result }, reply, context) {
      subcommand.reply(result, reply, context);
    },
  };
}

export function isContainer(command: Command): command is ContainerCommand {
  return "subcommands" in command;
}

/** `CLIENT|SETNAME` → `SETNAME`. */
function wordOf(subcommand: Command): string {
  return subcommand.name.slice(subcommand.name.indexOf("|") + 1);
}

function help(name: string, subcommands: readonly Command[]): Command {
  const lines = [`${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`];
  for (const subcommand of subcommands) lines.push(wordOf(subcommand), `    ${subcommand.summary}`);
  lines.push("HELP", "    Print this help.");
  return {
    name: `${name}|HELP`,
    kind: "connection",
    summary: "Print this help.",
    arity: 2,
    flags: ["loading", "stale"],
    parse() {},
    run() {},
    reply(_result, reply) {
      reply.array(lines.length);
      for (const line of lines) reply.simple(line);
    },
  };
}
