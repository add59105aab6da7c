/**
 * Long work, a slice at a time: one slice in each turn of the event loop, whoever's it is, so that however much is
 * under way, sockets and appends are served in between.
 */
import type { OutputArea } from "../core/output-area.ts";

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

/**
 * Work that may take longer than a turn should: it is done in slices, and other connections are served between
 * them. It keeps what it needs, since nothing of the request outlives the turn.
 */
export interface SlicedWork {
  /** Does a slice; true when it was the last. May use the area, and leaves it as it was. May throw a StoreError. */
  advance(area: OutputArea): boolean;
  /** Bytes of results that it holds. */
  readonly heldBytes: number;
  /**
   * To be asked when `advance` has returned false: where the next slice has to wait for something it calls `wake`, once,
   * when that is there. Null: the next slice may come in the next turn.
   */
  wait?(wake: () => void): Wait | null;
}

/** Long work that waits for something else than its next turn. */
export interface Wait {
  /** Ends the wait now: the work is woken, and goes on, or finishes with what there is. */
  release(): void;
  /** Forgets the work: nothing is called any more. */
  cancel(): void;
}
