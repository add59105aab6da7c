/**
 * The power is cut before the calls of the disk in a fixed script, one after the other, and again inside the recovery
 * from that crash: nothing acknowledged is lost, a transaction is whole or absent, ids are known, appends go on.
 *
 * Here every `STEP`th call is taken, and each recovery is cut at one call. `make fuzz TARGET=crash-points` takes every
 * call, cuts inside each too, and the recoveries at many calls or all.
 */
import { expect, test } from "vitest";
import { countCalls, crashAtPoint } from "./support/crash-points.ts";
import { VARIANTS } from "./support/disk-script.ts";

const RECOVERY_POINTS_PER_CRASH = 1;
const STEP = Number(process.env.STEP ?? 4);
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

for (const [index, variant] of VARIANTS.entries()) {
  test(
    `a crash before one call after the other, ${variant.name}`,
    async () => {
      const calls = await countCalls(variant);
      // Fewer would mean that the script does not do what it says.
      expect(calls).toBeGreaterThan(100);
      for (let call = 1 + (index % STEP); call <= calls; call += STEP) {
        await crashAtPoint({ variant, call, effect: "none" }, RECOVERY_POINTS_PER_CRASH);
      }
      await crashAtPoint({ variant, call: calls, effect: "all" }, RECOVERY_POINTS_PER_CRASH);
    },
    TIMEOUT_MS,
  );
}
