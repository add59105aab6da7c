/**
 * The table of a growth run: a row for each thing measured, a column for each stage, and the verdict on its target.
 *
 * What is held against the figure at 1 million is held against the first stage's where a run ends at or below it.
 */
import { Missing } from "../peers.ts";
import { EVENT_NAME, PAYLOAD_BYTES, streamId } from "../requests.ts";
import { renderNumber, renderReason } from "../table.ts";
import { Histogram } from "./histogram.ts";
import { sizeName, WATCHED_EVENTS } from "./plan.ts";
import type { Latency } from "./probe.ts";
import type { ReadLatencies } from "./reads.ts";
import type { StageResult } from "./stage.ts";
import type { Walk, WholeFigures } from "./whole.ts";

/** Several numbers of one thing: p50 and p99. Null where the stage has none. */
type GrowthCell = readonly number[] | Missing | null;

interface Verdict {
  /** What is held against the target; a dash where nothing is. */
  readonly judged: string;
  readonly target: string;
  readonly reached: "yes" | "no" | "–";
}

export interface GrowthRow {
  readonly load: string;
  readonly unit: string;
  /** One for each stage. */
  readonly cells: readonly GrowthCell[];
  readonly verdict: Verdict;
}

/** What the issue of flat cost asks for. */
const APPEND_RATIO_MIN = 0.7;
const READ_RATIO_MAX = 2;
const RESIDENT_MIB_MAX = { events: 10e6, upTo: 700, above: 1_536 } as const;
const START_AFTER_STOP_MS_MAX = 1_000;
const START_AFTER_KILL_MS_MAX = 3_000;
const PING_P999_MS_MAX = 20;
const LOG_OVERHEAD_BYTES_MAX = 100;
const INDEX_BYTES_MAX = 60;
const REBUILD_PER_SECOND_MIN = 1e6;
const SEQUENTIAL_PER_SECOND_MIN = 2e6;
/** Another client may wait for the slice of a walk that it meets, and for the turns around it. */
const WALK_PING_MS_MAX = 3;

export const MIB = 1024 * 1024;
/** An event's own bytes: payload, name and stream id. */
const OWN_BYTES = PAYLOAD_BYTES + EVENT_NAME.length + streamId(0).length;

/** The index of the stage that the last one is compared with. */
function baseIndex(results: readonly StageResult[]): number {
  const million = results.findIndex(({ stage }) => stage.events === 1e6);
  return million < 0 || million === results.length - 1 ? 0 : million;
}

/** All rows, of one stage at least. */
export function growthRows(results: readonly StageResult[]): GrowthRow[] {
  const base = baseIndex(results);
  const baseName = sizeName((results[base] as StageResult).stage.events);
  const row = (
    load: string,
    unit: string,
    cellOf: (result: StageResult) => GrowthCell,
    judge: (cells: readonly GrowthCell[]) => Verdict = noVerdict,
  ): GrowthRow => {
    const cells = results.map(cellOf);
    return { load, unit, cells, verdict: judge(cells) };
  };

  const appends = (name: string, pick: "existing" | "created" | "identified"): GrowthRow =>
    row(
      `appends 50×16, ${name}`,
      "events/s",
      (result) => [result[pick].perSecond],
      (cells) => ratioVerdict(cells, base, baseName, "at least", APPEND_RATIO_MIN),
    );
  const reads = (pass: "asLeft" | "cached" | "cold", when: string): GrowthRow[] =>
    READS.map(({ name, pick, events }) =>
      row(
        `${name}, ${when}: p50 / p99`,
        "µs",
        (result) => latencyCell(result[pass][pick]),
        (cells) => {
          if (pass === "asLeft") return noVerdict();
          if (pass === "cached") return cachedVerdict(cells, results, base, baseName);
          const pages = results.map(({ coldPage }) => latencyCell(coldPage));
          return coldVerdict(cells, results, base, baseName, pages.at(-1) ?? null, events);
        },
      ),
    );
  const pings = new Histogram();
  for (const { ping } of results) pings.addAll(ping);
  const walks = (name: string, unit: string, pick: "scan" | "elog"): GrowthRow[] => [
    row(name, unit, ({ whole }) => (whole === null ? null : [whole[pick].perSecond])),
    row(
      "  PING p99 of another client: idle / beside a program that reads the log / meanwhile",
      "ms",
      ({ whole }) => (whole === null ? null : walkPing(whole, whole[pick])),
      walkVerdict,
    ),
  ];

  return [
    appends("existing streams", "existing"),
    appends("new streams", "created"),
    appends("EVENT_ID given", "identified"),
    row("fill since the stage before, PING beside it", "events/s", (r) => [r.fill.perSecond]),
    row("  processors that the load generator takes", "1", (r) => [r.fill.clientShare]),
    ...reads("asLeft", "as the fill left the caches"),
    ...reads("cached", "pages cached"),
    row("PING in their place: p50 / p99", "µs", (r) => latencyCell(r.roundTrip)),
    ...reads("cold", "page cache dropped"),
    row("PING behind them: p50 / p99", "µs", (r) => latencyCell(r.coldRoundTrip)),
    row("4 KiB of the log's files, page cache dropped: p50 / p99", "µs", (r) =>
      latencyCell(r.coldPage),
    ),
    row("resident memory", "MiB", (r) => memoryCell(r, "residentBytes"), memoryVerdict(results)),
    row("  peak since the last start", "MiB", (r) => memoryCell(r, "peakBytes")),
    row(
      "start to ready after SIGTERM",
      "ms",
      (r) => [r.startAfterStopMs],
      (cells) => boundVerdict(cells, "at most", START_AFTER_STOP_MS_MAX, "ms"),
    ),
    row(
      "start to ready after kill -9",
      "ms",
      (r) => [r.startAfterKillMs],
      (cells) => boundVerdict(cells, "at most", START_AFTER_KILL_MS_MAX, "ms"),
    ),
    row("  until heads of streams are in memory", "ms", (r) => [r.headsLoadedMs]),
    row(
      "PING of another client during appends: p50 / p99 / p99.9 / max",
      "ms",
      ({ ping }) => [
        ...[0.5, 0.99, 0.999].map((share) => ping.quantileUs(share) / 1e3),
        ping.maxUs / 1e3,
      ],
      () => pingVerdict(pings),
    ),
    row(
      "log beyond payload, stream id and name",
      "B/event",
      (result) => [logOverheadBytes(result)],
      (cells) => boundVerdict(cells, "at most", LOG_OVERHEAD_BYTES_MAX, "B/event"),
    ),
    row(
      "index",
      "B/event",
      (result) => [indexBytesPerEvent(result)],
      (cells) => boundVerdict(cells, "at most", INDEX_BYTES_MAX, "B/event"),
    ),
    row(
      "rebuild of the whole index, until ready",
      "events/s",
      ({ rebuilt }) => (rebuilt === null ? null : [rebuilt]),
      (cells) => boundVerdict(cells, "at least", REBUILD_PER_SECOND_MIN, "events/s"),
    ),
    row(
      "sequential read by position, in process",
      "events/s",
      ({ sequential }) => (typeof sequential === "number" ? [sequential] : sequential),
      (cells) => boundVerdict(cells, "at least", SEQUENTIAL_PER_SECOND_MIN, "events/s"),
    ),
    ...walks("SCAN over all streams with a pattern", "streams/s", "scan"),
    ...walks("ELOG over all events by name", "events/s", "elog"),
  ];
}

export function logOverheadBytes({ store }: StageResult): number {
  return store.logBytes / store.events - OWN_BYTES;
}

export function indexBytesPerEvent({ store, indexBytes }: StageResult): number {
  return indexBytes / store.events;
}

/** The table in Markdown: the stages' sizes are its columns. */
export function renderGrowthTable(
  results: readonly StageResult[],
  rows: readonly GrowthRow[],
): string {
  const sizes = results.map(({ stage }) => sizeName(stage.events));
  const lines = [
    `| | unit | ${sizes.join(" | ")} | judged | to reach | reached |`,
    `|---|---|${"---:|".repeat(sizes.length)}---:|---|---|`,
  ];
  for (const { load, unit, cells, verdict } of rows) {
    const texts = [load, unit, ...cells.map(renderCell)];
    texts.push(verdict.judged, verdict.target, verdict.reached);
    lines.push(`| ${texts.join(" | ")} |`);
  }
  return lines.join("\n");
}

const READS: readonly { name: string; pick: keyof ReadLatencies; events: number }[] = [
  { name: "ESVER", pick: "esver", events: 0 },
  { name: `ESCAN of ${WATCHED_EVENTS} events`, pick: "escan", events: WATCHED_EVENTS },
  { name: "EGET by random id", pick: "eget", events: 1 },
];

function latencyCell(latency: Latency | Missing): GrowthCell {
  return latency instanceof Missing ? latency : [latency.p50Us, latency.p99Us];
}

function memoryCell({ memory }: StageResult, pick: "residentBytes" | "peakBytes"): GrowthCell {
  return memory instanceof Missing ? memory : [memory[pick] / MIB];
}

function walkPing({ idlePing, readerPing }: WholeFigures, { ping }: Walk): GrowthCell {
  return [idlePing, readerPing, ping].map((histogram) => histogram.quantileUs(0.99) / 1e3);
}

// ── verdicts ──────────────────────────────────────────────────────────────────────────────────────

type Sense = "at least" | "at most";

function noVerdict(): Verdict {
  return { judged: "–", target: "–", reached: "–" };
}

function reachedBy(isReached: boolean): "yes" | "no" {
  return isReached ? "yes" : "no";
}

function numbersOf(cell: GrowthCell | undefined): readonly number[] | null {
  return cell === undefined || cell === null || cell instanceof Missing ? null : cell;
}

/** The last stage's numbers as multiples of the base's, each held against the same bound. */
function ratioVerdict(
  cells: readonly GrowthCell[],
  base: number,
  baseName: string,
  sense: Sense,
  bound: number,
): Verdict {
  const target = `${sense} ${bound} × of ${baseName}`;
  const first = numbersOf(cells[base]);
  const last = numbersOf(cells.at(-1));
  if (first === null || last === null) return { ...noVerdict(), target };
  const ratios = last.map((value, i) => value / (first[i] as number));
  return {
    judged: `${ratios.map((ratio) => ratio.toFixed(2)).join(" / ")} ×`,
    target,
    reached: reachedBy(
      ratios.every((ratio) => (sense === "at least" ? ratio >= bound : ratio <= bound)),
    ),
  };
}

/**
 * The ratio of two reads whose pages are cached. What PING's round trip takes more, or less, than at the base is taken out
 * first: it changes by a factor of three with the processors on which server and client happen to run.
 */
function cachedVerdict(
  cells: readonly GrowthCell[],
  results: readonly StageResult[],
  base: number,
  baseName: string,
): Verdict {
  const roundTrips = results.map(({ roundTrip }) => roundTrip);
  const apart = withoutPing(cells, roundTrips, base);
  const verdict = ratioVerdict(apart, base, baseName, "at most", READ_RATIO_MAX);
  return { ...verdict, target: `${verdict.target}, PING's change apart` };
}

/** The cells less what PING's round trip takes more at their stage than at the base. */
function withoutPing(
  cells: readonly GrowthCell[],
  roundTrips: readonly Latency[],
  base: number,
): GrowthCell[] {
  const pings = roundTrips.map(({ p50Us, p99Us }) => [p50Us, p99Us]);
  return cells.map((cell, stage) => {
    const numbers = numbersOf(cell);
    if (numbers === null) return null;
    return numbers.map(
      (value, i) => value - ((pings[stage]?.[i] as number) - (pings[base]?.[i] as number)),
    );
  });
}

/** A read from the disk may cost what it may where pages are cached, and a cold page for each event. */
function coldVerdict(
  cells: readonly GrowthCell[],
  results: readonly StageResult[],
  base: number,
  baseName: string,
  page: GrowthCell,
  events: number,
): Verdict {
  const pages = events === 0 ? "" : ` and ${events} cold 4 KiB read${events > 1 ? "s" : ""}`;
  const target = `at most ${READ_RATIO_MAX} × of ${baseName}${pages}, PING's change apart`;
  const roundTrips = results.map(({ coldRoundTrip }) => coldRoundTrip);
  const first = numbersOf(cells[base]);
  const last = numbersOf(withoutPing(cells, roundTrips, base).at(-1));
  const pageUs = numbersOf(page);
  if (first === null || last === null || pageUs === null) return { ...noVerdict(), target };
  const bounds = first.map((value, i) => READ_RATIO_MAX * value + events * (pageUs[i] as number));
  return {
    judged: `${last.map(renderNumber).join(" / ")} of ${bounds.map(renderNumber).join(" / ")} µs`,
    target,
    reached: reachedBy(last.every((value, i) => value <= (bounds[i] as number))),
  };
}

/** Holds the last stage's number against the bound. */
function boundVerdict(
  cells: readonly GrowthCell[],
  sense: Sense,
  bound: number,
  unit: string,
): Verdict {
  const target = `${sense} ${bound.toLocaleString("en-US")} ${unit}`;
  const [last] = numbersOf(cells.at(-1)) ?? [];
  if (last === undefined) return { ...noVerdict(), target };
  return {
    judged: `${renderNumber(last)} ${unit}`,
    target,
    reached: reachedBy(sense === "at least" ? last >= bound : last <= bound),
  };
}

/** Every stage against the bound of its size. */
function memoryVerdict(results: readonly StageResult[]): (cells: readonly GrowthCell[]) => Verdict {
  const { events, above } = RESIDENT_MIB_MAX;
  // The smaller bound is that of the defaults.
  const upTo = process.env.CAIRN_INDEX_MEMORY === undefined ? RESIDENT_MIB_MAX.upTo : above;
  return (cells) => {
    const target =
      upTo === above
        ? `at most ${above.toLocaleString("en-US")} MiB`
        : `at most ${upTo} MiB up to ${sizeName(events)}, ${above.toLocaleString("en-US")} MiB above`;
    if (cells.some((cell) => numbersOf(cell) === null)) return { ...noVerdict(), target };
    const isReached = results.every(({ stage }, i) => {
      const [mib = 0] = numbersOf(cells[i]) ?? [];
      return mib <= (stage.events <= events ? upTo : above);
    });
    return { judged: "every stage", target, reached: reachedBy(isReached) };
  };
}

function pingVerdict(pings: Histogram): Verdict {
  const p999Ms = pings.quantileUs(0.999) / 1e3;
  return {
    judged: `p99.9 ${renderNumber(p999Ms)} ms over all stages`,
    target: `p99.9 at most ${PING_P999_MS_MAX} ms`,
    reached: reachedBy(p999Ms <= PING_P999_MS_MAX),
  };
}

function walkVerdict(cells: readonly GrowthCell[]): Verdict {
  const target = `at most ${WALK_PING_MS_MAX} ms more than idle`;
  const [idle, , meanwhile] = numbersOf(cells.at(-1)) ?? [];
  if (idle === undefined || meanwhile === undefined) return { ...noVerdict(), target };
  const more = Math.max(0, meanwhile - idle);
  return {
    judged: `${renderNumber(more)} ms more`,
    target,
    reached: reachedBy(more <= WALK_PING_MS_MAX),
  };
}

function renderCell(cell: GrowthCell): string {
  if (cell === null) return "–";
  return cell instanceof Missing ? renderReason(cell) : cell.map(renderNumber).join(" / ");
}
