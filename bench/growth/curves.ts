/**
 * The curves of a growth run: which figures of its stages stand together in a panel.
 */
import { Missing } from "../peers.ts";
import { type Curve, type Panel, renderChart } from "./chart.ts";
import { sizeName } from "./plan.ts";
import type { ReadLatencies } from "./reads.ts";
import type { StageResult } from "./stage.ts";
import { indexBytesPerEvent, logOverheadBytes, MIB } from "./table.ts";

/** The SVG of all panels. */
export function renderCurves(results: readonly StageResult[]): string {
  const curve = (name: string, pick: (result: StageResult) => number | null): Curve => ({
    name,
    points: results.flatMap((result) => {
      const y = pick(result);
      return y === null ? [] : [{ x: result.stage.events, y }];
    }),
  });
  const reads = (pass: "cached" | "cold"): Curve[] =>
    READS.flatMap(([name, command]) =>
      (["p50Us", "p99Us"] as const).map((figure) =>
        curve(`${name} ${figure.slice(0, 3)}`, (result) => {
          const latency = result[pass][command];
          return latency instanceof Missing ? null : latency[figure];
        }),
      ),
    );
  const mebibytes = (which: "residentBytes" | "peakBytes") => (result: StageResult) =>
    result.memory instanceof Missing ? null : result.memory[which] / MIB;

  const panels: Panel[] = [
    {
      title: "Appends a second, 50×16",
      scale: "linear",
      curves: [
        curve("existing streams", (result) => result.existing.perSecond),
        curve("new streams", (result) => result.created.perSecond),
        curve("EVENT_ID given", (result) => result.identified.perSecond),
      ],
    },
    { title: "Reads, pages cached, µs", scale: "log", curves: reads("cached") },
    { title: "Reads, page cache dropped, µs", scale: "log", curves: reads("cold") },
    {
      title: "Resident memory, MiB",
      scale: "linear",
      curves: [
        curve("at the end", mebibytes("residentBytes")),
        curve("peak", mebibytes("peakBytes")),
      ],
    },
    {
      title: "Bytes on the disk an event, beyond its own",
      scale: "linear",
      curves: [curve("log", logOverheadBytes), curve("index", indexBytesPerEvent)],
    },
    {
      title: "Start to ready, and PING p99.9, ms",
      scale: "log",
      curves: [
        curve("after SIGTERM", (result) => result.startAfterStopMs),
        curve("after kill -9", (result) => result.startAfterKillMs),
        curve("PING p99.9", (result) => result.ping.quantileUs(0.999) / 1e3),
      ],
    },
  ];
  return renderChart(
    panels,
    results.map(({ stage }) => stage.events),
    sizeName,
  );
}

const READS: readonly [name: string, command: keyof ReadLatencies][] = [
  ["ESVER", "esver"],
  ["ESCAN", "escan"],
  ["EGET", "eget"],
];
