/**
 * Reads of streams that were not touched lately: ESVER, ESCAN of 20 events, EGET by id, one request at a time.
 *
 * Each is taken three times: as the fill left the caches; the same requests again, whose pages are cached now; and other
 * ones after the page cache was dropped, where that is permitted. Streams and ids come from the whole history.
 */
import { closeSync, openSync, readdirSync, readSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Missing, messageOf } from "../peers.ts";
import { makeRandom, PAYLOAD, SEED, streamId } from "../requests.ts";
import { member, type RespValue } from "../resp.ts";
import { watchedEventId, watchedStreamId } from "./events.ts";
import { Histogram } from "./histogram.ts";
import { WATCHED_EVENTS } from "./plan.ts";
import { type Latency, type ProbedRequest, probe } from "./probe.ts";

/** What is read at the end of a stage. */
export interface Watched {
  readonly stage: number;
  readonly streams: number;
  /** Streams in the store beside them. */
  readonly otherStreams: number;
}

export interface ReadLatencies {
  readonly esver: Latency | Missing;
  readonly escan: Latency | Missing;
  readonly eget: Latency | Missing;
}

/** Requests of each command in one pass. */
const PASS_REQUESTS = 1_000;

/** Requests after which the code that they need is in memory again. */
const PROGRAM_REQUESTS = 20;

/** A request that reads nothing: what the rest of a round trip takes. */
const PINGS: ProbedRequest[] = Array.from({ length: PASS_REQUESTS }, () => ({
  args: ["PING"],
  check() {},
}));

/** Rounds of reads whose pages are cached; the lowest figures count, since what else the machine does only adds. */
const CACHED_ROUNDS = 5;

/**
 * Reads as the fill left the caches, and again, with PINGs beside, once `settled`: merges take a processor that the others
 * would have. The first half of the watched streams is read.
 */
export async function readWarm(
  port: number,
  watched: Watched,
  settled: () => Promise<unknown>,
): Promise<{ asLeft: ReadLatencies; cached: ReadLatencies; roundTrip: Latency }> {
  const requests = makeRequests(watched, "first");
  let roundTrip = await probe(port, PINGS); // the code of client and server is warm then
  // All three are read once before any is read again, so that blocks in the server's own cache have been replaced.
  const asLeft = await readAll(port, requests);
  await settled();
  let cached = await readAll(port, requests);
  for (let round = 1; round < CACHED_ROUNDS; round++) {
    roundTrip = lowest(roundTrip, await probe(port, PINGS));
    const again = await readAll(port, requests);
    cached = {
      esver: lowest(cached.esver, again.esver),
      escan: lowest(cached.escan, again.escan),
      eget: lowest(cached.eget, again.eget),
    };
  }
  return { asLeft, cached, roundTrip };
}

async function readAll(
  port: number,
  { esver, escan, eget }: Record<keyof ReadLatencies, ProbedRequest[]>,
): Promise<Record<keyof ReadLatencies, Latency>> {
  return {
    esver: await probe(port, esver),
    eget: await probe(port, eget),
    escan: await probe(port, escan),
  };
}

function lowest(a: Latency, b: Latency): Latency {
  return { p50Us: Math.min(a.p50Us, b.p50Us), p99Us: Math.min(a.p99Us, b.p99Us) };
}

/** Reads of the other half of the watched streams, the page cache dropped before each kind of them, and PINGs behind each. */
export async function readCold(
  port: number,
  watched: Watched,
): Promise<{ cold: ReadLatencies; roundTrip: Latency }> {
  const requests = makeRequests(watched, "second");
  const others = makeRequests(watched, "first");
  let roundTrip = await probe(port, PINGS);
  const read = async (kind: keyof ReadLatencies): Promise<Latency | Missing> => {
    const dropped = dropPageCache();
    if (dropped !== null) return dropped;
    // Of the programs themselves some had been dropped too.
    await probe(port, others[kind].slice(0, PROGRAM_REQUESTS));
    const latency = await probe(port, requests[kind]);
    roundTrip = lowest(roundTrip, await probe(port, PINGS));
    return latency;
  };
  const cold = {
    esver: await read("esver"),
    eget: await read("eget"),
    escan: await read("escan"),
  };
  return { cold, roundTrip };
}

function makeRequests(
  { stage, streams, otherStreams }: Watched,
  half: "first" | "second",
): Record<keyof ReadLatencies, ProbedRequest[]> {
  const random = makeRandom(half === "first" ? SEED : SEED + 1);
  const halfCount = Math.ceil(streams / 2);
  const first = half === "first" ? 0 : streams - halfCount;
  return {
    esver: Array.from({ length: PASS_REQUESTS }, () => esver(random(otherStreams))),
    escan: Array.from({ length: Math.min(PASS_REQUESTS, halfCount) }, (_, i) =>
      escan(watchedStreamId(stage, first + i)),
    ),
    eget: Array.from({ length: Math.min(PASS_REQUESTS, halfCount * WATCHED_EVENTS) }, () =>
      eget(stage, first + random(halfCount), random(WATCHED_EVENTS)),
    ),
  };
}

function esver(stream: number): ProbedRequest {
  return {
    args: ["ESVER", streamId(stream)],
    check(reply) {
      if (typeof reply !== "number") throw new Error(`${streamId(stream)} is not there`);
    },
  };
}

function escan(stream: string): ProbedRequest {
  return {
    args: ["ESCAN", stream, "-", "+", "COUNT", String(WATCHED_EVENTS + 1)],
    check(reply) {
      const events = member(reply, "events");
      const found = Array.isArray(events) ? events.filter((event) => isWhole(event, stream)) : [];
      if (found.length !== WATCHED_EVENTS) {
        throw new Error(`${stream} has ${found.length} of ${WATCHED_EVENTS} events`);
      }
    },
  };
}

function eget(stage: number, stream: number, turn: number): ProbedRequest {
  const id = watchedEventId(stage, stream, turn);
  return {
    args: ["EGET", id],
    check(reply) {
      if (member(reply, "event_id") !== id || !isWhole(reply, watchedStreamId(stage, stream))) {
        throw new Error(`the event ${id} is not there`);
      }
    },
  };
}

function isWhole(event: RespValue, stream: string): boolean {
  return member(event, "stream_id") === stream && member(event, "payload") === PAYLOAD;
}

// ── the page cache ────────────────────────────────────────────────────────────────────────────────

const COLD_READ_BYTES = 4096;

/** Empties the system's page cache; says why not where that is not permitted, or not wanted (COLD=0). */
export function dropPageCache(): Missing | null {
  if (process.env.COLD === "0") return new Missing("left out (COLD=0)");
  try {
    Bun.spawnSync(["sync"]); // pages that are not written yet would stay
    writeFileSync("/proc/sys/vm/drop_caches", "3");
    return null;
  } catch (error) {
    return new Missing(`the page cache cannot be dropped (${messageOf(error)})`);
  }
}

/** What the disk takes for 4 KiB at a random place of a file in the folder, its page cache dropped: the yardstick. */
export function readColdPages(folder: string): Latency | Missing {
  const dropped = dropPageCache();
  if (dropped !== null) return dropped;
  const paths = readdirSync(folder).map((name) => join(folder, name));
  const random = makeRandom(SEED);
  const histogram = new Histogram();
  const page = new Uint8Array(COLD_READ_BYTES);
  for (let i = 0; i < PASS_REQUESTS; i++) {
    const path = paths[random(paths.length)] as string;
    const pages = Math.floor(statSync(path).size / COLD_READ_BYTES);
    if (pages === 0) continue;
    const file = openSync(path, "r");
    try {
      const startNs = Bun.nanoseconds();
      readSync(file, page, 0, COLD_READ_BYTES, random(pages) * COLD_READ_BYTES);
      histogram.add((Bun.nanoseconds() - startNs) / 1e3);
    } finally {
      closeSync(file);
    }
  }
  if (histogram.count === 0) return new Missing("the log has no whole page");
  return { p50Us: histogram.quantileUs(0.5), p99Us: histogram.quantileUs(0.99) };
}
