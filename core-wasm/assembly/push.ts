// What subscribers get: the events at given positions, held against interest and filter, and encoded. An event that
// many are given is encoded once for each encoding: bodies stay in an area until it is full, and a table finds them
// by position.
//
//   row     0 position f64 │ 8 version f64 │ 16 sequence f64 │ 24 body ptr u32 │ 28 size │ 32 stream id ptr u32 │ 36 size
//   kept    0 … row │ 40 encoding u32 │ 44 round u32: the area's, when the body was written
//
// server/store/event-encoder.ts reads the rows.
import { DONE, NEED_OUTPUT, NO_MEMORY, PAUSED } from "./status";
import { eventWrite, eventWriteMax } from "./encoding";
import { viewPosition, viewSequence, viewStream, viewStreamSize, viewVersion } from "./event";
import { filterAdmits, filterUse } from "./filter";
import { globSteps } from "./glob";
import { interestAdmits } from "./interest";
import { allocate } from "./memory";
import { showEvent } from "./scan";
import { decimalWrite, label, put, putNumber } from "./write";

const ROW_SIZE: usize = 40;
const ROW_VERSION: usize = 8;
const ROW_SEQUENCE: usize = 16;
const ROW_BODY: usize = 24;
const ROW_BODY_SIZE: usize = 28;
const ROW_STREAM: usize = 32;
const ROW_STREAM_SIZE: usize = 36;
const KEPT_ENCODING: usize = 40;
const KEPT_ROUND: usize = 44;
const KEPT_SIZE: usize = 48;
const KEPT_COUNT: u32 = 8192;

/** Steps of patterns that count as much as looking at an event. */
const GLOB_STEPS_SHIFT: u32 = 6;

let kept: usize = 0;
let round: u32 = 1;

/** Where the bodies written by the last call end, what it has done, and what the next body needs (NEED_OUTPUT). */
export let pushTail: usize = 0;
export let pushExamined: u32 = 0;
export let pushRows: u32 = 0;
export let pushNeeded: usize = 0;

/** The bodies written so far are gone: their area begins anew. */
export function pushForget(): void {
  round++;
}

/**
 * Examines the events at `count` positions, ascending, and writes a row for each that is taken (interest and filter may
 * be 0); its body goes to `out`, whose area ends at `outEnd`, unless it lies there already. PAUSED after `work` events
 * (costly patterns count too), after `rowsMax` rows, or when their bodies have `bytesMax`, of which the first may have more.
 */
export function pushExamine(
  positions: usize, count: u32, interest: usize, filter: usize, encoding: u32,
  out: usize, outEnd: usize, rows: usize, rowsMax: u32, bytesMax: usize, work: u32,
): i32 {
  pushTail = out;
  pushExamined = 0;
  pushRows = 0;
  if (kept == 0) {
    kept = allocate(<usize>KEPT_COUNT * KEPT_SIZE);
    if (kept == 0) return NO_MEMORY;
    memory.fill(kept, 0, <usize>KEPT_COUNT * KEPT_SIZE);
  }
  if (filter != 0) filterUse(filter);
  const steps = globSteps;
  let bytes: usize = 0;
  while (pushExamined < count) {
    if (pushRows == rowsMax || pushExamined + ((globSteps - steps) >> GLOB_STEPS_SHIFT) >= work) return PAUSED;
    const position = load<f64>(positions + ((<usize>pushExamined) << 3));
    const known = keptAt(<u64>position, encoding);
    const isKept = load<u32>(known, KEPT_ROUND) == round && load<f64>(known) == position && load<u32>(known, KEPT_ENCODING) == encoding;
    if (!isKept || interest != 0 || filter != 0) {
      const status = showEvent(position);
      if (status != DONE) return status;
      if ((interest != 0 && !interestAdmits(interest)) || (filter != 0 && !filterAdmits())) {
        pushExamined++;
        continue;
      }
    }
    if (!isKept) {
      const needed = viewStreamSize + 8 + eventWriteMax(encoding);
      if (pushTail + needed > outEnd) {
        pushNeeded = needed;
        return NEED_OUTPUT;
      }
      keep(known, encoding);
    }
    bytes += load<u32>(known, ROW_BODY_SIZE);
    if (bytes > bytesMax && pushRows > 0) return PAUSED;
    memory.copy(rows + <usize>pushRows * ROW_SIZE, known, ROW_SIZE);
    pushRows++;
    pushExamined++;
  }
  return DONE;
}

@inline function keptAt(position: u64, encoding: u32): usize {
  return kept + <usize>((<u32>position + encoding * 2731) & (KEPT_COUNT - 1)) * KEPT_SIZE;
}

/** Writes the shown event's stream id and body, and where they lie. */
function keep(row: usize, encoding: u32): void {
  const stream = pushTail;
  memory.copy(stream, viewStream, viewStreamSize);
  const body = (stream + viewStreamSize + 7) & ~7;
  pushTail = eventWrite(body, encoding);
  store<f64>(row, <f64>viewPosition());
  store<f64>(row, <f64>viewVersion, ROW_VERSION);
  store<f64>(row, <f64>viewSequence, ROW_SEQUENCE);
  store<u32>(row, <u32>body, ROW_BODY);
  store<u32>(row, <u32>(pushTail - body), ROW_BODY_SIZE);
  store<u32>(row, <u32>stream, ROW_STREAM);
  store<u32>(row, <u32>viewStreamSize, ROW_STREAM_SIZE);
  store<u32>(row, encoding, KEPT_ENCODING);
  store<u32>(row, round, KEPT_ROUND);
}

// ── how RESP carries them ─────────────────────────────────────────────────────────────────────────

/** Bytes of a message beyond its prefix and its texts: numbers, line ends, and what a short copy spills over. */
const MESSAGE_FIXED_MAX: usize = 64;

/** Most bytes of the messages of these rows, in either form. */
export function pushMessagesMax(rows: usize, count: u32, prefixSize: usize): usize {
  let size: usize = 0;
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    size += prefixSize + MESSAGE_FIXED_MAX + load<u32>(row, ROW_STREAM_SIZE) + load<u32>(row, ROW_BODY_SIZE);
  }
  return size;
}

/** Writes a push for each row: the prefix, the cursor, which counts up, and the event; returns where they end. */
export function pushMessages(out: usize, rows: usize, count: u32, prefix: usize, prefixSize: usize, cursor: f64): usize {
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    memory.copy(out, prefix, prefixSize);
    out = decimalWrite(out + prefixSize, <u64>cursor + i);
    store<u16>(out, 0x0a0d);
    const size: usize = load<u32>(row, ROW_BODY_SIZE);
    memory.copy(out + 2, load<u32>(row, ROW_BODY), size);
    out += 2 + size;
  }
  return out;
}

/** Writes a message of SUBSCRIBE for each row: the prefix, the stream id, and the event as a text. */
export function publishMessages(out: usize, rows: usize, count: u32, prefix: usize, prefixSize: usize): usize {
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    memory.copy(out, prefix, prefixSize);
    out = putBlob(out + prefixSize, load<u32>(row, ROW_STREAM), load<u32>(row, ROW_STREAM_SIZE));
    out = putBlob(out, load<u32>(row, ROW_BODY), load<u32>(row, ROW_BODY_SIZE));
  }
  return out;
}

function putBlob(out: usize, ptr: usize, size: usize): usize {
  store<u8>(out, 0x24); // $
  out = decimalWrite(out + 1, size);
  store<u16>(out, 0x0a0d);
  memory.copy(out + 2, ptr, size);
  store<u16>(out + 2 + size, 0x0a0d);
  return out + size + 4;
}

// ── how Server-Sent Events carry them ─────────────────────────────────────────────────────────────

const FEED_ID: usize = label("id: ");
const FEED_MESSAGE: usize = label("\nevent: message\ndata: ");
const FEED_LINE: usize = label("\ndata: ");
/** Bytes of a message beyond its event: labels, the number, the end, and what a short copy spills over. */
const FEED_FIXED_MAX: usize = 80;
const LF: u32 = 0x0a;

/** Most bytes of the messages of these rows; `splits`: an event may hold line feeds, of which each begins a line. */
export function feedMessagesMax(rows: usize, count: u32, splits: bool): usize {
  let size: usize = 0;
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    const body: usize = load<u32>(row, ROW_BODY);
    const bodySize: usize = load<u32>(row, ROW_BODY_SIZE);
    size += FEED_FIXED_MAX + bodySize;
    if (!splits) continue;
    for (let at: usize = 0; at < bodySize; at++) {
      if (load<u8>(body + at) == <u8>LF) size += 6;
    }
  }
  return size;
}

/** Writes a message for each row, with the number at `numberOffset` of it as its id; returns where they end. */
export function feedMessages(out: usize, rows: usize, count: u32, numberOffset: usize, splits: bool): usize {
  for (let i: u32 = 0; i < count; i++) {
    const row = rows + <usize>i * ROW_SIZE;
    out = put(putNumber(out, FEED_ID, <u64>load<f64>(row + numberOffset)), FEED_MESSAGE);
    const body: usize = load<u32>(row, ROW_BODY);
    const size: usize = load<u32>(row, ROW_BODY_SIZE);
    if (splits) {
      out = linesWrite(out, body, size);
    } else {
      memory.copy(out, body, size);
      out += size;
    }
    store<u16>(out, 0x0a0a);
    out += 2;
  }
  return out;
}

/** The reader puts the line feeds back. Carriage returns, of which it would make line feeds too, never stand in an event. */
function linesWrite(out: usize, ptr: usize, size: usize): usize {
  const end = ptr + size;
  while (ptr < end) {
    const byte: u32 = load<u8>(ptr++);
    if (byte == LF) out = put(out, FEED_LINE);
    else store<u8>(out++, byte);
  }
  return out;
}
