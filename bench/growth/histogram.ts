/**
 * Latencies counted in buckets of 2 %, so that half an hour of them takes a few kilobytes and histograms add up.
 */

/** Each bucket's upper end is this much above the one before; the first one's is 1 µs. */
const BUCKET_RATIO = 1.02;
/** The last one's is above 10 minutes; longer ones count there. */
const BUCKET_COUNT = 1_024;

export class Histogram {
  count = 0;
  /** The longest, exactly; microseconds. */
  maxUs = 0;
  private readonly buckets = new Float64Array(BUCKET_COUNT);

  add(us: number): void {
    const bucket = us <= 1 ? 0 : Math.ceil(Math.log(us) / Math.log(BUCKET_RATIO));
    const index = Math.min(bucket, BUCKET_COUNT - 1);
    this.buckets[index] = (this.buckets[index] as number) + 1;
    this.count++;
    this.maxUs = Math.max(this.maxUs, us);
  }

  addAll(other: Histogram): void {
    for (let i = 0; i < BUCKET_COUNT; i++) {
      this.buckets[i] = (this.buckets[i] as number) + (other.buckets[i] as number);
    }
    this.count += other.count;
    this.maxUs = Math.max(this.maxUs, other.maxUs);
  }

  /** The upper end of the bucket below which this share of all lies, and never above the longest; microseconds. */
  quantileUs(share: number): number {
    if (this.count === 0) throw new Error("a quantile of nothing");
    const rank = Math.ceil(this.count * share);
    let seen = 0;
    for (let i = 0; i < BUCKET_COUNT; i++) {
      seen += this.buckets[i] as number;
      if (seen >= rank) return Math.min(BUCKET_RATIO ** i, this.maxUs);
    }
    return this.maxUs;
  }

  /** One line that `parse` takes. */
  toLine(): string {
    return JSON.stringify({ maxUs: this.maxUs, buckets: [...this.buckets] });
  }

  static parse(line: string): Histogram {
    const { maxUs, buckets } = JSON.parse(line) as { maxUs: number; buckets: number[] };
    const histogram = new Histogram();
    histogram.maxUs = maxUs;
    histogram.buckets.set(buckets);
    histogram.count = buckets.reduce((sum, count) => sum + count, 0);
    return histogram;
  }
}
