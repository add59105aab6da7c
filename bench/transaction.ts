/**
 * Events a second in transactions of ten (EMAPPEND, one partition key) beside single appends, both at 50×1.
 *
 * Both come from the counting client and go to the same Cairn, to 1,000 streams each of their own. It leaves out
 * larger transactions and `EMAPPEND *`, whose streams keep their own keys.
 */
import { countFor, medians } from "./measure.ts";
import { type Bench, countEvents, Missing, type Peer, withPeers } from "./peers.ts";
import {
  EVENT_NAME,
  eappend,
  makePool,
  makeRandom,
  PAYLOAD,
  type Pool,
  SEED,
  streamId,
} from "./requests.ts";
import type { Row } from "./table.ts";

const EVENTS_PER_TRANSACTION = 10;
const STREAM_COUNT = 1_000;
const TRANSACTION_POOL_COUNT = 2_000;
const SINGLE_POOL_COUNT = 16_000;
/** All transactions' streams live under this key; single appends use other streams (one key a stream). */
const PARTITION_KEY = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const SHAPE = { connections: 50, pipeline: 1 };

/** Transactions of ten events against single appends. */
export function transactionWorkload(bench: Bench): Promise<Row[]> {
  bench.print(
    `transaction: EMAPPEND of ${EVENTS_PER_TRANSACTION}, ${STREAM_COUNT} streams, ` +
      `${bench.seconds} s × ${bench.rounds}`,
  );
  return withPeers(bench, async (cairn) => {
    let events = 0;
    const eventsPerSecond = (peer: Peer | Missing, pool: Pool, eventsPerRequest: number) =>
      peer instanceof Missing
        ? peer
        : async () => {
            const result = await countFor(bench, peer, SHAPE, pool);
            events += result.replies * eventsPerRequest;
            return result.repliesPerSecond * eventsPerRequest;
          };
    const cells = await medians(bench, "events/s", {
      transactions: eventsPerSecond(cairn, makeTransactions(), EVENTS_PER_TRANSACTION),
      singles: eventsPerSecond(cairn, makeSingles(), 1),
    });
    if (!(cairn instanceof Missing)) {
      const stored = await countEvents(cairn);
      bench.print(`  ${stored} events stored, ${events} answered`);
      if (stored !== events) throw new Error(`${stored} events stored, ${events} answered`);
    }
    return [
      {
        load: `EMAPPEND of ${EVENTS_PER_TRANSACTION} events 50×1 (peer: Cairn's single appends 50×1)`,
        unit: "events/s",
        cairn: cells.transactions,
        peer: cells.singles,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 5 },
      },
    ];
  });
}

function makeTransactions(): Pool {
  const random = makeRandom(SEED);
  return makePool(TRANSACTION_POOL_COUNT, () => {
    const args = ["EMAPPEND", PARTITION_KEY];
    for (let i = 0; i < EVENTS_PER_TRANSACTION; i++) {
      args.push(streamId(random(STREAM_COUNT), "emk:"), EVENT_NAME, "PAYLOAD", PAYLOAD);
    }
    return args;
  });
}

function makeSingles(): Pool {
  const random = makeRandom(SEED);
  return makePool(SINGLE_POOL_COUNT, () => eappend(streamId(random(STREAM_COUNT))));
}
