// The sequencer: checks a transaction against memory, gives it its numbers, encodes its frame and enters it in
// the tables, in one call. Nothing races, since there is one event loop; what is refused leaves no trace.
import {
  DONE, DUPLICATE, ID_TWICE, INDEX_BEHIND, NO_MEMORY, NO_ROOM, REPEATED, WRONG_KEY, WRONG_VERSION,
} from "./status";
import {
  EVENTS_MAX, EXPECTED_ANY, EXPECTED_EMPTY, EXPECTED_EXISTS, REQUEST_EVENT_ID, REQUEST_EXPECTED_KIND, REQUEST_EXPECTED_VERSION,
  REQUEST_HAS_EVENT_ID, REQUEST_HAS_TIMESTAMP, REQUEST_METADATA, REQUEST_METADATA_SIZE, REQUEST_NAME, REQUEST_NAME_SIZE,
  REQUEST_PAYLOAD, REQUEST_PAYLOAD_SIZE, REQUEST_STREAM, REQUEST_STREAM_SIZE, REQUEST_TIMESTAMP, RESULT_ENTRY, RESULT_EVENT_ID, RESULT_EXISTS,
  RESULT_EXPLICIT, RESULT_FIRST_ROW, RESULT_HASH_HIGH, RESULT_HASH_LOW, RESULT_KEY, RESULT_NEXT, RESULT_PARTITION, RESULT_SEQUENCE,
  RESULT_STREAM_EVENTS, RESULT_TIMESTAMP, RESULT_VERSION, requestKey, requestRow, resultRow,
} from "./request";
import { hash, hashHigh, hashLow } from "./hash";
import { UUID_SIZE, partitionHash, uuidCopy, uuidEquals, uuidV4, uuidV7 } from "./uuid";
import {
  FLAG_EXPLICIT_KEY, FLAG_KEY_PER_EVENT, FRAME_COUNT, FRAME_HEAD_SIZE, KIND_EVENTS, frameClose, frameOpen, framePosition,
  frameRecordedAt,
} from "./frame";
import {
  EVENT_EXPLICIT_KEY, EVENT_FIXED_MAX, FRAME_FIXED_MAX, defaultKey, keyWrite, varintWrite, viewClear, viewEvent, viewEventId,
  viewExplicitKey, viewHash, viewKey, viewName, viewNameSize, viewPayload, viewPayloadSize, viewSequence, viewStream,
  viewStreamSize, viewTimestamp, viewTransactionId, viewVersion, zigzag,
} from "./event";
import { eventIdFind, foundPlace, headKey, headNext, headStream, placeIndex, placeOffset, streamFind } from "./lookup";
import {
  APPEND_SPARE_BYTES, MEMTABLES_MAX, active, eventInsert, memtableCanOpen, memtableCount, memtableEnterIds, memtableIsFull, memtableReserve, memtableSeal, partitionNextSequence, partitionOf, streamHash, streamInsert,
} from "./memtable";
import {
  batchAdd, batchHasRoom, batchReserve, durableDistance, durableOffset, lastRecordedAt, logOffset, nextPosition, previousCrc, previousEnd,
  previousSpan,
} from "./batch";
import { foundFrame, frameOf } from "./cache";
import { allocateReserved } from "./memory";
import { timesAdd } from "./times";

/** Which event of the request was refused. */
export let failedIndex: u32 = 0;
/** WRONG_VERSION: the stream's current version, -1 when it is empty. */
export let failedVersion: i64 = 0;
/** DUPLICATE: where the id stands, or -1 where it is new to a transaction that others of its ids repeat. */
export let failedPosition: i64 = 0;

/** NO_ROOM: most bytes that the transaction's frame may take. */
export let neededSize: usize = 0;

/** Position and recorded_at of the last transaction, appended or repeated. */
export let resultPosition: u64 = 0;
export let resultRecordedAt: u64 = 0;
/** Whether the transaction that was repeated is not synced yet. */
export let repeatIsPending: bool = false;

/** Open addressing for what comes twice in one request; twice as many slots as events. */
let scratchTable: usize = 0;
let scratchMask: u32 = 0;

export function sequencerInit(): void {
  scratchTable = allocateReserved(EVENTS_MAX * 2 * sizeof<u32>());
}

/** Seals the active memtable where it is full: DONE, or why it cannot be done now. */
export function sealFull(): i32 {
  if (!memtableIsFull()) return DONE;
  if (memtableCount == MEMTABLES_MAX) return INDEX_BEHIND;
  if (!memtableEnterIds(active) || !memtableCanOpen()) return NO_MEMORY;
  memtableSeal(previousEnd, previousCrc, previousSpan, lastRecordedAt);
  return DONE;
}

/**
 * Appends the `count` events of the request table as one transaction, at `nowMs` by the server's clock. With
 * `hasKey` all have `requestKey`; else each stream keeps its own, or gets its default.
 */
export function append(count: u32, hasKey: bool, nowMs: u64): i32 {
  assert(count > 0 && count <= EVENTS_MAX);
  const sealed = sealFull();
  if (sealed != DONE) return sealed;
  const repeat = checkEventIds(count);
  if (repeat != DONE) return repeat;
  const check = count == 1 ? checkEvent(0, hasKey) : checkEvents(count, hasKey);
  if (check != DONE) return check;
  const size = frameSizeMax(count);
  if (!batchHasRoom(size)) {
    neededSize = size;
    return NO_ROOM;
  }
  const frame = batchReserve(size);
  if (frame == 0 || !memtableReserve(count, APPEND_SPARE_BYTES)) return NO_MEMORY;
  const recordedAt = max(nowMs, lastRecordedAt);
  resultPosition = nextPosition;
  resultRecordedAt = recordedAt;
  if (count == 1) enterEvent(0, nowMs, recordedAt);
  else for (let i: u32 = 0; i < count; i++) enterEvent(i, nowMs, recordedAt);
  const keyPerEvent = count > 1 && !hasKey;
  const explicit = count > 1 ? hasKey : load<u32>(resultRow(0), RESULT_EXPLICIT) != 0;
  const flags = keyPerEvent ? FLAG_KEY_PER_EVENT : explicit ? FLAG_EXPLICIT_KEY : 0;
  frameOpen(frame, KIND_EVENTS, flags, count, nextPosition, recordedAt, previousCrc, durableDistance());
  const length = encodeEvents(frame, count, keyPerEvent, explicit, recordedAt);
  assert(length <= size);
  const crc = frameClose(frame, length, logOffset);
  batchAdd(length, crc, count, recordedAt);
  return DONE;
}

// ── event ids ─────────────────────────────────────────────────────────────────────────────────────

/** DONE where no given id is known; REPEATED or DUPLICATE (or the read's status) where one is. */
function checkEventIds(count: u32): i32 {
  let given: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const row = requestRow(i);
    if (load<u32>(row, REQUEST_HAS_EVENT_ID) == 0) continue;
    given++;
    hash(row + REQUEST_EVENT_ID, UUID_SIZE);
    if (!eventIdFind(hashLow, hashHigh)) continue;
    const place = foundPlace;
    if (given > 1 && idComesTwice(count)) return ID_TWICE;
    return checkRepeat(count, i, place);
  }
  return given > 1 && idComesTwice(count) ? ID_TWICE : DONE;
}

function idComesTwice(count: u32): bool {
  scratchClear(count);
  for (let i: u32 = 0; i < count; i++) {
    const id = requestRow(i) + REQUEST_EVENT_ID;
    if (load<u32>(requestRow(i), REQUEST_HAS_EVENT_ID) == 0) continue;
    hash(id, UUID_SIZE);
    let slot = hashHigh & scratchMask;
    while (true) {
      const found = load<u32>(scratchTable + (slot << 2));
      if (found == 0) break;
      if (uuidEquals(requestRow(found - 1) + REQUEST_EVENT_ID, id)) {
        failedIndex = i;
        return true;
      }
      slot = (slot + 1) & scratchMask;
    }
    store<u32>(scratchTable + (slot << 2), i + 1);
  }
  return false;
}

function scratchClear(count: u32): void {
  let capacity: u32 = 4;
  while (capacity < count * 2) capacity <<= 1;
  scratchMask = capacity - 1;
  memory.fill(scratchTable, 0, capacity * sizeof<u32>());
}

/** The request's event `index` has the id of the event at `place`: is the request that whole transaction? */
function checkRepeat(count: u32, index: u32, place: u64): i32 {
  const found = frameOf(place);
  if (found != DONE) return found;
  const frame = foundFrame;
  failedIndex = index;
  failedPosition = framePosition(frame) + placeIndex(place);
  viewClear(); // a frame that is not synced yet may lie where another one lay
  if (load<u16>(frame, FRAME_COUNT) != count || placeIndex(place) != index) return DUPLICATE;
  for (let i: u32 = 0; i < count; i++) {
    viewEvent(frame, i);
    if (!sameEvent(requestRow(i))) {
      return nameOther(i);
    }
  }
  resultPosition = framePosition(frame);
  resultRecordedAt = frameRecordedAt(frame);
  repeatIsPending = placeOffset(place) >= durableOffset;
  for (let i: u32 = 0; i < count; i++) {
    viewEvent(frame, i);
    resultFromView(resultRow(i));
  }
  viewClear();
  return REPEATED;
}

/** DUPLICATE, which names the differing event where that gives an id of its own, with its place if it has one. */
function nameOther(index: u32): i32 {
  const row = requestRow(index);
  if (load<u32>(row, REQUEST_HAS_EVENT_ID) == 0) return DUPLICATE;
  hash(row + REQUEST_EVENT_ID, UUID_SIZE);
  failedIndex = index;
  failedPosition = -1;
  if (!eventIdFind(hashLow, hashHigh)) return DUPLICATE;
  const place = foundPlace;
  const found = frameOf(place);
  if (found != DONE) return found;
  failedPosition = framePosition(foundFrame) + placeIndex(place);
  return DUPLICATE;
}

function sameEvent(row: usize): bool {
  if (load<u32>(row, REQUEST_HAS_EVENT_ID) != 0 && !uuidEquals(row + REQUEST_EVENT_ID, viewEventId)) return false;
  return sameText(load<u32>(row, REQUEST_STREAM), load<u32>(row, REQUEST_STREAM_SIZE), viewStream, viewStreamSize) &&
    sameText(load<u32>(row, REQUEST_NAME), load<u32>(row, REQUEST_NAME_SIZE), viewName, viewNameSize) &&
    sameText(load<u32>(row, REQUEST_PAYLOAD), load<u32>(row, REQUEST_PAYLOAD_SIZE), viewPayload, viewPayloadSize);
}

@inline function sameText(one: usize, oneSize: usize, other: usize, otherSize: usize): bool {
  return oneSize == otherSize && memory.compare(one, other, oneSize) == 0;
}

function resultFromView(row: usize): void {
  uuidCopy(row + RESULT_EVENT_ID, viewEventId);
  uuidCopy(row + RESULT_KEY, viewKey());
  store<f64>(row, <f64>viewSequence, RESULT_SEQUENCE);
  store<f64>(row, <f64>viewVersion, RESULT_VERSION);
  store<f64>(row, <f64>viewTimestamp, RESULT_TIMESTAMP);
  store<u32>(row, partitionOf(viewHash), RESULT_PARTITION);
  store<u32>(row, viewExplicitKey != 0 ? 1 : 0, RESULT_EXPLICIT);
}

// ── keys and versions ─────────────────────────────────────────────────────────────────────────────

function checkEvents(count: u32, hasKey: bool): i32 {
  scratchClear(count);
  for (let i: u32 = 0; i < count; i++) {
    const status = checkEvent(i, hasKey);
    if (status != DONE) return status;
  }
  return DONE;
}

/**
 * Finds the event's stream, its key and its version: what the stream has, and what the transaction's earlier
 * events add to it.
 */
function checkEvent(index: u32, hasKey: bool): i32 {
  const request = requestRow(index);
  const row = resultRow(index);
  const stream: usize = load<u32>(request, REQUEST_STREAM);
  const streamSize: usize = load<u32>(request, REQUEST_STREAM_SIZE);
  hash(stream, streamSize);
  const low = hashLow;
  const high = hashHigh;
  store<u64>(row, low, RESULT_HASH_LOW);
  store<u32>(row, high, RESULT_HASH_HIGH);
  const first = index == 0 ? startRows() : firstRow(index, low, high);
  const firstPtr = resultRow(first);
  store<u32>(row, first, RESULT_FIRST_ROW);
  let earlier: u32 = 0;
  if (first == index) {
    const exists = streamFind(low, high);
    store<u32>(row, <u32>headStream, RESULT_ENTRY);
    store<u32>(row, exists ? 1 : 0, RESULT_EXISTS);
    store<f64>(row, exists ? <f64>headNext : 0, RESULT_NEXT);
    const status = findKey(index, row, stream, streamSize, hasKey, exists);
    if (status != DONE) return status;
  } else {
    earlier = load<u32>(firstPtr, RESULT_STREAM_EVENTS);
    store<u32>(row, load<u32>(firstPtr, RESULT_ENTRY), RESULT_ENTRY);
    store<u32>(row, load<u32>(firstPtr, RESULT_EXPLICIT), RESULT_EXPLICIT);
    uuidCopy(row + RESULT_KEY, firstPtr + RESULT_KEY);
  }
  store<u32>(firstPtr, earlier + 1, RESULT_STREAM_EVENTS);
  const version = <u64>load<f64>(firstPtr, RESULT_NEXT) + earlier;
  store<f64>(row, <f64>version, RESULT_VERSION);
  return checkVersion(index, request, <i64>version - 1);
}

/** The first row needs no look at others; the table is begun only where more follow. */
function startRows(): u32 {
  if (scratchMask != 0) store<u32>(scratchTable + ((load<u32>(resultRow(0), RESULT_HASH_HIGH) & scratchMask) << 2), 1);
  return 0;
}

/** The row of the request's first event of this stream, `index` itself where it is the first. */
function firstRow(index: u32, low: u64, high: u32): u32 {
  let slot = high & scratchMask;
  while (true) {
    const found = load<u32>(scratchTable + (slot << 2));
    if (found == 0) {
      store<u32>(scratchTable + (slot << 2), index + 1);
      return index;
    }
    const other = resultRow(found - 1);
    if (load<u64>(other, RESULT_HASH_LOW) == low && load<u32>(other, RESULT_HASH_HIGH) == high) return found - 1;
    slot = (slot + 1) & scratchMask;
  }
}

function findKey(index: u32, row: usize, stream: usize, streamSize: usize, hasKey: bool, exists: bool): i32 {
  const isDefault = !exists || headKey == 0;
  const ownKey = isDefault ? defaultKey(stream, streamSize) : headKey;
  if (!hasKey || uuidEquals(ownKey, requestKey)) {
    uuidCopy(row + RESULT_KEY, ownKey);
    store<u32>(row, isDefault ? 0 : 1, RESULT_EXPLICIT);
    return DONE;
  }
  if (exists) {
    failedIndex = index;
    uuidCopy(row + RESULT_KEY, ownKey);
    return WRONG_KEY;
  }
  uuidCopy(row + RESULT_KEY, requestKey);
  store<u32>(row, 1, RESULT_EXPLICIT);
  return DONE;
}

@inline function checkVersion(index: u32, request: usize, current: i64): i32 {
  const kind = load<u32>(request, REQUEST_EXPECTED_KIND);
  if (kind == EXPECTED_ANY) return DONE;
  const holds = kind == EXPECTED_EXISTS
    ? current >= 0
    : kind == EXPECTED_EMPTY
      ? current < 0
      : current == <i64>load<f64>(request, REQUEST_EXPECTED_VERSION);
  if (holds) return DONE;
  failedIndex = index;
  failedVersion = current;
  return WRONG_VERSION;
}

// ── numbers and bytes ─────────────────────────────────────────────────────────────────────────────

function frameSizeMax(count: u32): usize {
  let size = FRAME_FIXED_MAX + <usize>count * EVENT_FIXED_MAX;
  for (let i: u32 = 0; i < count; i++) {
    const row = requestRow(i);
    size += load<u32>(row, REQUEST_STREAM_SIZE) + load<u32>(row, REQUEST_NAME_SIZE) +
      load<u32>(row, REQUEST_PAYLOAD_SIZE) + load<u32>(row, REQUEST_METADATA_SIZE);
  }
  return size;
}

/** Gives a checked event its id, sequence and timestamp, and enters it in the tables. */
function enterEvent(index: u32, nowMs: u64, recordedAt: u64): void {
  const request = requestRow(index);
  const row = resultRow(index);
  const hash16 = partitionHash(row + RESULT_KEY);
  const partition = partitionOf(hash16);
  store<u32>(row, partition, RESULT_PARTITION);
  store<f64>(row, <f64>partitionNextSequence(partition), RESULT_SEQUENCE);
  if (load<u32>(request, REQUEST_HAS_EVENT_ID) != 0) uuidCopy(row + RESULT_EVENT_ID, request + REQUEST_EVENT_ID);
  else uuidV7(row + RESULT_EVENT_ID, recordedAt, hash16);
  const hasTimestamp = load<u32>(request, REQUEST_HAS_TIMESTAMP) != 0;
  store<f64>(row, hasTimestamp ? load<f64>(request, REQUEST_TIMESTAMP) : <f64>nowMs, RESULT_TIMESTAMP);
  const first = resultRow(load<u32>(row, RESULT_FIRST_ROW));
  let entry: usize = load<u32>(first, RESULT_ENTRY);
  if (entry == 0) {
    const key = load<u32>(row, RESULT_EXPLICIT) != 0 ? row + RESULT_KEY : 0;
    const isNew = load<u32>(first, RESULT_EXISTS) == 0;
    const next = <u64>load<f64>(first, RESULT_NEXT);
    entry = streamInsert(load<u64>(row, RESULT_HASH_LOW), load<u32>(row, RESULT_HASH_HIGH), key, hash16, next, isNew);
    store<u32>(first, <u32>entry, RESULT_ENTRY);
  }
  assert(streamHash(entry) == hash16);
  hash(row + RESULT_EVENT_ID, UUID_SIZE);
  timesAdd(nextPosition + index, <u64>load<f64>(row, RESULT_TIMESTAMP), recordedAt);
  eventInsert(entry, hashLow, hashHigh, logOffset, index);
}

/** Writes the frame's body; returns the frame's length. */
function encodeEvents(frame: usize, count: u32, keyPerEvent: bool, explicit: bool, recordedAt: u64): usize {
  let ptr = frame + FRAME_HEAD_SIZE;
  uuidV4(ptr);
  ptr += UUID_SIZE;
  if (!keyPerEvent) {
    ptr = keyWrite(ptr, resultRow(0) + RESULT_KEY, explicit);
    ptr = varintWrite(ptr, <u64>load<f64>(resultRow(0), RESULT_SEQUENCE));
  }
  for (let i: u32 = 0; i < count; i++) ptr = encodeEvent(ptr, requestRow(i), resultRow(i), keyPerEvent, recordedAt);
  return ptr - frame;
}

function encodeEvent(ptr: usize, request: usize, row: usize, keyPerEvent: bool, recordedAt: u64): usize {
  const hasOwnKey = keyPerEvent && load<u32>(row, RESULT_EXPLICIT) != 0;
  store<u8>(ptr, hasOwnKey ? EVENT_EXPLICIT_KEY : 0);
  uuidCopy(ptr + 1, row + RESULT_EVENT_ID);
  ptr = varintWrite(ptr + 1 + UUID_SIZE, <u64>load<f64>(row, RESULT_VERSION));
  ptr = varintWrite(ptr, zigzag(<i64>load<f64>(row, RESULT_TIMESTAMP) - <i64>recordedAt));
  const streamSize = load<u32>(request, REQUEST_STREAM_SIZE);
  const nameSize = load<u32>(request, REQUEST_NAME_SIZE);
  const payloadSize = load<u32>(request, REQUEST_PAYLOAD_SIZE);
  const metadataSize = load<u32>(request, REQUEST_METADATA_SIZE);
  store<u8>(ptr, <u8>streamSize);
  store<u8>(ptr, <u8>nameSize, 1);
  ptr = varintWrite(ptr + 2, payloadSize);
  ptr = varintWrite(ptr, metadataSize);
  if (keyPerEvent) {
    ptr = keyWrite(ptr, row + RESULT_KEY, hasOwnKey);
    ptr = varintWrite(ptr, <u64>load<f64>(row, RESULT_SEQUENCE));
  }
  memory.copy(ptr, load<u32>(request, REQUEST_STREAM), streamSize);
  ptr += streamSize;
  memory.copy(ptr, load<u32>(request, REQUEST_NAME), nameSize);
  ptr += nameSize;
  memory.copy(ptr, load<u32>(request, REQUEST_PAYLOAD), payloadSize);
  ptr += payloadSize;
  memory.copy(ptr, load<u32>(request, REQUEST_METADATA), metadataSize);
  return ptr + metadataSize;
}

