/**
 * The errors that most service commands share, in Redis' words.
 */
import { StoreError } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";

/** Bytes of a client's own words that an error repeats; the rest is left out. */
const SHOWN_BYTES_MAX = 128;

/** Throws unless the request has as many arguments as the command's arity demands. */
export function checkArity(command: Pick<Command, "name" | "arity">, args: Arguments): void {
  const { arity } = command;
  if (arity >= 0 ? args.count !== arity : args.count < -arity) throw wrongArity(command);
}

/** For a command with an upper bound on its arguments, which an arity cannot tell. */
export function wrongArity(command: Pick<Command, "name">): StoreError {
  const name = command.name.toLowerCase();
  return new StoreError("INVALIDARG", `wrong number of arguments for '${name}' command`);
}

export function syntaxError(): StoreError {
  return new StoreError("INVALIDARG", "syntax error");
}

/** An argument as an error may show it: cut, and without control characters (an error is one line). */
export function shown(args: Arguments, index: number): string {
  return shownBytes(args.bytes(index));
}

/** The same of bytes that a client sent. */
export function shownBytes(bytes: Uint8Array): string {
  const text = textDecoder.decode(bytes.subarray(0, SHOWN_BYTES_MAX));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
  return text.replace(/[\x00-\x1f\x7f]/g, " ");
}

const textDecoder = new TextDecoder();
