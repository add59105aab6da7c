/**
 * What readers cost others: a thousand BLOCK scans that wait while somebody appends to other streams, and a hundred
 * subscribers that never read while hundreds of megabytes are appended.
 *
 * Each is measured beside the same load without them, in turn. Memory is the process's resident set as the system counts
 * it, which includes what the appends themselves take: index, cache. It leaves out subscribers that read slowly.
 */
import { countClient } from "./count-client.ts";
import { endFollowing, startFollowing } from "./live-client.ts";
import { countFor, median, medians } from "./measure.ts";
import {
  type Bench,
  infoNumber,
  Missing,
  type Peer,
  residentBytes,
  withClient,
  withPeers,
} from "./peers.ts";
import { EVENT_NAME, eappend, makePool, streamId } from "./requests.ts";
import type { Cell, Row } from "./table.ts";

const STREAM_COUNT = 1_000;
const POOL_COUNT = 16_000;
const SHAPE = { connections: 50, pipeline: 16 };
/** Between two looks at how many scans wait. */
const LOOK_MS = 10;

/** The append rate with `waiting` BLOCK scans on streams of their own, and without them. */
export function liveBlockWorkload(bench: Bench, waiting: number): Promise<Row[]> {
  bench.print(`live-block: ${waiting} scans wait, ${bench.seconds} s × ${bench.rounds}`);
  return withPeers(bench, async (cairn) => {
    const appends = makePool(POOL_COUNT, (i) => eappend(streamId(i % STREAM_COUNT)));
    const append = async (peer: Peer): Promise<number> =>
      (await countFor(bench, peer, SHAPE, appends)).repliesPerSecond;
    const cells = await medians(bench, "events/s", {
      waiting:
        cairn instanceof Missing ? cairn : () => whileWaiting(cairn, waiting, () => append(cairn)),
      alone: cairn instanceof Missing ? cairn : () => append(cairn),
    });
    return [
      {
        load: `append 50×16 while ${waiting.toLocaleString("en-US")} BLOCK scans wait on other streams (peer: without them)`,
        unit: "events/s",
        cairn: cells.waiting,
        peer: cells.alone,
        limit: null,
        target: { of: "cairn / peer", sense: "at least", value: 0.9 },
      },
    ];
  });
}

async function whileWaiting<T>(cairn: Peer, waiting: number, work: () => Promise<T>): Promise<T> {
  const readers = await startFollowing({
    port: cairn.port,
    connections: waiting,
    request: ["ESCAN", "waiting-__connection__", "-", "+", "BLOCK", "0"],
    isResp3: false,
    waits: true,
  });
  try {
    await withClient(cairn, async (client) => {
      const deadlineNs = Bun.nanoseconds() + 20e9;
      for (;;) {
        const info = String(await client.request("INFO", "clients"));
        const count = Number(/^blocked_clients:(\d+)/m.exec(info)?.[1] ?? -1);
        if (count === waiting) return;
        if (Bun.nanoseconds() > deadlineNs) throw new Error(`${count} of ${waiting} scans wait`);
        await Bun.sleep(LOOK_MS);
      }
    });
    const result = await work();
    const { bytes } = await endFollowing(readers);
    if (bytes > 0) throw new Error(`${bytes} bytes came to scans that wait`);
    return result;
  } finally {
    await readers.kill();
  }
}

const STALLED = 100;
const BULK_PAYLOAD_BYTES = 1_000;
const BULK_POOL_COUNT = 1_000;
const BULK_SHAPE = { connections: 1, pipeline: 50 };
const ONE_BY_ONE = { connections: 1, pipeline: 1 };
const MiB = 1024 * 1024;
/** What the sockets of a subscriber that does not read take, at the most. Above it, it must lag. */
const SOCKET_BYTES_MAX = 32e6;

/** `bytes` (a multiple of a million) appended beside 100 subscribers that never read, and without them. */
export function liveStalledWorkload(bench: Bench, bytes: number): Promise<Row[]> {
  bench.print(`live-stalled: ${bytes} B beside ${STALLED} stalled subscribers × ${bench.rounds}`);
  return withPeers(bench, async (cairn) => {
    const grown: number[] = [];
    let noResident: Missing | null = null;
    const beside = async (peer: Peer): Promise<number> => {
      const before = await residentBytes(peer.pid);
      const p99Us = await appendBulk(bench, peer, bytes);
      const after = await residentBytes(peer.pid);
      if (before instanceof Missing) noResident = before;
      else if (!(after instanceof Missing)) grown.push((after - before) / MiB);
      return p99Us;
    };
    const cells = await medians(bench, "append p99 µs", {
      alone: cairn instanceof Missing ? cairn : () => appendBulk(bench, cairn, bytes),
      stalled:
        cairn instanceof Missing ? cairn : () => whileStalled(cairn, bytes, () => beside(cairn)),
    });
    bench.print(`  resident memory grew by ${grown.map((size) => size.toFixed(1)).join(", ")} MiB`);
    const growth = (): Cell => {
      if (cells.stalled instanceof Missing) return cells.stalled;
      return noResident ?? median(grown);
    };
    const load = `${bytes / 1e6} MB appended beside ${STALLED} subscribers that never read`;
    return [
      {
        load: `${load}: resident memory grows`,
        unit: "MiB",
        cairn: growth(),
        peer: null,
        limit: null,
        target: { of: "cairn", sense: "at most", value: 64 },
      },
      {
        load: "  another client's append 1×1, p99 (peer: without them)",
        unit: "µs",
        cairn: cells.stalled,
        peer: cells.alone,
        limit: null,
        target: { of: "cairn / peer", sense: "at most", value: 1.2 },
      },
    ];
  });
}

/** Appends so many bytes of payload; the p99 of another client's single appends meanwhile. */
async function appendBulk(bench: Bench, cairn: Peer, bytes: number): Promise<number> {
  const payload = "x".repeat(BULK_PAYLOAD_BYTES);
  const bulk = makePool(BULK_POOL_COUNT, (i) => [
    ...["EAPPEND", streamId(i, "bulk:"), EVENT_NAME, "PAYLOAD", payload],
  ]);
  const single = makePool(STREAM_COUNT, (i) => eappend(streamId(i)));
  // Each reads its requests from a folder of its own, since both run at once.
  const filling = countClient(`${bench.folder}/bulk`, {
    port: cairn.port,
    ...BULK_SHAPE,
    pool: bulk,
    stop: { requests: bytes / BULK_PAYLOAD_BYTES },
  });
  const [, { p99Us }] = await Promise.all([filling, countFor(bench, cairn, ONE_BY_ONE, single)]);
  return p99Us;
}

async function whileStalled<T>(cairn: Peer, bytes: number, work: () => Promise<T>): Promise<T> {
  const readers = await startFollowing({
    port: cairn.port,
    connections: STALLED,
    request: ["EPSUB", "*", "NOACK"],
    isResp3: true,
    stalls: true,
  });
  try {
    const result = await work();
    await withClient(cairn, async (client) => {
      const behind = await infoNumber(client, "subscriptions_behind");
      if (bytes > SOCKET_BYTES_MAX && behind !== STALLED) {
        throw new Error(`${behind} of ${STALLED} subscribers have stalled`);
      }
    });
    return result;
  } finally {
    await readers.kill();
  }
}
