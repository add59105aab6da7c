// Pages of index runs in memory, so that a look-up costs no system call where its page was read before. Unlike the
// log's blocks they are read while a call waits, since every append may look something up: the shell's `readPages`
// reads at once, and throws where the disk refuses; `pageDamaged` throws too. Nothing was changed by then.
import { CLOCK_SIZE, SLOT_AREA, SLOT_LOADED, SLOT_USED, clockCount, clockFind, clockInit, clockLimit, clockTake } from "./clock";
import { PAGE_SIZE, pageIsWhole } from "./run-format";

@external("env", "readPages")
declare function readPages(handle: u32, page: u32, count: u32, ptr: usize): void;
/** Has the disk read `count` pages that are asked for soon, so that nobody waits for them then. */
@external("env", "pagesWanted")
export declare function pagesWanted(handle: u32, page: u32, count: u32): void;
@external("env", "pageDamaged")
declare function pageDamaged(handle: u32, page: u32): void;

const clock: usize = memory.data(32, 8);
let pagesMax: u32 = 0;
/** Pages that were read since the start. */
export let pageReads: u64 = 0;

/** Pages that there may always be, since a look-up needs some at a time. */
const PAGES_MIN: u32 = 16;

/** Bounds the pages in memory to `bytes`, for good. */
export function pagesInit(bytes: usize): void {
  assert(CLOCK_SIZE <= 32);
  pagesMax = max<u32>(PAGES_MIN, <u32>(bytes / PAGE_SIZE));
  clockInit(clock, pagesMax, PAGE_SIZE);
}

/** Bounds them to fewer bytes, or to more again. */
export function pagesLimit(bytes: usize): void {
  clockLimit(clock, min(pagesMax, max<u32>(PAGES_MIN, <u32>(bytes / PAGE_SIZE))));
}

/** Bytes of the pages in memory. */
export function pagesBytes(): usize {
  return <usize>clockCount(clock) * PAGE_SIZE;
}

/** A page of a run's file, checked; it stays where it is until the next page is asked for. */
export function pageOf(handle: u32, seed: u32, page: u32): usize {
  const number = (<u64>handle << 32) | page;
  let slot = clockFind(clock, number);
  if (slot == 0) slot = clockTake(clock, number);
  assert(slot != 0); // the first is taken when there is all of the memory
  const area: usize = load<u32>(slot, SLOT_AREA);
  store<u32>(slot, 1, SLOT_USED);
  if (load<u32>(slot, SLOT_LOADED) != 0) return area;
  pageReads++;
  readPages(handle, page, 1, area);
  if (!pageIsWhole(area, seed, page)) pageDamaged(handle, page);
  store<u32>(slot, <u32>PAGE_SIZE, SLOT_LOADED);
  return area;
}

/** Refuses a page that is whole and says what cannot be; it throws. */
export function pageLies(handle: u32, page: u32): void {
  pageDamaged(handle, page);
}

/** Says that a page is asked for soon, so that the disk reads several of them at a time. */
export function pageHint(handle: u32, page: u32): void {
  if (clockFind(clock, (<u64>handle << 32) | page) == 0) pagesWanted(handle, page, 1);
}

/** Reads `count` pages that follow one another past the cache, to `ptr`, and checks them. */
export function pagesRead(handle: u32, seed: u32, page: u32, count: u32, ptr: usize): void {
  readPages(handle, page, count, ptr);
  for (let i: u32 = 0; i < count; i++) {
    if (!pageIsWhole(ptr + <usize>i * PAGE_SIZE, seed, page + i)) pageDamaged(handle, page + i);
  }
}
