/**
 * The one file that touches the file system.
 *
 * Everything durable goes through the small `Disk` interface, so that tests put a simulated or faulty disk
 * under the whole store. Calls throw what the system says (an `Error` with `code`, as node:fs does); no call
 * retries. Offsets and sizes are bytes below 2^53.
 */

import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "./assert.ts";
import { flock, willRead } from "./libc.ts";
import { PREPARE_SLICE_BYTES } from "./limits.ts";

/** An open file. `read` and `write` are positioned; a write may be short, and says how much it took. */
export interface DiskFile {
  readonly path: string;
  /** Reads up to `target.length` bytes at `offset`; returns how many there were. */
  read(target: Uint8Array, offset: number): number;
  /**
   * Has the system read bytes in the background, so that reads of several places overlap: a hint, that may do nothing.
   * Left out where a test's disk has no background.
   */
  willRead?(offset: number, bytes: number): void;
  /**
   * As `read`, in a thread, and `done` is called in a later turn, whatever came of it: for what the system is to have in memory.
   * The file may be closed meanwhile. Left out where a test's disk has no threads.
   */
  readInThread?(target: Uint8Array, offset: number, done: () => void): void;
  /** Writes up to `source.length` bytes at `offset`; returns how many were taken. */
  write(source: Uint8Array, offset: number): number;
  /**
   * As `write`, in a thread; `done` gets what was taken, or the error, in a later turn. The source may be used again then.
   * Left out where a test's disk has no such writes.
   */
  writeInThread?(source: Uint8Array, offset: number, done: (taken: number | Error) => void): void;
  /** fdatasync on the calling thread. */
  sync(): void;
  /** fdatasync in a thread; `done` gets null or the error, in a later turn of the event loop. */
  syncInThread(done: (error: Error | null) => void): void;
  size(): number;
  truncate(size: number): void;
  /** Never throws what the system says: what had to last was synced before, and the descriptor is given back anyway. */
  close(): void;
}

export interface Disk {
  /** "read": must exist. "write": read and write, must exist. "create": made new, must not exist. */
  open(path: string, mode: "read" | "write" | "create"): DiskFile;
  /**
   * Opens a file for writes that are durable when they return and pass the page cache by: one device write and
   * one flush, where write and fdatasync take the file system's way round. Offset, length and address of a write
   * are multiples of `DIRECT_BLOCK_BYTES`. Null where the file system has no such writes; a write throws EINVAL
   * where it says so only then, and has written nothing.
   */
  openDirect(path: string): DiskFile | null;
  /** Makes a folder (mode 0700) and its parents; one that exists is fine. */
  makeFolder(path: string): void;
  /** Names in a folder, sorted by bytes. */
  list(path: string): string[];
  /** Throws where the system cannot say: a file that was not seen for an error must not be taken for missing. */
  exists(path: string): boolean;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes a folder's entries durable: after every create, rename and remove in it. */
  syncFolder(path: string): void;
  /** The same in a thread; `done` gets null or the error, in a later turn of the event loop. */
  syncFolderInThread(path: string, done: (error: Error | null) => void): void;
  /** Free bytes of the file system that holds `path`. */
  freeBytes(path: string): number;
  /** Takes an exclusive lock on a file (made when missing) until the returned function is called; null when another holds it. */
  lock(path: string): (() => void) | null;
}

/** What direct writes are multiples of: a page, which every block device's sector size divides. */
export const DIRECT_BLOCK_BYTES = 4_096;

/** Memory for direct writes, which its address must allow: `size` bytes that begin with a block. */
export function directMemory(size: number): Uint8Array<ArrayBuffer> {
  const memory = new Uint8Array(size + DIRECT_BLOCK_BYTES);
  const start = -ptr(memory) & (DIRECT_BLOCK_BYTES - 1);
  return memory.subarray(start, start + size);
}

const LOCK_EXCLUSIVE_NONBLOCKING = 2 | 4; // LOCK_EX | LOCK_NB, flock(2)
const LOCK_UNLOCK = 8; // LOCK_UN
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

class SystemFile implements DiskFile {
  readonly path: string;
  private readonly descriptor: number;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.descriptor = descriptor;
  }

  read(target: Uint8Array, offset: number): number {
    return fs.readSync(this.descriptor, target, 0, target.length, offset);
  }

  willRead(offset: number, bytes: number): void {
    willRead(this.descriptor, offset, bytes);
  }

  readInThread(target: Uint8Array, offset: number, done: () => void): void {
    fs.read(this.descriptor, target, 0, target.length, offset, () => done());
  }

  write(source: Uint8Array, offset: number): number {
    return fs.writeSync(this.descriptor, source, 0, source.length, offset);
  }

  writeInThread(source: Uint8Array, offset: number, done: (taken: number | Error) => void): void {
    fs.write(this.descriptor, source, 0, source.length, offset, (error, taken) =>
      done(error ?? taken),
    );
  }

  sync(): void {
    fs.fdatasyncSync(this.descriptor);
  }

  syncInThread(done: (error: Error | null) => void): void {
    fs.fdatasync(this.descriptor, (error) => done(error ?? null));
  }

  size(): number {
    return fs.fstatSync(this.descriptor).size;
  }

  truncate(size: number): void {
    fs.ftruncateSync(this.descriptor, size);
  }

  close(): void {
    try {
      fs.closeSync(this.descriptor);
    } catch (error) {
      assert((error as NodeJS.ErrnoException).code !== "EBADF"); // closed twice
    }
  }
}

/** The real file system. */
export const systemDisk: Disk = {
  open(path, mode) {
    const flags = mode === "read" ? "r" : mode === "write" ? "r+" : "wx+";
    return new SystemFile(path, fs.openSync(path, flags, FILE_MODE));
  },

  openDirect(path) {
    const { O_RDWR, O_DIRECT, O_DSYNC } = fs.constants;
    if (!O_DIRECT || !O_DSYNC) return null; // not Linux
    try {
      return new SystemFile(path, fs.openSync(path, O_RDWR | O_DIRECT | O_DSYNC));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EINVAL") return null;
      throw error;
    }
  },

  makeFolder(path) {
    fs.mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  },

  list(path) {
    return fs.readdirSync(path).sort();
  },

  exists(path) {
    return fs.statSync(path, { throwIfNoEntry: false }) !== undefined;
  },

  rename(from, to) {
    fs.renameSync(from, to);
  },

  remove(path) {
    fs.unlinkSync(path);
  },

  syncFolder(path) {
    const descriptor = fs.openSync(path, "r");
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },

  syncFolderInThread(path, done) {
    const descriptor = fs.openSync(path, "r");
    fs.fsync(descriptor, (error) => {
      fs.closeSync(descriptor);
      done(error ?? null);
    });
  },

  freeBytes(path) {
    const stats = fs.statfsSync(path);
    return stats.bavail * stats.bsize;
  },

  lock(path) {
    const descriptor = fs.openSync(path, "a", FILE_MODE);
    if (flock(descriptor, LOCK_EXCLUSIVE_NONBLOCKING) !== 0) {
      fs.closeSync(descriptor);
      return null;
    }
    return () => {
      // Closing would do it, but for a program that this process is just starting in another thread: it has all descriptors for a moment.
      flock(descriptor, LOCK_UNLOCK);
      fs.closeSync(descriptor);
    };
  },
};

/** A third of the share of other threads, so that work which appends may come to wait for is never starved. */
const GIVEN_WAY_NICENESS = 5;

/** Lets the calling thread give way to others where processors are scarce; nothing where the system has no such way. */
export function giveWay(): void {
  try {
    const thread = /(\d+)$/.exec(fs.readlinkSync("/proc/thread-self"))?.[1];
    if (thread !== undefined) setPriority(Number(thread), GIVEN_WAY_NICENESS);
  } catch {
    // Not Linux, or not allowed: it runs like the others.
  }
}

/** A new folder for a store that is thrown away, made where the system keeps such folders. */
export function makeTemporaryFolder(prefix: string): string {
  return fs.mkdtempSync(join(tmpdir(), prefix));
}

/** Removes a folder and all that is in it; one that is gone is fine. */
export function removeFolder(path: string): void {
  fs.rmSync(path, { recursive: true, force: true });
}

/** Files and sockets that the process may have open at a time; a guess where the system does not tell. */
export function descriptorLimit(): number {
  try {
    const limits = fs.readFileSync("/proc/self/limits", "utf8");
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (soft === "unlimited") return Number.POSITIVE_INFINITY;
    if (soft !== undefined) return Number(soft);
  } catch {
    // Not Linux.
  }
  return DESCRIPTORS_GUESSED;
}

/** Files and sockets that the process has open; null where the system does not tell. */
export function openDescriptorCount(): number | null {
  try {
    return fs.readdirSync("/proc/self/fd").length - 1; // without the one that reads the folder
  } catch {
    return null; // not Linux
  }
}

/** What the system tells in a file of its own (`/proc/…`), read in a thread; null where there is none. */
export async function readSystemText(path: string): Promise<string | null> {
  try {
    return await fs.promises.readFile(path, "latin1");
  } catch {
    return null;
  }
}

/** macOS gives a process this many unless told otherwise. */
const DESCRIPTORS_GUESSED = 256;

/** Reads exactly `target.length` bytes unless the file ends first; returns how many were read. */
export function readFully(file: DiskFile, target: Uint8Array, offset: number): number {
  let done = 0;
  while (done < target.length) {
    const count = file.read(target.subarray(done), offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes all of `source`, going on after short writes. */
export function writeFully(file: DiskFile, source: Uint8Array, offset: number): void {
  let done = 0;
  while (done < source.length) {
    const count = file.write(source.subarray(done), offset + done);
    if (count === 0) throw new Error(`${file.path}: the system took no bytes at ${offset + done}`);
    done += count;
  }
}

/** Writes zeros from `start` to `end`, in slices. */
export function zeroFill(file: DiskFile, start: number, end: number): void {
  const zeros = new Uint8Array(Math.min(PREPARE_SLICE_BYTES, Math.max(0, end - start)));
  for (let at = start; at < end; at += zeros.length) {
    writeFully(file, zeros.subarray(0, Math.min(zeros.length, end - at)), at);
  }
}

/**
 * Makes a small file durable under its name: old or new, whatever happens meanwhile. It is written whole beside its
 * place, synced and renamed.
 */
export function replaceFile(disk: Disk, folder: string, name: string, bytes: Uint8Array): void {
  const temporary = `${folder}/${name}.new`;
  if (disk.exists(temporary)) disk.remove(temporary);
  const file = disk.open(temporary, "create");
  try {
    writeFully(file, bytes, 0);
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(temporary, `${folder}/${name}`);
  disk.syncFolder(folder);
}

/** The bytes of a file that is part of the program: inside the executable, or beside the source. */
export function readEmbedded(path: string): Uint8Array {
  return fs.readFileSync(path);
}
