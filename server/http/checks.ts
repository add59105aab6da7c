/**
 * The rules of names and keys in HTTP's words. `memory` is any that holds the bytes, core memory or an array of
 * their own; they are valid UTF-8.
 */
import { type Core, UUID_BYTES } from "../core/core.ts";
import { StoreError } from "../errors.ts";
import { EVENT_NAME_BYTES_MAX, STREAM_ID_BYTES_MAX } from "../limits.ts";
import type { EventStore } from "../store/event-store.ts";
import {
  BYTES_FORBIDDEN,
  byteClasses,
  looksLikePartitions,
  OWN_STREAM_PREFIX,
} from "../store/names.ts";
import { quote } from "../usage.ts";
import { parseNumber, unexpectedValue } from "./schema.ts";

/** Throws unless the bytes can be a stream's id. */
export function checkStreamId(
  memory: Uint8Array,
  address: number,
  size: number,
  label: string,
): void {
  checkName(memory, address, size, STREAM_ID_BYTES_MAX, label);
}

/** Throws unless the bytes can be the id of a stream to append to. */
export function checkStreamToAppend(
  memory: Uint8Array,
  address: number,
  size: number,
  label: string,
): void {
  checkStreamId(memory, address, size, label);
  for (let i = 0; i < OWN_STREAM_PREFIX.length; i++) {
    if (i === size || memory[address + i] !== OWN_STREAM_PREFIX.charCodeAt(i)) return;
  }
  const text = Buffer.from(memory.subarray(address, address + size)).toString();
  throw new StoreError(
    "INVALIDARG",
    `${label} ${quote(text)} begins with '${OWN_STREAM_PREFIX}': these streams are the store's own`,
  );
}

export function checkEventName(
  memory: Uint8Array,
  address: number,
  size: number,
  label: string,
): void {
  checkName(memory, address, size, EVENT_NAME_BYTES_MAX, label);
}

function checkName(
  memory: Uint8Array,
  address: number,
  size: number,
  bytesMax: number,
  label: string,
): void {
  if (size === 0 || size > bytesMax) {
    throw new StoreError(
      "INVALIDARG",
      `${label} must be between 1 and ${bytesMax} bytes in length, but got ${size}`,
    );
  }
  if ((byteClasses(memory, address, address + size) & BYTES_FORBIDDEN) !== 0) {
    throw new StoreError("INVALIDARG", `${label} contains NUL, CR or LF, which are not allowed`);
  }
}

/** Throws unless the bytes in core memory can be a partition key. Overwrites the request's 16 bytes. */
export function checkPartitionKey(core: Core, address: number, size: number, label: string): void {
  if (!looksLikePartitions(byteClasses(core.memory, address, address + size))) return;
  if (core.parseUuid(address, size, core.requestKeyAddress)) return;
  throw new StoreError("INVALIDARG", `${label}: expected ${KEY_EXPECTED}`);
}

const KEY_EXPECTED = "a UUID, or a text of more than digits, commas, hyphens and '*'";

/** The 16 bytes of a partition key that a query names. */
export function partitionKeyBytes(store: EventStore, text: string, label: string): Uint8Array {
  const { core } = store;
  const { address, size } = stage(store, Buffer.from(text));
  checkPartitionKey(core, address, size, label);
  core.parsePartitionKey(address, size, core.requestKeyAddress);
  return core.memory.slice(core.requestKeyAddress, core.requestKeyAddress + UUID_BYTES);
}

/** Core address of the 16 bytes of a UUID; valid within the turn. */
export function uuidAddress(store: EventStore, text: string, label: string): number {
  const { core } = store;
  const { address, size } = stage(store, Buffer.from(text));
  if (core.parseUuid(address, size, core.requestKeyAddress)) return core.requestKeyAddress;
  throw unexpectedValue(label, text, "a UUID");
}

/** The partition that a text names: by its number, or by a partition key in it. */
export function partitionOf(store: EventStore, text: string): number {
  const { core, partitions } = store;
  const { address, size } = stage(store, Buffer.from(text));
  if (size >= UUID_LENGTH_MIN && core.parseUuid(address, size, core.requestKeyAddress)) {
    return core.partitionHash(core.requestKeyAddress) % partitions;
  }
  if (!/^\d+$/.test(text)) {
    throw unexpectedValue(
      "partition",
      text,
      "a partition's number, or the UUID of a partition key",
    );
  }
  const partition = parseNumber(text);
  if (partition !== null && partition < partitions) return partition;
  throw new StoreError(
    "NOTFOUND",
    `partition ${quote(text)} does not exist: this store has partitions 0 to ${partitions - 1}`,
  );
}

/** A UUID's shortest form: 32 hexadecimal digits. */
const UUID_LENGTH_MIN = 32;

/** Puts bytes into core memory; they lie there until the end of the turn, or the next call. */
export function stage(store: EventStore, bytes: Uint8Array): { address: number; size: number } {
  const address = store.input(bytes.length);
  store.core.memory.set(bytes, address);
  return { address, size: bytes.length };
}
