/**
 * A histogram as Prometheus has it: how many observations are at most so large, their sum and their number.
 *
 * Observing allocates nothing and takes one number, so that a hot path can do it.
 */
import { assert } from "../assert.ts";

export class Histogram {
  /** Upper bounds of the buckets, inclusive and ascending; one more bucket takes what is above all of them. */
  readonly bounds: readonly number[];
  /** Observations in each bucket alone, the one above all bounds last. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    assert(bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] as number)));
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Observes a value, `count` times. */
  observe(value: number, count = 1): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + count;
    this.sum += value * count;
  }

  /** Observations of all buckets. */
  get count(): number {
    return this.counts.reduce((total, count) => total + count, 0);
  }
}

/** Bounds for times from what a fast disk's sync takes to what nobody waits for, seconds. */
export const SECONDS_BOUNDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
