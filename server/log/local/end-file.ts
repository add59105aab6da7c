/**
 * The file `log/end`: where an orderly stop left the log.
 *
 *   0              8                 16                     24                 28
 *   │ "CAIRNEND" │ log offset u64 │ next position u64 │ CRC of the end frame u32 │ crc u32
 *
 * Little-endian; the last crc is the CRC32C of bytes 0 to 27. An end frame says that what lies before it is whole,
 * but it lies in the tail itself: with the tail gone, a shorter log would look like one that a crash left. The file
 * is written last of all by a stop, and removed by the next start before anything is appended, so that a log which
 * ends earlier than it says has lost its end.
 */
import type { Core } from "../../core/core.ts";
import { type Disk, readFully, replaceFile } from "../../disk.ts";
import { checksum } from "./segment.ts";

const END_NAME = "end";
const MAGIC = "CAIRNEND";
const OFFSET_OFFSET = 8;
const POSITION_OFFSET = 16;
const FRAME_CRC_OFFSET = 24;
const CRC_OFFSET = 28;
const END_BYTES = 32;

/** The log's end: behind its last frame. */
export interface LogEnd {
  readonly offset: number;
  readonly position: number;
  /** CRC of the last frame. */
  readonly crc: number;
}

/** Makes the file durable. Throws what the disk says. */
export function writeEndFile(disk: Disk, core: Core, folder: string, end: LogEnd): void {
  const bytes = new Uint8Array(END_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(MAGIC));
  view.setBigUint64(OFFSET_OFFSET, BigInt(end.offset), true);
  view.setBigUint64(POSITION_OFFSET, BigInt(end.position), true);
  view.setUint32(FRAME_CRC_OFFSET, end.crc, true);
  view.setUint32(CRC_OFFSET, checksum(core, bytes.subarray(0, CRC_OFFSET)), true);
  replaceFile(disk, folder, END_NAME, bytes);
}

/** What the file says; null where there is none. A crash leaves a whole one, so that what is not whole was damaged later. */
export function readEndFile(disk: Disk, core: Core, folder: string): LogEnd | "damaged" | null {
  const path = `${folder}/${END_NAME}`;
  if (!disk.exists(path)) return null;
  const bytes = new Uint8Array(END_BYTES);
  const file = disk.open(path, "read");
  try {
    if (readFully(file, bytes, 0) < END_BYTES || file.size() !== END_BYTES) return "damaged";
  } finally {
    file.close();
  }
  const view = new DataView(bytes.buffer);
  const crc = checksum(core, bytes.subarray(0, CRC_OFFSET));
  if (view.getUint32(CRC_OFFSET, true) !== crc) return "damaged";
  return {
    offset: Number(view.getBigUint64(OFFSET_OFFSET, true)),
    position: Number(view.getBigUint64(POSITION_OFFSET, true)),
    crc: view.getUint32(FRAME_CRC_OFFSET, true),
  };
}

/** Removes the file, durably: before the log goes on. */
export function removeEndFile(disk: Disk, folder: string): void {
  const path = `${folder}/${END_NAME}`;
  if (!disk.exists(path)) return;
  disk.remove(path);
  disk.syncFolder(folder);
}
