/**
 * How long one durable append takes from the client's side: one connection, one request at a time, the median.
 *
 * The limit is the median of writing and syncing one record, and the median round trip to a bare server with
 * requests and replies of the same sizes. Redis' XADD is there to compare. It leaves out waiting behind other clients.
 */
import { startBareServer } from "./bare-server.ts";
import { countFor, medians } from "./measure.ts";
import { type Bench, Missing, type Peer, withClient, withPeers } from "./peers.ts";
import { eappend, makePool, makeRandom, type Pool, SEED, streamId, xadd } from "./requests.ts";
import type { Row } from "./table.ts";
import { RECORD_BYTES, writeLoop } from "./write-loop.ts";

const STREAM_COUNT = 1_000;
const POOL_COUNT = 16_000;
/** An append's reply, where there is no Cairn to ask. */
const REPLY_BYTES_DEFAULT = 280;
const ONE_BY_ONE = { connections: 1, pipeline: 1 };

/** The median latency of an append at 1×1. */
export function latencyWorkload(bench: Bench): Promise<Row[]> {
  bench.print(`latency: append 1×1, ${STREAM_COUNT} streams, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const eappends = makeAppends(eappend);
    const xadds = makeAppends(xadd);
    const replyBytes = await appendReplyBytes(cairn, eappends);
    const bare = await startBareServer(eappends.requestBytes, replyBytes);
    try {
      const p50Us = (peer: Peer | Missing, pool: Pool) =>
        peer instanceof Missing
          ? peer
          : async () => (await countFor(bench, peer, ONE_BY_ONE, pool)).p50Us;
      const cells = await medians(bench, "append p50 µs", {
        cairn: p50Us(cairn, eappends),
        redis: p50Us(redis, xadds),
        write: async () => writeLoop(bench, RECORD_BYTES, bench.seconds).p50Us,
        roundTrip: p50Us(bare, eappends),
      });
      const { write, roundTrip } = cells;
      const limit =
        write instanceof Missing
          ? write
          : roundTrip instanceof Missing
            ? roundTrip
            : write + roundTrip;
      return [
        {
          load: "append 1×1, p50 (limit: write + fdatasync p50, and bare round trip p50)",
          unit: "µs",
          cairn: cells.cairn,
          peer: cells.redis,
          limit,
          target: { of: "cairn / limit", sense: "at most", value: 1.3 },
        },
      ];
    } finally {
      await bare.stop();
    }
  });
}

function makeAppends(make: (stream: string) => string[]): Pool {
  const random = makeRandom(SEED);
  return makePool(POOL_COUNT, () => make(streamId(random(STREAM_COUNT))));
}

function appendReplyBytes(cairn: Peer | Missing, pool: Pool): Promise<number> | number {
  if (cairn instanceof Missing) return REPLY_BYTES_DEFAULT;
  return withClient(cairn, async (client) => {
    const replies = await client.send(pool.bytes.subarray(0, pool.requestBytes), 1);
    return replies[0]?.bytes ?? REPLY_BYTES_DEFAULT;
  });
}
