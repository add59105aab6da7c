/**
 * What appends cost and carry: durable transactions, events and bytes, and how long each transaction waited.
 *
 * It takes one look at the clock for each turn that appends, not for each append: a turn's appends share the time of
 * its first one. Batches settle in order, one in flight while the next is filled.
 */
import { Histogram, SECONDS_BOUNDS } from "../metrics/histogram.ts";

/** Bounds of a batch's events: one, and powers of 4. */
const BATCH_EVENTS_BOUNDS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536];
/** Bounds of a batch's bytes: powers of 4 up to the largest batch. */
const BATCH_BYTES_BOUNDS = Array.from({ length: 9 }, (_, i) => 512 * 4 ** i);

export class AppendMeter {
  /** Of what is durable; since the start. */
  transactionCount = 0;
  eventCount = 0;
  byteCount = 0;
  readonly appendSeconds = new Histogram(SECONDS_BOUNDS);
  readonly batchEvents = new Histogram(BATCH_EVENTS_BOUNDS);
  readonly batchBytes = new Histogram(BATCH_BYTES_BOUNDS);
  private filling = new Turns();
  private flight = new Turns();
  private isNewTurn = true;

  /** A transaction was queued. */
  appended(): void {
    if (this.isNewTurn || this.filling.count === 0) {
      this.filling.open(performance.now());
      this.isNewTurn = false;
    }
    this.filling.addTransaction();
  }

  /** What is appended from now on is of another turn. */
  turnEnded(): void {
    this.isNewTurn = true;
  }

  /** The batch that was filled is in flight. */
  sealed(): void {
    const empty = this.flight;
    this.flight = this.filling;
    this.filling = empty;
  }

  /** The batch in flight is durable, `events` events in `bytes` bytes of the log. */
  settled(events: number, bytes: number): void {
    const { flight } = this;
    if (flight.count === 0) return; // marks alone
    const now = performance.now();
    for (let i = 0; i < flight.count; i++) {
      const transactions = flight.transactions[i] as number;
      this.transactionCount += transactions;
      this.appendSeconds.observe((now - (flight.startedAt[i] as number)) / 1_000, transactions);
    }
    this.eventCount += events;
    this.byteCount += bytes;
    this.batchEvents.observe(events);
    this.batchBytes.observe(bytes);
    flight.count = 0;
  }
}

/** The turns that appended to one batch. */
class Turns {
  count = 0;
  startedAt = new Float64Array(16);
  transactions = new Float64Array(16);

  open(startedAt: number): void {
    if (this.count === this.startedAt.length) this.grow();
    this.startedAt[this.count] = startedAt;
    this.transactions[this.count] = 0;
    this.count++;
  }

  addTransaction(): void {
    const last = this.count - 1;
    this.transactions[last] = (this.transactions[last] as number) + 1;
  }

  private grow(): void {
    const startedAt = new Float64Array(this.count * 2);
    const transactions = new Float64Array(this.count * 2);
    startedAt.set(this.startedAt);
    transactions.set(this.transactions);
    this.startedAt = startedAt;
    this.transactions = transactions;
  }
}
