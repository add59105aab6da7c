/**
 * The benchmarks of live readers at a tiny size, and that their client counts all that comes, tells what it was refused, and does
 * not wait for ever. Nothing here says how fast anything is.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { liveCatchUpWorkload } from "../bench/live-catch-up.ts";
import { endFollowing, follow, startFollowing } from "../bench/live-client.ts";
import { liveFanOutWorkload, livePushWorkload } from "../bench/live-push.ts";
import { liveBlockWorkload, liveStalledWorkload } from "../bench/live-readers.ts";
import { type Bench, findCairn, Missing } from "../bench/peers.ts";
import type { Row } from "../bench/table.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const FROM_SOURCE = [process.execPath, join(import.meta.dirname, "..", "server", "main.ts")];

let bench: Bench;

beforeAll(() => {
  bench = {
    folder: mkdtempSync(join(tmpdir(), "cairn-bench-live-")),
    seconds: 0.02,
    rounds: 1,
    cairnCommand: findCairn() ?? FROM_SOURCE,
    redisServer: Bun.which("redis-server"),
    redisBenchmark: null,
    print: () => {},
  };
});

afterAll(() => rmSync(bench.folder, { recursive: true, force: true }));

/** Both cells are numbers above 0; the peer's is missing where it is Redis, and that is not installed. */
function expectMeasured(row: Row | undefined, peer: "redis" | "cairn"): void {
  expect(row?.cairn).toBeGreaterThan(0);
  if (peer === "redis" && bench.redisServer === null) {
    expect(row?.peer).toEqual(new Missing("no redis-server"));
  } else expect(row?.peer).toBeGreaterThan(0);
}

describe("the workloads", () => {
  test("catch-up gets every event", async () => {
    const [subscribed, rate, paged] = await liveCatchUpWorkload(bench, 2_000);
    expectMeasured(subscribed, "redis");
    expectMeasured(paged, "redis");
    expect(rate?.cairn).toBeGreaterThan(0);
  });

  test("push is measured beside the append alone", async () => {
    const [push, beside] = await livePushWorkload(bench);
    expectMeasured(push, "cairn");
    expectMeasured(beside, "redis");
  });

  test("fan-out reaches every subscriber", async () => {
    const [row] = await liveFanOutWorkload(bench, 1_000);
    expectMeasured(row, "redis");
  });

  test("scans that wait get nothing, and appends go on", async () => {
    const [row] = await liveBlockWorkload(bench, 20);
    expectMeasured(row, "cairn");
  });

  test("appends go on beside those who never read", async () => {
    const [growth, p99] = await liveStalledWorkload(bench, 1e6);
    expect(growth?.cairn).toEqual(expect.any(Number));
    expectMeasured(p99, "cairn");
  });

  test("without Redis its cells say so", async () => {
    const alone = { ...bench, redisServer: null };
    const [row] = await liveFanOutWorkload(alone, 500);
    expect(row?.cairn).toBeGreaterThan(0);
    expect(row?.peer).toEqual(new Missing("no redis-server"));
  });
});

describe("the client", () => {
  let cairn: Cairn;
  beforeAll(async () => {
    cairn = await startCairn();
  });

  test("counts what all of its connections get, up to the mark", async () => {
    const request = ["ESUB", "s-__connection__", "FROM", "0"];
    const following = { port: cairn.respPort, connections: 3, request, isResp3: true };
    const followers = await startFollowing({ ...following, mark: "the end" });
    const writer = await RespClient.connect3(cairn.respPort);
    for (const stream of ["s-0", "s-1", "s-2", "s-3"]) {
      await writer.value("EAPPEND", stream, "A", "PAYLOAD", "x".repeat(100_000));
      await writer.value("EAPPEND", stream, "A", "PAYLOAD", "the end");
    }
    writer.close();
    const { bytes, ending } = await endFollowing(followers);
    expect(bytes).toBeGreaterThan(300_000);
    expect(bytes).toBeLessThan(310_000);
    expect(ending).toContain("\r\ns-0\r\n");
    expect(ending.endsWith("the end\r\n")).toBe(true);
  });

  test("throws what it was refused", async () => {
    const request = ["EPSUB", "*", "FROM", "nowhere"];
    const following = { port: cairn.respPort, connections: 1, request, isResp3: true };
    await expect(follow({ ...following, mark: "the end" })).rejects.toThrow("INVALIDARG");
  });
});
