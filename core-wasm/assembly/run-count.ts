// Counts what a merged run will hold, before its first page is written, and checks that the runs go together: what a stream
// or a partition has in one run must go on where the one before it ends.
import { PART_HEADS, PART_PARTITIONS, PART_TIMES } from "./run-format";
import { groupSize, groupsNext, groupsOpen, memberAt, memberEntry } from "./run-cursor";
import { CORRUPT, DONE, MISFIT, PAUSED } from "./status";

/** Keys that one call counts at the most. */
const COUNTED_PER_CALL: u32 = 1 << 16;

// Offsets in an entry of PART_HEADS and of PART_PARTITIONS.
export const HEAD_COUNT: usize = 12;
export const HEAD_FACTS: usize = 16;
export const HEAD_KEY: usize = 24;
export const PARTITION_COUNT: usize = 4;
export const PARTITION_SEQUENCE: usize = 8;
export const PARTITION_START: usize = 16;

export let headCount: u64 = 0;
export let keyCount: u64 = 0;
export let partitionCount: u64 = 0;
export let timesCount: u64 = 0;
/** After MISFIT: the run that does not go on from those before it. */
export let misfitRun: u32 = 0;

/** The part whose keys are counted, and how many events those that were have together; all runs have `eventCount`. */
let counting: u32 = 0;
let counted: u64 = 0;
let eventCount: u64 = 0;
/** For each run how many keys its heads have named, u64. */
const keysNamed: usize = memory.data(16 * sizeof<u64>(), 8);

/** Begins, with runs that have so many events together; false where a page is damaged. */
export function countOpen(events: u64): bool {
  eventCount = events;
  headCount = keyCount = partitionCount = timesCount = counted = 0;
  memory.fill(keysNamed, 0, 16 * sizeof<u64>());
  counting = PART_HEADS;
  return groupsOpen(PART_HEADS);
}

/** Counts some more: PAUSED, DONE when all is counted, CORRUPT, MISFIT. */
export function countSome(): i32 {
  for (let i: u32 = 0; i < COUNTED_PER_CALL; i++) {
    if (!groupsNext()) return CORRUPT;
    if (groupSize > 0) {
      if (!countGroup()) return MISFIT;
      continue;
    }
    if (counting == PART_TIMES) return DONE;
    if (counted != eventCount) return MISFIT; // the last run that was looked at has more or less than it says
    counting = counting == PART_HEADS ? PART_PARTITIONS : PART_TIMES;
    counted = 0;
    if (!groupsOpen(counting)) return CORRUPT;
  }
  return PAUSED;
}

function countGroup(): bool {
  if (counting == PART_HEADS) return countHead();
  if (counting == PART_PARTITIONS) return countPartition();
  timesCount++;
  return true;
}

/** A stream's versions must go on from run to run, and what never changes be the same. */
function countHead(): bool {
  const first = memberEntry(0);
  let nextVersion = load<u64>(first, HEAD_FACTS) >> 16;
  const hash16 = load<u16>(first, HEAD_FACTS);
  const hasKey = load<u32>(first, HEAD_KEY) != 0;
  let events: u64 = 0;
  for (let i: u32 = 0; i < groupSize; i++) {
    const entry = memberEntry(i);
    const own = load<u32>(entry, HEAD_COUNT);
    const facts = load<u64>(entry, HEAD_FACTS);
    misfitRun = memberAt(i);
    if (facts >> 16 != nextVersion || <u16>facts != hash16 || own == 0) return false;
    if (!namesKey(misfitRun, load<u32>(entry, HEAD_KEY), hasKey)) return false;
    nextVersion += own;
    events += own;
  }
  headCount++;
  if (hasKey) keyCount++;
  counted += events;
  return events <= u32.MAX_VALUE;
}

/** Keys lie in the order in which heads name them. */
function namesKey(run: u32, key: u32, hasKey: bool): bool {
  if (!hasKey) return key == 0;
  const named = keysNamed + (<usize>run << 3);
  store<u64>(named, load<u64>(named) + 1);
  return <u64>key == load<u64>(named);
}

/** A partition's sequences must go on from run to run. */
function countPartition(): bool {
  let nextSequence = load<u64>(memberEntry(0), PARTITION_SEQUENCE);
  let events: u64 = 0;
  for (let i: u32 = 0; i < groupSize; i++) {
    const entry = memberEntry(i);
    const own = load<u32>(entry, PARTITION_COUNT);
    misfitRun = memberAt(i);
    if (load<u64>(entry, PARTITION_SEQUENCE) != nextSequence) return false;
    nextSequence += own;
    events += own;
  }
  partitionCount++;
  counted += events;
  return events <= u32.MAX_VALUE;
}
