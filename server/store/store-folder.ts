/**
 * The folder of a store: takes its lock, makes it where it is new, and opens it.
 *
 *   LOCK            held with flock while a server runs on it
 *   STORE           identity and what is fixed; written last when a store is made
 *   log/<n>.seg     segments, named by their first position
 *   log/next        the prepared segment
 *   log/end         where an orderly stop left the log; gone while a server runs
 *   index/<n>-<m>.run   index runs: made again from the log where they are missing or unfit
 */

import { assert } from "../assert.ts";
import type { Core } from "../core/core.ts";
import { type Disk, writeFully, zeroFill } from "../disk.ts";
import { DamageError, OpenError } from "../errors.ts";
import type { IndexMemory } from "../index/index-memory.ts";
import { RunIndex } from "../index/run-index.ts";
import type { RunMaker } from "../index/run-maker.ts";
import { PARTITIONS_DEFAULT, PARTITIONS_MAX, PREPARE_SLICE_BYTES } from "../limits.ts";
import { listSegments, type RecoveredLog, recover } from "../log/local/recovery.ts";
import {
  encodeSegmentHeader,
  isSegmentName,
  NEXT_NAME,
  SEGMENT_HEADER_BYTES,
  segmentName,
} from "../log/local/segment.ts";
import { SegmentReader } from "../log/local/segment-reader.ts";
import type { Tell } from "../stderr-log.ts";
import {
  decodeStoreFile,
  partitionsOf,
  readStoreFile,
  STORE_NAME,
  type StoreIdentity,
  writeStoreFile,
} from "./store-file.ts";

const LOCK_NAME = "LOCK";
const LOG_NAME = "log";
const INDEX_NAME = "index";
const SECRET_BYTES = 16;

/** What it takes to know which store a folder holds. */
export interface IdentityOptions {
  readonly disk: Disk;
  readonly folder: string;
  /** Makes a core for this many partitions. */
  readonly makeCore: (partitions: number) => Core;
}

interface OpenedIdentity {
  readonly core: Core;
  readonly identity: StoreIdentity;
}

export interface FolderOptions extends IdentityOptions {
  readonly partitions: number | null;
  readonly segmentBytes: number;
  readonly index: IndexMemory;
  /** Makes runs in a folder; null: the store is only read. */
  readonly makeRuns: ((folder: string) => RunMaker) | null;
  readonly clock: () => number;
  readonly random: (target: Uint8Array) => void;
  readonly log: Tell;
}

export interface OpenedFolder extends OpenedIdentity {
  readonly logFolder: string;
  readonly recovered: RecoveredLog;
  readonly index: RunIndex;
  readonly unlock: () => void;
}

/** Opens the store in a folder, or makes one there. Throws OpenError with one line that says why not. */
export function openStoreFolder(options: FolderOptions): OpenedFolder {
  const { disk, folder } = options;
  return whileLocked(options, true, (unlock) => {
    const bytes = readStoreFile(disk, folder) ?? makeStore(options);
    // A process that was killed while it made the store may have left STORE's name unsynced: without it all is lost.
    disk.syncFolder(folder);
    const opened = openIdentity(options, bytes);
    const { partitions } = opened.identity;
    if (options.partitions !== null && options.partitions !== partitions) {
      throw new OpenError(
        `${folder} was made with ${partitions} partitions, which is fixed: --partitions ${options.partitions} cannot be given now`,
      );
    }
    return { ...opened, ...recoverLog(options, opened, false), unlock };
  });
}

/**
 * Opens a closed store to check it: reads all of the log, holds the index runs against it, and changes no byte. Throws
 * OpenError.
 */
export function openStoreFolderReadOnly(options: FolderOptions): OpenedFolder {
  return whileReadOnly(options, (opened, unlock) => ({
    ...opened,
    ...recoverLog(options, opened, true),
    unlock,
  }));
}

/** A store of which nothing was read yet but what it is: its log may be damaged. */
export interface FolderToSalvage {
  readonly core: Core;
  readonly logFolder: string;
  readonly unlock: () => void;
}

/** Opens a closed store whose log may be damaged, to read what is intact; changes no byte of it. Throws OpenError. */
export function openStoreFolderToSalvage(options: IdentityOptions): FolderToSalvage {
  return whileReadOnly(options, ({ core }, unlock) => ({
    core,
    logFolder: `${options.folder}/${LOG_NAME}`,
    unlock,
  }));
}

function whileReadOnly<Result>(
  options: IdentityOptions,
  use: (opened: OpenedIdentity, unlock: () => void) => Result,
): Result {
  const { disk, folder } = options;
  if (!disk.exists(`${folder}/${STORE_NAME}`)) {
    throw new OpenError(`${folder}/${STORE_NAME}: there is no store in this folder`);
  }
  return whileLocked(options, false, (unlock) => {
    const bytes = readStoreFile(disk, folder);
    assert(bytes !== null);
    return use(openIdentity(options, bytes), unlock);
  });
}

function whileLocked<Result>(
  { disk, folder }: IdentityOptions,
  makes: boolean,
  use: (unlock: () => void) => Result,
): Result {
  let unlock: (() => void) | null = null;
  return whileOpening(
    folder,
    () => unlock?.(),
    () => {
      if (makes) disk.makeFolder(`${folder}/${LOG_NAME}`);
      unlock = disk.lock(`${folder}/${LOCK_NAME}`);
      if (unlock === null) throw new OpenError(`${folder} is in use by another server`);
      return use(unlock);
    },
  );
}

/** Does a part of opening the store in `folder`: what goes wrong unlocks it, and what the system says is an OpenError. */
export function whileOpening<Result>(
  folder: string,
  unlock: () => void,
  open: () => Result,
): Result {
  try {
    return open();
  } catch (error) {
    unlock();
    if (error instanceof OpenError || !isSystemError(error)) throw error;
    throw new OpenError(`${folder} cannot be opened: ${(error as Error).message}`);
  }
}

/** Whether the system, not our own code, said no. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

function openIdentity(options: IdentityOptions, bytes: Uint8Array): OpenedIdentity {
  // The number is checked only by the core that it is needed for: a damaged one makes a core that says so.
  const partitions = partitionsOf(bytes);
  const core = options.makeCore(partitions >= 1 && partitions <= PARTITIONS_MAX ? partitions : 1);
  const identity = decodeStoreFile(core, options.folder, bytes);
  const secret = core.input(SECRET_BYTES);
  core.memory.set(identity.secret, secret);
  core.exports.setSecret(secret);
  return { core, identity };
}

function recoverLog(
  options: FolderOptions,
  opened: OpenedIdentity,
  readOnly: boolean,
): { logFolder: string; recovered: RecoveredLog; index: RunIndex } {
  try {
    return readLog(options, opened, readOnly);
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    throw new DamageError(`${error.message}; ${wayOn(options.folder)}`);
  }
}

/** What whoever runs a store can do where its log is damaged. */
function wayOn(folder: string): string {
  return `no byte was changed: restore a backup, or see with 'cairn dump ${folder}' which events are intact`;
}

function readLog(
  options: FolderOptions,
  { core, identity }: OpenedIdentity,
  readOnly: boolean,
): { logFolder: string; recovered: RecoveredLog; index: RunIndex } {
  const { disk, log } = options;
  const logFolder = `${options.folder}/${LOG_NAME}`;
  const { storeId, partitions } = identity;
  const segments = listSegments({ disk, core, folder: logFolder, storeId });
  const reader = new SegmentReader(disk, segments);
  const indexFolder = `${options.folder}/${INDEX_NAME}`;
  const index = new RunIndex({
    disk,
    core,
    folder: indexFolder,
    storeId,
    partitions,
    unfit: readOnly ? "refuse" : "remove",
    memory: options.index,
    maker: options.makeRuns?.(indexFolder) ?? null,
    readLog: (offset, target) => reader.read(offset, target),
    log,
  });
  try {
    const check = readOnly ? index.startCheck((offset) => reader.placeText(offset)) : null;
    const recovered = recover({
      disk,
      core,
      folder: logFolder,
      segments,
      readOnly,
      runEnd: check === null ? null : () => check.next(),
      full: () => index.makeAtStart(),
      taken: () => index.settle(),
      lastSegment: () => index.stopMaking(),
      log,
    });
    check?.finish();
    index.endStart(recovered.position);
    return { logFolder, recovered, index };
  } catch (error) {
    index.close();
    throw error;
  } finally {
    reader.close();
  }
}

/** Makes a store: its first segment, then STORE, which says that the rest is there. Returns STORE's bytes. */
function makeStore(options: FolderOptions): Uint8Array {
  const { disk, folder } = options;
  const logFolder = `${folder}/${LOG_NAME}`;
  removeUnborn(disk, folder, logFolder);
  const partitions = options.partitions ?? PARTITIONS_DEFAULT;
  const core = options.makeCore(1); // for checksums alone
  const identity: StoreIdentity = {
    partitions,
    storeId: randomUuid(options.random),
    epoch: randomUuid(options.random),
    secret: randomBytes(options.random, SECRET_BYTES),
    madeAt: options.clock(),
  };
  const next = `${logFolder}/${NEXT_NAME}`;
  const file = disk.open(next, "create");
  try {
    const header = { storeId: identity.storeId, base: 0, firstPosition: 0, previousCrc: 0 };
    writeFully(file, encodeSegmentHeader(core, header), 0);
    zeroFill(file, SEGMENT_HEADER_BYTES, Math.min(PREPARE_SLICE_BYTES, options.segmentBytes));
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(next, `${logFolder}/${segmentName(0)}`);
  disk.syncFolder(logFolder);
  disk.syncFolder(folder);
  disk.syncFolder(parentOf(folder));
  writeStoreFile(disk, core, folder, identity);
  const bytes = readStoreFile(disk, folder);
  assert(bytes !== null);
  return bytes;
}

/**
 * Removes what a crash left of a store that was being made: without STORE nothing was ever acknowledged. A log
 * with more than an empty first segment is another matter, and is not touched.
 */
function removeUnborn(disk: Disk, folder: string, logFolder: string): void {
  for (const name of disk.list(logFolder)) {
    if (
      isSegmentName(name) &&
      (name !== segmentName(0) || !isUnwritten(disk, `${logFolder}/${name}`))
    ) {
      throw new OpenError(
        `${folder}/${STORE_NAME} is missing, but ${logFolder}/${name} holds events`,
      );
    }
  }
  for (const name of disk.list(logFolder)) {
    if (isSegmentName(name) || name === NEXT_NAME) disk.remove(`${logFolder}/${name}`);
  }
}

/** Whether a segment holds zeros only behind its header. */
function isUnwritten(disk: Disk, path: string): boolean {
  const file = disk.open(path, "read");
  try {
    const slice = new Uint8Array(PREPARE_SLICE_BYTES);
    for (let at = SEGMENT_HEADER_BYTES; ; at += slice.length) {
      const count = file.read(slice, at);
      if (count === 0) return true;
      if (slice.subarray(0, count).some((byte) => byte !== 0)) return false;
    }
  } finally {
    file.close();
  }
}

function parentOf(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  return slash < 0 ? "." : slash === 0 ? "/" : trimmed.slice(0, slash);
}

function randomBytes(random: (target: Uint8Array) => void, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  random(bytes);
  return bytes;
}

/** A UUIDv4. */
function randomUuid(random: (target: Uint8Array) => void): Uint8Array {
  const bytes = randomBytes(random, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes;
}
