/**
 * What the benchmarks over HTTP are made of: that answers are counted right however they are cut, that a refusal fails
 * a measurement, and that the reader of a feed counts every event.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { startBareRoute } from "../bench/bare-route.ts";
import { countClient } from "../bench/count-client.ts";
import { readFeed } from "../bench/feed-client.ts";
import { httpAppendWorkload, httpTransactionWorkload } from "../bench/http-append.ts";
import { httpFeedWorkload, httpReadWorkload } from "../bench/http-read.ts";
import { HttpReplyCounter, makeHttpPool } from "../bench/http-replies.ts";
import { type Bench, findCairn, Missing } from "../bench/peers.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-bench-http-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FROM_SOURCE = [process.execPath, join(import.meta.dirname, "..", "server", "main.ts")];

describe("the workloads", () => {
  const lines: string[] = [];
  const bench: Bench = {
    folder,
    seconds: 0.02,
    rounds: 1,
    cairnCommand: findCairn() ?? FROM_SOURCE,
    redisServer: null,
    redisBenchmark: null,
    print: (line) => lines.push(line),
  };

  test("append fills its row beside the bare route, and what was answered is stored", async () => {
    const [row] = await httpAppendWorkload(bench);
    expect(row?.cairn).toBeGreaterThan(0);
    expect(row?.limit).toBeGreaterThan(0);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}(\d+) events stored, \1 answered$/));
  });

  test("transactions compare with EMAPPEND", async () => {
    const [row] = await httpTransactionWorkload(bench);
    expect(row?.cairn).toBeGreaterThan(0);
    expect(row?.peer).toBeGreaterThan(0);
  });

  test("reads find what was appended", async () => {
    const [row] = await httpReadWorkload(bench, 4);
    expect(row?.cairn).toBeGreaterThan(0);
    expect(row?.peer).toBeGreaterThan(0);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}400 events read, \d+ B an answer$/));
  });

  test("a feed catches up with every event", async () => {
    const [row] = await httpFeedWorkload(bench, 1_600);
    expect(row?.cairn).toBeGreaterThan(0);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}\d+ B an event$/));
  });

  test("without a Cairn its cells say why", async () => {
    const broken = { ...bench, cairnCommand: [process.execPath, "no-such-file.ts"] };
    const [append] = await httpAppendWorkload(broken);
    expect(append?.cairn).toBeInstanceOf(Missing);
    expect(append?.limit).toBeGreaterThan(0);
    const [feed] = await httpFeedWorkload(broken, 1_600);
    expect(feed?.cairn).toBeInstanceOf(Missing);
  });
});

describe("answers", () => {
  const ANSWERS = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nX: \r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nX: content-length\r\nContent-Length: 12\r\n\r\nHTTP/1.1 200",
  ];

  test("are counted whole, byte by byte, and cut at every point", () => {
    const bytes = Buffer.from(ANSWERS.join(""));
    const ends = ANSWERS.map((_, i) => ANSWERS.slice(0, i + 1).join("").length);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const counter = new HttpReplyCounter();
      const before = counter.push(bytes.subarray(0, cut));
      expect(before).toBe(ends.filter((end) => end <= cut).length);
      expect(before + counter.push(bytes.subarray(cut))).toBe(ANSWERS.length);
      expect(counter.errors).toBe(1);
      expect(counter.firstError).toMatch(/^HTTP\/1\.1 404 Not Found/);
    }
    const counter = new HttpReplyCounter();
    let counted = 0;
    for (const byte of bytes) counted += counter.push(Uint8Array.of(byte));
    expect(counted).toBe(ANSWERS.length);
  });

  test("must tell their length", () => {
    const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(() => new HttpReplyCounter().push(Buffer.from(chunked))).toThrow("without a length");
    expect(() => new HttpReplyCounter().push(Buffer.from("x".repeat(5_000)))).toThrow("not end");
  });
});

describe("the bare route", () => {
  const event = { event_name: "ev", payload: "x" };
  const path = "/v1/streams/key:1/events";

  test("answers each append", async () => {
    const pool = makeHttpPool(4, () => ({ method: "POST", path, body: event }));
    const bare = await startBareRoute();
    try {
      const load = { connections: 3, pipeline: 2, pool, protocol: "http" } as const;
      const stop = { requests: 100 };
      const result = await countClient(folder, { port: bare.port, ...load, stop });
      expect(result.replies).toBe(100);
      const answer = await fetch(`http://127.0.0.1:${bare.port}${path}`, {
        method: "POST",
        body: JSON.stringify(event),
      });
      expect(await answer.json()).toMatchObject({ stream_version: 100 });
    } finally {
      await bare.stop();
    }
  });

  test("and what it refuses fails the measurement", async () => {
    const pool = makeHttpPool(1, () => ({ method: "POST", path, body: { payload: "x" } }));
    const bare = await startBareRoute();
    try {
      const load = { connections: 1, pipeline: 1, pool, protocol: "http" } as const;
      const counting = countClient(folder, { port: bare.port, ...load, stop: { requests: 1 } });
      await expect(counting).rejects.toThrow("HTTP/1.1 400");
    } finally {
      await bare.stop();
    }
  });
});

describe("the feed's reader", () => {
  /** A feed of so many events, in chunks that end anywhere. */
  function serveFeed(events: number, chunkBytes: number) {
    let text = "retry: 2000\n\n";
    for (let i = 0; i < events; i++) {
      const data = JSON.stringify({ position: i, payload: "event: message" });
      text += `id: ${i}\nevent: message\ndata: ${data}\n\n`;
    }
    text += `id: ${events - 1}\nevent: caught-up\ndata:\n\n`;
    const bytes = Buffer.from(text);
    let at = 0;
    const body = new ReadableStream({
      pull(controller) {
        // It stays open, as a feed does.
        if (at < bytes.length) controller.enqueue(bytes.subarray(at, at + chunkBytes));
        at += chunkBytes;
        return at > bytes.length + chunkBytes ? new Promise(() => {}) : undefined;
      },
    });
    const headers = { "Content-Type": "text/event-stream" };
    return Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(body, { headers }),
    });
  }

  test.each([1, 7, 100_000])("counts every event, in chunks of %i bytes", async (chunkBytes) => {
    const events = chunkBytes === 1 ? 20 : 3_000;
    const server = serveFeed(events, chunkBytes);
    try {
      const result = await readFeed(server.port ?? 0);
      expect(result).toMatchObject({ events, lastPosition: events - 1 });
    } finally {
      await server.stop(true);
    }
  });

  test("says why there is no feed", async () => {
    const fetch = () => new Response("no feeds here", { status: 406 });
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
    try {
      await expect(readFeed(server.port ?? 0)).rejects.toThrow("406 no feeds here");
    } finally {
      await server.stop(true);
    }
  });
});
