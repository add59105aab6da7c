/**
 * The open runs: their files, and the pages that the core asks for.
 *
 * At a start the folder's files are chosen so that they follow one another from position 0 on, the longest first
 * where several begin alike, since a merge that a crash cut off leaves both what it read and what it wrote. A run
 * that is damaged, another store's, or does not match the log ends the row: what follows is removed, and made again
 * from the log.
 */
import { assert } from "../assert.ts";
import { type Core, PAGE_BYTES, type PageSource } from "../core/core.ts";
import { KIND_EVENTS } from "../core/status.ts";
import { type Disk, type DiskFile, readFully } from "../disk.ts";
import { OpenError, StoreError } from "../errors.ts";
import { RUNS_MAX } from "../limits.ts";
import type { Tell } from "../stderr-log.ts";
import type { IndexMemory } from "./index-memory.ts";
import { decodeRunHeader, parseRunName, RUN_NEW_SUFFIX, type RunHeader } from "./run-file.ts";

/** Which filters a run keeps in memory; core-wasm/assembly/runs.ts names the same bits. */
const WANTS_ID_FILTER = 1;
const WANTS_HEAD_FILTER = 2;
/** Bytes of a block of a filter, and of a fence. */
const FILTER_BLOCK_BYTES = 64;
const FENCE_BYTES = 4;
/** Pages that are checked at a time. */
const CHECKED_PAGES = 256;
/** A frame's head, of which a run knows where its last one lies. */
const FRAME_HEAD_BYTES = 36;
const FRAME_KIND_OFFSET = 4;
const FRAME_COUNT_OFFSET = 6;
const FRAME_POSITION_OFFSET = 8;
const FRAME_RECORDED_AT_OFFSET = 14;
const FRAME_CRC_OFFSET = 32;
const U48_BYTES = 6;

/** What the core's `runFollows` finds wrong, by its number. */
const MISFITS = ["", "partitions", "times"];

/** A run whose file is open. */
export interface OpenRun {
  readonly name: string;
  readonly header: RunHeader;
  readonly bytes: number;
  /** Of these, what its fences and the filters that it keeps take of memory. */
  readonly tableBytes: number;
  readonly handle: number;
  /** Where the core has it. */
  readonly address: number;
}

/** What becomes of a run that is unfit: it is removed, and made again from the log; or the store is not opened. */
export type Unfit = "remove" | "refuse";

export interface RunSetOptions {
  readonly disk: Disk;
  readonly core: Core;
  /** The folder `index`. */
  readonly folder: string;
  readonly storeId: Uint8Array;
  readonly unfit: Unfit;
  /** How much of it filters and fences may take, above which the largest runs' are not kept, and pages beside them. */
  readonly memory: IndexMemory;
  /** Reads bytes of the log at an offset; returns how many there were. */
  readonly readLog: (offset: number, target: Uint8Array) => number;
  /** Takes one line for whoever runs the server. */
  readonly log: Tell;
}

/** How far heads of streams were offered: those of positions below `before` are left, of its run from a page on. */
export interface HeadsOffered {
  readonly before: number;
  readonly run: OpenRun | null;
  readonly page: number;
}

export class RunSet implements PageSource {
  /** Oldest first. */
  readonly runs: OpenRun[] = [];
  private readonly options: RunSetOptions;
  private readonly files = new Map<number, { readonly name: string; readonly file: DiskFile }>();
  private nextHandle = 1;
  private readonly damaged = new Set<string>();
  /** During a start a damaged page makes the run unfit, and nobody was told anything of it yet. */
  private isStarting = true;

  constructor(options: RunSetOptions) {
    this.options = options;
    options.core.pages = this;
  }

  /** Bytes of the runs' files. */
  get bytes(): number {
    return this.runs.reduce((sum, run) => sum + run.bytes, 0);
  }

  // ── a start ─────────────────────────────────────────────────────────────────────────────────────

  /** Opens the folder's runs as far as they are fit, and removes what is not used. False where some are not. */
  openAll(): boolean {
    const isWhole = !this.options.disk.exists(this.options.folder) || this.openFolder();
    this.isStarting = false;
    return isWhole;
  }

  private openFolder(): boolean {
    const { disk, core, folder, unfit } = this.options;
    const names = disk.list(folder);
    const unused = new Set(
      names.filter((name) => parseRunName(name.replace(RUN_NEW_SUFFIX, "")) !== null),
    );
    const wanted = this.wantedFilters(longestOf([...unused]));
    let isUnfit = false;
    let isCut = false;
    for (let end = 0; ; ) {
      const candidates = beginningAt([...unused], end);
      let run: OpenRun | null = null;
      for (const name of candidates) {
        run = this.openAtStart(name, wanted.get(name) ?? 0);
        if (run !== null) break;
        isUnfit = true;
      }
      if (run === null) break;
      this.use(this.runs.length, 0, run);
      core.exports.runResume(run.address);
      unused.delete(run.name);
      end = run.header.to;
    }
    const end = core.exports.runsEnd();
    for (const name of unused) {
      const covers = parseRunName(name);
      if (covers !== null && covers.to > end && !isUnfit) {
        this.options.log(`index: ${folder}/${name} is not used: no run leads up to it`, "warn");
        isCut = true;
      }
    }
    if (unused.size > 0 && unfit === "remove") this.removeUnused(unused);
    return !isUnfit && !isCut;
  }

  /** Removes what a start does not use. What cannot be removed is not used by the next one either. */
  private removeUnused(names: Iterable<string>): void {
    const { disk, folder, log } = this.options;
    try {
      for (const name of names) disk.remove(`${folder}/${name}`);
      disk.syncFolder(folder);
    } catch (error) {
      log(`index: a file that is not used cannot be removed: ${(error as Error).message}`, "error");
    }
  }

  private openAtStart(name: string, wants: number): OpenRun | null {
    const { folder, unfit, log } = this.options;
    try {
      const run = this.open(name, wants);
      try {
        this.checkEnd(run.header);
        while (!this.load(run));
        // What a start takes over: a damaged page must be met before any of it is used.
        const { partitions, partitionPlaces, times, idFilter } = run.header.parts;
        this.checkPages(run, partitions.firstPage, partitionPlaces.firstPage);
        this.checkPages(run, times.firstPage, idFilter.firstPage);
        const misfit = MISFITS[this.options.core.exports.runFollows(run.address)];
        if (misfit !== "") throw new Error(`its ${misfit} do not go on from the runs before it`);
        return run;
      } catch (error) {
        this.abandon(run);
        throw error;
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name === "CoreTrap") throw error;
      if (unfit === "refuse") throw unfitRun(folder, name, error.message);
      log(`index: ${folder}/${name} is made again from the log: ${error.message}`, "warn");
      return null;
    }
  }

  /** Throws where the log's frame at the run's end is not the one that the run was made of. */
  private checkEnd({ endOffset, crc, span, to, recordedAt }: RunHeader): void {
    const { core, readLog } = this.options;
    const address = core.allocate(FRAME_HEAD_BYTES);
    try {
      const bytes = core.memory.subarray(address, address + FRAME_HEAD_BYTES);
      const offset = endOffset - span;
      const count = offset < 0 ? 0 : readLog(offset, bytes);
      const length = count < bytes.length ? 0 : core.exports.frameLengthAt(address, offset);
      const head = Buffer.from(bytes);
      const events =
        head[FRAME_KIND_OFFSET] === KIND_EVENTS ? head.readUInt16LE(FRAME_COUNT_OFFSET) : 0;
      const isLast =
        length > 0 &&
        Math.ceil(length / 8) * 8 === span &&
        head.readUInt32LE(FRAME_CRC_OFFSET) === crc &&
        head.readUIntLE(FRAME_POSITION_OFFSET, U48_BYTES) + events === to &&
        head.readUIntLE(FRAME_RECORDED_AT_OFFSET, U48_BYTES) === recordedAt;
      if (!isLast) throw new Error("the log does not have the last record that it covers");
    } finally {
      core.exports.release(address, FRAME_HEAD_BYTES);
    }
  }

  /** Which filters each run of a start may keep: the smallest runs' first. */
  private wantedFilters(names: readonly string[]): Map<string, number> {
    const headers = names.flatMap((name) => {
      const header = this.readHeader(name);
      return header === null ? [] : [{ name, header }];
    });
    headers.sort((one, other) => one.header.pages - other.header.pages);
    const wanted = new Map<string, number>();
    let left = this.options.memory.filterBytes;
    for (const { name, header } of headers) {
      const wants = fitting(header, left);
      wanted.set(name, wants);
      left -= tableBytes(header, wants);
    }
    return wanted;
  }

  private readHeader(name: string): RunHeader | null {
    const { disk, core, folder, storeId } = this.options;
    try {
      const file = disk.open(`${folder}/${name}`, "read");
      try {
        const header = readRunHeader(core, file, name, storeId);
        return typeof header === "string" ? null : header;
      } finally {
        file.close();
      }
    } catch {
      return null; // whoever opens it says what is wrong
    }
  }

  // ── runs that were made ─────────────────────────────────────────────────────────────────────────

  /** Opens a run that was made, in the place of `replaced`; `load` and `use` follow. Throws what is wrong. */
  openMade(name: string, replaced: readonly OpenRun[]): OpenRun {
    const { core, memory } = this.options;
    const header = this.readHeader(name);
    const freed = replaced.reduce((sum, run) => sum + run.tableBytes, 0);
    const left = memory.filterBytes - core.exports.runsBytes() + freed;
    return this.open(name, header === null ? 0 : fitting(header, left));
  }

  /** Loads a piece of a run that was made; true when all is there. Throws what is wrong. */
  load(run: OpenRun): boolean {
    return this.options.core.exports.runLoad(run.address) !== 0;
  }

  /** Uses a loaded run from now on, in the place of `count` others from `index` on, whose files are closed. */
  use(index: number, count: number, run: OpenRun): void {
    assert(this.runs.length - count < RUNS_MAX);
    const { core, memory } = this.options;
    core.exports.runsReplace(index, count, run.address);
    core.exports.pagesLimit(Math.max(0, memory.pageBytes - core.exports.runsBytes()));
    for (const replaced of this.runs.splice(index, count, run)) this.closeFile(replaced.handle);
  }

  /**
   * Offers heads of streams of the runs to the core, a piece at a time, newest run first; `at` says how far it came before, and
   * what is returned how far now. Null where all are offered, or no more are wanted.
   */
  offerHeads(at: HeadsOffered): HeadsOffered | null {
    const { exports } = this.options.core;
    const run = this.runs.find(({ header }) => header.from < at.before && at.before <= header.to);
    if (run === undefined && at.before === 0) exports.headsComplete();
    if (run === undefined || exports.headsAreFilled() !== 0) return null;
    try {
      // A merge may have taken the run's place meanwhile: what it has is offered from its beginning.
      const page = exports.runOfferHeads(run.address, at.run === run ? at.page : 0);
      return page === 0 ? { before: run.header.from, run: null, page: 0 } : { ...at, run, page };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return null; // older runs' heads must not take the place of those that cannot be read
    }
  }

  /** Closes a run that is not used. */
  abandon(run: OpenRun): void {
    this.options.core.exports.runClose(run.address);
    this.closeFile(run.handle);
  }

  private open(name: string, wants: number): OpenRun {
    const { disk, core, folder, storeId } = this.options;
    const file = disk.open(`${folder}/${name}`, "read");
    try {
      const header = readRunHeader(core, file, name, storeId);
      if (typeof header === "string") throw new Error(header);
      const handle = this.nextHandle++;
      const page = core.allocate(PAGE_BYTES);
      try {
        readFully(file, core.memory.subarray(page, page + PAGE_BYTES), 0);
        const address = core.exports.runOpen(page, handle, wants) >>> 0;
        if (address === 0) throw new Error("there is no memory for its filters");
        this.files.set(handle, { name, file });
        const bytes = header.pages * PAGE_BYTES;
        return { name, header, bytes, tableBytes: tableBytes(header, wants), handle, address };
      } finally {
        core.exports.release(page, PAGE_BYTES);
      }
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Reads pages of a run past the cache, from one up to another, that one not included. Throws at a damaged one. */
  checkPages(run: OpenRun, first = 1, end = run.header.pages): void {
    const { core } = this.options;
    const address = core.allocate(CHECKED_PAGES * PAGE_BYTES);
    try {
      for (let page = first; page < end; page += CHECKED_PAGES) {
        const count = Math.min(CHECKED_PAGES, end - page);
        core.exports.runReadPages(run.address, page, count, address);
      }
    } finally {
      core.exports.release(address, CHECKED_PAGES * PAGE_BYTES);
    }
  }

  private closeFile(handle: number): void {
    this.files.get(handle)?.file.close();
    this.files.delete(handle);
  }

  close(): void {
    for (const handle of [...this.files.keys()]) this.closeFile(handle);
  }

  // ── pages ───────────────────────────────────────────────────────────────────────────────────────

  readPages(handle: number, page: number, target: Uint8Array): void {
    const { name, file } = this.fileOf(handle);
    let count: number;
    try {
      count = readFully(file, target, page * PAGE_BYTES);
    } catch (error) {
      this.options.log(`a read failed: ${(error as Error).message}`, "error");
      throw this.damage(name, page);
    }
    if (count < target.length) throw this.damage(name, page);
  }

  pagesWanted(handle: number, page: number, count: number): void {
    this.fileOf(handle).file.willRead?.(page * PAGE_BYTES, count * PAGE_BYTES);
  }

  pageDamaged(handle: number, page: number): never {
    throw this.damage(this.fileOf(handle).name, page);
  }

  private fileOf(handle: number): { readonly name: string; readonly file: DiskFile } {
    const open = this.files.get(handle);
    assert(open !== undefined);
    return open;
  }

  /** The error of a page that is not what was written. The run's other pages serve until the next start. */
  private damage(name: string, page: number): Error {
    const { folder } = this.options;
    const offset = page * PAGE_BYTES;
    const what = `the page at offset ${offset} is damaged`;
    if (this.isStarting || this.options.unfit === "refuse") return new Error(what);
    this.tellDamage(name, what);
    return new StoreError(
      "CORRUPT",
      `the index in ${folder}/${name} at offset ${offset} is damaged: restart the server, which makes it again from the log`,
    );
  }

  /** Whether a part of the run was found to be damaged: it must not be merged. */
  isDamaged(run: OpenRun): boolean {
    return this.damaged.has(run.name);
  }

  /** A run is damaged. Its file is removed, so that the next start makes it again; what is right of it serves till then. */
  tellDamage(name: string, what: string): void {
    const { disk, folder, log } = this.options;
    if (this.damaged.has(name)) return;
    this.damaged.add(name);
    const path = `${folder}/${name}`;
    log(`index: ${path}: ${what}: the next start makes it again from the log`, "error");
    try {
      if (disk.exists(path)) disk.remove(path);
      disk.syncFolder(folder);
    } catch (error) {
      log(`index: ${path} cannot be removed: ${(error as Error).message}`, "error");
    }
  }
}

/** What `verify` says of a run that is not as it must be. */
export function unfitRun(folder: string, name: string, what: string): OpenError {
  return new OpenError(
    `${folder}/${name}: ${what}; remove this file, and the next start makes it again from the log`,
  );
}

/** Runs that begin at a position, the longest first: a crash may leave a merged one beside those that it was made of. */
function beginningAt(names: readonly string[], from: number): string[] {
  return names
    .filter((name) => parseRunName(name)?.from === from)
    .sort((one, other) => (one < other ? 1 : -1));
}

/** The runs that a start uses where all are fit. */
function longestOf(names: readonly string[]): string[] {
  const found: string[] = [];
  for (let end = 0; ; ) {
    const longest = beginningAt(names, end)[0];
    if (longest === undefined) return found;
    found.push(longest);
    end = parseRunName(longest)?.to ?? end;
  }
}

/** Reads a run's header, or says what is wrong with it. */
function readRunHeader(
  core: Core,
  file: DiskFile,
  name: string,
  storeId: Uint8Array,
): RunHeader | string {
  const page = new Uint8Array(PAGE_BYTES);
  const count = readFully(file, page, 0);
  return decodeRunHeader(core, page.subarray(0, count), name, file.size(), storeId);
}

/** The filters of a run that fit into what is left. */
function fitting(header: RunHeader, left: number): number {
  for (const wants of [WANTS_ID_FILTER | WANTS_HEAD_FILTER, WANTS_HEAD_FILTER]) {
    if (tableBytes(header, wants) <= left) return wants;
  }
  return 0;
}

/** Memory that a run's fences and the wanted of its filters take. */
function tableBytes({ parts }: RunHeader, wants: number): number {
  let bytes = (parts.idFences.entries + parts.headFences.entries) * FENCE_BYTES;
  if (wants & WANTS_ID_FILTER) bytes += parts.idFilter.entries * FILTER_BLOCK_BYTES;
  if (wants & WANTS_HEAD_FILTER) bytes += parts.headFilter.entries * FILTER_BLOCK_BYTES;
  return bytes;
}
