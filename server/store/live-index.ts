/**
 * Who waits for which events, so that an append finds them without walking all: listeners by stream, by pattern, by
 * partition, and for the whole log.
 *
 * The core knows the streams as topics, numbers of this file's, and the partitions that have listeners, and walks a batch
 * once for all of them. A pattern that many share is tried once an event.
 */
import { assert } from "../assert.ts";
import { type Core, MemoryRefused, UUID_BYTES } from "../core/core.ts";
import { OutputArea } from "../core/output-area.ts";
import { NEED_OUTPUT } from "../core/status.ts";
import { KiB } from "../limits.ts";
import type { Interest, PartitionInterest, PatternInterest, StreamInterest } from "./interest.ts";

/** What one argument of a listener's interest is. */
export type Argument = StreamInterest | PatternInterest | PartitionInterest;

export interface LiveListener {
  /**
   * An event of the batch that is about to settle concerns this argument. `number` is its version, of a partition's
   * argument its sequence; `bytes` is what its texts take. For one event the streams come first, then the patterns.
   */
  heard(argument: Argument, position: number, number: number, bytes: number): void;
  /** The batch has events; asked of those that listen to the whole log. */
  heardLog(): void;
}

interface Entry {
  readonly listener: LiveListener;
  readonly argument: Argument;
}

/** The listeners of one stream, pattern or partition. */
interface Group {
  /** The stream's or the pattern's bytes. */
  readonly bytes: Uint8Array;
  /** A topic's number; a pattern's place in the core's list is found when that is made. */
  readonly number: number;
  readonly entries: Set<Entry>;
}

/** The area when it is made, half of it for hits. */
const HITS_BYTES_MIN = 64 * KiB;
const HIT_BYTES = 32;
const OF_TOPIC = 0;
const OF_PATTERN = 1;

export class LiveIndex {
  private readonly core: Core;
  private readonly streams = new Map<string, Group>();
  private readonly topics: (Group | null)[] = [];
  private readonly freeTopics: number[] = [];
  private readonly patterns = new Map<string, Group>();
  private readonly partitions = new Map<number, Group>();
  private readonly logs = new Set<LiveListener>();
  /**
   * Where a batch's hits are written, and the patterns' program behind them. It is made as large as it must be when
   * somebody is entered: a batch that settles cannot be refused memory.
   */
  private readonly area: OutputArea;
  private readonly keyAddress: number;
  private programBytes = 0;
  /** The patterns as the core tries them, and their program; null where they have changed. */
  private patternList: Group[] = [];
  private patternProgram: Uint8Array | null = NO_BYTES;

  constructor(core: Core) {
    this.core = core;
    this.area = new OutputArea(core, HITS_BYTES_MIN);
    this.keyAddress = core.allocate(UUID_BYTES);
  }

  /** Enters a listener under all that its interest names. Throws MemoryRefused, and has entered nothing then. */
  enter(interest: Interest, listener: LiveListener): () => void {
    if (interest.kind === "log") {
      this.logs.add(listener);
      return () => this.logs.delete(listener);
    }
    const leave: (() => void)[] = [];
    try {
      if (interest.kind === "partitions") {
        for (const argument of interest.partitions) {
          leave.push(this.enterPartition({ listener, argument }, argument.partition));
        }
      } else {
        for (const argument of interest.streams) {
          leave.push(this.enterStream({ listener, argument }, argument.streamId));
        }
        for (const argument of interest.patterns) {
          leave.push(this.enterPattern({ listener, argument }, argument.pattern));
        }
      }
    } catch (error) {
      for (const undo of leave) undo();
      throw error;
    }
    return () => {
      for (const undo of leave) undo();
    };
  }

  /** Tells the listeners of the events from position `from` on, below `to`, which are in flight. */
  collect(from: number, to: number): void {
    if (from === to) return;
    for (const listener of this.logs) listener.heardLog();
    const { streams, patterns, partitions, area } = this;
    if (streams.size + patterns.size + partitions.size === 0) return;
    const program = this.patternsProgram();
    const hitsEnd = area.origin + hitsBytes(patterns.size);
    this.core.memory.set(program, hitsEnd);
    const { exports } = this.core;
    let position = from;
    while (true) {
      const status = exports.topicsCollect(
        position,
        to,
        area.origin,
        hitsEnd,
        hitsEnd,
        this.patternList.length,
      );
      this.tell(area.origin, exports.getCollectedTail() >>> 0);
      if (status !== NEED_OUTPUT) return;
      position = exports.getCollectedPosition();
    }
  }

  /** Whether the event at a position of the batch that is collected has this partition key (16 bytes). */
  keyIs(position: number, key: Uint8Array): boolean {
    const address = this.keyAddress;
    this.core.memory.set(key, address);
    return this.core.exports.flightKeyIs(position, address) !== 0;
  }

  private tell(start: number, end: number): void {
    for (let hit = start; hit < end; hit += HIT_BYTES) {
      const { doubles, words } = this.core;
      const position = doubles[hit / 8] as number;
      const number = doubles[hit / 8 + 1] as number;
      const kind = words[hit / 4 + 4] as number;
      const which = words[hit / 4 + 5] as number;
      const bytes = words[hit / 4 + 6] as number;
      const group =
        kind === OF_TOPIC
          ? this.topics[which]
          : kind === OF_PATTERN
            ? this.patternList[which]
            : this.partitions.get(which);
      assert(group !== undefined && group !== null);
      for (const { listener, argument } of group.entries) {
        listener.heard(argument, position, number, bytes);
      }
    }
  }

  // ── entering and leaving ────────────────────────────────────────────────────────────────────────

  private enterStream(entry: Entry, streamId: Uint8Array): () => void {
    const name = latin1(streamId);
    const group = this.streams.get(name) ?? this.makeTopic(name, streamId);
    group.entries.add(entry);
    return () => {
      group.entries.delete(entry);
      if (group.entries.size === 0) this.removeTopic(name, group);
    };
  }

  private makeTopic(name: string, streamId: Uint8Array): Group {
    const number = this.freeTopics.pop() ?? this.topics.length;
    const added = this.withBytes(streamId, (address, size) =>
      this.core.exports.topicAdd(address, size, number),
    );
    if (added < 0) {
      if (number < this.topics.length) this.freeTopics.push(number);
      throw new MemoryRefused(0);
    }
    const group = { bytes: streamId, number, entries: new Set<Entry>() };
    this.streams.set(name, group);
    this.topics[number] = group;
    return group;
  }

  private removeTopic(name: string, group: Group): void {
    this.withBytes(group.bytes, (address, size) => this.core.exports.topicRemove(address, size));
    this.streams.delete(name);
    this.topics[group.number] = null;
    this.freeTopics.push(group.number);
  }

  private enterPattern(entry: Entry, pattern: Uint8Array): () => void {
    const name = latin1(pattern);
    let group = this.patterns.get(name);
    if (group === undefined) {
      group = { bytes: pattern, number: 0, entries: new Set() };
      const programBytes = this.programBytes + programSize(group);
      this.area.reserve(hitsBytes(this.patterns.size + 1) + programBytes);
      this.programBytes = programBytes;
      this.patterns.set(name, group);
      this.patternProgram = null;
    }
    const entered = group;
    entered.entries.add(entry);
    return () => {
      entered.entries.delete(entry);
      if (entered.entries.size > 0) return;
      this.patterns.delete(name);
      this.programBytes -= programSize(entered);
      this.patternProgram = null;
    };
  }

  private enterPartition(entry: Entry, partition: number): () => void {
    let group = this.partitions.get(partition);
    if (group === undefined) {
      group = { bytes: NO_BYTES, number: partition, entries: new Set() };
      this.partitions.set(partition, group);
      this.core.exports.partitionListen(partition, true);
    }
    const entered = group;
    entered.entries.add(entry);
    return () => {
      entered.entries.delete(entry);
      if (entered.entries.size > 0) return;
      this.partitions.delete(partition);
      this.core.exports.partitionListen(partition, false);
    };
  }

  /** Each pattern's size and bytes, padded to a multiple of 4, as core-wasm/assembly/topics.ts takes them. */
  private patternsProgram(): Uint8Array {
    if (this.patternProgram !== null) return this.patternProgram;
    this.patternList = [...this.patterns.values()];
    const program = new Uint8Array(this.programBytes);
    const view = new DataView(program.buffer);
    let at = 0;
    for (const group of this.patternList) {
      view.setUint32(at, group.bytes.length, true);
      program.set(group.bytes, at + 4);
      at += programSize(group);
    }
    this.patternProgram = program;
    return program;
  }

  private withBytes<T>(bytes: Uint8Array, use: (address: number, size: number) => T): T {
    const address = this.core.allocate(bytes.length);
    try {
      this.core.memory.set(bytes, address);
      return use(address, bytes.length);
    } finally {
      this.core.exports.release(address, bytes.length);
    }
  }
}

const NO_BYTES = new Uint8Array(0);

/** Bytes of the area for hits: one event may hit every pattern. */
function hitsBytes(patternCount: number): number {
  return Math.max(HITS_BYTES_MIN / 2, (patternCount + 2) * HIT_BYTES);
}

/** Bytes that a pattern takes in the program. */
function programSize({ bytes }: Group): number {
  return (4 + bytes.length + 3) & ~3;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
