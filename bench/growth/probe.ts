/**
 * How long single requests take, one at a time on one connection that nothing else uses.
 *
 * The clock stops when the reply is whole; only then is it parsed in full and held against what must be in it.
 */
import type { Socket } from "bun";
import { encodeRequest, parseReply, ReplyCounter, type RespValue } from "../resp.ts";
import { Histogram } from "./histogram.ts";

/** One request, and what its reply must be; `check` throws where it is not. */
export interface ProbedRequest {
  readonly args: readonly string[];
  check(reply: RespValue): void;
}

/** Microseconds. */
export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Sends the requests one after the other; their percentiles. */
export async function probe(port: number, requests: readonly ProbedRequest[]): Promise<Latency> {
  const connection = await Connection.open(port);
  const histogram = new Histogram();
  try {
    for (const request of requests) {
      const { us, reply } = await connection.ask(encodeRequest(request.args));
      histogram.add(us);
      request.check(parseReply(reply, 0)?.value ?? null);
    }
  } finally {
    connection.close();
  }
  return { p50Us: histogram.quantileUs(0.5), p99Us: histogram.quantileUs(0.99) };
}

class Connection {
  private socket: Socket | null = null;
  private readonly counter = new ReplyCounter();
  private chunks: Uint8Array[] = [];
  private sentNs = 0;
  private resolve: (answer: { us: number; reply: Uint8Array }) => void = () => {};
  private reject: (error: Error) => void = () => {};

  static async open(port: number): Promise<Connection> {
    const connection = new Connection();
    connection.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => connection.take(chunk),
        close: () => connection.reject(new Error("the server closed the connection")),
        error: (_socket, error) => connection.reject(error),
      },
    });
    return connection;
  }

  ask(request: Uint8Array): Promise<{ us: number; reply: Uint8Array }> {
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.chunks = [];
      this.sentNs = Bun.nanoseconds();
      this.socket?.write(request);
    });
  }

  close(): void {
    this.socket?.end();
  }

  private take(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice());
    if (this.counter.push(chunk) === 0) return;
    const us = (Bun.nanoseconds() - this.sentNs) / 1e3;
    this.resolve({ us, reply: Buffer.concat(this.chunks) });
  }
}
