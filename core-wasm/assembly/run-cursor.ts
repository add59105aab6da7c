// Goes through a part of a run that is on the disk, entry by entry, and through the same part of several runs at once,
// key by key: how run-merge.ts reads. Pages come through `env.readRun`, many at a time, and each is checked.
//
// The runs are numbered from 0, the oldest first.
import { PAGE_SIZE, PART_HEADS, PART_PARTITIONS, pageIsWhole, runSeed } from "./run-format";
import { entriesPerPage, entriesStart, entrySize, pagesFor, partEntries, partFirstPage } from "./run-writer";

/** Runs that can be read at once. */
export const RUNS_MAX: u32 = 16;

/** Reads `size` bytes at an offset of a run's file to `ptr`; gives how many there were. */
@external("env", "readRun")
declare function readRun(run: u32, offset: f64, ptr: usize, size: u32): u32;

/** After a read that failed: the run, and the page of it that is damaged or missing. */
export let badRun: u32 = 0;
export let badPage: u32 = 0;

function refuse(run: u32, page: u32): bool {
  badRun = run;
  badPage = page;
  return false;
}

/** Reads a run's header to `header`; false where it is damaged. */
export function readHeader(run: u32, header: usize): bool {
  const size = readRun(run, 0, header, <u32>PAGE_SIZE);
  if (<usize>size < PAGE_SIZE || !pageIsWhole(header, 0, 0)) return refuse(run, 0);
  return true;
}

@unmanaged export class RunCursor {
  run: u32;
  seed: u32;
  part: u32;
  size: usize;
  /** The entry that it stands at, and how many are left in its page, this one included; none: the part's end. */
  at: usize;
  left: u32;
  /** Entries behind that page. */
  rest: u64;
  /** Page of the file that comes next. */
  nextPage: u32;
  /** The buffer holds `loaded` pages from page `first` on, and has room for `capacity`. */
  buffer: usize;
  capacity: u32;
  first: u32;
  loaded: u32;

  /** Gives it a run and a buffer of so many pages. */
  attach(run: u32, header: usize, buffer: usize, capacity: u32): void {
    this.run = run;
    this.seed = runSeed(header);
    this.buffer = buffer;
    this.capacity = capacity;
  }

  /** Goes to the first entry of a part; false where its page is damaged. */
  open(header: usize, part: u32): bool {
    this.part = part;
    this.size = entrySize(part);
    this.rest = partEntries(header, part);
    this.nextPage = <u32>partFirstPage(header, part);
    this.first = this.loaded = 0;
    return this.turn();
  }

  /** Goes on by `count` entries, all of the same page; false where the next page is damaged. */
  skip(count: u32): bool {
    this.at += <usize>count * this.size;
    this.left -= count;
    return this.left > 0 || this.turn();
  }

  /** Goes to the next page, or stands at the end. */
  turn(): bool {
    this.left = <u32>min<u64>(entriesPerPage(this.part), this.rest);
    if (this.left == 0) return true;
    if (this.nextPage >= this.first + this.loaded && !this.load()) return false;
    const page = this.buffer + <usize>(this.nextPage - this.first) * PAGE_SIZE;
    if (!pageIsWhole(page, this.seed, this.nextPage)) return refuse(this.run, this.nextPage);
    this.at = page + entriesStart(this.part);
    this.rest -= this.left;
    this.nextPage++;
    return true;
  }

  private load(): bool {
    const pages = <u32>min<u64>(this.capacity, pagesFor(this.part, this.rest));
    this.first = this.nextPage;
    const size = readRun(this.run, <f64>this.first * <f64>PAGE_SIZE, this.buffer, pages * <u32>PAGE_SIZE);
    this.loaded = size / <u32>PAGE_SIZE;
    return this.loaded > 0 || refuse(this.run, this.first);
  }
}

const CURSOR_SIZE: usize = 64;
const keyCursors: usize = memory.data(16 * 64, 8);
const dataCursors: usize = memory.data(16 * 64, 8);

/** The cursor of a run's keys: what `groupsOpen` goes through. */
export function keyCursor(run: u32): RunCursor {
  return changetype<RunCursor>(keyCursors + <usize>run * CURSOR_SIZE);
}

/** The cursor of what a run has for its keys. */
export function dataCursor(run: u32): RunCursor {
  return changetype<RunCursor>(dataCursors + <usize>run * CURSOR_SIZE);
}

// ── several runs at once ──────────────────────────────────────────────────────────────────────────

const headers: usize = memory.data(16 * sizeof<u32>(), 4);
let runCount: u32 = 0;
/** Runs whose key cursor is not at its end, oldest first; and of each the first 64 bits of the key at which it stands. */
const active: usize = memory.data(16 * sizeof<u32>(), 4);
const lows: usize = memory.data(16 * sizeof<u64>(), 8);
let activeCount: u32 = 0;
let keyPart: u32 = 0;

/** The group: the runs that have the key, oldest first; their key cursors stand at it. */
const members: usize = memory.data(16 * sizeof<u32>(), 4);
export let groupSize: u32 = 0;
let groupLow: u64 = 0;
let groupHigh: u32 = 0;

/** Forgets all runs: those of the next merge are added then. */
export function runsClear(): void {
  assert(offsetof<RunCursor>() <= CURSOR_SIZE);
  runCount = 0;
}

/** Adds the next younger run, whose header stays where it is; both cursors get a buffer of `pages` pages. */
export function runsAdd(header: usize, keyBuffer: usize, dataBuffer: usize, pages: u32): void {
  assert(runCount < RUNS_MAX);
  store<u32>(headers + (<usize>runCount << 2), <u32>header);
  keyCursor(runCount).attach(runCount, header, keyBuffer, pages);
  dataCursor(runCount).attach(runCount, header, dataBuffer, pages);
  runCount++;
}

@inline export function runHeader(run: u32): usize {
  return load<u32>(headers + (<usize>run << 2));
}

/** Goes to the beginning of a part of each run. */
export function dataOpen(part: u32): bool {
  for (let run: u32 = 0; run < runCount; run++) if (!dataCursor(run).open(runHeader(run), part)) return false;
  return true;
}

/** Whether all of that part was gone through. */
export function dataIsDone(): bool {
  for (let run: u32 = 0; run < runCount; run++) if (dataCursor(run).left > 0) return false;
  return true;
}

/** Goes before the first key of a part of each run: ids, heads, partitions or times. */
export function groupsOpen(part: u32): bool {
  keyPart = part;
  activeCount = groupSize = 0;
  for (let run: u32 = 0; run < runCount; run++) {
    const cursor = keyCursor(run);
    if (!cursor.open(runHeader(run), part)) return false;
    if (cursor.left == 0) continue;
    store<u32>(active + (<usize>activeCount << 2), run);
    store<u64>(lows + (<usize>activeCount << 3), keyLow(cursor.at));
    activeCount++;
  }
  return true;
}

@inline function keyLow(entry: usize): u64 {
  return keyPart == PART_PARTITIONS ? <u64>load<u32>(entry) : load<u64>(entry);
}

@inline function keyHigh(entry: usize): u32 {
  return keyPart == PART_HEADS ? load<u32>(entry, 8) : 0;
}

/** Run of the group's member with this index. */
@inline export function memberAt(index: u32): u32 {
  return load<u32>(members + (<usize>index << 2));
}

/** Entry of the group's member with this index. */
@inline export function memberEntry(index: u32): usize {
  return keyCursor(memberAt(index)).at;
}

/** Goes to the next key, of which `groupSize` runs have an entry, none at the end; false where a page is damaged. */
export function groupsNext(): bool {
  if (groupSize > 0 && !leaveGroup()) return false;
  groupSize = 0;
  if (activeCount == 0) return true;
  groupLow = u64.MAX_VALUE;
  groupHigh = u32.MAX_VALUE;
  for (let slot: u32 = 0; slot < activeCount; slot++) {
    const low = load<u64>(lows + (<usize>slot << 3));
    if (low > groupLow) continue;
    const high = keyHigh(keyCursor(activeRun(slot)).at);
    if (low == groupLow && high > groupHigh) continue;
    if (low < groupLow || high < groupHigh) groupSize = 0;
    groupLow = low;
    groupHigh = high;
    store<u32>(members + (<usize>groupSize << 2), activeRun(slot));
    groupSize++;
  }
  return true;
}

@inline export function activeRun(slot: u32): u32 {
  return load<u32>(active + (<usize>slot << 2));
}

function leaveGroup(): bool {
  let slot = activeCount;
  let index = groupSize;
  while (index > 0) {
    const run = memberAt(--index);
    do slot--; while (activeRun(slot) != run);
    if (!activeSkip(slot)) return false;
  }
  return true;
}

/** Goes on to the next entry in one run; it leaves the active ones at its end. */
@inline export function activeSkip(slot: u32): bool {
  const cursor = keyCursor(activeRun(slot));
  if (!cursor.skip(1)) return false;
  if (cursor.left > 0) store<u64>(lows + (<usize>slot << 3), keyLow(cursor.at));
  else deactivate(slot);
  return true;
}

function deactivate(slot: u32): void {
  activeCount--;
  for (let i = slot; i < activeCount; i++) {
    store<u32>(active + (<usize>i << 2), activeRun(i + 1));
    store<u64>(lows + (<usize>i << 3), load<u64>(lows + (<usize>(i + 1) << 3)));
  }
}

/** The active run whose entry has the smallest hash, where the part is ids; there is one. */
export function smallestSlot(): u32 {
  let smallest: u32 = 0;
  let low = load<u64>(lows);
  for (let slot: u32 = 1; slot < activeCount; slot++) {
    const other = load<u64>(lows + (<usize>slot << 3));
    if (other > low) continue;
    if (other == low && load<u32>(keyCursor(activeRun(slot)).at, 8) > load<u32>(keyCursor(activeRun(smallest)).at, 8)) continue;
    smallest = slot;
    low = other;
  }
  return smallest;
}
