/**
 * The RESP door alone: PING at 50×16 from redis-benchmark, to Cairn, Redis and a bare server.
 *
 * Nothing is stored or read. What it shows is the cost of sockets, of decoding requests and of writing replies.
 */
import { startBareServer } from "./bare-server.ts";
import { medians, type RepeatedRequest, throughput } from "./measure.ts";
import { type Bench, withPeers } from "./peers.ts";
import { makePool } from "./requests.ts";
import type { Row } from "./table.ts";

const SHAPE = { connections: 50, pipeline: 16 };
const PONG_BYTES = "+PONG\r\n".length;

/** PING at 50×16. */
export function pingWorkload(bench: Bench): Promise<Row[]> {
  bench.print(`ping: 50×16, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const pool = makePool(SHAPE.pipeline, () => ["PING"]);
    const request: RepeatedRequest = { args: ["PING"], randomBelow: 1, pool };
    const bare = await startBareServer(pool.requestBytes, PONG_BYTES);
    try {
      const cells = await medians(bench, "replies/s", {
        cairn: throughput(bench, cairn, SHAPE, request).measure,
        redis: throughput(bench, redis, SHAPE, request).measure,
        limit: throughput(bench, bare, SHAPE, request).measure,
      });
      return [
        {
          load: "PING 50×16",
          unit: "replies/s",
          cairn: cells.cairn,
          peer: cells.redis,
          limit: cells.limit,
          target: { of: "cairn / peer", sense: "at least", value: 0.8 },
        },
      ];
    } finally {
      await bare.stop();
    }
  });
}
