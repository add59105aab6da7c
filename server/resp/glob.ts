/**
 * Redis' glob patterns, over bytes: `*`, `?`, `[abc]`, `[^abc]`, `[a-z]`, and `\x` for x itself.
 *
 * It decides as Redis' stringmatchlen does, odd patterns included (an unclosed `[` ends with the pattern,
 * `[a-]` is a range up to `]`), but never tries a `*` again once a later one has been reached: one call costs
 * at most the pattern's length times the text's. Callers bound the pattern.
 */

const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;
const CARET = 0x5e;
const HYPHEN = 0x2d;

/** Whether the whole of `text` matches `pattern`; with `ignoreCase` ASCII letters match in either case. */
export function globMatches(pattern: Uint8Array, text: Uint8Array, ignoreCase = false): boolean {
  let patternIndex = 0;
  let textIndex = 0;
  // Where to go on when what follows the last star does not match: the star takes one byte more. An
  // earlier star need not: whatever it could take, the last one can.
  let afterStar = -1;
  let starEnd = 0;
  while (textIndex < text.length) {
    if (pattern[patternIndex] === STAR) {
      afterStar = ++patternIndex;
      starEnd = textIndex;
      continue;
    }
    const next = matchOne(pattern, patternIndex, text[textIndex] as number, ignoreCase);
    if (next >= 0) {
      patternIndex = next;
      textIndex++;
    } else if (afterStar >= 0) {
      patternIndex = afterStar;
      textIndex = ++starEnd;
    } else {
      return false;
    }
  }
  while (pattern[patternIndex] === STAR) patternIndex++;
  return patternIndex === pattern.length;
}

/** Matches one byte with the pattern's element at `index`; returns where the next element begins, or -1. */
function matchOne(pattern: Uint8Array, index: number, byte: number, ignoreCase: boolean): number {
  if (index >= pattern.length) return -1;
  let element = pattern[index] as number;
  if (element === QUESTION) return index + 1;
  if (element === OPEN) return matchClass(pattern, index + 1, byte, ignoreCase);
  if (element === BACKSLASH && index + 1 < pattern.length) element = pattern[++index] as number;
  return same(element, byte, ignoreCase) ? index + 1 : -1;
}

/** The same for a class, whose `[` ends before `index`. */
function matchClass(pattern: Uint8Array, index: number, byte: number, ignoreCase: boolean): number {
  const negated = pattern[index] === CARET;
  if (negated) index++;
  let found = false;
  while (index < pattern.length && pattern[index] !== CLOSE) {
    const left = pattern.length - index;
    if (pattern[index] === BACKSLASH && left >= 2) {
      found ||= same(pattern[index + 1] as number, byte, ignoreCase);
      index += 2;
    } else if (pattern[index + 1] === HYPHEN && left >= 3) {
      found ||= inRange(pattern[index] as number, pattern[index + 2] as number, byte, ignoreCase);
      index += 3;
    } else {
      found ||= same(pattern[index] as number, byte, ignoreCase);
      index++;
    }
  }
  if (found === negated) return -1;
  return Math.min(index + 1, pattern.length);
}

function same(a: number, b: number, ignoreCase: boolean): boolean {
  return a === b || (ignoreCase && lower(a) === lower(b));
}

/** A range's ends may be given in either order. */
function inRange(first: number, last: number, byte: number, ignoreCase: boolean): boolean {
  let low = Math.min(first, last);
  let high = Math.max(first, last);
  if (ignoreCase) {
    low = lower(low);
    high = lower(high);
    byte = lower(byte);
  }
  return low <= byte && byte <= high;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
