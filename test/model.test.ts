/**
 * A real executable against the model: random commands over RESP, with orderly stops and kill -9 among them.
 *
 * `SEED=n` chooses the commands, `RUNS=n` how many stores; fast-check prints the seed and the smallest list of
 * commands that still fails.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stepOf } from "./support/model-steps.ts";
import { type ModelHost, Subject } from "./support/model-subject.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 20_261_124);
const RUNS = Number(process.env.RUNS ?? 12);
const COMMANDS_PER_RUN = 80;
const PARTITIONS = 8;
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-model-"));
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

test(
  `random commands, restarts and kills agree with the model (seed ${SEED}, ${RUNS} stores)`,
  async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(stepOf(PARTITIONS), { minLength: 1, maxLength: COMMANDS_PER_RUN, size: "max" }),
        async (steps) => {
          const host = new ExecutableHost(path.join(folder, String(run++)));
          const subject = await Subject.start(host, PARTITIONS);
          try {
            for (const each of steps) await subject.take(each);
            await subject.take({ do: "restart", by: "kill" });
            await subject.readEverything();
          } finally {
            await subject.end();
          }
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

class ExecutableHost implements ModelHost {
  private readonly data: string;
  private cairn: Cairn | null = null;

  constructor(data: string) {
    this.data = data;
  }

  async start(): Promise<number> {
    const isNew = !fs.existsSync(this.data);
    const args = isNew ? ["--partitions", String(PARTITIONS)] : [];
    this.cairn = await startCairn({ data: this.data, args });
    return this.cairn.respPort;
  }

  async stop(): Promise<void> {
    expect(await this.cairn?.stop()).toBe(0);
  }

  async kill(): Promise<void> {
    await this.cairn?.kill();
  }
}
