/**
 * The calls of the disk in a fixed script fail, one after the other, once and for good: no false acknowledgement, a
 * clear answer, reads go on, a disk that is well again is written to unless the log is fenced, and the state after a
 * restart and after a power cut is right.
 *
 * Here every `STEP`th call is taken, with one of the codes and one of the ends in turn. `make fuzz TARGET=fault-points`
 * takes all of them.
 */
import { expect, test } from "vitest";
import { countCalls } from "./support/crash-points.ts";
import { VARIANTS } from "./support/disk-script.ts";
import { FAULT_CODES, failAtPoint } from "./support/fault-points.ts";

const STEP = Number(process.env.STEP ?? 5);
/** Calls until a new store takes its first append. */
const CALLS_OF_MAKING = 50;
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

for (const [index, variant] of VARIANTS.entries()) {
  for (const forGood of [false, true]) {
    test(
      `one call after the other fails ${forGood ? "for good" : "once"}, ${variant.name}`,
      async () => {
        const calls = await countCalls(variant);
        expect(calls).toBeGreaterThan(100);
        for (let call = 1 + ((index + (forGood ? 2 : 0)) % STEP); call <= calls; call += STEP) {
          const code = FAULT_CODES[(call + index) % FAULT_CODES.length] ?? "EIO";
          const end = call % 2 === 0 ? "kill" : "crash";
          await failAtPoint({ variant, call, code, forGood, end });
        }
      },
      TIMEOUT_MS,
    );
  }
}

test("a store whose making was killed in any call is there after a power cut, with what was acknowledged since", async () => {
  const [variant] = VARIANTS;
  if (variant === undefined) throw new Error("there is no variant");
  for (let call = 1; call <= CALLS_OF_MAKING; call++) {
    await failAtPoint({ variant, call, code: "EIO", forGood: false, end: "kill" });
  }
});
