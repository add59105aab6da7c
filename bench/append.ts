/**
 * Durable appends a second: EAPPEND in Cairn, XADD in Redis with `appendfsync always`, both from redis-benchmark.
 *
 * Each appends one event of 130 bytes to a random stream; the limit is a bare loop that writes and syncs as many
 * bytes as all connections together have under way. It leaves out expected versions, event ids given by the client,
 * several clients' machines and a store that is larger than memory. redis-benchmark draws its random numbers anew
 * each time, so the streams chosen differ from run to run.
 */
import { medians, type RepeatedRequest, type Shape, shapeName, throughput } from "./measure.ts";
import { type Bench, countEvents, Missing, type Peer, withPeers } from "./peers.ts";
import { eappend, makePool, makeRandom, SEED, streamId, xadd } from "./requests.ts";
import type { Row } from "./table.ts";
import { RECORD_BYTES, writeLoop } from "./write-loop.ts";

/** The shapes of the table, each with the ratio to Redis that it must reach. */
const SHAPES: readonly { shape: Shape; ratio: number }[] = [
  { shape: { connections: 1, pipeline: 1 }, ratio: 1.2 },
  { shape: { connections: 50, pipeline: 1 }, ratio: 1.2 },
  { shape: { connections: 50, pipeline: 16 }, ratio: 1.2 },
  { shape: { connections: 200, pipeline: 1 }, ratio: 1.05 },
];

/** Requests made beforehand for the counting client, where redis-benchmark is missing. */
const POOL_COUNT = 16_000;
/** Seconds of one write loop: it is steady, and needs less time than a client. */
const WRITE_LOOP_SECONDS_MAX = 1;

/** Appends to `streamCount` streams, in every shape. */
export function appendWorkload(bench: Bench, streamCount: number): Promise<Row[]> {
  const streams = streamCount.toLocaleString("en-US");
  bench.print(`append: ${streams} streams, payload 130 B, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const rows: Row[] = [];
    let sentToCairn = 0;
    let sentToRedis = 0;
    for (const { shape, ratio } of SHAPES) {
      const load = `append ${shapeName(shape)}, ${streams} streams`;
      const cairnLoad = throughput(bench, cairn, shape, repeated(eappend, streamCount));
      const redisLoad = throughput(bench, redis, shape, repeated(xadd, streamCount));
      const together = shape.connections * shape.pipeline;
      const cells = await medians(bench, load, {
        cairn: cairnLoad.measure,
        redis: redisLoad.measure,
        limit: async () => {
          const seconds = Math.min(bench.seconds, WRITE_LOOP_SECONDS_MAX);
          return writeLoop(bench, together * RECORD_BYTES, seconds).batchesPerSecond * together;
        },
      });
      sentToCairn += cairnLoad.sentAtLeast();
      sentToRedis += redisLoad.sentAtLeast();
      rows.push({
        load,
        unit: "events/s",
        cairn: cells.cairn,
        peer: cells.redis,
        limit: cells.limit,
        target: { of: "cairn / peer", sense: "at least", value: ratio },
      });
    }
    await checkStored(bench, cairn, sentToCairn);
    await checkStored(bench, redis, sentToRedis);
    return rows;
  });
}

function repeated(make: (stream: string) => string[], streamCount: number): RepeatedRequest {
  const random = makeRandom(SEED);
  return {
    args: make("key:__rand_int__"),
    randomBelow: streamCount,
    pool: makePool(POOL_COUNT, () => make(streamId(random(streamCount)))),
  };
}

/** Everything answered must be there; a client that stops may have sent a few more than it counted. */
async function checkStored(bench: Bench, peer: Peer | Missing, sent: number): Promise<void> {
  if (peer instanceof Missing) return;
  const stored = await countEvents(peer);
  bench.print(`  ${peer.name}: ${stored} events stored, ${sent} answered`);
  if (stored < sent) throw new Error(`${peer.name} holds ${stored} of ${sent} events answered`);
}
