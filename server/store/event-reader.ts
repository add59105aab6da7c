/**
 * Reads of the durable events: single values, ranges, filtered scans and the streams' ids, written straight from the
 * records into an output area.
 */
import { type Core, MemoryRefused } from "../core/core.ts";
import type { Encoding } from "../core/encoding.ts";
import type { OutputArea } from "../core/output-area.ts";
import { CORRUPT, DONE, NEED_BLOCK, NEED_OUTPUT } from "../core/status.ts";
import { type ErrorFacts, StoreError } from "../errors.ts";
import { REPLY_EVENT_BYTES_MAX } from "../limits.ts";
import type { BlockLoader } from "./block-loader.ts";
import type { Filter } from "./filter.ts";
import { FilteredScan, type ScanRange, type ScanSource } from "./filtered-scan.ts";
import { PositionReader } from "./position-reader.ts";
import { readStoredEvent, type StoredEvent } from "./stored-event.ts";
import { StreamWalk } from "./stream-walk.ts";

/** What a scan wrote. */
export interface ScanResult {
  readonly eventCount: number;
  readonly hasMore: boolean;
  /** The first number that was not examined, or null where the range's end was reached for good. */
  readonly next: number | null;
}

export class EventReader {
  readonly core: Core;
  readonly epoch: string;
  protected readonly blocks: BlockLoader;
  /** Made when it is first asked. */
  private positionReader: PositionReader | null = null;

  constructor(core: Core, blocks: BlockLoader, epoch: string) {
    this.core = core;
    this.blocks = blocks;
    this.epoch = epoch;
  }

  /** The stream's current version, or -1; `key` is the address of 16 bytes, or 0 for any key. */
  streamVersion(address: number, length: number, key: number): number {
    return this.core.exports.streamVersion(address, length, key);
  }

  /** Core address of the 16 bytes of a stream's partition key; the stream has an event. */
  streamKey(address: number, length: number): number {
    return this.core.exports.streamKeyOf(address, length) >>> 0;
  }

  /** The last sequence of a partition, or -1. */
  partitionSequence(partition: number): number {
    return this.core.exports.partitionSequence(partition);
  }

  /** Writes the event with the id at `address`; false where there is none. */
  writeEvent(area: OutputArea, address: number, encoding: Encoding): boolean {
    const { exports } = this.core;
    if (exports.findEvent(address) === 0) return false;
    this.show(() => exports.showFound(address));
    area.reserve(exports.eventWriteMax(encoding));
    area.tail = exports.eventWrite(area.tail, encoding) >>> 0;
    return true;
  }

  /**
   * Begins a scan of a stream's versions; `key` is the address of 16 bytes, or 0 for any key. `writeScan` goes on
   * with it, in the same turn.
   */
  openStreamScan(address: number, length: number, key: number, range: ScanRange): void {
    const { exports } = this.core;
    const { from, to, count, isReverse } = range;
    exports.scanTakeAll();
    exports.scanOpenStream(address, length, key, from, to, count, isReverse);
  }

  /** Begins a scan of a partition's sequences. */
  openPartitionScan(partition: number, range: ScanRange): void {
    const { exports } = this.core;
    exports.scanTakeAll();
    exports.scanOpenPartition(partition, range.from, range.to, range.count, range.isReverse);
  }

  /** Begins a scan of positions. Throws AHEAD. */
  openLogScan(range: ScanRange): void {
    const { exports } = this.core;
    if (!range.isReverse) this.checkStart(range.from);
    exports.scanTakeAll();
    exports.scanOpenLog(range.from, range.to, range.count, range.isReverse);
  }

  /**
   * A scan of what a filter matches, which is done in slices, and given up where it would have more than `bytesMax`. Throws
   * AHEAD where its numbers are positions.
   */
  openFilteredScan(
    source: ScanSource,
    range: ScanRange,
    filter: Filter,
    encoding: Encoding,
    bytesMax = Number.POSITIVE_INFINITY,
  ): FilteredScan {
    if (source.kind === "log" && !range.isReverse) this.checkStart(range.from);
    return new FilteredScan(this.core, this.blocks, source, range, filter, encoding, bytesMax);
  }

  /** Throws AHEAD for a position from which on nothing can follow what this store has: it is another history's. */
  checkStart(position: number): void {
    const next = this.core.exports.getDurablePosition();
    if (position > next) throw this.ahead(`position ${position}`, next, "", { position });
  }

  /** The same for a version of a stream, taken under `key` alone unless that is null. */
  checkStreamStart(streamId: Uint8Array, key: Uint8Array | null, version: number): void {
    if (version === 0) return;
    const { positions } = this;
    const next = positions.streamVersionFrom(streamId, key, positions.end);
    if (version <= next) return;
    const id = Buffer.from(streamId).toString();
    const facts = { stream_id: id, stream_version: version };
    throw this.ahead(`version ${version}`, next, ` in stream ${id}`, facts);
  }

  /** The same for a sequence of a partition. */
  checkPartitionStart(partition: number, sequence: number): void {
    const next = this.positions.partitionSequenceFrom(partition, this.positions.end);
    if (sequence <= next) return;
    const facts = { partition_id: partition, partition_sequence: sequence };
    throw this.ahead(`sequence ${sequence}`, next, ` in partition ${partition}`, facts);
  }

  private ahead(start: string, next: number, place: string, facts: ErrorFacts): StoreError {
    const { epoch } = this;
    const end = next - 1;
    const text = `${start} is beyond the end ${end} of epoch ${epoch}${place}`;
    return new StoreError("AHEAD", text, { ...facts, end, epoch });
  }

  private get positions(): PositionReader {
    this.positionReader ??= new PositionReader(this.core);
    return this.positionReader;
  }

  /** Events that the scan will write if its length allows. */
  scanCount(): number {
    return Math.abs(this.core.exports.getScanStop() - this.core.exports.getScanAt());
  }

  /** Bytes of the log that the scan of positions reads if its length allows; those of its last record are not counted. */
  scanLogBytes(): number {
    return this.core.exports.scanLogBytes();
  }

  /** Whether the range reaches beyond where COUNT stops. */
  scanHasMore(): boolean {
    return this.core.exports.getScanStop() !== this.core.exports.getScanEnd();
  }

  /**
   * Writes the scan's events, as many as one reply may hold. Throws CORRUPT where the first one is damaged; a
   * damaged one behind others ends the scan before it.
   */
  writeScan(area: OutputArea, encoding: Encoding): ScanResult {
    const { exports } = this.core;
    const startOffset = area.length;
    const first = exports.getScanAt();
    while (true) {
      const written = area.length - startOffset;
      const status = exports.scanRun(
        area.tail,
        area.end,
        Math.max(0, REPLY_EVENT_BYTES_MAX - written), // the first event alone may be longer
        written === 0,
        encoding,
      );
      area.tail = exports.getScanTail() >>> 0;
      if (status === DONE) break;
      if (status === NEED_OUTPUT) {
        area.reserve(exports.getScanNeeded());
      } else if (status === NEED_BLOCK) {
        if (!this.blocks.load()) {
          if (area.length === startOffset) throw this.blocks.corrupt();
          break;
        }
      } else if (status === CORRUPT) {
        if (area.length === startOffset) throw this.blocks.corrupt();
        break;
      } else {
        throw new MemoryRefused(0);
      }
    }
    const at = exports.getScanAt();
    const next = exports.scanNext();
    return {
      eventCount: Math.abs(at - first),
      hasMore: at !== exports.getScanEnd(),
      next: next < 0 ? null : next,
    };
  }

  /**
   * A walk over the streams' ids from a cursor on (0 at first): those that match the pattern (null: all), `count` at the
   * most.
   */
  openStreamWalk(cursor: number, pattern: Uint8Array | null, count: number): StreamWalk {
    return new StreamWalk(this.core, this.blocks, cursor, pattern, count);
  }

  /** Events by position, as objects: for what is not the hot path. Throws CORRUPT at a damaged one. */
  readEvents(fromPosition: number, limit: number): StoredEvent[] {
    const events: StoredEvent[] = [];
    const end = Math.min(this.core.exports.getDurablePosition(), fromPosition + limit);
    for (let position = fromPosition; position < end; position++) {
      this.showAt(position);
      events.push(readStoredEvent(this.core));
    }
    return events;
  }

  /** The event with the id at `address`, or null. Throws CORRUPT. */
  readEvent(address: number): StoredEvent | null {
    const { exports } = this.core;
    if (exports.findEvent(address) === 0) return null;
    this.show(() => exports.showFound(address));
    return readStoredEvent(this.core);
  }

  /** The last position, or null on an empty store. */
  lastPosition(): number | null {
    const next = this.core.exports.getDurablePosition();
    return next === 0 ? null : next - 1;
  }

  /** The event at a position, which need not be durable: for naming it in an error. */
  protected peekEvent(position: number): StoredEvent {
    this.showAt(position);
    return readStoredEvent(this.core);
  }

  private showAt(position: number): void {
    this.show(() => this.core.exports.showEvent(position));
  }

  private show(ask: () => number): void {
    while (true) {
      const status = ask();
      if (status === DONE) return;
      if (status === CORRUPT) throw this.blocks.corrupt();
      if (status !== NEED_BLOCK) throw new MemoryRefused(0);
      if (!this.blocks.load()) throw this.blocks.corrupt();
    }
  }
}
