/**
 * `make fuzz`: all fuzzers, or one, for as long as it is told.
 *
 * All of them run in two lanes, side by side, each a process of its own that has one fuzzer at a time.
 *
 *   --seconds=60   for all together; what has no more cases leaves its time to the others of its lane
 *   --target=NAME  that one alone
 *   --seed=N       with a target: that case or input alone. Without one: where random numbers begin
 *   --cases=N      with a target: so many cases at the most
 *
 * A failure is printed with what replays it, and ends the run with exit code 1. An input that failed is made as small
 * as it can be and kept in the corpus, so that `make test` tries it from now on.
 */
import { parseArgs } from "node:util";
import { nextTurn } from "../support/store-driver.ts";
import { BYTE_TARGETS } from "./byte-targets.ts";
import { inputOf, minimise } from "./bytes.ts";
import { CASE_TARGETS } from "./case-targets.ts";
import { keepInCorpus, readCorpus } from "./corpus.ts";
import type { ByteTarget, CaseTarget } from "./target.ts";

const SECONDS_DEFAULT = 60;
/** The fuzzers of each lane: the recovery rule, of which most is wanted, has most of one. */
const FIRST_LANE = ["crash", "linearizability", "kill", "http"];
const LANES = ["first", "second"] as const;
/** Between two lines that say how far a fuzzer is. */
const TELL_INTERVAL_MS = 10_000;

interface Limits {
  readonly deadlineMs: number;
  /** The one case or input that is wanted, or null. */
  readonly only: number | null;
  readonly first: number;
  readonly casesMax: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "" },
    target: { type: "string", default: "" },
    seed: { type: "string", default: "" },
    cases: { type: "string", default: "" },
    lane: { type: "string", default: "" },
  },
});
const seed = values.seed === "" ? null : Number(values.seed);
const seconds = values.seconds === "" ? SECONDS_DEFAULT : Number(values.seconds);
const casesMax = values.cases === "" ? Number.POSITIVE_INFINITY : Number(values.cases);
const chosen = [...CASE_TARGETS, ...BYTE_TARGETS].filter(({ name }) => {
  const lane = FIRST_LANE.includes(name) ? "first" : "second";
  return ["", name].includes(values.target) && ["", lane].includes(values.lane);
});
if (chosen.length === 0 || [seed ?? 1, seconds, casesMax].some(Number.isNaN)) {
  const names = [...CASE_TARGETS, ...BYTE_TARGETS].map(({ name }) => name).join(", ");
  console.error(`SECONDS, SEED and CASES are numbers; TARGET is one of: ${names}`);
  process.exit(2);
}

if (values.target === "" && values.lane === "") process.exit(await runLanes());

const endMs = performance.now() + seconds * 1_000;
let failed = false;
for (const [index, target] of chosen.entries()) {
  const leftMs = endMs - performance.now();
  const shares = chosen.slice(index).reduce((sum, { share }) => sum + share, 0);
  const limits: Limits = {
    deadlineMs: performance.now() + leftMs * (target.share / shares),
    only: values.target === "" ? null : seed,
    first: seed ?? 1,
    casesMax,
  };
  const fails =
    "check" in target ? await fuzzBytes(target, limits) : await fuzzCases(target, limits);
  failed ||= fails;
}
process.exit(failed ? 1 : 0);

/** Runs all lanes side by side; gives the exit code. */
async function runLanes(): Promise<number> {
  const codes = LANES.map((lane) => {
    const options = [...process.argv.slice(2), `--lane=${lane}`];
    const command = [process.execPath, import.meta.filename, ...options];
    return Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "inherit" }).exited;
  });
  return Math.max(...(await Promise.all(codes)));
}

/** True where it failed. */
async function fuzzCases(target: CaseTarget, limits: Limits): Promise<boolean> {
  const count = await target.count();
  const progress = new Progress(target.name, count);
  let number = limits.only ?? (count === Number.POSITIVE_INFINITY ? limits.first : 1);
  for (let done = 0; done < Math.min(count, limits.casesMax); done++, number++) {
    if (limits.only !== null ? done > 0 : performance.now() > limits.deadlineMs) break;
    try {
      progress.add(await target.run(number));
    } catch (error) {
      return reportFailure(target, number, error);
    }
  }
  progress.end();
  return false;
}

/** True where it failed. */
async function fuzzBytes(target: ByteTarget, limits: Limits): Promise<boolean> {
  const corpus = readCorpus(target.name).map(({ bytes }) => bytes);
  const progress = new Progress(target.name, Number.POSITIVE_INFINITY);
  let number = limits.only ?? limits.first;
  try {
    for (let done = 0; done < limits.casesMax; done++, number++) {
      if (limits.only !== null ? done > 0 : performance.now() > limits.deadlineMs) break;
      const input = inputOf(target, corpus, number);
      const error = await failure(target, input);
      progress.add({ inputs: 1 });
      if (error === null) continue;
      const smallest = await minimise(input, async (smaller) => {
        const other = await failure(target, smaller);
        return other !== null && sameKind(other, error);
      });
      reportFailure(target, number, error);
      console.error(
        `the smallest input that fails so, ${smallest.length} bytes, is kept as ${keepInCorpus(target.name, smallest)}:`,
      );
      console.error(JSON.stringify(Buffer.from(smallest).toString("latin1").slice(0, 2_000)));
      return true;
    }
    progress.end();
    return false;
  } finally {
    await target.close?.();
  }
}

async function failure(target: ByteTarget, input: Uint8Array): Promise<unknown> {
  try {
    await target.check(input);
    return null;
  } catch (error) {
    return error ?? new Error("nothing was thrown");
  } finally {
    await nextTurn();
  }
}

/** Whether two failures say the same but for numbers and values. */
function sameKind(a: unknown, b: unknown): boolean {
  const kind = (error: unknown) => String(error).split(/[\d"[{]/)[0];
  return kind(a) === kind(b);
}

function reportFailure(
  target: { name: string; promise: string },
  number: number,
  error: unknown,
): true {
  console.error(`${target.name}: broken: ${target.promise}`);
  console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  console.error(`replay: make fuzz TARGET=${target.name} SEED=${number}`);
  return true;
}

/** Sums up what was done, and says so now and then. */
class Progress {
  private readonly startedMs = performance.now();
  private toldMs = performance.now();
  private readonly sums = new Map<string, number>();
  private cases = 0;
  private readonly name: string;
  private readonly count: number;

  constructor(name: string, count: number) {
    this.name = name;
    this.count = count;
  }

  add(done: Readonly<Record<string, number>>): void {
    this.cases++;
    for (const [what, number] of Object.entries(done)) {
      this.sums.set(what, (this.sums.get(what) ?? 0) + number);
    }
    if (performance.now() - this.toldMs < TELL_INTERVAL_MS) return;
    this.toldMs = performance.now();
    console.log(`  ${this.name}: ${this.text()}`);
  }

  end(): void {
    const isAll = this.cases >= this.count ? ", all there are" : "";
    console.log(`${this.name}: ${this.text()}${isAll}: 0 violations`);
  }

  private text(): string {
    const sums = [...this.sums].map(([what, number]) => `${number} ${what}`).join(", ");
    return `${sums || "nothing"} in ${Math.round((performance.now() - this.startedMs) / 1_000)} s`;
  }
}
