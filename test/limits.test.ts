/**
 * The bounds of protocol and server over a socket: what is refused, in which words, what happens to the connection,
 * and that the server goes on.
 */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ARGUMENT_BYTES_MAX,
  ARGUMENTS_MAX,
  CONNECTIONS_MAX,
  DESCRIPTORS_RESERVED,
  EVENT_DATA_BYTES_MAX,
  INLINE_BYTES_MAX,
  KiB,
  MiB,
  REPLY_EVENT_BYTES_MAX,
  REQUEST_BYTES_MAX,
  TRANSACTION_EVENTS_MAX,
  UNAUTHENTICATED_ARGUMENT_BYTES_MAX,
  UNAUTHENTICATED_ARGUMENTS_MAX,
  UNSENT_BYTES_MAX,
  WAITING_BYTES_MAX,
} from "../server/limits.ts";
import { Random } from "./support/random.ts";
import { asMaps, encode, type Frame, plain, RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

let cairn: Cairn;
let client: RespClient;

beforeAll(async () => {
  cairn = await startCairn();
});
beforeEach(async () => {
  client = await RespClient.connect3(cairn.respPort);
});
afterEach(async () => {
  client.close();
  const later = await RespClient.connect3(cairn.respPort);
  expect(await later.value("PING"), "the server after the test").toBe("PONG");
  later.close();
});
afterAll(async () => {
  expect(await cairn.stop()).toBe(0);
});

function errorText(frame: Frame): string {
  return frame.kind === "-" ? frame.text : `no error, but ${frame.kind}`;
}

/** The server ends the connection by itself, after what it has answered. */
async function expectClosed(): Promise<void> {
  await client.closed;
  await expect(client.reply()).rejects.toThrow();
}

describe("the numbers that the protocol promises", () => {
  test("are the server's", () => {
    expect({
      ARGUMENT_BYTES_MAX,
      ARGUMENTS_MAX,
      CONNECTIONS_MAX,
      DESCRIPTORS_RESERVED,
      EVENT_DATA_BYTES_MAX,
      INLINE_BYTES_MAX,
      REPLY_EVENT_BYTES_MAX,
      REQUEST_BYTES_MAX,
      TRANSACTION_EVENTS_MAX,
      UNAUTHENTICATED_ARGUMENT_BYTES_MAX,
      UNAUTHENTICATED_ARGUMENTS_MAX,
      UNSENT_BYTES_MAX,
      WAITING_BYTES_MAX,
    }).toEqual({
      ARGUMENT_BYTES_MAX: 8 * MiB,
      ARGUMENTS_MAX: 65_536,
      CONNECTIONS_MAX: 10_000,
      DESCRIPTORS_RESERVED: 64,
      EVENT_DATA_BYTES_MAX: 8 * MiB,
      INLINE_BYTES_MAX: 64 * KiB,
      REPLY_EVENT_BYTES_MAX: 8 * MiB,
      REQUEST_BYTES_MAX: 16 * MiB,
      TRANSACTION_EVENTS_MAX: 8_192,
      UNAUTHENTICATED_ARGUMENT_BYTES_MAX: 16 * KiB,
      UNAUTHENTICATED_ARGUMENTS_MAX: 10,
      UNSENT_BYTES_MAX: 32 * MiB,
      WAITING_BYTES_MAX: 16 * MiB,
    });
  });
});

describe("sizes of requests", () => {
  test("an argument of 8 MiB is taken and read back; one byte more is refused, and the connection goes on", async () => {
    const payload = new Uint8Array(8 * MiB).fill(0x78);
    await client.map("EAPPEND", "large", "E", "PAYLOAD", payload);
    const [event] = await client.events("ESCAN", "large", "-", "+");
    expect(Buffer.from(String(event?.payload)).equals(payload)).toBe(true);

    const larger = new Uint8Array(8 * MiB + 1);
    expect(await client.error("EAPPEND", "large", "E", "PAYLOAD", larger)).toBe(
      "TOOLARGE size of an argument in bytes is limited to 8388608, but 8388609 was asked",
    );
    expect(await client.value("ESVER", "large")).toBe(0);
    expect(await client.map("EAPPEND", "large", "E")).toMatchObject({ stream_version: 1 });
  });

  test("payload and metadata count together", async () => {
    const half = new Uint8Array(4 * MiB);
    const words = ["EAPPEND", "halves", "E", "PAYLOAD", half, "METADATA"];
    expect(await client.error(...words, new Uint8Array(4 * MiB + 1))).toBe(
      "TOOLARGE size of payload and metadata in bytes is limited to 8388608, but 8388609 was asked",
    );
    expect(await client.value("ESVER", "halves")).toBeNull();
    expect(await client.map(...words, half)).toMatchObject({ stream_version: 0 });
  });

  test("a request of more than 16 MiB is refused, and the connection closes", async () => {
    const part = new Uint8Array(6 * MiB);
    const words = ["EMAPPEND", "*", "sum", "E", "PAYLOAD", part, "sum", "E", "PAYLOAD", part];
    client.send(encode([...words, "sum", "E", "PAYLOAD", part]));
    expect(errorText(await client.reply())).toMatch(
      /^TOOLARGE size of a request in bytes is limited to 16777216, but 188\d{5} was asked$/,
    );
    await expectClosed();
    const later = await RespClient.connect3(cairn.respPort);
    expect(await later.value("ESVER", "sum")).toBeNull();
    later.close();
  });

  test("a request of 65,537 arguments is refused at once, and the connection closes", async () => {
    client.send("*65537\r\n");
    expect(errorText(await client.reply())).toBe(
      "TOOLARGE number of arguments in a request is limited to 65536, but 65537 was asked",
    );
    await expectClosed();
  });

  test("an inline line of more than 64 KiB is a protocol error, and the connection closes", async () => {
    client.send(`PING ${"x".repeat(64 * KiB)}`);
    expect(errorText(await client.reply())).toBe("ERR Protocol error: too big inline request");
    await expectClosed();
  });

  test("a transaction of 8,192 events is taken whole; one of 8,193 not at all", async () => {
    const events = (count: number) => Array.from({ length: count }, () => ["many", "E"]).flat();
    expect(await client.error("EMAPPEND", "*", ...events(8_193))).toBe(
      "TOOLARGE number of events in a transaction is limited to 8192, but 8193 was asked",
    );
    expect(await client.value("ESVER", "many")).toBeNull();
    const reply = await client.map("EMAPPEND", "*", ...events(8_192));
    expect(asMaps(reply.events).at(-1)?.stream_version).toBe(8_191);
    expect(await client.value("ESVER", "many")).toBe(8_191);
    expect(await client.events("ESCAN", "many", "-", "+")).toHaveLength(8_192);
  });
});

test("a scan's reply ends at 8 MiB of events with has_more, and goes on from there", async () => {
  const payload = new Uint8Array(3 * MiB);
  for (let n = 0; n < 5; n++) await client.map("EAPPEND", "bulky", "E", "PAYLOAD", payload);
  const versions: unknown[] = [];
  let replyCount = 0;
  for (let next = 0, hasMore = true; hasMore; replyCount++) {
    const reply = await client.map("ESCAN", "bulky", next, "+");
    const events = asMaps(reply.events);
    const size = events.reduce((sum, event) => sum + String(event.payload).length, 0);
    expect(events.length).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(8 * MiB);
    versions.push(...events.map((event) => event.stream_version));
    next = versions.length;
    hasMore = reply.has_more === true;
  }
  expect(versions).toEqual([0, 1, 2, 3, 4]);
  expect(replyCount).toBeGreaterThan(1);
});

describe("pipelines", () => {
  test("5,000 requests of all kinds are answered in order", async () => {
    const kinds = [
      (n: number) => ["EAPPEND", "pipelined", "E", "PAYLOAD", n],
      (n: number) => ["ECHO", n],
      () => ["ESVER", "pipelined"],
      () => ["NOSUCHCOMMAND"],
      (n: number) => ["ESCAN", "pipelined", Math.floor(n / 5), "+"],
    ];
    const commands = Array.from({ length: 5_000 }, (_, n) => kinds[n % 5]?.(n) ?? []);
    const replies = await client.pipeline(commands);
    for (const [n, frame] of replies.entries()) {
      const version = Math.floor(n / 5);
      const reply = plain(frame);
      switch (n % 5) {
        case 0:
          expect(reply).toMatchObject({ stream_version: version });
          break;
        case 1:
          expect(reply).toBe(String(n));
          break;
        case 2:
          expect(reply).toBe(version);
          break;
        case 3:
          expect(errorText(frame)).toBe("INVALIDARG unknown command 'NOSUCHCOMMAND'");
          break;
        default:
          expect(reply).toMatchObject({
            has_more: false,
            events: [{ stream_version: version, payload: String(n - 4) }],
          });
      }
    }
  });

  test("a client that half-closes still gets all its answers", async () => {
    const commands = Array.from({ length: 500 }, (_, n) => [
      "EAPPEND",
      "half-closed",
      "E",
      "PAYLOAD",
      n,
    ]);
    const replies = client.pipeline([...commands, ["ESVER", "half-closed"]]);
    client.endSending();
    expect(plain((await replies).at(-1) as Frame)).toBe(499);
    await expectClosed();
  });

  test.each([
    "*2\r\n$4\r\nPI",
    "*2\r\n",
    "*1\r\n$4\r\nPING",
    "PING",
    `*2\r\n$4\r\nECHO\r\n$8388609\r\nx`,
  ])("half a request (%j) and then the client's end closes the connection", async (bytes) => {
    client.send(bytes);
    client.endSending();
    await expectClosed();
  });
});

test("a deeply nested array is an error, and the server lives", async () => {
  client.send("*1\r\n".repeat(100_000));
  expect(errorText(await client.reply())).toBe("ERR Protocol error: expected '$', got '*'");
  await expectClosed();
});

test("lengths that are only claimed cost no memory", async () => {
  const claims = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const connection = await RespClient.connect(cairn.respPort);
      connection.send(`*65536\r\n$7\r\nEAPPEND\r\n$8388608\r\nx`);
      return connection;
    }),
  );
  expect(await client.value("PING")).toBe("PONG");
  const list = String(await client.value("CLIENT", "LIST"));
  const held = [...list.matchAll(/ qbuf=(\d+) /g)].map(([, size]) => Number(size));
  expect(held.length).toBeGreaterThanOrEqual(claims.length);
  expect(Math.max(...held)).toBeLessThan(64 * KiB);
  for (const connection of claims) connection.close();
});

/** Where memory of other processes can be looked at. */
const hasProc = existsSync("/proc/self/status");

test.skipIf(!hasProc)(
  `a client that never reads its replies costs bounded memory, and gets them all when it does${hasProc ? "" : " (skipped: no /proc)"}`,
  async () => {
    const PAYLOAD_BYTES = 1 * MiB;
    const REPLIES = 400;
    const GROWTH_BYTES_MAX = 160 * MiB;
    const server = await startCairn();
    const other = await RespClient.connect3(server.respPort);
    await other.map("EAPPEND", "s", "E", "PAYLOAD", new Uint8Array(PAYLOAD_BYTES));
    const residentBefore = residentBytes(server.pid);

    const slow = await RespClient.connect3(server.respPort);
    const id = await slow.value("CLIENT", "ID");
    slow.pause();
    const commands = Array.from({ length: REPLIES }, () => ["ESCAN", "s", "-", "+"]);
    const replies = slow.pipeline(commands);
    const unsent = async () => {
      const line = String(await other.value("CLIENT", "LIST", "ID", Number(id)));
      return Number(/ omem=(\d+) /.exec(line)?.[1]);
    };
    await until(async () => (await unsent()) > UNSENT_BYTES_MAX / 2, "replies wait for the client");
    // Others are served all the while, and what waits grows no further than to its bound and one reply.
    for (let n = 0; n < 50; n++) await other.map("EAPPEND", "t", "E");
    expect(await unsent()).toBeLessThan(UNSENT_BYTES_MAX + REPLY_EVENT_BYTES_MAX);
    expect(residentBytes(server.pid) - residentBefore).toBeLessThan(GROWTH_BYTES_MAX);

    slow.resume();
    const sizes = (await replies).map((frame) => {
      const [event] = asMaps((plain(frame) as { events: never }).events);
      return String(event?.payload).length;
    });
    expect(sizes).toEqual(Array.from({ length: REPLIES }, () => PAYLOAD_BYTES));
    slow.close();
    other.close();
    expect(await server.stop()).toBe(0);
  },
);

test("a client that goes away in the middle of its replies leaves nothing behind", async () => {
  await client.map("EAPPEND", "gone", "E", "PAYLOAD", new Uint8Array(1 * MiB));
  const gone = await RespClient.connect3(cairn.respPort);
  const id = Number(await gone.value("CLIENT", "ID"));
  gone.pause();
  const replies = gone.pipeline(Array.from({ length: 100 }, () => ["ESCAN", "gone", "-", "+"]));
  const ended = expect(replies).rejects.toThrow();
  const line = () => client.value("CLIENT", "LIST", "ID", id);
  await until(async () => / omem=[1-9]/.test(String(await line())), "replies wait for the client");
  gone.close();
  await until(async () => (await line()) === "", "the server has forgotten the connection");
  await ended;
});

test("a stop does not wait long for a client that never reads, and one that reads gets its replies", async () => {
  const REPLIES = 20; // more than sockets take, and less than what a connection may have unsent
  const server = await startCairn();
  const [reader, stuck, other] = await Promise.all(
    [0, 1, 2].map(() => RespClient.connect3(server.respPort)),
  );
  if (reader === undefined || stuck === undefined || other === undefined) throw new Error();
  await other.map("EAPPEND", "s", "E", "PAYLOAD", new Uint8Array(1 * MiB));
  const asked = Array.from({ length: REPLIES }, () => ["ESCAN", "s", "-", "+"]);
  const ids = await Promise.all([reader, stuck].map((client) => client.value("CLIENT", "ID")));
  for (const client of [reader, stuck]) client.pause();
  const replies = reader.pipeline(asked);
  const lost = expect(stuck.pipeline(asked)).rejects.toThrow();
  await until(async () => {
    const list = String(await other.value("CLIENT", "LIST", "ID", ...ids.map(Number)));
    return list.match(/ omem=[1-9]/g)?.length === 2;
  }, "replies wait for both clients");
  const stopped = server.stop();
  reader.resume();
  expect((await replies).map(({ kind }) => kind)).toEqual(Array(REPLIES).fill("%"));
  expect(await stopped).toBe(0);
  stuck.resume();
  await lost;
  for (const client of [reader, stuck, other]) client.close();
});

describe("chunks of any size", () => {
  /** Longer than a socket's chunk, so that requests are cut anywhere in it. */
  const PIPELINE_BYTES = 1 * MiB;
  const SEED = Number(process.env.SEED ?? 20_261);

  test(`what is pipelined is stored as it was sent, seed ${SEED}`, async () => {
    const random = new Random(SEED);
    let sent = 0;
    for (let round = 0; round < 12; round++) {
      const sizeMax = random.pick([40, 1_200, 30_000, 200_000]);
      const expected: { stream: string; name: string; payload: string }[] = [];
      const commands: string[][] = [];
      for (let bytes = 0; bytes < PIPELINE_BYTES; ) {
        const events = Array.from(
          { length: random.chance(0.3) ? random.between(1, 30) : 1 },
          () => {
            const id = ++sent;
            const payload = String.fromCharCode(65 + (id % 26)).repeat(random.below(sizeMax));
            return { stream: `cut-${round}-${id % 7}`, name: `E${id}`, payload };
          },
        );
        const words = events.flatMap(({ stream, name, payload }) => [
          stream,
          name,
          "PAYLOAD",
          payload,
          "EVENT_ID",
          crypto.randomUUID(),
        ]);
        commands.push(words.length === 6 ? ["EAPPEND", ...words] : ["EMAPPEND", "*", ...words]);
        expected.push(...events);
        bytes += words.join("").length;
      }
      for (const frame of await client.pipeline(commands)) expect(frame.kind).toBe("%");
      const streams = new Map<string, { name: string; payload: string }[]>();
      for (const { stream, name, payload } of expected) {
        const known = streams.get(stream) ?? [];
        known.push({ name, payload });
        streams.set(stream, known);
      }
      for (const [stream, events] of streams) {
        const stored = await client.events("ESCAN", stream, "-", "+");
        expect(stored.map((event) => ({ name: event.event_name, payload: event.payload }))).toEqual(
          events,
        );
      }
    }
  });

  test("a reply ends at its limit though its first event is nearly as long", async () => {
    const payload = "x".repeat(EVENT_DATA_BYTES_MAX);
    for (let i = 0; i < 3; i++) await client.value("EAPPEND", "nearly", "E", "PAYLOAD", payload);
    for (const from of [0, 1, 2]) {
      const map = await client.map("ESCAN", "nearly", from, "+");
      expect(map.has_more).toBe(from < 2);
      expect(asMaps(map.events).map((event) => event.stream_version)).toEqual([from]);
    }
  });
});

describe("connections", () => {
  test("beyond the descriptor limit less 64, a connection is told so and closed; the others go on", async () => {
    const server = await startCairn({ wrapper: ["sh", "-c", 'ulimit -n 96; exec "$0" "$@"'] });
    const connections: RespClient[] = [];
    for (let n = 0; n < 96 - DESCRIPTORS_RESERVED; n++) {
      connections.push(await RespClient.connect3(server.respPort));
    }
    const surplus = await RespClient.connect(server.respPort);
    expect(errorText(await surplus.reply())).toBe("ERR max number of clients reached");
    await surplus.closed;

    for (const connection of connections) expect(await connection.value("PING")).toBe("PONG");
    const clients = await connections[0]?.value("INFO", "clients");
    expect(clients).toContain(`maxclients:${96 - DESCRIPTORS_RESERVED}`);
    connections.pop()?.close();
    const [first] = connections;
    await until(async () => {
      const list = String(await first?.value("CLIENT", "LIST"));
      return list.split("\n").length - 1 === connections.length;
    }, "the server has seen that a connection is gone");
    const late = await RespClient.connect3(server.respPort);
    expect(await late.map("EAPPEND", "late", "E")).toMatchObject({ stream_version: 0 });
    for (const connection of [late, ...connections]) connection.close();
    expect(await server.stop()).toBe(0);
  });
});

/** Memory of a process that is in RAM. */
function residentBytes(pid: number): number {
  const kibibytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) * KiB;
}
