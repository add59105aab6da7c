/**
 * One stage of a growth run: the store grows to its size, and everything is measured there.
 *
 * In this order, because each step leaves its mark: the fill and the stretches of appends, what they left in memory
 * and on the disk, reads, two restarts, then reads after the page cache was dropped. At the first and the last
 * stage follow the walks over the whole store. What was appended is counted after each step that could lose some of it.
 */
import type { Missing } from "../peers.ts";
import type { EventSource } from "./events.ts";
import type { Histogram } from "./histogram.ts";
import { type LoadResult, load, sumLoads } from "./load.ts";
import { startPinger } from "./ping.ts";
import type { Plan, Stage } from "./plan.ts";
import type { Latency } from "./probe.ts";
import { onOwnProcessors } from "./processors.ts";
import { type ReadLatencies, readCold, readColdPages, readWarm } from "./reads.ts";
import type { StoreFigures, Subject } from "./subject.ts";
import { readSequentially, rebuild, type WholeFigures, walkWhole } from "./whole.ts";

export interface StageResult {
  readonly stage: Stage;
  readonly fill: LoadResult;
  readonly existing: LoadResult;
  readonly identified: LoadResult;
  readonly created: LoadResult;
  /** Another client's PING during all of these. */
  readonly ping: Histogram;
  readonly store: StoreFigures;
  readonly indexBytes: number;
  readonly memory: { readonly residentBytes: number; readonly peakBytes: number } | Missing;
  readonly asLeft: ReadLatencies;
  readonly cached: ReadLatencies;
  /** PING in place of a read, while pages are cached. */
  readonly roundTrip: Latency;
  readonly cold: ReadLatencies;
  /** PING behind those. */
  readonly coldRoundTrip: Latency;
  readonly coldPage: Latency | Missing;
  readonly startAfterStopMs: number;
  readonly startAfterKillMs: number;
  /** From the start to the moment at which the server has all that it keeps of streams in memory. */
  readonly headsLoadedMs: number;
  /** Null at the stages between the first and the last. */
  readonly whole: WholeFigures | null;
  /** Events a second. */
  readonly sequential: number | Missing | null;
  /** Events a second; at the last stage alone, since a rebuilt index is not the one that grew. */
  readonly rebuilt: number | null;
}

/** Runs the stage with this index of the plan; the server runs before and after. `tell` takes what is done now. */
export async function runStage(
  plan: Plan,
  index: number,
  subject: Subject,
  source: EventSource,
  tell: (step: string) => void,
): Promise<StageResult> {
  const stage = plan.stages[index] as Stage;
  const isEdge = index === 0 || index === plan.stages.length - 1;
  source.enter(stage);

  const pinger = await startPinger(subject.port);
  tell("filling");
  const fill = await load(subject.port, source, "mixed", stage.mixed);
  tell("appends of three kinds in turn");
  const { existing, identified, created } = await appendInTurn(subject.port, source, stage);
  const ping = await pinger.finish();
  const memory = await subject.memory();
  const store = await subject.figures();
  expectEvents(store, source);

  tell("reads");
  const watched = { stage: index, streams: stage.watched, otherStreams: source.streamCount };
  const { asLeft, cached, roundTrip } = await onOwnProcessors(subject.pid, () =>
    readWarm(subject.port, watched, () => {
      tell("runs are merged");
      return subject.indexSettled();
    }),
  );
  const indexBytes = subject.indexBytes();

  tell("restart after SIGTERM");
  await subject.stop();
  const startAfterStopMs = await subject.start();
  expectEvents(await subject.figures(), source);
  tell("restart after kill -9");
  await subject.kill();
  const startAfterKillMs = await subject.start();
  expectEvents(await subject.figures(), source);

  tell("heads of streams are loaded");
  const headsLoadedMs = startAfterKillMs + (await subject.headsLoaded());
  tell("runs are merged");
  await subject.indexSettled();

  tell("reads with the page cache dropped");
  const { cold, roundTrip: coldRoundTrip } = await onOwnProcessors(subject.pid, () =>
    readCold(subject.port, watched),
  );
  const coldPage = readColdPages(subject.logFolder);

  let whole: WholeFigures | null = null;
  let sequential: number | Missing | null = null;
  let rebuilt: number | null = null;
  if (isEdge) {
    tell("walks over the whole store");
    whole = await walkWhole(subject, source, plan.walkSeconds);
    tell("sequential read");
    await subject.stop();
    sequential = await readSequentially(subject, source.count);
    if (index === plan.stages.length - 1) {
      tell("rebuilding the index");
      rebuilt = await rebuild(subject, source.count);
    } else {
      await subject.start();
    }
    expectEvents(await subject.figures(), source);
  }
  return {
    stage,
    fill,
    existing,
    identified,
    created,
    ping,
    store,
    indexBytes,
    memory,
    asLeft,
    cached,
    roundTrip,
    coldRoundTrip,
    cold,
    coldPage,
    startAfterStopMs,
    startAfterKillMs,
    headsLoadedMs,
    whole,
    sequential,
    rebuilt,
  };
}

const STRETCHES = ["existing", "identified", "created"] as const;
/** Parts of each stretch: what the machine, or a merge, does for a while meets all three. */
const PARTS = 4;

/** Appends a part of each stretch in turn, until all are done. */
async function appendInTurn(
  port: number,
  source: EventSource,
  stage: Stage,
): Promise<Record<(typeof STRETCHES)[number], LoadResult>> {
  const parts = { existing: [], identified: [], created: [] } as Record<string, LoadResult[]>;
  for (let part = 0; part < PARTS; part++) {
    for (const kind of STRETCHES) {
      const upTo = (index: number): number => Math.floor((stage[kind] * index) / PARTS);
      parts[kind]?.push(await load(port, source, kind, upTo(part + 1) - upTo(part)));
    }
  }
  return {
    existing: sumLoads(parts.existing as LoadResult[]),
    identified: sumLoads(parts.identified as LoadResult[]),
    created: sumLoads(parts.created as LoadResult[]),
  };
}

function expectEvents(store: StoreFigures, source: EventSource): void {
  if (store.events !== source.count) {
    throw new Error(`the store holds ${store.events} events, ${source.count} were answered`);
  }
}
