/**
 * An append given again under its EVENT_ID: answered as the first time, for ever, and never written twice.
 *
 * What else may then differ is the request's own doing (metadata, time, version, key); other content under a known id
 * is DUPLICATE and writes nothing.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { asMaps, type PlainMap, plain, RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const PARTITIONS = 32;
const KEY = "550e8400-e29b-41d4-a716-446655440000";

let cairn: Cairn;
let client: RespClient;
/** Each test has streams and ids of its own. */
let testNumber = 0;
let stream: string;

beforeAll(async () => {
  cairn = await startCairn();
});
beforeEach(async () => {
  client = await RespClient.connect3(cairn.respPort);
  testNumber++;
  stream = `s-${testNumber}`;
});
afterEach(() => client.close());
afterAll(async () => {
  expect(await cairn.stop()).toBe(0);
});

/** The test's n-th event id. */
function id(n: number): string {
  return `00000000-0000-4000-8000-${String(testNumber * 1_000 + n).padStart(12, "0")}`;
}

/** How many events the store has, over all partitions. */
async function eventCount(): Promise<number> {
  const commands: Word[][] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) commands.push(["EPSEQ", partition]);
  const sequences = (await client.pipeline(commands)).map((frame) => plain(frame));
  return sequences.reduce<number>(
    (count, sequence) => count + (sequence === null ? 0 : Number(sequence) + 1),
    0,
  );
}

/** Refused with this text, and nothing was written. */
async function expectDuplicate(text: string, ...words: Word[]): Promise<void> {
  const count = await eventCount();
  expect(await client.error(...words)).toBe(`DUPLICATE ${text}`);
  expect(await eventCount()).toBe(count);
}

/** Where an event is, as DUPLICATE tells it. */
async function otherContent(eventId: string, known = eventId): Promise<string> {
  const event = (await client.map("EGET", known, "WITHPOSITION")) as PlainMap;
  return `event id ${eventId} already stands for other content: stream ${event.stream_id} version ${event.stream_version} at position ${event.position}`;
}

describe("EAPPEND", () => {
  test("given again: the first answer, whatever its metadata, time, version and key", async () => {
    const words = ["EAPPEND", stream, "E", "EVENT_ID", id(1), "PAYLOAD", "p"];
    const first = await client.map(...words, "EXPECTED_VERSION", "empty", "METADATA", "trace-1");
    expect(first).toMatchObject({ event_id: id(1), stream_version: 0 });
    await client.map("EAPPEND", stream, "Later");
    const count = await eventCount();

    for (const options of [
      ["EXPECTED_VERSION", "empty", "METADATA", "trace-1"],
      ["METADATA", "trace-2"],
      [],
      ["TIMESTAMP", "1"],
      ["EXPECTED_VERSION", "99"],
      ["PARTITION_KEY", KEY],
    ]) {
      expect(await client.map(...words, ...options), options.join(" ")).toEqual(first);
    }
    expect(await eventCount()).toBe(count);
    expect((await client.map("EGET", id(1))).metadata).toBe("trace-1");
  });

  test("given again with WITHPOSITION: the same place in the log", async () => {
    const words = ["EAPPEND", stream, "E", "EVENT_ID", id(1), "WITHPOSITION"];
    const first = await client.map(...words);
    expect(first.position).toEqual(expect.any(Number));
    expect(await client.map(...words)).toEqual(first);
  });

  test("given twice in one pipeline: both get the same answer", async () => {
    const words = ["EAPPEND", stream, "E", "EVENT_ID", id(1)];
    const replies = (await client.pipeline([words, words, words])).map((frame) => plain(frame));
    expect(replies[0]).toMatchObject({ event_id: id(1), stream_version: 0 });
    expect(replies[1]).toEqual(replies[0]);
    expect(replies[2]).toEqual(replies[0]);
    expect(await client.value("ESVER", stream)).toBe(0);
  });

  test("the id's other forms are the same id", async () => {
    const given = "550e8400-e29b-41d4-a716-446655440abc";
    const first = await client.map("EAPPEND", stream, "E", "EVENT_ID", given);
    for (const form of [
      given.toUpperCase(),
      given.replaceAll("-", ""),
      `{${given}}`,
      `urn:uuid:${given}`,
    ]) {
      expect(await client.map("EAPPEND", stream, "E", "EVENT_ID", form)).toEqual(first);
    }
  });

  test("with another payload, name or stream: DUPLICATE", async () => {
    await client.map("EAPPEND", stream, "Before");
    await client.map("EAPPEND", stream, "E", "EVENT_ID", id(1), "PAYLOAD", "p");
    const text = await otherContent(id(1));
    expect(text).toContain(`stream ${stream} version 1 at position `);
    const option = ["EVENT_ID", id(1)];
    await expectDuplicate(text, "EAPPEND", stream, "E", ...option, "PAYLOAD", "q");
    await expectDuplicate(text, "EAPPEND", stream, "E", ...option, "PAYLOAD", "pp");
    await expectDuplicate(text, "EAPPEND", stream, "E", ...option);
    await expectDuplicate(text, "EAPPEND", stream, "F", ...option, "PAYLOAD", "p");
    await expectDuplicate(text, "EAPPEND", `${stream}-other`, "E", ...option, "PAYLOAD", "p");
    expect(await client.value("ESVER", `${stream}-other`)).toBeNull();
  });

  test("the same content under another id is another event", async () => {
    for (const version of [0, 1]) {
      const reply = await client.map("EAPPEND", stream, "E", "EVENT_ID", id(version));
      expect(reply.stream_version).toBe(version);
    }
  });

  test("an id that the server made is recognised too", async () => {
    const first = await client.map("EAPPEND", stream, "E", "PAYLOAD", "p");
    const words = ["EAPPEND", stream, "E", "PAYLOAD", "p", "EVENT_ID", String(first.event_id)];
    expect(await client.map(...words)).toEqual(first);
  });
});

describe("EMAPPEND", () => {
  const two = (options: { first?: string[]; second?: string[] } = {}) => [
    `${stream}-a`,
    "A",
    "PAYLOAD",
    "a",
    ...(options.first ?? []),
    `${stream}-b`,
    "B",
    "PAYLOAD",
    "b",
    ...(options.second ?? []),
  ];

  test("given again: the first answer", async () => {
    const events = two({ first: ["EVENT_ID", id(1)], second: ["EVENT_ID", id(2)] });
    const first = await client.map("EMAPPEND", KEY, ...events);
    const count = await eventCount();
    expect(await client.map("EMAPPEND", KEY, ...events)).toEqual(first);
    expect(await eventCount()).toBe(count);
  });

  test("one id is enough: the others are compared by content", async () => {
    const first = await client.map("EMAPPEND", KEY, ...two({ second: ["EVENT_ID", id(2)] }));
    const count = await eventCount();
    expect(await client.map("EMAPPEND", KEY, ...two({ second: ["EVENT_ID", id(2)] }))).toEqual(
      first,
    );
    const made = String(asMaps(first.events)[0]?.event_id);
    expect(await client.map("EMAPPEND", KEY, ...two({ first: ["EVENT_ID", made] }))).toEqual(first);
    expect(await eventCount()).toBe(count);
  });

  test("versions, times and metadata of the events are not compared", async () => {
    const options = ["EVENT_ID", id(1)];
    const first = await client.map("EMAPPEND", KEY, ...two({ first: options }));
    const again = two({
      first: [...options, "EXPECTED_VERSION", "7", "METADATA", "m"],
      second: ["TIMESTAMP", "1", "EXPECTED_VERSION", "empty"],
    });
    expect(await client.map("EMAPPEND", KEY, ...again)).toEqual(first);
  });

  test("other count, order or contents: DUPLICATE", async () => {
    const option = ["EVENT_ID", id(1)];
    await client.map("EMAPPEND", KEY, ...two({ first: option }));
    const text = await otherContent(id(1));
    const a = [`${stream}-a`, "A", "PAYLOAD", "a"];
    const b = [`${stream}-b`, "B", "PAYLOAD", "b"];
    for (const events of [
      [...a, ...option],
      [...a, ...option, ...b, ...b],
      [...b, ...a, ...option],
      [...a, ...option, `${stream}-b`, "B", "PAYLOAD", "changed"],
      [...a, ...option, `${stream}-b`, "Changed", "PAYLOAD", "b"],
      [...a, ...option, `${stream}-changed`, "B", "PAYLOAD", "b"],
    ]) {
      await expectDuplicate(text, "EMAPPEND", KEY, ...events);
    }
    await expectDuplicate(text, "EAPPEND", ...a, ...option);
  });

  test("ids of two transactions, in exchanged places, or a new one beside a known: DUPLICATE", async () => {
    const ids = (first: number, second: number) =>
      two({ first: ["EVENT_ID", id(first)], second: ["EVENT_ID", id(second)] });
    await client.map("EMAPPEND", KEY, ...ids(1, 2));
    await client.map("EMAPPEND", KEY, ...ids(3, 4));
    const count = await eventCount();
    for (const events of [ids(1, 4), ids(2, 1), ids(1, 9), ids(9, 2)]) {
      expect(await client.error("EMAPPEND", KEY, ...events)).toMatch(/^DUPLICATE event id /);
    }
    expect(await eventCount()).toBe(count);
    expect(await client.value("EGET", id(9))).toBeNull();
  });

  test("one id twice in a request: DUPLICATE", async () => {
    const text = `event id ${id(1)} is given twice in this request`;
    const option = ["EVENT_ID", id(1)];
    await expectDuplicate(text, "EMAPPEND", KEY, ...two({ first: option, second: option }));
    // Also where the id is known, whichever of the two faults is told.
    await client.map("EMAPPEND", KEY, ...two({ first: option }));
    const count = await eventCount();
    const words = ["EMAPPEND", KEY, ...two({ first: option, second: option })];
    expect(await client.error(...words)).toMatch(`DUPLICATE event id ${id(1)} `);
    expect(await eventCount()).toBe(count);
  });

  test("EAPPEND is a transaction of one, and a repeat is answered in the shape of the new request", async () => {
    const event = [stream, "E", "PAYLOAD", "p", "EVENT_ID", id(1)];
    const single = await client.map("EAPPEND", ...event);
    const count = await eventCount();
    expect(await client.map("EMAPPEND", String(single.partition_key), ...event)).toEqual({
      partition_key: single.partition_key,
      partition_id: single.partition_id,
      first_partition_sequence: single.partition_sequence,
      last_partition_sequence: single.partition_sequence,
      events: [
        {
          event_id: id(1),
          stream_id: stream,
          stream_version: single.stream_version,
          timestamp: single.timestamp,
        },
      ],
    });
    expect(await client.map("EMAPPEND", "*", ...event)).toEqual({
      partition_key: null,
      partition_id: null,
      first_partition_sequence: null,
      last_partition_sequence: null,
      events: [
        {
          event_id: id(1),
          stream_id: stream,
          stream_version: single.stream_version,
          timestamp: single.timestamp,
          partition_key: single.partition_key,
          partition_id: single.partition_id,
          partition_sequence: single.partition_sequence,
        },
      ],
    });
    expect(await eventCount()).toBe(count);

    const only = [`${stream}-only`, "E", "EVENT_ID", id(2)];
    const transaction = await client.map("EMAPPEND", KEY, ...only);
    const answer = await client.map("EAPPEND", ...only);
    expect(answer).toMatchObject({
      event_id: id(2),
      partition_key: KEY,
      partition_sequence: transaction.first_partition_sequence,
      stream_version: 0,
    });
  });
});

describe("after a restart", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-idempotency-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("orderly or by kill -9, every id is still known", async () => {
    const data = join(folder, "data");
    const single = ["EAPPEND", "s", "E", "EVENT_ID", id(1), "PAYLOAD", "p", "WITHPOSITION"];
    const several = ["EMAPPEND", "*", "WITHPOSITION", "a", "A", "b", "B", "EVENT_ID", id(2)];
    let answers: PlainMap[] | null = null;
    for (const end of ["stop", "kill", "stop", "kill"] as const) {
      const server = await startCairn({ data });
      const connection = await RespClient.connect3(server.respPort);
      const replies = [await connection.map(...single), await connection.map(...several)];
      answers ??= replies;
      expect(replies).toEqual(answers);
      expect(await connection.error("EAPPEND", "s", "E", "EVENT_ID", id(1))).toBe(
        `DUPLICATE event id ${id(1)} already stands for other content: stream s version 0 at position 0`,
      );
      expect(await connection.value("ESVER", "s")).toBe(0);
      connection.close();
      if (end === "kill") await server.kill();
      else expect(await server.stop()).toBe(0);
    }
  });
});
