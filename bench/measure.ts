/**
 * How a number is taken: the measures of one row in turn, several times, the median of each.
 *
 * In turn (A B C, A B C, …), because the machine is shared: what slows it down for a while slows all of them.
 * Requests come from redis-benchmark where it is installed and fits, else from `count-client.ts`; one row uses one
 * client for every peer.
 */
import { countClient, type LoadResult } from "./count-client.ts";
import { type Bench, Missing, messageOf, type Peer, withClient } from "./peers.ts";
import { run } from "./process.ts";
import type { Pool } from "./requests.ts";
import { RespError, type RespValue, type SizedReply } from "./resp.ts";
import type { Cell } from "./table.ts";

/** Takes one number; a `Missing` stands for a peer that is not there. */
export type Measure = Missing | (() => Promise<number>);

/** Runs the measures in turn, `bench.rounds` times; each one's median, or why there is none. */
export async function medians<Name extends string>(
  bench: Bench,
  load: string,
  measures: Record<Name, Measure>,
): Promise<Record<Name, Cell>> {
  const names = Object.keys(measures) as Name[];
  const taken = new Map<Name, number[]>();
  const failed = new Map<Name, Missing>();
  for (let round = 0; round < bench.rounds; round++) {
    for (const name of names) {
      const measure = measures[name];
      if (measure instanceof Missing || failed.has(name)) continue;
      try {
        const values = taken.get(name) ?? [];
        values.push(await measure());
        taken.set(name, values);
      } catch (error) {
        failed.set(name, new Missing(messageOf(error)));
      }
    }
  }
  const results = {} as Record<Name, Cell>;
  for (const name of names) {
    const measure = measures[name];
    const values = taken.get(name) ?? [];
    results[name] = measure instanceof Missing ? measure : (failed.get(name) ?? median(values));
    const cell = results[name];
    const rounds = values.map((value) => value.toFixed(value < 1000 ? 2 : 0)).join(", ");
    bench.print(`  ${load}, ${name}: ${cell instanceof Missing ? cell.reason : rounds}`);
  }
  return results;
}

/** The middle value; of an even number of values the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error("the median of nothing");
  return middle;
}

/** Connections and requests that each sends together. */
export interface Shape {
  readonly connections: number;
  readonly pipeline: number;
}

export function shapeName(shape: Shape): string {
  return `${shape.connections}×${shape.pipeline}`;
}

/** One command in both forms: as redis-benchmark takes it, and as a pool for the counting client. */
export interface RepeatedRequest {
  /** `__rand_int__` stands for twelve random digits. */
  readonly args: readonly string[];
  /** `__rand_int__` is below it. */
  readonly randomBelow: number;
  readonly pool: Pool;
}

/**
 * A measure of replies a second under this load, and how many requests it has sent so far at least.
 * Without redis-benchmark it uses the counting client.
 */
export function throughput(
  bench: Bench,
  peer: Peer | Missing,
  shape: Shape,
  request: RepeatedRequest,
): { measure: Measure; sentAtLeast: () => number } {
  if (peer instanceof Missing) return { measure: peer, sentAtLeast: () => 0 };
  let sent = 0;
  const { redisBenchmark } = bench;
  if (redisBenchmark === null) {
    const measure = async (): Promise<number> => {
      const result = await countFor(bench, peer, shape, request.pool);
      sent += result.replies;
      return result.repliesPerSecond;
    };
    return { measure, sentAtLeast: () => sent };
  }
  // redis-benchmark takes a number of requests, not seconds: a short probe tells how many to ask for.
  let rate = 0;
  const measure = async (): Promise<number> => {
    const command = [redisBenchmark, "-p", String(peer.port)];
    command.push("-c", String(shape.connections), "-P", String(shape.pipeline));
    command.push("-r", String(request.randomBelow), "--csv");
    const ask = async (requests: number): Promise<number> => {
      const output = await run([...command, "-n", String(requests), ...request.args]);
      sent += requests;
      return requestsPerSecond(output);
    };
    const together = shape.connections * shape.pipeline;
    const probe = PROBE_REQUESTS * Math.min(together, 16) * bench.seconds;
    if (rate === 0) rate = await ask(Math.max(together, Math.round(probe)));
    rate = await ask(Math.max(together, Math.round(rate * bench.seconds)));
    return rate;
  };
  return { measure, sentAtLeast: () => sent };
}

/** Loads a peer with the counting client for the time of one measurement. */
export function countFor(
  bench: Bench,
  peer: Peer,
  shape: Shape,
  pool: Pool,
  replySizes?: Uint32Array,
): Promise<LoadResult> {
  return countClient(bench.folder, {
    port: peer.port,
    ...shape,
    pool,
    ...(replySizes === undefined ? {} : { replySizes }),
    stop: { seconds: bench.seconds },
  });
}

/** The same over HTTP, at any port. */
export function countHttpFor(
  bench: Bench,
  port: number,
  shape: Shape,
  pool: Pool,
): Promise<LoadResult> {
  return countClient(bench.folder, {
    port,
    ...shape,
    pool,
    protocol: "http",
    stop: { seconds: bench.seconds },
  });
}

/**
 * Sends every request of the pool once, parses each reply in full and hands it to `check`; returns their sizes.
 * What does not change may then be read again by a client that only counts these bytes.
 */
export function learnReplySizes(
  peer: Peer,
  pool: Pool,
  check: (reply: RespValue, index: number) => void,
): Promise<Uint32Array> {
  return withClient(peer, async (client) => {
    const sizes = new Uint32Array(pool.count);
    for (let i = 0; i < pool.count; i++) {
      const start = i * pool.requestBytes;
      const replies = await client.send(pool.bytes.subarray(start, start + pool.requestBytes), 1);
      const reply = replies[0] as SizedReply;
      check(successOf(reply.value), i);
      sizes[i] = reply.bytes;
    }
    return sizes;
  });
}

/** Sends every request of the pool `times` times, 50×16, and nothing else: a store's known content. */
export async function fill(bench: Bench, peer: Peer, pool: Pool, times = 1): Promise<void> {
  const result = await countClient(bench.folder, {
    port: peer.port,
    connections: 50,
    pipeline: pool.count % 16 === 0 ? 16 : 1,
    pool,
    stop: { requests: pool.count * times },
  });
  if (result.replies !== pool.count * times) {
    throw new Error(`${result.replies} replies to ${pool.count * times} requests`);
  }
}

/** An error reply as an exception, any other as it is. */
function successOf(value: RespValue): RespValue {
  if (value instanceof RespError) throw new Error(value.message);
  return value;
}

/** Requests of the probe, for each second of a measurement and each request sent together, up to 16. */
const PROBE_REQUESTS = 5_000;

/** Reads redis-benchmark's CSV: a line of titles, and one of values. */
function requestsPerSecond(csv: string): number {
  const lines = csv.trim().split("\n");
  const values = (lines.at(-1) ?? "").split('","');
  const rate = Number(values[1]);
  if (lines.length < 2 || !(rate > 0)) throw new Error(`redis-benchmark said: ${csv.trim()}`);
  return rate;
}
