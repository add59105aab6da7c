/**
 * Every input of the corpus, and some random ones, for each fuzzer of bytes: what `make fuzz` found stays found.
 */
import { afterAll, describe, expect, test } from "vitest";
import { Core, UUID_BYTES } from "../server/core/core.ts";
import { decodeRunHeader } from "../server/index/run-file.ts";
import { KiB, MiB } from "../server/limits.ts";
import { BYTE_TARGETS } from "./fuzz/byte-targets.ts";
import { inputOf, minimise } from "./fuzz/bytes.ts";
import { readCorpus } from "./fuzz/corpus.ts";
import { decodeFiles, encodeFiles, seal } from "./fuzz/store-image.ts";

const SEED = 1;
/** Where a run's header has the store's id (FORMAT.md). */
const RUN_STORE_ID_OFFSET = 16;

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

test("index runs in the corpus are such as are made today: else a start makes them again, and tests nothing of them", () => {
  const core = new Core({
    memoryBytesMax: 16 * MiB,
    partitions: 1,
    cacheBytes: 64 * KiB,
    pageBytes: 64 * KiB,
    headBytes: 0,
    batchBytesMax: MiB,
    random: (target) => target.fill(1),
  });
  const runs = readCorpus("frames").flatMap(({ bytes }) =>
    [...decodeFiles(bytes)].filter(([name]) => name.endsWith(".run")),
  );
  expect(runs).toHaveLength(1);
  for (const [path, bytes] of runs) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const storeId = bytes.slice(RUN_STORE_ID_OFFSET, RUN_STORE_ID_OFFSET + UUID_BYTES);
    expect(decodeRunHeader(core, bytes, name, bytes.length, storeId)).toBeTypeOf("object");
  }
});
