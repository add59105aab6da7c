// The shown event as MessagePack, for HTTP: a map of the eleven fields, position and recorded_at. Texts are `str`, and so
// are metadata and payload where they are UTF-8, else `bin`. What is written may spill over its end (write.ts).
//
// https://github.com/msgpack/msgpack/blob/master/spec.md
import {
  viewEventId, viewHash, viewMetadata, viewMetadataSize, viewName, viewNameSize, viewPayload, viewPayloadSize, viewPosition,
  viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewTimestamp, viewTransactionId, viewVersion,
} from "./event";
import { partitionOf } from "./memtable";
import {
  RESULT_EVENT_ID, RESULT_KEY, RESULT_PARTITION, RESULT_SEQUENCE, RESULT_TIMESTAMP, RESULT_VERSION, resultRow,
} from "./request";
import { putViewKey } from "./row-keys";
import { resultPosition, resultRecordedAt } from "./sequencer";
import { utf8Valid } from "./utf8";
import { copyText, label, put, putUuid } from "./write";

/** Most bytes of an event, or of an append's answer to one, beyond the event's four texts. */
const EVENT_MSGPACK_FIXED_MAX: usize = 600;

/** A short text, with its head. */
function key(name: string): usize {
  return label(String.fromCharCode(0xa0 + name.length) + name);
}

/** A UUID's text follows: `str 8` of 36 bytes. */
function uuidKey(start: string, name: string): usize {
  return label(start + String.fromCharCode(0xa0 + name.length) + name + "\xd9\x24");
}

const EVENT_START: usize = uuidKey("\x8d", "event_id");
const ANSWER_START: usize = uuidKey("\x88", "event_id");
const PARTITION_KEY: usize = uuidKey("", "partition_key");
const PARTITION_ID: usize = key("partition_id");
const TRANSACTION_ID: usize = uuidKey("", "transaction_id");
const PARTITION_SEQUENCE: usize = key("partition_sequence");
const STREAM_VERSION: usize = key("stream_version");
const TIMESTAMP: usize = key("timestamp");
const STREAM_ID: usize = key("stream_id");
const EVENT_NAME: usize = key("event_name");
const METADATA: usize = key("metadata");
const PAYLOAD: usize = key("payload");
const POSITION: usize = key("position");
const RECORDED_AT: usize = key("recorded_at");

/** Most bytes of the shown event. */
export function eventMsgpackMax(): usize {
  return EVENT_MSGPACK_FIXED_MAX + viewStreamSize + viewNameSize + viewPayloadSize + viewMetadataSize;
}

/** Writes the shown event; returns where it ends. */
export function eventMsgpack(out: usize): usize {
  out = putUuid(out, EVENT_START, viewEventId);
  out = putViewKey(out, PARTITION_KEY);
  out = putInteger(out, PARTITION_ID, partitionOf(viewHash));
  out = putUuid(out, TRANSACTION_ID, viewTransactionId);
  out = putInteger(out, PARTITION_SEQUENCE, viewSequence);
  out = putInteger(out, STREAM_VERSION, viewVersion);
  out = putInteger(out, TIMESTAMP, viewTimestamp);
  out = putBytes(out, STREAM_ID, viewStream, viewStreamSize, true);
  out = putBytes(out, EVENT_NAME, viewName, viewNameSize, true);
  out = putBytes(out, METADATA, viewMetadata, viewMetadataSize, utf8Valid(viewMetadata, viewMetadataSize));
  out = putBytes(out, PAYLOAD, viewPayload, viewPayloadSize, utf8Valid(viewPayload, viewPayloadSize));
  out = putInteger(out, POSITION, viewPosition());
  return putInteger(out, RECORDED_AT, viewRecordedAt());
}

/** Writes the numbers that the last append gave its event `index`; returns where they end. */
export function answerMsgpack(out: usize, index: u32): usize {
  const row = resultRow(index);
  out = putUuid(out, ANSWER_START, row + RESULT_EVENT_ID);
  out = putUuid(out, PARTITION_KEY, row + RESULT_KEY);
  out = putInteger(out, PARTITION_ID, load<u32>(row, RESULT_PARTITION));
  out = putInteger(out, PARTITION_SEQUENCE, <u64>load<f64>(row, RESULT_SEQUENCE));
  out = putInteger(out, STREAM_VERSION, <u64>load<f64>(row, RESULT_VERSION));
  out = putInteger(out, TIMESTAMP, <u64>load<f64>(row, RESULT_TIMESTAMP));
  out = putInteger(out, POSITION, resultPosition + index);
  return putInteger(out, RECORDED_AT, resultRecordedAt);
}

function putInteger(out: usize, name: usize, value: u64): usize {
  out = put(out, name);
  if (value < 0x80) {
    store<u8>(out, <u8>value);
    return out + 1;
  }
  if (value <= u32.MAX_VALUE) {
    store<u8>(out, 0xce);
    store<u32>(out, bswap(<u32>value), 1);
    return out + 5;
  }
  store<u8>(out, 0xcf);
  store<u64>(out, bswap(value), 1);
  return out + 9;
}

function putBytes(out: usize, name: usize, ptr: usize, size: usize, isText: bool): usize {
  out = put(out, name);
  if (isText && size < 32) {
    store<u8>(out++, 0xa0 + <u8>size);
  } else if (size < 0x100) {
    store<u8>(out, isText ? 0xd9 : 0xc4);
    store<u8>(out, <u8>size, 1);
    out += 2;
  } else if (size < 0x10000) {
    store<u8>(out, isText ? 0xda : 0xc5);
    store<u16>(out, bswap(<u16>size), 1);
    out += 3;
  } else {
    store<u8>(out, isText ? 0xdb : 0xc6);
    store<u32>(out, bswap(<u32>size), 1);
    out += 5;
  }
  return copyText(out, ptr, size);
}
