/**
 * ESUB, EPSUB, EACK and EUNSUB over sockets: where a subscription begins, what its window holds back, what ends it, and
 * that nothing is pushed before it is durable.
 */
import { afterEach, describe, expect, test } from "vitest";
import { SUBSCRIPTION_ARGUMENTS_MAX, SUBSCRIPTIONS_MAX, WINDOW_DEFAULT } from "../server/limits.ts";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import type { Plain } from "./support/model.ts";
import { RawClient } from "./support/raw-client.ts";
import { type Frame, plain, RespClient, type Word } from "./support/resp-client.ts";
import { until } from "./support/server.ts";

const PARTITIONS = 4;
let opened: DoorInProcess | null = null;
const clients: RespClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  if (opened !== null) {
    opened.disk.holdSyncs = false;
    opened.disk.releaseSyncs();
  }
  await opened?.stop();
  opened = null;
});

function door(): DoorInProcess {
  opened ??= openDoor({ partitions: PARTITIONS });
  return opened;
}

async function connect(): Promise<RespClient> {
  const client = await RespClient.connect3(door().port);
  clients.push(client);
  return client;
}

/** A subscription and what has come of it. */
class Follower {
  readonly client: RespClient;
  readonly id: string;
  /** Numbers in `subscribe`, and per message cursor, stream, version and position. */
  readonly subscribed: number;

  private constructor(client: RespClient, id: string, subscribed: number) {
    this.client = client;
    this.id = id;
    this.subscribed = subscribed;
  }

  static async open(client: RespClient, ...words: Word[]): Promise<Follower> {
    const id = await client.value(...words);
    const push = values(await client.push());
    expect(push.slice(0, 2)).toEqual(["subscribe", id]);
    return new Follower(client, String(id), Number(push[2]));
  }

  /** The next push: its kind, and what follows the id. */
  async next(): Promise<Plain[]> {
    const [kind, id, ...rest] = values(await this.client.push());
    expect(id).toBe(this.id);
    return [kind as Plain, ...rest];
  }

  /** The next messages as `cursor stream version`. */
  async messages(count: number): Promise<string[]> {
    const lines: string[] = [];
    for (let i = 0; i < count; i++) {
      const [kind, cursor, event] = await this.next();
      expect(kind).toBe("message");
      const { stream_id, stream_version } = event as Record<string, Plain>;
      lines.push(`${cursor} ${stream_id} ${stream_version}`);
    }
    return lines;
  }

  /** Nothing has come, and nothing comes before the answers to a few requests. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 3; i++) await this.client.value("PING");
    expect(this.client.pushCount).toBe(0);
  }
}

function values(frame: Frame): Plain[] {
  expect(frame.kind).toBe(">");
  return plain(frame, "utf8") as Plain[];
}

async function append(client: RespClient, ...streams: string[]): Promise<void> {
  for (const stream of streams) await client.value("EAPPEND", stream, "A");
}

describe("where it begins", () => {
  test("FROM n, MAP and LATEST, with nothing below, and the order of the store over streams", async () => {
    const writer = await connect();
    await append(writer, "a", "b", "a", "b", "a");
    const all = await Follower.open(await connect(), "ESUB", "a", "b", "FROM", 1);
    expect(await all.messages(3)).toEqual(["0 a 1", "1 b 1", "2 a 2"]);
    const mapped = await Follower.open(
      await connect(),
      ...["ESUB", "a", "b", "c=1", "FROM", "MAP", "a=2", "c=1=0"],
    );
    const latest = await Follower.open(await connect(), "ESUB", "a", "b");
    expect(await mapped.messages(1)).toEqual(["0 a 2"]);
    await append(writer, "b", "c=1", "a");
    expect(await mapped.messages(3)).toEqual(["1 b 2", "2 c=1 0", "3 a 3"]);
    expect(await latest.messages(2)).toEqual(["0 b 2", "1 a 3"]);
    expect(await all.messages(2)).toEqual(["3 b 2", "4 a 3"]);
    for (const follower of [all, mapped, latest]) await follower.quiet();
  });

  test("a start above the end waits for it", async () => {
    const writer = await connect();
    const follower = await Follower.open(await connect(), "ESUB", "a", "FROM", 2);
    await append(writer, "a", "a", "a", "a");
    expect(await follower.messages(2)).toEqual(["0 a 2", "1 a 3"]);
  });

  test("FROM POSITION gives position and recorded_at, and refuses another history's number", async () => {
    const writer = await connect();
    await append(writer, "a", "b", "c");
    const client = await connect();
    const follower = await Follower.open(client, "ESUB", "*", "FROM", "POSITION", 1);
    for (const position of [1, 2]) {
      const [, , event] = await follower.next();
      expect(event).toMatchObject({ position, recorded_at: expect.any(Number) });
    }
    expect(await client.error("ESUB", "a", "FROM", "POSITION", 4)).toMatch(/^AHEAD position 4 /);
    await Follower.open(await connect(), "EPSUB", "*", "FROM", "POSITION", 3);
  });

  test("patterns, escapes, and a filter", async () => {
    const writer = await connect();
    await append(writer, "user-1", "user*", "order-1");
    const pattern = await Follower.open(await connect(), "ESUB", "user-*", "o?d*", "FROM", 0);
    const literal = await Follower.open(await connect(), "ESUB", "user\\*", "FROM", 0);
    const named = await Follower.open(await connect(), "ESUB", "*", "FROM", 0, "NAME", "B");
    await append(writer, "user-2");
    await writer.value("EAPPEND", "user*", "B");
    expect(await pattern.messages(3)).toEqual(["0 user-1 0", "1 order-1 0", "2 user-2 0"]);
    expect(await literal.messages(2)).toEqual(["0 user* 0", "1 user* 1"]);
    expect(await named.messages(1)).toEqual(["0 user* 1"]);
    for (const follower of [pattern, literal, named]) await follower.quiet();
  });

  test("PARTITION_KEY takes the stream under that key alone", async () => {
    const writer = await connect();
    await writer.value("EAPPEND", "a", "A", "PARTITION_KEY", "key-1");
    const client = await connect();
    const own = await Follower.open(client, "ESUB", "a", "PARTITION_KEY", "key-1", "FROM", 0);
    const other = await Follower.open(
      await connect(),
      ...["ESUB", "b", "a", "PARTITION_KEY", "key-2", "FROM", 0],
    );
    await append(writer, "a", "b");
    expect(await own.messages(2)).toEqual(["0 a 0", "1 a 1"]);
    expect(await other.messages(1)).toEqual(["0 b 0"]);
    await other.quiet();
  });

  test("partitions: all, some, by key, from a sequence, MAP with DEFAULT", async () => {
    const writer = await connect();
    const streams = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
    await append(writer, ...streams, ...streams);
    const placed = await writer.events("ELOG", "-", "+");
    const expected = (takes: (partition: number, sequence: number) => boolean) =>
      placed
        .filter((event) => takes(Number(event.partition_id), Number(event.partition_sequence)))
        .map((event, i) => `${i} ${event.stream_id} ${event.stream_version}`);
    const follow = async (...words: Word[]) => {
      const follower = await Follower.open(await connect(), "EPSUB", ...words);
      const { length } = placed;
      const come: string[] = [];
      await until(async () => {
        while (follower.client.pushCount > 0) come.push(...(await follower.messages(1)));
        await follower.client.value("PING");
        return door().store.subscriptions.behindCount === 0 || come.length === length;
      }, "history has come");
      while (follower.client.pushCount > 0) come.push(...(await follower.messages(1)));
      return come;
    };
    expect(await follow("*", "FROM", 0)).toEqual(expected(() => true));
    expect(await follow("*", "FROM", 2)).toEqual(expected((_, sequence) => sequence >= 2));
    expect(await follow("0,2-3", "FROM", 0)).toEqual(expected((partition) => partition !== 1));
    expect(await follow("1", "FROM", 1)).toEqual(expected((p, n) => p === 1 && n >= 1));
    const [{ partition_key, partition_id } = {}] = placed;
    expect(await follow(String(partition_key), "FROM", 0)).toEqual(
      expected((partition) => partition === partition_id),
    );
    expect(await follow("*", "FROM", "MAP", "0=1", "2=3", "DEFAULT", 2)).toEqual(
      expected((partition, n) => n >= (partition === 0 ? 1 : partition === 2 ? 3 : 2)),
    );
    expect(await follow("0-1", "FROM", "MAP", "0=1")).toEqual(
      expected((partition, n) => partition === 0 && n >= 1),
    );
  });
});

describe("window and acknowledgement", () => {
  test("no more than WINDOW messages are unacknowledged", async () => {
    const writer = await connect();
    await append(writer, ...Array(8).fill("a"));
    const follower = await Follower.open(await connect(), "ESUB", "a", "FROM", 0, "WINDOW", 3);
    const { client, id } = follower;
    expect(await follower.messages(3)).toEqual(["0 a 0", "1 a 1", "2 a 2"]);
    await follower.quiet();
    expect(await client.error("EACK", id, 3)).toBe(
      "INVALIDARG cursor 3 was not sent yet: 0 to 2 were",
    );
    expect(await client.value("EACK", id, 1)).toBe("OK");
    expect(await follower.messages(2)).toEqual(["3 a 3", "4 a 4"]);
    for (const cursor of [1, 0]) expect(await client.value("EACK", id, cursor)).toBe("OK");
    await follower.quiet();
    expect(await client.value("EACK", id, 4)).toBe("OK");
    expect(await follower.messages(3)).toEqual(["5 a 5", "6 a 6", "7 a 7"]);
    await append(writer, "a");
    await follower.quiet();
    expect(await client.value("EACK", id, 7)).toBe("OK");
    expect(await follower.messages(1)).toEqual(["8 a 8"]);
  });

  test("WINDOW 1 goes one by one, through history and live", async () => {
    const writer = await connect();
    await append(writer, "a", "b");
    const follower = await Follower.open(await connect(), "ESUB", "?", "FROM", 0, "WINDOW", 1);
    for (let cursor = 0; cursor < 6; cursor++) {
      expect(await follower.messages(1)).toEqual([
        `${cursor} ${cursor % 2 === 0 ? "a" : "b"} ${cursor >> 1}`,
      ]);
      await append(writer, cursor % 2 === 0 ? "a" : "b");
      await follower.quiet();
      expect(await follower.client.value("EACK", follower.id, cursor)).toBe("OK");
    }
  });

  test("a client that never acknowledges stops at the default window, and NOACK has none", async () => {
    const writer = await connect();
    const count = WINDOW_DEFAULT + 5;
    await writer.pipeline(Array(count).fill(["EAPPEND", "a", "A"]));
    const follower = await Follower.open(await connect(), "ESUB", "a", "FROM", 0);
    await follower.messages(WINDOW_DEFAULT);
    await follower.quiet();
    const free = await Follower.open(await connect(), "ESUB", "a", "FROM", 0, "NOACK");
    await free.messages(count);
    expect(await free.client.value("EACK", free.id, 7)).toBe("OK");
    expect(await free.client.value("EACK", free.id, 7_000_000)).toBe("OK");
  });

  test("EACK and EUNSUB know the connection's own subscriptions alone", async () => {
    const mine = await Follower.open(await connect(), "ESUB", "a");
    const other = await connect();
    for (const command of [
      ["EACK", mine.id, 0],
      ["EUNSUB", mine.id],
    ]) {
      expect(await other.error(...command)).toBe("NOTFOUND subscription not found");
    }
    expect(await other.error("EACK", "x", 0)).toMatch(/^INVALIDARG invalid subscription id 'x'/);
    expect(await mine.client.error("EACK", mine.id, 0)).toMatch(
      /^INVALIDARG cursor 0 was not sent/,
    );
    expect(await mine.client.value("EUNSUB", mine.id.toUpperCase())).toBe("OK");
    expect(await mine.client.error("EUNSUB", mine.id)).toBe("NOTFOUND subscription not found");
  });
});

describe("the end of a subscription", () => {
  test("nothing comes after EUNSUB's answer, behind or live", async () => {
    const writer = await connect();
    await append(writer, ...Array(5).fill("a"));
    const client = await connect();
    const behind = await Follower.open(client, "ESUB", "a", "FROM", 0, "WINDOW", 2);
    expect(await behind.messages(2)).toHaveLength(2);
    const live = await Follower.open(client, "ESUB", "b", "NOACK");
    expect([behind.subscribed, live.subscribed]).toEqual([1, 2]);
    expect(await client.value("EUNSUB", behind.id)).toBe("OK");
    await append(writer, "a", "b");
    expect(await live.messages(1)).toEqual(["0 b 0"]);
    expect(await client.value("EUNSUB", live.id)).toBe("OK");
    await append(writer, "b");
    await live.quiet();
    expect((await Follower.open(client, "ESUB", "a")).subscribed).toBe(1);
  });

  test("a closed connection's end with it, RESET's too, and HELLO 2 is refused meanwhile", async () => {
    const client = await connect();
    const follower = await Follower.open(client, "ESUB", "a");
    await Follower.open(client, "EPSUB", "*");
    expect(await client.error("HELLO", 2)).toMatch(/^ERR HELLO 2 is refused while ESUB or EPSUB/);
    const { subscriptions } = door().store;
    expect(subscriptions.count).toBe(2);
    expect(await client.value("RESET")).toBe("RESET");
    expect(subscriptions.count).toBe(0);
    await client.command("HELLO", 3);
    await append(await connect(), "a");
    await follower.quiet();
    await Follower.open(client, "ESUB", "a");
    client.close();
    await until(() => subscriptions.count === 0, "the subscription has ended");
  });

  test("a damaged event is told, and ends it", async () => {
    const writer = await connect();
    const damaged = ["a", "A", "PAYLOAD", "damaged"];
    await writer.value("EAPPEND", "a", "A", "PAYLOAD", "fine");
    await writer.value("EMAPPEND", "*", ...damaged, "b", "B", "a", "A");
    for (const stream of ["b", "a"]) await writer.value("EAPPEND", stream, "A");
    // Nothing of the log was read yet, so that what the disk says is what the server will find.
    const { disk, store } = door();
    const [path, bytes] = [...disk.image()].find(([name]) => name.endsWith(".seg")) ?? [];
    disk.flipBit(path ?? "", Buffer.from(bytes ?? []).indexOf("damaged") * 8);
    const follower = await Follower.open(await connect(), "ESUB", "a", "FROM", 0);
    expect(await follower.messages(1)).toEqual(["0 a 0"]);
    expect(await follower.next()).toEqual([
      "error",
      expect.stringMatching(
        /^CORRUPT the record in \S+ at offset \d+ is damaged; it holds positions 1 to 3: go on from position 4$/,
      ),
    ]);
    expect(store.subscriptions.count).toBe(0);
    expect(await follower.client.error("EUNSUB", follower.id)).toMatch(/^NOTFOUND/);
    const next = await Follower.open(follower.client, "ESUB", "a", "FROM", "POSITION", 4);
    expect(await next.messages(1)).toEqual(["0 a 3"]);
    await append(writer, "a");
    const live = await Follower.open(await connect(), "EPSUB", "*", "FROM", "POSITION", 2);
    expect(await live.next()).toEqual(["error", expect.stringContaining("positions 1 to 3")]);
  });
});

describe("progress", () => {
  test("caught-up comes once, with the position examined, and progress where nothing matches", async () => {
    const empty = await Follower.open(await connect(), "ESUB", "a", "PROGRESS");
    expect(await empty.next()).toEqual(["caught-up", -1]);
    const writer = await connect();
    await append(writer, "b", "a", "b");
    expect(await empty.messages(1)).toEqual(["0 a 0"]);
    const follower = await Follower.open(await connect(), "ESUB", "a", "FROM", 0, "PROGRESS");
    expect(await follower.messages(1)).toEqual(["0 a 0"]);
    expect(await follower.next()).toEqual(["caught-up", 2]);
    const events = Array(8_000).fill(["b", "A"]).flat();
    await writer.value("EMAPPEND", "*", ...events);
    await writer.value("EMAPPEND", "*", ...events);
    expect(await follower.next()).toEqual(["progress", 16_002]);
    expect(await empty.next()).toEqual(["progress", 16_002]);
    await follower.quiet();
  });

  test("caught-up comes also where the last of the history fills the socket", async () => {
    const client = await connect();
    await client.value("EAPPEND", "a", "A", "PAYLOAD", "x".repeat(7_000_000));
    const follower = await Follower.open(client, "ESUB", "a", "FROM", 0, "NOACK", "PROGRESS");
    expect(await follower.messages(1)).toEqual(["0 a 0"]);
    expect(await follower.next()).toEqual(["caught-up", 0]);
  });
});

describe("durability and order", () => {
  test("nothing is pushed before the sync returns, and on the appending connection not before the reply", async () => {
    opened = openDoor({ partitions: PARTITIONS, syncPlace: "thread" });
    const { disk } = opened;
    const other = await Follower.open(await connect(), "ESUB", "a", "NOACK");
    const own = await RawClient.connect(opened.port);
    own.send("HELLO", 3);
    own.send("ESUB", "*", "NOACK");
    await until(() => own.received.includes("+subscribe"), "it has subscribed");
    disk.holdSyncs = true;
    own.send("EAPPEND", "a", "A");
    await until(() => disk.heldSyncCount > 0, "the sync is held back");
    await other.quiet();
    expect(own.received).not.toContain("+stream_version");
    disk.holdSyncs = false;
    disk.releaseSyncs();
    await until(() => own.received.includes("+message"), "the event was pushed");
    // The reply is a map of six, and the push comes behind it.
    expect(own.received.indexOf("%6\r\n+event_id")).toBeGreaterThan(0);
    expect(own.received.indexOf("+message")).toBeGreaterThan(
      own.received.indexOf("%6\r\n+event_id"),
    );
    own.close();
    expect(await other.messages(1)).toEqual(["0 a 0"]);
  });

  test("LATEST takes nothing that the same connection appended before", async () => {
    const client = await connect();
    const replies = client.pipeline([
      ["EAPPEND", "a", "A"],
      ["ESUB", "a"],
      ["EAPPEND", "a", "B"],
    ]);
    const id = plain((await replies)[1] as Frame, "utf8");
    expect(values(await client.push())).toEqual(["subscribe", id, 1]);
    const [kind, , cursor, event] = values(await client.push());
    expect([kind, cursor, (event as Record<string, Plain>).event_name]).toEqual([
      "message",
      0,
      "B",
    ]);
  });
});

test("a resume by stream: the streams seen at their places, and those that are new by the pattern", async () => {
  const writer = await connect();
  await append(writer, "s-1", "s-2", "s-1", "s-2", "s-3");
  const follower = await Follower.open(
    await connect(),
    ...["ESUB", "s-*", "s-1", "s-2", "FROM", "MAP", "s-1=1", "s-2=2"],
  );
  await append(writer, "s-2", "s-4", "s-3", "t-1");
  // What s-3 had is not named in MAP, so the pattern takes it from the latest on.
  expect(await follower.messages(4)).toEqual(["0 s-1 1", "1 s-2 2", "2 s-4 0", "3 s-3 1"]);
  await follower.quiet();
});

describe("what is refused", () => {
  test.each([
    [["ESUB"], "INVALIDARG unexpected end of input: expected stream id"],
    [["ESUB", "a", "FROM", "nothing"], "INVALIDARG invalid FROM 'nothing'"],
    [["ESUB", "a", "FROM"], "INVALIDARG unexpected end of input: expected LATEST"],
    [["ESUB", "a", "FROM", "MAP"], "INVALIDARG unexpected end of input: expected name=n"],
    [["ESUB", "a", "FROM", "MAP", "b=1"], "INVALIDARG MAP names 'b', which is none of the streams"],
    [["ESUB", "a", "FROM", "MAP", "a=x"], "INVALIDARG invalid MAP 'a=x'"],
    [["ESUB", "a", "FROM", "MAP", "a=1", "a=2"], "INVALIDARG 'a=2' in MAP already specified"],
    [["ESUB", "a", "FROM", "MAP", "a=1", "DEFAULT", "2"], "INVALIDARG unexpected string"],
    [["ESUB", "a", "WINDOW", "0"], "INVALIDARG invalid WINDOW '0': expected a number from 1 to"],
    [["ESUB", "a", "WINDOW", "-1"], "INVALIDARG invalid WINDOW '-1': expected a number from 1 to"],
    [["ESUB", "a", "WINDOW"], "INVALIDARG unexpected end of input: expected a number from 1 to"],
    [["ESUB", "a", "WINDOW", "1", "NOACK"], "INVALIDARG WINDOW or NOACK already specified"],
    [["ESUB", "a", "FROM", "1", "b"], "INVALIDARG unexpected string"],
    [["ESUB", "a*", "PARTITION_KEY", "k"], "INVALIDARG unexpected string"],
    [["EPSUB"], "INVALIDARG unexpected end of input: expected *, partition id or comma-separated"],
    [["EPSUB", "4"], "NOTFOUND partition 4"],
    [["EPSUB", "0", "FROM", "MAP", "1=0"], "INVALIDARG MAP names '1', which is none of the part"],
    [["EPSUB", "*", "FROM", "MAP", "4=0"], "INVALIDARG MAP names '4', which is none of the part"],
    [["EPSUB", "x"], "INVALIDARG unexpected string"],
    [["EUNSUB"], "INVALIDARG unexpected end of input: expected subscription id"],
    [["ESCAN", "a", "-", "+", "REV", "BLOCK", "1"], "INVALIDARG BLOCK waits for what comes"],
  ])("%j", async (words, error) => {
    expect(await (await connect()).error(...words)).toContain(error);
  });

  test("in RESP2, with what serves there", async () => {
    const client = await RespClient.connect(door().port);
    clients.push(client);
    for (const command of ["ESUB", "EPSUB"]) {
      expect(await client.error(command, "0")).toMatch(
        /^NOPROTO .*HELLO 3.*SUBSCRIBE.*BLOCK.*Server-Sent Events/,
      );
    }
  });

  test("more streams than a subscription may have", async () => {
    const streams = Array.from({ length: SUBSCRIPTION_ARGUMENTS_MAX + 1 }, (_, i) => `s${i}`);
    const limit = `the number of streams of a subscription is limited to ${SUBSCRIPTION_ARGUMENTS_MAX}`;
    const client = await connect();
    expect(await client.error("ESUB", ...streams)).toBe(
      `TOOLARGE ${limit}, but ${SUBSCRIPTION_ARGUMENTS_MAX + 1} was asked`,
    );
    await append(client, "s0", "s9000");
    const follower = await Follower.open(client, "ESUB", ...streams.slice(1), "FROM", 0);
    await append(client, "s5", "s16384");
    expect(await follower.messages(3)).toEqual(["0 s9000 0", "1 s5 0", "2 s16384 0"]);
  });

  test("more subscriptions than a connection may have", async () => {
    const client = await connect();
    const all = Array.from({ length: SUBSCRIPTIONS_MAX }, (_, i) => ["ESUB", `s${i}`]);
    await client.pipeline(all);
    const limit = `the number of subscriptions of a connection is limited to ${SUBSCRIPTIONS_MAX}`;
    const asked = `but ${SUBSCRIPTIONS_MAX + 1} was asked`;
    expect(await client.error("ESUB", "one-more")).toBe(`TOOLARGE ${limit}, ${asked}`);
    expect(await client.error("SUBSCRIBE", "one-more")).toBe(`TOOLARGE ${limit}, ${asked}`);
  });
});
