/**
 * The clients that people have: each connects, appends, reads, pipelines and quits, with its own defaults.
 *
 * A client's "transaction" is MULTI and EXEC around a pipeline, which Cairn refuses: then nothing of it may have
 * been appended, and the connection must go on.
 */
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pythonMissing, runPython } from "./support/python.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const EVENT_FIELD_COUNT = 11;

let cairn: Cairn;
/** Looks at what the client under test has done. */
let observer: RespClient;

beforeAll(async () => {
  cairn = await startCairn();
  observer = await RespClient.connect3(cairn.respPort);
});
afterAll(async () => {
  observer.close();
  expect(await cairn.stop()).toBe(0);
});

async function payloads(stream: string): Promise<unknown[]> {
  const events = await observer.events("ESCAN", stream, "-", "+");
  return events.map((event) => event.payload);
}

describe(`redis-py${pythonMissing === null ? "" : ` (skipped: ${pythonMissing})`}`, () => {
  test.skipIf(pythonMissing !== null).each([2, 3])("RESP%i", async (protocol) => {
    await runPython("client.py", cairn.respPort, String(protocol));
    expect(await payloads(`py-${protocol}`)).toEqual(["one", "two", "three"]);
    expect(await observer.value("ESVER", `py-transaction-${protocol}`)).toBeNull();
  });
});

describe.each([2, 3] as const)("npm redis, RESP%i", (protocol) => {
  test("connects, appends, reads, pipelines and quits", async () => {
    const client = createClient({ url: `redis://127.0.0.1:${cairn.respPort}`, RESP: protocol });
    client.on("error", () => {}); // what fails is seen at the call
    await client.connect();
    try {
      const stream = `node-redis-${protocol}`;
      expect(await client.ping()).toBe("PONG");
      const appended = await client.sendCommand(["EAPPEND", stream, "A", "PAYLOAD", "zürich"]);
      expect(asObject(appended)).toMatchObject({ stream_version: 0, event_id: expect.any(String) });

      const scan = asObject(await client.sendCommand(["ESCAN", stream, "-", "+"]));
      expect(scan.has_more).toBe(protocol === 3 ? false : 0);
      const [event] = scan.events as unknown[];
      expect(Object.keys(asObject(event))).toHaveLength(EVENT_FIELD_COUNT);
      expect(asObject(event)).toMatchObject({ event_name: "A", payload: "zürich", metadata: "" });
      expect(await client.sendCommand(["EGET", "00000000-0000-4000-8000-000000000000"])).toBeNull();

      // Calls within one turn go out as one pipeline.
      const replies = await Promise.all(
        ["b", "c", "d"].map((payload) =>
          client.sendCommand(["EAPPEND", stream, "B", "PAYLOAD", payload]),
        ),
      );
      expect(replies.map((reply) => asObject(reply).stream_version)).toEqual([1, 2, 3]);
      expect(await payloads(stream)).toEqual(["zürich", "b", "c", "d"]);

      await expect(
        client.sendCommand(["EAPPEND", stream, "E", "EXPECTED_VERSION", "0"]),
      ).rejects.toThrow(/^WRONGVER wrong expected version: current stream version is 3/);
    } finally {
      await client.close();
    }
  });

  test("multi() is refused, nothing is appended, and the client goes on", async () => {
    const client = createClient({ url: `redis://127.0.0.1:${cairn.respPort}`, RESP: protocol });
    client.on("error", () => {});
    await client.connect();
    try {
      const stream = `node-redis-multi-${protocol}`;
      const multi = client.multi();
      for (const name of ["A", "B"]) multi.addCommand(["EAPPEND", stream, name]);
      await expect(multi.exec()).rejects.toThrow();
      expect(await observer.value("ESVER", stream)).toBeNull();
      expect(await client.sendCommand(["ESVER", stream])).toBeNull();
    } finally {
      await client.close();
    }
  });
});

/** What came on a channel, by pattern or not: each event's stream and payload. */
class Feed {
  readonly events: string[] = [];

  take(message: string, channel: string): void {
    const event = JSON.parse(message) as Record<string, unknown>;
    expect(event.stream_id).toBe(channel);
    this.events.push(`${channel} ${event.payload}`);
  }

  async has(...events: string[]): Promise<void> {
    await until(() => this.events.length >= events.length, "the events came");
    expect(this.events).toEqual(events);
  }
}

async function appendFor(feed: string): Promise<void> {
  for (const [stream, payload] of [
    [`${feed}-1`, "a"],
    [`not-${feed}`, "b"],
    [`${feed}-2`, "ü"],
  ]) {
    await observer.value("EAPPEND", stream ?? "", "A", "PAYLOAD", payload ?? "");
  }
}

describe("a live feed", () => {
  test.each([2, 3] as const)("of npm redis, RESP%i: pSubscribe and subscribe", async (protocol) => {
    const name = `feed-node-${protocol}`;
    const client = createClient({ url: `redis://127.0.0.1:${cairn.respPort}`, RESP: protocol });
    client.on("error", () => {});
    await client.connect();
    try {
      const byPattern = new Feed();
      const byName = new Feed();
      await client.pSubscribe(`${name}-*`, (message, channel) => byPattern.take(message, channel));
      await client.subscribe(`${name}-2`, (message, channel) => byName.take(message, channel));
      await appendFor(name);
      await byPattern.has(`${name}-1 a`, `${name}-2 ü`);
      await byName.has(`${name}-2 ü`);
      await client.pUnsubscribe(`${name}-*`);
      await client.unsubscribe(`${name}-2`);
      expect(String(await client.ping())).toBe("PONG"); // it may be bytes after a subscription
    } finally {
      client.destroy();
    }
  });

  test("of ioredis: psubscribe", async () => {
    const client = new Redis(cairn.respPort, "127.0.0.1");
    client.on("error", () => {});
    try {
      const feed = new Feed();
      client.on("pmessage", (_pattern, channel, message) => feed.take(message, channel));
      expect(await client.psubscribe("feed-io-*", "other-*")).toBe(2);
      await appendFor("feed-io");
      await feed.has("feed-io-1 a", "feed-io-2 ü");
      expect(await client.punsubscribe("feed-io-*")).toBe(1);
    } finally {
      client.disconnect();
    }
  });
});

describe("ioredis with its default options", () => {
  test("connects, appends, reads, pipelines and quits", async () => {
    const client = new Redis(cairn.respPort, "127.0.0.1");
    client.on("error", () => {});
    try {
      expect(String(await client.ping())).toBe("PONG"); // it may be bytes after a subscription
      const appended = await client.call("EAPPEND", "ioredis", "A", "PAYLOAD", "a");
      expect(asObject(appended)).toMatchObject({ stream_version: 0 });
      const [event] = asObject(await client.call("ESCAN", "ioredis", "-", "+")).events as unknown[];
      expect(asObject(event)).toMatchObject({ stream_id: "ioredis", payload: "a" });

      const pipeline = client.pipeline();
      for (const payload of ["b", "c"])
        pipeline.call("EAPPEND", "ioredis", "B", "PAYLOAD", payload);
      pipeline.call("ESVER", "ioredis");
      const replies = await pipeline.exec();
      expect(replies?.map(([error]) => error)).toEqual([null, null, null]);
      expect(replies?.at(-1)?.[1]).toBe(2);
      expect(await payloads("ioredis")).toEqual(["a", "b", "c"]);

      await expect(
        client.call("EAPPEND", "ioredis", "E", "EXPECTED_VERSION", "empty"),
      ).rejects.toThrow(/^WRONGVER /);
      expect(await client.quit()).toBe("OK");
    } finally {
      client.disconnect();
    }
  });

  test("multi() is refused, nothing is appended, and the client goes on", async () => {
    const client = new Redis(cairn.respPort, "127.0.0.1");
    client.on("error", () => {});
    try {
      const multi = client.multi();
      for (const name of ["A", "B"]) multi.call("EAPPEND", "ioredis-multi", name);
      await expect(multi.exec()).rejects.toThrow(/^EXECABORT /);
      expect(await observer.value("ESVER", "ioredis-multi")).toBeNull();
      expect(await client.call("ESVER", "ioredis-multi")).toBeNull();
      expect(await client.quit()).toBe("OK");
    } finally {
      client.disconnect();
    }
  });
});

test("Bun's RedisClient connects, appends, reads, pipelines and closes", async () => {
  const client = new Bun.RedisClient(`redis://127.0.0.1:${cairn.respPort}`);
  try {
    expect(await client.send("PING", [])).toBe("PONG");
    const appended = await client.send("EAPPEND", ["bun", "A", "PAYLOAD", "a"]);
    expect(appended).toMatchObject({ stream_version: 0 });
    const scan = await client.send("ESCAN", ["bun", "-", "+"]);
    expect(scan).toMatchObject({ has_more: false, events: [{ event_name: "A", payload: "a" }] });
    // Calls within one turn go out as one pipeline.
    const replies = await Promise.all(
      ["b", "c"].map((payload) => client.send("EAPPEND", ["bun", "B", "PAYLOAD", payload])),
    );
    expect(replies.map((reply) => reply.stream_version)).toEqual([1, 2]);
    expect(await payloads("bun")).toEqual(["a", "b", "c"]);
    await expect(client.send("EAPPEND", ["bun", "E", "EXPECTED_VERSION", "0"])).rejects.toThrow(
      /WRONGVER wrong expected version/,
    );
  } finally {
    client.close();
  }
});

const redisCli = Bun.which("redis-cli");

describe(`redis-cli${redisCli === null ? " (skipped: not on the PATH)" : ""}`, () => {
  const cliTest = test.skipIf(redisCli === null);

  /** Runs redis-cli with words after its port, and what it reads from standard input. */
  async function cli(words: readonly string[], input = ""): Promise<string> {
    const child = Bun.spawn(["redis-cli", "-p", String(cairn.respPort), ...words], {
      stdin: Buffer.from(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    await child.exited;
    expect(stderr).toBe("");
    return stdout;
  }

  cliTest("--scan with a pattern, and the streams' types", async () => {
    for (const stream of ["scan-1", "scan-2", "other-1", "scan-3"]) {
      await cli(["EAPPEND", stream, "A"]);
    }
    expect(await cli(["--scan", "--pattern", "scan-*"])).toBe("scan-1\nscan-2\nscan-3\n");
    expect(await cli(["TYPE", "scan-1"])).toBe("stream\n");
    expect(await cli(["EXISTS", "scan-1", "scan-9"])).toBe("1\n");
  });

  cliTest("one command, in RESP2", async () => {
    const appended = await cli(["EAPPEND", "cli", "A", "PAYLOAD", '{"a":1}']);
    expect(pairs(appended)).toMatchObject({ stream_version: "0", partition_sequence: "0" });
    expect(await cli(["ESVER", "cli"])).toBe("0\n");
    const lines = (await cli(["ESCAN", "cli", "-", "+"])).split("\n");
    expect(lines.slice(0, 3)).toEqual(["has_more", "0", "events"]);
    expect(pairs(lines.slice(3).join("\n"))).toMatchObject({
      stream_id: "cli",
      payload: '{"a":1}',
    });
    expect(await cli(["EAPPEND", "cli", "A", "EXPECTED_VERSION", "7"])).toMatch(
      /^WRONGVER wrong expected version: current stream version is 0 but expected 7 /,
    );
  });

  cliTest("one command, in RESP3", async () => {
    const appended = await cli(["-3", "--no-raw", "EAPPEND", "cli-3", "A"]);
    expect(appended).toMatch(/^1# event_id => /);
    expect(appended).toContain("stream_version => (integer) 0");
    expect(await cli(["-3", "--no-raw", "ESCAN", "cli-3", "-", "+"])).toMatch(
      /^1# has_more => \(false\)\n2# events =>\s+1\)\s+1# event_id => /,
    );
  });

  cliTest("commands from standard input", async () => {
    const output = await cli([], "EAPPEND cli-stdin A PAYLOAD 'x y'\nESVER cli-stdin\nPING\n");
    expect(output.split("\n").slice(-3)).toEqual(["0", "PONG", ""]);
    expect(await payloads("cli-stdin")).toEqual(["x y"]);
  });

  cliTest("--pipe with inline commands", async () => {
    const lines = ["a", "b", "c"].map((payload) => `EAPPEND cli-pipe A PAYLOAD "${payload}"\r\n`);
    const output = await cli(["--pipe"], lines.join(""));
    expect(output).toContain("errors: 0, replies: 3");
    expect(await payloads("cli-pipe")).toEqual(["a", "b", "c"]);
  });

  cliTest("QUIT ends the connection", async () => {
    expect(await cli([], "PING\nQUIT\n")).toMatch(/^PONG\n(OK\n)?$/);
  });
});

/** A map as a client gives it: an object, a Map, or in RESP2 an array of names and values in turn. */
function asObject(reply: unknown): Record<string, unknown> {
  if (reply instanceof Map) return Object.fromEntries(reply);
  if (!Array.isArray(reply)) return { ...(reply as Record<string, unknown>) };
  const entries: [string, unknown][] = [];
  for (let i = 0; i < reply.length; i += 2) entries.push([String(reply[i]), reply[i + 1]]);
  return Object.fromEntries(entries);
}

/** Lines of names and values in turn, as redis-cli prints a RESP2 map. */
function pairs(output: string): Record<string, unknown> {
  return asObject(output.trimEnd().split("\n"));
}
