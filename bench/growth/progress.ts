/**
 * The progress of a growth run on standard error: a bar that renews itself on a terminal, else a line now and then.
 */

const BAR_LENGTH = 24;
/** Between two lines where there is no terminal. */
const LINE_INTERVAL_MS = 15_000;
const TERMINAL_INTERVAL_MS = 250;
/** The rate is that of about so long. */
const RATE_SECONDS = 10;

export class Progress {
  private readonly total: number;
  private readonly countOf: () => number;
  private readonly isTerminal: boolean;
  private readonly write: (text: string) => void;
  private readonly timer: Timer;
  /** Counts at some moments before, the oldest first. */
  private readonly seen: { atMs: number; count: number }[] = [];
  private step = "starting";
  private lastLineMs = 0;

  /** `countOf` tells how many events of `total` are done. */
  constructor(
    total: number,
    countOf: () => number,
    isTerminal: boolean,
    write: (t: string) => void,
  ) {
    this.total = total;
    this.countOf = countOf;
    this.isTerminal = isTerminal;
    this.write = write;
    this.timer = setInterval(() => this.draw(), TERMINAL_INTERVAL_MS);
  }

  /** What is done from now on. */
  tell(step: string): void {
    this.step = step;
    this.seen.length = 0; // the rate is that of this step
    this.draw();
  }

  /** A line that stays. */
  print(line: string): void {
    this.write(this.isTerminal ? `${CLEAR_LINE}${line}\n` : `${line}\n`);
  }

  end(): void {
    clearInterval(this.timer);
    if (this.isTerminal) this.write(CLEAR_LINE);
  }

  private draw(): void {
    const nowMs = performance.now();
    const count = this.countOf();
    this.seen.push({ atMs: nowMs, count });
    while (nowMs - (this.seen[0]?.atMs ?? nowMs) > RATE_SECONDS * 1e3) this.seen.shift();
    if (this.isTerminal) {
      this.write(`${CLEAR_LINE}${this.text(nowMs, count)}`);
    } else if (nowMs - this.lastLineMs >= LINE_INTERVAL_MS) {
      this.lastLineMs = nowMs;
      this.write(`${this.text(nowMs, count)}\n`);
    }
  }

  private text(nowMs: number, count: number): string {
    const oldest = this.seen[0] ?? { atMs: nowMs, count };
    const seconds = (nowMs - oldest.atMs) / 1e3;
    const rate = seconds > 0 ? (count - oldest.count) / seconds : 0;
    return progressText({ total: this.total, count, rate, step: this.step });
  }
}

const CLEAR_LINE = "\r\x1b[K";

/** `[######------] 25 % 250,000 of 1,000,000, 245,000/s, 3 s left, filling`; `rate` is events a second. */
export function progressText(at: {
  total: number;
  count: number;
  rate: number;
  step: string;
}): string {
  const { total, count, rate, step } = at;
  const filled = Math.floor((count / total) * BAR_LENGTH);
  const bar = "#".repeat(filled) + "-".repeat(BAR_LENGTH - filled);
  const parts = [
    `[${bar}] ${Math.floor((count / total) * 100)} % ${count.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`,
  ];
  if (rate > 0) {
    parts.push(`${Math.round(rate).toLocaleString("en-US")}/s`);
    parts.push(`${durationText((total - count) / rate)} of appends left`);
  }
  return `${parts.join(", ")}, ${step}`;
}

function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
