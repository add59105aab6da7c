/**
 * Where replies are written, in core memory.
 */
import { assert } from "../assert.ts";
import type { ByteSink } from "../resp/byte-sink.ts";
import type { Core } from "./core.ts";

/** A growing area of core memory for replies. */
export class OutputArea implements ByteSink {
  tail: number;
  private start: number;
  private capacity: number;
  private readonly core: Core;
  private readonly capacityMin: number;

  constructor(core: Core, capacityMin: number) {
    this.core = core;
    this.capacityMin = capacityMin;
    this.capacity = capacityMin;
    this.start = core.allocate(capacityMin);
    this.tail = this.start;
  }

  get memory(): Uint8Array {
    return this.core.memory;
  }

  /** Bytes written since the area was emptied. */
  get length(): number {
    return this.tail - this.start;
  }

  /** Where the area begins; moves when it grows, so that places in it are kept as offsets from here. */
  get origin(): number {
    return this.start;
  }

  /** Where it ends. */
  get end(): number {
    return this.start + this.capacity;
  }

  reserve(size: number): void {
    if (this.tail + size > this.start + this.capacity) this.grow(size);
  }

  /** Forgets what was written; gives back an area that one large reply needed. */
  clear(): void {
    if (this.capacity > this.capacityMin) {
      this.core.exports.release(this.start, this.capacity);
      this.start = this.core.allocate(this.capacityMin);
      this.capacity = this.capacityMin;
    }
    this.tail = this.start;
  }

  private grow(size: number): void {
    const length = this.length;
    let capacity = this.capacity;
    while (length + size > capacity) capacity *= 2;
    const start = this.core.allocate(capacity);
    this.core.memory.copyWithin(start, this.start, this.tail);
    this.core.exports.release(this.start, this.capacity);
    this.start = start;
    this.capacity = capacity;
    this.tail = start + length;
    assert(this.tail + size <= this.end);
  }
}
