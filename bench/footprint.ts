/**
 * What Cairn itself costs: time to start, bytes in the log, resident memory; with an empty store and a filled one.
 *
 * The store's files are in the page cache at every start, and every stop before was an orderly one: starts
 * after a crash, or from a cold disk, are left out. Memory is the process's resident set as the system counts it.
 */
import { rm } from "node:fs/promises";
import { fill, median } from "./measure.ts";
import {
  type Bench,
  countEvents,
  infoNumber,
  Missing,
  makeFolderName,
  type Peer,
  residentBytes,
  startCairn,
  withClient,
} from "./peers.ts";
import {
  EVENT_NAME,
  eappend,
  makePool,
  PAYLOAD_BYTES,
  SEED,
  shuffled,
  streamId,
} from "./requests.ts";
import type { Cell, Row } from "./table.ts";

export interface FootprintSize {
  /** Events of the filled store, over this many streams (a divisor of it, and a multiple of 16). */
  readonly events: number;
  readonly streams: number;
  /** Single appends whose overhead is measured first. */
  readonly overheadEvents: number;
  /** Starts of each store; the median counts. */
  readonly starts: number;
}

export const FOOTPRINT_SIZE: FootprintSize = {
  events: 1_000_000,
  streams: 100_000,
  overheadEvents: 16_000,
  starts: 5,
};

const MB = 1e6;

/** Start, overhead and memory, before and after filling a store. */
export async function footprintWorkload(bench: Bench, size: FootprintSize): Promise<Row[]> {
  const events = size.events.toLocaleString("en-US");
  const streams = size.streams.toLocaleString("en-US");
  bench.print(`footprint: ${events} events in ${streams} streams, ${size.starts} starts`);
  const measured = await measure(bench, size).catch(
    (error) => new Missing(error instanceof Error ? error.message : String(error)),
  );
  const cell = (name: keyof Footprint): Cell =>
    measured instanceof Missing ? measured : measured[name];
  const row = (load: string, unit: string, name: keyof Footprint, atMost?: number): Row => ({
    load,
    unit,
    cairn: cell(name),
    peer: null,
    limit: null,
    target: atMost === undefined ? null : { of: "cairn", sense: "at most", value: atMost },
  });
  return [
    row("start to ready, empty store", "ms", "emptyStartMs", 150),
    row(`start to ready, ${events} events`, "ms", "filledStartMs", 1_000),
    row("log beyond payload, metadata, stream id and name", "B/event", "overheadBytes", 100),
    row("resident memory after start", "MB", "emptyResidentMb"),
    row(`resident memory after ${events} events in ${streams} streams`, "MB", "filledResidentMb"),
    row("  of that, beyond after start", "B/event", "residentBytesPerEvent"),
    row("resident memory after a restart with them", "MB", "restartedResidentMb"),
  ];
}

interface Footprint {
  readonly emptyStartMs: Cell;
  readonly filledStartMs: Cell;
  readonly overheadBytes: Cell;
  readonly emptyResidentMb: Cell;
  readonly filledResidentMb: Cell;
  readonly residentBytesPerEvent: Cell;
  readonly restartedResidentMb: Cell;
}

async function measure(bench: Bench, size: FootprintSize): Promise<Footprint | Missing> {
  const emptyStartsMs: number[] = [];
  for (let i = 0; i < size.starts; i++) {
    const folder = makeFolderName(bench);
    const started = await withCairn(bench, folder, async (cairn) => cairn.readyMs);
    await rm(folder, { recursive: true, force: true });
    if (started instanceof Missing) return started;
    emptyStartsMs.push(started);
  }

  const folder = makeFolderName(bench);
  try {
    const filled = await withCairn(bench, folder, (cairn) => fillAndMeasure(bench, size, cairn));
    if (filled instanceof Missing) return filled;
    const filledStartsMs: number[] = [];
    let restartedResident: Cell = new Missing("no restart");
    for (let i = 0; i < size.starts; i++) {
      const started = await withCairn(bench, folder, async (cairn) => {
        restartedResident = await residentBytes(cairn.pid);
        return cairn.readyMs;
      });
      if (started instanceof Missing) return started;
      filledStartsMs.push(started);
    }
    bench.print(`  start, empty: ${emptyStartsMs.map((ms) => ms.toFixed(1)).join(", ")} ms`);
    bench.print(`  start, filled: ${filledStartsMs.map((ms) => ms.toFixed(1)).join(", ")} ms`);
    return {
      ...filled,
      emptyStartMs: median(emptyStartsMs),
      filledStartMs: median(filledStartsMs),
      restartedResidentMb: scaled(restartedResident, MB),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fillAndMeasure(bench: Bench, size: FootprintSize, cairn: Peer) {
  const emptyResident = await residentBytes(cairn.pid);

  const logBytesBefore = await readLogBytes(cairn);
  const overheadOrder = shuffled(size.overheadEvents, SEED);
  const singles = makePool(size.overheadEvents, (i) => eappend(overheadStream(overheadOrder, i)));
  await fill(bench, cairn, singles);
  const logBytes = (await readLogBytes(cairn)) - logBytesBefore;
  const overheadBytes = logBytes / size.overheadEvents - OWN_BYTES;

  const order = shuffled(size.streams, SEED);
  const pool = makePool(size.streams, (i) => eappend(streamId(order[i] as number)));
  await fill(bench, cairn, pool, size.events / size.streams);
  const filledResident = await residentBytes(cairn.pid);

  const stored = await countEvents(cairn);
  const appended = size.events + size.overheadEvents;
  bench.print(`  ${stored} events stored, ${appended} answered`);
  if (stored !== appended) throw new Error(`${stored} events stored, ${appended} answered`);

  const grown: Cell =
    emptyResident instanceof Missing
      ? emptyResident
      : filledResident instanceof Missing
        ? filledResident
        : (filledResident - emptyResident) / appended;
  return {
    overheadBytes,
    emptyResidentMb: scaled(emptyResident, MB),
    filledResidentMb: scaled(filledResident, MB),
    residentBytesPerEvent: grown,
  };
}

/** What an event of this benchmark is without any overhead: payload, name and stream id. */
const OWN_BYTES = PAYLOAD_BYTES + EVENT_NAME.length + streamId(0).length;
const OVERHEAD_STREAMS = 1_000;

function overheadStream(order: Uint32Array, index: number): string {
  return streamId((order[index] as number) % OVERHEAD_STREAMS);
}

function readLogBytes(cairn: Peer): Promise<number> {
  return withClient(cairn, (client) => infoNumber(client, "log_bytes"));
}

async function withCairn<T>(
  bench: Bench,
  folder: string,
  work: (cairn: Peer) => Promise<T>,
): Promise<T | Missing> {
  const cairn = await startCairn(bench, folder);
  if (cairn instanceof Missing) return cairn;
  try {
    return await work(cairn);
  } finally {
    await cairn.stop();
  }
}

function scaled(cell: Cell, divisor: number): Cell {
  return cell instanceof Missing ? cell : cell / divisor;
}
