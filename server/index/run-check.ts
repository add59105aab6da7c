/**
 * What `verify` asks of index runs: every page is whole, and each run says what the log says of the same events.
 *
 * The log is read from its beginning; where a run ends, what was read since the last one's end is compared with it.
 */
import type { Core } from "../core/core.ts";
import { OpenError } from "../errors.ts";
import { isBug } from "./run-maker.ts";
import type { OpenRun, RunSet } from "./run-set.ts";

/** What core-wasm/assembly/digest.ts compares, bit by bit. */
const KINDS = [
  "event ids",
  "streams",
  "partitions",
  "positions",
  "order of streams",
  "partition keys",
  "times",
  "filters",
  "fences",
];

export class RunCheck {
  private readonly core: Core;
  private readonly folder: string;
  private readonly set: RunSet;
  private checkedRuns = 0;

  /** Begins before the log is read. */
  constructor(core: Core, folder: string, set: RunSet) {
    this.core = core;
    this.folder = folder;
    this.set = set;
    core.exports.replayCompare();
  }

  /** Checks the next run, whose last event was read. Throws OpenError. */
  next(): void {
    const { core, folder, set } = this;
    const run = set.runs[this.checkedRuns] as OpenRun;
    try {
      set.checkPages(run);
      const differs = core.exports.digestCompare(this.checkedRuns);
      const kinds = KINDS.filter((_, bit) => (differs >> bit) & 1);
      if (kinds.length > 0) {
        throw new Error(`its ${kinds.join(", ")} are not what the log says from offset 0 on`);
      }
    } catch (error) {
      if (!(error instanceof Error) || isBug(error)) throw error;
      throw new OpenError(`${folder}/${run.name}: ${error.message}`);
    }
    this.checkedRuns++;
    core.exports.digestClear();
  }

  /** Checks what ends with the log; all runs are checked then. Throws OpenError. */
  finish(): void {
    while (this.checkedRuns < this.set.runs.length) this.next();
  }
}
