/**
 * A filter: which events a read or a subscription wants. It is made of parts, and all of them must hold.
 *
 * Either door fills it in its own grammar. The core evaluates it, from a program of bytes whose layout
 * core-wasm/assembly/filter.ts draws.
 */
import { assert } from "../assert.ts";
import { UUID_BYTES } from "../core/core.ts";
import { EVENT_NAME_BYTES_MAX, INTEGER_MAX, PARTITIONS_MAX } from "../limits.ts";

const PART_MATCH = 1;
const PART_NAME = 2;
const PART_KEY = 4;
const PART_PARTITIONS = 8;
const PART_TIMES = 16;
const PART_AS_OF = 32;

const PARTS_OFFSET = 0;
const PATTERN_SIZE_OFFSET = 4;
const SINCE_OFFSET = 8;
const UNTIL_OFFSET = 16;
const AS_OF_OFFSET = 24;
const KEY_OFFSET = 32;
const NAMES_SIZE_OFFSET = KEY_OFFSET + UUID_BYTES;
const ONLY_PARTITION_OFFSET = NAMES_SIZE_OFFSET + 4;
const HEAD_BYTES = ONLY_PARTITION_OFFSET + 4;
const PARTITIONS_BYTES = PARTITIONS_MAX / 8;

export class Filter {
  /** Glob pattern of stream ids. */
  pattern: Uint8Array | null = null;
  /** Event names, of which one must be the event's. */
  readonly names: Uint8Array[] = [];
  /** The 16 bytes of a partition key. */
  key: Uint8Array | null = null;
  /** Smallest and largest timestamp, milliseconds, inclusive. */
  since: number | null = null;
  until: number | null = null;
  /** Largest recorded_at, milliseconds. */
  asOf: number | null = null;
  private partitions: Uint8Array | null = null;
  private onlyPartition = -1;

  /** Takes events of these partitions only: a 1 at the number of each. */
  setPartitions(chosen: Uint8Array): void {
    this.partitions = new Uint8Array(PARTITIONS_BYTES);
    for (let partition = 0; partition < chosen.length; partition++) {
      if (chosen[partition] !== 1) continue;
      (this.partitions[partition >> 3] as number) |= 1 << (partition & 7);
    }
    const first = chosen.indexOf(1);
    this.onlyPartition = chosen.indexOf(1, first + 1) < 0 ? first : -1;
  }

  hasPartitions(): boolean {
    return this.partitions !== null;
  }

  /** The filter as the core takes it. */
  program(): Uint8Array {
    const { pattern, names, key, partitions } = this;
    const namesSize = names.reduce((sum, name) => sum + 1 + name.length, 0);
    const program = new Uint8Array(
      HEAD_BYTES + (partitions?.length ?? 0) + (pattern?.length ?? 0) + namesSize,
    );
    const view = new DataView(program.buffer);
    view.setUint32(PARTS_OFFSET, this.parts(), true);
    view.setUint32(PATTERN_SIZE_OFFSET, pattern?.length ?? 0, true);
    view.setFloat64(SINCE_OFFSET, this.since ?? 0, true);
    view.setFloat64(UNTIL_OFFSET, this.until ?? INTEGER_MAX, true);
    view.setFloat64(AS_OF_OFFSET, this.asOf ?? INTEGER_MAX, true);
    if (key !== null) program.set(key, KEY_OFFSET);
    view.setUint32(NAMES_SIZE_OFFSET, namesSize, true);
    view.setInt32(ONLY_PARTITION_OFFSET, this.onlyPartition, true);
    let at = HEAD_BYTES;
    for (const bytes of [partitions, pattern]) {
      if (bytes === null) continue;
      program.set(bytes, at);
      at += bytes.length;
    }
    for (const name of names) {
      assert(name.length <= EVENT_NAME_BYTES_MAX);
      program[at++] = name.length;
      program.set(name, at);
      at += name.length;
    }
    assert(at === program.length);
    return program;
  }

  private parts(): number {
    let parts = 0;
    if (this.pattern !== null) parts |= PART_MATCH;
    if (this.names.length > 0) parts |= PART_NAME;
    if (this.key !== null) parts |= PART_KEY;
    if (this.partitions !== null) parts |= PART_PARTITIONS;
    if (this.since !== null || this.until !== null) parts |= PART_TIMES;
    if (this.asOf !== null) parts |= PART_AS_OF;
    return parts;
  }
}
