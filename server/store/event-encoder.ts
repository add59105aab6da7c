/**
 * Encodes the events that subscribers are given: each once for all who get it in the same encoding.
 *
 * Events come out as rows: numbers, and where in core memory the encoded event lies. A row holds until the next call.
 * core-wasm/assembly/push.ts draws the rows.
 */
import { assert } from "../assert.ts";
import { type Core, MemoryRefused } from "../core/core.ts";
import { Encoding } from "../core/encoding.ts";
import { OutputArea } from "../core/output-area.ts";
import { CORRUPT, DONE, NEED_BLOCK, NEED_OUTPUT, PAUSED } from "../core/status.ts";
import { MiB, PUSH_BYTES } from "../limits.ts";
import type { BlockLoader } from "./block-loader.ts";

/** Positions that are looked at in one call. */
const POSITIONS_PER_CALL = 1_024;
/** Encoded events are kept for others until there are so many bytes of them. */
const BODIES_BYTES = 2 * MiB;
const ROW_BYTES = 40;

/** What the ids of a feed are. */
export type FeedNumbers = "positions" | "versions" | "sequences";
const NUMBER_OFFSETS: Readonly<Record<FeedNumbers, number>> = {
  positions: 0,
  versions: 8,
  sequences: 16,
};

export class EventEncoder {
  /** Rows written by the last `examine`. */
  count = 0;
  /** How many of the positions it has passed. */
  examined = 0;
  private readonly core: Core;
  private readonly blocks: BlockLoader;
  private readonly bodies: OutputArea;
  private readonly rowsAddress: number;
  private readonly positionsAddress: number;

  constructor(core: Core, blocks: BlockLoader) {
    this.core = core;
    this.blocks = blocks;
    this.bodies = new OutputArea(core, BODIES_BYTES);
    this.rowsAddress = core.allocate(POSITIONS_PER_CALL * ROW_BYTES);
    this.positionsAddress = core.allocate(POSITIONS_PER_CALL * 8);
  }

  /** All of core memory, in which the events lie. Taken anew after whatever may allocate there. */
  get memory(): Uint8Array {
    return this.core.memory;
  }

  position(row: number): number {
    return this.core.doubles[this.rowsAddress / 8 + row * 5] as number;
  }

  version(row: number): number {
    return this.core.doubles[this.rowsAddress / 8 + row * 5 + 1] as number;
  }

  /** The partition's sequence. */
  sequence(row: number): number {
    return this.core.doubles[this.rowsAddress / 8 + row * 5 + 2] as number;
  }

  /** Core address of the encoded event, and its size in bytes. */
  body(row: number): number {
    return this.core.words[this.rowsAddress / 4 + row * 10 + 6] as number;
  }

  bodySize(row: number): number {
    return this.core.words[this.rowsAddress / 4 + row * 10 + 7] as number;
  }

  /** The bytes of the event's stream id; a view. */
  streamId(row: number): Uint8Array {
    const word = this.rowsAddress / 4 + row * 10 + 8;
    const { words, memory } = this.core;
    const start = words[word] as number;
    return memory.subarray(start, start + (words[word + 1] as number));
  }

  /**
   * Writes into `frames` a RESP3 push for each row: the prefix, the cursor, which counts up,
   * and the event.
   */
  writePushes(frames: OutputArea, prefix: Uint8Array, cursor: number): void {
    this.writeFramed(frames, 0, this.count, prefix, (out, rows, count, prefixAddress) =>
      this.core.exports.pushMessages(out, rows, count, prefixAddress, prefix.length, cursor),
    );
  }

  /** Writes into `frames`, for `count` rows from this one on, the prefix, the stream id and the event as blob strings. */
  writeMessages(frames: OutputArea, row: number, count: number, prefix: Uint8Array): void {
    this.writeFramed(frames, row, count, prefix, (out, rows, size, prefixAddress) =>
      this.core.exports.publishMessages(out, rows, size, prefixAddress, prefix.length),
    );
  }

  /** Writes into `frames` a message of Server-Sent Events for each row, whose id is the number that `numbers` says. */
  writeFeed(frames: OutputArea, numbers: FeedNumbers, encoding: Encoding): void {
    const { rowsAddress, count } = this;
    const { exports } = this.core;
    const splits = encoding === Encoding.jsonData; // in all else line feeds are escaped
    frames.reserve(exports.feedMessagesMax(rowsAddress, count, splits));
    const offset = NUMBER_OFFSETS[numbers];
    frames.tail = exports.feedMessages(frames.tail, rowsAddress, count, offset, splits) >>> 0;
  }

  /** The prefix is put behind what will be written: a place that only this call uses. */
  private writeFramed(
    frames: OutputArea,
    row: number,
    count: number,
    prefix: Uint8Array,
    write: (out: number, rows: number, count: number, prefixAddress: number) => number,
  ): void {
    const { exports } = this.core;
    const rows = this.rowsAddress + row * ROW_BYTES;
    const most = exports.pushMessagesMax(rows, count, prefix.length);
    frames.reserve(most + prefix.length);
    const prefixAddress = frames.tail + most;
    this.core.memory.set(prefix, prefixAddress);
    frames.tail = write(frames.tail, rows, count, prefixAddress) >>> 0;
  }

  /**
   * Looks at the events at these positions from index `from` on, and encodes those that interest and filter take (null:
   * all): `count` rows, `most` at the most. It may stop before the last one. Throws CORRUPT where the first is damaged.
   */
  examine(
    positions: readonly number[],
    from: number,
    most: number,
    interest: Uint8Array | null,
    filter: Uint8Array | null,
    encoding: Encoding,
  ): void {
    const { core, positionsAddress } = this;
    const given = Math.min(positions.length - from, POSITIONS_PER_CALL);
    const { doubles } = core;
    for (let i = 0; i < given; i++) {
      doubles[positionsAddress / 8 + i] = positions[from + i] as number;
    }
    const interestSize = interest?.length ?? 0;
    const filterOffset = (interestSize + 7) & ~7;
    const size = filterOffset + (filter?.length ?? 0);
    const programs = size === 0 ? 0 : core.allocate(size);
    try {
      if (interest !== null) core.memory.set(interest, programs);
      if (filter !== null) core.memory.set(filter, programs + filterOffset);
      this.run(
        given,
        most,
        interest === null ? 0 : programs,
        filter === null ? 0 : programs + filterOffset,
        encoding,
      );
    } finally {
      if (size > 0) core.exports.release(programs, size);
    }
  }

  private run(
    given: number,
    most: number,
    interest: number,
    filter: number,
    encoding: Encoding,
  ): void {
    const { bodies } = this;
    const { exports } = this.core;
    const rowsMax = Math.min(most, POSITIONS_PER_CALL);
    assert(given > 0 && rowsMax > 0);
    const first = this.core.doubles[this.positionsAddress / 8] as number;
    this.count = 0;
    this.examined = 0;
    while (true) {
      const status = exports.pushExamine(
        this.positionsAddress + this.examined * 8,
        given - this.examined,
        interest,
        filter,
        encoding,
        bodies.tail,
        bodies.end,
        this.rowsAddress,
        rowsMax,
        PUSH_BYTES,
        POSITIONS_PER_CALL,
      );
      bodies.tail = exports.getPushTail() >>> 0;
      this.count = exports.getPushRows();
      this.examined += exports.getPushExamined();
      if (status === DONE || status === PAUSED || this.count > 0) return;
      // Nothing to give yet: whatever stopped it is seen to, and it goes on behind what did not match.
      if (status === NEED_OUTPUT) {
        if (bodies.length > 0) this.forgetBodies();
        bodies.reserve(exports.getPushNeeded());
      } else if (status === NEED_BLOCK) {
        if (!this.blocks.load()) {
          if (this.examined === 0) throw this.blocks.corruptAt(first);
          return;
        }
      } else if (status === CORRUPT) {
        if (this.examined === 0) throw this.blocks.corruptAt(first);
        return;
      } else {
        throw new MemoryRefused(0);
      }
    }
  }

  private forgetBodies(): void {
    this.bodies.clear();
    this.core.exports.pushForget();
  }
}
