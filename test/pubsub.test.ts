/**
 * SUBSCRIBE and its like, byte for byte as Redis 7.0.15 answers (recorded), and what comes on a channel: the events
 * appended from then on, as JSON, in the store's order.
 */
import { afterEach, describe, expect, test } from "vitest";
import { KiB, MiB, UNSENT_BYTES_MAX } from "../server/limits.ts";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { RawClient } from "./support/raw-client.ts";
import { encode, RespClient } from "./support/resp-client.ts";
import { until } from "./support/server.ts";

let opened: DoorInProcess;
const clients: { close(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await opened.stop();
});

async function raw(): Promise<RawClient> {
  const client = await RawClient.connect(opened.port);
  clients.push(client);
  return client;
}

async function connect(): Promise<RespClient> {
  const client = await RespClient.connect3(opened.port);
  clients.push(client);
  return client;
}

/** Says a line and expects these bytes; `>` and `_` stand for what RESP2 has instead. */
async function say(client: RawClient, protocol: 2 | 3, line: string, answer: string) {
  const bytes =
    protocol === 3
      ? answer
      : answer.replaceAll(/>(?=\d+\r\n)/g, "*").replaceAll("_\r\n", "$-1\r\n");
  client.send(...line.split(" "));
  expect(await client.take(bytes.length), line).toBe(bytes);
}

/** `>3 kind name count` as Redis writes it. */
function told(kind: string, name: string | null, count: number): string {
  const text = name === null ? "_\r\n" : `$${name.length}\r\n${name}\r\n`;
  return `>3\r\n$${kind.length}\r\n${kind}\r\n${text}:${count}\r\n`;
}

describe.each([2, 3] as const)("RESP%i", (protocol) => {
  test("the answers are Redis'", async () => {
    opened = openDoor();
    const client = await raw();
    if (protocol === 3) {
      client.send("HELLO", 3);
      await until(() => client.received.includes("durability"), "HELLO is answered");
      await client.take(client.received.length);
    }
    const expectLine = (line: string, answer: string) => say(client, protocol, line, answer);
    await expectLine(
      "SUBSCRIBE a b a",
      told("subscribe", "a", 1) + told("subscribe", "b", 2) + told("subscribe", "a", 2),
    );
    await expectLine("PSUBSCRIBE x*", told("psubscribe", "x*", 3));
    if (protocol === 2) {
      await expectLine("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
      await expectLine("PING hi", "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
      for (const line of ["EAPPEND a A", "ESVER a", "PUBLISH a b", "HELLO 3", "MULTI"]) {
        const name = line.split(" ", 1)[0]?.toLowerCase();
        await expectLine(
          line,
          `-ERR Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n`,
        );
      }
    } else {
      await expectLine("PING", "+PONG\r\n");
      await expectLine("PING hi", "$2\r\nhi\r\n");
      await expectLine("ESVER a", "_\r\n");
    }
    await expectLine("UNSUBSCRIBE a", told("unsubscribe", "a", 2));
    await expectLine("UNSUBSCRIBE", told("unsubscribe", "b", 1));
    await expectLine("UNSUBSCRIBE", told("unsubscribe", null, 1));
    await expectLine("PUNSUBSCRIBE zz", told("punsubscribe", "zz", 1));
    await expectLine("PUNSUBSCRIBE", told("punsubscribe", "x*", 0));
    await expectLine("PING", "+PONG\r\n");
    await expectLine("UNSUBSCRIBE", told("unsubscribe", null, 0));
    await expectLine("SUBSCRIBE a", told("subscribe", "a", 1));
    await expectLine("RESET", "+RESET\r\n");
    await expectLine("PING", "+PONG\r\n");
    client.send("SUBSCRIBE", "a");
    await client.take(told("subscribe", "a", 1).length);
    client.send("QUIT");
    expect(await client.take(5)).toBe("+OK\r\n");
    await until(() => opened.store.subscriptions.count === 0, "nothing is followed any more");
  });

  test("a message for the channel, then one for each pattern, each event as HTTP gives it", async () => {
    opened = openDoor();
    const client = await raw();
    const writer = await connect();
    await writer.value("EAPPEND", "user-1", "Before");
    if (protocol === 3) client.send("HELLO", 3);
    client.send("SUBSCRIBE", "user-1", "user-1=x", "never\nthere");
    client.send("PSUBSCRIBE", "user-*", "*-1");
    await until(() => client.received.includes(":5\r\n"), "it has subscribed");
    await client.take(client.received.length);
    await writer.value("EAPPEND", "user-1", "A", "PAYLOAD", "ü", "METADATA", Buffer.of(0xff));
    await writer.value("EAPPEND", "other-2", "B");
    await writer.value("EAPPEND", "user-2", "C");
    const [first, , third] = opened.store.readEvents(1, 3).map((event) =>
      JSON.stringify({
        event_id: event.eventId,
        partition_key: event.partitionKey,
        partition_id: event.partitionId,
        transaction_id: event.transactionId,
        partition_sequence: event.partitionSequence,
        stream_version: event.streamVersion,
        timestamp: event.timestamp,
        stream_id: event.streamId,
        event_name: event.eventName,
        ...(event.eventName === "A" ? { metadata_base64: "/w==" } : { metadata: "" }),
        payload: event.eventName === "A" ? "ü" : "",
        position: event.position,
        recorded_at: event.recordedAt,
      }),
    );
    const message = (words: readonly (string | undefined)[]) => {
      const bytes = words.map((word) => Buffer.from(word ?? "").toString("latin1"));
      const type = protocol === 3 ? ">" : "*";
      return `${type}${words.length}\r\n${bytes.map((b) => `$${b.length}\r\n${b}\r\n`).join("")}`;
    };
    const expected = [
      ["message", "user-1", first],
      ["pmessage", "user-*", "user-1", first],
      ["pmessage", "*-1", "user-1", first],
      ["pmessage", "user-*", "user-2", third],
    ]
      .map(message)
      .join("");
    expect(await client.take(expected.length)).toBe(expected);
    await say(client, 3, "PUNSUBSCRIBE", "");
    await until(() => client.received.includes(":3\r\n"), "it has left the patterns");
    await client.take(client.received.length);
    await writer.value("EAPPEND", "user-2", "D");
    await writer.value("EAPPEND", "user-1=x", "E");
    await until(() => client.received.includes("\r\n$8\r\nuser-1=x"), "the channel's event came");
    expect(client.received).not.toContain("user-2");
  });
});

test("CLIENT LIST shows who follows how many channels and patterns", async () => {
  opened = openDoor();
  const client = await connect();
  client.send(encode(["SUBSCRIBE", "x", "y"]));
  client.send(encode(["PSUBSCRIBE", "a*"]));
  for (let i = 0; i < 3; i++) await client.push();
  const witness = await connect();
  const listed = String(await witness.value("CLIENT", "LIST", "TYPE", "pubsub"));
  expect(listed).toMatch(/^[^\n]* flags=P db=0 sub=2 psub=1 ssub=0 [^\n]*\n$/);
  expect(await witness.value("CLIENT", "LIST", "TYPE", "normal")).toContain(" sub=0 psub=0 ");
});

test("a subscriber that does not read is counted, not held, and is disconnected beyond its limit", async () => {
  opened = openDoor();
  const { door, store } = opened;
  const stalled = await raw();
  stalled.send("PSUBSCRIBE", "*");
  await until(() => stalled.received.length > 0, "it has subscribed");
  stalled.pause();
  const writer = await connect();
  const payload = "x".repeat(64 * KiB);
  let appended = 0;
  let heldMost = 0;
  while (store.subscriptions.count > 0) {
    await writer.pipeline(Array(16).fill(["EAPPEND", "a", "A", "PAYLOAD", payload]));
    appended += 16 * payload.length;
    heldMost = Math.max(heldMost, door.heldBytes);
    // Its backlog, and what the sockets between have taken.
    expect(appended).toBeLessThan(UNSENT_BYTES_MAX + 64 * MiB);
  }
  expect(appended).toBeGreaterThan(UNSENT_BYTES_MAX);
  expect(heldMost).toBeLessThan(2 * MiB);
  stalled.resume();
  await until(() => stalled.isClosed, "it was disconnected");
  expect(await writer.value("PING")).toBe("PONG");
});

test("a message that is larger as JSON than a connection's output may be comes nevertheless", async () => {
  opened = openDoor();
  const client = await raw();
  client.send("SUBSCRIBE", "a");
  await until(() => client.received.length > 0, "it has subscribed");
  await client.take(client.received.length);
  const writer = await connect();
  const payload = "\x01".repeat(8 * MiB);
  await writer.value("EAPPEND", "a", "A", "PAYLOAD", payload);
  await writer.value("EAPPEND", "a", "B");
  const head = await client.take("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$50332093\r\n".length);
  const size = Number(/\$(\d+)\r\n$/.exec(head)?.[1]);
  expect(size).toBeGreaterThan(UNSENT_BYTES_MAX);
  const event = JSON.parse((await client.take(size + 2)).trimEnd());
  expect(event.payload === payload).toBe(true);
  await until(() => client.received.includes('"event_name":"B"'), "the next one comes too");
});

test("PUBSUB tells who follows what", async () => {
  opened = openDoor();
  const [one, two, witness] = [await raw(), await raw(), await connect()];
  expect(await witness.value("PUBSUB", "CHANNELS")).toEqual([]);
  expect(await witness.value("PUBSUB", "NUMSUB")).toEqual([]);
  expect(await witness.value("PUBSUB", "NUMPAT")).toBe(0);
  one.send("SUBSCRIBE", "user-1", "user-2");
  two.send("SUBSCRIBE", "user-1", "other");
  one.send("PSUBSCRIBE", "user-*", "x*");
  two.send("PSUBSCRIBE", "user-*");
  await until(
    () => one.received.includes("x*") && two.received.includes("user-*"),
    "both have subscribed",
  );
  const told = (await witness.value("PUBSUB", "CHANNELS")) as string[];
  expect(told.sort()).toEqual(["other", "user-1", "user-2"]);
  expect(await witness.value("pubsub", "channels", "o*")).toEqual(["other"]);
  expect(await witness.value("PUBSUB", "NUMSUB", "user-1", "none", "user-1")).toEqual([
    ...["user-1", 2, "none", 0, "user-1", 2],
  ]);
  expect(await witness.value("PUBSUB", "NUMPAT")).toBe(2);
  one.send("UNSUBSCRIBE");
  two.close();
  await until(() => opened.server.sessions.count === 2, "one has gone");
  expect(await witness.value("PUBSUB", "NUMSUB", "user-1", "user-2")).toEqual([
    ...["user-1", 0, "user-2", 0],
  ]);
  expect(await witness.error("PUBSUB", "CHANNELS", "a", "b")).toMatch(/^INVALIDARG .*pubsub/i);
  expect(await witness.error("PUBSUB", "SHARDCHANNELS")).toMatch(/^INVALIDARG unknown subcommand/);
});

test("one that falls behind and reads again misses nothing", async () => {
  opened = openDoor();
  const client = await raw();
  client.send("SUBSCRIBE", "a");
  await until(() => client.received.length > 0, "it has subscribed");
  await client.take(client.received.length);
  client.pause();
  const writer = await connect();
  const payload = "x".repeat(16 * KiB);
  for (let i = 0; i < 40; i++) {
    await writer.pipeline(Array(16).fill(["EAPPEND", "a", "A", "PAYLOAD", payload]));
    await writer.value("EAPPEND", "b", "B", "PAYLOAD", payload);
  }
  client.resume();
  const versions = (): number[] =>
    [...client.received.matchAll(/"stream_version":(\d+)/g)].map((match) => Number(match[1]));
  await until(() => versions().length === 640, "everything has come");
  expect(versions()).toEqual(Array.from({ length: 640 }, (_, version) => version));
  expect(client.received).not.toContain('"stream_id":"b"');
});
