/**
 * Events found by their id a second: EGET in Cairn at 50×1, beside Redis' GET of a value of 600 bytes.
 *
 * An event of this benchmark is about 600 bytes on the wire. The client only counts bytes, after every reply was
 * parsed once; the ids are asked for in a fixed random order. All is in memory or the page cache; it leaves out
 * ids of events that only the disk has.
 */
import { startBareServer } from "./bare-server.ts";
import { countFor, fill, learnReplySizes, medians } from "./measure.ts";
import { type Bench, Missing, type Peer, withClient, withPeers } from "./peers.ts";
import { eappend, makePool, PAYLOAD, type Pool, SEED, shuffled, streamId } from "./requests.ts";
import { member } from "./resp.ts";
import type { Row } from "./table.ts";

const EVENTS_PER_STREAM = 10;
const VALUE_BYTES = 600;
const SHAPE = { connections: 50, pipeline: 1 };

/** Gets events of `streamCount` streams of ten. */
export function getWorkload(bench: Bench, streamCount: number): Promise<Row[]> {
  bench.print(`get: ${streamCount} streams of 10 events, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const egets = await prepareCairn(bench, cairn, streamCount);
    const gets = await prepareRedis(bench, redis, streamCount * EVENTS_PER_STREAM);
    const bare = await startBareServer(EGET_BYTES, VALUE_BYTES);
    const pool = makePool(streamCount, () => ["EGET", NO_ID]);
    const sizes = new Uint32Array(streamCount).fill(VALUE_BYTES);
    try {
      const cells = await medians(bench, "replies/s", {
        cairn: repliesPerSecond(bench, egets),
        redis: repliesPerSecond(bench, gets),
        limit: repliesPerSecond(bench, { peer: bare, pool, sizes }),
      });
      return [
        {
          load: `EGET 50×1 (Redis: GET of ${VALUE_BYTES} B)`,
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

const NO_ID = "00000000-0000-0000-0000-000000000000";
const EGET_BYTES = makePool(1, () => ["EGET", NO_ID]).requestBytes;

interface Prepared {
  readonly peer: Peer;
  readonly pool: Pool;
  readonly sizes: Uint32Array;
}

async function prepareCairn(
  bench: Bench,
  peer: Peer | Missing,
  streamCount: number,
): Promise<Prepared | Missing> {
  if (peer instanceof Missing) return peer;
  await fill(
    bench,
    peer,
    makePool(streamCount, (i) => eappend(streamId(i))),
    EVENTS_PER_STREAM,
  );
  const ids = await readEventIds(peer, streamCount);
  const order = shuffled(ids.length, SEED);
  const pool = makePool(ids.length, (i) => ["EGET", ids[order[i] as number] as string]);
  const sizes = await learnReplySizes(peer, pool, (reply, index) => {
    const isRight =
      member(reply, "event_id") === ids[order[index] as number] &&
      member(reply, "payload") === PAYLOAD;
    if (!isRight) throw new Error(`EGET ${ids[order[index] as number]} found another event`);
  });
  bench.print(`  Cairn: ${ids.length} events found by their ids`);
  return { peer, pool, sizes };
}

async function prepareRedis(
  bench: Bench,
  peer: Peer | Missing,
  keyCount: number,
): Promise<Prepared | Missing> {
  if (peer instanceof Missing) return peer;
  const value = PAYLOAD.repeat(Math.ceil(VALUE_BYTES / PAYLOAD.length)).slice(0, VALUE_BYTES);
  await fill(
    bench,
    peer,
    makePool(keyCount, (i) => ["SET", streamId(i), value]),
  );
  const order = shuffled(keyCount, SEED);
  const pool = makePool(keyCount, (i) => ["GET", streamId(order[i] as number)]);
  const sizes = await learnReplySizes(peer, pool, (reply, index) => {
    if (reply !== value) throw new Error(`GET ${index} found another value`);
  });
  bench.print(`  Redis: ${keyCount} values found by their keys`);
  return { peer, pool, sizes };
}

function readEventIds(peer: Peer, streamCount: number): Promise<string[]> {
  return withClient(peer, async (client) => {
    const ids: string[] = [];
    for (let i = 0; i < streamCount; i++) {
      const events = member(await client.request("ESCAN", streamId(i), "-", "+"), "events");
      if (!Array.isArray(events) || events.length !== EVENTS_PER_STREAM) {
        throw new Error(`${streamId(i)} has other events than were appended`);
      }
      for (const event of events) ids.push(String(member(event, "event_id")));
    }
    return ids;
  });
}

function repliesPerSecond(bench: Bench, prepared: Prepared | Missing) {
  if (prepared instanceof Missing) return prepared;
  const { peer, pool, sizes } = prepared;
  return async () => (await countFor(bench, peer, SHAPE, pool, sizes)).repliesPerSecond;
}
