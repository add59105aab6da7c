/**
 * Whole streams of 100 events a second: ESCAN in Cairn, XRANGE in Redis, at 50×1.
 *
 * The client only counts bytes: every reply was parsed once before, its payloads compared and its size kept.
 * The limit is a bare server that sends as many bytes as Cairn's replies have. Everything is in the page cache; it
 * leaves out streams read from the disk, and what a client does with a reply three times as large as Redis'.
 */
import { startBareServer } from "./bare-server.ts";
import { countFor, fill, learnReplySizes, medians } from "./measure.ts";
import { type Bench, Missing, type Peer, withPeers } from "./peers.ts";
import {
  eappend,
  makePool,
  PAYLOAD,
  type Pool,
  SEED,
  shuffled,
  streamId,
  xadd,
} from "./requests.ts";
import { member, type RespValue } from "./resp.ts";
import type { Row } from "./table.ts";

const EVENTS_PER_STREAM = 100;
const SHAPE = { connections: 50, pipeline: 1 };
/** Bytes of Cairn's reply, where there is no Cairn to ask. */
const REPLY_BYTES_DEFAULT = 45_000;

/** Scans `streamCount` streams (a multiple of 4) of 100 events each. */
export function scanWorkload(bench: Bench, streamCount: number): Promise<Row[]> {
  bench.print(`scan: ${streamCount} streams of 100 events, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const order = shuffled(streamCount, SEED);
    const escans = makePool(streamCount, (i) => scanArgs("ESCAN", order[i] as number));
    const xranges = makePool(streamCount, (i) => scanArgs("XRANGE", order[i] as number));
    const inCairn = await prepare(bench, cairn, eappend, escans, eventsOfScan);
    const inRedis = await prepare(bench, redis, xadd, xranges, eventsOfRange);
    const replyBytes =
      inCairn instanceof Missing ? REPLY_BYTES_DEFAULT : Math.round(mean(inCairn.sizes));
    const bare = await startBareServer(escans.requestBytes, replyBytes);
    const bareSizes = new Uint32Array(streamCount).fill(replyBytes);
    try {
      const cells = await medians(bench, "replies/s", {
        cairn: repliesPerSecond(bench, inCairn),
        redis: repliesPerSecond(bench, inRedis),
        limit: repliesPerSecond(bench, { peer: bare, pool: escans, sizes: bareSizes }),
      });
      return [
        {
          load: "ESCAN of 100 events 50×1 (Redis: XRANGE)",
          unit: "replies/s",
          cairn: cells.cairn,
          peer: cells.redis,
          limit: cells.limit,
          target: { of: "cairn / peer", sense: "at least", value: 0.5 },
        },
      ];
    } finally {
      await bare.stop();
    }
  });
}

interface Prepared {
  readonly peer: Peer;
  readonly pool: Pool;
  readonly sizes: Uint32Array;
}

function scanArgs(command: string, stream: number): string[] {
  return [command, streamId(stream), "-", "+", "COUNT", String(EVENTS_PER_STREAM)];
}

/** Fills a peer, then reads and checks every stream once. */
async function prepare(
  bench: Bench,
  peer: Peer | Missing,
  makeAppend: (stream: string) => string[],
  pool: Pool,
  payloadsOf: (reply: RespValue) => RespValue[],
): Promise<Prepared | Missing> {
  if (peer instanceof Missing) return peer;
  const eventCount = pool.count * EVENTS_PER_STREAM;
  const order = shuffled(eventCount, SEED);
  const streamOf = (i: number): string => streamId((order[i] as number) % pool.count);
  await fill(
    bench,
    peer,
    makePool(eventCount, (i) => makeAppend(streamOf(i))),
  );
  let events = 0;
  let checksum = 0;
  const sizes = await learnReplySizes(peer, pool, (reply, index) => {
    const payloads = payloadsOf(reply);
    if (payloads.length !== EVENTS_PER_STREAM || payloads.some((payload) => payload !== PAYLOAD)) {
      throw new Error(`${peer.name} answered scan ${index} with other events than were appended`);
    }
    events += payloads.length;
    for (const payload of payloads) checksum = Bun.hash.crc32(String(payload), checksum);
  });
  bench.print(
    `  ${peer.name}: ${events} events read, ${Math.round(mean(sizes))} B a reply, ` +
      `payloads' CRC ${checksum.toString(16)}`,
  );
  return { peer, pool, sizes };
}

function repliesPerSecond(bench: Bench, prepared: Prepared | Missing) {
  if (prepared instanceof Missing) return prepared;
  const { peer, pool, sizes } = prepared;
  return async () => (await countFor(bench, peer, SHAPE, pool, sizes)).repliesPerSecond;
}

function eventsOfScan(reply: RespValue): RespValue[] {
  const events = member(reply, "events");
  return Array.isArray(events) ? events.map((event) => member(event, "payload")) : [];
}

function eventsOfRange(reply: RespValue): RespValue[] {
  if (!Array.isArray(reply)) return [];
  return reply.map((entry) => member(Array.isArray(entry) ? (entry[1] ?? null) : null, "payload"));
}

function mean(sizes: Uint32Array): number {
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
}
