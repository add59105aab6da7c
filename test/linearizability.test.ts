/**
 * Clients that append to the same streams and read them, while syncs are held back and fail and the process and the
 * power end: one order explains every answer, and it is the log's.
 *
 * `SEEDS=n` runs n seeds; `make fuzz TARGET=linearizability` goes on for as long as it is told.
 */
import { expect, test } from "vitest";
import { runRivalry } from "./support/rivalry.ts";

const SEEDS = Number(process.env.SEEDS ?? 25);
const TIMEOUT_MS = 30 * 60_000;

test(
  `one order explains what rival clients are told, ${SEEDS} seeds`,
  async () => {
    let operations = 0;
    for (let seed = 1; seed <= SEEDS; seed++) operations += await runRivalry(seed);
    expect(operations).toBeGreaterThan(SEEDS * 50);
  },
  TIMEOUT_MS,
);
