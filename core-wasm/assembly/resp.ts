// Replies in RESP2 and RESP3, straight from records and results into the output area. A map is `%n` in RESP3 and
// a flat array of twice as many elements in RESP2; null is `_` and `$-1`; everything else is the same in both.
//
// What is written may spill over its end (write.ts).
import {
  viewEventId, viewHash, viewMetadata, viewMetadataSize, viewName, viewNameSize, viewPayload, viewPayloadSize, viewPosition,
  viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewTimestamp, viewTransactionId, viewVersion,
} from "./event";
import {
  REQUEST_STREAM, REQUEST_STREAM_SIZE, RESULT_EVENT_ID, RESULT_KEY, RESULT_PARTITION, RESULT_SEQUENCE, RESULT_TIMESTAMP,
  RESULT_VERSION, requestRow, resultRow,
} from "./request";
import { resultPosition, resultRecordedAt } from "./sequencer";
import { partitionOf } from "./memtable";
import { putViewKey } from "./row-keys";
import { UUID_TEXT_SIZE, uuidWrite } from "./uuid";
import { copyText, decimalWrite, label, put, putNumber, putUuid } from "./write";

/** Most bytes of an event's reply beyond its four texts. */
export const EVENT_REPLY_FIXED_MAX: usize = 640;
/** Most bytes of an append's reply, and of each event in a transaction's beyond its stream id. */
export const APPEND_REPLY_MAX: usize = 512;

/** Most bytes of a name's reply beyond the name, what may spill over its end included. */
export const NAME_REPLY_FIXED_MAX: usize = 40;

const END_MAP_EVENT_ID = "\r\n+event_id\r\n+";
const EVENT_START_3: usize = label("%11" + END_MAP_EVENT_ID);
const EVENT_START_3_POSITION: usize = label("%13" + END_MAP_EVENT_ID);
const EVENT_START_2: usize = label("*22" + END_MAP_EVENT_ID);
const EVENT_START_2_POSITION: usize = label("*26" + END_MAP_EVENT_ID);
const APPEND_START_3: usize = label("%6" + END_MAP_EVENT_ID);
const APPEND_START_3_POSITION: usize = label("%8" + END_MAP_EVENT_ID);
const APPEND_START_2: usize = label("*12" + END_MAP_EVENT_ID);
const APPEND_START_2_POSITION: usize = label("*16" + END_MAP_EVENT_ID);
const ITEM_START_3: usize = label("%4" + END_MAP_EVENT_ID);
const ITEM_START_3_POSITION: usize = label("%6" + END_MAP_EVENT_ID);
const ITEM_START_3_KEY: usize = label("%7" + END_MAP_EVENT_ID);
const ITEM_START_3_KEY_POSITION: usize = label("%9" + END_MAP_EVENT_ID);
const ITEM_START_2: usize = label("*8" + END_MAP_EVENT_ID);
const ITEM_START_2_POSITION: usize = label("*12" + END_MAP_EVENT_ID);
const ITEM_START_2_KEY: usize = label("*14" + END_MAP_EVENT_ID);
const ITEM_START_2_KEY_POSITION: usize = label("*18" + END_MAP_EVENT_ID);
const PARTITION_KEY: usize = label("\r\n+partition_key\r\n+");
const PARTITION_ID: usize = label("\r\n+partition_id\r\n:");
const TRANSACTION_ID: usize = label("\r\n+transaction_id\r\n+");
const PARTITION_SEQUENCE: usize = label("\r\n+partition_sequence\r\n:");
const STREAM_VERSION: usize = label("\r\n+stream_version\r\n:");
const TIMESTAMP: usize = label("\r\n+timestamp\r\n:");
const STREAM_ID: usize = label("\r\n+stream_id\r\n$");
const STREAM_ID_SIMPLE: usize = label("\r\n+stream_id\r\n+");
const EVENT_NAME: usize = label("\r\n+event_name\r\n$");
const METADATA: usize = label("\r\n+metadata\r\n$");
const PAYLOAD: usize = label("\r\n+payload\r\n$");
const POSITION: usize = label("\r\n+position\r\n:");
const RECORDED_AT: usize = label("\r\n+recorded_at\r\n:");
const TRANSACTION_START_3: usize = label("%5\r\n+partition_key\r\n");
const TRANSACTION_START_2: usize = label("*10\r\n+partition_key\r\n");
const ITEM_PARTITION_ID: usize = label("\r\n+partition_id\r\n");
const FIRST_SEQUENCE: usize = label("\r\n+first_partition_sequence\r\n");
const LAST_SEQUENCE: usize = label("\r\n+last_partition_sequence\r\n");
const EVENTS: usize = label("\r\n+events\r\n*");
const BLOB: usize = label("$");
const NULL_3: usize = label("_");
const NULL_2: usize = label("$-1");

// ── parts ─────────────────────────────────────────────────────────────────────────────────────────

@inline function crlf(out: usize): usize {
  store<u16>(out, 0x0a0d);
  return out + 2;
}

function putBlob(out: usize, text: usize, ptr: usize, size: usize): usize {
  out = crlf(decimalWrite(put(out, text), size));
  return copyText(out, ptr, size);
}

// ── replies ───────────────────────────────────────────────────────────────────────────────────────

/** Most bytes of the shown event's reply. */
export function eventReplyMax(): usize {
  return EVENT_REPLY_FIXED_MAX + viewStreamSize + viewNameSize + viewPayloadSize + viewMetadataSize;
}

/** Writes the shown event; returns where it ends. */
export function eventReply(out: usize, isResp3: bool, withPosition: bool): usize {
  const start = isResp3
    ? withPosition ? EVENT_START_3_POSITION : EVENT_START_3
    : withPosition ? EVENT_START_2_POSITION : EVENT_START_2;
  out = putUuid(out, start, viewEventId);
  out = putViewKey(out, PARTITION_KEY);
  out = putNumber(out, PARTITION_ID, partitionOf(viewHash));
  out = putUuid(out, TRANSACTION_ID, viewTransactionId);
  out = putNumber(out, PARTITION_SEQUENCE, viewSequence);
  out = putNumber(out, STREAM_VERSION, viewVersion);
  out = putNumber(out, TIMESTAMP, viewTimestamp);
  out = putBlob(out, STREAM_ID, viewStream, viewStreamSize);
  out = putBlob(out, EVENT_NAME, viewName, viewNameSize);
  out = putBlob(out, METADATA, viewMetadata, viewMetadataSize);
  out = putBlob(out, PAYLOAD, viewPayload, viewPayloadSize);
  if (withPosition) {
    out = putNumber(out, POSITION, viewPosition());
    out = putNumber(out, RECORDED_AT, viewRecordedAt());
  }
  return crlf(out);
}

/** Writes a text as a blob string; returns where it ends. */
export function nameReply(out: usize, ptr: usize, size: usize): usize {
  return crlf(putBlob(out, BLOB, ptr, size));
}

/** Writes EAPPEND's answer from the result table; returns where it ends. */
export function appendReply(out: usize, isResp3: bool, withPosition: bool): usize {
  const row = resultRow(0);
  const start = isResp3
    ? withPosition ? APPEND_START_3_POSITION : APPEND_START_3
    : withPosition ? APPEND_START_2_POSITION : APPEND_START_2;
  out = putUuid(out, start, row + RESULT_EVENT_ID);
  out = putUuid(out, PARTITION_KEY, row + RESULT_KEY);
  out = putNumber(out, PARTITION_ID, load<u32>(row, RESULT_PARTITION));
  out = putNumber(out, PARTITION_SEQUENCE, <u64>load<f64>(row, RESULT_SEQUENCE));
  out = putNumber(out, STREAM_VERSION, <u64>load<f64>(row, RESULT_VERSION));
  out = putNumber(out, TIMESTAMP, <u64>load<f64>(row, RESULT_TIMESTAMP));
  if (withPosition) {
    out = putNumber(out, POSITION, resultPosition);
    out = putNumber(out, RECORDED_AT, resultRecordedAt);
  }
  return crlf(out);
}

/** Most bytes of EMAPPEND's answer to `count` events. */
export function transactionReplyMax(count: u32): usize {
  let size = APPEND_REPLY_MAX;
  for (let i: u32 = 0; i < count; i++) size += APPEND_REPLY_MAX + load<u32>(requestRow(i), REQUEST_STREAM_SIZE);
  return size;
}

/** Writes EMAPPEND's answer; without one key for all (`hasKey`) each event names its own. */
export function transactionReply(out: usize, count: u32, hasKey: bool, isResp3: bool, withPosition: bool): usize {
  const first = resultRow(0);
  out = put(out, isResp3 ? TRANSACTION_START_3 : TRANSACTION_START_2);
  if (hasKey) {
    store<u8>(out, 0x2b); // +
    uuidWrite(out + 1, first + RESULT_KEY);
    out += 1 + UUID_TEXT_SIZE;
    out = putInteger(out, ITEM_PARTITION_ID, load<u32>(first, RESULT_PARTITION));
    out = putInteger(out, FIRST_SEQUENCE, <u64>load<f64>(first, RESULT_SEQUENCE));
    out = putInteger(out, LAST_SEQUENCE, <u64>load<f64>(resultRow(count - 1), RESULT_SEQUENCE));
  } else {
    const none = isResp3 ? NULL_3 : NULL_2;
    out = put(put(put(put(out, none), ITEM_PARTITION_ID), none), FIRST_SEQUENCE);
    out = put(put(put(out, none), LAST_SEQUENCE), none);
  }
  out = crlf(decimalWrite(put(out, EVENTS), count));
  const start = itemStart(hasKey, isResp3, withPosition);
  for (let i: u32 = 0; i < count; i++) out = itemReply(out, start, i, hasKey, withPosition);
  return out;
}

@inline function putInteger(out: usize, text: usize, value: u64): usize {
  out = put(out, text);
  store<u8>(out, 0x3a); // :
  return decimalWrite(out + 1, value);
}

function itemStart(hasKey: bool, isResp3: bool, withPosition: bool): usize {
  if (isResp3) {
    if (hasKey) return withPosition ? ITEM_START_3_POSITION : ITEM_START_3;
    return withPosition ? ITEM_START_3_KEY_POSITION : ITEM_START_3_KEY;
  }
  if (hasKey) return withPosition ? ITEM_START_2_POSITION : ITEM_START_2;
  return withPosition ? ITEM_START_2_KEY_POSITION : ITEM_START_2_KEY;
}

function itemReply(out: usize, start: usize, index: u32, hasKey: bool, withPosition: bool): usize {
  const request = requestRow(index);
  const row = resultRow(index);
  out = putUuid(out, start, row + RESULT_EVENT_ID);
  out = put(out, STREAM_ID_SIMPLE);
  out = copyText(out, load<u32>(request, REQUEST_STREAM), load<u32>(request, REQUEST_STREAM_SIZE));
  if (!hasKey) {
    out = putUuid(out, PARTITION_KEY, row + RESULT_KEY);
    out = putNumber(out, PARTITION_ID, load<u32>(row, RESULT_PARTITION));
    out = putNumber(out, PARTITION_SEQUENCE, <u64>load<f64>(row, RESULT_SEQUENCE));
  }
  out = putNumber(out, STREAM_VERSION, <u64>load<f64>(row, RESULT_VERSION));
  out = putNumber(out, TIMESTAMP, <u64>load<f64>(row, RESULT_TIMESTAMP));
  if (withPosition) {
    out = putNumber(out, POSITION, resultPosition + index);
    out = putNumber(out, RECORDED_AT, resultRecordedAt);
  }
  return crlf(out);
}
