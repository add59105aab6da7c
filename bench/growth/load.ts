/**
 * Loads a server with a source's events: so many connections, each with so many requests under way, as
 * redis-benchmark does it. It holds nothing but the requests under way, however long it goes on.
 *
 * Requests are written into one buffer for each connection, over a template; replies are only counted. What
 * of a processor that takes is told with the result: near 1 it is the client, and not the server, that is measured.
 */
import type { Socket } from "bun";
import { ReplyCounter } from "../resp.ts";
import { type EventKind, type EventSource, REQUEST_BYTES_MAX } from "./events.ts";

const CONNECTIONS = 50;
const PIPELINE = 16;

export interface LoadResult {
  readonly events: number;
  /** From the first request to the last reply. */
  readonly seconds: number;
  readonly perSecond: number;
  /** Processor time of this process for each second. */
  readonly clientShare: number;
}

/** Several loads as one. */
export function sumLoads(loads: readonly LoadResult[]): LoadResult {
  const sum = (of: (load: LoadResult) => number): number =>
    loads.reduce((total, load) => total + of(load), 0);
  const events = sum((load) => load.events);
  const seconds = sum((load) => load.seconds);
  return {
    events,
    seconds,
    perSecond: events / seconds,
    clientShare: sum((load) => load.clientShare * load.seconds) / seconds,
  };
}

/** Appends the source's next `events` events. An error reply, or a connection that closes, is thrown. */
export async function load(
  port: number,
  source: EventSource,
  kind: EventKind,
  events: number,
): Promise<LoadResult> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const connections: Connection[] = [];
  let unsentEvents = events;
  let waiting = 0;

  const send = (connection: Connection): void => {
    const count = Math.min(PIPELINE, unsentEvents);
    if (count === 0) {
      if (waiting === 0) resolve();
      return;
    }
    unsentEvents -= count;
    waiting += count;
    connection.waiting = count;
    let end = 0;
    for (let i = 0; i < count; i++) end = source.write(connection.buffer, end, kind);
    connection.unsent = connection.buffer.subarray(0, end);
    flush(connection);
  };

  const take = (connection: Connection, chunk: Uint8Array): void => {
    const { counter } = connection;
    const completed = counter.push(chunk);
    if (counter.errors > 0) {
      reject(new Error(`an append was answered: ${counter.firstError}`));
      return;
    }
    connection.waiting -= completed;
    waiting -= completed;
    if (connection.waiting === 0) send(connection);
  };

  try {
    for (let i = 0; i < CONNECTIONS; i++) {
      const connection = makeConnection();
      connections.push(connection);
      connection.socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          data: (_socket, chunk) => take(connection, chunk),
          drain: () => flush(connection),
          close: () => reject(new Error("the server closed a connection")),
          error: (_socket, error) => reject(error),
        },
      });
    }
    const cpuBefore = process.cpuUsage();
    const startNs = Bun.nanoseconds();
    for (const connection of connections) send(connection);
    await promise;
    const seconds = (Bun.nanoseconds() - startNs) / 1e9;
    const cpu = process.cpuUsage(cpuBefore);
    return {
      events,
      seconds,
      perSecond: events / seconds,
      clientShare: (cpu.user + cpu.system) / 1e6 / seconds,
    };
  } finally {
    for (const { socket } of connections) socket?.end();
  }
}

interface Connection {
  socket: Socket | null;
  readonly counter: ReplyCounter;
  readonly buffer: Uint8Array;
  /** Replies not yet there. */
  waiting: number;
  unsent: Uint8Array;
}

function makeConnection(): Connection {
  return {
    socket: null,
    counter: new ReplyCounter(),
    buffer: new Uint8Array(PIPELINE * REQUEST_BYTES_MAX),
    waiting: 0,
    unsent: NOTHING,
  };
}

const NOTHING = new Uint8Array(0);

function flush(connection: Connection): void {
  if (connection.unsent.length === 0 || connection.socket === null) return;
  connection.unsent = connection.unsent.subarray(connection.socket.write(connection.unsent));
}
