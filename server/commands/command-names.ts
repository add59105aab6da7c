/**
 * Commands by the names that COMMAND takes and gives, subcommands among them: `PING`, `CLIENT|ID`.
 */
import type { Command } from "./command.ts";
import { isContainer } from "./container.ts";

/** Finds `PING`, and `CLIENT|ID` in its container; `name` is upper case. */
export function findByName(commands: readonly Command[], name: string): Command | null {
  const family = name.split("|", 1)[0];
  const command = commands.find((candidate) => candidate.name === family) ?? null;
  if (command === null || command.name === name) return command;
  if (!isContainer(command)) return null;
  return command.subcommands.find((subcommand) => subcommand.name === name) ?? null;
}

/** Redis' ACL categories, `@read` and the like, as far as they say something here. */
export function categoriesOf(command: Command): string[] {
  const categories = [command.flags.includes("fast") ? "@fast" : "@slow"];
  if (command.flags.includes("write")) categories.push("@write");
  if (command.flags.includes("readonly")) categories.push("@read");
  if (command.flags.includes("admin")) categories.push("@admin", "@dangerous");
  if (command.flags.includes("pubsub")) categories.push("@pubsub");
  else if (command.kind === "connection") categories.push("@connection");
  return categories;
}
