/**
 * An object with one list in it, of rows that the core has written: `{"version":2,"has_more":false,"events":[…]}`
 * in JSON, and the same in MessagePack.
 */
import { encode } from "@msgpack/msgpack";
import { Encoding } from "../core/encoding.ts";

type Members = Readonly<Record<string, unknown>>;

export function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** `rows` are `count` rows in pieces; in JSON each is followed by a comma. The object comes in pieces as well. */
export function rowOf(
  before: Members,
  name: string,
  count: number,
  rows: readonly Uint8Array[],
  after: Members,
  encoding: Encoding,
): Uint8Array[] {
  return encoding === Encoding.msgpack
    ? msgpackRow(before, name, count, rows, after)
    : jsonRow(before, name, rows, after);
}

function jsonRow(
  before: Members,
  name: string,
  rows: readonly Uint8Array[],
  after: Members,
): Uint8Array[] {
  const head = Buffer.from(`{${membersJson(before, ",")}"${name}":[`);
  const tail = Buffer.from(`]${Object.keys(after).length > 0 ? "," : ""}${membersJson(after)}}`);
  const filled = rows.filter((piece) => piece.length > 0);
  const last = filled.pop();
  if (last !== undefined) filled.push(last.subarray(0, -1)); // without the last row's comma
  return [head, ...filled, tail];
}

function membersJson(members: Members, end = ""): string {
  const text = JSON.stringify(members).slice(1, -1);
  return text === "" ? "" : text + end;
}

function msgpackRow(
  before: Members,
  name: string,
  count: number,
  rows: readonly Uint8Array[],
  after: Members,
): Uint8Array[] {
  const members = Object.keys(before).length + 1 + Object.keys(after).length;
  const parts = [Uint8Array.of(0x80 + members), ...membersMsgpack(before), encode(name)];
  const head = new Uint8Array(5);
  head[0] = 0xdd; // array 32
  new DataView(head.buffer).setUint32(1, count);
  const filled = rows.filter((piece) => piece.length > 0);
  return [Buffer.concat([...parts, head]), ...filled, Buffer.concat(membersMsgpack(after))];
}

function membersMsgpack(members: Members): Uint8Array[] {
  return Object.entries(members).flatMap(([name, value]) => [encode(name), encode(value)]);
}
