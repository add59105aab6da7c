/**
 * Reads over HTTP: whole streams of 100 events as JSON beside ESCAN of the same, and a feed that catches up with the
 * whole store.
 *
 * Answers to reads are parsed once and then only counted, as in `scan.ts`; the feed's reader, in a process of its own,
 * looks at its bytes no more than to count events. Everything is in the page cache.
 */
import { type FeedResult, readFeed } from "./feed-client.ts";
import { makeHttpPool } from "./http-replies.ts";
import { countFor, countHttpFor, fill, medians } from "./measure.ts";
import { type Bench, httpPort, Missing, type Peer, withPeers } from "./peers.ts";
import {
  EVENT_NAME,
  eappend,
  makePool,
  PAYLOAD,
  type Pool,
  SEED,
  shuffled,
  streamId,
} from "./requests.ts";
import type { Row } from "./table.ts";

const EVENTS_PER_STREAM = 100;
const SHAPE = { connections: 50, pipeline: 1 };

/** Reads `streamCount` streams (a multiple of 4) of 100 events each. */
export function httpReadWorkload(bench: Bench, streamCount: number): Promise<Row[]> {
  bench.print(`http-read: ${streamCount} streams of 100, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn) => {
    const order = shuffled(streamCount, SEED);
    const nameOf = (index: number): string => streamId(order[index] as number);
    const gets = makeHttpPool(streamCount, (i) => ({
      method: "GET",
      path: `/v1/streams/${nameOf(i)}/events?limit=${EVENTS_PER_STREAM}`,
    }));
    const escans = makePool(streamCount, (i) => {
      return ["ESCAN", nameOf(i), "-", "+", "COUNT", String(EVENTS_PER_STREAM)];
    });
    if (!(cairn instanceof Missing)) await prepare(bench, cairn, streamCount);
    const cells = await medians(bench, "replies/s", {
      http:
        cairn instanceof Missing
          ? cairn
          : async () => (await countHttpFor(bench, httpPort(cairn), SHAPE, gets)).repliesPerSecond,
      resp:
        cairn instanceof Missing
          ? cairn
          : async () => (await countFor(bench, cairn, SHAPE, escans)).repliesPerSecond,
    });
    return [
      {
        load: "HTTP read of 100 events 50×1, JSON (peer: Cairn's ESCAN)",
        unit: "replies/s",
        cairn: cells.http,
        peer: cells.resp,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 0.5 },
      },
    ];
  });
}

/** Fills the streams, and reads each one once as a real client does. */
async function prepare(bench: Bench, cairn: Peer, streamCount: number): Promise<void> {
  const order = shuffled(streamCount * EVENTS_PER_STREAM, SEED);
  const pool: Pool = makePool(order.length, (i) =>
    eappend(streamId((order[i] as number) % streamCount)),
  );
  await fill(bench, cairn, pool);
  let bytes = 0;
  for (let stream = 0; stream < streamCount; stream++) {
    const url = `http://127.0.0.1:${httpPort(cairn)}/v1/streams/${streamId(stream)}/events`;
    const text = await (await fetch(url)).text();
    const { events } = JSON.parse(text) as {
      events: { stream_version: number; event_name: string; payload: string }[];
    };
    const isRight = events.every(
      ({ stream_version, event_name, payload }, i) =>
        stream_version === i && event_name === EVENT_NAME && payload === PAYLOAD,
    );
    if (events.length !== EVENTS_PER_STREAM || !isRight) {
      throw new Error(`stream ${stream} was answered with other events than were appended`);
    }
    bytes += text.length;
  }
  bench.print(`  ${order.length} events read, ${Math.round(bytes / streamCount)} B an answer`);
}

/** Events that are appended with one pool, which is sent as often as it takes. */
const FEED_POOL_COUNT = 10_000;
const FEED_STREAM_COUNT = 1_000;

/** One reader catches up with a store of `events` events (a multiple of 16, and of 10,000 above that). */
export function httpFeedWorkload(bench: Bench, events: number): Promise<Row[]> {
  bench.print(`http-feed: ${events} events to one reader × ${bench.rounds}`);
  return withPeers(bench, async (cairn) => {
    let last: FeedResult | null = null;
    if (!(cairn instanceof Missing)) {
      const poolCount = Math.min(events, FEED_POOL_COUNT);
      const pool = makePool(poolCount, (i) => eappend(streamId(i % FEED_STREAM_COUNT)));
      await fill(bench, cairn, pool, events / poolCount);
    }
    const cells = await medians(bench, "events/s", {
      cairn:
        cairn instanceof Missing
          ? cairn
          : async () => {
              last = await readFeed(httpPort(cairn));
              if (last.events !== events || last.lastPosition !== events - 1) {
                throw new Error(`${last.events} events came, the last ${last.lastPosition}`);
              }
              return last.events / last.seconds;
            },
    });
    if (last !== null)
      bench.print(`  ${Math.round((last as FeedResult).bytes / events)} B an event`);
    return [
      {
        load: `Server-Sent Events, ${events.toLocaleString("en-US")} events to one reader`,
        unit: "events/s",
        cairn: cells.cairn,
        peer: null,
        limit: null,
        target: { of: "cairn", sense: "at least", value: 300_000 },
      },
    ];
  });
}
