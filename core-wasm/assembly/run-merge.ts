// Merges runs that follow one another into one, step by step (run-writer.ts): keys in order over all of them, what they
// have for a key one behind the other, the oldest first. Each part is read from its beginning to its end, once for
// itself and once more where its keys say how other parts go together, so that memory is bounded by the buffers and
// the filters of what comes out.
//
// What does not go together, versions or sequences with a gap, is a status: the runs are no runs of one history.
import { filterAdd, filterBlocks } from "./run-filter";
import {
  FENCE_SIZE, FILTER_BLOCK_SIZE, HEADER_CRC, HEADER_END_OFFSET, HEADER_FROM, HEADER_MAGIC_HIGH, HEADER_MAGIC_LOW,
  HEADER_NEW_STREAMS, HEADER_PARTITIONS, HEADER_RECORDED_AT, HEADER_SPAN, HEADER_STORE_ID, HEADER_TO, HEADER_VERSION,
  HEADS_START, HEAD_SIZE, ID_SIZE, KEY_SIZE, PAGE_SIZE, PARTITION_SIZE, PARTS, PART_HEADS, PART_HEAD_FENCES,
  PART_HEAD_FILTER, PART_IDS, PART_ID_FENCES, PART_ID_FILTER, PART_KEYS, PART_ORDER, PART_PARTITIONS,
  PART_PARTITION_PLACES, PART_PLACES, PART_POSITIONS, PART_TIMES, PLACE_SIZE, RUN_VERSION, TIMES_SIZE, isTagged, untagPlace,
} from "./run-format";
import {
  RUNS_MAX, activeRun, activeSkip, badRun, dataCursor, dataIsDone, dataOpen, groupSize, groupsNext, groupsOpen,
  keyCursor, memberAt, memberEntry, readHeader, runHeader, runsAdd, runsClear, smallestSlot,
} from "./run-cursor";
import {
  HEAD_COUNT, HEAD_FACTS, HEAD_KEY, PARTITION_COUNT, PARTITION_SEQUENCE, PARTITION_START, countOpen, countSome, headCount,
  keyCount, misfitRun, partitionCount, timesCount,
} from "./run-count";
import { RunWriter, pagesFor, partEntries, partFirstPage } from "./run-writer";
import { CORRUPT, DONE, MISFIT, NO_MEMORY, PAUSED } from "./status";

/** Pages that a buffer holds: 256 KiB. */
const BUFFER_PAGES: u32 = 64;
const STORE_ID_SIZE: usize = 16;
/** Copying fewer places than this is faster one by one. */
const PLACES_COPIED_SINGLY: u32 = 16;

const TIMES_SMALLEST: usize = 8;
const TIMES_LARGEST: usize = 16;
const TIMES_RECORDED_AT: usize = 24;

const writer = changetype<RunWriter>(memory.data(offsetof<RunWriter>(), 8));
let runCount: u32 = 0;
/** What the parts will hold is still being counted. */
let isCounting: bool = false;
/** Entries of all runs together. */
let eventCount: u64 = 0;
let newStreamCount: u64 = 0;

let idFilter: usize = 0;
let headFilter: usize = 0;
let idFilterBlocks: u32 = 0;
let headFilterBlocks: u32 = 0;
let idFences: usize = 0;
let headFences: usize = 0;

// How far the part is that is being written, beyond what the writer counts.
let placeIndex: u64 = 0;
let keyIndex: u32 = 0;
let lastLow: u64 = 0;
let lastHigh: u32 = 0;
/** Which run's places come next, how many of them, and as which member of the group. */
let copyRun: u32 = 0;
let copyLeft: u64 = 0;
let copyMember: u32 = 0;

/** The run that a status other than PAUSED and DONE is about, and its page where the status is CORRUPT. */
export let mergeRun: u32 = 0;
export { badPage as mergePage } from "./run-cursor";

/** Takes up `count` runs, which `env.readRun` gives by their number, the oldest being 0. `mergeEnd` gives back. */
export function mergeOpen(count: u32): i32 {
  assert(count >= 2 && count <= RUNS_MAX);
  runCount = count;
  runsClear();
  if (!writer.open()) return NO_MEMORY;
  eventCount = newStreamCount = 0;
  for (let run: u32 = 0; run < count; run++) {
    const header = writer.take(PAGE_SIZE);
    if (header == 0) return NO_MEMORY;
    if (!readHeader(run, header)) return corrupt();
    const pages = <u32>min<u64>(BUFFER_PAGES, partFirstPage(header, PARTS - 1));
    const keyBuffer = writer.take(<usize>pages * PAGE_SIZE);
    const dataBuffer = writer.take(<usize>pages * PAGE_SIZE);
    if (keyBuffer == 0 || dataBuffer == 0) return NO_MEMORY;
    runsAdd(header, keyBuffer, dataBuffer, pages);
    if (!follows(run)) return misfit(run);
    eventCount += partEntries(header, PART_IDS);
    newStreamCount += load<u64>(header, HEADER_NEW_STREAMS);
  }
  isCounting = true;
  return countOpen(eventCount) ? DONE : corrupt();
}

/** Whether a run is of our version, and is the continuation of the one before it. */
function follows(run: u32): bool {
  const header = runHeader(run);
  if (load<u32>(header) != HEADER_MAGIC_LOW || load<u32>(header, 4) != HEADER_MAGIC_HIGH) return false;
  if (load<u32>(header, HEADER_VERSION) != RUN_VERSION) return false;
  if (run == 0) return true;
  const before = runHeader(run - 1);
  return load<u64>(header, HEADER_FROM) == load<u64>(before, HEADER_TO) &&
    load<u32>(header, HEADER_PARTITIONS) == load<u32>(before, HEADER_PARTITIONS) &&
    memory.compare(header + HEADER_STORE_ID, before + HEADER_STORE_ID, STORE_ID_SIZE) == 0;
}

export function mergeOutput(): usize { return writer.output; }
/** Where in the file the output of the step belongs, in pages, and how many they are. */
export function mergeOutputPage(): u32 { return writer.outputFirst; }
export function mergeOutputPages(): u32 { return writer.outputPages; }

/** Makes the next pages: PAUSED, there may be none; DONE, when they are the last, the header; or why it cannot go on. */
export function mergeStep(): i32 {
  writer.clear();
  if (isCounting) {
    const status = countSome();
    if (status == CORRUPT) return corrupt();
    if (status == MISFIT) return misfit(misfitRun);
    if (status == PAUSED) return PAUSED;
    isCounting = false;
    const begun = begin();
    if (begun != DONE) return begun;
  }
  while (writer.part < PARTS) {
    const status = writePart();
    if (status != DONE) return status;
    writer.enter(writer.part + 1);
    if (!openPart()) return corrupt();
  }
  if (writer.outputPages > 0) return PAUSED;
  writer.finish();
  return DONE;
}

/** Gives back all memory, the run being whole or not. */
export function mergeEnd(): void {
  writer.end();
}

function corrupt(): i32 {
  mergeRun = badRun;
  return CORRUPT;
}

function misfit(run: u32): i32 {
  mergeRun = run;
  return MISFIT;
}

/** Lays the parts out, and begins with the first. */
function begin(): i32 {
  const idPages = pagesFor(PART_IDS, eventCount);
  const headPages = pagesFor(PART_HEADS, headCount);
  idFilterBlocks = filterBlocks(eventCount);
  headFilterBlocks = filterBlocks(headCount);
  idFilter = takeZeros(<u64>idFilterBlocks * FILTER_BLOCK_SIZE);
  headFilter = takeZeros(<u64>headFilterBlocks * FILTER_BLOCK_SIZE);
  idFences = takeZeros(idPages * FENCE_SIZE);
  headFences = takeZeros(headPages * FENCE_SIZE);
  if (idFilter == 0 || headFilter == 0 || idFences == 0 || headFences == 0) return NO_MEMORY;
  const oldest = runHeader(0);
  const newest = runHeader(runCount - 1);
  writer.cover(
    load<u64>(oldest, HEADER_FROM), load<u64>(newest, HEADER_TO), load<u64>(newest, HEADER_END_OFFSET),
    load<u32>(newest, HEADER_CRC), load<u32>(newest, HEADER_SPAN), load<u64>(newest, HEADER_RECORDED_AT),
  );
  writer.setPartitions(load<u32>(newest, HEADER_PARTITIONS));
  writer.setNewStreams(newStreamCount);
  memory.copy(writer.storeId(), newest + HEADER_STORE_ID, STORE_ID_SIZE);
  writer.lay(PART_IDS, eventCount);
  writer.lay(PART_HEADS, headCount);
  writer.lay(PART_PLACES, eventCount);
  writer.lay(PART_KEYS, keyCount);
  writer.lay(PART_PARTITIONS, partitionCount);
  writer.lay(PART_PARTITION_PLACES, eventCount);
  writer.lay(PART_POSITIONS, eventCount);
  writer.lay(PART_ORDER, newStreamCount);
  writer.lay(PART_TIMES, timesCount);
  writer.lay(PART_ID_FILTER, idFilterBlocks);
  writer.lay(PART_HEAD_FILTER, headFilterBlocks);
  writer.lay(PART_ID_FENCES, idPages);
  writer.lay(PART_HEAD_FENCES, headPages);
  writer.start();
  return openPart() ? DONE : corrupt();
}

function takeZeros(size: u64): usize {
  if (size > u32.MAX_VALUE) return 0;
  const area = writer.take(<usize>size);
  if (area != 0) memory.fill(area, 0, <usize>size);
  return area;
}

// ── part by part ──────────────────────────────────────────────────────────────────────────────────

/** Goes to the beginning of what the part is made of. */
function openPart(): bool {
  const part = writer.part;
  placeIndex = 0;
  keyIndex = 0;
  lastLow = 0;
  lastHigh = 0;
  copyRun = u32.MAX_VALUE;
  copyLeft = 0;
  copyMember = 0;
  if (part == PART_IDS || part == PART_HEADS || part == PART_PARTITIONS || part == PART_TIMES) return groupsOpen(part);
  if (part == PART_PLACES) return groupsOpen(PART_HEADS) && dataOpen(part);
  if (part == PART_KEYS) return writer.left() == 0 || (groupsOpen(PART_HEADS) && dataOpen(part));
  if (part == PART_PARTITION_PLACES) return groupsOpen(PART_PARTITIONS) && dataOpen(part);
  if (part == PART_POSITIONS || part == PART_ORDER) return dataOpen(part);
  return true;
}

/** Writes the part as far as the output takes it: DONE when it is whole, PAUSED, or why it cannot go on. */
function writePart(): i32 {
  const part = writer.part;
  if (part == PART_ID_FILTER) return writer.copy(idFilter) ? DONE : PAUSED;
  if (part == PART_HEAD_FILTER) return writer.copy(headFilter) ? DONE : PAUSED;
  if (part == PART_ID_FENCES) return writer.copy(idFences) ? DONE : PAUSED;
  if (part == PART_HEAD_FENCES) return writer.copy(headFences) ? DONE : PAUSED;
  while (writer.left() > 0) {
    if (writer.isFull()) return PAUSED;
    const status = writePage(part, writer.page(), writer.pageEntries());
    if (status != DONE) return status;
  }
  if (part == PART_PLACES || part == PART_PARTITION_PLACES || part == PART_POSITIONS || part == PART_ORDER) {
    return dataIsDone() ? DONE : misfit(runCount - 1);
  }
  return DONE;
}

function writePage(part: u32, page: usize, entries: u32): i32 {
  let status: i32;
  if (part == PART_IDS) status = writeIds(page, entries);
  else if (part == PART_HEADS) status = writeHeads(page, entries);
  else if (part == PART_KEYS) status = writeKeys(page, entries);
  else if (part == PART_PARTITIONS) status = writePartitions(page, entries);
  else if (part == PART_TIMES) status = writeTimes(page, entries);
  else status = writePlaces(part, page, entries);
  if (status == DONE) writer.seal(entries);
  return status;
}

function writeIds(page: usize, entries: u32): i32 {
  const end = page + <usize>entries * ID_SIZE;
  for (let out = page; out < end; out += ID_SIZE) {
    const slot = smallestSlot();
    const entry = keyCursor(activeRun(slot)).at;
    const low = load<u64>(entry);
    const high = load<u32>(entry, 8);
    if (low < lastLow || (low == lastLow && high <= lastHigh && writer.done + (out - page) > 0)) return misfit(activeRun(slot));
    lastLow = low;
    lastHigh = high;
    store<u64>(out, low);
    store<u32>(out, high, 8);
    store<u64>(out, load<u64>(entry, 12), 12);
    filterAdd(idFilter, idFilterBlocks, low, high);
    if (!activeSkip(slot)) return corrupt();
  }
  store<u32>(idFences + <usize>pagesFor(PART_IDS, writer.done) * FENCE_SIZE, <u32>(load<u64>(page) >> 32));
  return DONE;
}

function writeHeads(page: usize, entries: u32): i32 {
  store<u64>(page, placeIndex);
  let head = page + HEADS_START;
  for (let i: u32 = 0; i < entries; i++) {
    if (!groupsNext()) return corrupt();
    const first = memberEntry(0);
    let events: u32 = 0;
    for (let member: u32 = 0; member < groupSize; member++) events += load<u32>(memberEntry(member), HEAD_COUNT);
    const low = load<u64>(first);
    const high = load<u32>(first, 8);
    store<u64>(head, low);
    store<u32>(head, high, 8);
    store<u32>(head, events, HEAD_COUNT);
    store<u64>(head, load<u64>(first, HEAD_FACTS), HEAD_FACTS);
    store<u32>(head, load<u32>(first, HEAD_KEY) != 0 ? ++keyIndex : 0, HEAD_KEY);
    filterAdd(headFilter, headFilterBlocks, low, high);
    placeIndex += events;
    head += HEAD_SIZE;
  }
  store<u32>(headFences + <usize>pagesFor(PART_HEADS, writer.done) * FENCE_SIZE, <u32>(load<u64>(page, HEADS_START) >> 32));
  return DONE;
}

/** A stream's key is the same in all runs: the oldest's is taken, the others' are passed over. */
function writeKeys(page: usize, entries: u32): i32 {
  for (let i: u32 = 0; i < entries; ) {
    if (!groupsNext()) return corrupt();
    if (load<u32>(memberEntry(0), HEAD_KEY) == 0) continue;
    for (let member: u32 = 0; member < groupSize; member++) {
      const key = dataCursor(memberAt(member));
      if (key.left == 0) return misfit(memberAt(member));
      const out = page + <usize>i * KEY_SIZE;
      if (member == 0) memory.copy(out, key.at, KEY_SIZE);
      else if (memory.compare(out, key.at, KEY_SIZE) != 0) return misfit(memberAt(member));
      if (!key.skip(1)) return corrupt();
    }
    i++;
  }
  return DONE;
}

function writePartitions(page: usize, entries: u32): i32 {
  for (let i: u32 = 0; i < entries; i++) {
    if (!groupsNext()) return corrupt();
    const entry = page + <usize>i * PARTITION_SIZE;
    let events: u32 = 0;
    for (let member: u32 = 0; member < groupSize; member++) events += load<u32>(memberEntry(member), PARTITION_COUNT);
    store<u32>(entry, load<u32>(memberEntry(0)));
    store<u32>(entry, events, PARTITION_COUNT);
    store<u64>(entry, load<u64>(memberEntry(0), PARTITION_SEQUENCE), PARTITION_SEQUENCE);
    store<u64>(entry, placeIndex, PARTITION_START);
    placeIndex += events;
  }
  return DONE;
}

/** A stretch that began in one run may go on in the next. */
function writeTimes(page: usize, entries: u32): i32 {
  for (let i: u32 = 0; i < entries; i++) {
    if (!groupsNext()) return corrupt();
    const entry = page + <usize>i * TIMES_SIZE;
    memory.copy(entry, memberEntry(0), TIMES_SIZE);
    for (let member: u32 = 1; member < groupSize; member++) {
      const other = memberEntry(member);
      store<u64>(entry, min(load<u64>(entry, TIMES_SMALLEST), load<u64>(other, TIMES_SMALLEST)), TIMES_SMALLEST);
      store<u64>(entry, max(load<u64>(entry, TIMES_LARGEST), load<u64>(other, TIMES_LARGEST)), TIMES_LARGEST);
    }
  }
  return DONE;
}

function writePlaces(part: u32, page: usize, entries: u32): i32 {
  const end = page + <usize>entries * PLACE_SIZE;
  let out = page;
  while (out < end) {
    while (copyLeft == 0) {
      const found = part == PART_POSITIONS || part == PART_ORDER ? nextRun(part) : nextMember(part);
      if (!found) return corrupt();
    }
    const places = dataCursor(copyRun);
    if (places.left == 0) return misfit(copyRun);
    const count = <u32>min<u64>(min<u32>(places.left, <u32>((end - out) / PLACE_SIZE)), copyLeft);
    copyPlaces(out, places.at, count);
    if (part == PART_PARTITION_PLACES && losesTags(copyRun)) untag(out, count);
    out += <usize>count * PLACE_SIZE;
    copyLeft -= count;
    if (!places.skip(count)) return corrupt();
  }
  return DONE;
}

@inline function copyPlaces(out: usize, places: usize, count: u32): void {
  if (count >= PLACES_COPIED_SINGLY) {
    memory.copy(out, places, <usize>count * PLACE_SIZE);
    return;
  }
  for (let i: usize = 0; i < <usize>count * PLACE_SIZE; i += PLACE_SIZE) store<u64>(out + i, load<u64>(places + i));
}

@inline function endOffsetOf(run: u32): u64 {
  return load<u64>(runHeader(run), HEADER_END_OFFSET);
}

/** Whether a run's places of partitions have tags, and those of what comes out cannot. */
@inline function losesTags(run: u32): bool {
  return !isTagged(endOffsetOf(runCount - 1)) && isTagged(endOffsetOf(run));
}

function untag(places: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const place = places + <usize>i * PLACE_SIZE;
    store<u64>(place, untagPlace(load<u64>(place)));
  }
}

/** All that the next run has comes next. */
function nextRun(part: u32): bool {
  copyRun++;
  assert(copyRun < runCount); // as many entries are written as the runs have together
  copyLeft = partEntries(runHeader(copyRun), part);
  return true;
}

/** What the next run has for the same stream or partition comes next, or for the next one. */
function nextMember(part: u32): bool {
  if (copyRun != u32.MAX_VALUE) copyMember++;
  if (copyRun == u32.MAX_VALUE || copyMember == groupSize) {
    if (!groupsNext()) return false;
    assert(groupSize > 0); // as many places were counted as are written
    copyMember = 0;
  }
  copyRun = memberAt(copyMember);
  copyLeft = load<u32>(memberEntry(copyMember) + (part == PART_PLACES ? HEAD_COUNT : PARTITION_COUNT));
  return true;
}
