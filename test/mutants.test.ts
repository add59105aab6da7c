/** Each planted bug of `make mutants` still finds its place in the sources, and the tests that it names are there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants/mutants.ts";

const ROOT = join(import.meta.dirname, "..");

test.each(MUTANTS)("$name", ({ file, find, replace, tests }) => {
  expect(readFileSync(join(ROOT, file), "utf8").split(find).length - 1, `times in ${file}`).toBe(1);
  expect(replace).not.toBe(find);
  expect(tests.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
});
