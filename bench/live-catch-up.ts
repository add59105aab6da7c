/**
 * One subscriber catches up with a whole store: EPSUB from position 0 and ELOG page by page in Cairn, XREAD COUNT 1000 over as
 * many entries with the same payload in Redis, each on one connection that only counts bytes.
 *
 * Everything is in the page cache. It leaves out what the client does with the events, and that Cairn's are larger: the
 * bytes a second say how much each sends, the events a second how fast a projection could be.
 */
import { type Followed, follow } from "./live-client.ts";
import { countFor, fill, learnReplySizes, type Measure, medians } from "./measure.ts";
import { type Bench, Missing, type Peer, withClient, withPeers } from "./peers.ts";
import { EVENT_NAME, eappend, makePool, PAYLOAD, streamId } from "./requests.ts";
import { member, type RespValue } from "./resp.ts";
import type { Row } from "./table.ts";

const STREAM_COUNT = 1_000;
const PAGE = 1_000;
const POOL_COUNT = 10_000;
/** Pages that ELOG is asked for, again and again: each is parsed once before. */
const ELOG_PAGES_MAX = 200;
const ONE_BY_ONE = { connections: 1, pipeline: 1 };
const REDIS_STREAM = "log";
/** So that every id in Redis, and the one before, has as many digits. */
const REDIS_ID_FIRST = 1_000_001;
const EVENTS_PER_SCRIPT = 10_000;

/** Catches up with `events` events, a multiple of 1,000, and of 10,000 above that. */
export function liveCatchUpWorkload(bench: Bench, events: number): Promise<Row[]> {
  bench.print(`live-catch-up: ${events} events to one reader × ${bench.rounds}`);
  return withPeers(bench, async (cairn, redis) => {
    if (!(cairn instanceof Missing)) {
      const poolCount = Math.min(events, POOL_COUNT);
      const pool = makePool(poolCount, (i) => eappend(streamId(i % STREAM_COUNT)));
      await fill(bench, cairn, pool, events / poolCount);
    }
    const xreads = redis instanceof Missing ? redis : await fillRedis(bench, redis, events);
    const paged = cairn instanceof Missing ? cairn : await pager(bench, cairn, events);
    let bytesPerEvent = 1;
    const cells = await medians(bench, "bytes/s", {
      cairn:
        cairn instanceof Missing
          ? cairn
          : async () => {
              const caughtUp = await catchUp(cairn, events);
              bytesPerEvent = caughtUp.bytes / events;
              return bytesPerSecond(caughtUp);
            },
      redis: xreads,
      elog: paged,
    });
    bench.print(`  Cairn: ${Math.round(bytesPerEvent)} B an event`);
    const load = `catch-up, ${events.toLocaleString("en-US")} events to one subscriber`;
    return [
      {
        load: `${load}: EPSUB * FROM POSITION 0 NOACK (Redis: XREAD COUNT 1000)`,
        unit: "bytes/s",
        cairn: cells.cairn,
        peer: cells.redis,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 1 },
      },
      {
        load: "  the same",
        unit: "events/s",
        cairn: cells.cairn instanceof Missing ? cells.cairn : cells.cairn / bytesPerEvent,
        peer: null,
        limit: null,
        target: { of: "cairn", sense: "at least", value: 700_000 },
      },
      {
        load: "  by pages: ELOG COUNT 1000 (Redis: XREAD COUNT 1000)",
        unit: "bytes/s",
        cairn: cells.elog,
        peer: cells.redis,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 1 },
      },
    ];
  });
}

/** Reads from the request to `caught-up`; every event must have come. */
async function catchUp(cairn: Peer, events: number): Promise<Followed> {
  const followed = await follow({
    port: cairn.port,
    connections: 1,
    request: ["EPSUB", "*", "FROM", "POSITION", "0", "NOACK", "PROGRESS"],
    isResp3: true,
    mark: "+caught-up\r\n",
  });
  const messages = /\+message\r\n\+[0-9a-f-]{36}\r\n:(\d+)\r\n/g;
  const last = Number([...followed.ending.matchAll(messages)].at(-1)?.[1] ?? -1);
  if (last !== events - 1) throw new Error(`the last of ${events} events came as message ${last}`);
  return followed;
}

/** Reads pages of ELOG one after another; each is parsed and held against what was asked for before. */
async function pager(bench: Bench, cairn: Peer, events: number): Promise<Measure> {
  const pages = makePool(Math.min(events / PAGE, ELOG_PAGES_MAX), (i) => [
    ...["ELOG", padded(i * PAGE), "+", "COUNT", String(PAGE)],
  ]);
  const sizes = await learnReplySizes(cairn, pages, (reply, page) => {
    const found = member(reply, "events");
    const last = Array.isArray(found) ? (found.at(-1) ?? null) : null;
    const position = member(last, "position");
    if (!Array.isArray(found) || found.length !== PAGE || position !== (page + 1) * PAGE - 1) {
      throw new Error(`page ${page} ends at position ${position}`);
    }
  });
  return async () => bytesPerSecond(await countFor(bench, cairn, ONE_BY_ONE, pages, sizes));
}

/** Decimal digits enough for any position: what is sent has one size. */
function padded(position: number): string {
  return String(position).padStart(9, "0");
}

/** Fills one stream with the same payload, and reads the first and the last page in full. */
async function fillRedis(bench: Bench, redis: Peer, events: number): Promise<Measure> {
  await withClient(redis, async (client) => {
    for (let first = 0; first < events; first += EVENTS_PER_SCRIPT) {
      const count = Math.min(EVENTS_PER_SCRIPT, events - first);
      const from = String(REDIS_ID_FIRST + first);
      await client.request(
        ...["EVAL", FILL_SCRIPT, "1", REDIS_STREAM],
        ...[from, String(count), EVENT_NAME, PAYLOAD],
      );
    }
  });
  const pages = makePool(events / PAGE, (i) => xread(i));
  const ends = [0, pages.count - 1];
  const sizes = await learnReplySizes(
    redis,
    makePool(2, (i) => xread(ends[i] as number)),
    (reply) => {
      const payloads = payloadsOf(reply);
      if (payloads.length !== PAGE || payloads.some((payload) => payload !== PAYLOAD)) {
        throw new Error("Redis answered XREAD with other entries than were added");
      }
    },
  );
  const size = sizes[0] as number;
  if (sizes[1] !== size) throw new Error(`replies have ${size} and ${sizes[1]} bytes`);
  bench.print(`  Redis: ${Math.round(size / PAGE)} B an entry`);
  const replySizes = new Uint32Array(pages.count).fill(size);
  return async () => bytesPerSecond(await countFor(bench, redis, ONE_BY_ONE, pages, replySizes));
}

/** The page behind an id: XREAD's start is exclusive. */
function xread(page: number): string[] {
  const id = `${REDIS_ID_FIRST + page * PAGE - 1}-9`;
  return ["XREAD", "COUNT", String(PAGE), "STREAMS", REDIS_STREAM, id];
}

function payloadsOf(reply: RespValue): RespValue[] {
  const stream = Array.isArray(reply) ? reply[0] : null;
  const entries = Array.isArray(stream) ? (stream[1] ?? null) : null;
  if (!Array.isArray(entries)) return [];
  return entries.map((entry) => {
    const fields = Array.isArray(entry) ? (entry[1] ?? null) : null;
    return Array.isArray(fields) ? (fields[3] ?? null) : null;
  });
}

function bytesPerSecond(result: { bytes: number; seconds: number }): number {
  return result.bytes / result.seconds;
}

const FILL_SCRIPT = `for i = 0, ARGV[2] - 1 do
  redis.call('XADD', KEYS[1], (ARGV[1] + i) .. '-1', 'name', ARGV[3], 'payload', ARGV[4])
end`;
