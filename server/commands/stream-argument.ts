/**
 * A stream argument that may be a pattern, or has backslashes.
 */
import { StoreError } from "../errors.ts";
import { unescapedStreamId } from "../store/stream-pattern.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";

/** The stream id that an argument with backslashes means. Throws INVALIDARG where it can be none. */
export function unescaped(args: Arguments, index: number): Uint8Array {
  const id = unescapedStreamId(args.bytes(index));
  if (id === null) throw new StoreError("INVALIDARG", `'${shown(args, index)}' is no stream id`);
  return id;
}
