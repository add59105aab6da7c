// Who waits for an event: streams that somebody subscribes to by name, each with a number of the shell's, so that an
// append finds its subscribers without walking all of them; patterns, of which each is tried once an event,
// however many share it; and partitions. The index has the hash of each new event's stream, so that an event for which
// nobody waits is not looked at.
//
//   slot    0 hashLow u64 │ 8 hashHigh u32 │ 12 topic + 1 u32, 0 when free; open addressing, at most half full
//   hit     0 position f64 │ 8 version f64, of a partition's hit its sequence │ 16 kind u32 │ 20 topic, pattern or partition u32
//           24 bytes of the event's texts u32 │ 28 –
//   partition  1 where somebody listens to it, u8
//
// server/store/live-index.ts reads the hits.
import { DONE, NEED_OUTPUT } from "./status";
import {
  viewClear, viewKey, viewMetadataSize, viewNameSize, viewPayloadSize, viewSequence, viewStream, viewStreamSize, viewVersion,
} from "./event";
import { globMatches } from "./glob";
import { hash, hashHigh, hashLow } from "./hash";
import { allocate, allocateReserved, release } from "./memory";
import { memtableStreamAt, partitionOf, streamHash } from "./memtable";
import { showEvent } from "./scan";
import { uuidEquals } from "./uuid";

const SLOT_SIZE: usize = 16;
const SLOT_HASH_HIGH: usize = 8;
const SLOT_TOPIC: usize = 12;
const SLOTS_MIN: u32 = 256;

const HIT_SIZE: usize = 32;
const HIT_OF_TOPIC: u32 = 0;
const HIT_OF_PATTERN: u32 = 1;
const HIT_OF_PARTITION: u32 = 2;

let slots: usize = 0;
let slotCount: u32 = 0;
let topicCount: u32 = 0;
let partitions: usize = 0;

export function topicsInit(partitionCount: u32): void {
  partitions = allocateReserved(partitionCount);
  memory.fill(partitions, 0, partitionCount);
}

/** Says whether anybody listens to a partition. */
export function partitionListen(partition: u32, isOn: bool): void {
  store<u8>(partitions + partition, isOn ? 1 : 0);
}

/** The topic of a stream: the number given, or the one that it has already; -1 where memory is refused. */
export function topicAdd(stream: usize, size: usize, number: u32): i32 {
  if (topicCount * 2 >= slotCount && !grow()) return -1;
  hash(stream, size);
  const slot = find(hashLow, hashHigh);
  const known = load<u32>(slot, SLOT_TOPIC);
  if (known != 0) return <i32>known - 1;
  put(slot, hashLow, hashHigh, number + 1);
  topicCount++;
  return <i32>number;
}

/** Forgets the topic of a stream, which has one. */
export function topicRemove(stream: usize, size: usize): void {
  assert(slotCount > 0);
  hash(stream, size);
  let gap = find(hashLow, hashHigh);
  assert(load<u32>(gap, SLOT_TOPIC) != 0);
  topicCount--;
  // The gap is closed (Knuth 6.4, algorithm R), so that a probe never passes a slot that was emptied.
  let next = gap;
  while (true) {
    store<u32>(gap, 0, SLOT_TOPIC);
    while (true) {
      next = following(next);
      if (load<u32>(next, SLOT_TOPIC) == 0) return;
      const distance = (indexOf(next) - home(load<u64>(next))) & (slotCount - 1);
      if (distance >= ((indexOf(next) - indexOf(gap)) & (slotCount - 1))) break;
    }
    memory.copy(gap, next, SLOT_SIZE);
    gap = next;
  }
}

@inline function home(low: u64): u32 {
  return <u32>low & (slotCount - 1);
}

@inline function indexOf(slot: usize): u32 {
  return <u32>((slot - slots) / SLOT_SIZE);
}

@inline function following(slot: usize): usize {
  const next = slot + SLOT_SIZE;
  return next == slots + <usize>slotCount * SLOT_SIZE ? slots : next;
}

/** The slot of a hash, or the free one where it belongs. */
function find(low: u64, high: u32): usize {
  let slot = slots + <usize>home(low) * SLOT_SIZE;
  while (load<u32>(slot, SLOT_TOPIC) != 0 && (load<u64>(slot) != low || load<u32>(slot, SLOT_HASH_HIGH) != high)) {
    slot = following(slot);
  }
  return slot;
}

@inline function put(slot: usize, low: u64, high: u32, value: u32): void {
  store<u64>(slot, low);
  store<u32>(slot, high, SLOT_HASH_HIGH);
  store<u32>(slot, value, SLOT_TOPIC);
}

function grow(): bool {
  const oldSlots = slots;
  const oldCount = slotCount;
  const count = max(SLOTS_MIN, oldCount * 2);
  const fresh = allocate(<usize>count * SLOT_SIZE);
  if (fresh == 0) return false;
  memory.fill(fresh, 0, <usize>count * SLOT_SIZE);
  slots = fresh;
  slotCount = count;
  for (let i: u32 = 0; i < oldCount; i++) {
    const old = oldSlots + <usize>i * SLOT_SIZE;
    const value = load<u32>(old, SLOT_TOPIC);
    if (value != 0) put(find(load<u64>(old), load<u32>(old, SLOT_HASH_HIGH)), load<u64>(old), load<u32>(old, SLOT_HASH_HIGH), value);
  }
  if (oldCount > 0) release(oldSlots, <usize>oldCount * SLOT_SIZE);
  return true;
}

// ── the batch in flight ───────────────────────────────────────────────────────────────────────────

/** The position with which `topicsCollect` goes on. */
export let collectedPosition: u64 = 0;
/** Where the hits written by it end. */
export let collectedTail: usize = 0;

/**
 * Writes who waits for the events from position `from` on, below `to`, which are in flight: they lie in memory, and were
 * just made. A pattern is its size u32 and its bytes, padded to a multiple of 4. NEED_OUTPUT: the area is full, call again.
 */
export function topicsCollect(from: u64, to: u64, out: usize, outEnd: usize, patterns: usize, patternCount: u32): i32 {
  viewClear(); // what is in flight lies where other frames lay
  collectedTail = out;
  let position = from;
  while (position < to) {
    if (collectedTail + <usize>(patternCount + 2) * HIT_SIZE > outEnd) break;
    const stream = memtableStreamAt(position);
    const topic = topicOf(stream);
    const partition = partitionOf(streamHash(stream));
    const isListened = load<u8>(partitions + partition) != 0;
    if (topic != 0 || patternCount > 0 || isListened) {
      const status = showEvent(<f64>position);
      assert(status == DONE);
      if (topic != 0) hit(position, viewVersion, HIT_OF_TOPIC, topic - 1);
      tryPatterns(position, patterns, patternCount);
      if (isListened) hit(position, viewSequence, HIT_OF_PARTITION, partition);
    }
    position++;
  }
  viewClear();
  collectedPosition = position;
  return position == to ? DONE : NEED_OUTPUT;
}

/** The topic of a stream of the index, which begins with its hash, + 1; 0 where it has none. */
@inline function topicOf(stream: usize): u32 {
  return topicCount == 0 ? 0 : load<u32>(find(load<u64>(stream), load<u32>(stream, 8)), SLOT_TOPIC);
}

/** Writes a hit for each pattern that takes the shown event. */
function tryPatterns(position: u64, pattern: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const size: usize = load<u32>(pattern);
    if (globMatches(pattern + 4, size, viewStream, viewStreamSize)) hit(position, viewVersion, HIT_OF_PATTERN, i);
    pattern += (4 + size + 3) & ~3;
  }
}

@inline function hit(position: u64, number: u64, kind: u32, which: u32): void {
  const out = collectedTail;
  store<f64>(out, <f64>position);
  store<f64>(out, <f64>number, 8);
  store<u32>(out, kind, 16);
  store<u32>(out, which, 20);
  store<u32>(out, <u32>(viewStreamSize + viewNameSize + viewPayloadSize + viewMetadataSize), 24);
  collectedTail = out + HIT_SIZE;
}

/** Whether the event at a position, which is in flight, has this partition key. */
export function flightKeyIs(position: f64, key: usize): bool {
  viewClear();
  const status = showEvent(position);
  assert(status == DONE);
  const isKey = uuidEquals(viewKey(), key);
  viewClear();
  return isKey;
}
