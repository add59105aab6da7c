/**
 * The recovery rule under random appends, segment rolls, stops, kills, crashes and failing calls, on a
 * simulated disk: nothing acknowledged is lost, a torn tail is never refused, damage is never accepted.
 *
 * `SEEDS=n` runs n seeds, `SEED=n` replays one and prints what happened in it.
 */
import { expect, test } from "vitest";
import { runRecoverySeed } from "./support/recovery-seed.ts";

const SEED_COUNT = Number(process.env.SEEDS ?? 300);
const ONE_SEED = process.env.SEED;
/** For the whole run; it only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 30 * 60_000;

test(
  ONE_SEED === undefined ? `${SEED_COUNT} seeds from 1 keep the recovery rule` : `seed ${ONE_SEED}`,
  async () => {
    const seeds = ONE_SEED === undefined ? undefined : Number(ONE_SEED);
    const damages = { refused: 0, "event refused": 0, right: 0 };
    for (let seed = seeds ?? 1; seed <= (seeds ?? SEED_COUNT); seed++) {
      const verdict = await runRecoverySeed(seed, (line) => {
        if (ONE_SEED !== undefined) console.log(line);
      });
      if (verdict !== null) damages[verdict]++;
    }
    // Damage that is planted but never noticed would mean that the test looks in the wrong place.
    if (seeds === undefined && SEED_COUNT >= 100) expect(damages.refused).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
