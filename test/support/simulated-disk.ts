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

/** What a disk writes whole or not at all, once it held synced bytes. */
export const SECTOR_BYTES = 512;
/** A file that grew unsynced may come out longer than it ever was, up to a multiple of this. */
const PAGE_BYTES = 4096;
/** Contents of a sector between two syncs that a crash may choose from; older ones are forgotten. */
const SECTOR_VERSIONS_MAX = 4;

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
  readonly kind: CallKind;
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
}

/** A write as the disk took it, for tests that look for a frame's place. */
export type WriteObserver = (path: string, offset: number, bytes: Uint8Array) => void;

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
  shortWrites: number;
  capacityBytes: number;
  onWrite: WriteObserver | null = null;

  private readonly random: Random;
  private readonly directWrites: boolean;
  private root = new Folder();
  private boots: Boot[] = [];
  private locked = new Map<string, Boot>();
  private faults: { fault: Fault; skip: number; times: number }[] = [];
  private heldSyncs: PendingSync[] = [];
  private callsUntilEnd = 0;
  private endsBy: "kill" | "crash" = "crash";

  constructor(options: SimulatedDiskOptions) {
    this.random = options.random;
    this.directWrites = options.directWrites ?? false;
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
  endAtCall(n: number, by: "kill" | "crash"): void {
    this.callsUntilEnd = n;
    this.endsBy = by;
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
        if (!boot.dead) call("close", () => undefined);
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
    if (this.callsUntilEnd > 0 && --this.callsUntilEnd === 0) {
      if (this.random.chance(0.5)) effect();
      this.end();
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
    const ends = this.callsUntilEnd === 1;
    return this.call(
      boot,
      "write",
      path,
      () => take(ends ? some() : this.roomFor(path, inode, source.length, offset)),
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
      if (fault.kind !== kind || !path.includes(fault.path ?? "") || entry.times === 0) continue;
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

/** How likely each fate of an unsynced sector or entry is, in one crash. */
interface CrashMood {
  readonly keep: number;
  readonly drop: number;
  readonly zero: number;
  readonly garble: number;
  /** Directory entries: true loses the newest only, in order; false loses any. */
  readonly entriesInOrder: boolean;
}

/** Pure and mixed crashes alike: a frame of many sectors would never survive an even mix. */
function crashMood(random: Random): CrashMood {
  const entriesInOrder = random.chance(0.5);
  const mood = { keep: 0, drop: 0, zero: 0, garble: 0, entriesInOrder };
  const kind = random.weighted({ keep: 2, drop: 2, zero: 1, garble: 1, mixed: 4, mostlyKeep: 4 });
  if (kind === "mixed") return { keep: 3, drop: 3, zero: 1, garble: 1, entriesInOrder };
  if (kind === "mostlyKeep") return { keep: 12, drop: 1, zero: 1, garble: 1, entriesInOrder };
  return { ...mood, [kind]: 1 };
}

/** A file's bytes, in the page cache and on the platter. */
class Inode {
  size = 0;
  private bytes = new Uint8Array(0);
  private platter = new Uint8Array(0);
  private platterSize = 0;
  private syncsBegun = 0;
  private syncsApplied = 0;
  /** Sectors written since the last sync, with the contents that were written over since then, oldest first. */
  private dirty = new Map<number, Uint8Array[]>();
  /** Sectors that a failed sync left clean though the platter differs. No later sync writes them. */
  private phantom = new Set<number>();
  /** Sectors that hold, or held, synced bytes. */
  private synced = new Set<number>();

  content(): Uint8Array {
    return this.bytes.slice(0, this.size);
  }

  read(target: Uint8Array, offset: number): number {
    const part = this.bytes.subarray(offset, Math.min(this.size, offset + target.length));
    target.set(part);
    return part.length;
  }

  write(source: Uint8Array, offset: number): void {
    if (source.length === 0) return;
    const end = offset + source.length;
    this.reserve(end);
    // A gap between the old end and the write is new too: zeros that are not on the platter yet.
    for (const sector of sectorsOf(Math.min(offset, this.size), end)) this.touch(sector);
    this.bytes.set(source, offset);
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    this.reserve(size);
    if (size > this.size) {
      for (const sector of sectorsOf(this.size, size)) this.touch(sector);
    } else if (size < this.size) {
      const firstLost = Math.ceil(size / SECTOR_BYTES);
      if (size % SECTOR_BYTES !== 0) this.touch(firstLost - 1);
      this.bytes.fill(0, size, this.size);
      // Grown again, these are other blocks of the disk: they have held nothing.
      for (const sectors of [this.dirty, this.phantom, this.synced]) {
        for (const sector of sectors.keys()) if (sector >= firstLost) sectors.delete(sector);
      }
    }
    this.size = size;
  }

  sync(from = 0, to = Number.POSITIVE_INFINITY): void {
    this.beginSync(from, to)();
  }

  /** Notes what a sync of these bytes that starts now covers; the function returned puts it on the platter. */
  beginSync(from = 0, to = Number.POSITIVE_INFINITY): () => void {
    const size = this.size;
    const serial = ++this.syncsBegun;
    const sectors = [...this.dirty.keys()].filter(
      (sector) => sector * SECTOR_BYTES < to && (sector + 1) * SECTOR_BYTES > from,
    );
    const covered = sectors.map((sector) => {
      return { sector, content: this.sector(this.bytes, sector), versions: this.dirty.get(sector) };
    });
    return () => {
      if (serial < this.syncsApplied) return; // a later one has put newer bytes there
      this.syncsApplied = serial;
      for (const { sector, content, versions } of covered) {
        this.platter.set(content, sector * SECTOR_BYTES);
        // Cut off meanwhile: what lies there now is other bytes, not synced.
        if (versions === undefined || this.dirty.get(sector) !== versions) continue;
        this.synced.add(sector);
        const since = versions.findIndex((version) => Buffer.compare(version, content) === 0);
        if (Buffer.compare(this.sector(this.bytes, sector), content) === 0)
          this.dirty.delete(sector);
        else versions.splice(0, since + 1);
      }
      if (size < this.platterSize) this.platter.fill(0, size, this.platterSize);
      this.platterSize = size;
    };
  }

  /** A sync that failed: some sectors were written, and all count as clean from now on. */
  failSync(random: Random): void {
    const mood = crashMood(random);
    for (const sector of this.dirty.keys()) {
      this.platter.set(this.fate(sector, random, mood), sector * SECTOR_BYTES);
      this.phantom.add(sector);
    }
    this.dirty.clear();
  }

  /** The page cache drops clean pages: what a failed sync lost shows. */
  evict(random: Random): void {
    for (const sector of this.phantom) {
      if (random.chance(0.5)) continue;
      this.bytes.set(this.sector(this.platter, sector), sector * SECTOR_BYTES);
      this.bytes.fill(0, this.size);
      this.phantom.delete(sector);
    }
  }

  crash(random: Random, mood: CrashMood): void {
    const size = this.sizeAfterCrash(random, mood);
    this.reserve(size);
    for (const sector of this.dirty.keys()) {
      this.platter.set(this.fate(sector, random, mood), sector * SECTOR_BYTES);
    }
    this.platter.fill(0, size);
    this.platterSize = size;
    this.bytes.set(this.platter);
    this.size = size;
    this.dirty.clear();
    this.phantom.clear();
    for (const sector of this.synced) if (sector * SECTOR_BYTES >= size) this.synced.delete(sector);
  }

  flipBit(bit: number): void {
    const index = bit >>> 3;
    if (index >= this.size) throw new Error(`bit ${bit} is beyond the end`);
    this.bytes[index] = (this.bytes[index] ?? 0) ^ (1 << (bit & 7));
    this.platter[index] = (this.platter[index] ?? 0) ^ (1 << (bit & 7));
  }

  /** Marks a sector dirty before it changes, keeping the content it had. */
  private touch(sector: number): void {
    const versions = this.dirty.get(sector);
    this.phantom.delete(sector);
    if (versions === undefined) {
      this.dirty.set(sector, []);
      return;
    }
    versions.push(this.sector(this.bytes, sector));
    if (versions.length > SECTOR_VERSIONS_MAX) versions.shift();
  }

  /** What the platter holds of a dirty sector after the power was cut. */
  private fate(sector: number, random: Random, mood: CrashMood): Uint8Array {
    const written = this.sector(this.bytes, sector);
    const { keep, drop, zero, garble } = mood;
    const wasSynced = this.synced.has(sector);
    const fate = random.weighted({ keep, drop, zero, garble });
    if (fate === "drop" || (wasSynced && fate === "zero")) return this.sector(this.platter, sector);
    if (fate === "garble" && !wasSynced) return garbled(written, random);
    if (fate === "zero") return new Uint8Array(SECTOR_BYTES);
    // The system may have written any version back by itself, and then no more.
    const versions = this.dirty.get(sector) ?? [];
    return random.chance(0.25) && versions.length > 0 ? random.pick(versions) : written;
  }

  private sizeAfterCrash(random: Random, mood: CrashMood): number {
    if (this.size === this.platterSize) return this.size;
    if (mood.drop === 0 && mood.zero === 0 && mood.garble === 0) return this.size;
    const smaller = Math.min(this.size, this.platterSize);
    const larger = Math.max(this.size, this.platterSize);
    const fate = random.weighted({ old: 2, new: 3, between: 2, longer: 1 });
    if (fate === "old") return this.platterSize;
    if (fate === "new") return this.size;
    if (fate === "between") return random.between(smaller, larger);
    return Math.ceil((larger + 1) / PAGE_BYTES) * PAGE_BYTES;
  }

  private sector(source: Uint8Array, sector: number): Uint8Array {
    const content = new Uint8Array(SECTOR_BYTES);
    content.set(source.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
    return content;
  }

  /** Makes both pictures hold `size` bytes and whole sectors; beyond the sizes they are zeros. */
  private reserve(size: number): void {
    if (size <= this.bytes.length) return;
    const grown = Math.ceil(Math.max(size, this.bytes.length * 2) / PAGE_BYTES) * PAGE_BYTES;
    const bytes = new Uint8Array(grown);
    bytes.set(this.bytes);
    this.bytes = bytes;
    const platter = new Uint8Array(grown);
    platter.set(this.platter);
    this.platter = platter;
  }
}

/** A change of a folder's entries that is not synced. */
interface EntryChange {
  readonly names: readonly string[];
  readonly apply: (entries: Map<string, Inode | Folder>) => void;
}

class Folder {
  entries = new Map<string, Inode | Folder>();
  private platter = new Map<string, Inode | Folder>();
  private changes: EntryChange[] = [];

  put(name: string, node: Inode | Folder): void {
    this.change([name], (entries) => entries.set(name, node));
  }

  remove(name: string): void {
    this.change([name], (entries) => entries.delete(name));
  }

  rename(from: string, to: string): void {
    const node = this.entries.get(from);
    if (node === undefined || from === to) return;
    this.change([from, to], (entries) => {
      entries.delete(from);
      entries.set(to, node);
    });
  }

  sync(): void {
    this.platter = new Map(this.entries);
    this.changes = [];
  }

  syncTree(): void {
    this.sync();
    for (const node of this.entries.values()) if (node instanceof Folder) node.syncTree();
  }

  crash(random: Random, mood: CrashMood): void {
    const { keep, drop } = mood;
    const share = keep + drop === 0 ? 0.5 : keep / (keep + drop);
    const lost = new Set<string>();
    let lostOne = false;
    for (const change of this.changes) {
      // A change is impossible without an earlier one of the same name.
      const needsLost = change.names.some((name) => lost.has(name));
      if (needsLost || (lostOne && mood.entriesInOrder) || !random.chance(share)) {
        for (const name of change.names) lost.add(name);
        lostOne = true;
      } else {
        change.apply(this.platter);
      }
    }
    this.changes = [];
    this.entries = new Map(this.platter);
    for (const node of this.entries.values()) if (node instanceof Folder) node.crash(random, mood);
  }

  eachInode(visit: (inode: Inode, path: string) => void, path = ""): void {
    for (const [name, node] of this.entries) {
      if (node instanceof Folder) node.eachInode(visit, `${path}/${name}`);
      else visit(node, `${path}/${name}`);
    }
  }

  private change(names: string[], apply: (entries: Map<string, Inode | Folder>) => void): void {
    apply(this.entries);
    this.changes.push({ names, apply });
  }
}

function garbled(written: Uint8Array, random: Random): Uint8Array {
  const kind = random.weighted({ noise: 1, half: 1, bit: 1 });
  if (kind === "noise") return random.bytes(written.length);
  const content = written.slice();
  if (kind === "half") random.fill(content.subarray(random.below(content.length)));
  else content[random.below(content.length)] = random.below(256);
  return content;
}

function* sectorsOf(start: number, end: number): Generator<number> {
  const last = Math.ceil(end / SECTOR_BYTES);
  for (let sector = Math.floor(start / SECTOR_BYTES); sector < last; sector++) yield sector;
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
