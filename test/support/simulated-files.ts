/**
 * Files and folders of the simulated disk: what the page cache shows of them, what the platter holds, and what a
 * crash makes of the difference. `simulated-disk.ts` says by which rules.
 */
import type { Random } from "./random.ts";

/** What a disk writes whole or not at all, once it held synced bytes. */
export const SECTOR_BYTES = 512;
/** A file that grew unsynced may come out longer than it ever was, up to a multiple of this. */
const PAGE_BYTES = 4096;
/** Contents of a sector between two syncs that a crash may choose from; older ones are forgotten. */
const SECTOR_VERSIONS_MAX = 4;

/** How likely each fate of an unsynced sector or entry is, in one crash. */
export interface CrashMood {
  readonly keep: number;
  readonly drop: number;
  readonly zero: number;
  readonly garble: number;
  /** Directory entries: true loses the newest only, in order; false loses any. */
  readonly entriesInOrder: boolean;
}

/** Pure and mixed crashes alike: a frame of many sectors would never survive an even mix. */
export function crashMood(random: Random): CrashMood {
  const entriesInOrder = random.chance(0.5);
  const mood = { keep: 0, drop: 0, zero: 0, garble: 0, entriesInOrder };
  const kind = random.weighted({ keep: 2, drop: 2, zero: 1, garble: 1, mixed: 4, mostlyKeep: 4 });
  if (kind === "mixed") return { keep: 3, drop: 3, zero: 1, garble: 1, entriesInOrder };
  if (kind === "mostlyKeep") return { keep: 12, drop: 1, zero: 1, garble: 1, entriesInOrder };
  return { ...mood, [kind]: 1 };
}

/** A file's bytes, in the page cache and on the platter. */
export class Inode {
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

  /** The same bytes, right after a crash: nothing waits to be synced. */
  copyAfterCrash(): Inode {
    const copy = new Inode();
    copy.size = this.size;
    copy.bytes = this.bytes.slice();
    copy.platter = this.platter.slice();
    copy.platterSize = this.platterSize;
    copy.synced = new Set(this.synced);
    return copy;
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

export class Folder {
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

  /** The same tree, right after a crash. */
  copyAfterCrash(): Folder {
    if (this.changes.length > 0) throw new Error("a folder is not as a crash leaves it");
    const copy = new Folder();
    for (const [name, node] of this.entries) copy.entries.set(name, node.copyAfterCrash());
    copy.sync();
    return copy;
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
