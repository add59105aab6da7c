/**
 * The replies that wait for one batch of the log: what appends were answered, and whatever their connections
 * asked behind them.
 *
 * They lie one after the other in one area, in the order in which they were made, so that telling a batch is one
 * socket write for each connection. When the batch fails, each says by its kind what it becomes.
 */
import type { Core } from "../core/core.ts";
import { OutputArea } from "../core/output-area.ts";
import { KiB } from "../limits.ts";
import type { Outcome } from "../log/log.ts";
import type { Connection } from "./connection.ts";
import { Reply } from "./reply.ts";

/** What a held reply depends on. */
export const HeldKind = {
  /** Nothing: it only keeps its place. */
  order: 0,
  /** The append that it answers is in the batch. */
  append: 1,
  /** It repeats an append that is not durable yet. */
  repeat: 2,
  /** It is an error that what is not durable yet may have caused. */
  refusal: 3,
} as const;
export type HeldKind = (typeof HeldKind)[keyof typeof HeldKind];

/** The area when it is made, and what is kept of it. */
const AREA_BYTES = 256 * KiB;

const UNCERTAIN =
  "the log failed while this was written: it may or may not be there after a restart; repeat it with the same EVENT_ID";
const READONLY = "nothing was written: the log failed; restart the server to recover";

export class HeldReplies {
  readonly area: OutputArea;
  private count = 0;
  private readonly connections: (Connection | null)[] = [];
  private starts = new Float64Array(1_024);
  private kinds = new Uint8Array(1_024);

  constructor(core: Core) {
    this.area = new OutputArea(core, AREA_BYTES);
  }

  /** Notes the reply that was written from `start` (an offset in the area) to the area's end. */
  add(connection: Connection, start: number, kind: HeldKind): void {
    if (this.count === this.starts.length) this.growTables();
    this.connections[this.count] = connection;
    this.starts[this.count] = start;
    this.kinds[this.count] = kind;
    this.count++;
  }

  /** Sends all replies, as they are or as the failed batch makes them, and lets their connections go on. */
  settle(outcome: Outcome): void {
    const { count, connections } = this;
    if (outcome === "durable") this.sendAll();
    else this.sendFailures(outcome);
    this.count = 0;
    this.area.clear();
    let last: Connection | null = null;
    for (let i = 0; i < count; i++) {
      const connection = connections[i] as Connection;
      connections[i] = null;
      if (connection === last) continue;
      last = connection;
      connection.batchSettled();
    }
  }

  private sendAll(): void {
    const { memory, origin } = this.area;
    for (let i = 0; i < this.count; ) {
      const connection = this.connections[i] as Connection;
      const start = this.starts[i] as number;
      i++;
      while (i < this.count && this.connections[i] === connection) i++;
      const end = i < this.count ? (this.starts[i] as number) : this.area.length;
      connection.send(memory, origin + start, end - start);
    }
  }

  private sendFailures(outcome: Outcome): void {
    const text = new TextReply();
    for (let i = 0; i < this.count; i++) {
      const connection = this.connections[i] as Connection;
      const kind = this.kinds[i];
      if (kind === HeldKind.order) {
        const start = this.starts[i] as number;
        const end = i + 1 < this.count ? (this.starts[i + 1] as number) : this.area.length;
        connection.send(this.area.memory, this.area.origin + start, end - start);
      } else if (
        kind === HeldKind.repeat ||
        (kind === HeldKind.append && outcome === "uncertain")
      ) {
        text.send(connection, "UNCERTAIN", UNCERTAIN);
      } else {
        text.send(connection, "READONLY", READONLY);
      }
    }
  }

  private growTables(): void {
    const starts = new Float64Array(this.starts.length * 2);
    const kinds = new Uint8Array(this.kinds.length * 2);
    starts.set(this.starts);
    kinds.set(this.kinds);
    this.starts = starts;
    this.kinds = kinds;
  }
}

/** Errors in memory of their own: a failed log must not depend on the core's. */
class TextReply {
  private readonly sink = { memory: new Uint8Array(1_024), tail: 0, reserve(): void {} };
  private readonly reply = new Reply(this.sink);

  send(connection: Connection, code: "UNCERTAIN" | "READONLY", message: string): void {
    this.sink.tail = 0;
    this.reply.error(code, message);
    connection.countError(code);
    connection.send(this.sink.memory, 0, this.sink.tail);
  }
}
