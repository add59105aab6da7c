/**
 * Reads out of the core where events are: the positions of a stream's, a partition's or the whole log's events, some
 * at a time. A stream's versions, a partition's sequences and the log's positions ascend together.
 */
import { type Core, UUID_BYTES } from "../core/core.ts";
import { STREAM_ID_BYTES_MAX } from "../limits.ts";

/** Positions that one call gives. */
export const POSITIONS_PER_READ = 1_024;
const POSITIONS_BYTES = POSITIONS_PER_READ * 8;

export class PositionReader {
  private readonly core: Core;
  /** Positions, then the id and the key of a stream. */
  private readonly address: number;

  constructor(core: Core) {
    this.core = core;
    this.address = core.allocate(POSITIONS_BYTES + STREAM_ID_BYTES_MAX + 1 + UUID_BYTES);
  }

  /** Positions below it can be read. */
  get end(): number {
    return this.core.exports.getDurablePosition();
  }

  /** The version of the stream's first event at a position or beyond it, or the one it gets next. */
  streamVersionFrom(streamId: Uint8Array, key: Uint8Array | null, position: number): number {
    const keyAddress = this.putStream(streamId, key);
    const { exports } = this.core;
    return exports.streamVersionFrom(this.streamAddress, streamId.length, keyAddress, position);
  }

  /** The sequence of the partition's first event at a position or beyond it, or the one it gets next. */
  partitionSequenceFrom(partition: number, position: number): number {
    return this.core.exports.partitionSequenceFrom(partition, position);
  }

  /** Adds to `target` the positions of `most` events of a stream, from this version on. */
  streamPositions(
    streamId: Uint8Array,
    key: Uint8Array | null,
    version: number,
    most: number,
    target: number[],
  ): void {
    const keyAddress = this.putStream(streamId, key);
    const { exports } = this.core;
    exports.scanTakeAll();
    const { length } = streamId;
    const end = Number.POSITIVE_INFINITY;
    exports.scanOpenStream(this.streamAddress, length, keyAddress, version, end, end, false);
    this.take(most, target);
  }

  /** The same of a partition, from this sequence on. */
  partitionPositions(partition: number, sequence: number, most: number, target: number[]): void {
    const { exports } = this.core;
    exports.scanTakeAll();
    const end = Number.POSITIVE_INFINITY;
    exports.scanOpenPartition(partition, sequence, end, end, false);
    this.take(most, target);
  }

  /**
   * Adds to `target` the positions of `most` events of the log, from this one on, without those of which the filter
   * (null: none) is known not to take any. Returns the position to go on with.
   */
  logPositions(
    position: number,
    filter: Uint8Array | null,
    most: number,
    target: number[],
  ): number {
    const { core } = this;
    const { exports } = core;
    const program = filter === null ? 0 : core.allocate(filter.length);
    try {
      if (filter === null) {
        exports.scanTakeAll();
      } else {
        core.memory.set(filter, program);
        exports.scanTakeMatching(program, this.end, Number.MAX_SAFE_INTEGER);
      }
      const end = Number.POSITIVE_INFINITY;
      exports.scanOpenLog(position, end, end, false);
      this.take(most, target);
      return exports.scanNext();
    } finally {
      if (filter !== null) exports.release(program, filter.length);
    }
  }

  private get streamAddress(): number {
    return this.address + POSITIONS_BYTES;
  }

  /** Puts a stream's id, and its key, into core memory; returns the key's address, or 0 for any key. */
  private putStream(streamId: Uint8Array, key: Uint8Array | null): number {
    this.core.memory.set(streamId, this.streamAddress);
    if (key === null) return 0;
    const keyAddress = this.streamAddress + STREAM_ID_BYTES_MAX + 1;
    this.core.memory.set(key, keyAddress);
    return keyAddress;
  }

  private take(most: number, target: number[]): void {
    const count = this.core.exports.scanPositions(this.address, Math.min(most, POSITIONS_PER_READ));
    const { doubles } = this.core;
    for (let i = 0; i < count; i++) target.push(doubles[this.address / 8 + i] as number);
  }
}
