/**
 * The script with one failing call of the disk, once or for good.
 */
import { ScriptRun, type ScriptVariant } from "./disk-script.ts";

/** What a call may fail with; a short write succeeds, but takes only a part. */
export const FAULT_CODES = ["EIO", "ENOSPC", "EINTR", "EMFILE", "short write"] as const;

export interface FaultPoint {
  readonly variant: ScriptVariant;
  /** Which of the script's calls fails, from 1 on. */
  readonly call: number;
  readonly code: (typeof FAULT_CODES)[number];
  /** Whether all calls behind it fail too, until the process ends. */
  readonly forGood: boolean;
  /** How the process ends after the session in which the call failed. */
  readonly end: "kill" | "crash";
}

/** Runs the script with the fault, and starts the store again after the end. Throws where a promise is broken. */
export async function failAtPoint(point: FaultPoint, seed = 1): Promise<void> {
  const { variant, call, code, forGood, end } = point;
  const run = new ScriptRun(variant, seed);
  run.onCall = (number, kind) => {
    if (code === "short write") {
      run.disk.shortWrites = number === call || (forGood && number > call) ? 1 : 0;
      // A direct write that is short fails: its caller cannot know which blocks are there.
      if (run.disk.shortWrites > 0) run.faultsBegin(kind, false);
    } else if (number === call) {
      run.faultsBegin(kind, forGood);
      run.disk.fail({ code, times: forGood ? Number.POSITIVE_INFINITY : 1 });
    }
  };
  try {
    await run.run(end);
    if (run.calls.length < call) throw new Error(`the script makes no call ${call}`);
    run.onCall = null;
    run.disk.shortWrites = 0;
    await run.restart();
    if (end === "kill") {
      // What that start has shown, out of the page cache perhaps, must be on the disk.
      run.disk.crash();
      run.ledger.crashed();
      await run.restart();
    }
  } catch (error) {
    const what = error instanceof Error ? error.stack : String(error);
    const where = `${variant.name}, call ${call} fails ${forGood ? "for good" : "once"} with ${code}, then a ${end}`;
    throw new Error(`${where}, seed ${seed}: ${what}\nwhat happened:\n  ${run.trace.join("\n  ")}`);
  }
}
