/**
 * `make mutants`: plants one bug after the other in a copy of the sources, and shows that the tests catch it.
 *
 * The copy lies in a temporary folder. First the tests that will be used must pass there without a bug. A mutant that
 * survives ends the run with exit code 1: a test is missing. `--only=WORDS` takes the mutants whose names have them.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS, type Mutant } from "./mutants.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const COPIED = [
  "server",
  "test",
  "core-wasm",
  "bench",
  "package.json",
  "tsconfig.json",
  "vitest.config.ts",
];
const COPIED_TOO = ["Makefile", "README.md", "dist/core.wasm"];
/** The first run only shows that the tests work in the copy. */
const SMALL = { STEP: "12", SEEDS: "12", RUNS: "2" };
const FULL = { STEP: "1", SEEDS: "300" };
/** A test that runs longer with a bug in the sources hangs, which is caught too. */
const TEST_MS_MAX = 10 * 60_000;

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const chosen = MUTANTS.filter(({ name }) => name.includes(values.only));
if (chosen.length === 0) {
  console.error(`no mutant's name has "${values.only}"`);
  process.exit(2);
}

const copy = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-mutants-"));
let survivors = 0;
try {
  fs.mkdirSync(path.join(copy, "dist"));
  for (const name of [...COPIED, ...COPIED_TOO]) {
    fs.cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  }
  fs.symlinkSync(path.join(ROOT, "node_modules"), path.join(copy, "node_modules"));
  const whole = new Set(chosen.flatMap(({ tests, only }) => (only === undefined ? tests : [])));
  if (whole.size > 0) passesWithout({ tests: [...whole] });
  for (const mutant of chosen) if (mutant.only !== undefined) passesWithout(mutant);
  console.log("without a bug the tests pass");
  for (const mutant of chosen) if (!isCaught(mutant)) survivors++;
} finally {
  fs.rmSync(copy, { recursive: true, force: true });
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants caught`);
process.exit(survivors === 0 ? 0 : 1);

function passesWithout(mutant: Pick<Mutant, "tests" | "only">): void {
  const { passed, output } = runTests(mutant, SMALL);
  if (!passed) throw new Error(`without a bug the tests fail: ${output}`);
}

function isCaught(mutant: Mutant): boolean {
  const { name, file, find, replace, tests } = mutant;
  const place = path.join(copy, file);
  const source = fs.readFileSync(place, "utf8");
  const [before, after, ...more] = source.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`"${name}" does not find its place in ${file}`);
  }
  const core = fs.readFileSync(path.join(copy, "dist/core.wasm"));
  const startedMs = performance.now();
  try {
    fs.writeFileSync(place, before + replace + after);
    if (file.startsWith("core-wasm/")) buildCore();
    const { passed, output } = runTests(mutant, FULL);
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    if (passed) {
      console.log(`SURVIVED  ${name}: ${tests.join(", ")} pass (${seconds} s)`);
      return false;
    }
    const failed = /(?:×|FAIL)\s+(.*)/.exec(output)?.[1]?.trim();
    if (failed === undefined) throw new Error(`"${name}": no test ran: ${output}`);
    console.log(`caught    ${name} (${seconds} s): ${failed}`);
    return true;
  } finally {
    fs.writeFileSync(place, source);
    fs.writeFileSync(path.join(copy, "dist/core.wasm"), core);
  }
}

function buildCore(): void {
  const args = ["--config", "core-wasm/asconfig.json", "--outFile", "dist/core.wasm"];
  const built = spawnSync("node_modules/.bin/asc", args, { cwd: copy, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the core does not compile: ${built.stderr}`);
}

function runTests(
  { tests, only }: Pick<Mutant, "tests" | "only">,
  sizes: Readonly<Record<string, string>>,
): { passed: boolean; output: string } {
  const named = only === undefined ? [] : ["-t", only];
  const vitest = ["--bun", "node_modules/.bin/vitest", "run", "--bail=1", ...named, ...tests];
  const run = spawnSync(process.execPath, vitest, {
    cwd: copy,
    encoding: "utf8",
    timeout: TEST_MS_MAX,
    killSignal: "SIGKILL",
    env: {
      ...process.env,
      ...sizes,
      NO_COLOR: "1",
      CAIRN_TEST_COMMAND: `${process.execPath} ${path.join(copy, "server/main.ts")}`,
    },
  });
  const output = `${run.stdout}${run.stderr}`;
  return {
    passed: run.status === 0,
    output: run.error === undefined ? output : `× it hangs\n${output}`,
  };
}
