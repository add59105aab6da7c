/**
 * Changes to the index runs of one store as an input of a fuzzer: lines of text, of which whatever says nothing is
 * passed over. Numbers wrap around at what there is, so that nearly every line changes something.
 *
 *   <run> <part> <entry> set <byte> <size> <value>   the value, little-endian, into so many bytes of an entry
 *   <run> <part> <entry> add <byte> <size> <value>   likewise, added to what is there
 *   <run> <part> <entry> swap <entry>
 *   <run> <part> 0 copy <run>                        the part's pages, as another run has them
 *
 * `header` is a part of words of 8 bytes, `starts` has the word with which each page of heads begins.
 */
import { RUN_PAGE_BYTES } from "../../server/index/run-file.ts";
import type { Random } from "../support/random.ts";
import { RUN_PARTS, type RunBytes } from "../support/run-bytes.ts";

const WORD_BYTES = 8;
/** Words of the header that say something: the run's identity, and where its parts are. */
const HEADER_WORDS = 40;
const PART_NAMES = ["header", "starts", ...RUN_PARTS] as const;
type PartName = (typeof PART_NAMES)[number];

const EDITS_MAX = 4;
const VALUES = (
  "0 1 2 3 -1 -2 255 4096 65535 65536 2097152 2147483647 2147483648 4294967295 4294967296 281474976710655 " +
  "9007199254740991 9007199254740992 9223372036854775808"
).split(" ");
const DIFFERENCES = ["1", "-1", "65536", "-65536"];

/** Words of the lines, for changes at random. */
export const EDIT_WORDS: readonly string[] = [
  ..."\n set add swap copy".split(" "),
  ...PART_NAMES.map((part) => `\n0 ${part} `),
  ...VALUES.map((value) => ` ${value} `),
];

/** An input of some lines at random. */
export function randomEdits(random: Random): Uint8Array {
  const lines = Array.from({ length: random.between(1, EDITS_MAX) }, () => randomEdit(random));
  return Buffer.from(`${lines.join("\n")}\n`);
}

function randomEdit(random: Random): string {
  // Searches begin and end at the first and the last entries.
  const entry = () => random.pick([0, 0, 1, -1, random.below(300)]);
  const what = `${random.below(4)} ${random.pick(PART_NAMES)} ${entry()}`;
  const kind = random.weighted({ set: 6, add: 6, swap: 2, copy: 1 });
  if (kind === "swap") return `${what} swap ${entry()}`;
  if (kind === "copy") return `${what} copy ${random.below(4)}`;
  const byte = random.pick([0, 4, 8, 12, 16, 24, random.below(64)]);
  const isNear = kind === "add" && random.chance(0.6);
  const value = random.pick(isNear ? DIFFERENCES : VALUES);
  return `${what} ${kind} ${byte} ${random.pick([1, 2, 4, 4, 8, 8])} ${value}`;
}

/** Makes the changes that the input asks for; gives the indexes of the runs that it named. */
export function applyEdits(input: Uint8Array, runs: readonly RunBytes[]): Set<number> {
  const edited = new Set<number>();
  for (const line of Buffer.from(input).toString("latin1").split("\n")) {
    const [runText, partText, entryText, kind, first, second, third] = line.split(" ");
    const index = wrapped(runText, runs.length);
    const run = runs[index] as RunBytes;
    const part = PART_NAMES.find((name) => name === partText);
    if (part === undefined) continue;
    edited.add(index);
    const entry = entryOf(run, part, entryText);
    if (kind === "copy") {
      copyPart(runs[wrapped(first, runs.length)] as RunBytes, run, part);
    } else if (kind === "swap") {
      const other = entryOf(run, part, first);
      if (entry !== null && other !== null) run.swap(entry.offset, other.offset, entry.bytes);
    } else if (entry !== null && (kind === "set" || kind === "add")) {
      const size = Math.min(entry.bytes, Math.max(1, wrapped(second, WORD_BYTES + 1)));
      const at = entry.offset + wrapped(first, entry.bytes - size + 1);
      const before = kind === "add" ? readLittle(run.bytes, at, size) : 0n;
      writeLittle(run.bytes, at, size, before + integer(third));
    }
  }
  return edited;
}

/** Where an entry lies; null where the part has none, or where it would be beyond the file. */
function entryOf(
  run: RunBytes,
  part: PartName,
  text: string | undefined,
): { offset: number; bytes: number } | null {
  if (part === "header")
    return { offset: wrapped(text, HEADER_WORDS) * WORD_BYTES, bytes: WORD_BYTES };
  const name = part === "starts" ? "heads" : part;
  const count = run.entryCount(name);
  if (count === 0 || !Number.isSafeInteger(count)) return null;
  const entry = run.entry(name, wrapped(text, count));
  const offset = part === "starts" ? Math.floor(entry / RUN_PAGE_BYTES) * RUN_PAGE_BYTES : entry;
  const bytes = part === "starts" ? WORD_BYTES : run.entryBytes(name);
  return offset + bytes <= run.bytes.length ? { offset, bytes } : null;
}

/** Copies as many of the part's pages as both have. */
function copyPart(source: RunBytes, target: RunBytes, part: PartName): void {
  if (part === "header" || part === "starts") return;
  const from = entryOf(source, part, "0");
  const to = entryOf(target, part, "0");
  if (from === null || to === null) return;
  const last = (run: RunBytes) => entryOf(run, part, "-1")?.offset ?? 0;
  const length = Math.min(last(source) - from.offset, last(target) - to.offset) + from.bytes;
  if (length > 0) source.bytes.copy(target.bytes, to.offset, from.offset, from.offset + length);
}

/** The number that a text is, 0 where it is none. */
function integer(text: string | undefined): bigint {
  return /^-?\d{1,20}$/.test(text ?? "") ? BigInt(text as string) : 0n;
}

/** The number from 0 on, below `bound`; -1 is the last one. */
function wrapped(text: string | undefined, bound: number): number {
  const wide = BigInt(Math.max(1, bound));
  return Number(((integer(text) % wide) + wide) % wide);
}

function readLittle(bytes: Buffer, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

function writeLittle(bytes: Buffer, at: number, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) bytes[at + i] = Number(BigInt.asUintN(8, value >> BigInt(8 * i)));
}
