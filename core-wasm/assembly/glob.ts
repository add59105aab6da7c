// Redis' glob patterns over bytes: `*`, `?`, `[abc]`, `[^abc]`, `[a-z]`, and `\x` for x itself. It decides as Redis'
// stringmatchlen does, and as server/resp/glob.ts, its twin for what is not in this memory: odd patterns included.
// A `*` is never tried again once a later one has been reached, so that a match costs at most the pattern's
// length times the text's. Callers bound the pattern.

const STAR: u32 = 0x2a;
const QUESTION: u32 = 0x3f;
const OPEN: u32 = 0x5b;
const BACKSLASH: u32 = 0x5c;
const CLOSE: u32 = 0x5d;
const CARET: u32 = 0x5e;
const HYPHEN: u32 = 0x2d;

/** Bytes of patterns looked at so far, in all matches together (it wraps): what their work is measured by. */
export let globSteps: u32 = 0;

/** Whether all of a text matches a pattern. */
export function globMatches(pattern: usize, patternSize: usize, text: usize, textSize: usize): bool {
  const patternEnd = pattern + patternSize;
  const textEnd = text + textSize;
  // Where to go on when what follows the last star does not match: the star takes one byte more. An earlier star
  // need not: whatever it could take, the last one can.
  let afterStar: usize = 0;
  let starEnd: usize = 0;
  while (text < textEnd) {
    if (pattern < patternEnd && load<u8>(pattern) == STAR) {
      afterStar = ++pattern;
      starEnd = text;
      if (pattern == patternEnd) return true;
      continue;
    }
    const next = matchOne(pattern, patternEnd, load<u8>(text));
    if (next != 0) {
      pattern = next;
      text++;
    } else if (afterStar != 0) {
      pattern = afterStar;
      text = ++starEnd;
    } else {
      return false;
    }
  }
  while (pattern < patternEnd && load<u8>(pattern) == STAR) pattern++;
  return pattern == patternEnd;
}

/** Matches a byte with the pattern's element at `ptr`; returns where the next element begins, or 0. */
function matchOne(ptr: usize, end: usize, byte: u32): usize {
  globSteps++;
  if (ptr >= end) return 0;
  let element: u32 = load<u8>(ptr);
  if (element == QUESTION) return ptr + 1;
  if (element == OPEN) return matchClass(ptr + 1, end, byte);
  if (element == BACKSLASH && ptr + 1 < end) element = load<u8>(++ptr);
  return element == byte ? ptr + 1 : 0;
}

/** The same for a class, whose `[` ends before `ptr`. */
function matchClass(ptr: usize, end: usize, byte: u32): usize {
  const start = ptr;
  const negated = ptr < end && load<u8>(ptr) == CARET;
  if (negated) ptr++;
  let found = false;
  while (ptr < end && load<u8>(ptr) != CLOSE) {
    const first: u32 = load<u8>(ptr);
    const left = end - ptr;
    if (first == BACKSLASH && left >= 2) {
      found = found || load<u8>(ptr, 1) == byte;
      ptr += 2;
    } else if (left >= 3 && load<u8>(ptr, 1) == HYPHEN) {
      const last: u32 = load<u8>(ptr, 2); // a range's ends may be given in either order
      found = found || (min(first, last) <= byte && byte <= max(first, last));
      ptr += 3;
    } else {
      found = found || first == byte;
      ptr++;
    }
  }
  globSteps += <u32>(ptr - start);
  if (found == negated) return 0;
  return min(ptr + 1, end);
}
