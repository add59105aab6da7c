/**
 * `make bench-growth` at a tiny size: that it runs to its end and says what it found, and that its parts are right.
 *
 * Nothing here says how fast anything is. The whole run is a process of its own, as a user starts it, with its table and
 * curves in a temporary folder; it leaves the system's page cache alone, which other tests use meanwhile.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderChart } from "../bench/growth/chart.ts";
import {
  EventSource,
  RARE_NAME,
  REQUEST_BYTES_MAX,
  watchedEventId,
  watchedStreamId,
} from "../bench/growth/events.ts";
import { Histogram } from "../bench/growth/histogram.ts";
import { makePlan, sizeName, WATCHED_EVENTS } from "../bench/growth/plan.ts";
import { progressText } from "../bench/growth/progress.ts";
import { PAYLOAD } from "../bench/requests.ts";
import { parseReply } from "../bench/resp.ts";
import { until } from "./support/server.ts";

const SCRIPT = join(import.meta.dirname, "../bench/growth.ts");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-growth-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a run of so many events, its data and its results in folders of these names. */
function start(events: string, data: string, output: string, env: Record<string, string> = {}) {
  return Bun.spawn([process.execPath, SCRIPT], {
    env: {
      ...process.env,
      EVENTS: events,
      GROWTH_DATA: join(folder, data),
      GROWTH_OUT: join(folder, output),
      COLD: "0",
      ...env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

describe("a run", () => {
  const STAGES = ["200", "666", "2,000", "6,666", "20,000"];
  const EDGES_ONLY = /^(sequential|SCAN|ELOG|PING p99 of)/;

  function readRows(when: string): string[] {
    return ["ESVER", "ESCAN of 20 events", "EGET by random id"].map(
      (read) => `${read}, ${when}: p50 / p99`,
    );
  }

  test("measures every row at its stages, writes table and curves, and removes its data", async () => {
    const run = start("20_000", "whole", "results");
    const [printed, errors, code] = await Promise.all([
      new Response(run.stdout).text(),
      new Response(run.stderr).text(),
      run.exited,
    ]);
    expect(code, errors).toBe(0);
    expect(existsSync(join(folder, "whole"))).toBe(false);

    const page = await Bun.file(join(folder, "results/README.md")).text();
    expect(page).toMatch(/^- Events: 20,000 in 2,\d{3} streams; /m);
    expect(page).toContain("![The curves of this run](growth.svg)");
    const table = page
      .split("\n")
      .filter((line) => line.startsWith("|"))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    expect(table[0]?.slice(2, -1)).toEqual(["unit", ...STAGES, "judged", "to reach", "reached"]);
    const rows = new Map(table.slice(2).map((cells) => [cells[1], cells.slice(3, 8)]));
    for (const line of page.split("\n"))
      expect(printed).toContain(line.startsWith("|") ? line : "");

    for (const [name = "", cells] of rows) {
      for (const [stage, cell] of cells.entries()) {
        const at = `${name} at ${STAGES[stage]}: ${cell}`;
        const isLast = stage === STAGES.length - 1;
        const isEdge = stage === 0 || isLast;
        if (/page cache dropped/.test(name)) expect(cell, at).toBe("left out (COLD=0)");
        else if (EDGES_ONLY.test(name) && !isEdge) expect(cell, at).toBe("–");
        else if (/^rebuild/.test(name) && !isLast) expect(cell, at).toBe("–");
        else if (/^resident|^peak/.test(name) && !existsSync("/proc/self")) continue;
        else for (const number of cell.split(" / ")) expect(number, at).toMatch(/^[\d,]+(\.\d+)?$/);
      }
    }
    expect([...rows.keys()]).toEqual([
      "appends 50×16, existing streams",
      "appends 50×16, new streams",
      "appends 50×16, EVENT_ID given",
      "fill since the stage before, PING beside it",
      "processors that the load generator takes",
      ...readRows("as the fill left the caches"),
      ...readRows("pages cached"),
      "PING in their place: p50 / p99",
      ...readRows("page cache dropped"),
      "PING behind them: p50 / p99",
      "4 KiB of the log's files, page cache dropped: p50 / p99",
      "resident memory",
      "peak since the last start",
      "start to ready after SIGTERM",
      "start to ready after kill -9",
      "until heads of streams are in memory",
      "PING of another client during appends: p50 / p99 / p99.9 / max",
      "log beyond payload, stream id and name",
      "index",
      "rebuild of the whole index, until ready",
      "sequential read by position, in process",
      "SCAN over all streams with a pattern",
      "PING p99 of another client: idle / beside a program that reads the log / meanwhile",
      "ELOG over all events by name",
    ]);
    const targets = table.slice(2).map((cells) => [cells[1], cells.at(-3), cells.at(-2)]);
    expect(targets).toContainEqual([
      "log beyond payload, stream id and name",
      "at most 100 B/event",
      "yes",
    ]);

    expectSvg(await Bun.file(join(folder, "results/growth.svg")).text(), 6);
  });

  test("that is interrupted ends its server and removes its data", async () => {
    const data = join(folder, "interrupted");
    const run = start("1_000_000", "interrupted", "none");
    await until(() => existsSync(join(data, "STORE")), "the store is there");
    run.kill("SIGINT");
    expect(await run.exited).toBe(130);
    expect(existsSync(data)).toBe(false);
    expect(existsSync(join(folder, "none"))).toBe(false);
    expect(await new Response(run.stderr).text()).not.toContain("bench-growth:");
  });

  test("that fails says why in a line, and removes its data", async () => {
    const wrong = `${process.execPath} no-such-file.ts`;
    const run = start("10_000", "failed", "none", { CAIRN_TEST_COMMAND: wrong });
    expect(await run.exited).toBe(1);
    expect(await new Response(run.stderr).text()).toMatch(
      /^bench-growth: the server did not start: .+ \(at 0 events\)$/m,
    );
    expect(existsSync(join(folder, "failed"))).toBe(false);
  });

  test("refuses a number that is none, and a folder that holds something", async () => {
    const wrong = start("many", "refused", "none");
    expect(await wrong.exited).toBe(2);
    expect(await new Response(wrong.stderr).text()).toBe(
      "bench-growth: EVENTS is 'many', but must be a whole number from 10,000 to 1,000,000,000\n",
    );
    writeFileSync(join(folder, "mine"), "");
    const full = start("10_000", ".", "none");
    expect(await full.exited).toBe(2);
    expect(await new Response(full.stderr).text()).toMatch(/^bench-growth: GROWTH_DATA: .+ is not/);
    expect(readdirSync(folder)).toContain("mine");
  });
});

describe("the plan", () => {
  test("measures at 1, 3, 10, 30 and 100 million, or at parts of a small run", () => {
    const sizes = (events: number) => makePlan(events).stages.map((stage) => stage.events);
    expect(sizes(100e6)).toEqual([1e6, 3e6, 10e6, 30e6, 100e6]);
    expect(sizes(10e6)).toEqual([1e6, 3e6, 10e6]);
    expect(sizes(5e6)).toEqual([1e6, 3e6, 5e6]);
    expect(sizes(20_000)).toEqual([200, 666, 2_000, 6_666, 20_000]);
    expect([1e6, 2.5e6, 100e6, 666, 20_000].map(sizeName)).toEqual([
      "1 M",
      "2.5 M",
      "100 M",
      "666",
      "20,000",
    ]);
  });

  test("leaves every stage room for its fill, and a tenth as many streams as events", () => {
    for (const events of [10_000, 20_000, 1e6, 3e6, 7_654_321, 100e6]) {
      let before = { events: 0, streams: 0 };
      for (const stage of makePlan(events).stages) {
        const { mixed, existing, identified, created } = stage;
        expect(before.events + mixed + existing + identified + created).toBe(stage.events);
        expect(stage.streams).toBe(Math.floor(stage.events / 10));
        // What the fill must make; the watched streams' events come out of it too.
        expect(stage.streams - created - before.streams).toBeGreaterThanOrEqual(0);
        expect(stage.watched).toBeGreaterThan(0);
        before = stage;
      }
    }
  });
});

describe("the events", () => {
  const plan = makePlan(20_000);

  /** Every request of a run, parsed. */
  function requestsOf(): string[][] {
    const source = new EventSource(plan);
    const target = new Uint8Array(REQUEST_BYTES_MAX);
    const requests: string[][] = [];
    for (const stage of plan.stages) {
      source.enter(stage);
      for (const kind of ["mixed", "existing", "identified", "created"] as const) {
        for (let i = 0; i < stage[kind]; i++) {
          const end = source.write(target, 0, kind);
          requests.push((parseReply(target.slice(0, end), 0)?.value ?? []) as string[]);
        }
      }
      expect(source.count).toBe(stage.events);
      expect(Math.abs(source.streamCount - stage.streams)).toBeLessThanOrEqual(1);
    }
    return requests;
  }

  test("are appends that the plan's streams share, the same in every run", () => {
    const requests = requestsOf();
    expect(requests).toEqual(requestsOf());
    const streams = new Set(requests.map((request) => request[1]));
    const watched = plan.stages.reduce((sum, stage) => sum + stage.watched, 0);
    expect(streams.size).toBeLessThanOrEqual(2_001 + watched);
    expect(streams.size).toBeGreaterThanOrEqual(1_999 + watched);
    for (const request of requests) {
      expect(request[0]).toBe("EAPPEND");
      expect(request[1]).toMatch(/^(key|wat):\d{12}$/);
      expect(request.slice(-2)).toEqual(["PAYLOAD", PAYLOAD]);
    }
    const ids = requests.flatMap((request) => (request[3] === "EVENT_ID" ? [request[4]] : []));
    expect(ids.length).toBeGreaterThan(0);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-8[\da-f]{3}-/);
  });

  test("give each watched stream its events before its stage ends, with ids that can be made again", () => {
    const requests = requestsOf();
    for (const [index, stage] of plan.stages.entries()) {
      const history = requests.slice(0, stage.events);
      for (let stream = 0; stream < stage.watched; stream++) {
        const own = history.filter((request) => request[1] === watchedStreamId(index, stream));
        expect(own).toHaveLength(WATCHED_EVENTS);
        expect(own.map((request) => request[4])).toEqual(
          own.map((_, turn) => watchedEventId(index, stream, turn)),
        );
        expect(own.filter((request) => request[2] === RARE_NAME)).toHaveLength(1);
      }
    }
  });
});

test("histograms add up, survive a line of text, and find what lies below a share", () => {
  const low = new Histogram();
  const high = new Histogram();
  for (let us = 1; us <= 500; us++) low.add(us);
  for (let us = 501; us <= 1_000; us++) high.add(us);
  low.addAll(Histogram.parse(high.toLine()));
  expect(low.count).toBe(1_000);
  expect(low.maxUs).toBe(1_000);
  for (const share of [0.1, 0.5, 0.99]) {
    const exact = share * 1_000;
    expect(low.quantileUs(share)).toBeGreaterThanOrEqual(exact);
    expect(low.quantileUs(share)).toBeLessThanOrEqual(exact * 1.021);
  }
  expect(low.quantileUs(1)).toBe(1_000);
  expect(() => new Histogram().quantileUs(0.5)).toThrow("of nothing");
});

test("progress is told with rate and time left", () => {
  const at = { total: 100_000_000, count: 25_000_000, rate: 250_000, step: "filling (30 M)" };
  expect(progressText(at)).toBe(
    "[######------------------] 25 % 25,000,000 of 100,000,000, 250,000/s, " +
      "5 min of appends left, filling (30 M)",
  );
  expect(progressText({ ...at, rate: 0, step: "reads" })).toMatch(/100,000,000, reads$/);
});

describe("charts", () => {
  const xs = [1e6, 1e7, 1e8];

  test("draw a line through the points of each curve, inside the picture", () => {
    const points = xs.map((x, i) => ({ x, y: 10 ** i }));
    const svg = renderChart(
      [
        { title: "a < b & c", scale: "log", curves: [{ name: "one", points }] },
        { title: "two", scale: "linear", curves: [{ name: "one", points }] },
      ],
      xs,
      sizeName,
    );
    expectSvg(svg, 2);
    expect(svg).toContain("a &lt; b &amp; c");
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    // On a logarithmic axis powers of ten over powers of ten are a straight line.
    const [first] = polylines(svg);
    const [a, b, c] = first as [number, number][] as [
      [number, number],
      [number, number],
      [number, number],
    ];
    expect(b[0] - a[0]).toBeCloseTo(c[0] - b[0], 0);
    expect(b[1] - a[1]).toBeCloseTo(c[1] - b[1], 0);
    expect(c[1]).toBeLessThan(a[1]);
  });

  test("do without points, with one, and with zeros", () => {
    const svg = renderChart(
      [
        { title: "none", scale: "log", curves: [{ name: "empty", points: [] }] },
        { title: "one", scale: "linear", curves: [{ name: "zero", points: [{ x: 5, y: 0 }] }] },
        { title: "zero", scale: "log", curves: [{ name: "zero", points: [{ x: 5, y: 0 }] }] },
      ],
      [5],
      sizeName,
    );
    expectSvg(svg, 3);
    expect(svg.match(/<circle/g)).toHaveLength(1);
  });
});

/** Well-formed as far as a picture of these few elements can be wrong, with so many panels. */
function expectSvg(svg: string, panels: number): void {
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+" /);
  expect(svg.trimEnd().endsWith("</svg>")).toBe(true);
  expect(svg.match(/<g /g)).toHaveLength(panels);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  const open: string[] = [];
  for (const [tag, closing, name, rest = ""] of svg.matchAll(
    /<(\/?)(\w+)((?:\s+[\w-]+="[^"<]*")*\s*\/?)>/g,
  )) {
    if (closing === "/") expect(open.pop(), tag).toBe(name);
    else if (!rest.endsWith("/")) open.push(name as string);
  }
  expect(open).toEqual([]);
  const textOnly = svg.replace(/<\/?\w+(?:\s+[\w-]+="[^"<]*")*\s*\/?>/g, "");
  expect(textOnly).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/);
}

function polylines(svg: string): [number, number][][] {
  return [...svg.matchAll(/<polyline points="([^"]+)"/g)].map(([, points = ""]) =>
    points.split(" ").map((point) => point.split(",").map(Number) as [number, number]),
  );
}
