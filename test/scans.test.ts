/**
 * Reading over a socket: REV, ELOG, EPOS and AHEAD, has_more and next in every case, filters on each scan, and
 * that a scan which has much to look at lets others through.
 */
import * as fs from "node:fs";
import { connect, type Socket } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SCAN_EXAMINED_MAX } from "../server/limits.ts";
import { asMaps, encode, type PlainMap, RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const KEY = "550e8400-e29b-41d4-a716-446655440000";
/** Events of one transaction. */
const TRANSACTION_EVENTS = 8_192;

let cairn: Cairn;
let client: RespClient;

/** has_more, next (undefined where the reply has none), and the payloads in order. */
interface Seen {
  readonly more: boolean;
  readonly next: number | null | undefined;
  readonly payloads: string;
}

async function scan(line: string): Promise<Seen> {
  const reply = await client.map(...line.split(" "));
  return {
    more: reply.has_more === true,
    next: reply.next as number | null | undefined,
    payloads: asMaps(reply.events)
      .map(({ payload }) => String(payload))
      .join(""),
  };
}

/** One line of a table: a request, then has_more, next and payloads. */
type Row = readonly [
  line: string,
  more: boolean,
  next: number | null | undefined,
  payloads: string,
];

function check(rows: readonly Row[]): void {
  test.each(rows)("%s", async (line, more, next, payloads) => {
    expect(await scan(line)).toEqual({ more, next, payloads });
  });
}

describe("six events in three streams", () => {
  beforeAll(async () => {
    cairn = await startCairn({ args: ["--partitions", "8"] });
    client = await RespClient.connect3(cairn.respPort);
    // position:  0  1  2  3  4  5
    // stream:    a  b  a  b  a  k
    // name:      N  N  M  N  N  M
    // timestamp: 50 10 30 20 40 60
    const appends = [
      ["a", "N", 50],
      ["b", "N", 10],
      ["a", "M", 30],
      ["b", "N", 20],
      ["a", "N", 40],
    ] as const;
    for (const [index, [stream, name, timestamp]] of appends.entries()) {
      await client.map("EAPPEND", stream, name, "TIMESTAMP", timestamp, "PAYLOAD", index);
    }
    await client.map(...["EAPPEND", "k", "M", "TIMESTAMP", 60, "PAYLOAD", 5, "PARTITION_KEY", KEY]);
  });
  afterAll(async () => {
    client.close();
    await cairn.stop();
  });

  describe("by version, without a filter: no next", () => {
    check([
      ["ESCAN a - +", false, undefined, "024"],
      ["ESCAN a - + REV", false, undefined, "420"],
      ["ESCAN a - + REV COUNT 2", true, undefined, "42"],
      ["ESCAN a 0 1 rev count 1", true, undefined, "2"],
      ["ESCAN a - + REV COUNT 0", true, undefined, ""],
      ["ESCAN a 3 + REV", false, undefined, ""],
      ["ESCAN a 9 + REV COUNT 0", false, undefined, ""],
      ["ESCAN nobody - + REV", false, undefined, ""],
    ]);
  });

  describe("by sequence, newest first", () => {
    test("is the other way round", async () => {
      const [event] = await client.events("ESCAN", "a", "-", "+", "COUNT", 1);
      const partition = String(event?.partition_id);
      const forwards = await scan(`EPSCAN ${partition} - +`);
      const backwards = await scan(`EPSCAN ${partition} - + REV`);
      expect(backwards.payloads).toBe([...forwards.payloads].reverse().join(""));
      const newest = await scan(`EPSCAN ${partition} - + REV COUNT 1`);
      expect(newest.payloads).toBe(forwards.payloads.at(-1) as string);
    });
  });

  describe("the whole store by position, always with next", () => {
    check([
      ["ELOG - +", false, 6, "012345"],
      ["ELOG 0 5", false, null, "012345"],
      ["ELOG 0 6", false, 6, "012345"],
      ["ELOG 2 3", false, null, "23"],
      ["ELOG 2 + COUNT 2", true, 4, "23"],
      ["ELOG 2 4 COUNT 2", true, 4, "23"],
      ["ELOG 2 3 COUNT 2", false, null, "23"],
      ["ELOG 4 + COUNT 2", false, 6, "45"],
      ["ELOG - + COUNT 0", true, 0, ""],
      ["ELOG 6 +", false, 6, ""],
      ["ELOG 6 + COUNT 0", false, 6, ""],
      ["ELOG 6 9", false, 6, ""],
      ["ELOG 4 3", false, null, ""],
      ["ELOG - + REV", false, null, "543210"],
      ["ELOG - + REV COUNT 2", true, 3, "54"],
      ["ELOG 2 4 REV COUNT 2", true, 2, "43"],
      ["ELOG 2 4 REV COUNT 3", false, null, "432"],
      ["ELOG - + REV COUNT 0", true, 5, ""],
      ["ELOG 6 + REV", false, null, ""],
      ["ELOG 900 + REV", false, null, ""],
      ["ELOG 4 3 REV", false, null, ""],
    ]);
  });

  describe("with filters: next is where to go on, null where the end is reached for good", () => {
    check([
      ["ELOG - + NAME N", false, 6, "0134"],
      ["ELOG - + NAME N NAME M", false, 6, "012345"],
      ["ELOG - + NAME X", false, 6, ""],
      ["ELOG 0 5 NAME X", false, null, ""],
      ["ELOG 0 9 NAME X", false, 6, ""],
      ["ELOG - + NAME N COUNT 2", true, 3, "01"],
      ["ELOG 3 + NAME N COUNT 2", false, 6, "34"],
      ["ELOG 3 4 NAME N COUNT 2", false, null, "34"],
      ["ELOG - + NAME M COUNT 0", true, 2, ""],
      ["ELOG - + NAME M COUNT 1 REV", true, 2, "5"],
      ["ELOG 0 2 NAME M COUNT 1 REV", false, null, "2"],
      ["ELOG - + MATCH [ab]", false, 6, "01234"],
      ["ELOG - + MATCH A", false, 6, ""],
      ["ELOG - + SINCE 30", false, 6, "0245"],
      ["ELOG - + UNTIL 30", false, 6, "123"],
      ["ELOG - + SINCE 20 UNTIL 40 REV", false, null, "432"],
      ["ELOG - + SINCE 41 UNTIL 40", false, 6, ""],
      ["ELOG - + match a name N since 45 count 9", false, 6, "0"],
      [`ELOG - + KEY ${KEY}`, false, 6, "5"],
      ["ELOG - + KEY a", false, 6, "024"],
      ["ELOG - + KEY a COUNT 1", true, 2, "0"],
      ["ELOG - + KEY nobody", false, 6, ""],
      ["ELOG - + ASOF 0", false, 6, ""],
      ["ELOG 0 5 ASOF 0", false, null, ""],
      ["ELOG - + ASOF 9007199254740991 COUNT 5", true, 5, "01234"],
      ["ELOG - + PARTITIONS 0-7", false, 6, "012345"],
      ["ESCAN a - + NAME N", false, 3, "04"],
      ["ESCAN a 0 2 NAME N", false, null, "04"],
      ["ESCAN a 0 7 NAME N", false, 3, "04"],
      ["ESCAN a - + NAME N COUNT 1", true, 2, "0"],
      ["ESCAN a - + NAME N COUNT 1 REV", true, 0, "4"],
      ["ESCAN a - + MATCH b", false, 3, ""],
      ["ESCAN a - + KEY b", false, 3, ""],
      ["ESCAN a 7 + NAME N", false, 7, ""],
      ["ESCAN a - + PARTITION_KEY b NAME N", false, 0, ""],
      ["ESCAN nobody 4 + NAME N", false, 4, ""],
      ["ESCAN nobody 4 6 NAME N", false, 4, ""],
      ["ESCAN nobody 4 3 NAME N", false, null, ""],
      ["ESCAN nobody - + NAME N REV", false, null, ""],
    ]);

    test("PARTITION_KEY and KEY are two things", async () => {
      expect(await scan(`ESCAN k - + PARTITION_KEY ${KEY} KEY ${KEY}`)).toMatchObject({
        payloads: "5",
      });
      expect(await scan(`ESCAN k - + PARTITION_KEY ${KEY} KEY a`)).toMatchObject({ payloads: "" });
      expect(await scan(`ESCAN k - + KEY ${KEY} PARTITION_KEY a`)).toMatchObject({ payloads: "" });
    });

    test("a partition's sequences", async () => {
      const [event] = await client.events("ELOG", "5", "5");
      const partition = String(event?.partition_id);
      const all = await client.events("EPSCAN", partition, "-", "+");
      const matching = await scan(`EPSCAN ${partition} - + KEY ${KEY}`);
      expect(matching).toEqual({ more: false, next: all.length, payloads: "5" });
      expect(await scan(`EPSCAN ${partition} - + PARTITIONS ${partition} MATCH k`)).toEqual(
        matching,
      );
      const other = (Number(partition) + 1) % 8;
      expect(await scan(`EPSCAN ${partition} - + PARTITIONS ${other}`)).toEqual({
        more: false,
        next: all.length,
        payloads: "",
      });
    });

    test("ASOF is the state as of then", async () => {
      const events = await client.events("ELOG", "-", "+");
      for (const { recorded_at } of events) {
        const then = events.filter((event) => Number(event.recorded_at) <= Number(recorded_at));
        expect((await scan(`ELOG - + ASOF ${recorded_at}`)).payloads).toBe(
          then.map(({ payload }) => payload).join(""),
        );
      }
    });
  });

  test("events of ELOG carry their position and recorded_at, in RESP2 as well", async () => {
    const [event] = await client.events("ELOG", "3", "3");
    expect(event).toMatchObject({ position: 3, stream_id: "b", stream_version: 1 });
    expect(Number(event?.recorded_at)).toBeGreaterThan(1_700_000_000_000);
    const old = await RespClient.connect(cairn.respPort);
    const reply = (await old.value("ELOG", "0", "0", "MATCH", "a")) as unknown[];
    expect(reply.slice(0, 3)).toEqual(["has_more", 0, "events"]);
    expect(reply.slice(4)).toEqual(["next", null]);
    old.close();
  });

  test("EPOS is the last position", async () => {
    expect(await client.value("EPOS")).toBe(5);
  });

  test("a start from the last position + 2 on is AHEAD", async () => {
    const { epoch } = await client.map("HELLO");
    for (const line of ["ELOG 7 +", "ELOG 7 9 COUNT 0", "ELOG 7 3", "ELOG 7 + NAME N"]) {
      expect(await client.error(...line.split(" "))).toBe(
        `AHEAD position 7 is beyond the end 5 of epoch ${epoch}`,
      );
    }
    expect(await client.error("ELOG", "9007199254740991", "+")).toBe(
      `AHEAD position 9007199254740991 is beyond the end 5 of epoch ${epoch}`,
    );
  });

  test.each([
    ["ELOG", "unexpected end of input: expected range value (-, +, or number)"],
    ["ELOG + +", "start position cannot be '+'"],
    [
      "ELOG - + WITHPOSITION",
      "unexpected string: expected COUNT, REV, BLOCK, MATCH, NAME, KEY, PARTITIONS, SINCE, UNTIL, ASOF or end of input, got 'WITHPOSITION' as argument 3",
    ],
    ["ELOG - + REV REV", "REV already specified"],
    ["EPOS x", "wrong number of arguments for 'epos' command"],
  ])("%s is refused", async (line, text) => {
    expect(await client.error(...line.split(" "))).toBe(`INVALIDARG ${text}`);
  });

  test("a list of partitions is long enough for all that there can be, and limited", async () => {
    const list = `0-7${",0".repeat(262_142)}`;
    expect(await scan(`ELOG - + COUNT 1 PARTITIONS ${list}`)).toMatchObject({ next: 1 });
    expect(await client.error("ELOG", "-", "+", "PARTITIONS", `${list},0`)).toBe(
      "TOOLARGE the length of a list of partitions in bytes is limited to 524288, but 524289 was asked",
    );
  });
});

test("an empty store", async () => {
  const empty = await startCairn();
  client = await RespClient.connect3(empty.respPort);
  const { epoch } = await client.map("HELLO");
  expect(await client.value("EPOS")).toBeNull();
  expect(await scan("ELOG - +")).toEqual({ more: false, next: 0, payloads: "" });
  expect(await scan("ELOG 0 0")).toEqual({ more: false, next: 0, payloads: "" });
  expect(await scan("ELOG - + NAME N")).toEqual({ more: false, next: 0, payloads: "" });
  expect(await scan("ELOG - + ASOF 5 REV")).toEqual({ more: false, next: null, payloads: "" });
  expect(await client.error("ELOG", 1, "+")).toBe(
    `AHEAD position 1 is beyond the end -1 of epoch ${epoch}`,
  );
  client.close();
  await empty.stop();
});

test("a damaged event ends a scan before it; the one that begins at it says so", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-scans-"));
  cairn = await startCairn({ data: folder, args: ["--partitions", "1"] });
  client = await RespClient.connect3(cairn.respPort);
  for (const [index, stream] of ["a", "b", "damaged", "c"].entries()) {
    await client.map("EAPPEND", stream, "N", "PAYLOAD", index);
  }
  // Nothing of the log was read yet, so that what the file says is what the server will find.
  const file = path.join(folder, "log", `${"0".repeat(20)}.seg`);
  const at = fs.readFileSync(file).indexOf("damaged");
  const handle = fs.openSync(file, "r+");
  fs.writeSync(handle, "D", at);
  fs.closeSync(handle);
  for (const filter of ["", " NAME N", " NAME X", " SINCE 1 ASOF 9007199254740991"]) {
    const found = filter === " NAME X" ? "" : "01";
    expect(await scan(`ELOG - +${filter}`)).toEqual({ more: true, next: 2, payloads: found });
    const newest = filter === " NAME X" ? "" : "3";
    expect(await scan(`ELOG - + REV${filter}`)).toEqual({ more: true, next: 2, payloads: newest });
    for (const line of [`ELOG 2 +${filter}`, `ELOG 0 2 REV${filter}`]) {
      expect(await client.error(...line.split(" "))).toMatch(
        /^CORRUPT the record in \S+ at offset \d+ is damaged$/,
      );
    }
    expect(await scan(`ELOG 3 +${filter}`)).toMatchObject({ more: false, next: 4 });
  }
  // Who looks for one key reads no event of another.
  expect(await scan("ELOG - + KEY c")).toEqual({ more: false, next: 4, payloads: "3" });
  expect(await scan("EPSCAN 0 - + REV KEY a")).toEqual({ more: false, next: null, payloads: "0" });
  expect(await client.value("SCAN", 0)).toEqual(["2", ["a", "b"]]);
  expect(await client.error("SCAN", 2)).toMatch(/^CORRUPT /);
  expect(await client.value("SCAN", 3)).toEqual(["0", ["c"]]);
  client.close();
  await cairn.kill();
  fs.rmSync(folder, { recursive: true });
});

describe("a scan that has much to look at", () => {
  /** More than one filtered scan looks at. */
  const COUNT = SCAN_EXAMINED_MAX + 2 * TRANSACTION_EVENTS;
  const LAST = COUNT - 1;
  let writer: RespClient;

  beforeAll(async () => {
    cairn = await startCairn({ args: ["--durability", "os", "--partitions", "1"] });
    writer = await RespClient.connect3(cairn.respPort);
    const words: Word[] = ["EMAPPEND", KEY];
    for (let i = 0; i < TRANSACTION_EVENTS; i++) words.push("s", "N");
    for (let at = 0; at < COUNT; at += TRANSACTION_EVENTS) {
      expect((await writer.command(...words)).kind).toBe("%");
    }
    expect(await writer.value("EPOS")).toBeGreaterThanOrEqual(LAST);
  });
  afterAll(async () => {
    writer.close();
    await cairn.stop();
  });

  /** Looks at as much as one request may, and finds nothing. */
  const LONG = ["ELOG", "-", "+", "NAME", "Nothing"];

  test("ends at the limit, and goes on from next", async () => {
    const first = await writer.map(...LONG);
    expect(first).toMatchObject({ has_more: true, events: [] });
    expect(first.next).toBeGreaterThanOrEqual(SCAN_EXAMINED_MAX);
    const second = await writer.map("ELOG", Number(first.next), "+", "NAME", "Nothing");
    const position = Number(await writer.value("EPOS"));
    expect(second).toEqual({ has_more: false, events: [], next: position + 1 });
    const last = await writer.map("ELOG", "-", "+", "REV", "NAME", "Nothing");
    expect(last).toEqual({
      has_more: true,
      events: [],
      next: position - Number(first.next),
    });
  });

  test("passes over all events of other keys at once", async () => {
    const key = "0197a000-5a5a-7000-8000-00000000feed";
    const payload = "of another key";
    await writer.map("EAPPEND", "rare", "N", "PARTITION_KEY", key, "PAYLOAD", payload);
    const position = Number(await writer.value("EPOS"));
    for (const [line, next] of [
      [`ELOG - + KEY ${key}`, position + 1],
      [`ELOG - + REV KEY ${key}`, null],
      [`EPSCAN 0 - + COUNT 5 KEY ${key}`, position + 1],
      [`EPSCAN 0 - + REV COUNT 1 KEY ${key}`, null],
    ] as const) {
      const found = await writer.map(...line.split(" "));
      expect(found).toMatchObject({ has_more: false, events: [{ payload }], next });
    }
    const none = await writer.map("ELOG", "-", "+", "KEY", "nobody's");
    expect(none).toEqual({ has_more: false, events: [], next: position + 1 });
  });

  test("lets other connections through, appends too", async () => {
    const other = await RespClient.connect3(cairn.respPort);
    let isDone = false;
    const long = writer.map(...LONG).then((reply) => {
      isDone = true;
      return reply;
    });
    let served = 0;
    while (!isDone) {
      await other.command("PING");
      if (!isDone) served++;
      await other.map("EAPPEND", "other", "N");
      if (!isDone) served++;
    }
    // The long one takes hundreds of slices; how many fall between two of ours is the machine's matter.
    expect(served).toBeGreaterThan(4);
    expect(await long).toMatchObject({ has_more: true, events: [] });
    other.close();
  });

  test("lets them through where it has no filter, but many events, too", async () => {
    const order: string[] = [];
    const [many, other] = await Promise.all(
      ["many", "other"].map(async (name) => {
        const socket = connect(cairn.respPort, "127.0.0.1");
        await new Promise((resolve) => socket.once("connect", resolve));
        socket.once("data", () => order.push(name));
        return socket;
      }),
    );
    const send = (socket: Socket | undefined, ...words: Word[]): Promise<void> =>
      new Promise((resolve) => socket?.write(encode(words), () => resolve()));
    // Both requests are there when the server goes on, the long one first.
    process.kill(cairn.pid, "SIGSTOP");
    await send(many, "ELOG", "-", "+", "COUNT", 20_000);
    await send(other, "PING");
    process.kill(cairn.pid, "SIGCONT");
    await until(() => order.length === 2, "both are answered");
    expect(order).toEqual(["other", "many"]);
    many?.destroy();
    other?.destroy();
  });

  test("keeps the order of its own connection's requests", async () => {
    const replies = await writer.pipeline([
      ["PING", "1"],
      LONG,
      ["ESVER", "s"],
      [...LONG, "COUNT", 0],
      ["EAPPEND", "mine", "N"],
      ["ESVER", "mine"],
      LONG,
      ["RESET"],
      ["HELLO", 3],
      ["PING", "2"],
    ]);
    expect(replies.map(({ kind }) => kind)).toEqual("$%:%%:%+%$".split(""));
  });

  test("answers a client that sends no more, and one that quits", async () => {
    const half = await RespClient.connect3(cairn.respPort);
    const reply = half.map(...LONG);
    half.endSending();
    expect(await reply).toMatchObject({ has_more: true });
    await half.closed;
    const quitting = await RespClient.connect3(cairn.respPort);
    const answers = await quitting.pipeline([LONG, ["QUIT"]]);
    expect(answers.map(({ kind }) => kind)).toEqual(["%", "+"]);
    await quitting.closed;
  });

  test("ends with its connection", async () => {
    const leaving = await RespClient.connect3(cairn.respPort);
    const arrived = leaving.command("PING");
    const lost = leaving.map(...LONG).catch(() => "lost");
    await arrived;
    leaving.close();
    expect(await lost).toBe("lost");
    await until(async () => (await connectedClients()) === "1", "the connection is gone");
    expect(await writer.map(...LONG)).toMatchObject({ has_more: true });
  });

  test("many at once are all answered", async () => {
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => RespClient.connect3(cairn.respPort)),
    );
    const replies: PlainMap[] = await Promise.all(clients.map((each) => each.map(...LONG)));
    for (const reply of replies) expect(reply).toEqual(replies[0] as PlainMap);
    for (const each of clients) each.close();
  });

  test("is answered when the server stops meanwhile", async () => {
    const arrived = writer.command("PING");
    const long = writer.map(...LONG);
    await arrived;
    const stopped = cairn.stop();
    expect(await long).toMatchObject({ has_more: true, events: [] });
    expect(await stopped).toBe(0);
  });

  async function connectedClients(): Promise<string> {
    const info = String(await writer.value("INFO", "clients"));
    return /connected_clients:(\d+)/.exec(info)?.[1] ?? "";
  }
});
