/**
 * Which runs are merged next. Runs of about one size, four times as much from one size to the next, are merged four
 * at a time, so that their number stays logarithmic and each entry is written once for each size.
 */
import { MERGED_RUNS, RUNS_MAX } from "../limits.ts";

/** Runs that follow one another: from `index` on, `count` of them. */
export interface MergeChoice {
  readonly index: number;
  readonly count: number;
}

/** With this many runs the smallest that lie together are merged, whatever their sizes. */
const RUNS_CROWDED = RUNS_MAX / 2;

/**
 * Chooses from the numbers of events of the runs, oldest first; null where nothing is to be merged. The newest are
 * looked at first: they are the smallest, and the most.
 */
export function chooseMerge(events: readonly number[], memtableEvents: number): MergeChoice | null {
  const sizes = events.map((count) => sizeOf(count, memtableEvents));
  for (let end = sizes.length; end >= MERGED_RUNS; end--) {
    const index = end - MERGED_RUNS;
    const largest = Math.max(...sizes.slice(index, end));
    const smallest = Math.min(...sizes.slice(index, end));
    // A small run that lies among larger ones is taken along: nothing else would ever take it.
    const isEnclosed = end < sizes.length && largest <= (sizes[end] as number);
    if (largest === smallest || isEnclosed) return { index, count: MERGED_RUNS };
  }
  return events.length >= RUNS_CROWDED ? smallestTogether(events) : null;
}

/** 0 for what one memtable makes, 1 for four times as much, and so on. */
function sizeOf(events: number, memtableEvents: number): number {
  return Math.max(0, Math.round(Math.log(events / memtableEvents) / Math.log(MERGED_RUNS)));
}

function smallestTogether(events: readonly number[]): MergeChoice {
  let best = { index: 0, count: MERGED_RUNS };
  let bestEvents = Number.POSITIVE_INFINITY;
  for (let index = 0; index + MERGED_RUNS <= events.length; index++) {
    const sum = events.slice(index, index + MERGED_RUNS).reduce((total, count) => total + count, 0);
    if (sum >= bestEvents) continue;
    bestEvents = sum;
    best = { index, count: MERGED_RUNS };
  }
  return best;
}
