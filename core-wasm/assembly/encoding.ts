// How events are written, as one small number that crosses the edge: server/core/encoding.ts names the same numbers.
import { answerJson, eventJson, eventJsonMax } from "./json";
import { answerMsgpack, eventMsgpack, eventMsgpackMax } from "./msgpack";
import { eventReply, eventReplyMax } from "./resp";
import { rowWrites } from "./row-keys";

export const RESP2: u32 = 0;
export const RESP2_POSITION: u32 = 1;
export const RESP3: u32 = 2;
export const RESP3_POSITION: u32 = 3;
/** The form of HTTP, and the same with data that is JSON as such. */
export const JSON: u32 = 4;
export const JSON_DATA: u32 = 5;
export const MSGPACK: u32 = 6;

/** Most bytes of the shown event in an encoding, with what may follow it in a row. */
export function eventWriteMax(encoding: u32): usize {
  if (encoding <= RESP3_POSITION) return eventReplyMax();
  return encoding == MSGPACK ? eventMsgpackMax() : eventJsonMax();
}

/** Writes the shown event; returns where it ends. */
export function eventWrite(out: usize, encoding: u32): usize {
  if (encoding <= RESP3_POSITION) return eventReply(out, (encoding & RESP3) != 0, (encoding & RESP2_POSITION) != 0);
  return encoding == MSGPACK ? eventMsgpack(out) : eventJson(out, encoding == JSON_DATA);
}

/** The same for one of a row, between `rowBegin` and `rowEnd`. */
export function eventWriteInRow(out: usize, encoding: u32): usize {
  rowWrites(true);
  const end = eventWrite(out, encoding);
  rowWrites(false);
  return separate(end, encoding);
}

/** Most bytes of `answerWriteInRow`. */
export const ANSWER_WRITE_MAX: usize = 600;

/** Writes, in one of HTTP's encodings, the numbers that the last append gave its event `index`, as one of a row. */
export function answerWriteInRow(out: usize, index: u32, encoding: u32): usize {
  return separate(encoding == MSGPACK ? answerMsgpack(out, index) : answerJson(out, index), encoding);
}

/** In a row everything in JSON is followed by a comma. */
@inline function separate(out: usize, encoding: u32): usize {
  if (encoding != JSON && encoding != JSON_DATA) return out;
  store<u8>(out, 0x2c);
  return out + 1;
}
