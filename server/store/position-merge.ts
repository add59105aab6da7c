/**
 * The positions of several streams, or several partitions, as one ascending order without repeats.
 *
 * It sees the events below one position, so that none is passed that comes to an exhausted list meanwhile. A heap of
 * the lists' next positions gives the smallest; each list's positions are read some at a time, the more the longer
 * it is.
 */
import type { Interest, PartitionInterest, StreamInterest } from "./interest.ts";
import type { PositionReader } from "./position-reader.ts";

/** Positions of a list that are read at a time: first, and later. */
const READ_FIRST = 4;
const READ_MOST = 256;
/** Lists that are opened in one step. */
const OPENED_PER_STEP = 256;

/** A list that is merged; its numbers are versions or sequences. */
interface List {
  readonly interest: StreamInterest | PartitionInterest;
  /** The number that is read next. */
  number: number;
  readMost: number;
  /** Positions read, and which of them is next. */
  positions: number[];
  at: number;
}

export class PositionMerge {
  /** Positions below it are merged. */
  readonly end: number;
  private readonly reader: PositionReader;
  private readonly from: number;
  private readonly waiting: (StreamInterest | PartitionInterest)[];
  /** A binary heap by next position. */
  private readonly heap: List[] = [];
  /** The last position given: another list may have the same one. */
  private last = -1;

  /** Merges what the interest, patterns apart, takes at the positions `from` on, below `to`, that can be seen now. */
  constructor(reader: PositionReader, interest: Interest, from: number, to: number) {
    this.reader = reader;
    this.from = from;
    this.end = Math.min(reader.end, to);
    if (interest.kind === "log") this.waiting = [];
    else this.waiting = [...(interest.kind === "streams" ? interest.streams : interest.partitions)];
  }

  /** Opens some lists; false where there are more. */
  open(): boolean {
    for (let i = 0; i < OPENED_PER_STEP && this.waiting.length > 0; i++) {
      const interest = this.waiting.pop() as StreamInterest | PartitionInterest;
      const { number, position } = interest.start;
      const from = this.numberFrom(interest, Math.max(this.from, position));
      const list = {
        interest,
        number: Math.max(number, from),
        readMost: READ_FIRST,
        positions: [],
        at: 0,
      };
      if (!this.read(list)) continue;
      this.heap.push(list);
      this.rise(this.heap.length - 1);
    }
    return this.waiting.length === 0;
  }

  /** Adds the next positions to `target`, `most` at the most. Returns the position below which all were given. */
  take(most: number, target: number[]): number {
    const { heap } = this;
    for (let taken = 0; heap.length > 0 && taken < most; ) {
      const list = heap[0] as List;
      const position = list.positions[list.at++] as number;
      if (position !== this.last) {
        target.push(position);
        this.last = position;
        taken++;
      }
      if (list.at === list.positions.length && !this.read(list)) {
        const moved = heap.pop() as List;
        if (heap.length > 0) heap[0] = moved;
      }
      this.sink();
    }
    return heap.length > 0 ? Math.max(this.last + 1, nextOf(heap[0] as List)) : this.end;
  }

  private numberFrom(interest: StreamInterest | PartitionInterest, position: number): number {
    const { reader } = this;
    if ("partition" in interest) return reader.partitionSequenceFrom(interest.partition, position);
    return reader.streamVersionFrom(interest.streamId, interest.key, position);
  }

  /** Reads a list's next positions; false where it has none below the end. */
  private read(list: List): boolean {
    const { interest, readMost } = list;
    const { reader, end } = this;
    list.positions = [];
    list.at = 0;
    if ("partition" in interest) {
      reader.partitionPositions(interest.partition, list.number, readMost, list.positions);
    } else {
      reader.streamPositions(
        interest.streamId,
        interest.key,
        list.number,
        readMost,
        list.positions,
      );
    }
    list.number += list.positions.length;
    list.readMost = Math.min(readMost * 2, READ_MOST);
    while (list.positions.length > 0 && (list.positions.at(-1) as number) >= end) {
      list.positions.pop();
    }
    return list.positions.length > 0;
  }

  private rise(index: number): void {
    const { heap } = this;
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (nextOf(heap[parent] as List) <= nextOf(heap[at] as List)) return;
      this.swap(parent, at);
      at = parent;
    }
  }

  /** Moves the first list down to its place. */
  private sink(): void {
    const { heap } = this;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= heap.length) return;
      const isRightSmaller =
        child + 1 < heap.length && nextOf(heap[child + 1] as List) < nextOf(heap[child] as List);
      if (isRightSmaller) child++;
      if (nextOf(heap[at] as List) <= nextOf(heap[child] as List)) return;
      this.swap(at, child);
      at = child;
    }
  }

  private swap(a: number, b: number): void {
    const { heap } = this;
    const list = heap[a] as List;
    heap[a] = heap[b] as List;
    heap[b] = list;
  }
}

function nextOf(list: List): number {
  return list.positions[list.at] as number;
}
