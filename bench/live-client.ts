/**
 * A client that follows and only counts the bytes that come, in a process of its own.
 *
 * Every connection sends one request, waits until it has subscribed, and then reads: until a mark has come at the end of what
 * was sent, or until it is stopped. It never looks at more than the ends of what it reads, so that it is not the limit. It
 * leaves out what a real subscriber does with an event.
 */
import { parseArgs } from "node:util";
import type { Socket } from "bun";
import { messageOf } from "./peers.ts";
import { run, type Server, startServer } from "./process.ts";
import { encodeRequest } from "./resp.ts";

export interface Following {
  readonly port: number;
  readonly connections: number;
  /** Each connection's request; `__connection__` stands for its number. */
  readonly request: readonly string[];
  /** Speaks RESP3. */
  readonly isResp3: boolean;
  /** Ends a connection's reading, when it comes as the end of all that was sent. */
  readonly mark?: string;
  /** Stops reading as soon as it has subscribed. */
  readonly stalls?: boolean;
  /** The request is answered by nothing at first: it is ready when it was sent. */
  readonly waits?: boolean;
}

export interface Followed {
  /** Over all connections, answers to the request included. */
  readonly bytes: number;
  /** From the request to the last mark, or to the stop. */
  readonly seconds: number;
  /** From the first bytes after all had subscribed. */
  readonly liveSeconds: number;
  /** The last bytes of the first connection. */
  readonly ending: string;
}

/** Follows until every connection has read the mark. */
export async function follow(following: Following): Promise<Followed> {
  const output = await run(commandOf(following));
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Followed;
}

/** Starts to follow; resolves when all connections have subscribed. */
export async function startFollowing(following: Following): Promise<Server> {
  return startServer(commandOf(following), /^ready$/);
}

/** Waits until every connection has read the mark, or without a mark ends the reading. */
export async function endFollowing(server: Server): Promise<Followed> {
  const code = await server.stop();
  if (code !== 0) throw new Error(`the followers ended with ${code}: ${server.lastLine()}`);
  return JSON.parse(server.lastLine()) as Followed;
}

function commandOf(following: Following): string[] {
  return [process.execPath, import.meta.filename, "--following", JSON.stringify(following)];
}

/** Bytes of the end of what came in which a mark is looked for, and which are told. */
const ENDING_BYTES = 2_048;
const MARK_BYTES = 128;
const SUBSCRIBED = "subscribe";
/** Connections that are opened at a time. */
const CONNECTING_MAX = 50;

interface Reader {
  socket: Socket | null;
  hasSubscribed: boolean;
  isDone: boolean;
  ending: Buffer;
}

class Readers {
  private readonly following: Following;
  private readonly readers: Reader[] = [];
  private readonly finished = Promise.withResolvers<void>();
  private readonly subscribed = Promise.withResolvers<void>();
  private subscribedCount = 0;
  private doneCount = 0;
  private bytes = 0;
  private sentNs = 0;
  private liveNs = 0;
  private endNs = 0;
  private isReady = false;

  constructor(following: Following) {
    this.following = following;
    // Whoever waits is told; before that it is nobody's.
    this.subscribed.promise.catch(() => {});
    this.finished.promise.catch(() => {});
  }

  /** Connects, sends the requests, and resolves when all have subscribed. */
  async subscribe(): Promise<void> {
    const { connections, waits } = this.following;
    for (let number = 0; number < connections; number += CONNECTING_MAX) {
      const count = Math.min(CONNECTING_MAX, connections - number);
      await Promise.all(Array.from({ length: count }, (_, i) => this.connect(number + i)));
    }
    if (waits !== true) await this.subscribed.promise;
    this.isReady = true;
  }

  /** Resolves when every connection has read the mark. */
  get done(): Promise<void> {
    return this.finished.promise;
  }

  result(): Followed {
    const end = this.endNs === 0 ? Bun.nanoseconds() : this.endNs;
    return {
      bytes: this.bytes,
      seconds: (end - this.sentNs) / 1e9,
      liveSeconds: this.liveNs === 0 ? 0 : (end - this.liveNs) / 1e9,
      ending: this.readers[0]?.ending.toString("latin1") ?? "",
    };
  }

  private async connect(number: number): Promise<void> {
    const { port, request, isResp3 } = this.following;
    const reader: Reader = {
      socket: null,
      hasSubscribed: false,
      isDone: false,
      ending: Buffer.alloc(0),
    };
    this.readers[number] = reader;
    reader.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => this.take(reader, chunk),
        close: () => this.finished.reject(new Error("the server closed a connection")),
        error: (_socket, error) => this.finished.reject(error),
      },
    });
    const words = request.map((word) => word.replaceAll("__connection__", String(number)));
    const hello = isResp3 ? encodeRequest(["HELLO", "3"]) : new Uint8Array(0);
    if (this.sentNs === 0) this.sentNs = Bun.nanoseconds();
    reader.socket.write(Buffer.concat([hello, encodeRequest(words)]));
  }

  private take(reader: Reader, chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.isReady && this.liveNs === 0) this.liveNs = Bun.nanoseconds();
    if (!reader.hasSubscribed) this.takeSubscribed(reader, chunk);
    const { mark } = this.following;
    if (mark === undefined || reader.isDone || !reader.hasSubscribed) return;
    const isFirst = reader === this.readers[0];
    const kept = isFirst ? ENDING_BYTES : MARK_BYTES;
    reader.ending =
      chunk.length >= kept
        ? Buffer.from(chunk.subarray(-kept))
        : Buffer.concat([reader.ending, chunk]).subarray(-kept);
    if (!reader.ending.includes(mark, Math.max(0, reader.ending.length - MARK_BYTES))) return;
    reader.isDone = true;
    this.doneCount++;
    if (this.doneCount < this.following.connections) return;
    this.endNs = Bun.nanoseconds();
    this.finished.resolve();
  }

  private takeSubscribed(reader: Reader, chunk: Buffer): void {
    reader.ending = Buffer.concat([reader.ending, chunk]);
    const text = reader.ending.toString("latin1");
    const refusal = /(?:^|\n)-(.*)\r\n/.exec(text)?.[1];
    if (refusal !== undefined) this.subscribed.reject(new Error(refusal));
    if (!text.includes(SUBSCRIBED)) return;
    reader.hasSubscribed = true;
    if (this.following.stalls === true) reader.socket?.pause();
    this.subscribedCount++;
    if (this.subscribedCount === this.following.connections) this.subscribed.resolve();
  }
}

async function main(following: Following): Promise<void> {
  const readers = new Readers(following);
  const stopped = Promise.withResolvers<void>();
  // With a mark the end is where it has come; who waits too long for that kills this process.
  process.on("SIGTERM", () => {
    if (following.mark === undefined) stopped.resolve();
  });
  await Promise.race([readers.subscribe(), readers.done]);
  console.log("ready");
  await Promise.race([readers.done, stopped.promise]);
  console.log(JSON.stringify(readers.result()));
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { following: { type: "string" } } });
  await main(JSON.parse(values.following ?? "") as Following).catch((error: unknown) => {
    console.error(messageOf(error));
    process.exit(1);
  });
  process.exit(0); // the sockets are still open
}
