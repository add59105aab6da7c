/**
 * The power is cut before and after every single call of the disk in a fixed script, and again inside the recovery
 * from that crash: nothing acknowledged is lost, a transaction is whole or absent, ids are known, appends go on.
 *
 * Here each recovery is cut at one call, and a crash before a call is the one after the call before it;
 * `make fuzz TARGET=crash-points` cuts inside each call too, and each recovery at every call of it.
 * `STEP=n` takes every n-th call only.
 */
import { expect, test } from "vitest";
import { countCalls, crashAtPoint } from "./support/crash-points.ts";
import { VARIANTS } from "./support/disk-script.ts";

const RECOVERY_POINTS_PER_CRASH = 1;
/** Every so many calls. */
const STEP = Number(process.env.STEP ?? 1);
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

for (const variant of VARIANTS) {
  test(
    `a crash before and after every call, ${variant.name}`,
    async () => {
      const calls = await countCalls(variant);
      // Fewer would mean that the script does not do what it says.
      expect(calls).toBeGreaterThan(100);
      for (let call = 1; call <= calls; call += STEP) {
        await crashAtPoint({ variant, call, effect: "none" }, RECOVERY_POINTS_PER_CRASH);
      }
      await crashAtPoint({ variant, call: calls, effect: "all" }, RECOVERY_POINTS_PER_CRASH);
    },
    TIMEOUT_MS,
  );
}
