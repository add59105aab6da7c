/**
 * A run's bytes as a test changes them: where its parts and their entries are, and checksums that are right again.
 */
import { RUN_PAGE_BYTES } from "../../server/index/run-file.ts";
import { crc32c } from "./run-reader.ts";

/** Where the header says where the parts are, in the order of the parts. */
const PARTS_OFFSET = 112;
const PART_BYTES = 16;
/** The header's first bytes, of which the seed of the pages' checksums is made. */
const IDENTITY_BYTES = 112;
const PAGE_CRC_OFFSET = RUN_PAGE_BYTES - 4;

/** The parts in their order: bytes of an entry, entries of a page, where in the page they begin. */
const PARTS = {
  ids: [20, 204, 0],
  heads: [28, 145, 8],
  places: [8, 511, 0],
  keys: [16, 255, 0],
  partitions: [24, 170, 0],
  partitionPlaces: [8, 511, 0],
  positions: [8, 511, 0],
  order: [8, 511, 0],
  times: [32, 127, 0],
  idFilter: [64, 63, 0],
  headFilter: [64, 63, 0],
  idFences: [4, 1022, 0],
  headFences: [4, 1022, 0],
} as const;

export type RunPart = keyof typeof PARTS;
export const RUN_PARTS = Object.keys(PARTS) as RunPart[];

export class RunBytes {
  readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  /** Offset of a part's first page. */
  part(name: RunPart): number {
    const at = PARTS_OFFSET + RUN_PARTS.indexOf(name) * PART_BYTES;
    return Number(this.bytes.readBigUInt64LE(at)) * RUN_PAGE_BYTES;
  }

  entryCount(name: RunPart): number {
    return Number(
      this.bytes.readBigUInt64LE(PARTS_OFFSET + RUN_PARTS.indexOf(name) * PART_BYTES + 8),
    );
  }

  entryBytes(name: RunPart): number {
    return PARTS[name][0];
  }

  /** Offset of an entry of a part. */
  entry(name: RunPart, index: number): number {
    const [size, perPage, start] = PARTS[name];
    const page = Math.floor(index / perPage);
    return this.part(name) + page * RUN_PAGE_BYTES + start + (index % perPage) * size;
  }

  add(offset: number, difference: bigint): void {
    this.bytes.writeBigUInt64LE(
      BigInt.asUintN(64, this.bytes.readBigUInt64LE(offset) + difference),
      offset,
    );
  }

  swap(one: number, other: number, size: number): void {
    const bytes = Buffer.from(this.bytes.subarray(one, one + size));
    this.bytes.copy(this.bytes, one, other, other + size);
    bytes.copy(this.bytes, other);
  }

  /** Gives every whole page the checksum of what it holds now. */
  seal(): void {
    sealRun(this.bytes);
  }
}

/** Gives every whole page of a run the checksum of what it holds now. */
export function sealRun(run: Uint8Array): void {
  const view = new DataView(run.buffer, run.byteOffset, run.byteLength);
  const seed = crc32c(run.subarray(0, IDENTITY_BYTES));
  for (let page = 0; (page + 1) * RUN_PAGE_BYTES <= run.length; page++) {
    const at = page * RUN_PAGE_BYTES;
    const body = run.subarray(at, at + PAGE_CRC_OFFSET);
    const start = page === 0 ? 0 : (seed ^ page) >>> 0;
    view.setUint32(at + PAGE_CRC_OFFSET, crc32c(body, start), true);
  }
}
