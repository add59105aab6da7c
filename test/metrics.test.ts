/**
 * `/metrics` as a scraper reads it: the format, that the figures follow what clients did, and what they say of a
 * disk that fails.
 */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSettings, type Settings } from "../server/config/settings.ts";
import { Histogram } from "../server/metrics/histogram.ts";
import { MetricsRegistry } from "../server/metrics/registry.ts";
import { startServer } from "../server/server.ts";
import { StderrLog } from "../server/stderr-log.ts";
import { type Figure, parseMetrics } from "./support/prometheus.ts";
import { Random } from "./support/random.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

/** All figures of a server, and each sample by its series. */
class Scrape {
  readonly figures: Map<string, Figure>;
  private readonly samples: Map<string, number>;

  private constructor(text: string) {
    this.figures = parseMetrics(text);
    this.samples = new Map([...this.figures.values()].flatMap(({ samples }) => [...samples]));
  }

  static async of(port: number): Promise<Scrape> {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    return new Scrape(await response.text());
  }

  /** A sample's value, 0 where there is none: what has not happened yet may have no series. */
  get(series: string): number {
    return this.samples.get(series) ?? 0;
  }
}

describe("a running server", () => {
  let cairn: Cairn;
  let client: RespClient;

  beforeAll(async () => {
    cairn = await startCairn({
      args: ["--partitions", "8", "--index-memory=128MiB", "--cache=64MiB"],
    });
    client = await RespClient.connect3(cairn.respPort);
  });
  afterAll(async () => {
    client.close();
    await cairn.stop();
  });

  /** What the series grew by while `act` ran. */
  async function growth(series: readonly string[], act: () => Promise<unknown>): Promise<number[]> {
    const before = await Scrape.of(cairn.httpPort);
    await act();
    const after = await Scrape.of(cairn.httpPort);
    return series.map((name) => after.get(name) - before.get(name));
  }

  test("an empty store's figures are there from the start", async () => {
    const scrape = await Scrape.of(cairn.httpPort);
    expect(scrape.get("cairn_last_position")).toBe(-1);
    expect(scrape.get("cairn_partitions")).toBe(8);
    expect(scrape.get("cairn_segments")).toBe(1);
    expect(scrape.get("cairn_index_runs")).toBe(0);
    expect(scrape.get("cairn_index_failing")).toBe(0);
    expect(scrape.get('cairn_index_memory_bytes{part="memtables"}')).toBeGreaterThan(0);
    expect(scrape.get("cairn_index_memory_limit_bytes")).toBe(128 * 1024 * 1024);
    expect(scrape.get("cairn_cache_limit_bytes")).toBe(64 * 1024 * 1024);
    expect(scrape.get("cairn_read_only")).toBe(0);
    expect(scrape.get("cairn_disk_free_bytes")).toBeGreaterThan(0);
    expect(scrape.get('cairn_connections{door="resp"}')).toBe(1);
    expect(scrape.get("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(scrape.get("process_resident_memory_bytes")).toBeGreaterThan(10e6);
    const startedAt = scrape.get("process_start_time_seconds");
    expect(startedAt).toBeGreaterThan(Date.now() / 1_000 - 600);
    expect(startedAt).toBeLessThan(Date.now() / 1_000);
    const info = [...(scrape.figures.get("cairn_store_info")?.samples.keys() ?? [])];
    const uuid = "[0-9a-f-]{36}";
    const labels = `store_id="${uuid}",epoch="${uuid}",durability="fsync"`;
    expect(info).toEqual([expect.stringMatching(`^cairn_store_info\\{${labels}\\}$`)]);
  });

  test.skipIf(!existsSync("/proc/self/fd"))("what only Linux tells is told there", async () => {
    const scrape = await Scrape.of(cairn.httpPort);
    expect(scrape.get("process_open_fds")).toBeGreaterThan(3);
    expect(scrape.get("process_max_fds")).toBeGreaterThan(scrape.get("process_open_fds"));
    expect(scrape.get('cairn_connections{door="http"}')).toBeGreaterThanOrEqual(1);
  });

  test("appends: transactions, events, bytes, times and sizes of batches", async () => {
    const [transactions, events, bytes, times, timeSum, batches, batchEvents, batchBytes, syncs] =
      await growth(
        [
          "cairn_appends_total",
          "cairn_events_appended_total",
          "cairn_appended_bytes_total",
          "cairn_append_seconds_count",
          "cairn_append_seconds_sum",
          "cairn_batch_events_count",
          "cairn_batch_events_sum",
          "cairn_batch_bytes_sum",
          "cairn_sync_seconds_count",
        ],
        async () => {
          for (let n = 0; n < 3; n++)
            await client.map("EAPPEND", "a", "A", "PAYLOAD", "x".repeat(99));
          await client.map("EMAPPEND", "*", "a", "B", "b", "B", "c", "B");
          await client.pipeline([
            ["EAPPEND", "d", "A"],
            ["EAPPEND", "d", "A"],
          ]);
        },
      );
    expect([transactions, times]).toEqual([6, 6]);
    expect([events, batchEvents]).toEqual([8, 8]);
    expect(bytes).toBeGreaterThan(300);
    expect(batchBytes).toBe(bytes);
    expect(timeSum).toBeGreaterThan(0);
    expect(batches).toBeGreaterThanOrEqual(4); // each answer was waited for, and the pipeline is one or two
    expect(batches).toBeLessThanOrEqual(6);
    expect(syncs).toBeGreaterThanOrEqual(batches as number);
    const scrape = await Scrape.of(cairn.httpPort);
    expect(scrape.get("cairn_last_position")).toBe(7);
    expect(scrape.get("cairn_streams")).toBe(4);
  });

  test("what is repeated or refused is no append; errors count by code", async () => {
    const id = crypto.randomUUID();
    await client.map("EAPPEND", "r", "A", "EVENT_ID", id);
    const grown = await growth(
      [
        "cairn_appends_total",
        'cairn_errors_total{door="resp",code="WRONGVER"}',
        'cairn_errors_total{door="resp",code="INVALIDARG"}',
        'cairn_errors_total{door="http",code="NOTFOUND"}',
        'cairn_errors_total{door="http",code="INVALIDARG"}',
        "cairn_resp_commands_total",
      ],
      async () => {
        await client.map("EAPPEND", "r", "A", "EVENT_ID", id);
        await client.error("EAPPEND", "r", "A", "EXPECTED_VERSION", "7");
        await client.error("EAPPEND", "r");
        await client.error("NOSUCH");
        await fetch(`http://127.0.0.1:${cairn.httpPort}/nothing`);
        await fetch(`http://127.0.0.1:${cairn.httpPort}/healthz`, { method: "POST" });
      },
    );
    expect(grown).toEqual([0, 1, 2, 1, 1, 4]);
  });

  test("connections and bytes of the RESP door", async () => {
    const others = await Promise.all([0, 1].map(() => RespClient.connect3(cairn.respPort)));
    const [open, opened, received, sent] = await growth(
      [
        'cairn_connections{door="resp"}',
        "cairn_resp_connections_opened_total",
        "cairn_resp_received_bytes_total",
        "cairn_resp_sent_bytes_total",
      ],
      async () => {
        others.push(await RespClient.connect(cairn.respPort));
        await others[2]?.value("ECHO", "0123456789");
      },
    );
    expect([open, opened]).toEqual([1, 1]);
    expect(received).toBe("*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\n".length);
    expect(sent).toBe("$10\r\n0123456789\r\n".length);
    for (const other of others) other.close();
  });

  test("reads: found in memory, or read from the disk", async () => {
    await client.map("EAPPEND", "cached", "A");
    await client.events("ESCAN", "cached", "-", "+");
    const [hits, misses] = await growth(
      ["cairn_cache_hits_total", "cairn_cache_misses_total"],
      async () => {
        for (let n = 0; n < 5; n++) await client.events("ESCAN", "cached", "-", "+");
      },
    );
    expect([hits, misses]).toEqual([5, 0]);
    const payload = new Uint8Array(1024 * 1024); // longer than a block: it is not kept
    await client.map("EAPPEND", "bulky-1", "A", "PAYLOAD", payload);
    await client.map("EAPPEND", "bulky-2", "A", "PAYLOAD", payload);
    const [missed] = await growth(["cairn_cache_misses_total"], async () => {
      for (let n = 0; n < 2; n++) {
        await client.events("ESCAN", "bulky-1", "-", "+");
        await client.events("ESCAN", "bulky-2", "-", "+");
      }
    });
    expect(missed).toBeGreaterThanOrEqual(4);
    expect((await Scrape.of(cairn.httpPort)).get("cairn_cache_bytes")).toBeGreaterThan(64 * 1024);
  });

  test("subscriptions, how far they are behind, who waits for an EACK, and reads that wait", async () => {
    const follower = await RespClient.connect3(cairn.respPort);
    const blocked = await RespClient.connect3(cairn.respPort);
    await follower.value("ESUB", "followed", "FROM", "LATEST", "WINDOW", "2");
    await follower.value("ESUB", "other", "FROM", "LATEST", "WINDOW", "2");
    const series = [
      'cairn_subscriptions{state="live"}',
      'cairn_subscriptions{state="behind"}',
      "cairn_subscription_lag_events",
      "cairn_subscriptions_waiting_for_ack",
      "cairn_blocked_reads",
    ];
    const become = (...expected: number[]) =>
      until(
        async () => {
          const scrape = await Scrape.of(cairn.httpPort);
          return series.every((name, i) => scrape.get(name) === expected[i]);
        },
        `the figures are ${expected.join(", ")}`,
      );
    await become(2, 0, 0, 0, 0);
    for (let n = 0; n < 2; n++) await client.map("EAPPEND", "followed", "A");
    await become(2, 0, 0, 1, 0);
    // What comes now waits for an EACK; what others append is behind it.
    await client.map("EAPPEND", "followed", "A");
    await client.map("EAPPEND", "elsewhere", "A");
    await become(2, 0, 2, 1, 0);
    const read = blocked.map("ESCAN", "none-yet", "0", "+", "BLOCK", "0");
    await become(2, 0, 2, 1, 1);
    expect(await client.value("INFO", "clients")).toContain("\r\nblocked_clients:1\r\n");
    await client.map("EAPPEND", "none-yet", "A");
    expect((await read).has_more).toBe(false);
    follower.close();
    blocked.close();
    await become(0, 0, 0, 0, 0);
  });

  test("HTTP requests by route, method and status; a path makes no series", async () => {
    const [found, head, missing, refused, times] = await growth(
      [
        'cairn_http_requests_total{method="GET",route="/healthz",status="200"}',
        'cairn_http_requests_total{method="HEAD",route="/healthz",status="200"}',
        'cairn_http_requests_total{method="GET",route="none",status="404"}',
        'cairn_http_requests_total{method="PUT",route="/healthz",status="405"}',
        'cairn_http_request_seconds_count{method="GET",route="/healthz"}',
      ],
      async () => {
        const url = `http://127.0.0.1:${cairn.httpPort}`;
        await Promise.all([fetch(`${url}/healthz`), fetch(`${url}/healthz?x=1`)]);
        await fetch(`${url}/healthz`, { method: "HEAD" });
        for (let n = 0; n < 3; n++) await fetch(`${url}/nothing/${n}`);
        await fetch(`${url}/healthz`, { method: "PUT" });
      },
    );
    expect([found, head, missing, refused, times]).toEqual([2, 1, 3, 1, 2]);
    expect((await Scrape.of(cairn.httpPort)).get("cairn_http_requests_in_flight")).toBe(1);
  });

  test("/metrics is read alone", async () => {
    const url = `http://127.0.0.1:${cairn.httpPort}/metrics`;
    expect((await fetch(url, { method: "POST" })).status).toBe(405);
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

test("a disk that fails shows in the figures, in /readyz and in the log", async () => {
  const disk = new SimulatedDisk({ random: new Random(1), capacityBytes: 64 * 1024 * 1024 });
  let written = "";
  const log = new StderrLog({
    format: "json",
    level: "info",
    clock: Date.now,
    write(text) {
      written += text;
      return true;
    },
  });
  const args = ["--resp=127.0.0.1:0", "--http=127.0.0.1:0", "--segment-bytes=1MiB", "--data=/data"];
  const settings: Settings = await readSettings(args, {}, async () => "");
  const server = await startServer(settings, log, disk.boot());
  const [respPort, httpPort] = [server.respAddress, server.httpAddress].map((address) =>
    Number(address.split(":").at(-1)),
  ) as [number, number];
  const client = await RespClient.connect3(respPort);
  await client.map("EAPPEND", "s", "A");
  const before = await Scrape.of(httpPort);
  expect(before.get("cairn_read_only")).toBe(0);
  expect(before.get("cairn_disk_free_bytes")).toBeLessThan(64 * 1024 * 1024);

  disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
  disk.fail({ kind: "write", code: "EIO", path: ".seg" });
  expect(await client.error("EAPPEND", "s", "B")).toMatch(/^UNCERTAIN /);
  expect(await client.error("EAPPEND", "s", "B")).toMatch(/^READONLY /);

  const after = await Scrape.of(httpPort);
  expect(after.get("cairn_read_only")).toBe(1);
  expect(after.get("cairn_appends_total")).toBe(1);
  expect(after.get("cairn_last_position")).toBe(0);
  expect(after.get('cairn_errors_total{door="resp",code="UNCERTAIN"}')).toBe(1);
  expect(after.get('cairn_errors_total{door="resp",code="READONLY"}')).toBe(1);
  const ready = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({
    code: "READONLY",
    detail: expect.stringMatching(/the log failed .*EIO.* restart the server/),
  });
  // Whoever asks whether it is ready was refused nothing.
  const asked = await Scrape.of(httpPort);
  expect(asked.get('cairn_errors_total{door="http",code="READONLY"}') ?? 0).toBe(0);
  expect((await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status).toBe(200);
  const told = written
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(told.filter(({ level }) => level === "error")).toEqual([
    expect.objectContaining({ msg: expect.stringMatching(/^read-only: the log failed/) }),
  ]);
  client.close();
  await server.stop();
});

describe("the text format", () => {
  test("escapes what labels and help may hold, and writes any number", async () => {
    const metrics = new MetricsRegistry();
    metrics.gauge("cairn_a", 'one \\ two\nthree "', () => [
      { labels: { path: 'a"b\\c\nd', empty: "" }, value: 1.5 },
      { labels: { path: "é" }, value: Number.POSITIVE_INFINITY },
      { labels: {}, value: 1e21 },
    ]);
    metrics.counter("cairn_b_total", "Nothing yet.", () => []);
    metrics.gauge("cairn_c", "Not told here.", async () => null);
    const text = await metrics.text();
    expect(text).toBe(
      [
        '# HELP cairn_a one \\\\ two\\nthree "',
        "# TYPE cairn_a gauge",
        'cairn_a{path="a\\"b\\\\c\\nd",empty=""} 1.5',
        'cairn_a{path="é"} +Inf',
        "cairn_a 1e+21",
        "",
      ].join("\n"),
    );
    expect([...parseMetrics(text).keys()]).toEqual(["cairn_a"]);
  });

  test("a histogram's buckets take what is at most their bound, and add up", async () => {
    const histogram = new Histogram([1, 2.5, 10]);
    for (const value of [0, 1, 1.25, 2.5, 10, 11]) histogram.observe(value);
    histogram.observe(2, 3);
    expect(histogram.count).toBe(9);
    const metrics = new MetricsRegistry();
    metrics.histogram("cairn_h", "Sizes.", () => histogram);
    metrics.histogram("cairn_l", "With labels.", () => [
      { labels: { door: "resp" }, value: histogram },
      { labels: { door: "http" }, value: new Histogram([1]) },
    ]);
    const figures = parseMetrics(await metrics.text());
    expect(Object.fromEntries(figures.get("cairn_h")?.samples ?? [])).toEqual({
      'cairn_h_bucket{le="1"}': 2,
      'cairn_h_bucket{le="2.5"}': 7,
      'cairn_h_bucket{le="10"}': 8,
      'cairn_h_bucket{le="+Inf"}': 9,
      cairn_h_sum: 31.75,
      cairn_h_count: 9,
    });
    expect(figures.get("cairn_l")?.samples.get('cairn_l_bucket{door="http",le="+Inf"}')).toBe(0);
  });

  test.each([
    ["x 1\n", "no HELP"],
    ["# HELP x a\n# TYPE x gauge\nx 1\nx 1\n", "twice"],
    ["# HELP x a\n# TYPE x counter\nx 1\n", "is a counter"],
    ["# HELP x a\n# TYPE x gauge\nx 1", "does not end"],
    ["# HELP x a\n# TYPE x gauge\n", "no sample"],
    ["# HELP x a\n# TYPE x gauge\nx{a=b} 1\n", "wrong labels"],
    ["# HELP x a\n# TYPE x gauge\nx Infinity\n", "no sample: "],
    ['# HELP x a\n# TYPE x histogram\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 2\n', "do not agree"],
    [
      '# HELP x a\n# TYPE x histogram\nx_bucket{le="1"} 2\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 1\n',
      "follows",
    ],
  ])("the reader of these tests is strict: %j", (text, why) => {
    expect(() => parseMetrics(text)).toThrow(why);
  });
});
