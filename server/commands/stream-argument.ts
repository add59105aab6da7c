/**
 * A stream argument that may be a pattern: with an unescaped `*`, `?` or `[` it is one, and else a backslash makes the
 * next sign stand for itself.
 */
import { StoreError } from "../errors.ts";
import { STREAM_ID_BYTES_MAX } from "../limits.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";

const BACKSLASH = 0x5c;
const WILDCARDS: ReadonlySet<number> = new Set([0x2a, 0x3f, 0x5b]); // * ? [

export function hasWildcard(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (WILDCARDS.has(bytes[i] as number)) return true;
  }
  return false;
}

/** The stream id that an argument with backslashes means. Throws INVALIDARG where it can be none. */
export function unescaped(args: Arguments, index: number): Uint8Array {
  const written = args.bytes(index);
  const bytes: number[] = [];
  for (let i = 0; i < written.length; i++) {
    const isEscape = written[i] === BACKSLASH && i + 1 < written.length;
    if (isEscape) i++;
    bytes.push(written[i] as number);
  }
  const id = Uint8Array.from(bytes);
  if (id.length > STREAM_ID_BYTES_MAX || !isText(id)) {
    throw new StoreError("INVALIDARG", `'${shown(args, index)}' is no stream id`);
  }
  return id;
}

/** Whether it is UTF-8 without NUL, CR and LF. */
function isText(bytes: Uint8Array): boolean {
  if (bytes.some((byte) => byte === 0x00 || byte === 0x0a || byte === 0x0d)) return false;
  try {
    strictDecoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true });
