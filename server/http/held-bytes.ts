/**
 * Bytes of bodies, or of answers, that the door holds for all connections together: what is large waits until there is room.
 *
 * Bun reads no more of a body than somebody asks for, so a request that waits costs its socket; an answer that is
 * large is a stream that Bun pulls, so that it is known when it has gone. Where others wait, an answer that its client
 * does not take is cut. What is small is not counted: connections are bounded.
 */
import { HTTP_HELD_BYTES_MAX, HTTP_SMALL_BYTES, HTTP_STALLED_MS, KiB } from "../limits.ts";

/** An answer is pulled in pieces of this. */
const PIECE_BYTES = 64 * KiB;
/** How often it is looked who takes nothing, while others wait. */
const CHECK_MS = 500;

export class HeldBytes {
  private held = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly answers = new Set<Answer>();
  private timer: Timer | null = null;

  /** Holds so many bytes, as soon as there is room; returns what gives them back, once. */
  async take(bytes: number): Promise<() => void> {
    if (bytes <= HTTP_SMALL_BYTES) return () => {};
    await this.room();
    const giveBack = this.count(bytes);
    this.admit();
    return giveBack;
  }

  /** Does what makes an answer, as soon as there is room for one. */
  async whenRoom<Value>(make: () => Promise<Value>): Promise<Value> {
    await this.room();
    try {
      return await make();
    } finally {
      this.admit();
    }
  }

  /** The body of an answer, counted until it has gone where it is large. Of one to HEAD only the length goes. */
  answer(body: Uint8Array, isHead = false): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
    if (body.length <= HTTP_SMALL_BYTES || isHead) return body as Uint8Array<ArrayBuffer>;
    const giveBack = this.count(body.length);
    const answer: Answer = new Answer(body, () => {
      this.answers.delete(answer);
      giveBack();
    });
    this.answers.add(answer);
    return answer.stream;
  }

  /** Resolves when there is room. Whoever waited must `admit` the next one when it has counted what it holds. */
  private async room(): Promise<void> {
    if (this.held < HTTP_HELD_BYTES_MAX && this.waiting.length === 0) return;
    this.timer ??= setInterval(() => this.cutStalled(), CHECK_MS);
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private count(bytes: number): () => void {
    this.held += bytes;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.held -= bytes;
      this.admit();
    };
  }

  private admit(): void {
    if (this.held < HTTP_HELD_BYTES_MAX) this.waiting.shift()?.();
    if (this.waiting.length > 0 || this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  private cutStalled(): void {
    const before = performance.now() - HTTP_STALLED_MS;
    for (const answer of [...this.answers]) if (answer.pulledAt < before) answer.cut();
  }
}

/** One answer on its way. */
class Answer {
  readonly stream: ReadableStream<Uint8Array>;
  /** When Bun asked for a piece last. */
  pulledAt = performance.now();
  private readonly gone: () => void;
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(body: Uint8Array, gone: () => void) {
    this.gone = gone;
    let at = 0;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: (controller) => {
          this.pulledAt = performance.now();
          controller.enqueue(body.subarray(at, at + PIECE_BYTES));
          at += PIECE_BYTES;
          if (at < body.length) return;
          controller.close();
          gone();
        },
        cancel: gone,
      },
      { highWaterMark: 0 },
    );
  }

  /** Ends it in its midst: the client sees that it is not whole. */
  cut(): void {
    this.controller?.error(new Error("the client takes no more of its answer"));
    this.gone();
  }
}
