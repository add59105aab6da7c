/**
 * The project's first description, taken at its word: every command line in it over a socket, each example on an
 * empty store, with the results that it states; and its Python with redis-py.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Plain } from "./support/model.ts";
import { pythonMissing, runPython } from "./support/python.ts";
import { asMaps, type Frame, type PlainMap, plain, RespClient } from "./support/resp-client.ts";
import { startCairn } from "./support/server.ts";
import { shellWords } from "./support/shell-words.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const EVENT_FIELDS = [
  "event_id",
  "partition_key",
  "partition_id",
  "transaction_id",
  "partition_sequence",
  "stream_version",
  "timestamp",
  "stream_id",
  "event_name",
  "metadata",
  "payload",
];

const examples = new Map<string, string[][]>();
for (const section of readFileSync(join(import.meta.dirname, "seed-commands.txt"), "utf8")
  .split(/^## /m)
  .slice(1)) {
  const [name = "", ...lines] = section.split("\n");
  const commands = lines.filter((line) => !line.startsWith("#")).join("\n");
  // A backslash at a line's end joins the next one.
  const split = commands.split(/(?<!\\)\n/).map(shellWords);
  examples.set(
    name,
    split.filter((words) => words.length > 0),
  );
}

const unused = new Set(examples.keys());

/** The commands of an example, as many as the test expects there to be. */
function example(name: string, count: number): string[][] {
  const commands = examples.get(name) ?? [];
  expect(commands, `commands of "${name}"`).toHaveLength(count);
  unused.delete(name);
  return commands;
}

const clients: RespClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

/** A connection to a server with an empty store. */
async function emptyStore(): Promise<RespClient> {
  const { respPort } = await startCairn();
  const client = await RespClient.connect3(respPort);
  clients.push(client);
  return client;
}

async function runAppends(client: RespClient, commands: string[][]): Promise<PlainMap[]> {
  const replies: PlainMap[] = [];
  for (const words of commands) replies.push(await client.map(...words));
  return replies;
}

describe("the commands", () => {
  test("Appending Events", async () => {
    const client = await emptyStore();
    const before = Date.now();
    const [first, second] = await runAppends(client, example("Appending Events", 2));
    expect(first).toEqual({
      event_id: expect.stringMatching(UUID),
      partition_key: "7e124fe8-fe28-5398-bb95-53973100148f",
      partition_id: 21,
      partition_sequence: 0,
      stream_version: 0,
      timestamp: expect.any(Number),
    });
    expect(second).toMatchObject({ partition_id: 21, partition_sequence: 1, stream_version: 1 });
    expect(first?.timestamp).toBeGreaterThanOrEqual(before);
    expect(second?.event_id).not.toBe(first?.event_id);

    // The second one again: the stream has moved on, and its version 0 is no more.
    const [, verified = []] = example("Appending Events", 2);
    const conflict = await client.error(...verified);
    expect(conflict).toMatch(/^WRONGVER .*wrong expected version/);
    expect(await client.value("ESVER", "user-123")).toBe(1);
  });

  test("Reading Events, of an empty store", async () => {
    const client = await emptyStore();
    for (const words of example("Reading Events", 3)) {
      expect(await client.map(...words)).toEqual({ has_more: false, events: [] });
    }
  });

  test("Reading Events, of a stream that has some", async () => {
    const client = await emptyStore();
    for (const name of ["UserRegistered", "EmailVerified", "ProfileUpdated"]) {
      await client.map("EAPPEND", "user-123", name, "PAYLOAD", `{"of":"${name}"}`);
    }
    const versions: unknown[] = [];
    for (const words of example("Reading Events", 3)) {
      const reply = await client.map(...words);
      expect(reply.has_more).toBe(false);
      versions.push(asMaps(reply.events).map((event) => event.stream_version));
    }
    expect(versions).toEqual([
      [0, 1, 2],
      [1, 2],
      [0, 1, 2],
    ]);

    const [event] = await client.events("ESCAN", "user-123", "-", "+", "COUNT", 1);
    expect(Object.keys(event ?? {})).toEqual(EVENT_FIELDS);
    expect(event).toMatchObject({
      event_id: expect.stringMatching(UUID),
      partition_key: "7e124fe8-fe28-5398-bb95-53973100148f",
      partition_id: 21,
      transaction_id: expect.stringMatching(UUID),
      partition_sequence: 0,
      stream_version: 0,
      stream_id: "user-123",
      event_name: "UserRegistered",
      metadata: "",
      payload: '{"of":"UserRegistered"}',
    });
  });

  test("Stream Information", async () => {
    const client = await emptyStore();
    const [words = []] = example("Stream Information", 1);
    expect(await client.value(...words)).toBeNull();
    for (const name of ["UserRegistered", "EmailVerified", "ProfileUpdated"]) {
      await client.map("EAPPEND", "user-123", name);
    }
    expect(await client.value(...words)).toBe(2);
  });

  test("Aggregate Roots", async () => {
    const client = await emptyStore();
    const replies = await runAppends(client, example("Aggregate Roots", 4));
    expect(replies.map((reply) => reply.stream_version)).toEqual([0, 1, 2, 3]);
    expect(replies.map((reply) => reply.partition_sequence)).toEqual([0, 1, 2, 3]);
    const events = await client.events("ESCAN", "order-456", "-", "+");
    expect(events.map((event) => [event.event_name, event.payload])).toEqual([
      ["OrderCreated", '{"customer_id":"user-123"}'],
      ["ItemAdded", '{"product_id":"laptop","qty":1}'],
      ["ItemRemoved", '{"product_id":"mouse","qty":1}'],
      ["OrderShipped", '{"tracking_number":"ABC123"}'],
    ]);
  });

  test("Cross-Stream Transactions", async () => {
    const client = await emptyStore();
    const [words = []] = example("Cross-Stream Transactions", 1);
    const reply = await client.map(...words);
    expect(reply).toEqual({
      partition_key: "550e8400-e29b-41d4-a716-446655440000",
      partition_id: 25,
      first_partition_sequence: 0,
      last_partition_sequence: 1,
      events: [
        {
          event_id: expect.stringMatching(UUID),
          stream_id: "account-123",
          stream_version: 0,
          timestamp: expect.any(Number),
        },
        {
          event_id: expect.stringMatching(UUID),
          stream_id: "account-456",
          stream_version: 0,
          timestamp: expect.any(Number),
        },
      ],
    });
    const events = await client.events("EPSCAN", 25, "-", "+");
    expect(events.map((event) => [event.stream_id, event.event_name, event.payload])).toEqual([
      ["account-123", "MoneyWithdrawn", '{"amount":100}'],
      ["account-456", "MoneyDeposited", '{"amount":100}'],
    ]);
    expect(events[0]?.transaction_id).toBe(events[1]?.transaction_id);
  });

  test("Cross-Stream Transactions, between accounts that were opened on their own", async () => {
    const client = await emptyStore();
    await client.map("EAPPEND", "account-123", "AccountOpened");
    await client.map("EAPPEND", "account-456", "AccountOpened");
    const [words = []] = example("Cross-Stream Transactions", 1);
    expect(await client.error(...words)).toMatch(/^WRONGKEY stream account-123 has partition key /);
    const reply = await client.map("EMAPPEND", "*", ...words.slice(2));
    expect(asMaps(reply.events).map((event) => event.stream_version)).toEqual([1, 1]);
  });

  test("Event Metadata", async () => {
    const client = await emptyStore();
    const [words = []] = example("Event Metadata", 1);
    expect(await client.map(...words)).toMatchObject({ stream_version: 0 });
    const [event] = await client.events("ESCAN", "user-123", "-", "+");
    expect(event).toMatchObject({
      event_name: "ProfileUpdated",
      payload: '{"name":"Alice Smith"}',
      metadata: '{"user_id":"user-123","source":"web-app","correlation_id":"req-789"}',
    });
  });

  test("Consistent Partitioning", async () => {
    const client = await emptyStore();
    const [user, account] = await runAppends(client, example("Consistent Partitioning", 2));
    expect(account?.partition_key).toBe(user?.partition_key);
    expect(account?.partition_id).toBe(user?.partition_id);
    expect([user?.partition_sequence, account?.partition_sequence]).toEqual([0, 1]);
    expect([user?.stream_version, account?.stream_version]).toEqual([0, 0]);
    const events = await client.events("EPSCAN", Number(user?.partition_id), "-", "+");
    expect(events.map((event) => event.stream_id)).toEqual(["user-123", "user-account-123"]);
  });

  test("Saga Pattern", async () => {
    const client = await emptyStore();
    const replies = await runAppends(client, example("Saga Pattern", 5));
    expect(replies.map((reply) => reply.stream_version)).toEqual([0, 1, 2, 3, 4]);
    const events = await client.events("ESCAN", "saga-order-123", "-", "+");
    expect(events.map((event) => event.event_name)).toEqual([
      "OrderSagaStarted",
      "PaymentRequested",
      "PaymentCompleted",
      "InventoryReserved",
      "OrderSagaCompleted",
    ]);
    expect(events.at(-1)?.payload).toBe("{}");
  });

  test("there is a test for every example", () => {
    expect(examples.size).toBeGreaterThan(0);
    expect([...unused]).toEqual([]);
  });
});

test("Core Concepts: versions count in a stream, sequences over a partition's streams", async () => {
  const client = await emptyStore();
  const appends = [
    ["user-123", "UserRegistered"],
    ["order-456", "OrderCreated"],
    ["user-123", "EmailVerified"],
    ["order-456", "ItemAdded"],
  ];
  let partition = -1;
  for (const words of appends) {
    const reply = await client.map("EAPPEND", ...words, "PARTITION_KEY", "customer-1");
    partition = Number(reply.partition_id);
  }
  const events = await client.events("EPSCAN", partition, "-", "+");
  expect(
    events.map((event) => [
      event.partition_sequence,
      event.stream_id,
      event.event_name,
      event.stream_version,
    ]),
  ).toEqual([
    [0, "user-123", "UserRegistered", 0],
    [1, "order-456", "OrderCreated", 0],
    [2, "user-123", "EmailVerified", 1],
    [3, "order-456", "ItemAdded", 1],
  ]);
});

test("Core Concepts: an event's fields come in the order and with the types of the description", async () => {
  const client = await emptyStore();
  await client.map("EAPPEND", "user-123", "UserRegistered", "PAYLOAD", "p", "METADATA", "m");
  const reply = await client.command("ESCAN", "user-123", "-", "+");
  const events = entriesOf(reply).find(([key]) => key === "events")?.[1];
  const [event] = events?.kind === "*" ? events.items : [];
  expect(event).toBeDefined();
  expect(entriesOf(event as Frame).map(([key, value]) => [key, value.kind])).toEqual([
    ["event_id", "+"],
    ["partition_key", "+"],
    ["partition_id", ":"],
    ["transaction_id", "+"],
    ["partition_sequence", ":"],
    ["stream_version", ":"],
    ["timestamp", ":"],
    ["stream_id", "$"],
    ["event_name", "$"],
    ["metadata", "$"],
    ["payload", "$"],
  ]);
});

test("Real-time Projections: ESUB user-* FROM LATEST follows streams that come later", async () => {
  const client = await emptyStore();
  await client.map("EAPPEND", "user-1", "UserRegistered", "PAYLOAD", '{"name":"Before"}');
  const id = await client.value("ESUB", "user-*", "FROM", "LATEST");
  expect(plain(await client.push(), "utf8")).toEqual(["subscribe", id, 1]);
  await client.map("EAPPEND", "user-2", "UserRegistered", "PAYLOAD", '{"name":"Alice"}');
  await client.map("EAPPEND", "order-1", "OrderCreated", "PAYLOAD", "{}");
  await client.map("EAPPEND", "user-2", "ProfileUpdated", "PAYLOAD", '{"city":"Rome"}');
  for (const [cursor, name] of ["UserRegistered", "ProfileUpdated"].entries()) {
    const [kind, subscription, at, event] = plain(await client.push(), "utf8") as Plain[];
    expect([kind, subscription, at]).toEqual(["message", id, cursor]);
    expect(event).toMatchObject({ stream_id: "user-2", event_name: name, stream_version: cursor });
  }
  expect(await client.value("EACK", String(id), 1)).toBe("OK");
  expect(client.pushCount).toBe(0);
});

/** A map's entries; its keys must be simple strings. */
function entriesOf(frame: Frame): [string, Frame][] {
  if (frame.kind !== "%") throw new Error(`not a map, but ${frame.kind}`);
  return frame.entries.map(([key, value]) => {
    if (key.kind !== "+") throw new Error(`a key is ${key.kind}`);
    return [key.text, value];
  });
}

describe(`the Python${pythonMissing === null ? "" : ` (skipped: ${pythonMissing})`}`, () => {
  test.skipIf(pythonMissing !== null).each([
    ["Building Projections", "projection.py"],
    ["Real-time Projections", "live_projection.py"],
    ["Error Handling", "error_handling.py"],
    ["Saga Pattern", "saga.py"],
    ["CQRS", "cqrs.py"],
  ])("%s", async (_, script) => {
    const cairn = await startCairn();
    await runPython(script, cairn.respPort);
    await cairn.stop();
  });
});
