/**
 * BLOCK: a read that finds nothing waits for what comes, and holds up nobody but its own connection.
 */
import { afterEach, expect, test } from "vitest";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { asMaps, RespClient, type Word } from "./support/resp-client.ts";
import { until } from "./support/server.ts";

let opened: DoorInProcess;
const clients: RespClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await opened.stop();
});

async function connect(): Promise<RespClient> {
  const client = await RespClient.connect3(opened.port);
  clients.push(client);
  return client;
}

/** What a read's answer holds, as the events' names. */
async function names(reply: ReturnType<RespClient["map"]>): Promise<unknown> {
  const { events, ...rest } = await reply;
  return { ...rest, events: asMaps(events).map((event) => event.event_name) };
}

/** Asks, and returns when the server waits; the reply is in an object, since it comes later. */
async function waitingRead(client: RespClient, ...words: Word[]) {
  const before = opened.store.subscriptions.waitingCount;
  const reply = client.map(...words);
  reply.catch(() => {});
  await until(() => opened.store.subscriptions.waitingCount > before, "it waits");
  return { reply };
}

test("answers what is there at once, like any read", async () => {
  opened = openDoor();
  const client = await connect();
  await client.map("EAPPEND", "a", "A");
  await client.map("EAPPEND", "a", "B");
  const read = (...words: Word[]) => names(client.map(...words));
  expect(await read("ESCAN", "a", 0, "+", "COUNT", 1, "BLOCK", 0)).toEqual({
    has_more: true,
    events: ["A"],
  });
  expect(await read("EPSCAN", 0, 1, "+", "BLOCK", 0)).toEqual({ has_more: false, events: ["B"] });
  expect(await read("ELOG", 1, "+", "BLOCK", 0)).toEqual({
    has_more: false,
    events: ["B"],
    next: 2,
  });
  // What can never hold an event, or is to hold none, is not waited for.
  expect(await read("ESCAN", "a", 5, 3, "BLOCK", 0)).toEqual({ has_more: false, events: [] });
  expect(await read("ESCAN", "a", 2, "+", "COUNT", 0, "BLOCK", 0)).toEqual({
    has_more: false,
    events: [],
  });
  expect(await read("ELOG", 0, 1, "BLOCK", 0, "NAME", "C")).toEqual({
    has_more: false,
    events: [],
    next: null,
  });
  expect(await client.error("ELOG", 3, "+", "BLOCK", 0)).toMatch(/^AHEAD /);
});

test("waits for a stream, a partition, a pattern and a position, and each gets what it asked for", async () => {
  opened = openDoor();
  const writer = await connect();
  await writer.map("EAPPEND", "a", "A");
  const waiting = [
    await waitingRead(await connect(), "ESCAN", "a", 2, "+", "BLOCK", 0),
    await waitingRead(await connect(), "ESCAN", "new", "-", "+", "BLOCK", 60_000, "WITHPOSITION"),
    await waitingRead(await connect(), "EPSCAN", 0, 2, "+", "BLOCK", 0),
    await waitingRead(await connect(), "ELOG", 1, "+", "BLOCK", 0, "NAME", "C", "MATCH", "n*"),
  ];
  await writer.map("EAPPEND", "a", "B");
  await writer.map("EAPPEND", "a", "C");
  await writer.map("EAPPEND", "new", "C");
  expect(await Promise.all(waiting.map(({ reply }) => names(reply)))).toEqual([
    { has_more: false, events: ["C"] },
    { has_more: false, events: ["C"] },
    { has_more: false, events: ["C"] },
    { has_more: false, events: ["C"], next: 4 },
  ]);
  expect(opened.store.subscriptions.waitingCount).toBe(0);
});

test("answers empty when the time is over, and says how far it has looked", async () => {
  opened = openDoor();
  const writer = await connect();
  const client = await connect();
  expect(await names(client.map("ESCAN", "a", "-", "+", "BLOCK", 1))).toEqual({
    has_more: false,
    events: [],
  });
  const { reply } = await waitingRead(client, "ELOG", 0, "+", "BLOCK", 0, "NAME", "X");
  for (let i = 0; i < 5; i++) await writer.map("EAPPEND", "a", "A");
  client.endSending(); // as when the time is over
  expect(await names(reply)).toEqual({ has_more: false, events: [], next: 5 });
  expect(opened.store.subscriptions.waitingCount).toBe(0);
});

test("ASOF: waits no longer than what is appended can match", async () => {
  opened = openDoor();
  const client = await connect();
  await client.map("EAPPEND", "a", "A");
  const read = (...words: Word[]) => names(client.map(...words));
  const nothing = { has_more: false, events: [], next: 1 };
  expect(await read("ELOG", 1, "+", "BLOCK", 0, "ASOF", Date.now() - 1)).toEqual(nothing);
  expect(await read("ESCAN", "a", 1, "+", "BLOCK", 0, "ASOF", 1)).toEqual(nothing);
  // This one ends by itself, a moment later.
  expect(await read("ELOG", 1, "+", "BLOCK", 0, "ASOF", Date.now() + 20)).toEqual(nothing);
  const { reply } = await waitingRead(client, "ELOG", 1, "+", "BLOCK", 0, "ASOF", 2 ** 50);
  await (await connect()).map("EAPPEND", "a", "B");
  expect(await names(reply)).toEqual({ has_more: false, events: ["B"], next: 2 });
});

test("what the connection asks behind it waits, and others go on", async () => {
  opened = openDoor();
  const client = await connect();
  const other = await connect();
  const { reply } = await waitingRead(client, "ESCAN", "a", "-", "+", "BLOCK", 0);
  const behind = client.pipeline([["EAPPEND", "b", "B"], ["PING"]]);
  let isAnswered = false;
  void behind.then(() => {
    isAnswered = true;
  });
  for (let i = 0; i < 3; i++) expect(await other.value("ESVER", "b")).toBeNull();
  expect(isAnswered).toBe(false);
  expect(String(await other.value("INFO", "clients"))).toContain("blocked_clients:1\r\n");
  await other.map("EAPPEND", "a", "A");
  expect(await names(reply)).toEqual({ has_more: false, events: ["A"] });
  expect((await behind)[1]).toEqual({ kind: "+", text: "PONG" });
  expect(await other.value("ESVER", "b")).toBe(0);
});

test("lets go a client that has closed, or says no more; that one is answered", async () => {
  opened = openDoor();
  const { subscriptions } = opened.store;
  const closing = await connect();
  const halfClosing = await connect();
  await waitingRead(closing, "ESCAN", "a", "-", "+", "BLOCK", 0);
  const { reply } = await waitingRead(halfClosing, "ELOG", 0, "+", "BLOCK", 0);
  closing.close();
  await until(() => subscriptions.waitingCount === 1, "the closed one is let go");
  halfClosing.endSending();
  expect(await names(reply)).toEqual({ has_more: false, events: [], next: 0 });
  await halfClosing.closed;
  expect(subscriptions.waitingCount).toBe(0);
  // One that closes its side in the same breath waits for nothing either.
  const brief = await connect();
  const answer = brief.map("ESCAN", "a", "-", "+", "BLOCK", 0);
  brief.endSending();
  expect(await names(answer)).toEqual({ has_more: false, events: [] });
  await until(() => opened.server.sessions.count === 0, "all are gone");
});

test("an orderly stop answers who waits", async () => {
  opened = openDoor();
  const { reply } = await waitingRead(await connect(), "ESCAN", "a", "-", "+", "BLOCK", 0);
  await opened.door.stop();
  expect(await names(reply)).toEqual({ has_more: false, events: [] });
});

test("a thousand wait on streams of their own, and each hears of its own event alone", async () => {
  opened = openDoor();
  const { subscriptions } = opened.store;
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < 1_000; i++) {
    const client = await RespClient.connect(opened.port);
    clients.push(client);
    waiting.push(client.command("ESCAN", `s${i}`, "-", "+", "BLOCK", 0));
  }
  await until(() => subscriptions.waitingCount === 1_000, "all wait");
  const writer = await connect();
  await writer.map("EAPPEND", "s500", "A");
  await waiting[500];
  expect(subscriptions.waitingCount).toBe(999);
  await writer.pipeline(Array.from({ length: 1_000 }, (_, i) => ["EAPPEND", `s${i}`, "A"]));
  await Promise.all(waiting);
  expect(subscriptions.waitingCount).toBe(0);
});
