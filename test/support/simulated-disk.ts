/**
 * A disk in memory that loses what a real one may lose: `Disk` for tests, driven by a seed.
 *
 * It keeps two pictures. The page cache is what reads and writes see. The platter is what a power loss
 * leaves: bytes get there by a sync, directory entries by `syncFolder`. What has not been synced is decided
 * at `crash()`, sector by sector and entry by entry:
 *
 * - a sector that never held synced bytes comes out as written, as before, as zeros or as garbage;
 * - a sector that held synced bytes comes out as one of the contents it had since then, never mixed;
 * - a size comes out old, new, between, or longer with zeros;
 * - creates, renames and removes are lost or kept, a lost one taking with it those that need it.
 *
 * `kill()` ends the process alone: the page cache stays, and a later crash may still lose it. A process sees
 * the disk through `boot()`; after `kill()` or `crash()` that view fails every call, so that a store which
 * was abandoned cannot write into its successor's files. Offsets and sizes are bytes.
 */
import { DIRECT_BLOCK_BYTES, type Disk, type DiskFile } from "../../server/disk.ts";
import type { Random } from "./random.ts";
import { crashMood, Folder, Inode } from "./simulated-files.ts";

export type CallKind =
  | "open"
  | "create"
  | "read"
  | "write"
  | "sync"
  | "size"
  | "truncate"
  | "close"
  | "makeFolder"
  | "list"
  | "exists"
  | "rename"
  | "remove"
  | "syncFolder"
  | "freeBytes"
  | "lock";

/** A call that fails. */
export interface Fault {
  /** Every kind when left out. */
  readonly kind?: CallKind;
  /** As node:fs gives it: EIO, ENOSPC … */
  readonly code: string;
  /** Paths that contain this; every path when left out. */
  readonly path?: string;
  /** Calls of this kind that still succeed first. */
  readonly skip?: number;
  /** Calls that fail then; `Number.POSITIVE_INFINITY` for good. */
  readonly times?: number;
}

export interface SimulatedDiskOptions {
  readonly random: Random;
  /** Share of writes that take only a part, 0 to 1. */
  readonly shortWrites?: number;
  /** Bytes that all files together may have; beyond it writes fail with ENOSPC. */
  readonly capacityBytes?: number;
  /** Whether the file system has direct writes: durable when they return, in whole blocks. Else `openDirect` is null. */
  readonly directWrites?: boolean;
  /** Whether files can be read in a thread. */
  readonly readThread?: boolean;
}

/** A write as the disk took it, for tests that look for a frame's place. */
export type WriteObserver = (path: string, offset: number, bytes: Uint8Array) => void;

/** Hears of each call before its effect: it may still let the call fail or end the process. */
export type CallObserver = (kind: CallKind, path: string) => void;

/** How much of its effect the call has in which the process ends. */
export type EndEffect = "none" | "some" | "all";

/** The process is gone: thrown by the call in which it ended, and by every later call of its view. */
export class CrashSignal extends Error {
  override name = "CrashSignal";
  readonly code = "EIO";
}

export class SimulatedDisk {
  /** Calls so far, by kind; `syncInThread` counts as a sync. */
  readonly calls: Record<CallKind, number> = {
    open: 0,
    create: 0,
    read: 0,
    write: 0,
    sync: 0,
    size: 0,
    truncate: 0,
    close: 0,
    makeFolder: 0,
    list: 0,
    exists: 0,
    rename: 0,
    remove: 0,
    syncFolder: 0,
    freeBytes: 0,
    lock: 0,
  };
  /** True: `syncInThread` completes at `releaseSyncs`; false: in a later turn by itself. */
  holdSyncs = false;
  /** The same for `readInThread` and `releaseReads`. */
  holdReads = false;
  shortWrites: number;
  capacityBytes: number;
  onWrite: WriteObserver | null = null;
  onCall: CallObserver | null = null;

  private readonly random: Random;
  private readonly directWrites: boolean;
  private readonly readThread: boolean;
  private root = new Folder();
  private boots: Boot[] = [];
  private locked = new Map<string, Boot>();
  private faults: { fault: Fault; skip: number; times: number }[] = [];
  private heldSyncs: PendingSync[] = [];
  private heldReads: (() => void)[] = [];
  private callsUntilEnd = 0;
  private endsBy: "kill" | "crash" = "crash";
  private endEffect: EndEffect = "some";
  /** While the call in which the process ends has its effect. */
  private isEnding = false;

  constructor(options: SimulatedDiskOptions) {
    this.random = options.random;
    this.directWrites = options.directWrites ?? false;
    this.readThread = options.readThread ?? false;
    this.shortWrites = options.shortWrites ?? 0;
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
  }

  /** A disk that holds these files, all synced. */
  static fromImage(
    image: ReadonlyMap<string, Uint8Array>,
    options: SimulatedDiskOptions,
  ): SimulatedDisk {
    const disk = new SimulatedDisk(options);
    for (const [path, bytes] of image) {
      const folder = disk.makeFolders(parentOf(path));
      const inode = new Inode();
      inode.write(bytes, 0);
      inode.sync();
      folder.entries.set(nameOf(path), inode);
    }
    disk.root.syncTree();
    return disk;
  }

  /** A disk that holds what this one holds right after a crash, and goes on by itself. */
  copyAfterCrash(options: SimulatedDiskOptions): SimulatedDisk {
    const copy = new SimulatedDisk(options);
    copy.root = this.root.copyAfterCrash();
    return copy;
  }

  /** The disk as one run of the process sees it. */
  boot(): Disk {
    const boot = new Boot();
    this.boots.push(boot);
    return this.view(boot);
  }

  /** True once the last `boot()` was ended, by the test or by `endAtCall`. */
  get ended(): boolean {
    return this.boots.every((boot) => boot.dead);
  }

  /** Calls of all kinds so far. */
  get callCount(): number {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0);
  }

  /** Syncs that wait for `releaseSyncs`. */
  get heldSyncCount(): number {
    return this.heldSyncs.length;
  }

  /** Ends the process and keeps the page cache, as kill -9 does. Locks vanish. */
  kill(): void {
    this.endProcess();
    for (const pending of this.heldSyncs) if (this.random.chance(0.5)) pending.apply();
    this.heldSyncs = [];
    // Pages that a failed sync left clean may be read from the platter again at any time.
    this.root.eachInode((inode) => inode.evict(this.random));
  }

  /** Cuts the power: what was not synced is lost, kept or damaged, as the file's head says. */
  crash(): void {
    this.endProcess();
    this.heldSyncs = [];
    const mood = crashMood(this.random);
    this.root.crash(this.random, mood);
    this.root.eachInode((inode) => inode.crash(this.random, mood));
  }

  /** The n-th call from now ends the process from inside, its own effect whole, partial or none. 0: never. */
  endAtCall(n: number, by: "kill" | "crash", effect: EndEffect = "some"): void {
    this.callsUntilEnd = n;
    this.endsBy = by;
    this.endEffect = effect;
  }

  /** Lets calls fail as told, besides the faults told before, until `heal` or the end of the process. */
  fail(fault: Fault): void {
    this.faults.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 });
  }

  /** Forgets all faults. */
  heal(): void {
    this.faults = [];
  }

  /** Completes the held syncs, in order. */
  releaseSyncs(): void {
    const syncs = this.heldSyncs;
    this.heldSyncs = [];
    for (const sync of syncs) sync.complete();
  }

  /** Reads in threads that wait for `releaseReads`. */
  get heldReadCount(): number {
    return this.heldReads.length;
  }

  /** Completes the held reads, in order. */
  releaseReads(): void {
    const reads = this.heldReads;
    this.heldReads = [];
    for (const complete of reads) complete();
  }

  /** Every file as a process would read it now. */
  image(): Map<string, Uint8Array> {
    const image = new Map<string, Uint8Array>();
    this.root.eachInode((inode, path) => image.set(path, inode.content()), "");
    return image;
  }

  /** Turns a bit over as a decaying disk does: in the page cache and on the platter. Bit 0 is the lowest of byte 0. */
  flipBit(path: string, bit: number): void {
    this.inode(path).flipBit(bit);
  }

  private view(boot: Boot): Disk {
    const call = <T>(kind: CallKind, path: string, effect: () => T): T =>
      this.call(boot, kind, path, effect);
    return {
      open: (path, mode) => {
        if (mode === "create") {
          return call("create", path, () => this.file(boot, path, this.create(path)));
        }
        return call("open", path, () => this.file(boot, path, this.inode(path)));
      },
      openDirect: (path) =>
        this.directWrites
          ? call("open", path, () => this.directFile(boot, path, this.inode(path)))
          : null,
      makeFolder: (path) => call("makeFolder", path, () => void this.makeFolders(path)),
      list: (path) => call("list", path, () => [...this.folder(path).entries.keys()].sort(byBytes)),
      exists: (path) => call("exists", path, () => this.find(path) !== undefined),
      rename: (from, to) => call("rename", from, () => this.rename(from, to)),
      remove: (path) => call("remove", path, () => this.remove(path)),
      syncFolder: (path) => call("syncFolder", path, () => this.folder(path).sync()),
      syncFolderInThread: (path, done) => {
        setImmediate(() => {
          let failure: Error | null = null;
          try {
            call("syncFolder", path, () => this.folder(path).sync());
          } catch (error) {
            failure = error as Error;
          }
          if (boot.dead) return; // nobody is left to be told
          try {
            done(failure);
          } catch (error) {
            if (!boot.dead) throw error; // an end inside ends this turn too
          }
        });
      },
      freeBytes: (path) =>
        call("freeBytes", path, () => Math.max(0, this.capacityBytes - this.usedBytes())),
      lock: (path) => call("lock", path, () => this.lock(boot, path)),
    };
  }

  private file(boot: Boot, path: string, inode: Inode): DiskFile {
    const call = <T>(kind: CallKind, effect: () => T): T => this.call(boot, kind, path, effect);
    return {
      path,
      read: (target, offset) => call("read", () => inode.read(target, offset)),
      ...(this.readThread && {
        readInThread: (target: Uint8Array, offset: number, done: () => void) => {
          inode.read(target, offset);
          if (this.holdReads) this.heldReads.push(done);
          else setImmediate(done);
        },
      }),
      write: (source, offset) => this.write(boot, path, inode, source, offset),
      sync: () =>
        this.call(
          boot,
          "sync",
          path,
          () => inode.sync(),
          () => inode.failSync(this.random),
        ),
      syncInThread: (done) => this.syncInThread(boot, path, inode, done),
      size: () => call("size", () => inode.size),
      truncate: (size) => call("truncate", () => inode.truncate(size)),
      close: () => {
        if (boot.dead) return;
        try {
          call("close", () => undefined);
        } catch (error) {
          if (boot.dead) throw error; // it ended here; a close that fails says nothing
        }
      },
    };
  }

  /** A file whose writes are durable when they return: what they carry, and nothing else of the file. */
  private directFile(boot: Boot, path: string, inode: Inode): DiskFile {
    const file = this.file(boot, path, inode);
    return {
      ...file,
      write: (source, offset) => {
        for (const number of [source.byteOffset, source.length, offset]) {
          if (number % DIRECT_BLOCK_BYTES !== 0) throw systemError("EINVAL", "write", path);
        }
        const count = file.write(source, offset);
        inode.sync(offset, offset + count);
        return count;
      },
    };
  }

  /** Counts a call, and lets it fail (with the effect of a failure) or end the process where the test said so. */
  private call<T>(
    boot: Boot,
    kind: CallKind,
    path: string,
    effect: () => T,
    failed?: () => void,
  ): T {
    if (boot.dead) throw new CrashSignal(`${path}: the process of this view has ended`);
    this.calls[kind]++;
    this.onCall?.(kind, path);
    if (this.callsUntilEnd > 0 && --this.callsUntilEnd === 0) {
      this.isEnding = true;
      try {
        if (this.endEffect === "all" || (this.endEffect === "some" && this.random.chance(0.5))) {
          effect();
        }
      } finally {
        this.end();
      }
      throw new CrashSignal(`${path}: the process ended in this ${kind}`);
    }
    const fault = this.takeFault(kind, path);
    if (fault !== null) {
      failed?.();
      throw systemError(fault.code, kind, path);
    }
    return effect();
  }

  private write(
    boot: Boot,
    path: string,
    inode: Inode,
    source: Uint8Array,
    offset: number,
  ): number {
    const take = (length: number): number => {
      const bytes = source.subarray(0, length);
      inode.write(bytes, offset);
      this.onWrite?.(path, offset, bytes);
      return length;
    };
    const some = () => this.random.below(source.length + 1);
    return this.call(
      boot,
      "write",
      path,
      () =>
        take(
          this.isEnding && this.endEffect === "some"
            ? some()
            : this.roomFor(path, inode, source.length, offset),
        ),
      () => take(some()), // a write that failed may have reached the page cache in part
    );
  }

  /** How much of a write the disk takes: all, or a part at random or for want of room. */
  private roomFor(path: string, inode: Inode, length: number, offset: number): number {
    let taken = length;
    if (length > 1 && this.random.chance(this.shortWrites))
      taken = this.random.between(1, length - 1);
    const growth = offset + taken - inode.size;
    const room =
      this.capacityBytes === Number.MAX_SAFE_INTEGER
        ? growth
        : this.capacityBytes - this.usedBytes();
    if (growth > 0 && growth > room) taken -= growth - Math.max(0, room);
    if (taken <= 0 && length > 0) throw systemError("ENOSPC", "write", path);
    return taken;
  }

  private syncInThread(
    boot: Boot,
    path: string,
    inode: Inode,
    done: (error: Error | null) => void,
  ): void {
    let failure: Error | null = null;
    let apply = () => inode.failSync(this.random);
    try {
      this.call(boot, "sync", path, () => {
        apply = inode.beginSync();
      });
    } catch (error) {
      if (boot.dead) return; // nobody is left to be told
      failure = error as Error;
    }
    const complete = () => {
      if (boot.dead) return;
      apply();
      try {
        done(failure);
      } catch (error) {
        if (!boot.dead) throw error; // an end inside ends this turn too
      }
    };
    if (this.holdSyncs) {
      this.heldSyncs.push({ apply, complete });
    } else {
      setImmediate(complete);
    }
  }

  private takeFault(kind: CallKind, path: string): Fault | null {
    for (const entry of this.faults) {
      const { fault } = entry;
      if ((fault.kind ?? kind) !== kind || !path.includes(fault.path ?? "") || entry.times === 0)
        continue;
      if (entry.skip > 0) {
        entry.skip--;
        continue;
      }
      entry.times--;
      return fault;
    }
    return null;
  }

  private end(): void {
    if (this.endsBy === "kill") this.kill();
    else this.crash();
  }

  private endProcess(): void {
    for (const boot of this.boots) boot.dead = true;
    this.boots = [];
    this.locked.clear();
    this.faults = [];
    this.callsUntilEnd = 0;
    this.isEnding = false;
  }

  private lock(boot: Boot, path: string): (() => void) | null {
    if (this.locked.has(path)) return null;
    if (this.find(path) === undefined) this.create(path);
    this.locked.set(path, boot);
    return () => {
      if (this.locked.get(path) === boot) this.locked.delete(path);
    };
  }

  private create(path: string): Inode {
    const folder = this.folder(parentOf(path));
    if (folder.entries.has(nameOf(path))) throw systemError("EEXIST", "open", path);
    const inode = new Inode();
    folder.put(nameOf(path), inode);
    return inode;
  }

  private rename(from: string, to: string): void {
    const folder = this.folder(parentOf(from));
    if (parentOf(to) !== parentOf(from)) throw systemError("EXDEV", "rename", from);
    if (!folder.entries.has(nameOf(from))) throw systemError("ENOENT", "rename", from);
    folder.rename(nameOf(from), nameOf(to));
  }

  private remove(path: string): void {
    this.inode(path);
    this.folder(parentOf(path)).remove(nameOf(path));
  }

  private makeFolders(path: string): Folder {
    let folder = this.root;
    for (const name of parts(path)) {
      let node = folder.entries.get(name);
      if (node === undefined) {
        node = new Folder();
        folder.put(name, node);
      }
      if (!(node instanceof Folder)) throw systemError("ENOTDIR", "mkdir", path);
      folder = node;
    }
    return folder;
  }

  private find(path: string): Inode | Folder | undefined {
    let node: Inode | Folder | undefined = this.root;
    for (const name of parts(path)) {
      node = node instanceof Folder ? node.entries.get(name) : undefined;
    }
    return node;
  }

  private inode(path: string): Inode {
    const node = this.find(path);
    if (node === undefined) throw systemError("ENOENT", "open", path);
    if (node instanceof Folder) throw systemError("EISDIR", "open", path);
    return node;
  }

  private folder(path: string): Folder {
    const node = this.find(path);
    if (node === undefined) throw systemError("ENOENT", "open", path);
    if (!(node instanceof Folder)) throw systemError("ENOTDIR", "open", path);
    return node;
  }

  private usedBytes(): number {
    let used = 0;
    this.root.eachInode((inode) => {
      used += inode.size;
    });
    return used;
  }
}

/** One run of the process. */
class Boot {
  dead = false;
}

interface PendingSync {
  /** What the disk does. */
  readonly apply: () => void;
  /** The same, and the caller learns of it. */
  readonly complete: () => void;
}

function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${call} '${path}'`), { code, path });
}

function parts(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function parentOf(path: string): string {
  return `/${parts(path).slice(0, -1).join("/")}`;
}

function nameOf(path: string): string {
  return parts(path).at(-1) ?? "";
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
