/**
 * RESP as the benchmarks need it: requests as bytes, a client that parses every reply in full, and a counter
 * that finds where replies end without parsing them.
 *
 * The parsing client prepares and verifies; it is never timed. The counter is what a timed client uses, so
 * that the client's own work does not hide the server's.
 */
import type { Socket } from "bun";

/** An error reply. A map is its flat array of names and values, a boolean 0 or 1, as in RESP2. */
export class RespError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export type RespValue = string | number | null | RespError | RespValue[];

/** A reply with its size on the wire. */
export interface SizedReply {
  readonly value: RespValue;
  readonly bytes: number;
}

/** The bytes of one request. */
export function encodeRequest(args: readonly string[]): Uint8Array {
  let text = `*${args.length}\r\n`;
  for (const argument of args) text += `$${Buffer.byteLength(argument)}\r\n${argument}\r\n`;
  return Buffer.from(text);
}

/** Parses the RESP2 reply that begins at `start`; null where it is not all there yet. */
export function parseReply(
  bytes: Uint8Array,
  start: number,
): { value: RespValue; end: number } | null {
  const lineEnd = bytes.indexOf(LF, start);
  if (lineEnd < 0) return null;
  const line = text(bytes, start + 1, lineEnd - 1);
  const bodyStart = lineEnd + 1;
  switch (bytes[start]) {
    case PLUS:
      return { value: line, end: bodyStart };
    case MINUS:
      return { value: new RespError(line), end: bodyStart };
    case COLON:
      return { value: Number(line), end: bodyStart };
    case DOLLAR: {
      const length = Number(line);
      if (length < 0) return { value: null, end: bodyStart };
      const end = bodyStart + length + CRLF_BYTES;
      if (end > bytes.length) return null;
      return { value: text(bytes, bodyStart, bodyStart + length), end };
    }
    case STAR: {
      const count = Number(line);
      if (count < 0) return { value: null, end: bodyStart };
      const values: RespValue[] = [];
      let end = bodyStart;
      for (let i = 0; i < count; i++) {
        const element = parseReply(bytes, end);
        if (element === null) return null;
        values.push(element.value);
        end = element.end;
      }
      return { value: values, end };
    }
    default:
      throw new Error(`no RESP2 reply begins with ${JSON.stringify(text(bytes, start, lineEnd))}`);
  }
}

/** The member of a map that came as a flat array; null where the reply is no map or has no such member. */
export function member(map: RespValue, name: string): RespValue {
  if (!Array.isArray(map)) return null;
  for (let i = 0; i + 1 < map.length; i += 2) if (map[i] === name) return map[i + 1] ?? null;
  return null;
}

/** A connection that parses every reply in full. One request, or one run of them, at a time. */
export class RespClient {
  #socket: Socket | null = null;
  #received = Buffer.alloc(0);
  #unsent: Uint8Array = new Uint8Array(0);
  #wanted = 0;
  #replies: SizedReply[] = [];
  #resolve: (replies: SizedReply[]) => void = () => {};
  #reject: (error: Error) => void = () => {};

  static async connect(port: number): Promise<RespClient> {
    const client = new RespClient();
    client.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => client.#take(chunk),
        drain: () => client.#flush(),
        close: () => client.#reject(new Error("the server closed the connection")),
        error: (_socket, error) => client.#reject(error),
      },
    });
    return client;
  }

  /** Sends one request; an error reply is thrown. */
  async request(...args: string[]): Promise<RespValue> {
    const [reply] = await this.send(encodeRequest(args), 1);
    const value = reply?.value ?? null;
    if (value instanceof RespError) throw new Error(`${args[0]}: ${value.message}`);
    return value;
  }

  /** Sends the bytes of `count` requests; error replies are values here. */
  send(requests: Uint8Array, count: number): Promise<SizedReply[]> {
    return new Promise((resolve, reject) => {
      this.#wanted = count;
      this.#replies = [];
      this.#resolve = resolve;
      this.#reject = reject;
      this.#unsent = requests;
      this.#flush();
    });
  }

  close(): void {
    this.#socket?.end();
  }

  #flush(): void {
    if (this.#unsent.length === 0 || this.#socket === null) return;
    this.#unsent = this.#unsent.subarray(this.#socket.write(this.#unsent));
  }

  #take(chunk: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    let start = 0;
    for (;;) {
      const reply = start < this.#received.length ? parseReply(this.#received, start) : null;
      if (reply === null) break;
      this.#replies.push({ value: reply.value, bytes: reply.end - start });
      start = reply.end;
    }
    this.#received = this.#received.subarray(start);
    if (this.#replies.length === this.#wanted) this.#resolve(this.#replies);
  }
}

/**
 * Counts whole replies in a stream of bytes, whatever their sizes, cut anywhere.
 *
 * It reads the header of each element and jumps over bulk bodies: about a nanosecond a header byte.
 */
export class ReplyCounter {
  errors = 0;
  /** The first error reply, as far as one chunk held it. */
  firstError = "";
  /** Elements until the reply is whole; an array's header adds its own. */
  #elementsLeft = 1;
  /** Bytes of a bulk body, with its CR and LF, not yet seen. */
  #bodyBytesLeft = 0;
  /** First byte of the header being read; 0 between headers. */
  #type = 0;
  #number = 0;
  #negative = false;

  /** Takes the next bytes; returns how many replies they completed. */
  push(chunk: Uint8Array): number {
    let completed = 0;
    let i = 0;
    while (i < chunk.length) {
      if (this.#bodyBytesLeft > 0) {
        const taken = Math.min(this.#bodyBytesLeft, chunk.length - i);
        i += taken;
        this.#bodyBytesLeft -= taken;
        if (this.#bodyBytesLeft === 0) completed += this.#endElement();
        continue;
      }
      const byte = chunk[i++] as number;
      if (this.#type === 0) {
        this.#type = byte;
        this.#number = 0;
        this.#negative = false;
        if (byte === MINUS) this.#noteError(chunk, i);
      } else if (byte === LF) {
        completed += this.#endHeader();
      } else if (byte === MINUS) {
        this.#negative = true;
      } else if (byte >= DIGIT_0 && byte <= DIGIT_9) {
        this.#number = this.#number * 10 + byte - DIGIT_0; // nonsense, and unused, in a simple string
      }
    }
    return completed;
  }

  #endHeader(): number {
    const type = this.#type;
    this.#type = 0;
    if (type === DOLLAR && !this.#negative) {
      this.#bodyBytesLeft = this.#number + CRLF_BYTES;
      return 0;
    }
    if (type === STAR && !this.#negative) this.#elementsLeft += this.#number;
    return this.#endElement();
  }

  #endElement(): number {
    this.#elementsLeft--;
    if (this.#elementsLeft > 0) return 0;
    this.#elementsLeft = 1;
    return 1;
  }

  #noteError(chunk: Uint8Array, start: number): void {
    this.errors++;
    if (this.errors > 1) return;
    const end = chunk.indexOf(CR, start);
    this.firstError = text(chunk, start, end < 0 ? chunk.length : end);
  }
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

const CR = 0x0d;
const LF = 0x0a;
const CRLF_BYTES = 2;
const PLUS = 0x2b;
const MINUS = 0x2d;
const COLON = 0x3a;
const DOLLAR = 0x24;
const STAR = 0x2a;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
