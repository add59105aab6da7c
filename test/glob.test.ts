/**
 * Glob patterns match what Redis' do: the table was recorded from a redis-server 7.0.15 (KEYS over these texts). The
 * core has a twin of the matcher, for what lies in its memory: whatever is matched here is matched by both.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Core } from "../server/core/core.ts";
import { KiB, MiB } from "../server/limits.ts";
import { globMatches } from "../server/resp/glob.ts";

const TEXTS = [
  ...["user-1", "user-12", "user-", "order-1", "a", "b", "A", "^", "]", "-"],
  ...["\\", "*", "[a]", "ab", "a*b", "a]b"],
];

const RECORDED: [pattern: string, matches: string[]][] = [
  ["*", TEXTS],
  ["user-*", ["user-1", "user-12", "user-"]],
  ["user-?", ["user-1"]],
  ["*-1", ["user-1", "order-1"]],
  ["*r*-*1", ["user-1", "order-1"]],
  ["user-1", ["user-1"]],
  ["", []],
  ["?", ["a", "b", "A", "^", "]", "-", "\\", "*"]],
  ["??", ["ab"]],
  ["[ab]", ["a", "b"]],
  ["[^ab]", ["A", "^", "]", "-", "\\", "*"]],
  ["[a-c]", ["a", "b"]],
  ["[c-a]", ["a", "b"]],
  ["[a-]", ["a", "^", "]"]],
  ["[a-]]", ["a", "^", "]"]],
  ["[-a]", ["a", "-"]],
  ["[]", []],
  ["[]a]", []],
  ["[^]", ["a", "b", "A", "^", "]", "-", "\\", "*"]],
  ["[^^]", ["a", "b", "A", "]", "-", "\\", "*"]],
  ["[\\]]", ["]"]],
  ["[\\^a]", ["a", "^"]],
  ["[a", ["a"]],
  ["[", []],
  ["[^a", ["b", "A", "^", "]", "-", "\\", "*"]],
  ["[\\", ["\\"]],
  ["\\*", ["*"]],
  ["a\\*b", ["a*b"]],
  ["\\", ["\\"]],
  ["\\\\", ["\\"]],
  ["\\a", ["a"]],
  ["a**", ["a", "ab", "a*b", "a]b"]],
  ["**", TEXTS],
  ["[[]a]", ["[a]"]],
  ["*]*", ["]", "[a]", "a]b"]],
  ["a[*]b", ["a*b"]],
  ["[A-Z]*", ["A"]],
  ["a?b*", ["a*b", "a]b"]],
];

const core = new Core({
  memoryBytesMax: 16 * MiB,
  partitions: 1,
  cacheBytes: 64 * KiB,
  pageBytes: 64 * KiB,
  headBytes: 0,
  batchBytesMax: MiB,
  random: () => undefined,
});
const area = core.allocate(64 * KiB);

function matches(pattern: string, text: string, ignoreCase = false): boolean {
  const patternBytes = Buffer.from(pattern);
  const textBytes = Buffer.from(text);
  const decided = globMatches(patternBytes, textBytes, ignoreCase);
  if (!ignoreCase) {
    core.memory.set(patternBytes, area);
    core.memory.set(textBytes, area + patternBytes.length);
    const textAddress = area + patternBytes.length;
    const { length } = patternBytes;
    const twin = core.exports.globMatches(area, length, textAddress, textBytes.length) !== 0;
    expect(twin, `the core's answer for ${pattern} and ${text}`).toBe(decided);
  }
  return decided;
}

test("the core and its twin agree over odd patterns", () => {
  const odd = fc.string({ unit: fc.constantFrom(..."ab*?[]^-\\c"), maxLength: 10 });
  fc.assert(
    fc.property(odd, odd, (pattern, text) => {
      matches(pattern, text);
    }),
    { numRuns: 5_000 },
  );
});

test.each(RECORDED)("pattern %j matches what it does in Redis", (pattern, expected) => {
  expect(TEXTS.filter((text) => matches(pattern, text))).toEqual(expected);
});

test("letters match in either case when asked", () => {
  expect(matches("MAX*", "maxmemory", true)).toBe(true);
  expect(matches("max[M-N]emory", "maxMEMORY", true)).toBe(true);
  expect(matches("MAX*", "maxmemory")).toBe(false);
});

test("an empty text is matched by stars alone", () => {
  expect(matches("", "")).toBe(true);
  expect(matches("**", "")).toBe(true);
  expect(matches("?", "")).toBe(false);
});

test("bytes count, not characters", () => {
  expect(matches("?", "é")).toBe(false);
  expect(matches("??", "é")).toBe(true);
});

test("many stars over a text that almost matches come to an end", () => {
  expect(matches(`${"*a".repeat(200)}*b`, "a".repeat(1000))).toBe(false);
});

test("stars agree with the definition: some split of the text matches", () => {
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (p, t) => {
      expect(matches(p, t)).toBe(defined(p, t));
    }),
    { numRuns: 2_000 },
  );
});

/** The definition of `*` and `?`, without a thought of speed. */
function defined(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const rest = pattern.slice(1);
  if (pattern[0] === "*")
    return defined(rest, text) || (text !== "" && defined(pattern, text.slice(1)));
  return (
    text !== "" && (pattern[0] === "?" || pattern[0] === text[0]) && defined(rest, text.slice(1))
  );
}
