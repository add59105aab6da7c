/**
 * A client that loads a server and only counts what comes back, in a process of its own.
 *
 * Every connection sends `pipeline` requests from a pool made beforehand, waits for all their replies, and sends
 * the next. Where the pool's reply sizes are known (they were learnt by parsing each reply once) a reply costs a
 * comparison; otherwise `ReplyCounter` finds its end. It leaves out what a real client does with a reply.
 */
import { parseArgs } from "node:util";
import type { Socket } from "bun";
import { HttpReplyCounter } from "./http-replies.ts";
import { run } from "./process.ts";
import type { Pool } from "./requests.ts";
import { ReplyCounter } from "./resp.ts";

type Protocol = "resp" | "http";

export interface Load {
  readonly port: number;
  readonly connections: number;
  /** Requests that a connection sends together. */
  readonly pipeline: number;
  readonly pool: Pool;
  /** What the pool's requests speak; "resp" unless given. */
  readonly protocol?: Protocol;
  /** Sizes of the pool's replies, where each is always the same. */
  readonly replySizes?: Uint32Array;
  /** When to stop: after some seconds, or when so many requests were sent (a multiple of `pipeline`). */
  readonly stop: { readonly seconds: number } | { readonly requests: number };
}

export interface LoadResult {
  readonly replies: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly repliesPerSecond: number;
  /** Round trips of whole pipelines, microseconds. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Runs the load in a process of its own. An error reply, or a reply of another size, is thrown. */
export async function countClient(folder: string, load: Load): Promise<LoadResult> {
  const poolPath = `${folder}/requests.bin`;
  const sizesPath = `${folder}/reply-sizes.bin`;
  await Bun.write(poolPath, load.pool.bytes);
  const args = ["--port", load.port, "--connections", load.connections];
  args.push("--pipeline", load.pipeline, "--pool", poolPath);
  args.push("--request-bytes", load.pool.requestBytes);
  if (load.replySizes !== undefined) {
    await Bun.write(sizesPath, load.replySizes);
    args.push("--reply-sizes", sizesPath);
  }
  if (load.protocol !== undefined) args.push("--protocol", load.protocol);
  if ("seconds" in load.stop) args.push("--seconds", load.stop.seconds);
  else args.push("--requests", load.stop.requests);
  const output = await run([process.execPath, import.meta.filename, ...args.map(String)]);
  return JSON.parse(output) as LoadResult;
}

interface Settings {
  readonly port: number;
  readonly connections: number;
  readonly pipeline: number;
  readonly pool: Uint8Array;
  readonly requestBytes: number;
  readonly protocol: Protocol;
  readonly replySizes: Uint32Array | null;
  readonly secondsMax: number;
  readonly requestsMax: number;
}

/** Sends until the time or the requests are used up; resolves when the last reply is there. */
async function drive(settings: Settings): Promise<LoadResult> {
  const { pipeline, requestBytes, replySizes, pool } = settings;
  const poolCount = pool.length / requestBytes;
  if (poolCount % pipeline !== 0) throw new Error("the pool is no multiple of the pipeline");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const roundTripsUs = new Float64Array(ROUND_TRIPS_MAX);
  let roundTrips = 0;
  let nextRequest = 0;
  let sent = 0;
  let replies = 0;
  let bytes = 0;
  let startNs = 0;
  let endNs = 0;
  let busy = 0;

  const send = (connection: Connection): void => {
    const now = Bun.nanoseconds();
    if (sent >= settings.requestsMax || now - startNs >= settings.secondsMax * 1e9) {
      endNs = now;
      busy--;
      if (busy === 0) resolve();
      return;
    }
    connection.firstRequest = nextRequest;
    connection.waiting = pipeline;
    connection.sentNs = now;
    connection.unsent = pool.subarray(
      nextRequest * requestBytes,
      (nextRequest + pipeline) * requestBytes,
    );
    sent += pipeline;
    nextRequest = (nextRequest + pipeline) % poolCount;
    flush(connection);
  };

  const take = (connection: Connection, chunk: Uint8Array): void => {
    bytes += chunk.length;
    const completed =
      replySizes === null
        ? countByParsing(connection, chunk)
        : countBySize(connection, chunk, replySizes, pipeline);
    replies += completed;
    connection.waiting -= completed;
    if (connection.waiting < 0) throw new Error("the server sent more replies than were asked for");
    if (connection.waiting > 0) return;
    roundTripsUs[roundTrips % ROUND_TRIPS_MAX] = (Bun.nanoseconds() - connection.sentNs) / 1e3;
    roundTrips++;
    send(connection);
  };

  const connections: Connection[] = [];
  for (let i = 0; i < settings.connections; i++) {
    const connection = makeConnection(settings.protocol);
    connection.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: settings.port,
      socket: {
        data: (_socket, chunk) => {
          try {
            take(connection, chunk);
          } catch (error) {
            reject(error);
          }
        },
        drain: () => flush(connection),
        close: () => reject(new Error("the server closed a connection")),
        error: (_socket, error) => reject(error),
      },
    });
    connections.push(connection);
  }
  busy = connections.length;
  startNs = Bun.nanoseconds();
  for (const connection of connections) send(connection);
  await promise;

  const seconds = (endNs - startNs) / 1e9;
  const sorted = roundTripsUs.subarray(0, Math.min(roundTrips, ROUND_TRIPS_MAX)).sort();
  return {
    replies,
    bytes,
    seconds,
    repliesPerSecond: replies / seconds,
    p50Us: sorted[Math.floor(sorted.length * 0.5)] ?? 0,
    p99Us: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
  };
}

/** Round trips kept for the percentiles: the last ones. */
const ROUND_TRIPS_MAX = 1 << 20;

interface Connection {
  socket: Socket | null;
  readonly counter: ReplyCounter | HttpReplyCounter;
  /** Index in the pool of the first request sent and not yet wholly answered. */
  firstRequest: number;
  /** Replies not yet there of those asked for. */
  waiting: number;
  /** Bytes seen of the reply being received, where sizes are known. */
  replyBytes: number;
  sentNs: number;
  unsent: Uint8Array;
}

function makeConnection(protocol: Protocol): Connection {
  return {
    socket: null,
    counter: protocol === "http" ? new HttpReplyCounter() : new ReplyCounter(),
    firstRequest: 0,
    waiting: 0,
    replyBytes: 0,
    sentNs: 0,
    unsent: new Uint8Array(0),
  };
}

function flush(connection: Connection): void {
  if (connection.unsent.length === 0 || connection.socket === null) return;
  connection.unsent = connection.unsent.subarray(connection.socket.write(connection.unsent));
}

function countByParsing(connection: Connection, chunk: Uint8Array): number {
  const completed = connection.counter.push(chunk);
  if (connection.counter.errors > 0)
    throw new Error(`error reply: ${connection.counter.firstError}`);
  return completed;
}

function countBySize(
  connection: Connection,
  chunk: Uint8Array,
  replySizes: Uint32Array,
  pipeline: number,
): number {
  let completed = 0;
  let offset = 0;
  while (offset < chunk.length) {
    if (connection.replyBytes === 0 && chunk[offset] === MINUS) {
      throw new Error(
        `error reply: ${Buffer.from(chunk.subarray(offset + 1))
          .toString()
          .trim()}`,
      );
    }
    const index = connection.firstRequest + pipeline - connection.waiting + completed;
    const left = (replySizes[index] as number) - connection.replyBytes;
    if (chunk.length - offset < left) {
      connection.replyBytes += chunk.length - offset;
      break;
    }
    offset += left;
    connection.replyBytes = 0;
    completed++;
  }
  return completed;
}

const MINUS = 0x2d;

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      connections: { type: "string" },
      pipeline: { type: "string" },
      pool: { type: "string" },
      "request-bytes": { type: "string" },
      "reply-sizes": { type: "string" },
      protocol: { type: "string" },
      seconds: { type: "string" },
      requests: { type: "string" },
    },
  });
  const sizesPath = values["reply-sizes"];
  const result = await drive({
    port: Number(values.port),
    connections: Number(values.connections),
    pipeline: Number(values.pipeline),
    pool: await Bun.file(values.pool ?? "").bytes(),
    requestBytes: Number(values["request-bytes"]),
    protocol: values.protocol === "http" ? "http" : "resp",
    replySizes:
      sizesPath === undefined ? null : new Uint32Array(await Bun.file(sizesPath).arrayBuffer()),
    secondsMax: Number(values.seconds ?? Number.POSITIVE_INFINITY),
    requestsMax: Number(values.requests ?? Number.POSITIVE_INFINITY),
  }).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
  console.log(JSON.stringify(result));
  process.exit(0); // the sockets are still open
}
