/**
 * What `verify` asks of index runs: every page is whole, each run says what the log says of the same events, and the
 * log's events go on from those before them.
 *
 * The log is read from its beginning; where a run ends, what was read since the last one's end is compared with it. A run
 * that says the same then stands for the log: its streams and ids are held against those of the runs before it.
 */
import type { Core } from "../core/core.ts";
import { DamageError } from "../errors.ts";
import { isBug } from "./run-maker.ts";
import { type OpenRun, type RunSet, unfitRun } from "./run-set.ts";

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

/** What core-wasm/assembly/history.ts finds, one less than its number. */
const BREAKS = [
  "the version of the event here does not go on from the last one of its stream",
  "the stream of the event here was in another partition before",
  "the id of the event here is that of another one, too",
];

export class RunCheck {
  private readonly core: Core;
  private readonly folder: string;
  private readonly set: RunSet;
  private readonly placeText: (offset: number) => string;
  private checkedRuns = 0;

  /** Begins before the log is read; `placeText` names file and offset of a place in it. */
  constructor(core: Core, folder: string, set: RunSet, placeText: (offset: number) => string) {
    this.core = core;
    this.folder = folder;
    this.set = set;
    this.placeText = placeText;
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
      throw unfitRun(folder, run.name, error.message);
    }
    this.refuse(core.exports.historyCheckRun(this.checkedRuns));
    this.checkedRuns++;
    core.exports.digestClear();
  }

  /** Checks what ends with the log, and what is behind the runs: all is checked then. Throws OpenError. */
  finish(): void {
    while (this.checkedRuns < this.set.runs.length) this.next();
    this.refuse(this.core.exports.historyCheckMemtable());
  }

  private refuse(found: number): void {
    if (found === 0) return;
    const place = this.placeText(this.core.exports.historyOffset());
    throw new DamageError(`${place}: ${BREAKS[found - 1]}`);
  }
}
