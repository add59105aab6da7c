/**
 * What the run of the oldest memtable is built of: its rows and streams, copied a piece at a time, since a memtable has
 * many and the event loop must not wait for all of them.
 */
import type { Core } from "../core/core.ts";
import { runName } from "./run-file.ts";
import type { RunBuild } from "./run-work.ts";

const ROW_BYTES = 24;
const STREAM_BYTES = 48;
const SEQUENCE_BYTES = 16;
const TIMES_BYTES = 32;

export class MemtableBuild implements RunBuild {
  readonly name: string;
  readonly from: number;
  /** Position behind the last row. */
  readonly to: number;
  readonly endOffset: number;
  readonly crc: number;
  readonly span: number;
  readonly recordedAt: number;
  readonly storeId: Uint8Array;
  readonly partitions: number;
  readonly rows: Uint8Array[] = [];
  readonly streams: Uint8Array[] = [];
  readonly sequences: Uint8Array[];
  readonly times: Uint8Array[];
  private readonly core: Core;
  private copiedRows = 0;
  private copiedStreams = 0;

  /** Takes what the oldest memtable is, which must be sealed; `copy` takes what it holds. */
  constructor(core: Core, storeId: Uint8Array, partitions: number) {
    const { exports } = core;
    this.core = core;
    this.storeId = storeId;
    this.partitions = partitions;
    this.from = exports.memtableFrom();
    this.to = exports.memtableTo();
    this.name = runName(this.from, this.to);
    this.endOffset = exports.memtableOffset();
    this.crc = exports.memtableLastCrc() >>> 0;
    this.span = exports.memtableLastSpan();
    this.recordedAt = exports.memtableTime();
    this.sequences = [
      this.copied(exports.memtableSequences() * SEQUENCE_BYTES, (out) =>
        exports.memtableSequencesTo(out),
      ),
    ];
    const firstStretch = exports.stretchOfPosition(this.from);
    const lastStretch = exports.stretchOfPosition(this.to - 1);
    this.times = [
      this.copied((lastStretch - firstStretch + 1) * TIMES_BYTES, (out) =>
        exports.timesTo(firstStretch, lastStretch, out),
      ),
    ];
  }

  /** Copies some more rows or streams, `count` at the most; true when all are there. */
  copy(count: number): boolean {
    const { exports } = this.core;
    const rows = Math.min(count, exports.memtableRows() - this.copiedRows);
    if (rows > 0) {
      const from = this.copiedRows;
      this.rows.push(
        this.copied(rows * ROW_BYTES, (out) => exports.memtableRowsTo(from, rows, out)),
      );
      this.copiedRows += rows;
      return false;
    }
    const streams = Math.min(count, exports.memtableStreams() - this.copiedStreams);
    if (streams > 0) {
      const from = this.copiedStreams;
      this.streams.push(
        this.copied(streams * STREAM_BYTES, (out) => exports.memtableStreamsTo(from, streams, out)),
      );
      this.copiedStreams += streams;
    }
    return this.copiedStreams === exports.memtableStreams();
  }

  /** What `write` puts into core memory, as a copy. */
  private copied(size: number, write: (out: number) => void): Uint8Array {
    const address = this.core.allocate(Math.max(1, size));
    try {
      write(address);
      return this.core.memory.slice(address, address + size);
    } finally {
      this.core.exports.release(address, Math.max(1, size));
    }
  }
}
