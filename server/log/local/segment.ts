/**
 * Segment files: their names, and the header with which each begins.
 *
 *   0                8          12      16           32              40              48             52       60
 *   │ "CAIRNSEG" │ version u32 │ 0 u32 │ store id 16 │ base offset u64 │ first position u64 │ previous CRC u32 │ 0 … │ crc u32
 *
 * Little-endian; crc is the CRC32C of bytes 0 to 59. The base offset is the log offset of the file's first byte,
 * a multiple of 64 KiB, so that no block of the cache lies in two files. The header is written and synced before
 * the file gets its name, so that a named segment without a valid header is damage.
 */
import type { Core } from "../../core/core.ts";

export const SEGMENT_HEADER_BYTES = 64;
/** Segments begin at multiples of this log offset: the cache's block size. */
export const SEGMENT_ALIGNMENT = 65_536;
export const FORMAT_VERSION = 1;
/** A place has 48 bits for a log offset in units of 8; a segment lies whole below that. */
const BASE_MAX = 2 ** 50;
/** The prepared segment: zeros, until it is renamed. */
export const NEXT_NAME = "next";

const MAGIC = "CAIRNSEG";
const VERSION_OFFSET = 8;
const STORE_ID_OFFSET = 16;
const BASE_OFFSET = 32;
const POSITION_OFFSET = 40;
const PREVIOUS_CRC_OFFSET = 48;
const CRC_OFFSET = 60;
const NAME_DIGITS = 20;
const SUFFIX = ".seg";

export interface SegmentHeader {
  readonly storeId: Uint8Array;
  /** Log offset of the file's first byte. */
  readonly base: number;
  readonly firstPosition: number;
  /** CRC of the last frame before this segment, 0 in the first. */
  readonly previousCrc: number;
}

/** File name of the segment whose first event has this position. */
export function segmentName(firstPosition: number): string {
  return String(firstPosition).padStart(NAME_DIGITS, "0") + SUFFIX;
}

export function isSegmentName(name: string): boolean {
  return /^\d{20}\.seg$/.test(name);
}

/** The position that a segment's name says its first event has. */
export function firstPositionOf(name: string): number {
  return Number(name.slice(0, NAME_DIGITS));
}

export function encodeSegmentHeader(core: Core, header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(MAGIC));
  view.setUint32(VERSION_OFFSET, FORMAT_VERSION, true);
  bytes.set(header.storeId, STORE_ID_OFFSET);
  view.setBigUint64(BASE_OFFSET, BigInt(header.base), true);
  view.setBigUint64(POSITION_OFFSET, BigInt(header.firstPosition), true);
  view.setUint32(PREVIOUS_CRC_OFFSET, header.previousCrc, true);
  view.setUint32(CRC_OFFSET, checksum(core, bytes.subarray(0, CRC_OFFSET)), true);
  return bytes;
}

/** The header in `bytes`, or what is wrong with it, as a text. */
export function decodeSegmentHeader(core: Core, bytes: Uint8Array): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return "the segment's header is cut off";
  if (!segmentHeaderIsWhole(core, bytes)) return "the segment's header is damaged";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (Buffer.from(bytes.subarray(0, MAGIC.length)).toString("latin1") !== MAGIC) {
    return "this is no segment of a log";
  }
  const version = view.getUint32(VERSION_OFFSET, true);
  if (version > FORMAT_VERSION) {
    return `the segment has format version ${version}, and this executable reads up to ${FORMAT_VERSION}`;
  }
  const base = Number(view.getBigUint64(BASE_OFFSET, true));
  if (base % SEGMENT_ALIGNMENT !== 0 || base > BASE_MAX) {
    return `the segment cannot begin at log offset ${base}`;
  }
  return {
    storeId: bytes.slice(STORE_ID_OFFSET, STORE_ID_OFFSET + 16),
    base,
    firstPosition: Number(view.getBigUint64(POSITION_OFFSET, true)),
    previousCrc: view.getUint32(PREVIOUS_CRC_OFFSET, true),
  };
}

/** Whether the header is what was written, whatever it says. */
export function segmentHeaderIsWhole(core: Core, bytes: Uint8Array): boolean {
  if (bytes.length < SEGMENT_HEADER_BYTES) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(CRC_OFFSET, true) === checksum(core, bytes.subarray(0, CRC_OFFSET));
}

/** CRC32C of bytes that are not in core memory. */
export function checksum(core: Core, bytes: Uint8Array): number {
  const address = core.allocate(bytes.length); // not the input area, which may hold a request that waits for room
  core.memory.set(bytes, address);
  const crc = core.exports.crc32c(0, address, bytes.length) >>> 0;
  core.exports.release(address, bytes.length);
  return crc;
}
