// What crosses the edge for an append: the request table that the shell fills, and the result table that the
// sequencer fills. server/store/transaction-builder.ts and server/store/append-result.ts name the same offsets.
import { allocateReserved } from "./memory";

/** Most events of one transaction (server/limits.ts: TRANSACTION_EVENTS_MAX). */
export const EVENTS_MAX: u32 = 8192;

//   request row   0 stream ptr │ 4 size │ 8 name ptr │ 12 size │ 16 payload ptr │ 20 size │ 24 metadata ptr │ 28 size
//                 32 has event id │ 36 expected kind │ 40 has timestamp │ 44 – │ 48 expected version f64
//                 56 timestamp f64 │ 64 event id 16
export const REQUEST_SIZE: usize = 80;
export const REQUEST_STREAM: usize = 0;
export const REQUEST_STREAM_SIZE: usize = 4;
export const REQUEST_NAME: usize = 8;
export const REQUEST_NAME_SIZE: usize = 12;
export const REQUEST_PAYLOAD: usize = 16;
export const REQUEST_PAYLOAD_SIZE: usize = 20;
export const REQUEST_METADATA: usize = 24;
export const REQUEST_METADATA_SIZE: usize = 28;
export const REQUEST_HAS_EVENT_ID: usize = 32;
export const REQUEST_EXPECTED_KIND: usize = 36;
export const REQUEST_HAS_TIMESTAMP: usize = 40;
export const REQUEST_EXPECTED_VERSION: usize = 48;
export const REQUEST_TIMESTAMP: usize = 56;
export const REQUEST_EVENT_ID: usize = 64;

export const EXPECTED_ANY: u32 = 0;
export const EXPECTED_EXISTS: u32 = 1;
export const EXPECTED_EMPTY: u32 = 2;

//   result row    0 event id 16 │ 16 partition key 16 │ 32 sequence f64 │ 40 version f64 │ 48 timestamp f64
//                 56 partition u32 │ 60 explicit key u32
//   working part  64 stream hash 12 │ 76 stream ptr, 0 where the memtable has none │ 80 first row of the same stream
//                 84 its events so far │ 88 the version that is next f64 │ 96 1 where the stream exists
export const RESULT_SIZE: usize = 104;
export const RESULT_EVENT_ID: usize = 0;
export const RESULT_KEY: usize = 16;
export const RESULT_SEQUENCE: usize = 32;
export const RESULT_VERSION: usize = 40;
export const RESULT_TIMESTAMP: usize = 48;
export const RESULT_PARTITION: usize = 56;
export const RESULT_EXPLICIT: usize = 60;
export const RESULT_HASH_LOW: usize = 64;
export const RESULT_HASH_HIGH: usize = 72;
export const RESULT_ENTRY: usize = 76;
export const RESULT_FIRST_ROW: usize = 80;
export const RESULT_STREAM_EVENTS: usize = 84;
export const RESULT_NEXT: usize = 88;
export const RESULT_EXISTS: usize = 96;

export let requests: usize = 0;
export let results: usize = 0;
/** The partition key of the whole request, where one is given. */
export const requestKey: usize = memory.data(16, 8);

export function requestInit(): void {
  requests = allocateReserved(<usize>EVENTS_MAX * REQUEST_SIZE);
  results = allocateReserved(<usize>EVENTS_MAX * RESULT_SIZE);
}

@inline export function requestRow(index: u32): usize {
  return requests + <usize>index * REQUEST_SIZE;
}

@inline export function resultRow(index: u32): usize {
  return results + <usize>index * RESULT_SIZE;
}
