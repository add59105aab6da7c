/**
 * Long work, a slice at a time: one slice in each turn of the event loop, whoever's it is, so that however much is
 * under way, sockets and appends are served in between.
 */
export class SliceQueue {
  private readonly waiting: (() => void)[] = [];

  /** Does one slice in a later turn. A slice that is not the last adds the next one itself. */
  add(slice: () => void): void {
    this.waiting.push(slice);
    if (this.waiting.length === 1) setImmediate(() => this.runNext());
  }

  private runNext(): void {
    // It stays in the queue while it runs, so that what it adds does not schedule a turn of its own.
    try {
      (this.waiting[0] as () => void)();
    } finally {
      this.waiting.shift();
      if (this.waiting.length > 0) setImmediate(() => this.runNext());
    }
  }
}
