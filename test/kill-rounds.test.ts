/**
 * The executable is killed again and again while 8 clients append to the same streams and read them: nothing that
 * was answered is lost or changed, and one order explains every answer of all rounds.
 *
 * `ROUNDS=n` runs n rounds, `SEED=n` chooses what the clients do and when the kills come; `make fuzz TARGET=kill`
 * goes on for as long as it is told.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { killRounds } from "./support/kill-rounds.ts";

const ROUNDS = Number(process.env.ROUNDS ?? 50);
const SEED = Number(process.env.SEED ?? 1);
const TIMEOUT_MS = 10 * 60_000;

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-kill-"));
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

test(
  `${ROUNDS} kills at random moments, seed ${SEED}`,
  async () => {
    const { operations, events } = await killRounds(SEED, ROUNDS, { data: folder });
    expect(operations).toBeGreaterThan(ROUNDS * 20);
    expect(events).toBeGreaterThan(ROUNDS * 10);
  },
  TIMEOUT_MS,
);
