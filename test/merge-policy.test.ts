/**
 * Which runs are merged: their number stays logarithmic, and so does how often an event is written again.
 *
 * Sizes of memtables are made at random; a failure prints the seed.
 */
import { describe, expect, test } from "vitest";
import { chooseMerge } from "../server/index/merge-policy.ts";
import { MERGED_RUNS, RUNS_MAX } from "../server/limits.ts";
import { Random } from "./support/random.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 1_000;
/** Of sizes at random; the other kinds need fewer to show what they do. */
const FLUSHES_MOST = 1_000_000;
const FLUSHES = 50_000;

/** What became of a store after many flushes: one merge at a time, some flushes while it lasts. */
class Simulation {
  /** Events of the runs, oldest first, and the same with how often each run's events were written on average. */
  readonly runs: { events: number; writes: number }[] = [];
  runsMost = 0;
  private merging: { index: number; count: number; left: number } | null = null;

  flush(events: number, flushesPerMerge = 0): void {
    this.runs.push({ events, writes: 1 });
    this.runsMost = Math.max(this.runsMost, this.runs.length);
    if (this.merging !== null && --this.merging.left <= 0) this.finishMerge();
    while (this.merging === null) {
      const choice = chooseMerge(
        this.runs.map((run) => run.events),
        MEMTABLE_EVENTS,
      );
      if (choice === null) return;
      this.merging = { ...choice, left: flushesPerMerge };
      if (flushesPerMerge === 0) this.finishMerge();
    }
  }

  private finishMerge(): void {
    if (this.merging === null) return;
    const { index, count } = this.merging;
    const inputs = this.runs.slice(index, index + count);
    const events = inputs.reduce((sum, run) => sum + run.events, 0);
    const written = inputs.reduce((sum, run) => sum + run.events * (run.writes + 1), 0);
    this.runs.splice(index, count, { events, writes: written / events });
    this.merging = null;
  }

  /** How often an event was written, on average. */
  get writes(): number {
    const events = this.runs.reduce((sum, run) => sum + run.events, 0);
    return this.runs.reduce((sum, run) => sum + run.events * run.writes, 0) / events;
  }
}

/** Sizes that `MERGED_RUNS` times as much from one to the next gives so many memtables. */
function sizesOf(flushes: number): number {
  return Math.ceil(Math.log(flushes) / Math.log(MERGED_RUNS)) + 1;
}

const FLUSH_SIZES: Readonly<Record<string, (random: Random, flush: number) => number>> = {
  "of one size": () => MEMTABLE_EVENTS,
  "mostly full, some with a single event": (random) => (random.chance(0.1) ? 1 : MEMTABLE_EVENTS),
  "that shrink by and by": (_random, flush) =>
    Math.max(1, Math.ceil(MEMTABLE_EVENTS * (1 - flush / FLUSHES))),
  "that grow by and by": (_random, flush) =>
    Math.max(1, Math.ceil((MEMTABLE_EVENTS * flush) / FLUSHES)),
};

describe("many flushes", () => {
  function simulate(flushes: number, sizeOf: (random: Random, flush: number) => number): void {
    const random = new Random(SEED);
    const simulation = new Simulation();
    for (let flush = 0; flush < flushes; flush++) simulation.flush(sizeOf(random, flush));
    const sizes = sizesOf(flushes);
    expect(simulation.runsMost, `SEED=${SEED}`).toBeLessThanOrEqual(MERGED_RUNS * sizes);
    expect(simulation.runsMost).toBeLessThan(RUNS_MAX / 2);
    expect(simulation.writes).toBeLessThanOrEqual(sizes + 1);
  }

  test("of any size, a million of them, leave few runs, and write each event few times", () => {
    simulate(FLUSHES_MOST, (random) => random.between(1, MEMTABLE_EVENTS));
  });

  for (const [name, sizeOf] of Object.entries(FLUSH_SIZES)) {
    test(`${name} leave few runs, and write each event few times`, () => {
      simulate(FLUSHES, sizeOf);
    });
  }

  test("of one size make as many runs as a number to the base of four has digits", () => {
    const simulation = new Simulation();
    for (let flush = 0; flush < MERGED_RUNS ** 5; flush++) simulation.flush(MEMTABLE_EVENTS);
    expect(simulation.runs.map((run) => run.events)).toEqual([MEMTABLE_EVENTS * MERGED_RUNS ** 5]);
    expect(simulation.writes).toBe(6);
  });
});

test("merges that are slow beside the flushes never let runs become too many", () => {
  const random = new Random(SEED);
  const simulation = new Simulation();
  for (let flush = 0; flush < 20_000; flush++) simulation.flush(MEMTABLE_EVENTS, random.below(3));
  expect(simulation.runsMost, `SEED=${SEED}`).toBeLessThan(RUNS_MAX);
});

describe("the choice", () => {
  test("is none while there are fewer than four", () => {
    expect(chooseMerge([], 1_000)).toBeNull();
    expect(chooseMerge([1_000, 1_000, 1_000], 1_000)).toBeNull();
  });

  test("takes the newest four of one size first", () => {
    const events = [16_000, 16_000, 16_000, 16_000, 1_000, 1_000, 1_000, 1_000];
    expect(chooseMerge(events, 1_000)).toEqual({ index: 4, count: 4 });
  });

  test("leaves runs of different sizes alone", () => {
    expect(chooseMerge([64_000, 16_000, 4_000, 1_000], 1_000)).toBeNull();
  });

  test("takes small runs along that lie among larger ones", () => {
    expect(chooseMerge([4_000, 1_000, 4_000, 4_000, 4_000], 1_000)).not.toBeNull();
  });

  test("takes the smallest four together once there are very many, whatever their sizes", () => {
    const events = Array.from({ length: RUNS_MAX / 2 }, (_, index) => 4 ** (RUNS_MAX / 2 - index));
    const choice = chooseMerge(events, 4);
    expect(choice).toEqual({ index: events.length - MERGED_RUNS, count: MERGED_RUNS });
  });
});
