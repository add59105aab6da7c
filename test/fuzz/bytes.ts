/**
 * What every fuzzer of bytes does: make a new input of known ones, and make one that fails as small as it can.
 */
import { Random } from "../support/random.ts";
import type { ByteTarget } from "./target.ts";

/** Changes made to one input. */
const CHANGES_MAX = 6;
/** Longest input that a change may make; a longer one is cut. */
const INPUT_BYTES_MAX = 128 * 1024;
/** Bytes that one change inserts, removes or copies at the most. */
const PART_BYTES_MAX = 256;
/** Runs of the target that making an input smaller may take. */
const MINIMISE_RUNS_MAX = 2_000;

const BYTES = [0, 1, 0x0a, 0x0d, 0x20, 0x7f, 0x80, 0xff];
const NUMBERS =
  "-1 0 1 255 256 65535 65536 2147483647 2147483648 4294967296 9007199254740992".split(" ");
const WORDS32 = [0, 1, 35, 36, 37, 0x7fffffff, 0x80000000, 0xffffffff];

/** Share of the inputs that a fuzzer makes itself, where it can. */
const GENERATED_SHARE = 0.7;

/** The input that a seed names. */
export function inputOf(
  target: ByteTarget,
  corpus: readonly Uint8Array[],
  seed: number,
): Uint8Array {
  const random = new Random(seed);
  if (target.generate !== undefined && random.chance(GENERATED_SHARE)) {
    return target.generate(random);
  }
  return mutate(corpus, target.dictionary, random);
}

/** A new input: one of the corpus, changed in a few places, with parts of others. */
function mutate(
  corpus: readonly Uint8Array[],
  dictionary: readonly string[],
  random: Random,
): Uint8Array {
  let input = Buffer.from(random.pick(corpus));
  for (let changes = random.between(1, CHANGES_MAX); changes > 0; changes--) {
    input = change(input, corpus, dictionary, random);
  }
  return input.subarray(0, INPUT_BYTES_MAX);
}

function change(
  input: Buffer<ArrayBuffer>,
  corpus: readonly Uint8Array[],
  dictionary: readonly string[],
  random: Random,
): Buffer<ArrayBuffer> {
  const at = random.below(input.length + 1);
  const part = random.below(Math.min(PART_BYTES_MAX, input.length - at) + 1);
  const put = (bytes: Uint8Array, removed = 0) =>
    Buffer.concat([input.subarray(0, at), bytes, input.subarray(at + removed)]);
  const kind = random.weighted({
    bit: 6,
    byte: 4,
    word: 3,
    number: 3,
    token: 4,
    insert: 2,
    remove: 3,
    repeat: 2,
    splice: 3,
    cut: 1,
  });
  switch (kind) {
    case "bit": {
      const flipped = Buffer.from(input);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      return flipped;
    }
    case "byte":
      return put(Uint8Array.of(random.pick(BYTES)), 1);
    case "word": {
      const word = Buffer.alloc(4);
      word.writeUInt32LE(random.pick(WORDS32));
      return put(word, 4);
    }
    case "number": {
      // Where digits stand, they are replaced as a whole.
      const digits = /^\d+/.exec(input.toString("latin1", at, at + 20))?.[0].length ?? 0;
      return put(Buffer.from(random.pick(NUMBERS)), digits);
    }
    case "token":
      return put(
        Buffer.from(dictionary.length === 0 ? "" : random.pick(dictionary)),
        random.chance(0.5) ? part : 0,
      );
    case "insert":
      return put(random.bytes(random.below(8)));
    case "remove":
      return put(new Uint8Array(0), part);
    case "repeat":
      return put(input.subarray(at, at + part));
    case "splice": {
      const other = random.pick(corpus);
      const from = random.below(other.length + 1);
      return put(
        other.subarray(from, from + random.below(PART_BYTES_MAX)),
        random.chance(0.5) ? part : 0,
      );
    }
    case "cut":
      return Buffer.from(input.subarray(0, at));
  }
}

/** The smallest input found that still fails: parts are left out, the largest first. */
export async function minimise(
  input: Uint8Array,
  fails: (input: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let smallest = input;
  let runs = 0;
  for (let size = Math.ceil(input.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < smallest.length && runs < MINIMISE_RUNS_MAX; runs++) {
      const rest = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
      if (await fails(rest)) smallest = rest;
      else at += size;
    }
  }
  return smallest;
}
