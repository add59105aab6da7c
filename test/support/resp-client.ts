/**
 * A RESP client for tests: it shows every reply with its type, and does what real clients hide.
 *
 * Frames keep their type byte, so that a test can tell a simple string from a blob. Pushes are kept apart from
 * replies. Requests may be pipelined, sent as raw bytes, cut short or left unread.
 */
import { connect, type Socket } from "node:net";
import { ErrorReply, type Plain } from "./model.ts";

/** A word of a command. Text is sent as UTF-8. */
export type Word = string | number | Uint8Array;

/** A reply by its type byte; `_` stands for every form of null. */
export type Frame =
  | { readonly kind: "+" | "-" | ","; readonly text: string }
  | { readonly kind: ":"; readonly value: number }
  | { readonly kind: "#"; readonly value: boolean }
  | { readonly kind: "_" }
  | { readonly kind: "$" | "="; readonly bytes: Buffer }
  | { readonly kind: "*" | "~" | ">"; readonly items: readonly Frame[] }
  | { readonly kind: "%"; readonly entries: readonly (readonly [Frame, Frame])[] };

/** A map of a reply as an object. */
export type PlainMap = { [key: string]: Plain };

interface Waiter {
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

export class RespClient {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  /** Whether it has ended, or was closed. */
  isClosed = false;

  private readonly socket: Socket;
  private readonly reader = new FrameReader();
  private readonly replies = new Inbox();
  private readonly pushed = new Inbox();

  private constructor(socket: Socket) {
    this.socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const end = (why: string) => {
      this.isClosed = true;
      this.replies.end(why);
      this.pushed.end(why);
      resolve();
    };
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("end", () => {
      end("the server has closed the connection");
      socket.end();
    });
    socket.on("close", () => end("the connection is closed"));
    socket.on("error", (error) => end(`the connection has failed: ${error.message}`));
  }

  static connect(port: number, host = "127.0.0.1"): Promise<RespClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RespClient(socket));
      });
      socket.once("error", reject);
    });
  }

  /** Connects and chooses RESP3. */
  static async connect3(port: number): Promise<RespClient> {
    const client = await RespClient.connect(port);
    await client.command("HELLO", 3);
    return client;
  }

  /** Sends a command and answers its reply. Calls that are not awaited are pipelined. */
  command(...words: readonly Word[]): Promise<Frame> {
    this.send(encode(words));
    return this.reply();
  }

  /** Sends commands in one write and answers their replies. */
  pipeline(commands: readonly (readonly Word[])[]): Promise<Frame[]> {
    this.send(Buffer.concat(commands.map(encode)));
    return Promise.all(commands.map(() => this.reply()));
  }

  /** The command's reply as a value; an error reply is thrown. */
  async value(...words: readonly Word[]): Promise<Plain> {
    const reply = plain(await this.command(...words), "utf8");
    if (reply instanceof ErrorReply) {
      throw new Error(`${words[0]} answered: ${reply.code} ${reply.text}`);
    }
    return reply;
  }

  /** The command's reply, which must be a map. */
  async map(...words: readonly Word[]): Promise<PlainMap> {
    return asMap(await this.value(...words));
  }

  /** The events in a read's reply. */
  async events(...words: readonly Word[]): Promise<PlainMap[]> {
    return asMaps((await this.map(...words)).events);
  }

  /** The command's reply, which must be an error: its whole line. */
  async error(...words: readonly Word[]): Promise<string> {
    const reply = await this.command(...words);
    if (reply.kind !== "-") throw new Error(`${words[0]} was not refused`);
    return reply.text;
  }

  /** Sends bytes as they are. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next reply that no earlier call waits for. */
  reply(): Promise<Frame> {
    return this.replies.next();
  }

  /** The next push. */
  push(): Promise<Frame> {
    return this.pushed.next();
  }

  /** Pushes that have come and were not taken. */
  get pushCount(): number {
    return this.pushed.count;
  }

  /** Sends no more, and goes on reading. */
  endSending(): void {
    this.socket.end();
  }

  /** Reads nothing more from the socket until `resume`. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  close(): void {
    this.isClosed = true;
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.reader.push(chunk);
    for (let frame = this.reader.next(); frame !== null; frame = this.reader.next()) {
      (frame.kind === ">" ? this.pushed : this.replies).add(frame);
    }
  }
}

/**
 * A frame as a value: an object for a map, an array for an array, an ErrorReply for an error. Byte strings
 * are decoded as told; in latin1 each byte is one character.
 */
export function plain(frame: Frame, encoding: "latin1" | "utf8" = "latin1"): Plain | ErrorReply {
  if (frame.kind !== "-") return plainValue(frame, encoding);
  const space = frame.text.indexOf(" ");
  if (space < 0) return new ErrorReply(frame.text, "");
  return new ErrorReply(frame.text.slice(0, space), frame.text.slice(space + 1));
}

/** A value that must be a map. */
function asMap(value: Plain | undefined): PlainMap {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`not a map: ${JSON.stringify(value)}`);
  }
  return value;
}

/** A value that must be an array of maps. */
export function asMaps(value: Plain | undefined): PlainMap[] {
  if (!Array.isArray(value)) throw new Error(`not an array: ${JSON.stringify(value)}`);
  return value.map(asMap);
}

/** A command as an array of blob strings, as clients send it. */
export function encode(words: readonly Word[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = word instanceof Uint8Array ? word : Buffer.from(String(word), "utf8");
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return Buffer.concat(parts);
}

const CRLF = Buffer.from("\r\n");

function plainValue(frame: Frame, encoding: "latin1" | "utf8"): Plain {
  switch (frame.kind) {
    case "+":
      return Buffer.from(frame.text, "utf8").toString(encoding);
    case ",":
      return Number(frame.text);
    case ":":
    case "#":
      return frame.value;
    case "_":
      return null;
    case "$":
      return frame.bytes.toString(encoding);
    case "=":
      return frame.bytes.toString(encoding).slice("txt:".length);
    case "*":
    case "~":
    case ">":
      return frame.items.map((item) => plainValue(item, encoding));
    case "%":
      return Object.fromEntries(
        frame.entries.map(([key, value]) => [
          String(plainValue(key, encoding)),
          plainValue(value, encoding),
        ]),
      );
    case "-":
      throw new Error(`an error within a reply: ${frame.text}`);
  }
}

/** Frames that have come, and those who wait for the next ones, in order. */
class Inbox {
  private readonly frames: Frame[] = [];
  private readonly waiters: Waiter[] = [];
  private ended: string | null = null;

  get count(): number {
    return this.frames.length;
  }

  add(frame: Frame): void {
    const waiter = this.waiters.shift();
    if (waiter === undefined) this.frames.push(frame);
    else waiter.resolve(frame);
  }

  next(): Promise<Frame> {
    const frame = this.frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.ended !== null) return Promise.reject(new Error(this.ended));
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  end(why: string): void {
    this.ended ??= why;
    for (const waiter of this.waiters.splice(0)) waiter.reject(new Error(this.ended));
  }
}

/** An array or a map whose elements have not all come. */
interface OpenAggregate {
  readonly kind: "*" | "~" | ">" | "%";
  /** Frames in it; a map has two an entry. */
  readonly size: number;
  readonly items: Frame[];
}

/** Takes bytes however they are cut, and gives frames. */
export class FrameReader {
  private bytes: Buffer = Buffer.alloc(0);
  private position = 0;
  private readonly open: OpenAggregate[] = [];

  push(chunk: Buffer): void {
    this.bytes = Buffer.concat([this.bytes.subarray(this.position), chunk]);
    this.position = 0;
  }

  /** The next whole frame, or null while bytes are missing. */
  next(): Frame | null {
    for (;;) {
      const lineEnd = this.bytes.indexOf("\r\n", this.position);
      if (lineEnd < 0) return null;
      let frame = this.takeFrame(this.bytes.toString("utf8", this.position, lineEnd), lineEnd + 2);
      if (frame === null) return null;
      if (frame === "opened") continue;
      for (;;) {
        const inner = this.open.at(-1);
        if (inner === undefined) return frame;
        inner.items.push(frame);
        if (inner.items.length < inner.size) break;
        this.open.pop();
        frame = close(inner);
      }
    }
  }

  /** One frame whose first line ends before `next`; "opened" for an array or a map with something in it. */
  private takeFrame(line: string, next: number): Frame | "opened" | null {
    const kind = line[0];
    const rest = line.slice(1);
    let frame: Frame | "opened";
    switch (kind) {
      case "+":
      case "-":
      case ",":
        frame = { kind, text: rest };
        break;
      case ":":
        frame = { kind, value: Number(rest) };
        break;
      case "#":
        frame = { kind, value: rest === "t" };
        break;
      case "_":
        frame = { kind };
        break;
      case "$":
      case "=": {
        const size = Number(rest);
        if (size >= 0) {
          if (this.bytes.length < next + size + 2) return null;
          this.position = next + size + 2;
          return { kind, bytes: this.bytes.subarray(next, next + size) };
        }
        frame = { kind: "_" };
        break;
      }
      case "*":
      case "~":
      case ">":
      case "%": {
        const size = Number(rest) * (kind === "%" ? 2 : 1);
        const aggregate = { kind, size, items: [] };
        if (size > 0) this.open.push(aggregate);
        frame = size > 0 ? "opened" : size === 0 ? close(aggregate) : { kind: "_" };
        break;
      }
      default:
        throw new Error(`no frame begins with ${JSON.stringify(line)}`);
    }
    this.position = next;
    return frame;
  }
}

function close({ kind, items }: OpenAggregate): Frame {
  if (kind !== "%") return { kind, items };
  const entries: [Frame, Frame][] = [];
  for (let i = 0; i < items.length; i += 2) {
    entries.push([items[i] as Frame, items[i + 1] as Frame]);
  }
  return { kind, entries };
}
