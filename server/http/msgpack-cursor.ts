/**
 * The walk over a body in MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md). Texts must be
 * valid UTF-8; data is `str` or `bin`.
 */
import { type Ahead, BodyCursor, checkedInteger } from "./body-cursor.ts";

/** Bytes of the size behind the lead byte, or of the number. */
const SIZES: Readonly<Record<number, number>> = {
  196: 1, // bin 8, 16, 32
  197: 2,
  198: 4,
  204: 1, // uint 8, 16, 32, 64
  205: 2,
  206: 4,
  207: 8,
  208: 1, // int 8, 16, 32, 64
  209: 2,
  210: 4,
  211: 8,
  217: 1, // str 8, 16, 32
  218: 2,
  219: 4,
  220: 2, // array 16, 32
  221: 4,
  222: 2, // map 16, 32
  223: 4,
};

type Family = "map" | "list" | "str" | "bin" | "uint" | "int" | "float" | "other";

export class MsgpackCursor extends BodyCursor {
  readonly hasDataForms = false;
  protected readonly kind = "MessagePack as it is taken here,";
  /** Values that the open containers still hold, the innermost last. */
  private readonly left: number[] = [];

  ahead(): Ahead {
    const family = this.family();
    if (family === "map" || family === "list") return family;
    if (family === "str") return "text";
    return family === "uint" || family === "int" || family === "float" ? "number" : "other";
  }

  openMap(): void {
    this.left.push(this.head());
  }

  nextField(): boolean {
    if (!this.nextItem()) return false;
    if (this.ahead() !== "text") throw this.fault("the name of a field as a str");
    this.text();
    return true;
  }

  openList(): void {
    this.left.push(this.head());
  }

  nextItem(): boolean {
    const left = this.left.pop() ?? 0;
    if (left === 0) return false;
    this.left.push(left - 1);
    return true;
  }

  text(): void {
    this.take(this.head());
    if (!this.core.validUtf8(this.address, this.size)) {
      throw this.fault("a str to be valid UTF-8 (bytes go into a bin)");
    }
  }

  number(): number {
    const family = this.family();
    if (family === "float") {
      const size = this.memory[this.at] === 0xca ? 4 : 8;
      this.at++;
      this.take(size);
      const view = new DataView(this.memory.buffer, this.address, size);
      return checkedInteger(size === 4 ? view.getFloat32(0) : view.getFloat64(0));
    }
    const lead = this.memory[this.at] as number;
    if (lead >= 0xe0) {
      this.at++;
      return Number.NaN; // -1 to -32
    }
    const size = SIZES[lead];
    const value = this.head();
    const isNegative = family === "int" && size !== undefined && value >= 2 ** (8 * size - 1);
    return isNegative ? Number.NaN : checkedInteger(value);
  }

  data(): boolean {
    const family = this.family();
    if (family === "str") this.text();
    else if (family === "bin") this.take(this.head());
    else return false;
    return true;
  }

  value(): void {
    throw new Error("MessagePack has no fields that take any value");
  }

  end(): void {
    if (this.at < this.limit) throw this.fault("the end of the body");
  }

  private get memory(): Uint8Array {
    return this.core.memory;
  }

  private family(): Family {
    if (this.at >= this.limit) throw this.fault("a value");
    const lead = this.memory[this.at] as number;
    if (lead < 0x80) return "uint";
    if (lead < 0x90 || lead === 0xde || lead === 0xdf) return "map";
    if (lead < 0xa0 || lead === 0xdc || lead === 0xdd) return "list";
    if (lead < 0xc0 || (lead >= 0xd9 && lead <= 0xdb)) return "str";
    if (lead >= 0xc4 && lead <= 0xc6) return "bin";
    if (lead === 0xca || lead === 0xcb) return "float";
    if (lead >= 0xcc && lead <= 0xcf) return "uint";
    if ((lead >= 0xd0 && lead <= 0xd3) || lead >= 0xe0) return "int";
    return "other";
  }

  /** Passes the head of a value: gives its size, its count, or the unsigned number that it is. */
  private head(): number {
    const lead = this.memory[this.at] as number;
    const size = SIZES[lead];
    this.at++;
    if (size === undefined) {
      if (lead < 0x80) return lead;
      return lead < 0xa0 ? lead & 0x0f : lead & 0x1f;
    }
    this.need(size);
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.memory[this.at + i] as number);
    this.at += size;
    return value;
  }

  private take(size: number): void {
    this.need(size);
    this.address = this.at;
    this.size = size;
    this.at += size;
  }

  private need(size: number): void {
    if (size > this.limit - this.at) throw this.fault(`${size} bytes more`);
  }
}
