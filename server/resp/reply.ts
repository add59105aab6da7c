/**
 * Writes replies, in RESP2 or RESP3, into a byte sink.
 *
 * One call writes one value; a map's or an array's members follow as calls of their own. Callers speak
 * RESP3, and RESP2 gets what it has instead: a flat array for a map, `$-1` for null, 0 and 1 for booleans.
 * No line of a reply ever contains a line end that a user put into it.
 */
import { assert } from "../assert.ts";
import type { ErrorCode } from "../errors.ts";
import type { ByteSink } from "./byte-sink.ts";

export class Reply {
  /** Where the bytes go. */
  sink: ByteSink;
  /** The version that the connection speaks: HELLO sets it. */
  protocol: 2 | 3 = 2;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  /** `+text`. A line end in the text becomes a blank. */
  simple(text: string): void {
    const { sink } = this;
    sink.reserve(1 + text.length * UTF8_BYTES_MAX + LINE_END_SIZE);
    sink.memory[sink.tail++] = PLUS;
    writeLine(sink, text);
  }

  /** `-CODE text`. A line end in the text becomes a blank. */
  error(code: ErrorCode, text: string): void {
    const { sink } = this;
    const line = `${code} ${text}`;
    sink.reserve(1 + line.length * UTF8_BYTES_MAX + LINE_END_SIZE);
    sink.memory[sink.tail++] = HYPHEN;
    writeLine(sink, line);
  }

  /** An integer from -(2^53-1) to 2^53-1. */
  integer(value: number): void {
    writeHeader(this.sink, COLON, value);
  }

  /** A string of any bytes. Bytes must not be a view of the sink's memory, which may move. */
  blob(value: string | Uint8Array): void {
    if (typeof value === "string") this.blobText(DOLLAR, "", value);
    else this.blobBytes(value);
  }

  /** Text for people to read, as INFO's. */
  verbatim(text: string): void {
    if (this.protocol === 3) this.blobText(EQUALS, "txt:", text);
    else this.blobText(DOLLAR, "", text);
  }

  null(): void {
    writeAscii(this.sink, this.protocol === 3 ? "_\r\n" : "$-1\r\n");
  }

  boolean(value: boolean): void {
    if (this.protocol === 3) writeAscii(this.sink, value ? "#t\r\n" : "#f\r\n");
    else writeAscii(this.sink, value ? ":1\r\n" : ":0\r\n");
  }

  /** A map of `size` pairs: key, value, key, value … follow. */
  map(size: number): void {
    if (this.protocol === 3) writeHeader(this.sink, PERCENT, size);
    else writeHeader(this.sink, ASTERISK, size * 2);
  }

  /** An array: `size` values follow. */
  array(size: number): void {
    writeHeader(this.sink, ASTERISK, size);
  }

  /** A set: `size` different values follow. */
  set(size: number): void {
    writeHeader(this.sink, this.protocol === 3 ? TILDE : ASTERISK, size);
  }

  /** What the client did not ask for: `size` values follow, the first names its kind. */
  push(size: number): void {
    writeHeader(this.sink, this.protocol === 3 ? GREATER : ASTERISK, size);
  }

  private blobText(type: number, prefix: string, text: string): void {
    const { sink } = this;
    if (!isAscii(text)) {
      const bytes = textEncoder.encode(prefix + text);
      this.blobBytes(bytes, type);
      return;
    }
    writeHeader(sink, type, prefix.length + text.length);
    sink.reserve(prefix.length + text.length + LINE_END_SIZE);
    const { memory } = sink;
    let tail = sink.tail;
    for (let i = 0; i < prefix.length; i++) memory[tail++] = prefix.charCodeAt(i);
    for (let i = 0; i < text.length; i++) memory[tail++] = text.charCodeAt(i);
    memory[tail++] = CR;
    memory[tail++] = LF;
    sink.tail = tail;
  }

  private blobBytes(bytes: Uint8Array, type = DOLLAR): void {
    const { sink } = this;
    writeHeader(sink, type, bytes.length);
    sink.reserve(bytes.length + LINE_END_SIZE);
    sink.memory.set(bytes, sink.tail);
    sink.tail += bytes.length;
    sink.memory[sink.tail++] = CR;
    sink.memory[sink.tail++] = LF;
  }
}

const textEncoder = new TextEncoder();

const LF = 0x0a;
const CR = 0x0d;
const BLANK = 0x20;
const DOLLAR = 0x24;
const PERCENT = 0x25;
const ASTERISK = 0x2a;
const PLUS = 0x2b;
const HYPHEN = 0x2d;
const ZERO = 0x30;
const COLON = 0x3a;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const TILDE = 0x7e;

const LINE_END_SIZE = 2;
/** UTF-8 bytes of one UTF-16 unit at most. */
const UTF8_BYTES_MAX = 3;
/** Digits of 2^53-1. */
const INTEGER_DIGITS_MAX = 16;
/** Type, sign, digits, line end. */
const HEADER_BYTES_MAX = 1 + 1 + INTEGER_DIGITS_MAX + LINE_END_SIZE;
/** Whole numbers below it divide as 32-bit integers. */
const UINT31_END = 2 ** 31;

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return false;
  }
  return true;
}

/** Writes text that is ASCII and ours. */
function writeAscii(sink: ByteSink, text: string): void {
  sink.reserve(text.length);
  const { memory, tail } = sink;
  for (let i = 0; i < text.length; i++) memory[tail + i] = text.charCodeAt(i);
  sink.tail = tail + text.length;
}

/** Writes text with its line ends blanked, then the line's own end; the room is reserved. */
function writeLine(sink: ByteSink, text: string): void {
  const { memory } = sink;
  const start = sink.tail;
  let tail = start;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) {
      tail += textEncoder.encodeInto(
        text.slice(i).replace(/[\r\n]/g, " "),
        memory.subarray(tail),
      ).written;
      break;
    }
    memory[tail++] = unit === CR || unit === LF ? BLANK : unit;
  }
  memory[tail++] = CR;
  memory[tail++] = LF;
  sink.tail = tail;
}

/** Writes a type's byte, a number and a line end: an integer, or the head of what has a length. */
function writeHeader(sink: ByteSink, type: number, value: number): void {
  assert(Number.isSafeInteger(value));
  sink.reserve(HEADER_BYTES_MAX);
  const { memory } = sink;
  let tail = sink.tail;
  memory[tail++] = type;
  let rest = value;
  if (rest < 0) {
    memory[tail++] = HYPHEN;
    rest = -rest;
  }
  let digits = 1;
  for (let bound = 10; bound <= rest; bound *= 10) digits++;
  let at = tail + digits;
  while (rest >= UINT31_END) {
    const quotient = Math.floor(rest / 10);
    memory[--at] = ZERO + (rest - quotient * 10);
    rest = quotient;
  }
  let small = rest | 0;
  do {
    const quotient = (small / 10) | 0;
    memory[--at] = ZERO + (small - quotient * 10);
    small = quotient;
  } while (at > tail);
  tail += digits;
  memory[tail++] = CR;
  memory[tail++] = LF;
  sink.tail = tail;
}
