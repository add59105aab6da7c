/**
 * The verdicts of a growth run's table, from figures made up just within each target and just beyond it.
 */
import { describe, expect, test } from "vitest";
import { Histogram } from "../bench/growth/histogram.ts";
import { makePlan, type Stage } from "../bench/growth/plan.ts";
import type { Latency } from "../bench/growth/probe.ts";
import type { StageResult } from "../bench/growth/stage.ts";
import { growthRows } from "../bench/growth/table.ts";
import { Missing } from "../bench/peers.ts";

describe("the verdicts", () => {
  const loaded = { events: 1, seconds: 1, perSecond: 100_000, clientShare: 0.4 };
  const took = (p50Us: number): Latency => ({ p50Us, p99Us: 10 * p50Us });
  const reads = (p50Us: number) => ({
    esver: took(p50Us),
    escan: took(p50Us),
    eget: took(p50Us),
  });
  const ping = new Histogram();
  ping.add(5_000);
  const [small, large] = makePlan(100e6).stages.filter((_, i) => i === 0 || i === 4) as [
    Stage,
    Stage,
  ];
  const first: StageResult = {
    stage: small,
    fill: loaded,
    existing: loaded,
    identified: loaded,
    created: loaded,
    ping,
    store: { events: 1e6, streams: 1e5, logBytes: 232e6 },
    indexBytes: 50e6,
    memory: { residentBytes: 300 * 2 ** 20, peakBytes: 400 * 2 ** 20 },
    asLeft: reads(30),
    cached: reads(30),
    roundTrip: took(20),
    cold: reads(100),
    coldRoundTrip: took(20),
    coldPage: took(50),
    startAfterStopMs: 900,
    startAfterKillMs: 2_900,
    headsLoadedMs: 4_000,
    whole: null,
    sequential: 2.5e6,
    rebuilt: null,
  };
  const good: StageResult = {
    ...first,
    stage: large,
    store: { events: 100e6, streams: 10e6, logBytes: 23.2e9 },
    indexBytes: 5.9e9,
    memory: { residentBytes: 1_500 * 2 ** 20, peakBytes: 1_600 * 2 ** 20 },
    existing: { ...loaded, perSecond: 71_000 },
    cached: reads(59),
    cold: { esver: took(199), escan: took(1_199), eget: took(249) },
    rebuilt: 1.1e6,
  };

  /** "yes" or "no" by the start of the row's name. */
  function reached(last: StageResult, name: string): string | undefined {
    return growthRows([first, last]).find(({ load }) => load.startsWith(name))?.verdict.reached;
  }

  test("are yes where all is within its target", () => {
    const said = growthRows([first, good]).map(({ verdict }) => verdict.reached);
    expect(said).not.toContain("no");
    expect(said.filter((word) => word === "yes").length).toBeGreaterThan(12);
  });

  test("are no just beyond it", () => {
    const wrong: [name: string, changed: Partial<StageResult>][] = [
      ["appends 50×16, existing", { existing: { ...loaded, perSecond: 69_000 } }],
      ["appends 50×16, new", { created: { ...loaded, perSecond: 69_000 } }],
      ["appends 50×16, EVENT_ID", { identified: { ...loaded, perSecond: 69_000 } }],
      ["ESVER, pages cached", { cached: reads(61) }],
      ["EGET by random id, pages cached", { cached: reads(61) }],
      ["ESVER, page cache dropped", { cold: reads(201) }],
      ["ESCAN of 20 events, page cache dropped", { cold: reads(1_201) }],
      ["EGET by random id, page cache dropped", { cold: reads(251) }],
      ["resident memory", { memory: { residentBytes: 1_540 * 2 ** 20, peakBytes: 0 } }],
      ["start to ready after SIGTERM", { startAfterStopMs: 1_001 }],
      ["start to ready after kill -9", { startAfterKillMs: 3_001 }],
      ["log beyond", { store: { ...good.store, logBytes: 25e9 } }],
      ["index", { indexBytes: 6.1e9 }],
      ["rebuild", { rebuilt: 0.9e6 }],
      ["sequential", { sequential: 1.9e6 }],
    ];
    for (const [name, changed] of wrong) {
      expect(reached(good, name), name).toBe("yes");
      expect(reached({ ...good, ...changed }, name), name).toBe("no");
    }
    const slow = new Histogram();
    for (let i = 0; i < 10; i++) slow.add(21_000);
    expect(reached({ ...good, ping: slow }, "PING of another client during")).toBe("no");
  });

  test("hold walks against an idle server, whatever another program does to others", () => {
    const pings = (us: number): Histogram => {
      const histogram = new Histogram();
      for (let i = 0; i < 100; i++) histogram.add(us);
      return histogram;
    };
    const walked = (besideUs: number, scanUs: number): StageResult => ({
      ...good,
      whole: {
        idlePing: pings(100),
        readerPing: pings(besideUs),
        scan: { perSecond: 1, ping: pings(scanUs) },
        elog: { perSecond: 1, ping: pings(100) },
      },
    });
    const scanVerdict = (result: StageResult): string | undefined => {
      const rows = growthRows([first, result]);
      const row = rows.findIndex(({ load }) => load.startsWith("SCAN over all streams"));
      return rows[row + 1]?.verdict.reached;
    };
    expect(scanVerdict(walked(100, 2_900))).toBe("yes");
    expect(scanVerdict(walked(100, 3_400))).toBe("no");
    expect(scanVerdict(walked(2_000, 2_900))).toBe("yes");
    expect(scanVerdict(walked(2_000, 4_700))).toBe("no");
  });

  test("leave out how much longer a round trip takes, and what was not measured", () => {
    const moved = { ...good, cached: reads(110), roundTrip: took(71) };
    expect(reached(moved, "ESVER, pages cached")).toBe("yes");
    expect(reached({ ...moved, roundTrip: took(20) }, "ESVER, pages cached")).toBe("no");
    const cold = { ...good, cold: reads(201), coldRoundTrip: took(71) };
    expect(reached(cold, "ESVER, page cache dropped")).toBe("yes");
    expect(reached({ ...cold, coldRoundTrip: took(20) }, "ESVER, page cache dropped")).toBe("no");
    const none = { ...good, memory: new Missing("no /proc"), sequential: new Missing("failed") };
    expect(reached(none, "resident memory")).toBe("–");
    expect(reached(none, "sequential")).toBe("–");
  });
});
