/**
 * Bytes of bodies, or of answers, that the door holds for all connections together. What is large waits where they are
 * too many; what is small is not counted: connections are bounded.
 *
 * A body counts what it has brought so far, so that a slow one takes little. Bun reads no more of it than somebody asks
 * for, so one that waits costs its socket. The oldest one never waits, since others may wait for its end. An answer
 * that is large is a stream that Bun pulls, so that it is known when it has gone. While others wait, whoever does not
 * get on is cut: a body that brings too little, an answer that its client does not take.
 */
import { HTTP_BODY_PROGRESS_BYTES, HTTP_SMALL_BYTES, HTTP_STALLED_MS, KiB } from "../limits.ts";
import { sizeOf } from "./rows.ts";

/** An answer is pulled in pieces of this. */
const PIECE_BYTES = 64 * KiB;
/** How often it is looked who does not get on, while others wait. */
const CHECK_MS = 500;

export class HeldBytes {
  /** What is held now. */
  bytes = 0;
  private readonly bytesMax: number;
  private readonly stalledMs: number;
  private readonly waiting: Waiter[] = [];
  /** The oldest first. */
  private readonly holders = new Set<Holder>();
  private timer: Timer | null = null;

  /** Whoever gets on by nothing for `stalledMs` while others wait is cut. */
  constructor(bytesMax: number, stalledMs = HTTP_STALLED_MS) {
    this.bytesMax = bytesMax;
    this.stalledMs = stalledMs;
  }

  /** Begins to count a large body; `cut` ends its being read. */
  openBody(cut: () => void): HeldBody {
    const body: HeldBody = new HeldBody(cut, {
      room: () => this.room(body),
      add: (bytes) => {
        this.bytes += bytes;
      },
      gone: (bytes) => this.giveBack(body, bytes),
    });
    this.holders.add(body);
    return body;
  }

  /**
   * Does what makes an answer, of `bytesMax` at the most or null: at once where there is room for a large one, or where
   * it turns out to be small, else as soon as there is room.
   */
  async smallOrWhenRoom<Value>(make: (bytesMax: number) => Promise<Value | null>): Promise<Value> {
    if (this.mustWait) {
      const small = await make(HTTP_SMALL_BYTES);
      if (small !== null) return small;
    }
    await this.room(null);
    try {
      return (await make(Number.POSITIVE_INFINITY)) as Value;
    } finally {
      this.admit();
    }
  }

  /** The body of an answer, counted until it has gone where it is large. Of one to HEAD only the length goes. */
  answer(
    pieces: readonly Uint8Array[],
    isHead = false,
  ): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
    const bytes = sizeOf(pieces);
    if (bytes <= HTTP_SMALL_BYTES || isHead) return Buffer.concat(pieces, bytes);
    const answer: Answer = new Answer(pieces, () => this.giveBack(answer, bytes));
    this.bytes += bytes;
    this.holders.add(answer);
    return answer.stream;
  }

  /** Resolves when there is room, or the holder is the oldest. Whoever waited must see to it that the next is admitted. */
  private async room(holder: HeldBody | null): Promise<void> {
    if (!this.mustWait) return;
    if (holder !== null && holder === this.oldest()) return;
    this.timer ??= setInterval(() => this.cutStalled(), CHECK_MS);
    await new Promise<void>((resolve) => this.waiting.push({ holder, resolve }));
    if (holder !== null) this.admit(); // it brings a piece at a time
  }

  private get hasRoom(): boolean {
    return this.bytes < this.bytesMax;
  }

  private get mustWait(): boolean {
    return !this.hasRoom || this.waiting.length > 0;
  }

  private oldest(): Holder | undefined {
    return this.holders.values().next().value;
  }

  private giveBack(holder: Holder, bytes: number): void {
    if (!this.holders.delete(holder)) return;
    this.bytes -= bytes;
    this.admit();
  }

  private admit(): void {
    const oldest = this.oldest();
    const next = this.hasRoom ? 0 : this.waiting.findIndex(({ holder }) => holder === oldest);
    if (next >= 0) this.waiting.splice(next, 1)[0]?.resolve();
    if (this.waiting.length > 0 || this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  private cutStalled(): void {
    const before = performance.now() - this.stalledMs;
    for (const holder of [...this.holders]) if (holder.movedAt <= before) holder.cut();
  }
}

interface Waiter {
  /** A body that has begun to come; null for an answer that is to be made. */
  readonly holder: HeldBody | null;
  readonly resolve: () => void;
}

interface Holder {
  /** When it got on last; Infinity while that is not its client's to do. */
  readonly movedAt: number;
  cut(): void;
}

interface Account {
  room(): Promise<void>;
  add(bytes: number): void;
  gone(bytes: number): void;
}

/** One body on its way. */
export class HeldBody implements Holder {
  movedAt = performance.now();
  isCut = false;
  private bytes = 0;
  /** Of these, what it had when it got on last. */
  private movedBytes = 0;
  private readonly endReading: () => void;
  private readonly account: Account;

  constructor(endReading: () => void, account: Account) {
    this.endReading = endReading;
    this.account = account;
  }

  /** Resolves when the next piece may be read. */
  async room(): Promise<void> {
    this.movedAt = Number.POSITIVE_INFINITY;
    await this.account.room();
    this.movedAt = performance.now();
  }

  /** Counts what came. */
  add(bytes: number): void {
    this.bytes += bytes;
    this.account.add(bytes);
    if (this.bytes - this.movedBytes < HTTP_BODY_PROGRESS_BYTES) return;
    this.movedBytes = this.bytes;
    this.movedAt = performance.now();
  }

  /** All of it is there. */
  complete(): void {
    this.movedAt = Number.POSITIVE_INFINITY;
  }

  /** Its bytes are no longer needed; once more is nothing. */
  readonly release = (): void => {
    this.account.gone(this.bytes);
  };

  cut(): void {
    this.isCut = true;
    this.endReading();
  }
}

/** One answer on its way. */
class Answer implements Holder {
  readonly stream: ReadableStream<Uint8Array>;
  /** When Bun asked for a piece last. */
  movedAt = performance.now();
  private pieces: readonly Uint8Array[];
  private readonly gone: () => void;
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(pieces: readonly Uint8Array[], gone: () => void) {
    this.pieces = pieces;
    this.gone = gone;
    let index = 0;
    let at = 0;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: (controller) => {
          this.movedAt = performance.now();
          const piece = this.pieces[index] as Uint8Array;
          controller.enqueue(piece.slice(at, at + PIECE_BYTES));
          at += PIECE_BYTES;
          if (at < piece.length) return;
          index++;
          at = 0;
          if (index < this.pieces.length) return;
          controller.close();
          this.end();
        },
        cancel: () => this.end(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Ends it in its midst: the client sees that it is not whole. */
  cut(): void {
    this.controller?.error(new Error("the client takes no more of its answer"));
    this.end();
  }

  /** Frees the pieces now: the garbage collector would let several times what may be held pile up. */
  private end(): void {
    for (const { buffer, byteLength } of this.pieces) {
      // A small one may lie in memory that it shares.
      if (byteLength > HTTP_SMALL_BYTES) (buffer as ArrayBuffer).transfer(0);
    }
    this.pieces = [];
    this.gone();
  }
}
