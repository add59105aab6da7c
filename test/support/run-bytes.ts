/**
 * A run's bytes as a test changes them: where its parts and their entries are, and checksums that are right again.
 */
import { RUN_PAGE_BYTES } from "../../server/index/run-file.ts";
import { crc32c, RUN_PART_LAYOUT, type RunPartName } from "./run-reader.ts";

/** Where the header says where the parts are, in the order of the parts. */
const PARTS_OFFSET = 112;
const PART_BYTES = 16;
/** The header's first bytes, of which the seed of the pages' checksums is made. */
const IDENTITY_BYTES = 112;
const PAGE_CRC_OFFSET = RUN_PAGE_BYTES - 4;

export const RUN_PARTS = Object.keys(RUN_PART_LAYOUT) as RunPartName[];

export class RunBytes {
  readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  /** Offset of a part's first page. */
  part(name: RunPartName): number {
    const at = PARTS_OFFSET + RUN_PARTS.indexOf(name) * PART_BYTES;
    return Number(this.bytes.readBigUInt64LE(at)) * RUN_PAGE_BYTES;
  }

  entryCount(name: RunPartName): number {
    return Number(
      this.bytes.readBigUInt64LE(PARTS_OFFSET + RUN_PARTS.indexOf(name) * PART_BYTES + 8),
    );
  }

  entryBytes(name: RunPartName): number {
    return RUN_PART_LAYOUT[name][0];
  }

  /** Offset of an entry of a part. */
  entry(name: RunPartName, index: number): number {
    const [size, perPage, start] = RUN_PART_LAYOUT[name];
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
