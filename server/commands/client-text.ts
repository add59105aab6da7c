/**
 * The texts with which a client describes itself: its name, its library. They stand in CLIENT LIST's lines,
 * between spaces, so they are printable ASCII without spaces.
 */
import { StoreError, tooLarge } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import { CLIENT_TEXT_BYTES_MAX } from "./session.ts";

/** The argument as such a text; `what` names it at the beginning of the error (`Client names`). */
export function clientText(args: Arguments, index: number, what: string): string {
  const bytes = args.bytes(index);
  if (bytes.length > CLIENT_TEXT_BYTES_MAX) {
    throw tooLarge("a client's name, in bytes,", CLIENT_TEXT_BYTES_MAX, bytes.length);
  }
  if (bytes.some((byte) => byte < 0x21 || byte > 0x7e)) {
    const text = `${what} cannot contain spaces, newlines or special characters.`;
    throw new StoreError("INVALIDARG", text);
  }
  return args.text(index);
}
