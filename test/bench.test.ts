/**
 * Every benchmark workload at a tiny size, so that the benchmarks stay alive and their own checks are checked.
 *
 * Nothing here says how fast anything is. Redis' cells are expected where Redis is installed; the workloads say so
 * in the row where it is not, and that is expected then.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { appendWorkload } from "../bench/append.ts";
import { startBareServer } from "../bench/bare-server.ts";
import { countClient } from "../bench/count-client.ts";
import { footprintWorkload } from "../bench/footprint.ts";
import { getWorkload } from "../bench/get.ts";
import { latencyWorkload } from "../bench/latency.ts";
import { median } from "../bench/measure.ts";
import { type Bench, findCairn, Missing } from "../bench/peers.ts";
import { pingWorkload } from "../bench/ping.ts";
import { makePool, PAYLOAD, PAYLOAD_BYTES, shuffled, streamId } from "../bench/requests.ts";
import { encodeRequest, parseReply, ReplyCounter, RespError } from "../bench/resp.ts";
import { scanWorkload } from "../bench/scan.ts";
import { judge, type Row, renderTable, replaceBetweenMarkers } from "../bench/table.ts";
import { transactionWorkload } from "../bench/transaction.ts";

const FROM_SOURCE = [process.execPath, join(import.meta.dirname, "..", "server", "main.ts")];

let bench: Bench;
let lines: string[];

beforeAll(() => {
  lines = [];
  bench = {
    folder: mkdtempSync(join(tmpdir(), "cairn-bench-")),
    seconds: 0.02,
    rounds: 1,
    cairnCommand: findCairn() ?? FROM_SOURCE,
    redisServer: Bun.which("redis-server"),
    redisBenchmark: Bun.which("redis-benchmark"),
    print: (line) => lines.push(line),
  };
});

afterAll(() => rmSync(bench.folder, { recursive: true, force: true }));

/** Cairn's cell is a number above 0; the peer's too where it is not Redis or Redis is installed. */
function expectMeasured(row: Row | undefined, peer: "redis" | "cairn" | "none"): void {
  expect(row?.cairn).toBeGreaterThan(0);
  if (peer === "none") expect(row?.peer).toBeNull();
  else if (peer === "redis" && bench.redisServer === null) {
    expect(row?.peer).toEqual(new Missing("no redis-server"));
  } else expect(row?.peer).toBeGreaterThan(0);
}

describe("the workloads", () => {
  test("append fills every row, and what was answered is stored", async () => {
    const rows = await appendWorkload(bench, 10);
    expect(rows.map((row) => row.load)).toEqual([
      "append 1×1, 10 streams",
      "append 50×1, 10 streams",
      "append 50×16, 10 streams",
      "append 200×1, 10 streams",
    ]);
    for (const row of rows) {
      expectMeasured(row, "redis");
      expect(row.limit).toBeGreaterThan(0);
    }
    expect(lines.some((line) => /Cairn: \d+ events stored/.test(line))).toBe(true);
  });

  test("append runs without redis-benchmark and without Redis", async () => {
    const alone = { ...bench, redisServer: null, redisBenchmark: null };
    const rows = await appendWorkload(alone, 10);
    for (const row of rows) {
      expect(row.cairn).toBeGreaterThan(0);
      expect(row.peer).toEqual(new Missing("no redis-server"));
      expect(judge(row).reached).toBe("–");
    }
  });

  test("latency has its limit from both loops", async () => {
    const [row] = await latencyWorkload(bench);
    expectMeasured(row, "redis");
    expect(row?.limit).toBeGreaterThan(0);
  });

  test("transaction compares with Cairn's single appends", async () => {
    const [row] = await transactionWorkload(bench);
    expectMeasured(row, "cairn");
  });

  test("scan reads back what was appended", async () => {
    const [row] = await scanWorkload(bench, 4);
    expectMeasured(row, "redis");
    expect(row?.limit).toBeGreaterThan(0);
    expect(lines).toContainEqual(expect.stringMatching(/Cairn: 400 events read/));
  });

  test("get finds every event by its id", async () => {
    const [row] = await getWorkload(bench, 8);
    expectMeasured(row, "redis");
    expect(lines).toContainEqual("  Cairn: 80 events found by their ids");
  });

  test("ping reaches Cairn, Redis and the bare server", async () => {
    const [row] = await pingWorkload(bench);
    expectMeasured(row, "redis");
    expect(row?.limit).toBeGreaterThan(0);
  });

  test("footprint starts, fills and restarts a store", async () => {
    const size = { events: 320, streams: 32, overheadEvents: 32, starts: 1 };
    const rows = await footprintWorkload(bench, size);
    expect(rows).toHaveLength(7);
    expectMeasured(rows[0], "none");
    expectMeasured(rows[1], "none");
    expectMeasured(rows[2], "none");
    expect(lines).toContainEqual("  352 events stored, 352 answered");
  });

  test("a Cairn that does not start is a reason in its cells, and the others are measured", async () => {
    const broken = { ...bench, cairnCommand: [process.execPath, "no-such-file.ts"] };
    const [row] = await pingWorkload(broken);
    expect(row?.cairn).toBeInstanceOf(Missing);
    expect(row?.limit).toBeGreaterThan(0);
    const [start] = await footprintWorkload(broken, {
      events: 16,
      streams: 16,
      overheadEvents: 16,
      starts: 1,
    });
    expect(start?.cairn).toBeInstanceOf(Missing);
  });
});

describe("the counting client", () => {
  const pool = makePool(4, () => ["PING"]);

  test("sends exactly the requests asked for and counts the bytes of their replies", async () => {
    const bare = await startBareServer(pool.requestBytes, 7);
    try {
      for (const replySizes of [undefined, new Uint32Array(pool.count).fill(7)]) {
        const result = await countClient(bench.folder, {
          port: bare.port,
          connections: 3,
          pipeline: 2,
          pool,
          ...(replySizes === undefined ? {} : { replySizes }),
          stop: { requests: 100 },
        });
        expect(result.replies).toBe(100);
        expect(result.bytes).toBe(700);
      }
    } finally {
      await bare.stop();
    }
  });

  test("fails on an error reply and says its text", async () => {
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          socket.write("-READONLY the disk is full\r\n");
        },
      },
    });
    try {
      for (const replySizes of [undefined, new Uint32Array(pool.count).fill(7)]) {
        const load = countClient(bench.folder, {
          port: listener.port,
          connections: 1,
          pipeline: 1,
          pool,
          ...(replySizes === undefined ? {} : { replySizes }),
          stop: { requests: 1 },
        });
        await expect(load).rejects.toThrow("READONLY the disk is full");
      }
    } finally {
      listener.stop(true);
    }
  });
});

describe("replies", () => {
  const REPLIES = [
    "+PONG\r\n",
    "-ERR no 12 such $thing\r\n",
    ":42\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$6\r\n*1\r\n:2\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*4\r\n+has_more\r\n:0\r\n+events\r\n*2\r\n*2\r\n$2\r\nid\r\n$3\r\na\r\n\r\n*0\r\n",
  ];

  test("are parsed only when they are whole", () => {
    for (const reply of REPLIES) {
      const bytes = Buffer.from(reply);
      expect(parseReply(bytes, 0)?.end).toBe(bytes.length);
      for (let cut = 0; cut < bytes.length; cut++) {
        expect(parseReply(bytes.subarray(0, cut), 0)).toBeNull();
      }
    }
    const parsed = REPLIES.map((reply) => parseReply(Buffer.from(reply), 0)?.value);
    expect(parsed).toEqual([
      "PONG",
      new RespError("ERR no 12 such $thing"),
      42,
      null,
      "",
      "*1\r\n:2",
      [],
      null,
      ["has_more", 0, "events", [["id", "a\r\n"], []]],
    ]);
  });

  test("are counted whole, byte by byte, and cut at every point", () => {
    const bytes = Buffer.from(REPLIES.join(""));
    const ends = REPLIES.map((_, i) => REPLIES.slice(0, i + 1).join("").length);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const counter = new ReplyCounter();
      const before = counter.push(bytes.subarray(0, cut));
      expect(before).toBe(ends.filter((end) => end <= cut).length);
      expect(before + counter.push(bytes.subarray(cut))).toBe(REPLIES.length);
      expect(counter.errors).toBe(1);
    }
    const counter = new ReplyCounter();
    let counted = 0;
    for (const byte of bytes) counted += counter.push(Uint8Array.of(byte));
    expect(counted).toBe(REPLIES.length);
  });
});

describe("requests", () => {
  test("have the payload's size and the same bytes in every run", () => {
    expect(PAYLOAD).toMatch(/^[a-z0-9]+$/);
    expect(PAYLOAD).toHaveLength(PAYLOAD_BYTES);
    expect(Bun.hash.crc32(PAYLOAD)).toBe(PAYLOAD_CRC);
    expect([...shuffled(8, 1)]).toEqual(SHUFFLED);
    expect([...shuffled(1_000, 2)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1_000 }, (_, i) => i),
    );
    expect(streamId(42)).toBe("key:000000000042");
    expect(Buffer.from(encodeRequest(["GET", "é"])).toString()).toBe(
      "*2\r\n$3\r\nGET\r\n$2\r\né\r\n",
    );
  });

  test("of a pool have one size", () => {
    expect(() => makePool(2, (i) => ["GET", "x".repeat(i)])).toThrow("request 1 has");
  });
});

describe("the table", () => {
  const row: Row = {
    load: "append",
    unit: "events/s",
    cairn: 1_200,
    peer: 1_000,
    limit: 2_400,
    target: { of: "cairn / peer", sense: "at least", value: 1.2 },
  };

  test("judges each kind of target", () => {
    expect(judge(row)).toEqual({ ratio: "1.20 ×", target: "at least 1.2 ×", reached: "yes" });
    expect(judge({ ...row, cairn: 1_199 }).reached).toBe("no");
    const atMost = { of: "cairn / limit", sense: "at most", value: 0.4 } as const;
    expect(judge({ ...row, target: atMost }).reached).toBe("no");
    const own = { of: "cairn", sense: "at most", value: 1_200 } as const;
    expect(judge({ ...row, unit: "ms", target: own })).toEqual({
      ratio: "–",
      target: "at most 1200 ms",
      reached: "yes",
    });
    expect(judge({ ...row, peer: new Missing("no redis-server") }).reached).toBe("–");
    expect(judge({ ...row, target: null }).target).toBe("–");
  });

  test("has a line a row, and says why a number is missing", () => {
    const table = renderTable([row, { ...row, peer: new Missing("no redis-server"), limit: null }]);
    expect(table.split("\n").slice(2)).toEqual([
      "| append | events/s | 1,200 | 1,000 | 2,400 | 1.20 × | at least 1.2 × | yes |",
      "| append | events/s | 1,200 | no redis-server | – | – | at least 1.2 × | – |",
    ]);
  });

  test("replaces what stands between the page's markers, and only that", () => {
    const page = "a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n";
    const replaced = replaceBetweenMarkers(page, "bench", "new");
    expect(replaced).toBe("a\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nb\n");
    expect(() => replaceBetweenMarkers("no markers", "bench", "new")).toThrow("bench:begin");
  });

  test("holds medians", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2);
  });
});

/** What the seed gives; another value means that results no longer compare with earlier ones. */
const PAYLOAD_CRC = 3_878_123_669;
const SHUFFLED = [2, 1, 6, 7, 4, 3, 0, 5];
