/**
 * Replies byte for byte, in both protocols, into a sink whose memory moves whenever it can.
 */
import { expect, test } from "vitest";
import type { ByteSink } from "../server/resp/byte-sink.ts";
import { Reply } from "../server/resp/reply.ts";

/** Gives no byte more than was asked for, and new memory each time, so that a stale or short use shows. */
class TightSink implements ByteSink {
  memory = new Uint8Array(0);
  tail = 0;

  reserve(size: number): void {
    const moved = new Uint8Array(this.tail + size);
    moved.set(this.memory.subarray(0, this.tail));
    this.memory.fill(0xee);
    this.memory = moved;
  }

  written(): string {
    expect(this.tail).toBeLessThanOrEqual(this.memory.length);
    return Buffer.from(this.memory.subarray(0, this.tail)).toString();
  }
}

function written(protocol: 2 | 3, write: (reply: Reply) => void): string {
  const sink = new TightSink();
  const reply = new Reply(sink);
  reply.protocol = protocol;
  write(reply);
  return sink.written();
}

test.each<[string, (reply: Reply) => void, string, string]>([
  ["simple", (reply) => reply.simple("OK"), "+OK\r\n", "+OK\r\n"],
  ["simple beyond ASCII", (reply) => reply.simple("naïve 😀"), "+naïve 😀\r\n", "+naïve 😀\r\n"],
  ["simple with line ends", (reply) => reply.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n"],
  [
    "error",
    (reply) => reply.error("INVALIDARG", "bad"),
    "-INVALIDARG bad\r\n",
    "-INVALIDARG bad\r\n",
  ],
  [
    "error with line ends",
    (reply) => reply.error("ERR", "a\nb\r\nc"),
    "-ERR a b  c\r\n",
    "-ERR a b  c\r\n",
  ],
  [
    "error with line ends beyond ASCII",
    (reply) => reply.error("ERR", "\na\né\r\nb"),
    "-ERR  a é  b\r\n",
    "-ERR  a é  b\r\n",
  ],
  ["blob", (reply) => reply.blob("a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"],
  ["empty blob", (reply) => reply.blob(""), "$0\r\n\r\n", "$0\r\n\r\n"],
  ["blob beyond ASCII", (reply) => reply.blob("é😀"), "$6\r\né😀\r\n", "$6\r\né😀\r\n"],
  ["blob of bytes", (reply) => reply.blob(Buffer.from("abc")), "$3\r\nabc\r\n", "$3\r\nabc\r\n"],
  ["no bytes", (reply) => reply.blob(new Uint8Array(0)), "$0\r\n\r\n", "$0\r\n\r\n"],
  ["verbatim", (reply) => reply.verbatim("a\r\n"), "$3\r\na\r\n\r\n", "=7\r\ntxt:a\r\n\r\n"],
  ["verbatim beyond ASCII", (reply) => reply.verbatim("é"), "$2\r\né\r\n", "=6\r\ntxt:é\r\n"],
  ["null", (reply) => reply.null(), "$-1\r\n", "_\r\n"],
  ["true", (reply) => reply.boolean(true), ":1\r\n", "#t\r\n"],
  ["false", (reply) => reply.boolean(false), ":0\r\n", "#f\r\n"],
  ["map", (reply) => reply.map(6), "*12\r\n", "%6\r\n"],
  ["array", (reply) => reply.array(3), "*3\r\n", "*3\r\n"],
  ["empty array", (reply) => reply.array(0), "*0\r\n", "*0\r\n"],
  ["set", (reply) => reply.set(2), "*2\r\n", "~2\r\n"],
  ["push", (reply) => reply.push(4), "*4\r\n", ">4\r\n"],
])("%s", (_name, write, resp2, resp3) => {
  expect(written(2, write)).toBe(resp2);
  expect(written(3, write)).toBe(resp3);
});

test("integers of every length, and around the powers of ten and two", () => {
  const values = [0, Number.MAX_SAFE_INTEGER];
  for (let power = 1; power < Number.MAX_SAFE_INTEGER; power *= 10)
    values.push(power - 1, power, power + 1);
  for (let power = 1; power < Number.MAX_SAFE_INTEGER; power *= 2)
    values.push(power - 1, power, power + 1);
  for (const value of values) {
    expect(written(2, (reply) => reply.integer(value))).toBe(`:${value}\r\n`);
    if (value > 0) expect(written(3, (reply) => reply.integer(-value))).toBe(`:-${value}\r\n`);
  }
});

test("an integer that is none is our own mistake", () => {
  for (const value of [0.5, Number.NaN, 2 ** 53]) {
    expect(() => written(3, (reply) => reply.integer(value))).toThrow("assertion failed");
  }
});

test("values follow one another, and the sink may change between them", () => {
  const first = new TightSink();
  const second = new TightSink();
  const reply = new Reply(first);
  reply.protocol = 3;
  reply.map(1);
  reply.simple("key");
  reply.sink = second;
  reply.integer(7);
  expect(first.written()).toBe("%1\r\n+key\r\n");
  expect(second.written()).toBe(":7\r\n");
});
