/**
 * A walk over the body of an append, which lies in core memory: one interface, of which there are two, for JSON and
 * for MessagePack. Nothing becomes an object: what is found is a place in core memory.
 */
import type { StoreError } from "../errors.ts";

/** What kind of value comes next. */
export type Ahead = "map" | "list" | "text" | "number" | "other";

export interface BodyCursor {
  /** Where the text, the data or the name of a field is that was read last: core address and bytes. */
  readonly address: number;
  readonly size: number;
  /** Whether fields ending in `_json` and `_base64` exist in it: MessagePack carries bytes itself. */
  readonly hasDataForms: boolean;

  /** Throws where nothing comes. */
  ahead(): Ahead;
  openMap(): void;
  /** Reads the name of the map's next field, or leaves the map: false. */
  nextField(): boolean;
  openList(): void;
  /** Whether another item comes; otherwise the list is left. */
  nextItem(): boolean;
  /** Reads a text, which is `ahead`. */
  text(): void;
  /** Reads a number, which is `ahead`; NaN where it is no integer from 0 to 2^53-1. */
  number(): number;
  /** Reads data: a text, or any other value byte for byte. False where it may not be data. */
  data(): boolean;
  /** Reads any value byte for byte. */
  value(): void;
  /** Throws unless the body ends here. */
  end(): void;
  /** What is ahead is not what was expected, which is told with the place in the body. */
  fault(expected: string): StoreError;
}
