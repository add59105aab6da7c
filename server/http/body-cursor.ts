/**
 * A walk over the body of an append, which lies in core memory: one for JSON and one for
 * MessagePack. Nothing becomes an object: what is found is a place in core memory.
 */
import type { Core } from "../core/core.ts";
import { StoreError } from "../errors.ts";
import { INTEGER_MAX } from "../limits.ts";

/** What kind of value comes next. */
export type Ahead = "map" | "list" | "text" | "number" | "other";

export abstract class BodyCursor {
  /** Where the text, the data or the name of a field is that was read last: core address and bytes. */
  address = 0;
  size = 0;
  /** Whether fields ending in `_json` and `_base64` exist in it: MessagePack carries bytes itself. */
  abstract readonly hasDataForms: boolean;
  /** What a body that is none of its kind is told not to be. */
  protected abstract readonly kind: string;
  protected readonly core: Core;
  /** The byte that is read next, and where the body ends. */
  protected at: number;
  protected readonly limit: number;
  private readonly start: number;

  constructor(core: Core, start: number, size: number) {
    this.core = core;
    this.start = start;
    this.limit = start + size;
    this.at = start;
  }

  /** Throws where nothing comes. */
  abstract ahead(): Ahead;
  abstract openMap(): void;
  /** Reads the name of the map's next field, or leaves the map: false. */
  abstract nextField(): boolean;
  abstract openList(): void;
  /** Whether another item comes; otherwise the list is left. */
  abstract nextItem(): boolean;
  /** Reads a text, which is `ahead`. */
  abstract text(): void;
  /** Reads a number, which is `ahead`; NaN where it is no integer from 0 to 2^53-1. */
  abstract number(): number;
  /** Reads data: a text, or any other value byte for byte. False where it may not be data. */
  abstract data(): boolean;
  /** Reads any value byte for byte. */
  abstract value(): void;
  /** Throws unless the body ends here. */
  abstract end(): void;

  /** What is ahead is not what was expected, which is told with the place in the body. */
  fault(expected: string): StoreError {
    const place = `at byte ${this.at - this.start}`;
    return new StoreError(
      "INVALIDARG",
      `the body is not ${this.kind} ${place}: expected ${expected}`,
    );
  }
}

/** The number, or NaN where it is no integer from 0 to 2^53-1. */
export function checkedInteger(value: number): number {
  return Number.isInteger(value) && value >= 0 && value <= INTEGER_MAX ? value : Number.NaN;
}
