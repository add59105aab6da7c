/**
 * The file STORE: who the store is, and what was fixed when it was made.
 *
 *   0              8            12              16           32        48          64              72      92
 *   │ "CAIRNSTO" │ version u32 │ partitions u32 │ store id 16 │ epoch 16 │ secret 16 │ made at u64 ms │ 0 … │ crc u32
 *
 * Little-endian; crc is the CRC32C of bytes 0 to 91. The secret seeds the hashes of ids and the checks of frame
 * heads. The file is written whole beside its place, synced and renamed, so that it is old or new, never half.
 */

import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { type Disk, readFully, replaceFile } from "../disk.ts";
import { OpenError } from "../errors.ts";
import { checksum, FORMAT_VERSION } from "../log/local/segment.ts";

export const STORE_NAME = "STORE";

const MAGIC = "CAIRNSTO";
const STORE_BYTES = 96;
const VERSION_OFFSET = 8;
const PARTITIONS_OFFSET = 12;
const STORE_ID_OFFSET = 16;
const EPOCH_OFFSET = 32;
const SECRET_OFFSET = 48;
const MADE_AT_OFFSET = 64;
const CRC_OFFSET = 92;
const ID_BYTES = 16;

export interface StoreIdentity {
  readonly partitions: number;
  readonly storeId: Uint8Array;
  readonly epoch: Uint8Array;
  readonly secret: Uint8Array;
  /** Wall clock, milliseconds. */
  readonly madeAt: number;
}

/** Reads how many partitions a store has, before a core exists to check the rest; null where there is no store. */
export function readStoreFile(disk: Disk, folder: string): Uint8Array | null {
  const path = `${folder}/${STORE_NAME}`;
  if (!disk.exists(path)) return null;
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(STORE_BYTES);
    const count = readFully(file, bytes, 0);
    return bytes.subarray(0, count);
  } finally {
    file.close();
  }
}

/** The number of partitions that the bytes of STORE name, unchecked; `decodeStoreFile` checks. */
export function partitionsOf(bytes: Uint8Array): number {
  if (bytes.length < STORE_BYTES) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(PARTITIONS_OFFSET, true);
}

/** Throws OpenError where the bytes are damaged or of a newer format. */
export function decodeStoreFile(core: Core, folder: string, bytes: Uint8Array): StoreIdentity {
  const path = `${folder}/${STORE_NAME}`;
  if (bytes.length < STORE_BYTES) {
    throw new OpenError(`${path} at offset ${bytes.length}: the file is cut off`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(CRC_OFFSET, true) !== checksum(core, bytes.subarray(0, CRC_OFFSET))) {
    throw new OpenError(`${path} at offset 0: the file is damaged`);
  }
  if (Buffer.from(bytes.subarray(0, MAGIC.length)).toString("latin1") !== MAGIC) {
    throw new OpenError(`${path} at offset 0: this is no store of Cairn`);
  }
  const version = view.getUint32(VERSION_OFFSET, true);
  if (version > FORMAT_VERSION) {
    throw new OpenError(
      `${path}: the store has format version ${version}, and this executable reads up to ${FORMAT_VERSION}`,
    );
  }
  return {
    partitions: view.getUint32(PARTITIONS_OFFSET, true),
    storeId: bytes.slice(STORE_ID_OFFSET, STORE_ID_OFFSET + ID_BYTES),
    epoch: bytes.slice(EPOCH_OFFSET, EPOCH_OFFSET + ID_BYTES),
    secret: bytes.slice(SECRET_OFFSET, SECRET_OFFSET + ID_BYTES),
    madeAt: Number(view.getBigUint64(MADE_AT_OFFSET, true)),
  };
}

/** Makes STORE durable: old or new, whatever happens meanwhile. */
export function writeStoreFile(
  disk: Disk,
  core: Core,
  folder: string,
  identity: StoreIdentity,
): void {
  const bytes = new Uint8Array(STORE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(MAGIC));
  view.setUint32(VERSION_OFFSET, FORMAT_VERSION, true);
  view.setUint32(PARTITIONS_OFFSET, identity.partitions, true);
  bytes.set(identity.storeId, STORE_ID_OFFSET);
  bytes.set(identity.epoch, EPOCH_OFFSET);
  bytes.set(identity.secret, SECRET_OFFSET);
  view.setBigUint64(MADE_AT_OFFSET, BigInt(identity.madeAt), true);
  view.setUint32(CRC_OFFSET, checksum(core, bytes.subarray(0, CRC_OFFSET)), true);
  replaceFile(disk, folder, STORE_NAME, bytes);
}

/** A UUID of 16 bytes as text. */
export function uuidText(bytes: Uint8Array): string {
  assert(bytes.length === ID_BYTES);
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
