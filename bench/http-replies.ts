/**
 * HTTP as the counting client speaks it: requests in pools, and where answers end.
 *
 * Answers must tell their length, as all but feeds do. Their heads are read, their bodies only counted: what a client
 * does with JSON is left out, for every server alike.
 */
import { makeBytePool, type Pool } from "./requests.ts";

/** A pool of requests of one size: `make` gives path and body. */
export function makeHttpPool(
  count: number,
  make: (index: number) => {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly body?: unknown;
  },
): Pool {
  return makeBytePool(count, (index) => {
    const { method, path, body } = make(index);
    const text = body === undefined ? "" : JSON.stringify(body);
    const length = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${body === undefined ? "" : length}\r\n`;
    return Buffer.from(head + text);
  });
}

/** Finds the ends of answers; an answer that is no success is an error. */
export class HttpReplyCounter {
  errors = 0;
  /** Status line and what of the body came with the first error's head. */
  firstError = "";
  /** The part of a head that came with earlier chunks. */
  #head = "";
  #bodyBytesLeft = 0;

  /** Takes the next bytes; returns how many answers they completed. */
  push(chunk: Uint8Array): number {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let completed = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#bodyBytesLeft > 0) {
        const taken = Math.min(this.#bodyBytesLeft, bytes.length - at);
        at += taken;
        this.#bodyBytesLeft -= taken;
        if (this.#bodyBytesLeft === 0) completed++;
        continue;
      }
      // The blank line may be cut by a chunk's end, so it is looked for in the head as a whole.
      const before = this.#head.length;
      const part = bytes.toString("latin1", at, Math.min(bytes.length, at + HEAD_BYTES_MAX));
      const text = this.#head + part;
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) {
        if (text.length >= HEAD_BYTES_MAX) throw new Error("an answer's head does not end");
        this.#head = text;
        return completed;
      }
      at += end + 4 - before;
      this.#head = "";
      this.#bodyBytesLeft = this.#bodyLength(text.slice(0, end), text.slice(end + 4));
      if (this.#bodyBytesLeft === 0) completed++;
    }
    return completed;
  }

  #bodyLength(head: string, rest: string): number {
    const status = Number(head.slice(STATUS_START, STATUS_START + 3));
    if (!(status >= 200 && status < 300)) {
      this.errors++;
      if (this.firstError === "") this.firstError = `${head.split("\r\n", 1)[0]} ${rest}`;
    }
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) throw new Error(`an answer without a length: ${head}`);
    return Number(length);
  }
}

/** More than any head that is answered here has. */
const HEAD_BYTES_MAX = 4_096;
const STATUS_START = "HTTP/1.1 ".length;
