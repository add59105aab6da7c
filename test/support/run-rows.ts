/**
 * Made-up histories for tests of index runs: events at random in streams, from which any stretch of positions can be
 * turned into the rows that a run is built of, and into what the run must then say.
 */
import { runName } from "../../server/index/run-file.ts";
import type { RunBuild } from "../../server/index/run-work.ts";
import type { Random } from "./random.ts";
import { hashText, type ReadRun } from "./run-reader.ts";

const STRETCH_EVENTS = 8_192;
export const STORE_ID = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

interface MadeStream {
  readonly low: bigint;
  readonly high: number;
  readonly hash16: number;
  readonly key: Uint8Array | null;
}

interface MadeEvent {
  readonly stream: number;
  readonly low: bigint;
  readonly high: number;
  readonly place: bigint;
  readonly version: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly recordedAt: number;
}

export interface HistoryOptions {
  readonly random: Random;
  readonly events: number;
  /** Streams to choose from; at least one. */
  readonly streams: number;
  readonly partitions: number;
  /** Share of streams with an explicit key. */
  readonly keys?: number;
  /** Every event the next stream in turn, none chosen at random. */
  readonly inTurn?: boolean;
  /** Log offset before the first frame. */
  readonly logStart?: number;
}

/** What a run holds, but for its filters. */
export type RunContent = Omit<ReadRun, "idMayBeHere" | "streamMayBeHere" | "pages">;

export class History {
  readonly events: readonly MadeEvent[];
  readonly streams: readonly MadeStream[];
  readonly partitions: number;

  constructor(options: HistoryOptions) {
    const { random, partitions } = options;
    this.partitions = partitions;
    this.streams = Array.from({ length: options.streams }, () => ({
      ...randomHash(random),
      hash16: random.below(65_536),
      key: random.chance(options.keys ?? 0) ? random.bytes(16) : null,
    }));
    const versions = new Map<number, number>();
    const sequences = new Map<number, number>();
    let offset = options.logStart ?? 64;
    let index = 0;
    let recordedAt = 1_700_000_000_000;
    this.events = Array.from({ length: options.events }, (_, position) => {
      if (random.chance(0.7)) {
        offset += 8 * random.between(5, 100);
        index = 0;
        recordedAt += random.below(3);
      } else {
        index++;
      }
      const number =
        options.inTurn === true ? position % options.streams : random.below(options.streams);
      const partition = (this.streams[number] as MadeStream).hash16 % partitions;
      const version = versions.get(number) ?? 0;
      const sequence = sequences.get(partition) ?? 0;
      versions.set(number, version + 1);
      sequences.set(partition, sequence + 1);
      return {
        stream: number,
        ...randomHash(random),
        place: (BigInt(offset / 8) << 16n) | BigInt(index),
        version,
        sequence,
        timestamp: recordedAt - random.below(100_000),
        recordedAt,
      };
    });
  }

  /** The job that builds a run of the events from one position to another, that one not included. */
  build(from: number, to: number): RunBuild {
    const part = this.part(from, to);
    const rows = new Rows(24, part.events.length);
    for (const event of part.events) {
      rows.u64(event.low);
      rows.u32(event.high);
      rows.u32(part.numbers.get(event.stream) ?? -1);
      rows.u64(event.place);
    }
    const streams = new Rows(48, part.streams.length);
    for (const { made, events, isNew } of part.streams) {
      streams.u64(made.low);
      streams.u32(made.high);
      streams.u32(events.length);
      streams.u64(BigInt(events[0]?.version ?? -1));
      streams.u32(made.hash16 | (((isNew ? 1 : 0) | (made.key !== null ? 2 : 0)) << 16));
      streams.u32(0);
      streams.bytes(made.key ?? new Uint8Array(16));
    }
    const sequences = new Rows(16, part.partitions.length);
    for (const { partition, events } of part.partitions) {
      sequences.u32(partition);
      sequences.u32(0);
      sequences.u64(BigInt(events[0]?.sequence ?? -1));
    }
    const times = new Rows(32, part.times.length);
    for (const row of part.times) {
      for (const value of [row.stretch, row.smallest, row.largest, row.recordedAt]) {
        times.u64(BigInt(value));
      }
    }
    return {
      ...this.facts(from, to),
      name: runName(from, to),
      storeId: STORE_ID,
      partitions: this.partitions,
      rows: rows.chunks(),
      streams: streams.chunks(),
      sequences: sequences.chunks(),
      times: times.chunks(),
    };
  }

  /** What the run of these positions must say. */
  content(from: number, to: number): RunContent {
    const part = this.part(from, to);
    const text = ({ low, high }: { low: bigint; high: number }) => hashText(low, high);
    return {
      ...this.facts(from, to),
      to,
      storeId: Buffer.from(STORE_ID).toString("hex"),
      partitionCount: this.partitions,
      newStreams: part.streams.filter(({ isNew }) => isNew).length,
      ids: part.events.map((event) => `${text(event)}:${event.place}`).sort(),
      streams: part.streams
        .map(({ made, events }) => ({
          hash: text(made),
          firstVersion: events[0]?.version ?? -1,
          hash16: made.hash16,
          key: made.key === null ? null : Buffer.from(made.key).toString("hex"),
          places: events.map(({ place }) => place),
        }))
        .sort((a, b) => (a.hash < b.hash ? -1 : 1)),
      partitions: part.partitions.map(({ partition, events }) => ({
        partition,
        firstSequence: events[0]?.sequence ?? -1,
        places: events.map(({ place }) => place),
      })),
      positions: part.events.map(({ place }) => place),
      order: part.events.flatMap(({ version }, index) => (version === 0 ? [from + index] : [])),
      times: part.times,
    };
  }

  /** What a run says of the log's end at its last position: made up, but another for each. */
  private facts(from: number, to: number) {
    const last = this.events[to - 1] as MadeEvent;
    return {
      from,
      endOffset: Number(last.place >> 16n) * 8 + 400,
      crc: (to * 2_654_435_761) >>> 0,
      span: 400,
      recordedAt: last.recordedAt,
    };
  }

  private part(from: number, to: number) {
    const events = this.events.slice(from, to);
    const byStream = group(events, (event) => event.stream);
    const byPartition = group(
      events,
      (event) => (this.streams[event.stream] as MadeStream).hash16 % this.partitions,
    );
    const stretches = group(
      events.map((event, index) => ({ ...event, position: from + index })),
      (event) => Math.floor(event.position / STRETCH_EVENTS),
    );
    return {
      events,
      numbers: new Map([...byStream.keys()].map((stream, number) => [stream, number])),
      streams: [...byStream].map(([stream, own]) => ({
        made: this.streams[stream] as MadeStream,
        events: own,
        isNew: own[0]?.version === 0,
      })),
      partitions: [...byPartition]
        .sort(([a], [b]) => a - b)
        .map(([partition, own]) => ({ partition, events: own })),
      times: [...stretches].map(([stretch, own]) => ({
        stretch,
        smallest: Math.min(...own.map(({ timestamp }) => timestamp)),
        largest: Math.max(...own.map(({ timestamp }) => timestamp)),
        recordedAt: own[0]?.recordedAt ?? -1,
      })),
    };
  }
}

export function randomHash(random: Random): { low: bigint; high: number } {
  return {
    low: (BigInt(random.uint32()) << 32n) | BigInt(random.uint32()),
    high: random.uint32(),
  };
}

function group<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const own = groups.get(key);
    if (own === undefined) groups.set(key, [item]);
    else own.push(item);
  }
  return groups;
}

/** Little-endian rows of one size. */
class Rows {
  private readonly view: DataView;
  private readonly rowBytes: number;
  private at = 0;

  constructor(rowBytes: number, count: number) {
    this.rowBytes = rowBytes;
    this.view = new DataView(new ArrayBuffer(rowBytes * count));
  }

  u32(value: number): void {
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  u64(value: bigint): void {
    this.view.setBigUint64(this.at, value, true);
    this.at += 8;
  }

  bytes(source: Uint8Array): void {
    new Uint8Array(this.view.buffer).set(source, this.at);
    this.at += source.length;
  }

  /** In two chunks, as a caller hands over slices, each with a buffer of its own. */
  chunks(): Uint8Array[] {
    const all = new Uint8Array(this.view.buffer);
    const middle = Math.floor(all.length / this.rowBytes / 2) * this.rowBytes;
    return [all.slice(0, middle), all.slice(middle)];
  }
}
