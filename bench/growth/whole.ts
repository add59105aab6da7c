/**
 * What goes over the whole store: SCAN with a pattern, ELOG by a name, reading all by position, rebuilding the index.
 *
 * While the first two go on another client sends PINGs, and before them while another program reads the same files. What they find is counted and must be what was
 * appended. Nothing but the next number or cursor is kept between two requests.
 */
import { rm } from "node:fs/promises";
import { Missing, messageOf } from "../peers.ts";
import { run } from "../process.ts";
import { member, RespClient } from "../resp.ts";
import { type EventSource, RARE_NAME } from "./events.ts";
import type { Histogram } from "./histogram.ts";
import { startPinger } from "./ping.ts";
import { dropPageCache } from "./reads.ts";
import type { Subject } from "./subject.ts";

export interface Walk {
  readonly perSecond: number;
  /** Another client's PING meanwhile. */
  readonly ping: Histogram;
}

export interface WholeFigures {
  /** PING while nothing else goes on. */
  readonly idlePing: Histogram;
  /** PING while another program reads the log's files, and the server does nothing else. */
  readonly readerPing: Histogram;
  /** Streams a second. */
  readonly scan: Walk;
  /** Events a second. */
  readonly elog: Walk;
}

/** Streams that one SCAN step may give; a step ends earlier after about a millisecond. */
const SCAN_COUNT = 10_000;
/** One stream in a hundred matches. */
const SCAN_PATTERN = "key:*42";
const SCAN_ONE_IN = 100;
const SCAN_REST = 42;

const ELOG_COUNT = 1_000;

/** For how much longer than a walk's least time the other program reads. */
const READER_SHARE = 5;

/** Steps of a walk before it is measured: the server's code is warm then. */
const WARM_UP_STEPS = 20;

/** Walks over the store, each again until it has gone on for `seconds`, which the idle client gets too. */
export async function walkWhole(
  subject: Subject,
  source: EventSource,
  seconds: number,
): Promise<WholeFigures> {
  const { port } = subject;
  const idle = await startPinger(port);
  await Bun.sleep(seconds * 1e3);
  const idlePing = await idle.finish();
  const readerPing = await pingBesideReader(subject, seconds);
  const scan = await walk(
    port,
    seconds,
    source.streamCount + source.watchedStreamCount,
    (client, stepsMax) => scanStreams(client, source, stepsMax),
  );
  const elog = await walk(port, seconds, source.count, (client, stepsMax) =>
    readLog(client, source, stepsMax),
  );
  return { idlePing, readerPing, scan, elog };
}

/** PING beside a program that reads the log's files from the disk, as the walks do first. Nothing of it stays in memory. */
async function pingBesideReader(subject: Subject, seconds: number): Promise<Histogram> {
  dropPageCache();
  const pinger = await startPinger(subject.port);
  const script = `${import.meta.dirname}/read-files.ts`;
  await run([process.execPath, script, subject.logFolder, String(seconds * READER_SHARE)]);
  const ping = await pinger.finish();
  dropPageCache();
  return ping;
}

/** `work` ends after so many steps. */
async function walk(
  port: number,
  seconds: number,
  items: number,
  work: (client: RespClient, stepsMax: number) => Promise<void>,
): Promise<Walk> {
  const client = await RespClient.connect(port);
  await work(client, WARM_UP_STEPS);
  const pinger = await startPinger(port);
  const startNs = Bun.nanoseconds();
  let rounds = 0;
  let elapsed = 0;
  while (elapsed < seconds) {
    await work(client, Number.POSITIVE_INFINITY);
    rounds++;
    elapsed = (Bun.nanoseconds() - startNs) / 1e9;
  }
  client.close();
  return { perSecond: (items * rounds) / elapsed, ping: await pinger.finish() };
}

async function scanStreams(
  client: RespClient,
  source: EventSource,
  stepsMax: number,
): Promise<void> {
  const expected = Math.ceil((source.streamCount - SCAN_REST) / SCAN_ONE_IN);
  let cursor = "0";
  let found = 0;
  let steps = 0;
  do {
    if (steps++ === stepsMax) return;
    const args = ["SCAN", cursor, "MATCH", SCAN_PATTERN, "COUNT", String(SCAN_COUNT)];
    const reply = await client.request(...args);
    if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw new Error("SCAN gave no step");
    cursor = String(reply[0]);
    found += reply[1].length;
  } while (cursor !== "0");
  if (found !== expected) throw new Error(`SCAN found ${found} of ${expected} streams`);
}

async function readLog(client: RespClient, source: EventSource, stepsMax: number): Promise<void> {
  let from = 0;
  let found = 0;
  for (let steps = 0; steps < stepsMax; steps++) {
    const args = ["ELOG", String(from), "+", "NAME", RARE_NAME, "COUNT", String(ELOG_COUNT)];
    const reply = await client.request(...args);
    const events = member(reply, "events");
    if (!Array.isArray(events)) throw new Error("ELOG gave no events");
    found += events.length;
    if (member(reply, "has_more") !== 1) {
      if (found === source.rareCount) return;
      throw new Error(`ELOG found ${found} of ${source.rareCount} events by name`);
    }
    from = Number(member(reply, "next"));
  }
}

/** Reads by position in a process of its own, which opens the store: events a second. The server must not run. */
export async function readSequentially(
  subject: Subject,
  events: number,
): Promise<number | Missing> {
  const script = `${import.meta.dirname}/sequential.ts`;
  try {
    const output = await run([process.execPath, script, subject.folder, String(events)]);
    return Number(output.trim().split("\n").at(-1));
  } catch (error) {
    return new Missing(messageOf(error));
  }
}

/** Removes the index, and starts the server, which makes it anew: events a second until it is ready. */
export async function rebuild(subject: Subject, events: number): Promise<number> {
  await rm(subject.indexFolder, { recursive: true, force: true });
  return events / ((await subject.start()) / 1e3);
}
