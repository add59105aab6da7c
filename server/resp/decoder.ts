/**
 * RESP requests out of the bytes of one connection.
 *
 * Takes chunks as the socket gives them and describes one request at a time by offsets into `bytes`; nothing
 * is copied while whole requests arrive in one chunk. A chunk belongs to the socket and is gone after
 * `release`, which keeps what is undecoded in a buffer of the decoder's own. Every byte is looked at once,
 * however the input is cut, and memory is taken for bytes received only, never for a length that is claimed.
 *
 * Framing errors are worded as Redis words them, and found at the same places. Stricter than Redis: a bulk
 * string that is not followed by CR LF has an invalid length, so that a client that counts characters for
 * bytes cannot store a shifted event; and a negative multibulk length other than -1 is an error.
 */
import { assert } from "../assert.ts";
import { type ErrorCode, tooLarge } from "../errors.ts";
import {
  ARGUMENT_BYTES_MAX,
  ARGUMENTS_MAX,
  INLINE_BYTES_MAX,
  KiB,
  MiB,
  REQUEST_BYTES_MAX,
  UNAUTHENTICATED_ARGUMENT_BYTES_MAX,
  UNAUTHENTICATED_ARGUMENTS_MAX,
} from "../limits.ts";

/** A bulk length that no client means (Redis' own limit). Above: invalid, where a lesser one is TOOLARGE. */
const BULK_LENGTH_MAX = 512 * MiB;
/** A multibulk length that no client means (Redis' own limit). Above: invalid, where a lesser one is TOOLARGE. */
const MULTIBULK_LENGTH_MAX = 2 ** 31 - 1;
/** Digits of a length; more are an overflow whatever they are, and 15 are exact in a double. */
const LENGTH_DIGITS_MAX = 15;

/** The decoder's own buffer when it is first needed. */
const BUFFER_BYTES_MIN = 4 * KiB;
/** What an idle connection keeps of its buffer. Above: given back. */
const BUFFER_BYTES_IDLE = 16 * KiB;
/** Arguments that there is room for from the start, and what an idle connection keeps of the tables. */
const TABLE_LENGTH_MIN = 32;
const TABLE_LENGTH_IDLE = 1_024;

/** What `next` found: more bytes are needed, a request is described, or `fault` says what is wrong. */
export const MORE = 0;
export const REQUEST = 1;
export const FAULT = 2;
export type DecodeStatus = typeof MORE | typeof REQUEST | typeof FAULT;

/** What the client did wrong. */
export interface Fault {
  readonly code: ErrorCode;
  /** The error's text without its code. Empty: the connection closes without a word. */
  readonly text: string;
  /** False: the request was passed over as a whole, and decoding goes on behind it. */
  readonly closes: boolean;
}

export class RequestDecoder {
  /** The bytes that offsets refer to: the chunk, or the decoder's own buffer. */
  bytes: Uint8Array = NO_BYTES;
  /** Where the valid part of `bytes` ends. */
  end = 0;
  /**
   * Goes up whenever `bytes` is another array, was moved, or was rewritten (an inline request's quotes): a
   * copy of `bytes` made under another revision is stale.
   */
  revision = 0;

  /** Where the current request starts in `bytes`. */
  requestStart = 0;
  /** Arguments of the current request, the command's name included. */
  count = 0;
  /** Offset of each argument in `bytes`. */
  starts: Uint32Array = new Uint32Array(TABLE_LENGTH_MIN);
  /** Bytes of each argument. */
  lengths: Uint32Array = new Uint32Array(TABLE_LENGTH_MIN);

  /** What is wrong, after FAULT. */
  fault: Fault | null = null;
  /** True until the client is known: requests are bounded more tightly. */
  unauthenticated = false;

  /** The next byte to look at, or the start of the line or argument that is not complete. */
  private position = 0;
  /** A line's end is searched from here on, when that is above `position`. */
  private searched = 0;
  /** The current request was not answered yet: it is kept, and `next` describes it once more. */
  private retained = false;
  /** Arguments of the request under way that are still to come; 0 between requests. */
  private argumentsLeft = 0;
  /** Length of the argument under way, or -1 while its header is still to come. */
  private bulkLength = -1;
  /** Where the argument after a header's line starts; set by `readLength`. */
  private lineEnd = 0;

  /** Length of the request's first argument above the limit: its bytes are passed over. 0: there is none. */
  private oversizedLength = 0;
  /** Bytes of the request under way that were passed over and are not in `bytes` any more. */
  private droppedBytes = 0;

  /** The decoder's own buffer; `bytes` is this one, or the socket's chunk while `borrowed`. */
  private buffer: Uint8Array = NO_BYTES;
  private borrowed = false;

  /** Where the current request ends in `bytes`. */
  get requestEnd(): number {
    return this.position;
  }

  /** Bytes taken and not decoded yet: whole requests and a part of one. */
  get heldBytes(): number {
    return this.end - this.undecodedStart();
  }

  /** Takes the next chunk, which must stay as it is until `release`. */
  push(chunk: Uint8Array): void {
    if (this.fault?.closes) return;
    if (this.borrowed) this.release();
    this.revision++;
    if (this.heldBytes > 0) {
      this.append(chunk);
      return;
    }
    this.bytes = chunk;
    this.borrowed = true;
    this.end = chunk.length;
    this.position = 0;
    this.searched = 0;
    this.requestStart = 0;
  }

  /**
   * Decodes the next request. What it describes is valid until the next call of `next` or `release`. After a
   * fault that closes, it finds nothing else any more.
   */
  next(): DecodeStatus {
    if (this.fault !== null) {
      if (this.fault.closes) return FAULT;
      this.fault = null;
    }
    if (this.retained) {
      this.retained = false;
      return REQUEST;
    }
    while (this.argumentsLeft === 0) {
      this.requestStart = this.position;
      this.count = 0;
      if (this.position === this.end) return MORE;
      if (this.bytes[this.position] !== ASTERISK) {
        const status = this.takeInline();
        if (status !== REQUEST || this.count > 0) return status;
      } else {
        const status = this.takeMultibulkHeader();
        if (status !== REQUEST) return status;
      }
    }
    return this.oversizedLength > 0 ? this.skipArguments() : this.takeArguments();
  }

  /** After REQUEST: the request must wait. It is kept over `release` and `push`, and comes again with `next`. */
  retain(): void {
    this.retained = true;
  }

  /** Ends the chunk's life: keeps what is undecoded, and gives back what an idle connection does not need. */
  release(): void {
    this.requestStart = this.undecodedStart();
    if (this.requestStart < this.end) {
      if (this.borrowed) this.keep();
      return;
    }
    if (this.buffer.length > BUFFER_BYTES_IDLE) this.buffer = NO_BYTES;
    if (this.argumentsLeft === 0 && this.starts.length > TABLE_LENGTH_IDLE) {
      this.starts = new Uint32Array(TABLE_LENGTH_MIN);
      this.lengths = new Uint32Array(TABLE_LENGTH_MIN);
    }
    this.bytes = this.buffer;
    this.borrowed = false;
    this.end = 0;
    this.position = 0;
    this.searched = 0;
    this.requestStart = 0;
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────

  /** `*3 CR LF`. REQUEST: arguments follow, or none do and the next request is due. */
  private takeMultibulkHeader(): DecodeStatus {
    const length = this.readLength(this.position);
    if (length < 0) {
      if (length === INCOMPLETE) return MORE;
      if (length === ENDLESS) return this.protocolError("too big mbulk count string");
      if (length !== MINUS_ONE) return this.protocolError("invalid multibulk length");
    }
    if (length > MULTIBULK_LENGTH_MAX) return this.protocolError("invalid multibulk length");
    if (this.unauthenticated && length > UNAUTHENTICATED_ARGUMENTS_MAX) {
      return this.protocolError("unauthenticated multibulk length");
    }
    if (length > ARGUMENTS_MAX) {
      return this.limitError("number of arguments in a request", ARGUMENTS_MAX, length);
    }
    this.position = this.lineEnd;
    this.argumentsLeft = Math.max(0, length);
    return REQUEST;
  }

  /** `$3 CR LF abc CR LF`, as often as the request has arguments. */
  private takeArguments(): DecodeStatus {
    while (this.argumentsLeft > 0) {
      if (this.bulkLength < 0) {
        const status = this.takeBulkHeader();
        if (status !== REQUEST) return status;
        if (this.oversizedLength > 0) return this.skipArguments();
      }
      const bytes = this.bytes;
      const start = this.position;
      const close = start + this.bulkLength;
      if (close + 2 > this.end) return MORE;
      if (bytes[close] !== CR || bytes[close + 1] !== LF) {
        return this.protocolError("invalid bulk length");
      }
      if (this.count === this.starts.length) this.growTables();
      this.starts[this.count] = start;
      this.lengths[this.count] = this.bulkLength;
      this.count++;
      this.position = close + 2;
      this.bulkLength = -1;
      this.argumentsLeft--;
    }
    return REQUEST;
  }

  /** `$3 CR LF`. REQUEST: the argument's bytes follow, `bulkLength` of them. */
  private takeBulkHeader(): DecodeStatus {
    if (this.position === this.end) return MORE;
    const first = this.bytes[this.position] as number;
    if (first !== DOLLAR) return this.protocolError(`expected '$', got '${shownByte(first)}'`);
    const length = this.readLength(this.position);
    if (length < 0) {
      if (length === INCOMPLETE) return MORE;
      if (length === ENDLESS) return this.protocolError("too big bulk count string");
      return this.protocolError("invalid bulk length");
    }
    if (length > BULK_LENGTH_MAX) return this.protocolError("invalid bulk length");
    if (this.unauthenticated && length > UNAUTHENTICATED_ARGUMENT_BYTES_MAX) {
      return this.protocolError("unauthenticated bulk length");
    }
    const requestSize = this.droppedBytes + (this.lineEnd - this.requestStart) + length + 2;
    if (requestSize > REQUEST_BYTES_MAX) {
      return this.limitError("size of a request in bytes", REQUEST_BYTES_MAX, requestSize);
    }
    if (length > ARGUMENT_BYTES_MAX && this.oversizedLength === 0) {
      this.oversizedLength = length;
      this.count = 0;
    }
    this.position = this.lineEnd;
    this.bulkLength = length;
    return REQUEST;
  }

  /** Passes over what is left of a request with an oversized argument; nothing of it is kept. */
  private skipArguments(): DecodeStatus {
    while (this.argumentsLeft > 0) {
      if (this.bulkLength < 0) {
        const status = this.takeBulkHeader();
        if (status !== REQUEST) return status;
      }
      const size = Math.min(this.bulkLength, this.end - this.position);
      this.position += size;
      this.bulkLength -= size;
      this.drop();
      if (this.bulkLength > 0 || this.position + 2 > this.end) return MORE;
      if (this.bytes[this.position] !== CR || this.bytes[this.position + 1] !== LF) {
        return this.protocolError("invalid bulk length");
      }
      this.position += 2;
      this.bulkLength = -1;
      this.argumentsLeft--;
      this.drop();
    }
    const asked = this.oversizedLength;
    this.oversizedLength = 0;
    this.droppedBytes = 0;
    const { code, message } = tooLarge("size of an argument in bytes", ARGUMENT_BYTES_MAX, asked);
    this.fault = { code, text: message, closes: false };
    return FAULT;
  }

  /** Forgets the bytes of the request before `position`. */
  private drop(): void {
    this.droppedBytes += this.position - this.requestStart;
    this.requestStart = this.position;
  }

  /** A line of words. REQUEST with no arguments: an empty line. */
  private takeInline(): DecodeStatus {
    const lineStart = this.position;
    const newline = this.find(LF, lineStart);
    if (newline === INCOMPLETE) return MORE;
    if (newline === ENDLESS) return this.protocolError("too big inline request");
    const hasReturn = newline > lineStart && this.bytes[newline - 1] === CR;
    const size = (hasReturn ? newline - 1 : newline) - lineStart;
    const lineSize = newline + 1 - lineStart;
    if (hasQuotes(this.bytes, lineStart, lineStart + size)) {
      // Taking the quotes away rewrites the line, and the chunk is not ours to rewrite.
      if (this.borrowed) this.keep();
      this.revision++;
    }
    if (!this.splitWords(this.position, this.position + size)) {
      return this.protocolError("unbalanced quotes in request");
    }
    this.position += lineSize;
    // What a web page can make a browser send to this port: not even an error answers it, as in Redis.
    if (this.count > 0 && (this.firstIs("POST") || this.firstIs("HOST:"))) return this.close("");
    return REQUEST;
  }

  /**
   * Splits a line as Redis' sdssplitargs does: blanks separate; in "…" a backslash escapes (`\n`, `\x0a`), in
   * '…' it escapes the quote alone; a closing quote must be followed by a blank. Words are rewritten in
   * place, which is possible since no word is longer than its source. False: a quote is not closed.
   */
  private splitWords(lineStart: number, lineEnd: number): boolean {
    const bytes = this.bytes;
    let source = lineStart;
    for (;;) {
      while (source < lineEnd && isBlank(bytes[source] as number)) source++;
      if (source === lineEnd) return true;
      const start = source;
      let target = source;
      let quote = 0;
      while (source < lineEnd || quote !== 0) {
        if (source === lineEnd) return false;
        const byte = bytes[source] as number;
        if (quote === 0) {
          if (byte === SPACE || byte === TAB || byte === CR || byte === LF) break;
          source++;
          if (byte === QUOTE || byte === APOSTROPHE) {
            quote = byte;
          } else {
            bytes[target++] = byte;
          }
        } else if (byte === quote) {
          source++;
          if (source < lineEnd && !isBlank(bytes[source] as number)) return false;
          break;
        } else if (byte === BACKSLASH && quote === QUOTE && source + 1 < lineEnd) {
          const high = hexDigit(source + 2 < lineEnd ? (bytes[source + 2] as number) : 0);
          const low = hexDigit(source + 3 < lineEnd ? (bytes[source + 3] as number) : 0);
          if (bytes[source + 1] === LETTER_X && high >= 0 && low >= 0) {
            bytes[target++] = high * 16 + low;
            source += 4;
          } else {
            bytes[target++] = unescaped(bytes[source + 1] as number);
            source += 2;
          }
        } else if (byte === BACKSLASH && source + 1 < lineEnd && bytes[source + 1] === APOSTROPHE) {
          bytes[target++] = APOSTROPHE;
          source += 2;
        } else {
          bytes[target++] = byte;
          source++;
        }
      }
      if (this.count === this.starts.length) this.growTables();
      this.starts[this.count] = start;
      this.lengths[this.count] = target - start;
      this.count++;
    }
  }

  /** Whether the first argument is this word (given in upper case), in any case. */
  private firstIs(word: string): boolean {
    if (this.lengths[0] !== word.length) return false;
    for (let i = 0; i < word.length; i++) {
      const byte = this.bytes[(this.starts[0] as number) + i] as number;
      const upper = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
      if (upper !== word.charCodeAt(i)) return false;
    }
    return true;
  }

  // ── lines ───────────────────────────────────────────────────────────────────────────────────────

  /** The length that a line such as `*3` or `$12` states, with `lineEnd` set; or one of the statuses below 0. */
  private readLength(line: number): number {
    const bytes = this.bytes;
    const end = this.end;
    let at = line + 1;
    let value = 0;
    const digitsEnd = Math.min(end, at + LENGTH_DIGITS_MAX);
    while (at < digitsEnd) {
      const digit = (bytes[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at++;
    }
    if (at + 1 < end && bytes[at] === CR && bytes[at + 1] === LF) {
      const digits = at - line - 1;
      this.lineEnd = at + 2;
      if (digits > 1 && bytes[line + 1] === ZERO) return MALFORMED;
      if (digits > 0) return value;
    }
    // What can be no length is answered at once, not when its line ends.
    const stop = at < end ? (bytes[at] as number) : CR;
    const goesOn = stop === CR || (stop >= ZERO && stop <= NINE);
    if (!goesOn && !(stop === HYPHEN && at === line + 1)) return MALFORMED;
    return this.readOddLength(line);
  }

  /** What `readLength` is told where the line is incomplete, or anything but a plain number. */
  private readOddLength(line: number): number {
    const lineReturn = this.find(CR, line);
    if (lineReturn < 0) return lineReturn;
    if (lineReturn + 1 === this.end) return INCOMPLETE;
    if (this.bytes[lineReturn + 1] !== LF) return MALFORMED;
    this.lineEnd = lineReturn + 2;
    const isMinusOne =
      lineReturn === line + 3 && this.bytes[line + 1] === HYPHEN && this.bytes[line + 2] === ONE;
    return isMinusOne ? MINUS_ONE : MALFORMED;
  }

  /** Where the byte that ends a line is; never looks at a byte twice, however the line is cut. */
  private find(byte: number, line: number): number {
    const bytes = this.bytes;
    const stop = Math.min(this.end, line + INLINE_BYTES_MAX);
    for (let at = Math.max(line, this.searched); at < stop; at++) {
      if (bytes[at] === byte) {
        this.searched = at;
        return at;
      }
    }
    this.searched = stop;
    return stop === line + INLINE_BYTES_MAX ? ENDLESS : INCOMPLETE;
  }

  // ── faults ──────────────────────────────────────────────────────────────────────────────────────

  private protocolError(text: string): DecodeStatus {
    return this.close(`Protocol error: ${text}`);
  }

  private limitError(limit: string, limitValue: number, asked: number): DecodeStatus {
    const { code, message } = tooLarge(limit, limitValue, asked);
    return this.close(message, code);
  }

  private close(text: string, code: ErrorCode = "ERR"): DecodeStatus {
    this.fault = { code, text, closes: true };
    // Nothing behind the fault is decoded any more, so nothing of it is kept either.
    this.position = this.end;
    this.argumentsLeft = 0;
    return FAULT;
  }

  // ── memory ──────────────────────────────────────────────────────────────────────────────────────

  private undecodedStart(): number {
    return this.argumentsLeft > 0 || this.retained ? this.requestStart : this.position;
  }

  /** Copies what is undecoded of the chunk into the decoder's own buffer, which holds nothing now. */
  private keep(): void {
    assert(this.borrowed);
    const chunk = this.bytes;
    const start = this.undecodedStart();
    const size = this.end - start;
    if (this.buffer.length < size) this.buffer = new Uint8Array(capacityFor(size));
    this.buffer.set(chunk.subarray(start, this.end));
    this.bytes = this.buffer;
    this.borrowed = false;
    this.rebase(start);
  }

  /** Adds a chunk behind what the buffer holds. Moves or grows it when there is no room. */
  private append(chunk: Uint8Array): void {
    assert(!this.borrowed);
    if (this.end + chunk.length > this.buffer.length) {
      const start = this.undecodedStart();
      const size = this.end - start + chunk.length;
      if (size > this.buffer.length) {
        const grown = new Uint8Array(capacityFor(size));
        grown.set(this.buffer.subarray(start, this.end));
        this.buffer = grown;
        this.bytes = grown;
      } else {
        // A request moves to the front at most once, and from there the buffer grows by doubling.
        this.buffer.copyWithin(0, start, this.end);
      }
      this.rebase(start);
    }
    this.buffer.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Adapts all offsets to bytes that moved `shift` down. */
  private rebase(shift: number): void {
    this.revision++;
    this.end -= shift;
    this.position -= shift;
    this.searched = Math.max(0, this.searched - shift);
    this.requestStart = Math.max(0, this.requestStart - shift);
    if (shift === 0 || (this.argumentsLeft === 0 && !this.retained)) return;
    for (let i = 0; i < this.count; i++) this.starts[i] = (this.starts[i] as number) - shift;
  }

  private growTables(): void {
    const starts = new Uint32Array(this.starts.length * 2);
    const lengths = new Uint32Array(this.lengths.length * 2);
    starts.set(this.starts);
    lengths.set(this.lengths);
    this.starts = starts;
    this.lengths = lengths;
  }
}

const NO_BYTES = new Uint8Array(0);

// What `readLength` and `find` answer in place of a number.
/** The line is not all there. */
const INCOMPLETE = -1;
/** The line has no end within `INLINE_BYTES_MAX`. */
const ENDLESS = -2;
/** The line is there and states no length. */
const MALFORMED = -3;
/** The line states -1, a null. */
const MINUS_ONE = -4;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const DOLLAR = 0x24;
const APOSTROPHE = 0x27;
const ASTERISK = 0x2a;
const HYPHEN = 0x2d;
const ZERO = 0x30;
const ONE = 0x31;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const LETTER_X = 0x78;

function capacityFor(size: number): number {
  let capacity = BUFFER_BYTES_MIN;
  while (capacity < size) capacity *= 2;
  return capacity;
}

/** C's isspace: blank, and tab to carriage return. */
function isBlank(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CR);
}

function hasQuotes(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] === QUOTE || bytes[at] === APOSTROPHE) return true;
  }
  return false;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** What a backslash and this byte stand for in "…". */
function unescaped(byte: number): number {
  switch (byte) {
    case 0x6e:
      return LF;
    case 0x72:
      return CR;
    case 0x74:
      return TAB;
    case 0x62:
      return 0x08;
    case 0x61:
      return 0x07;
    default:
      return byte;
  }
}

/** The byte as an error's text can carry it; line ends are blanks there, as in Redis. */
function shownByte(byte: number): string {
  if (byte === CR || byte === LF) return " ";
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
