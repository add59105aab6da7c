/**
 * The files of a store as one input of a fuzzer: any bytes are some files.
 *
 *   name size u8 │ name │ file size u32 │ stored size u32 │ stored bytes …   for each file; little-endian
 *
 * What is not stored of a file is zeros. Sizes beyond the input mean what is left of it.
 */

import { RUN_PAGE_BYTES } from "../../server/index/run-file.ts";
import { offsetSeed } from "../support/format-checks.ts";
import { sealRun } from "../support/run-bytes.ts";
import { crc32c } from "../support/run-reader.ts";

/** Larger files are cut: a fuzzer wants many small ones. */
const FILE_BYTES_MAX = 256 * 1024;
const SEGMENT_HEADER_BYTES = 64;
const FRAME_HEAD_BYTES = 36;

export type Files = Map<string, Uint8Array>;

export function encodeFiles(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [name, bytes] of files) {
    const stored = bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
    const head = Buffer.alloc(1 + name.length + 8);
    head.writeUInt8(name.length, 0);
    head.write(name, 1);
    head.writeUInt32LE(bytes.length, 1 + name.length);
    head.writeUInt32LE(stored.length, 5 + name.length);
    parts.push(head, stored);
  }
  return Buffer.concat(parts);
}

/** Names that a folder can have; the first one of a name counts. */
export function decodeFiles(input: Uint8Array): Files {
  const files: Files = new Map();
  const bytes = Buffer.from(input);
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 1 + (bytes[at] ?? 0);
    if (nameEnd + 8 > bytes.length) break;
    const name = bytes.toString("latin1", at + 1, nameEnd);
    const size = Math.min(FILE_BYTES_MAX, bytes.readUInt32LE(nameEnd));
    const stored = bytes.subarray(nameEnd + 8, nameEnd + 8 + bytes.readUInt32LE(nameEnd + 4));
    at = nameEnd + 8 + stored.length;
    const file = new Uint8Array(Math.max(size, Math.min(stored.length, FILE_BYTES_MAX)));
    file.set(stored.subarray(0, file.length));
    if (/^\/data(\/[\w.-]+)+$/.test(name) && !files.has(name) && isPlace(files, name))
      files.set(name, file);
  }
  return files;
}

/** A file cannot lie in another one, nor where a folder is. */
function isPlace(files: Files, name: string): boolean {
  if (name.split("/").some((part) => part === "." || part === "..")) return false;
  return [...files.keys()].every(
    (other) => !other.startsWith(`${name}/`) && !name.startsWith(`${other}/`),
  );
}

/**
 * Makes every checksum right, each frame follow from the one before it, and each run end with the frame that lies at its
 * end: what is wrong then lies in what the checksums cover, where no random change would come through.
 */
export function seal(files: Files): void {
  const store = files.get("/data/STORE");
  const secret = new Uint8Array(16);
  if (store !== undefined && store.length >= 96) {
    secret.set(store.subarray(48, 64));
    checksumAt(store, 92);
  }
  let previousCrc = 0;
  for (const name of [...files.keys()].sort()) {
    const file = files.get(name);
    if (file === undefined || !name.endsWith(".seg") || file.length < SEGMENT_HEADER_BYTES)
      continue;
    new DataView(file.buffer).setUint32(48, previousCrc, true);
    checksumAt(file, 60);
    previousCrc = sealFrames(file, secret, previousCrc);
  }
  for (const [name, run] of files) {
    if (!name.endsWith(".run") || run.length < RUN_PAGE_BYTES) continue;
    sealRunEnd(files, run);
    sealRun(run);
  }
  const end = files.get("/data/log/end");
  if (end !== undefined && end.length >= 32) checksumAt(end, 28);
}

/** Puts the CRC of the log's frame at a run's end into the run, where there is one. */
function sealRunEnd(files: Files, run: Uint8Array): void {
  const view = new DataView(run.buffer);
  const frame = view.getBigUint64(48, true) - BigInt(view.getUint32(60, true));
  for (const [name, segment] of files) {
    if (!name.endsWith(".seg") || segment.length < SEGMENT_HEADER_BYTES) continue;
    const log = new DataView(segment.buffer);
    const at = frame - log.getBigUint64(32, true);
    if (at < SEGMENT_HEADER_BYTES || at + BigInt(FRAME_HEAD_BYTES) > segment.length) continue;
    view.setUint32(56, log.getUint32(Number(at) + 32, true), true);
  }
}

/** Returns the last frame's CRC. */
function sealFrames(segment: Uint8Array, secret: Uint8Array, firstCrc: number): number {
  const view = new DataView(segment.buffer);
  const base = Number(view.getBigUint64(32, true) & 0xffff_ffff_ffffn);
  let previousCrc = firstCrc;
  let at = SEGMENT_HEADER_BYTES;
  while (at + FRAME_HEAD_BYTES <= segment.length) {
    const length = view.getUint32(at, true);
    if (length < FRAME_HEAD_BYTES || at + length > segment.length) break;
    view.setUint32(at + 20, previousCrc, true);
    const seed = offsetSeed(secret, base + at);
    view.setUint32(at + 28, crc32c(segment.subarray(at, at + 28), seed), true);
    const head = crc32c(segment.subarray(at, at + 32));
    previousCrc = crc32c(segment.subarray(at + FRAME_HEAD_BYTES, at + length), head);
    view.setUint32(at + 32, previousCrc, true);
    at = Math.ceil((at + length) / 8) * 8;
  }
  return previousCrc;
}

/** Puts the CRC32C of all before it at an offset. */
function checksumAt(bytes: Uint8Array, offset: number): void {
  new DataView(bytes.buffer).setUint32(offset, crc32c(bytes.subarray(0, offset)), true);
}
