// What `verify` asks beyond one run: whether the log's events go on from those before them. A run is held against what the
// log says of the same positions (digest.ts), so a version that the log gives twice, or leaves out, is in the runs too;
// here what a run, or the memtable behind the runs, says of a stream is held against older runs, and so are the ids.
import {
  active, listedPlace, memtableCount, memtableId, memtableRowAt, memtableRows, memtableStreams, rowPlace, streamAt, streamFirst,
  streamHash, streamHashHigh, streamHashLow, streamList,
} from "./memtable";
import { headEntry } from "./digest";
import { IDS_PER_PAGE, ID_SIZE, PART_HEADS, PART_IDS, PART_PLACES } from "./run-format";
import { foundCount, foundFirst, foundHash, partEntries, partPage, runAt, runCount, runFindId, runFindStream, runValue } from "./runs";

/** What is found; server/index/run-check.ts has the texts. */
const GOES_ON: u32 = 0;
const OTHER_VERSION: u32 = 1;
const OTHER_PARTITION: u32 = 2;
const SAME_ID: u32 = 3;

/** Place of the event that does not go on from those before it. */
export let historyPlace: u64 = 0;

/** Whether what a run has goes on from what the runs before it have. */
export function historyCheckRun(index: u32): u32 {
  const run = runAt(index);
  const heads = partEntries(run, PART_HEADS);
  let start: u64 = 0;
  for (let i: u64 = 0; i < heads; i++) {
    const entry = headEntry(run, i);
    const count = load<u32>(entry, 12);
    const facts = load<u64>(entry, 16);
    const found = checkStream(index, load<u64>(entry), load<u32>(entry, 8), facts >> 16, <u32>(facts & 0xffff));
    if (found != GOES_ON) return refuse(found, runValue(run, PART_PLACES, start));
    start += count;
  }
  const ids = partEntries(run, PART_IDS);
  for (let i: u64 = 0; i < ids; i++) {
    const entry = partPage(run, PART_IDS, <u32>(i / IDS_PER_PAGE)) + <usize>(i % IDS_PER_PAGE) * ID_SIZE;
    const place = load<u64>(entry, 12);
    if (runsHaveId(index, load<u64>(entry), load<u32>(entry, 8))) return refuse(SAME_ID, place);
  }
  return GOES_ON;
}

/** Whether what is behind the runs goes on from them, once all of the log is read: into one memtable, with its ids. */
export function historyCheckMemtable(): u32 {
  assert(memtableCount == 1);
  const streams = memtableStreams(active);
  for (let i: u32 = 0; i < streams; i++) {
    const stream = streamAt(active, i);
    const found = checkStream(runCount, streamHashLow(stream), streamHashHigh(stream), streamFirst(stream), streamHash(stream));
    if (found != GOES_ON) return refuse(found, listedPlace(active, streamList(stream), 0));
  }
  const rows = memtableRows(active);
  for (let i: u32 = 0; i < rows; i++) {
    const row = memtableRowAt(active, i);
    const low = load<u64>(row);
    const high = load<u32>(row, 8);
    // Of two rows with one id the table gives one.
    if (memtableId(active, low, high) != row || runsHaveId(runCount, low, high)) return refuse(SAME_ID, rowPlace(row));
  }
  return GOES_ON;
}

function refuse(found: u32, place: u64): u32 {
  historyPlace = place;
  return found;
}

/** Holds a stream's first version, and its partition hash, against the newest of the first `count` runs that has it. */
function checkStream(count: u32, low: u64, high: u32, first: u64, hash16: u32): u32 {
  for (let i = count; i > 0; i--) {
    if (!runFindStream(runAt(i - 1), low, high)) continue;
    if (foundFirst + foundCount != first) return OTHER_VERSION;
    return foundHash == hash16 ? GOES_ON : OTHER_PARTITION;
  }
  return first == 0 ? GOES_ON : OTHER_VERSION;
}

function runsHaveId(count: u32, low: u64, high: u32): bool {
  for (let i = count; i > 0; i--) if (runFindId(runAt(i - 1), low, high)) return true;
  return false;
}
