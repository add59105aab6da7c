/**
 * FORMAT.md's hex blocks: reading them, and walking over bytes so that each field becomes a line of such a block.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const DOCUMENT = join(import.meta.dirname, "../../core-wasm/FORMAT.md");
const BYTES_PER_LINE = 16;
const HEX_WIDTH = BYTES_PER_LINE * 3 - 1;

/** Walks over bytes field by field, and writes each down as a line of the document. */
export class Walk {
  readonly lines: string[] = [];
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  title(text: string): void {
    this.lines.push(...(this.lines.length > 0 ? [""] : []), text);
  }

  field<Value>(
    size: number,
    name: string,
    read: (bytes: Uint8Array) => Value,
    say?: (value: Value) => string,
  ): Value {
    if (this.at + size > this.bytes.length) throw new Error(`${name} at ${this.at} is cut off`);
    const bytes = this.bytes.subarray(this.at, this.at + size);
    const value = read(bytes);
    const text = say === undefined ? `${name} ${String(value)}`.trimEnd() : say(value);
    for (let i = 0; i < size; i += BYTES_PER_LINE) {
      const offset = (this.at + i).toString(16).padStart(4, "0");
      const hex = spaced(bytes.subarray(i, i + BYTES_PER_LINE));
      this.lines.push(
        i === 0 ? `${offset}  ${hex.padEnd(HEX_WIDTH)}  ${text}` : `${offset}  ${hex}`,
      );
    }
    this.at += size;
    return value;
  }

  u8 = (name: string, say?: (value: number) => string): number =>
    this.field(1, name, (bytes) => bytes[0] ?? 0, say);
  number = (size: number, name: string, say?: (value: number) => string): number =>
    this.field(size, name, little, say);
  text = (size: number, name: string): string =>
    size === 0 ? "" : this.field(size, name, (bytes) => Buffer.from(bytes).toString("utf8"));
  uuid = (name: string): string => this.field(16, name, uuidText);
  check = (name: string, expected: number): void => {
    this.number(4, name, (value) => {
      if (value !== expected) throw new Error(`${name} is ${value}, not ${expected}`);
      return `${name}, right`;
    });
  };

  /** Passes over zeros up to `end`, without a line. */
  skipZeros(end: number): void {
    const nonZero = this.bytes.subarray(this.at, end).findIndex((byte) => byte !== 0);
    if (nonZero >= 0) throw new Error(`the byte at ${this.at + nonZero} is not zero`);
    this.at = end;
  }

  /** LEB128. */
  varint(name: string, say?: (value: number) => string): number {
    let size = 1;
    while ((this.bytes[this.at + size - 1] ?? 0) >= 0x80) size++;
    return this.field(
      size,
      name,
      (bytes) => bytes.reduce((sum, byte, index) => sum + (byte & 0x7f) * 2 ** (7 * index), 0),
      say,
    );
  }
}

export function little(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}

export function spaced(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function readDocument(): string {
  return readFileSync(DOCUMENT, "utf8");
}

/** Writes blocks anew, by their names; gives the document as it is then. */
export function updateDocument(blocks: Readonly<Record<string, readonly string[]>>): string {
  let document = readDocument();
  for (const [name, lines] of Object.entries(blocks)) {
    document = document.replace(
      fence(name),
      () => `\`\`\`hex ${name}\n${lines.join("\n")}\n\`\`\``,
    );
  }
  writeFileSync(DOCUMENT, document);
  return document;
}

function fence(name: string): RegExp {
  return new RegExp(`^\`\`\`hex ${name}\n(.*?)\n\`\`\`$`, "ms");
}

export function block(document: string, name: string): string {
  const found = fence(name).exec(document)?.[1];
  if (found === undefined) throw new Error(`FORMAT.md has no block ${name}`);
  return found;
}

/** The bytes of a block: what stands between the offset and the words. A sparse one leaves zeros out. */
export function bytesOf(text: string, isSparse = false): Uint8Array {
  const bytes: number[] = [];
  for (const line of text.split("\n")) {
    const match = /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: {2,}.*)?$/.exec(line);
    if (match === null) continue;
    const offset = parseInt(match[1] ?? "", 16);
    while (bytes.length < offset && isSparse) bytes.push(0);
    if (offset !== bytes.length) throw new Error(`FORMAT.md: this line is out of place: ${line}`);
    bytes.push(...(match[2] ?? "").split(" ").map((pair) => parseInt(pair, 16)));
  }
  return Uint8Array.from(bytes);
}
