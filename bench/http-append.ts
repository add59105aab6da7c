/**
 * Durable appends over HTTP: single events beside a bare route that answers the same JSON, and transactions of 100
 * events beside the same ones over RESP.
 *
 * JSON, keep-alive connections, one request under way on each. It leaves out MessagePack, TLS, and what a real client
 * does with an answer; the access log is written as by default, to a pipe that is read.
 */
import { startBareRoute } from "./bare-route.ts";
import { makeHttpPool } from "./http-replies.ts";
import { countFor, countHttpFor, medians } from "./measure.ts";
import { type Bench, countEvents, httpPort, Missing, type Peer, withPeers } from "./peers.ts";
import {
  EVENT_NAME,
  makePool,
  makeRandom,
  PAYLOAD,
  type Pool,
  SEED,
  streamId,
} from "./requests.ts";
import type { Row } from "./table.ts";

const STREAM_COUNT = 1_000;
const SINGLE_POOL_COUNT = 16_000;
const SINGLE_SHAPE = { connections: 50, pipeline: 1 };

const EVENTS_PER_TRANSACTION = 100;
const TRANSACTION_POOL_COUNT = 200;
const TRANSACTION_SHAPE = { connections: 8, pipeline: 1 };
/** Of all transactions' streams. */
const PARTITION_KEY = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
/** What is fast enough, whatever RESP does. */
const TRANSACTION_EVENTS_PER_SECOND = 300_000;

/** Single appends. */
export async function httpAppendWorkload(bench: Bench): Promise<Row[]> {
  bench.print(`http-append: payload 130 B, ${bench.seconds} s × ${bench.rounds}`);
  const random = makeRandom(SEED);
  const pool = makeHttpPool(SINGLE_POOL_COUNT, () => ({
    method: "POST",
    path: `/v1/streams/${streamId(random(STREAM_COUNT))}/events`,
    body: { event_name: EVENT_NAME, payload: PAYLOAD },
  }));
  const bare = await startBareRoute();
  try {
    return await withPeers(bench, async (cairn) => {
      let answered = 0;
      const cells = await medians(bench, "HTTP appends/s", {
        cairn: overHttp(bench, cairn, SINGLE_SHAPE, pool, (count) => {
          answered += count;
        }),
        bare: async () =>
          (await countHttpFor(bench, bare.port, SINGLE_SHAPE, pool)).repliesPerSecond,
      });
      await checkStored(bench, cairn, answered);
      return [
        {
          load: "HTTP append 50×1, JSON (limit: a bare Bun.serve route)",
          unit: "events/s",
          cairn: cells.cairn,
          peer: null,
          limit: cells.bare,
          target: { of: "cairn / limit", sense: "at least", value: 0.6 },
        },
      ];
    });
  } finally {
    await bare.stop();
  }
}

/** Transactions of 100 events. */
export function httpTransactionWorkload(bench: Bench): Promise<Row[]> {
  bench.print(
    `http-transaction: ${EVENTS_PER_TRANSACTION} events, ${bench.seconds} s × ${bench.rounds}`,
  );
  const { http, resp } = makeTransactions();
  return withPeers(bench, async (cairn) => {
    let answered = 0;
    const note = (count: number): void => {
      answered += count * EVENTS_PER_TRANSACTION;
    };
    const cells = await medians(bench, "transactions/s", {
      http: overHttp(bench, cairn, TRANSACTION_SHAPE, http, note),
      resp:
        cairn instanceof Missing
          ? cairn
          : async () => {
              const result = await countFor(bench, cairn, TRANSACTION_SHAPE, resp);
              note(result.replies);
              return result.repliesPerSecond;
            },
    });
    await checkStored(bench, cairn, answered);
    const inEvents = (cell: number | Missing): number | Missing =>
      cell instanceof Missing ? cell : cell * EVENTS_PER_TRANSACTION;
    const events = inEvents(cells.http);
    // Either will do: so many events a second, or half of what RESP does.
    const isPlenty = !(events instanceof Missing) && events >= TRANSACTION_EVENTS_PER_SECOND;
    return [
      {
        load: `HTTP append of ${EVENTS_PER_TRANSACTION} events 8×1, JSON (peer: Cairn's EMAPPEND)`,
        unit: "events/s",
        cairn: events,
        peer: inEvents(cells.resp),
        limit: null,
        target: isPlenty
          ? { of: "cairn", sense: "at least", value: TRANSACTION_EVENTS_PER_SECOND }
          : { of: "cairn / peer", sense: "at least", value: 0.5 },
      },
    ];
  });
}

function makeTransactions(): { http: Pool; resp: Pool } {
  const random = makeRandom(SEED);
  const streams = Array.from({ length: TRANSACTION_POOL_COUNT }, () =>
    Array.from({ length: EVENTS_PER_TRANSACTION }, () => streamId(random(STREAM_COUNT), "emk:")),
  );
  const streamsOf = (index: number): string[] => streams[index] as string[];
  return {
    http: makeHttpPool(TRANSACTION_POOL_COUNT, (index) => ({
      method: "POST",
      path: "/v1/transactions",
      body: {
        partition_key: PARTITION_KEY,
        events: streamsOf(index).map((stream) => ({
          stream_id: stream,
          event_name: EVENT_NAME,
          payload: PAYLOAD,
        })),
      },
    })),
    resp: makePool(TRANSACTION_POOL_COUNT, (index) => [
      "EMAPPEND",
      PARTITION_KEY,
      ...streamsOf(index).flatMap((stream) => [stream, EVENT_NAME, "PAYLOAD", PAYLOAD]),
    ]),
  };
}

/** A measure of answers a second; `note` hears how many came. */
function overHttp(
  bench: Bench,
  cairn: Peer | Missing,
  shape: { readonly connections: number; readonly pipeline: number },
  pool: Pool,
  note: (count: number) => void,
): Missing | (() => Promise<number>) {
  if (cairn instanceof Missing) return cairn;
  return async () => {
    const result = await countHttpFor(bench, httpPort(cairn), shape, pool);
    note(result.replies);
    return result.repliesPerSecond;
  };
}

/** Everything answered must be there. */
async function checkStored(bench: Bench, cairn: Peer | Missing, answered: number): Promise<void> {
  if (cairn instanceof Missing) return;
  const stored = await countEvents(cairn);
  bench.print(`  ${stored} events stored, ${answered} answered`);
  if (stored !== answered) throw new Error(`${stored} events stored, ${answered} answered`);
}
