/**
 * How fast a live event reaches who follows.
 *
 * Latency: one writer, which appends again when its last event has come back to the one subscriber, in one process that
 * compares bytes; Redis' is XADD to XREAD BLOCK. Fan-out: one writer with a deep pipeline and 50 subscribers of
 * everything, counted in bytes a second over all of them until each has read the last event; Redis' is PUBLISH, of messages that
 * take as many bytes on the wire, which are neither stored nor synced. The subscribers share a process.
 */

import { countClient, type LoadResult } from "./count-client.ts";
import { endFollowing, type Followed, startFollowing } from "./live-client.ts";
import { pushLatency } from "./live-latency.ts";
import { countFor, type Measure, medians } from "./measure.ts";
import { type Bench, Missing, type Peer, withClient, withPeers } from "./peers.ts";
import { EVENT_NAME, eappend, makePool, PAYLOAD, type Pool, streamId } from "./requests.ts";
import { encodeRequest } from "./resp.ts";
import type { Row } from "./table.ts";

const STREAM_COUNT = 1_000;
const POOL_COUNT = 16_000;
const ONE_BY_ONE = { connections: 1, pipeline: 1 };

/** From the request of an append to the push of its event. */
export function livePushWorkload(bench: Bench): Promise<Row[]> {
  bench.print(`live-push: one writer, one subscriber, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    const appends = makePool(POOL_COUNT, (i) => eappend(streamId(i % STREAM_COUNT)));
    const cells = await medians(bench, "p50 µs", {
      push: cairn instanceof Missing ? cairn : () => pushLatency(cairn, bench.seconds),
      append:
        cairn instanceof Missing
          ? cairn
          : async () => (await countFor(bench, cairn, ONE_BY_ONE, appends)).p50Us,
      redis: redis instanceof Missing ? redis : () => pushLatency(redis, bench.seconds),
    });
    return [
      {
        load: "append to push, p50, one writer and one subscriber (peer: Cairn's append alone)",
        unit: "µs",
        cairn: cells.push,
        peer: cells.append,
        limit: null,
        target: { of: "cairn / peer", sense: "at most", value: 1.3 },
      },
      {
        load: "  the same beside Redis: XADD to XREAD BLOCK",
        unit: "µs",
        cairn: cells.push,
        peer: cells.redis,
        limit: null,
        target: null,
      },
    ];
  });
}

const SUBSCRIBERS = 50;
const DEEP = { connections: 1, pipeline: 500 };
const CHANNEL = "live";
const MARK = "no-more-after-this-one";
/** What a push takes on the wire where there is no Cairn to ask. */
const PUSH_BYTES_DEFAULT = 580;

/** `events` (a multiple of 500) appended by one writer, to 50 subscribers. */
export function liveFanOutWorkload(bench: Bench, events: number): Promise<Row[]> {
  bench.print(`live-fan-out: ${events} events to ${SUBSCRIBERS} × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    let pushBytes = PUSH_BYTES_DEFAULT;
    const appends = makePool(DEEP.pipeline, (i) => eappend(streamId(i % STREAM_COUNT)));
    const written: number[] = [];
    const inCairn: Measure =
      cairn instanceof Missing
        ? cairn
        : async () => {
            const words = ["EPSUB", "*", "NOACK"];
            const mark = ["EAPPEND", "end", EVENT_NAME, "PAYLOAD", MARK];
            const { followed, load } = await fanOut(bench, cairn, words, appends, events, mark);
            pushBytes = followed.bytes / SUBSCRIBERS / events;
            written.push(load.repliesPerSecond);
            return followed.bytes / followed.liveSeconds;
          };
    if (!(redis instanceof Missing)) {
      // What is slow to read is disconnected by default.
      await withClient(redis, (client) =>
        client.request("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"),
      );
    }
    const inRedis: Measure =
      redis instanceof Missing
        ? redis
        : async () => {
            const message = messageOfSize(Math.round(pushBytes));
            const publishes = makePool(DEEP.pipeline, () => ["PUBLISH", CHANNEL, message]);
            const words = ["SUBSCRIBE", CHANNEL];
            const mark = ["PUBLISH", CHANNEL, MARK];
            const { followed } = await fanOut(bench, redis, words, publishes, events, mark);
            return followed.bytes / followed.liveSeconds;
          };
    const cells = await medians(bench, "bytes/s", { cairn: inCairn, redis: inRedis });
    bench.print(
      `  ${Math.round(pushBytes)} B a push; Cairn's writer: ` +
        `${written.map((rate) => Math.round(rate)).join(", ")} events/s`,
    );
    return [
      {
        load: `one writer, pipeline of ${DEEP.pipeline}, ${SUBSCRIBERS} live subscribers of everything (Redis: pub/sub)`,
        unit: "bytes/s",
        cairn: cells.cairn,
        peer: cells.redis,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 1 },
      },
    ];
  });
}

/** Sends the pool's requests, `events` in all, to a peer that many follow, then the mark; resolves when all have read it. */
async function fanOut(
  bench: Bench,
  peer: Peer,
  request: readonly string[],
  pool: Pool,
  events: number,
  mark: readonly string[],
): Promise<{ followed: Followed; load: LoadResult }> {
  const isResp3 = peer.name === "Cairn";
  const following = { port: peer.port, connections: SUBSCRIBERS, request, isResp3, mark: MARK };
  const followers = await startFollowing(following);
  try {
    const stop = { requests: events };
    const load = await countClient(bench.folder, { port: peer.port, ...DEEP, pool, stop });
    await withClient(peer, (client) => client.request(...mark));
    return { followed: await endFollowing(followers), load };
  } finally {
    await followers.kill();
  }
}

/** A message that takes so many bytes on the wire of a subscriber. */
function messageOfSize(bytes: number): string {
  let size = bytes;
  while (encodeRequest(["message", CHANNEL, "x".repeat(size)]).length > bytes) size--;
  return PAYLOAD.repeat(Math.ceil(size / PAYLOAD.length)).slice(0, size);
}
