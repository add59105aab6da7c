/**
 * Every input of the corpus, and some random ones, for each fuzzer of bytes: what `make fuzz` found stays found.
 */
import { afterAll, describe, expect, test } from "vitest";
import { BYTE_TARGETS } from "./fuzz/byte-targets.ts";
import { inputOf, minimise } from "./fuzz/bytes.ts";
import { readCorpus } from "./fuzz/corpus.ts";
import { decodeFiles, encodeFiles, seal } from "./fuzz/store-image.ts";

const SEED = 1;

afterAll(async () => {
  for (const target of BYTE_TARGETS) await target.close?.();
});

describe.each(BYTE_TARGETS)("$name: $promise", (target) => {
  const corpus = readCorpus(target.name);

  test.each(corpus)("corpus: $name", async ({ bytes }) => {
    await target.check(bytes);
  });

  test(`${target.testInputs} random inputs, seed ${SEED}`, async () => {
    const inputs = corpus.map(({ bytes }) => bytes);
    for (let number = SEED; number < SEED + target.testInputs; number++) {
      const input = inputOf(target, inputs, number);
      try {
        await target.check(input);
      } catch (error) {
        throw new Error(`make fuzz TARGET=${target.name} SEED=${number}`, { cause: error });
      }
    }
  });
});

test("an input that fails is made as small as it can be", async () => {
  const fails = async (input: Uint8Array) => Buffer.from(input).includes("bug");
  const smallest = await minimise(Buffer.from(`${"x".repeat(500)}bug${"y".repeat(300)}`), fails);
  expect(Buffer.from(smallest).toString()).toBe("bug");
});

test("files come back from an input as they went in, and sealing a real store changes nothing", () => {
  for (const { name, bytes } of readCorpus("frames")) {
    const files = decodeFiles(bytes);
    expect(decodeFiles(encodeFiles(files)), name).toEqual(files);
    const sealed = decodeFiles(bytes);
    seal(sealed);
    if (["stopped", "two-segments", "body-behind-runs"].includes(name))
      expect(sealed, name).toEqual(files);
  }
});
