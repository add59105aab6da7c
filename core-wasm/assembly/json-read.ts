// JSON as it is read (RFC 8259, strictly): where a value or a string ends, and what a string says. Nothing is
// rebuilt, so that data is stored and given byte for byte; nothing recurses: nesting is a row of bits.
import { utf8Length } from "./utf8";

/** Most arrays and objects inside one another (server/limits.ts: JSON_DEPTH_MAX). Above: not taken for JSON. */
const DEPTH_MAX: u32 = 1024;
/** One bit for each level that is open: an object, else an array. */
const nesting: usize = memory.data(128, 8);

const QUOTE: u32 = 0x22;
const BACKSLASH: u32 = 0x5c;
const COMMA: u32 = 0x2c;
const COLON: u32 = 0x3a;
const OPEN_ARRAY: u32 = 0x5b;
const CLOSE_ARRAY: u32 = 0x5d;
const OPEN_OBJECT: u32 = 0x7b;
const CLOSE_OBJECT: u32 = 0x7d;

/** Whether the last string that `jsonStringEnd` found has escapes. */
export let stringHasEscapes: bool = false;
/** Whether the last value that `jsonValueEnd` refused is too deeply nested. */
export let valueIsTooDeep: bool = false;
/** Whether white space that was passed since this was last cleared has a carriage return; strings cannot have one. */
let spaceHasReturn: bool = false;

/**
 * Whether bytes are one JSON value that can stand in other JSON and be taken out of it byte for byte: without white
 * space around it, which would not count as part of it, and without carriage returns, which Server-Sent Events cannot
 * carry.
 */
export function jsonEmbeds(ptr: usize, size: usize): bool {
  const end = ptr + size;
  spaceHasReturn = false;
  return jsonValueEnd(ptr, end) == end && !spaceHasReturn;
}

/** Where the white space that begins at `ptr` ends. */
export function jsonSpaceEnd(ptr: usize, end: usize): usize {
  while (ptr < end) {
    const byte: u32 = load<u8>(ptr);
    if (byte > 0x20 || (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09)) break;
    if (byte == 0x0d) spaceHasReturn = true;
    ptr++;
  }
  return ptr;
}

/** Where the value whose first byte is at `ptr` ends, or 0 where there is no valid one. */
export function jsonValueEnd(ptr: usize, end: usize): usize {
  let depth: u32 = 0;
  valueIsTooDeep = false;
  while (true) {
    // A value begins here.
    if (ptr >= end) return 0;
    const byte: u32 = load<u8>(ptr);
    if (byte == OPEN_OBJECT || byte == OPEN_ARRAY) {
      if (depth == DEPTH_MAX) {
        valueIsTooDeep = true;
        return 0;
      }
      const isObject = byte == OPEN_OBJECT;
      setNesting(depth++, isObject);
      ptr = jsonSpaceEnd(ptr + 1, end);
      if (ptr >= end) return 0;
      if (load<u8>(ptr) != <u8>(isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        if (isObject) {
          ptr = nameEnd(ptr, end);
          if (ptr == 0) return 0;
        }
        continue;
      }
    } else {
      ptr = scalarEnd(ptr, end, byte);
      if (ptr == 0) return 0;
      if (depth == 0) return ptr;
      ptr = jsonSpaceEnd(ptr, end);
    }
    // A value of an array or an object has ended, or an empty one closes here: close all that close.
    while (true) {
      if (ptr >= end) return 0;
      const isObject = getNesting(depth - 1);
      const next: u32 = load<u8>(ptr);
      if (next == COMMA) {
        ptr = jsonSpaceEnd(ptr + 1, end);
        if (isObject) {
          ptr = nameEnd(ptr, end);
          if (ptr == 0) return 0;
        }
        break;
      }
      if (next != (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) return 0;
      ptr++;
      if (--depth == 0) return ptr;
      ptr = jsonSpaceEnd(ptr, end);
    }
  }
}

@inline function setNesting(depth: u32, isObject: bool): void {
  const word = nesting + ((depth >> 5) << 2);
  const bit: u32 = 1 << (depth & 31);
  store<u32>(word, isObject ? load<u32>(word) | bit : load<u32>(word) & ~bit);
}

@inline function getNesting(depth: u32): bool {
  return ((load<u32>(nesting + ((depth >> 5) << 2)) >> (depth & 31)) & 1) != 0;
}

/** Where the value begins that the name at `ptr` has, or 0. */
function nameEnd(ptr: usize, end: usize): usize {
  ptr = jsonStringEnd(ptr, end);
  if (ptr == 0) return 0;
  ptr = jsonSpaceEnd(ptr, end);
  if (ptr >= end || load<u8>(ptr) != <u8>COLON) return 0;
  return jsonSpaceEnd(ptr + 1, end);
}

function scalarEnd(ptr: usize, end: usize, first: u32): usize {
  if (first == QUOTE) return jsonStringEnd(ptr, end);
  if (first == 0x74) return wordEnd(ptr, end, 0x65757274); // true
  if (first == 0x6e) return wordEnd(ptr, end, 0x6c6c756e); // null
  if (first == 0x66) return wordEnd(ptr + 1, end, 0x65736c61); // false, behind its f
  return numberEnd(ptr, end);
}

@inline function wordEnd(ptr: usize, end: usize, word: u32): usize {
  return ptr + 4 <= end && load<u32>(ptr) == word ? ptr + 4 : 0;
}

function numberEnd(ptr: usize, end: usize): usize {
  if (load<u8>(ptr) == 0x2d) ptr++;
  if (ptr >= end) return 0;
  if (load<u8>(ptr) == 0x30) {
    ptr++;
  } else {
    ptr = digitsEnd(ptr, end);
    if (ptr == 0) return 0;
  }
  if (ptr < end && load<u8>(ptr) == 0x2e) {
    ptr = digitsEnd(ptr + 1, end);
    if (ptr == 0) return 0;
  }
  if (ptr < end && (load<u8>(ptr) | 0x20) == 0x65) {
    ptr++;
    if (ptr < end && (load<u8>(ptr) == 0x2b || load<u8>(ptr) == 0x2d)) ptr++;
    return digitsEnd(ptr, end);
  }
  return ptr;
}

/** Where one digit or more end, or 0. */
function digitsEnd(ptr: usize, end: usize): usize {
  const start = ptr;
  while (ptr < end && <u32>load<u8>(ptr) - 0x30 <= 9) ptr++;
  return ptr > start ? ptr : 0;
}

/** Where the string ends whose opening quote is at `ptr`, or 0. */
export function jsonStringEnd(ptr: usize, end: usize): usize {
  stringHasEscapes = false;
  if (ptr >= end || load<u8>(ptr) != <u8>QUOTE) return 0;
  ptr++;
  while (true) {
    const plain = plainCount(load<u64>(ptr));
    ptr += plain;
    if (ptr >= end) return 0;
    if (plain == 8) continue;
    const byte: u32 = load<u8>(ptr);
    if (byte == QUOTE) return ptr + 1;
    if (byte >= 0x80) {
      const length = utf8Length(ptr, end);
      if (length == 0) return 0;
      ptr += length;
    } else if (byte == BACKSLASH) {
      stringHasEscapes = true;
      if (ptr + 1 >= end) return 0;
      const escaped: u32 = load<u8>(ptr, 1);
      if (escaped == 0x75) {
        if (ptr + 6 > end || hexValue(ptr + 2) < 0) return 0;
        ptr += 6;
      } else {
        if (escapedByte(escaped) == 0) return 0;
        ptr += 2;
      }
    } else {
      return 0; // a control character
    }
  }
}

const ONES: u64 = 0x0101010101010101;
const HIGHS: u64 = 0x8080808080808080;

/** How many of a word's first bytes are printable ASCII but quote and backslash: 0 to 8. */
@inline export function plainCount(word: u64): usize {
  const quotes = word ^ (ONES * 0x22);
  const backslashes = word ^ (ONES * 0x5c);
  // A byte's high bit is set where it is another one; borrows may set more, but only above the first one.
  const found =
    (((word - ONES * 0x20) & ~word) | ((quotes - ONES) & ~quotes) | ((backslashes - ONES) & ~backslashes) | word) & HIGHS;
  return found == 0 ? 8 : <usize>(ctz(found) >> 3);
}

/** What stands for `\` and this byte, or 0 where that is no escape. */
@inline function escapedByte(byte: u32): u32 {
  if (byte == QUOTE || byte == BACKSLASH || byte == 0x2f) return byte;
  if (byte == 0x6e) return 0x0a; // n
  if (byte == 0x74) return 0x09; // t
  if (byte == 0x72) return 0x0d; // r
  if (byte == 0x62) return 0x08; // b
  if (byte == 0x66) return 0x0c; // f
  return 0;
}

/** The value of four hexadecimal digits, or -1. */
function hexValue(ptr: usize): i32 {
  let value: i32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const byte: u32 = load<u8>(ptr + i);
    const letter = (byte | 0x20) - 0x61;
    if (byte - 0x30 <= 9) value = (value << 4) | (byte - 0x30);
    else if (letter <= 5) value = (value << 4) | (letter + 10);
    else return -1;
  }
  return value;
}

/**
 * Writes what a string without its quotes says, as UTF-8, over itself: it is never longer. Returns its size, or -1
 * where half of a surrogate pair stands alone, which no UTF-8 can say. `jsonStringEnd` has found the string valid.
 */
export function jsonUnescape(ptr: usize, size: usize): i32 {
  const end = ptr + size;
  const start = ptr;
  let out = ptr;
  while (ptr < end) {
    const byte: u32 = load<u8>(ptr);
    if (byte != BACKSLASH) {
      store<u8>(out++, byte);
      ptr++;
      continue;
    }
    const escaped: u32 = load<u8>(ptr, 1);
    if (escaped != 0x75) {
      store<u8>(out++, escapedByte(escaped));
      ptr += 2;
      continue;
    }
    let point: u32 = hexValue(ptr + 2);
    ptr += 6;
    if (point - 0xd800 < 0x800) {
      if (point >= 0xdc00 || ptr + 6 > end || load<u16>(ptr) != 0x755c) return -1; // no \u behind it
      const low: u32 = hexValue(ptr + 2);
      if (low - 0xdc00 >= 0x400) return -1;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      ptr += 6;
    }
    out = pointWrite(out, point);
  }
  return <i32>(out - start);
}

function pointWrite(out: usize, point: u32): usize {
  if (point < 0x80) {
    store<u8>(out, point);
    return out + 1;
  }
  if (point < 0x800) {
    store<u8>(out, 0xc0 | (point >> 6));
    store<u8>(out, 0x80 | (point & 0x3f), 1);
    return out + 2;
  }
  if (point < 0x10000) {
    store<u8>(out, 0xe0 | (point >> 12));
    store<u8>(out, 0x80 | ((point >> 6) & 0x3f), 1);
    store<u8>(out, 0x80 | (point & 0x3f), 2);
    return out + 3;
  }
  store<u8>(out, 0xf0 | (point >> 18));
  store<u8>(out, 0x80 | ((point >> 12) & 0x3f), 1);
  store<u8>(out, 0x80 | ((point >> 6) & 0x3f), 2);
  store<u8>(out, 0x80 | (point & 0x3f), 3);
  return out + 4;
}
