// How events are written, as one small number that crosses the edge: server/core/encoding.ts names the same numbers.
import { eventJson, eventJsonMax } from "./json";
import { eventReply, eventReplyMax } from "./resp";

export const RESP2: u32 = 0;
export const RESP2_POSITION: u32 = 1;
export const RESP3: u32 = 2;
export const RESP3_POSITION: u32 = 3;
/** The form of HTTP, and the same with data that is JSON as such. */
export const JSON: u32 = 4;
export const JSON_DATA: u32 = 5;

/** Most bytes of the shown event in an encoding, with what may follow it in a row. */
export function eventWriteMax(encoding: u32): usize {
  return encoding <= RESP3_POSITION ? eventReplyMax() : eventJsonMax();
}

/** Writes the shown event; returns where it ends. */
export function eventWrite(out: usize, encoding: u32): usize {
  if (encoding <= RESP3_POSITION) return eventReply(out, (encoding & RESP3) != 0, (encoding & RESP2_POSITION) != 0);
  return eventJson(out, encoding == JSON_DATA);
}

/** The same for one of a row, in which every event in JSON is followed by a comma. */
export function eventWriteInRow(out: usize, encoding: u32): usize {
  out = eventWrite(out, encoding);
  if (encoding < JSON) return out;
  store<u8>(out, 0x2c);
  return out + 1;
}
