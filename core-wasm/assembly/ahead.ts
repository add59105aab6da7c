// Loading ahead: of the appends that a pipeline brings, the streams and the ids are looked at together before the first of them
// runs. In tables larger than the processor's caches each look waits for memory, and a look at many places at once waits little
// longer than a look at one. Nothing is decided here, and nothing is kept: what is no plain EAPPEND is passed over.
import { hash, hashHigh, hashLow } from "./hash";
import { headTouch } from "./heads";
import { memtableAt, memtableCount, memtableIdTouch, memtableStream, memtableStreamTouch, streamTouch } from "./memtable";
import { runCount, runsTouchIds } from "./runs";
import { UUID_SIZE, uuidParse } from "./uuid";

/** Requests that are looked at together. */
const REQUESTS_MAX: u32 = 64;

/** Hashes of streams and of ids: low u64, high u32 each. */
const HASH_SIZE: usize = 16;
const streams: usize = memory.data(64 * 16, 8);
const ids: usize = memory.data(64 * 16, 8);
const id: usize = memory.data(16, 8);

const ASTERISK: u32 = 0x2a;
const DOLLAR: u32 = 0x24;
/** Digits of a length that is looked at; what is longer ends the look ahead. */
const DIGITS_MAX: usize = 9;
/** `EAPPEND` and `EVENT_ID` in lower case, but for the underscore, which the bit that tells the cases apart leaves as 0x7f. */
const EAPPEND_SIZE: u32 = 7;
const EAPPEND: u64 = 0x646e6570706165;
const EVENT_ID_SIZE: u32 = 8;
const EVENT_ID: u64 = 0x64697f746e657665;
const CASE_BITS: u64 = 0x2020202020202020;
const FIRST_OPTION: i32 = 3;

/** Looks ahead at the requests, whole ones, between two addresses; the first is where a request begins. */
export function appendsAhead(at: usize, end: usize): void {
  if (runCount == 0) return;
  while (at != 0 && at < end) {
    streamsFound = 0;
    idsFound = 0;
    for (let i: u32 = 0; i < REQUESTS_MAX && at != 0 && at < end; i++) at = readRequest(at, end);
    touchAll();
  }
}

let streamsFound: u32 = 0;
let idsFound: u32 = 0;

/** Where the line that `readLength` read ends. */
let lineEnd: usize = 0;

/** The length in a line that begins with this sign, or -1. */
function readLength(sign: u32, at: usize, end: usize): i32 {
  if (at >= end || load<u8>(at) != sign) return -1;
  let length: i32 = 0;
  const digitsEnd = min(end, ++at + DIGITS_MAX);
  for (; at < digitsEnd; at++) {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit > 9) break;
    length = length * 10 + digit;
  }
  lineEnd = at + 2;
  return length;
}

/** Notes what the request at an address appends to; gives the address of the next, or 0 where there is none to be made out. */
function readRequest(at: usize, end: usize): usize {
  const count = readLength(ASTERISK, at, end);
  if (count < 0) return 0;
  let isAppend = false;
  let isId = false;
  at = lineEnd;
  for (let i: i32 = 0; i < count; i++) {
    const size = readLength(DOLLAR, at, end);
    const start = lineEnd;
    at = argumentEnd(size, end);
    if (at == 0) return 0;
    if (i == 0) {
      isAppend = <u32>size == EAPPEND_SIZE && ((load<u64>(start) | CASE_BITS) & 0xffffffffffffff) == EAPPEND;
    } else if (isAppend && i == 1) {
      streamsFound = note(streams, streamsFound, start, size);
    } else if (isAppend && isId) {
      if (uuidParse(start, size, id)) idsFound = note(ids, idsFound, id, UUID_SIZE);
      isAppend = false; // the rest is passed over
    } else if (isAppend) {
      isId = i >= FIRST_OPTION && <u32>size == EVENT_ID_SIZE && (load<u64>(start) | CASE_BITS) == EVENT_ID;
    }
  }
  return at;
}

/** Where an argument of this size ends that begins at `lineEnd`, or 0 where it is none, or not there as a whole. */
@inline function argumentEnd(size: i32, end: usize): usize {
  if (size < 0 || lineEnd > end || <usize>size + 2 > end - lineEnd) return 0;
  return lineEnd + size + 2;
}

/** Adds a hash to `count` others; gives their number then. */
@inline function note(list: usize, count: u32, ptr: usize, size: usize): u32 {
  const hashes = list + <usize>count * HASH_SIZE;
  hash(ptr, size);
  store<u64>(hashes, hashLow);
  store<u32>(hashes, hashHigh, 8);
  return count + 1;
}

function touchAll(): void {
  const streamsEnd = streams + <usize>streamsFound * HASH_SIZE;
  const idsEnd = ids + <usize>idsFound * HASH_SIZE;
  for (let at = streams; at < streamsEnd; at += HASH_SIZE) {
    const low = load<u64>(at);
    headTouch(low);
    for (let i: u32 = 0; i < memtableCount; i++) memtableStreamTouch(memtableAt(i), low);
  }
  for (let at = ids; at < idsEnd; at += HASH_SIZE) {
    const low = load<u64>(at);
    runsTouchIds(low);
    for (let i: u32 = 0; i < memtableCount; i++) memtableIdTouch(memtableAt(i), low);
  }
  const newest = memtableAt(memtableCount - 1);
  for (let at = streams; at < streamsEnd; at += HASH_SIZE) {
    const stream = memtableStream(newest, load<u64>(at), load<u32>(at, 8));
    if (stream != 0) streamTouch(stream);
  }
}
