/**
 * Subscribers in numbers, and subscribers that do not read: what they cost the server is their sockets and what one of
 * them is given at a time, whatever is appended meanwhile.
 */
import { afterEach, expect, test } from "vitest";
import { KiB, MiB, PUSH_BYTES, PUSH_UNSENT_BYTES } from "../server/limits.ts";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { RawClient } from "./support/raw-client.ts";
import { encode, plain, RespClient } from "./support/resp-client.ts";
import { until } from "./support/server.ts";

let opened: DoorInProcess;
const clients: { close(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await opened.stop();
});

async function connect(): Promise<RespClient> {
  const client = await RespClient.connect3(opened.port);
  clients.push(client);
  return client;
}

test("40 that never read hold a bounded number of bytes while 24 MiB are appended, and go on where they were", async () => {
  const READERS = 40;
  opened = openDoor();
  const { door, store } = opened;
  const writer = await connect();
  const payload = "x".repeat(24 * KiB);
  const appendSome = () =>
    writer.pipeline(Array(32).fill(["EAPPEND", "s", "A", "PAYLOAD", payload]));
  await appendSome();
  const readers: RawClient[] = [];
  for (let i = 0; i < READERS; i++) {
    const reader = await RawClient.connect(opened.port);
    clients.push(reader);
    reader.send("HELLO", 3);
    // Half of them begin in history, half with what comes.
    if (i % 2 === 0) reader.send("ESUB", "*", "FROM", 0, "NOACK");
    else reader.send("EPSUB", "*", "NOACK");
    readers.push(reader);
  }
  await until(() => store.subscriptions.count === READERS, "all have subscribed");
  for (const reader of readers) reader.pause();
  const coreBytes = store.memoryBytes();
  const logBytes = store.logBytes();
  let heldMost = 0;
  while (store.logBytes() - logBytes < 24 * MiB) {
    await appendSome();
    heldMost = Math.max(heldMost, door.heldBytes);
  }
  await until(() => store.subscriptions.behindCount === READERS, "none of them is live");
  expect(heldMost).toBeLessThan(READERS * (PUSH_UNSENT_BYTES + 2 * PUSH_BYTES));
  // The cache of blocks may have grown with the log, up to its own bound; subscribers add next to nothing.
  expect(store.memoryBytes() - coreBytes - store.core.exports.cacheBytes()).toBeLessThan(12 * MiB);

  const last = Number(await writer.value("EPOS"));
  const reader = readers[0] as RawClient;
  reader.resume();
  let cursor = 0;
  await until(() => {
    // Each push names its cursor; only the text before the events' payloads is looked at.
    for (;;) {
      const at = reader.received.indexOf(`\r\n:${cursor}\r\n%11`);
      if (at < 0) return cursor === last + 1;
      reader.received = reader.received.slice(at + 1);
      cursor++;
    }
  }, "the first one has got everything");
});

test("the system takes hundreds of KiB for one that never reads, not megabytes", async () => {
  opened = openDoor();
  const { server, store } = opened;
  const writer = await connect();
  const payload = "x".repeat(KiB);
  /** Appends a MiB; returns the bytes that the server has sent meanwhile, to whomever. */
  const appendSome = async () => {
    const before = server.outputBytes;
    await writer.pipeline(Array(1_024).fill(["EAPPEND", "s", "A", "PAYLOAD", payload]));
    return server.outputBytes - before;
  };
  const replyBytes = await appendSome();
  // Paused before anything comes, in Bun's own way: a client that reads some first is given a window of a megabyte by the system.
  let readBytes = 0;
  const reader = await Bun.connect({
    hostname: "127.0.0.1",
    port: opened.port,
    socket: {
      data(_socket, chunk) {
        readBytes += chunk.length;
      },
    },
  });
  reader.pause();
  reader.write(Buffer.concat([encode(["HELLO", 3]), encode(["ESUB", "*", "NOACK"])]));
  await until(() => store.subscriptions.count === 1, "it has subscribed");
  let pushedBytes = 0;
  for (let i = 0; i < 8; i++) pushedBytes += (await appendSome()) - replyBytes;
  expect(readBytes).toBe(0);
  expect(pushedBytes).toBeLessThan(512 * KiB);
  reader.terminate();
});

test("10,000 subscriptions over 1,000 connections: each event comes to its own alone", async () => {
  const CONNECTIONS = 1_000;
  const EACH = 10;
  opened = openDoor();
  const { store } = opened;
  const followers: RespClient[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const client = await RespClient.connect(opened.port);
    clients.push(client);
    client.send(encode(["HELLO", 3]));
    for (let j = 0; j < EACH; j++) client.send(encode(["ESUB", `s${i * EACH + j}`]));
    followers.push(client);
  }
  await until(() => store.subscriptions.count === CONNECTIONS * EACH, "all have subscribed");
  await until(() => followers.every((client) => client.pushCount === EACH), "all were told");
  for (const client of followers) for (let j = 0; j < EACH; j++) await client.push();
  const writer = await connect();
  const streams = Array.from({ length: 300 }, (_, i) => `s${(i * 3_331) % (CONNECTIONS * EACH)}`);
  await writer.pipeline(streams.map((stream) => ["EAPPEND", stream, "A"]));
  await until(
    () => followers.reduce((sum, client) => sum + client.pushCount, 0) === streams.length,
    "every event has come to one subscriber",
  );
  for (const [i, client] of followers.entries()) {
    while (client.pushCount > 0) {
      const [kind, , , event] = plain(await client.push(), "utf8") as [
        string,
        string,
        number,
        object,
      ];
      expect(kind).toBe("message");
      const { stream_id } = event as { stream_id: string };
      expect(Math.floor(Number(stream_id.slice(1)) / EACH)).toBe(i);
    }
  }
});
