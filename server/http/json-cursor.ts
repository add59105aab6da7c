/**
 * The walk over a body in JSON. Structure is read here; strings and whole values by the core, which checks them
 * strictly (core-wasm/assembly/json-read.ts). No number is parsed that is data, so none loses a digit.
 */
import { tooLarge } from "../errors.ts";
import { JSON_DEPTH_MAX } from "../limits.ts";
import { type Ahead, BodyCursor, checkedInteger } from "./body-cursor.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAP = 0x7b;
const CLOSE_MAP = 0x7d;

export class JsonCursor extends BodyCursor {
  readonly hasDataForms = true;
  protected readonly kind = "valid JSON";
  /** Nothing of the container that was opened last was read yet. */
  private isFirst = false;

  ahead(): Ahead {
    const byte = this.peek();
    if (byte === OPEN_MAP) return "map";
    if (byte === OPEN_LIST) return "list";
    if (byte === QUOTE) return "text";
    if (byte === MINUS || (byte >= 0x30 && byte <= 0x39)) return "number";
    if (byte < 0) throw this.fault("a value");
    return "other";
  }

  openMap(): void {
    this.at++;
    this.isFirst = true;
  }

  nextField(): boolean {
    if (!this.next(CLOSE_MAP, "',' or '}'")) return false;
    if (this.peek() !== QUOTE) throw this.fault("the name of a field, in double quotes");
    this.text();
    if (this.peek() !== COLON) throw this.fault("':' behind the name of a field");
    this.at++;
    return true;
  }

  openList(): void {
    this.at++;
    this.isFirst = true;
  }

  nextItem(): boolean {
    return this.next(CLOSE_LIST, "',' or ']'");
  }

  /** Passes a comma, if one must come; false where the container closes. */
  private next(close: number, expected: string): boolean {
    const byte = this.peek();
    const isFirst = this.isFirst;
    this.isFirst = false;
    if (byte === close) {
      this.at++;
      return false;
    }
    if (isFirst) return true;
    if (byte !== COMMA) throw this.fault(expected);
    this.at++;
    return true;
  }

  text(): void {
    const { exports } = this.core;
    const end = exports.jsonStringEnd(this.at, this.limit) >>> 0;
    if (end === 0) throw this.fault("a string of UTF-8 and JSON's escapes, in double quotes");
    this.address = this.at + 1;
    this.size = end - this.at - 2;
    if (exports.getStringHasEscapes() !== 0) {
      this.size = exports.jsonUnescape(this.address, this.size);
      if (this.size < 0) throw this.fault("no half of a surrogate pair alone in a string");
    }
    this.at = end;
  }

  number(): number {
    this.value();
    const text = this.core.text(this.address, this.size);
    return checkedInteger(Number(text));
  }

  data(): boolean {
    if (this.ahead() === "text") this.text();
    else this.value();
    return true;
  }

  value(): void {
    this.peek();
    const end = this.core.exports.jsonValueEnd(this.at, this.limit) >>> 0;
    if (end === 0) {
      if (this.core.exports.getValueIsTooDeep() !== 0) {
        const limit = "nesting of arrays and objects in a JSON value";
        throw tooLarge(limit, JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1);
      }
      throw this.fault("a valid value from here on");
    }
    this.address = this.at;
    this.size = end - this.at;
    this.at = end;
  }

  end(): void {
    if (this.peek() >= 0) throw this.fault("the end of the body");
  }

  /** The next byte behind white space, or -1 at the end. */
  private peek(): number {
    const { memory, exports } = this.core;
    let byte = memory[this.at] as number;
    if (this.at < this.limit && byte <= 0x20) {
      this.at = exports.jsonSpaceEnd(this.at, this.limit) >>> 0;
      byte = memory[this.at] as number;
    }
    return this.at < this.limit ? byte : -1;
  }
}
