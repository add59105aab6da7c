/**
 * The fuzzers of runs: crashes at random and at every call of the disk, failing calls, rival clients, kills.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { countCalls, crashAtPoint } from "../support/crash-points.ts";
import { type ScriptVariant, VARIANTS } from "../support/disk-script.ts";
import { FAULT_CODES, failAtPoint } from "../support/fault-points.ts";
import { killRounds } from "../support/kill-rounds.ts";
import { runRecoverySeed } from "../support/recovery-seed.ts";
import { runRivalry } from "../support/rivalry.ts";
import type { CaseTarget } from "./target.ts";

/** After the whole effect of a call is before the next one. */
const EFFECTS = ["none", "some"] as const;
const ENDS = ["kill", "crash"] as const;
/** Kills of one store, which grows with each: a case. */
const ROUNDS_PER_STORE = 20;

/** Recoveries from one crash that are cut, where not all are: inside a call, and with the index's many reads. */
const RECOVERIES_MAX = 12;

const callCounts = new Map<ScriptVariant, number>();

async function callsOf(variant: ScriptVariant): Promise<number> {
  const known = callCounts.get(variant) ?? (await countCalls(variant));
  callCounts.set(variant, known);
  return known;
}

/** Cases of each variant: a number of them for each call of its script. */
async function allPoints(perCall: number): Promise<number> {
  let count = 0;
  for (const variant of VARIANTS) count += (await callsOf(variant)) * perCall;
  return count;
}

/** Which variant, call and rest the case `number` is, with `perCall` cases for each call. */
async function pointOf(
  number: number,
  perCall: number,
): Promise<{ variant: ScriptVariant; call: number; rest: number }> {
  let index = number - 1;
  for (const variant of VARIANTS) {
    const cases = (await callsOf(variant)) * perCall;
    if (index < cases)
      return { variant, call: Math.floor(index / perCall) + 1, rest: index % perCall };
    index -= cases;
  }
  throw new Error(`there is no case ${number}`);
}

const crash: CaseTarget = {
  name: "crash",
  share: 10,
  promise: "the recovery rule holds through a random life of a store",
  count: async () => Number.POSITIVE_INFINITY,
  async run(number) {
    const verdict = await runRecoverySeed(number);
    return { seeds: 1, "damages judged": verdict === null ? 0 : 1 };
  },
};

const crashPoints: CaseTarget = {
  name: "crash-points",
  share: 7,
  promise:
    "a crash before and in every call, and at the calls of the recovery from it, loses nothing",
  count: () => allPoints(EFFECTS.length),
  async run(number) {
    const { variant, call, rest } = await pointOf(number, EFFECTS.length);
    const effect = EFFECTS[rest] ?? "some";
    const isWhole = effect === "none" && variant.memtableEvents === undefined;
    const recoveries = await crashAtPoint(
      { variant, call, effect },
      isWhole ? Number.POSITIVE_INFINITY : RECOVERIES_MAX,
    );
    return { "crash points": 1, recoveries };
  },
};

const FAULTS_PER_CALL = FAULT_CODES.length * ENDS.length * 2;

const faultPoints: CaseTarget = {
  name: "fault-points",
  share: 3,
  promise: "every call that fails, once and for good, with every code, is told truly",
  count: () => allPoints(FAULTS_PER_CALL),
  async run(number) {
    const { variant, call, rest } = await pointOf(number, FAULTS_PER_CALL);
    const code = FAULT_CODES[rest % FAULT_CODES.length] ?? "EIO";
    const end = ENDS[Math.floor(rest / FAULT_CODES.length) % ENDS.length] ?? "kill";
    const forGood = rest >= FAULTS_PER_CALL / 2;
    await failAtPoint({ variant, call, code, forGood, end });
    return { "failed calls": 1 };
  },
};

const linearizability: CaseTarget = {
  name: "linearizability",
  share: 2,
  promise: "one order explains what rival clients are told, with faults",
  count: async () => Number.POSITIVE_INFINITY,
  run: async (number) => ({ seeds: 1, operations: await runRivalry(number) }),
};

const kill: CaseTarget = {
  name: "kill",
  share: 2,
  promise: "one order explains it under kill -9 of the executable",
  count: async () => Number.POSITIVE_INFINITY,
  async run(number) {
    const data = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-kill-"));
    try {
      const { rounds, operations } = await killRounds(number, ROUNDS_PER_STORE, { data });
      return { kills: rounds, operations };
    } finally {
      fs.rmSync(data, { recursive: true, force: true });
    }
  },
};

export const CASE_TARGETS: readonly CaseTarget[] = [
  crash,
  crashPoints,
  faultPoints,
  linearizability,
  kill,
];
