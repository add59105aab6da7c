// The shown event as JSON, in the form that HTTP gives: server/store/stored-event.ts has its twin for `dump`.
//
//   {"event_id":"…","partition_key":"…","partition_id":0,"transaction_id":"…","partition_sequence":0,
//    "stream_version":0,"timestamp":0,"stream_id":"…","event_name":"…","metadata":"…","payload":"…",
//    "position":0,"recorded_at":0}          without the white space
//
// Texts are escaped as JSON.stringify escapes them. Where metadata or payload is no UTF-8, `metadata_base64` or
// `payload_base64` stands in its place; where data that is JSON is wanted as such, `metadata_json` or
// `payload_json` with the very bytes, if they can be taken out again (json-read.ts: jsonEmbeds). What is written may spill over its end (write.ts).
import {
  viewEventId, viewHash, viewMetadata, viewMetadataSize, viewName, viewNameSize, viewPayload, viewPayloadSize, viewPosition,
  viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewTimestamp, viewTransactionId, viewVersion,
} from "./event";
import { jsonEmbeds, plainCount } from "./json-read";
import { partitionOf } from "./memtable";
import {
  RESULT_EVENT_ID, RESULT_KEY, RESULT_PARTITION, RESULT_SEQUENCE, RESULT_TIMESTAMP, RESULT_VERSION, resultRow,
} from "./request";
import { putViewKey } from "./row-keys";
import { resultPosition, resultRecordedAt } from "./sequencer";
import { utf8Length, utf8Valid } from "./utf8";
import { copyText, label, put, putNumber, putUuid } from "./write";

/** Most bytes of an event's JSON beyond its four texts, what may spill over its end included. */
const EVENT_JSON_FIXED_MAX: usize = 600;
/** A byte may become `\u0000`. */
const ESCAPED_MAX: usize = 6;
/** Data above this is measured, since the bound of what is small would waste memory. */
const DATA_MEASURED_SIZE: usize = 4096;

const EVENT_ID: usize = label('{"event_id":"');
const PARTITION_KEY: usize = label('","partition_key":"');
const PARTITION_ID: usize = label('","partition_id":');
const TRANSACTION_ID: usize = label(',"transaction_id":"');
const PARTITION_SEQUENCE: usize = label('","partition_sequence":');
const SEQUENCE_OF_ANSWER: usize = label(',"partition_sequence":');
const STREAM_VERSION: usize = label(',"stream_version":');
const TIMESTAMP: usize = label(',"timestamp":');
const STREAM_ID: usize = label(',"stream_id":"');
const EVENT_NAME: usize = label('","event_name":"');
const METADATA: usize = label('","metadata":"');
const METADATA_JSON: usize = label('","metadata_json":');
const METADATA_BASE64: usize = label('","metadata_base64":"');
const PAYLOAD: usize = label(',"payload":"');
const PAYLOAD_JSON: usize = label(',"payload_json":');
const PAYLOAD_BASE64: usize = label(',"payload_base64":"');
const POSITION: usize = label(',"position":');
const RECORDED_AT: usize = label(',"recorded_at":');

/** Most bytes of the shown event's JSON. */
export function eventJsonMax(): usize {
  return EVENT_JSON_FIXED_MAX + ESCAPED_MAX * (viewStreamSize + viewNameSize) +
    dataMax(viewMetadata, viewMetadataSize) + dataMax(viewPayload, viewPayloadSize);
}

function dataMax(ptr: usize, size: usize): usize {
  if (size <= DATA_MEASURED_SIZE) return ESCAPED_MAX * size;
  if (!utf8Valid(ptr, size)) return (size + 2) / 3 * 4;
  const end = ptr + size;
  let max = size;
  while (ptr < end) {
    const byte: u32 = load<u8>(ptr++);
    if (byte < 0x20) max += ESCAPED_MAX - 1;
    else if (byte == 0x22 || byte == 0x5c) max++;
  }
  return max;
}

/** Writes the shown event; with `dataAsJson` data that is JSON stands in it as such. Returns where it ends. */
export function eventJson(out: usize, dataAsJson: bool): usize {
  out = putUuid(out, EVENT_ID, viewEventId);
  out = putViewKey(out, PARTITION_KEY);
  out = putNumber(out, PARTITION_ID, partitionOf(viewHash));
  out = putUuid(out, TRANSACTION_ID, viewTransactionId);
  out = putNumber(out, PARTITION_SEQUENCE, viewSequence);
  out = putNumber(out, STREAM_VERSION, viewVersion);
  out = putNumber(out, TIMESTAMP, viewTimestamp);
  out = putText(put(out, STREAM_ID), viewStream, viewStreamSize);
  out = putText(put(out, EVENT_NAME), viewName, viewNameSize);
  out = putData(out, viewMetadata, viewMetadataSize, METADATA, METADATA_JSON, METADATA_BASE64, dataAsJson);
  out = putData(out, viewPayload, viewPayloadSize, PAYLOAD, PAYLOAD_JSON, PAYLOAD_BASE64, dataAsJson);
  out = putNumber(out, POSITION, viewPosition());
  out = putNumber(out, RECORDED_AT, viewRecordedAt());
  store<u8>(out, 0x7d); // }
  return out + 1;
}

/** Writes the numbers that the last append gave its event `index`; returns where they end. */
export function answerJson(out: usize, index: u32): usize {
  const row = resultRow(index);
  out = putUuid(out, EVENT_ID, row + RESULT_EVENT_ID);
  out = putUuid(out, PARTITION_KEY, row + RESULT_KEY);
  out = putNumber(out, PARTITION_ID, load<u32>(row, RESULT_PARTITION));
  out = putNumber(out, SEQUENCE_OF_ANSWER, <u64>load<f64>(row, RESULT_SEQUENCE));
  out = putNumber(out, STREAM_VERSION, <u64>load<f64>(row, RESULT_VERSION));
  out = putNumber(out, TIMESTAMP, <u64>load<f64>(row, RESULT_TIMESTAMP));
  out = putNumber(out, POSITION, resultPosition + index);
  out = putNumber(out, RECORDED_AT, resultRecordedAt);
  store<u8>(out, 0x7d); // }
  return out + 1;
}

/** Writes a stream id or an event name, which was found to be UTF-8 when it was appended. */
function putText(out: usize, ptr: usize, size: usize): usize {
  const end = escape(out, ptr, size);
  assert(end != 0);
  return end;
}

/** Writes metadata or payload in one of its three forms, closing quote included. */
function putData(out: usize, ptr: usize, size: usize, asText: usize, asJson: usize, asBase64: usize, dataAsJson: bool): usize {
  if (dataAsJson && jsonEmbeds(ptr, size)) return copyText(put(out, asJson), ptr, size);
  let end = escape(put(out, asText), ptr, size);
  if (end == 0) end = base64Write(put(out, asBase64), ptr, size);
  store<u8>(end, 0x22); // "
  return end + 1;
}

/** Writes UTF-8 as the inside of a JSON string; returns where it ends, or 0 where it is none. */
export function escape(out: usize, ptr: usize, size: usize): usize {
  const end = ptr + size;
  while (true) {
    const word = load<u64>(ptr);
    store<u64>(out, word);
    const plain = plainCount(word);
    if (ptr + plain >= end) return out + (end - ptr);
    ptr += plain;
    out += plain;
    if (plain == 8) continue;
    const byte: u32 = load<u8>(ptr);
    if (byte >= 0x80) {
      const length = utf8Length(ptr, end);
      if (length == 0) return 0;
      store<u32>(out, load<u32>(ptr));
      ptr += length;
      out += length;
    } else {
      out = escapeByte(out, byte);
      ptr++;
    }
  }
}

/** Writes a quote, a backslash or a control character as JSON.stringify does. */
function escapeByte(out: usize, byte: u32): usize {
  const letter = shortEscape(byte);
  if (letter != 0) {
    store<u16>(out, 0x5c | (letter << 8));
    return out + 2;
  }
  store<u32>(out, 0x3030755c); // \u00
  store<u8>(out, 0x30 + (byte >> 4), 4);
  const digit = byte & 0xf;
  store<u8>(out, digit < 10 ? 0x30 + digit : 0x57 + digit, 5);
  return out + 6;
}

/** What follows the backslash, or 0 where the byte is written in hexadecimal. */
@inline function shortEscape(byte: u32): u32 {
  if (byte == 0x22 || byte == 0x5c) return byte;
  if (byte == 0x0a) return 0x6e;
  if (byte == 0x0d) return 0x72;
  if (byte == 0x09) return 0x74;
  if (byte == 0x08) return 0x62;
  return byte == 0x0c ? 0x66 : 0;
}

// ── base64 (RFC 4648, with padding) ───────────────────────────────────────────────────────────────

const BASE64: usize = label("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") + 8;

function base64Write(out: usize, ptr: usize, size: usize): usize {
  const end = ptr + size;
  while (ptr < end) {
    const left = end - ptr;
    const second: u32 = left > 1 ? load<u8>(ptr, 1) : 0;
    const third: u32 = left > 2 ? load<u8>(ptr, 2) : 0;
    const bits = (<u32>load<u8>(ptr) << 16) | (second << 8) | third;
    store<u8>(out, sextet(bits >> 18));
    store<u8>(out, sextet(bits >> 12), 1);
    store<u8>(out, left > 1 ? sextet(bits >> 6) : 0x3d, 2);
    store<u8>(out, left > 2 ? sextet(bits) : 0x3d, 3);
    ptr += 3;
    out += 4;
  }
  return out;
}

@inline function sextet(bits: u32): u8 {
  return load<u8>(BASE64 + (bits & 63));
}
