// The runs that are open: immutable files that say where the events of a stretch of positions are. They follow one
// another without a gap from position 0 on; what they do not cover is in the memtables.
//
//   run   0 first position u64 │ 8 end position u64 │ 16 log offset behind its last frame u64 │ 24 streams that begin here u64
//         32 handle u32 │ 36 seed u32 │ 40 id filter: ptr, blocks │ 48 stream filter │ 56 id fences: ptr, pages │ 64 stream fences
//         72 what is loaded of filters and fences: part u32, pages u32 │ 80 recorded_at u64 │ 88 which filters u32 │ 96 parts
//
// A look-up by hash asks the run's filter, finds the page with the fences, which are the pages' first hashes, and reads
// that page. Filters and fences are read when a run is opened, a piece at a time, since a large run has many.
//
// A right checksum says that a page is what was written, not that it can be true. The shell has checked how the header
// lays out the parts; here every entry that leads on to another one, or to the log, is held against where it may lead, and
// refused as a damaged page is. That an entry is true is what `verify` asks.
import { allocate, release } from "./memory";
import { pageHint, pageLies, pageOf, pagesRead, pagesWanted } from "./pages";
import { partitionIsKnown, partitionNextSequence, partitionResume, partitionTag } from "./memtable";
import { filterMayHold, filterTouch } from "./run-filter";
import {
  FENCES_PER_PAGE, FENCE_SIZE, FILTER_BLOCKS_PER_PAGE, FILTER_BLOCK_SIZE, HEADER_END_OFFSET, HEADER_FROM, HEADER_NEW_STREAMS,
  HEADER_PARTS, HEADER_RECORDED_AT, HEADER_TO, HEADS_PER_PAGE, HEADS_START, HEAD_SIZE, IDS_PER_PAGE, ID_SIZE, KEYS_PER_PAGE, KEY_SIZE,
  PAGE_SIZE, PARTITIONS_PER_PAGE, PARTITION_SIZE, PARTS, PART_ENTRIES, PART_HEADS, PART_HEAD_FENCES, PART_HEAD_FILTER, PART_IDS,
  PART_ID_FENCES, PART_ID_FILTER, PART_KEYS, PART_ORDER, PART_PARTITIONS, PART_PARTITION_PLACES, PART_PLACES, PART_SIZE, PART_TIMES,
  PLACES_PER_PAGE, TIMES_PER_PAGE, TIMES_SIZE, isTagged, placeTag, runSeed, tagPlace, untagPlace,
} from "./run-format";
import { NEXT_UNKNOWN, headOffer } from "./heads";
import { stretchOf, timesUnite } from "./times";

/** Runs at a time; merging keeps them far fewer. */
export const RUNS_MAX: u32 = 64;

const RUN_TO: usize = 8;
const RUN_END_OFFSET: usize = 16;
const RUN_NEW_STREAMS: usize = 24;
const RUN_HANDLE: usize = 32;
const RUN_SEED: usize = 36;
const RUN_ID_FILTER: usize = 40;
const RUN_HEAD_FILTER: usize = 48;
const RUN_ID_FENCES: usize = 56;
const RUN_HEAD_FENCES: usize = 64;
const RUN_LOADED_PART: usize = 72;
const RUN_LOADED_PAGES: usize = 76;
const RUN_RECORDED_AT: usize = 80;
const RUN_WANTS: usize = 88;
const RUN_PARTS: usize = 96;
const RUN_SIZE: usize = RUN_PARTS + <usize>PARTS * PART_SIZE;

/** Filters that a run keeps in memory: without one each look-up reads a page. */
export const WANTS_ID_FILTER: u32 = 1;
export const WANTS_HEAD_FILTER: u32 = 2;

/** Open runs, oldest first: their ptrs. */
const runs: usize = memory.data(64 * sizeof<u32>(), 4);
export let runCount: u32 = 0;

/** Pages that a step of loading reads. */
const LOAD_PAGES: u32 = 64;
let loadArea: usize = 0;

export function runsInit(): void {
  assert(PARTS <= 16);
  loadArea = allocate(<usize>LOAD_PAGES * PAGE_SIZE);
  assert(loadArea != 0);
}

@inline export function runAt(index: u32): usize {
  return load<u32>(runs + (index << 2));
}

@inline export function runFrom(run: usize): u64 { return load<u64>(run); }
@inline export function runTo(run: usize): u64 { return load<u64>(run, RUN_TO); }
@inline export function runNewStreams(run: usize): u64 { return load<u64>(run, RUN_NEW_STREAMS); }
@inline export function runEndOffset(run: usize): u64 { return load<u64>(run, RUN_END_OFFSET); }
@inline export function runRecordedAt(run: usize): u64 { return load<u64>(run, RUN_RECORDED_AT); }

@inline function firstPage(run: usize, part: u32): u32 {
  return <u32>load<u64>(run + RUN_PARTS + <usize>part * PART_SIZE);
}

@inline export function partEntries(run: usize, part: u32): u64 {
  return load<u64>(run + RUN_PARTS + <usize>part * PART_SIZE, PART_ENTRIES);
}

@inline export function partPage(run: usize, part: u32, page: u32): usize {
  return pageOf(load<u32>(run, RUN_HANDLE), load<u32>(run, RUN_SEED), firstPage(run, part) + page);
}

/** Position behind what the runs cover. */
export function runsEnd(): u64 {
  return runCount == 0 ? 0 : runTo(runAt(runCount - 1));
}

// ── opening ───────────────────────────────────────────────────────────────────────────────────────

/**
 * Opens the run whose checked header lies at `header` and whose file the shell knows as `handle`; it is loaded and
 * used later. Returns its ptr, 0 where memory is refused.
 */
export function runOpen(header: usize, handle: u32, wants: u32): usize {
  const run = allocate(RUN_SIZE);
  if (run == 0) return 0;
  memory.fill(run, 0, RUN_SIZE);
  store<u64>(run, load<u64>(header, HEADER_FROM));
  store<u64>(run, load<u64>(header, HEADER_TO), RUN_TO);
  store<u64>(run, load<u64>(header, HEADER_END_OFFSET), RUN_END_OFFSET);
  store<u64>(run, load<u64>(header, HEADER_NEW_STREAMS), RUN_NEW_STREAMS);
  store<u64>(run, load<u64>(header, HEADER_RECORDED_AT), RUN_RECORDED_AT);
  store<u32>(run, handle, RUN_HANDLE);
  store<u32>(run, runSeed(header), RUN_SEED);
  store<u32>(run, wants, RUN_WANTS);
  memory.copy(run + RUN_PARTS, header + HEADER_PARTS, <usize>PARTS * PART_SIZE);
  const isPlaced = (!(wants & WANTS_ID_FILTER) || makeTable(run, RUN_ID_FILTER, PART_ID_FILTER, FILTER_BLOCK_SIZE)) &&
    (!(wants & WANTS_HEAD_FILTER) || makeTable(run, RUN_HEAD_FILTER, PART_HEAD_FILTER, FILTER_BLOCK_SIZE)) &&
    makeTable(run, RUN_ID_FENCES, PART_ID_FENCES, FENCE_SIZE) && makeTable(run, RUN_HEAD_FENCES, PART_HEAD_FENCES, FENCE_SIZE);
  if (isPlaced) return run;
  runClose(run);
  return 0;
}

function makeTable(run: usize, field: usize, part: u32, entrySize: usize): bool {
  const entries = <u32>partEntries(run, part);
  const table = allocate(<usize>max<u32>(1, entries) * entrySize);
  store<u32>(run + field, <u32>table);
  store<u32>(run + field, entries, 4);
  return table != 0;
}

/** Memory that the run's filters and fences take. */
export function runBytes(run: usize): usize {
  let bytes: usize = 0;
  if (load<u32>(run, RUN_ID_FILTER) != 0) bytes += <usize>load<u32>(run + RUN_ID_FILTER, 4) * FILTER_BLOCK_SIZE;
  if (load<u32>(run, RUN_HEAD_FILTER) != 0) bytes += <usize>load<u32>(run + RUN_HEAD_FILTER, 4) * FILTER_BLOCK_SIZE;
  return bytes + <usize>(load<u32>(run + RUN_ID_FENCES, 4) + load<u32>(run + RUN_HEAD_FENCES, 4)) * FENCE_SIZE;
}

/** Reads pages of a run's file past the cache, and checks them. */
export function runReadPages(run: usize, page: u32, count: u32, out: usize): void {
  pagesRead(load<u32>(run, RUN_HANDLE), load<u32>(run, RUN_SEED), page, count, out);
}

/** Loads one more piece of filters, fences and times; true when all is there. */
export function runLoad(run: usize): bool {
  const part = load<u32>(run, RUN_LOADED_PART);
  if (part == 0) return loadPiece(run, PART_ID_FENCES, load<u32>(run, RUN_ID_FENCES), FENCES_PER_PAGE, FENCE_SIZE);
  if (part == 1) return loadPiece(run, PART_HEAD_FENCES, load<u32>(run, RUN_HEAD_FENCES), FENCES_PER_PAGE, FENCE_SIZE);
  if (part == 2) {
    return loadPiece(run, PART_ID_FILTER, load<u32>(run, RUN_ID_FILTER), FILTER_BLOCKS_PER_PAGE, FILTER_BLOCK_SIZE);
  }
  if (part == 3) {
    return loadPiece(run, PART_HEAD_FILTER, load<u32>(run, RUN_HEAD_FILTER), FILTER_BLOCKS_PER_PAGE, FILTER_BLOCK_SIZE);
  }
  return true;
}

/** Loads pages of a part to where they belong in its table; always false. */
function loadPiece(run: usize, part: u32, table: usize, perPage: u32, entrySize: usize): bool {
  const entries = <u32>partEntries(run, part);
  const pages: u32 = table == 0 ? 0 : (entries + perPage - 1) / perPage;
  const loaded = load<u32>(run, RUN_LOADED_PAGES);
  const count = min<u32>(pages - loaded, LOAD_PAGES);
  if (count > 0) {
    pagesRead(load<u32>(run, RUN_HANDLE), load<u32>(run, RUN_SEED), firstPage(run, part) + loaded, count, loadArea);
    for (let i: u32 = 0; i < count; i++) {
      const first = (loaded + i) * perPage;
      memory.copy(table + <usize>first * entrySize, loadArea + <usize>i * PAGE_SIZE, <usize>min(perPage, entries - first) * entrySize);
    }
    store<u32>(run, loaded + count, RUN_LOADED_PAGES);
  }
  if (loaded + count == pages) {
    store<u32>(run, load<u32>(run, RUN_LOADED_PART) + 1, RUN_LOADED_PART);
    store<u32>(run, 0, RUN_LOADED_PAGES);
  }
  return false;
}

/** Pages whose heads are offered at a time: little work, since others wait meanwhile. */
const OFFER_PAGES: u32 = 8;

/**
 * Offers the heads (heads.ts) of the run's streams, of up to `OFFER_PAGES` pages from one on; gives the page to go on with, 0 at
 * the end. Of several runs the newest comes first.
 */
export function runOfferHeads(run: usize, page: u32): u32 {
  const entries = partEntries(run, PART_HEADS);
  const pages = <u32>((entries + HEADS_PER_PAGE - 1) / HEADS_PER_PAGE);
  const count = min(pages - page, OFFER_PAGES);
  if (count == 0) return 0;
  runReadPages(run, firstPage(run, PART_HEADS) + page, count, loadArea);
  for (let i: u32 = 0; i < count; i++) {
    const left = entries - <u64>(page + i) * HEADS_PER_PAGE;
    let entry = loadArea + <usize>i * PAGE_SIZE + HEADS_START;
    const end = entry + <usize>min<u64>(left, HEADS_PER_PAGE) * HEAD_SIZE;
    for (; entry < end; entry += HEAD_SIZE) {
      takeHead(entry);
      if (!areIn(run, PART_PLACES, 0, foundCount)) runRefuse(run, PART_HEADS, page + i);
      const hasOwnKey = load<u32>(entry, 24) != 0;
      headOffer(load<u64>(entry), load<u32>(entry, 8), hasOwnKey ? NEXT_UNKNOWN : foundFirst + foundCount);
    }
  }
  if (page + count == pages) return 0;
  pagesWanted(load<u32>(run, RUN_HANDLE), firstPage(run, PART_HEADS) + page + count, min(pages - page - count, OFFER_PAGES));
  return page + count;
}

/** What `runFollows` finds wrong; server/index/run-set.ts has the texts. */
const FOLLOWS: u32 = 0;
const PARTITIONS_MISFIT: u32 = 1;
const TIMES_MISFIT: u32 = 2;

/** Whether what a start takes over of a run can go on from what it took over of the runs before. */
export function runFollows(run: usize): u32 {
  if (!partitionsFollow(run)) return PARTITIONS_MISFIT;
  return timesFollow(run) ? FOLLOWS : TIMES_MISFIT;
}

/** Partitions ascend, go on from their last sequences, and share out all of their places one behind the other. */
function partitionsFollow(run: usize): bool {
  const entries = <u32>partEntries(run, PART_PARTITIONS);
  let places: u64 = 0;
  let before: i64 = -1;
  for (let i: u32 = 0; i < entries; i++) {
    const entry = partitionEntry(run, i);
    const partition = load<u32>(entry);
    if (<i64>partition <= before || !partitionIsKnown(partition)) return false;
    if (load<u64>(entry, 8) != partitionNextSequence(partition)) return false;
    if (load<u32>(entry, 4) == 0 || load<u64>(entry, 16) != places) return false;
    before = partition;
    places += load<u32>(entry, 4);
  }
  return places == partEntries(run, PART_PARTITION_PLACES);
}

/** There is one entry for each stretch that the run's positions touch. */
function timesFollow(run: usize): bool {
  const first = stretchOf(runFrom(run));
  const entries = <u32>partEntries(run, PART_TIMES);
  for (let i: u32 = 0; i < entries; i++) {
    const entry = timesEntry(run, i);
    if (load<u64>(entry) != <u64>first + i || load<u64>(entry, 8) > load<u64>(entry, 16)) return false;
    if (load<u64>(entry, 24) > runRecordedAt(run)) return false;
  }
  return true;
}

@inline function timesEntry(run: usize, index: u32): usize {
  return partPage(run, PART_TIMES, index / TIMES_PER_PAGE) + <usize>(index % TIMES_PER_PAGE) * TIMES_SIZE;
}

/** Takes over, at a start, what a run knows of times and of the partitions' sequences; run after run, oldest first. */
export function runResume(run: usize): void {
  const times = <u32>partEntries(run, PART_TIMES);
  for (let i: u32 = 0; i < times; i++) {
    const entry = timesEntry(run, i);
    timesUnite(load<u64>(entry), load<u64>(entry, 8), load<u64>(entry, 16), load<u64>(entry, 24));
  }
  const partitions = <u32>partEntries(run, PART_PARTITIONS);
  for (let i: u32 = 0; i < partitions; i++) {
    const entry = partitionEntry(run, i);
    partitionResume(load<u32>(entry), load<u64>(entry, 8) + load<u32>(entry, 4));
  }
}

/** Uses a loaded run from now on, in the place of the `count` runs from `index` on, which it covers. */
export function runsReplace(index: u32, count: u32, run: usize): void {
  assert(index + count <= runCount && runCount - count < RUNS_MAX);
  if (count > 0) {
    assert(runFrom(runAt(index)) == runFrom(run) && runTo(runAt(index + count - 1)) == runTo(run));
  } else {
    assert(index == runCount && runFrom(run) == runsEnd());
  }
  for (let i: u32 = 0; i < count; i++) runClose(runAt(index + i));
  const ptr = runs + (index << 2);
  memory.copy(ptr + sizeof<u32>(), ptr + (count << 2), <usize>(runCount - index - count) << 2);
  store<u32>(ptr, <u32>run);
  runCount = runCount + 1 - count;
}

/** Gives back what a run takes of memory. */
export function runClose(run: usize): void {
  closeTable(run + RUN_ID_FILTER, FILTER_BLOCK_SIZE);
  closeTable(run + RUN_HEAD_FILTER, FILTER_BLOCK_SIZE);
  closeTable(run + RUN_ID_FENCES, FENCE_SIZE);
  closeTable(run + RUN_HEAD_FENCES, FENCE_SIZE);
  release(run, RUN_SIZE);
}

function closeTable(field: usize, entrySize: usize): void {
  const table: usize = load<u32>(field);
  if (table != 0) release(table, <usize>max<u32>(1, load<u32>(field, 4)) * entrySize);
}

/** Refuses the page of a part that has an entry which cannot be right; it throws. */
function runRefuse(run: usize, part: u32, page: u32): void {
  pageLies(load<u32>(run, RUN_HANDLE), firstPage(run, part) + page);
}

/** Whether a place lies in the part of the log that the run covers. */
@inline function isPlace(run: usize, place: u64): bool {
  return (place >> 16) << 3 < runEndOffset(run);
}

/** Whether `count` entries, one at least, from `start` on are all in a part. */
@inline function areIn(run: usize, part: u32, start: u64, count: u32): bool {
  const entries = partEntries(run, part);
  return count > 0 && start < entries && count <= entries - start;
}

// ── look-ups by hash ──────────────────────────────────────────────────────────────────────────────

/** The first page on which a hash with these upper bits may stand. */
function fencedPage(field: usize, upper: u32): u32 {
  const fences: usize = load<u32>(field);
  const pages = load<u32>(field, 4);
  // Hashes are uniform: the page is near its share of all pages. The search widens from there.
  let low: u32 = 0;
  let high = pages; // the answer is the last page whose fence is below `upper`, or 0: in low … high - 1
  const guess = <u32>((<u64>upper * pages) >> 32);
  let step: u32 = 4;
  if (load<u32>(fences + (<usize>guess << 2)) < upper) {
    low = guess;
    while (low + step < pages && load<u32>(fences + (<usize>(low + step) << 2)) < upper) {
      low += step;
      step <<= 1;
    }
    high = min(pages, low + step);
  } else {
    high = guess;
    while (high > step && load<u32>(fences + (<usize>(high - step) << 2)) >= upper) {
      high -= step;
      step <<= 1;
    }
    low = high > step ? high - step : 0;
  }
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (load<u32>(fences + (<usize>middle << 2)) < upper) low = middle;
    else high = middle;
  }
  return low;
}

/** After `find`: the page of its part, and which of its entries was found. */
let foundPage: u32 = 0;
let foundIndex: u32 = 0;

/** The entry with this hash in a part that is sorted by hash, or 0. */
function find(
  run: usize, part: u32, field: usize, perPage: u32, start: usize, size: usize, low: u64, high: u32,
): usize {
  const entries = partEntries(run, part);
  if (entries == 0) return 0;
  const upper = <u32>(low >> 32);
  const fences: usize = load<u32>(run + field);
  const pages = load<u32>(run + field, 4);
  let page = fencedPage(run + field, upper);
  while (true) {
    const base = partPage(run, part, page) + start;
    let from: u32 = 0;
    let to = <u32>min<u64>(perPage, entries - <u64>page * perPage);
    while (from < to) {
      const middle = (from + to) >>> 1;
      const entry = base + <usize>middle * size;
      const value = load<u64>(entry);
      if (value < low || (value == low && load<u32>(entry, 8) < high)) from = middle + 1;
      else to = middle;
    }
    const found = base + <usize>from * size;
    if (<u64>page * perPage + from < entries && from < perPage && load<u64>(found) == low && load<u32>(found, 8) == high) {
      foundPage = page;
      foundIndex = from;
      return found;
    }
    page++;
    if (page == pages || load<u32>(fences + (<usize>page << 2)) > upper) return 0;
  }
}

/** Place of the event with this id, after `runFindId`. */
export let foundPlace: u64 = 0;

/** Loads what `runFindId` looks at first, of all runs: with nothing else in between the processor waits for memory once. */
export function runsTouchIds(low: u64): void {
  for (let i: u32 = 0; i < runCount; i++) {
    const run = runAt(i);
    const filter: usize = load<u32>(run, RUN_ID_FILTER);
    if (filter != 0) filterTouch(filter, load<u32>(run + RUN_ID_FILTER, 4), low);
  }
}

export function runFindId(run: usize, low: u64, high: u32): bool {
  const filter: usize = load<u32>(run, RUN_ID_FILTER);
  if (filter != 0 && !filterMayHold(filter, load<u32>(run + RUN_ID_FILTER, 4), low, high)) return false;
  const entry = find(run, PART_IDS, RUN_ID_FENCES, IDS_PER_PAGE, 0, ID_SIZE, low, high);
  if (entry == 0) return false;
  foundPlace = load<u64>(entry, 12);
  if (!isPlace(run, foundPlace)) runRefuse(run, PART_IDS, foundPage);
  return true;
}

/** What a run has of a stream, after `runFindStream`: its events here, and the first one's version. */
export let foundCount: u32 = 0;
export let foundFirst: u64 = 0;
/** Its partition hash. */
export let foundHash: u32 = 0;
/** Index of their places in PART_PLACES, after `runFindStreamPlaces`. */
export let foundStart: u64 = 0;
/** The explicit key, or 0. */
export let foundKey: usize = 0;
const keyCopy: usize = memory.data(16, 8);

export function runFindStream(run: usize, low: u64, high: u32): bool {
  const entry = findHead(run, low, high);
  if (entry == 0) return false;
  takeHead(entry);
  const key = load<u32>(entry, 24);
  if (!areIn(run, PART_PLACES, 0, foundCount) || key > partEntries(run, PART_KEYS)) runRefuse(run, PART_HEADS, foundPage);
  foundKey = 0;
  if (key != 0) {
    const at = key - 1;
    memory.copy(keyCopy, partPage(run, PART_KEYS, at / KEYS_PER_PAGE) + <usize>(at % KEYS_PER_PAGE) * KEY_SIZE, KEY_SIZE);
    foundKey = keyCopy;
  }
  return true;
}

/** As `runFindStream`, with `foundStart` and without `foundKey`. */
export function runFindStreamPlaces(run: usize, low: u64, high: u32): bool {
  const entry = findHead(run, low, high);
  if (entry == 0) return false;
  takeHead(entry);
  const page = entry - <usize>foundIndex * HEAD_SIZE - HEADS_START;
  let start = load<u64>(page);
  for (let ptr = page + HEADS_START; ptr < entry; ptr += HEAD_SIZE) start += load<u32>(ptr, 12);
  foundStart = start;
  if (!areIn(run, PART_PLACES, foundStart, foundCount)) runRefuse(run, PART_HEADS, foundPage);
  return true;
}

@inline function takeHead(entry: usize): void {
  foundCount = load<u32>(entry, 12);
  foundFirst = load<u64>(entry, 16) >> 16;
  foundHash = load<u16>(entry, 16);
}

/** Says that `runFindStreamPlaces` comes soon. */
export function runHintStream(run: usize, low: u64, high: u32): void {
  if (partEntries(run, PART_HEADS) == 0 || !mayHaveStream(run, low, high)) return;
  hintPage(run, PART_HEADS, fencedPage(run + RUN_HEAD_FENCES, <u32>(low >> 32)));
}

/** Says that `runValue` comes soon. */
export function runHintValue(run: usize, part: u32, index: u64): void {
  hintPage(run, part, <u32>(index / PLACES_PER_PAGE));
}

@inline function hintPage(run: usize, part: u32, page: u32): void {
  pageHint(load<u32>(run, RUN_HANDLE), firstPage(run, part) + page);
}

@inline function mayHaveStream(run: usize, low: u64, high: u32): bool {
  const filter: usize = load<u32>(run, RUN_HEAD_FILTER);
  return filter == 0 || filterMayHold(filter, load<u32>(run + RUN_HEAD_FILTER, 4), low, high);
}

function findHead(run: usize, low: u64, high: u32): usize {
  if (!mayHaveStream(run, low, high)) return 0;
  return find(run, PART_HEADS, RUN_HEAD_FENCES, HEADS_PER_PAGE, HEADS_START, HEAD_SIZE, low, high);
}

// ── look-ups by number ────────────────────────────────────────────────────────────────────────────

/** An entry of a part of places or positions, which the log or a memtable has. */
export function runValue(run: usize, part: u32, index: u64): u64 {
  let value = runEntry(run, part, index);
  if (part == PART_PARTITION_PLACES && hasTags(run)) value = untagPlace(value);
  const canBe = part == PART_ORDER ? value >= runFrom(run) && value < runTo(run) : isPlace(run, value);
  if (!canBe) runRefuseValue(run, part, index);
  return value;
}

@inline function hasTags(run: usize): bool {
  return isTagged(runEndOffset(run));
}

/** A place as the run's places of partitions have it, of an event whose stream has this partition hash. */
export function runTagPlace(run: usize, place: u64, hash16: u32): u64 {
  return hasTags(run) ? tagPlace(place, partitionTag(hash16)) : place;
}

/** Whether the event that a place of a partition leads to may have this partition hash: nearly always not where it has another. */
export function runMayHaveHash(run: usize, index: u64, hash16: u32): bool {
  return !hasTags(run) || placeTag(runEntry(run, PART_PARTITION_PLACES, index)) == partitionTag(hash16);
}

/** Refuses the page of such an entry; it throws. */
export function runRefuseValue(run: usize, part: u32, index: u64): void {
  runRefuse(run, part, <u32>(index / PLACES_PER_PAGE));
}

/** For each part of places the run and the page that were read last. */
const lastPages: usize = memory.data(16 * 8, 4);
/** Who reads pages one after the other is read ahead: in so many at a time, and so many before they are asked for. */
const AHEAD_PAGES: u32 = 32;

function passTo(run: usize, part: u32, page: u32): void {
  const last = lastPages + (<usize>part << 3);
  const goesOn = load<u32>(last) == <u32>run && load<u32>(last, 4) + 1 == page;
  store<u32>(last, <u32>run);
  store<u32>(last, page, 4);
  if (!goesOn || page % AHEAD_PAGES != 0) return;
  const pages = <u32>((partEntries(run, part) + PLACES_PER_PAGE - 1) / PLACES_PER_PAGE);
  const first = page + AHEAD_PAGES;
  if (first < pages) pagesWanted(load<u32>(run, RUN_HANDLE), firstPage(run, part) + first, min(pages - first, AHEAD_PAGES));
}

/** The same, whatever it says. */
export function runEntry(run: usize, part: u32, index: u64): u64 {
  assert(index < partEntries(run, part));
  const page = <u32>(index / PLACES_PER_PAGE);
  const last = lastPages + (<usize>part << 3);
  if (load<u32>(last) != <u32>run || load<u32>(last, 4) != page) passTo(run, part, page);
  return load<u64>(partPage(run, part, page) + (<usize>(index - <u64>page * PLACES_PER_PAGE) << 3));
}

/** How many of `count` values from `start` on, which ascend, are below `bound`. */
export function runValuesBelow(run: usize, part: u32, start: u64, count: u64, bound: u64): u64 {
  let low: u64 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runValue(run, part, start + middle) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

@inline function partitionEntry(run: usize, index: u32): usize {
  return partPage(run, PART_PARTITIONS, index / PARTITIONS_PER_PAGE) + <usize>(index % PARTITIONS_PER_PAGE) * PARTITION_SIZE;
}

/** What a run has of a partition, in `foundCount`, `foundFirst` and `foundStart`; false where it has nothing. */
export function runFindPartition(run: usize, partition: u32): bool {
  let low: u32 = 0;
  let high = <u32>partEntries(run, PART_PARTITIONS);
  const count = high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<u32>(partitionEntry(run, middle)) < partition) low = middle + 1;
    else high = middle;
  }
  if (low == count) return false;
  const entry = partitionEntry(run, low);
  if (load<u32>(entry) != partition) return false;
  foundCount = load<u32>(entry, 4);
  foundFirst = load<u64>(entry, 8);
  foundStart = load<u64>(entry, 16);
  if (!areIn(run, PART_PARTITION_PLACES, foundStart, foundCount)) runRefuse(run, PART_PARTITIONS, low / PARTITIONS_PER_PAGE);
  return true;
}
