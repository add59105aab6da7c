/**
 * Crashes of the script at one place: a call of the disk, before, in or after its effect, then a call of the recovery.
 */
import { ScriptRun, type ScriptVariant } from "./disk-script.ts";
import { Random } from "./random.ts";
import type { EndEffect } from "./simulated-disk.ts";
import { nextTurn } from "./store-driver.ts";

export interface CrashPoint {
  readonly variant: ScriptVariant;
  /** Which of the script's calls, from 1 on. */
  readonly call: number;
  /** How much of its effect the call has. */
  readonly effect: EndEffect;
}

/** How many calls of the disk the script makes. */
export async function countCalls(variant: ScriptVariant): Promise<number> {
  const run = new ScriptRun(variant, 1);
  await run.run();
  return run.calls.length;
}

/**
 * Cuts the power at one point, then inside the recovery from that: at every call of it, or at `recoveryPoints` of
 * them. `seed` decides what the crashes make of unsynced bytes. Returns how many
 * recoveries were checked. Throws where a promise is broken.
 */
export async function crashAtPoint(
  { variant, call, effect }: CrashPoint,
  recoveryPoints = Number.POSITIVE_INFINITY,
  seed = 1,
): Promise<number> {
  const run = new ScriptRun(variant, seed);
  run.onCall = (number) => {
    if (number === call) run.disk.endAtCall(1, "crash", effect);
  };
  try {
    await run.run();
    if (run.calls.length !== call) throw new Error(`the script does not end at call ${call}`);
    run.onCall = null;
    run.ledger.crashed();
    return await recoverFrom(run, recoveryPoints, new Random(call * 1_000 + seed));
  } catch (error) {
    const what = error instanceof Error ? error.stack : String(error);
    const where = `${variant.name}, a crash at call ${call} that has ${effect} of its effect`;
    throw new Error(`${where}, seed ${seed}: ${what}\nwhat happened:\n  ${run.trace.join("\n  ")}`);
  }
}

async function recoverFrom(
  run: ScriptRun,
  recoveryPoints: number,
  random: Random,
): Promise<number> {
  const { ledger } = run;
  const history = [...ledger.history];
  const copy = () => run.disk.copyAfterCrash({ random: new Random(random.uint32()) });
  const whole = copy();
  await run.restart(whole);
  const calls = whole.callCount;
  let checked = 1;
  for (const { call, effect } of recoveryPlaces(calls, recoveryPoints, random)) {
    const disk = copy();
    disk.endAtCall(call, "crash", effect);
    ledger.history = [...history]; // what the restart before appended is not on this copy
    run.trace.push(`the recovery ends at its call ${call}, which has ${effect} of its effect`);
    await nextTurn();
    if (run.opensOn(disk)) disk.crash(); // the calls behind the recovery's last are a running store's
    await run.restart(disk);
    checked++;
  }
  return checked;
}

/** Each call of the recovery, or some of them, before, in or after its effect. */
function recoveryPlaces(
  calls: number,
  count: number,
  random: Random,
): { call: number; effect: EndEffect }[] {
  const all = Array.from({ length: calls }, (_, index) => index + 1);
  const chosen = count >= calls ? all : Array.from({ length: count }, () => random.pick(all));
  return chosen.map((call) => ({ call, effect: random.pick(["none", "some", "all"]) }));
}
