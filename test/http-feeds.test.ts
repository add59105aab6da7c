/**
 * Feeds of Server-Sent Events: history and what is live without a gap or a repeat, whatever the client does.
 *
 * SEED chooses what is appended and where clients break off.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FeedClient } from "./support/feed-client.ts";
import { eventsPath, expectProblem, HttpClient } from "./support/http-client.ts";
import { Random } from "./support/random.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 1);
const MiB = 1024 * 1024;

let cairn: Cairn;
let http: HttpClient;
let idle: FeedClient;
let streams = 0;

const newStream = (): string => `f-${++streams}`;
const append = async (stream: string, count = 1, name = "E"): Promise<void> => {
  const events = Array.from({ length: count }, () => ({ event_name: name }));
  const answer = await http.append(stream, events);
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
};
const open = (path: string, lastEventId: string | null = null): Promise<FeedClient> =>
  FeedClient.open(http.base + path, lastEventId);

beforeAll(async () => {
  cairn = await startCairn({ args: ["--partitions", "4"] });
  http = new HttpClient(cairn.httpPort);
  idle = await open("/v1/subscribe?stream=nothing-happens-here"); // what comes of it is looked at last
});
afterAll(async () => {
  await cairn.stop();
});

interface Told {
  readonly id: string | null;
  readonly event_name: string;
  readonly stream_id: string;
  readonly stream_version: number;
  readonly partition_sequence: number;
  readonly position: number;
}

/** Follows a path until `isDone`, and breaks off and resumes as a browser does, again and again. */
async function follow(
  path: string,
  random: Random,
  isDone: (told: readonly Told[]) => boolean,
): Promise<Told[]> {
  const told: Told[] = [];
  let lastEventId: string | null = null;
  while (!isDone(told)) {
    const feed: FeedClient = await open(path, lastEventId);
    let caughtUp = 0;
    for (let left = 1 + random.below(60); left > 0 && !isDone(told); left--) {
      const event = await feed.next();
      if (event === null) throw new Error("the feed ended");
      if (event.event === "caught-up") caughtUp++;
      else if (event.data !== null) told.push({ id: event.id, ...JSON.parse(event.data) });
    }
    expect(caughtUp).toBeLessThanOrEqual(1);
    lastEventId = feed.lastEventId;
    feed.close();
  }
  return told;
}

/** Whether the last event of all has come, which is of this stream. */
function isLastOf(stream: string): (told: readonly Told[]) => boolean {
  return (told) => told.at(-1)?.event_name === "Last" && told.at(-1)?.stream_id === stream;
}

describe(`history and live events, over broken connections (SEED=${SEED})`, () => {
  const EVENTS = 600;

  test.each<[string, (name: string) => string, (told: Told) => number]>([
    ["one stream", (name) => `${eventsPath(`${name}-0`)}?from=0`, (told) => told.stream_version],
    ["a pattern", (name) => `/v1/subscribe?stream=${name}-*&from=0`, (told) => told.position],
    [
      "several streams",
      (name) => `/v1/subscribe?stream=${name}-0&stream=${name}-1&stream=${name}-%5B2%5D&from=0`,
      (told) => told.position,
    ],
    ["the whole store", () => "/v1/events", (told) => told.position],
    ["a filter", (name) => `/v1/events?match=${name}-*&name=E`, (told) => told.position],
  ])("of %s come once, in order", async (_, pathOf, numberOf) => {
    const random = new Random(SEED);
    const name = newStream();
    const first = (await http.get("/v1")).body.position ?? -1;
    const writing = (async () => {
      for (let written = 0; written < EVENTS; ) {
        const count = Math.min(1 + random.below(8), EVENTS - written);
        await append(`${name}-${random.below(3)}`, count);
        written += count;
      }
      await append(`${name}-0`, 1, "Last");
    })();
    const isDone = isLastOf(`${name}-0`);
    const path = pathOf(name);
    // With a filter that takes "E" alone the last event does not come: what has is counted against the store.
    const isFiltered = path.includes("name=E");
    const expectedOf = async (): Promise<Told[]> => {
      const source = path.startsWith("/v1/streams") ? eventsPath(`${name}-0`) : "/v1/events";
      const filter = isFiltered || path.includes("subscribe") ? `?match=${name}-*` : "";
      const { body } = await http.get(source + filter + (isFiltered ? "&name=E" : ""));
      return body.events;
    };
    let told: Told[];
    if (isFiltered) {
      await writing;
      const expected = await expectedOf();
      told = await follow(path, random, (all) => all.length >= expected.length);
    } else {
      [told] = await Promise.all([follow(path, random, isDone), writing]);
    }
    const expected = await expectedOf();
    expect(told.map(({ id: _id, ...event }) => event)).toEqual(expected);
    for (const event of told) expect(event.id).toBe(String(numberOf(event)));
    expect(told.some((event) => event.position > first)).toBe(true);
  });

  test("of a partition come once, in order", async () => {
    const random = new Random(SEED);
    const name = newStream();
    const { body } = await http.append(name, { event_name: "E" });
    const partition = body.partition_id;
    const writing = (async () => {
      for (let i = 0; i < 100; i++) await append(random.chance(0.5) ? name : `${name}-${i}`, 2);
      await append(name, 1, "Last");
    })();
    const [told] = await Promise.all([
      follow(`/v1/partitions/${partition}/events`, random, isLastOf(name)),
      writing,
    ]);
    expect(told.map((event) => event.partition_sequence)).toEqual(told.map((_, i) => i));
    expect(told.map((event) => event.id)).toEqual(told.map((_, i) => String(i)));
    const { events } = (await http.get(`/v1/partitions/${partition}/events`)).body;
    expect(told.map(({ id: _id, ...event }) => event)).toEqual(events);
  });
});

describe("a feed", () => {
  test("begins with its head, says when history is through, and then what is new", async () => {
    const stream = newStream();
    await append(stream, 3);
    const feed = await open(eventsPath(stream));
    const { headers } = feed.response;
    expect(headers.get("Content-Type")).toBe("text/event-stream");
    expect(headers.get("Cache-Control")).toBe("no-cache, no-transform");
    expect(headers.get("X-Accel-Buffering")).toBe("no");
    expect(headers.get("Vary")).toBe("Accept");
    const history = await feed.history();
    expect(feed.retryMs).toBe(2_000);
    const { events } = (await http.get(eventsPath(stream))).body;
    expect(history.map(({ event, data }) => [event, JSON.parse(data ?? "")])).toEqual(
      events.map((event: unknown) => ["message", event]),
    );
    expect(feed.lastEventId).toBe("2");
    await append(stream);
    const live = await feed.nextOf("message");
    expect([live.id, JSON.parse(live.data ?? "").stream_version]).toEqual(["3", 3]);
    feed.close();
  });

  test("of a stream that is not there yet takes its first event", async () => {
    const stream = newStream();
    const feed = await open(eventsPath(stream));
    expect(await feed.history()).toEqual([]);
    expect(feed.lastEventId).toBe("-1");
    await append(stream);
    expect((await feed.nextOf("message")).id).toBe("0");
    feed.close();
    const again = await open(eventsPath(stream), "-1");
    expect((await again.nextOf("message")).id).toBe("0");
    again.close();
  });

  test("begins at `from`, inclusive, and Last-Event-ID beats it, exclusive", async () => {
    const stream = newStream();
    await append(stream, 5);
    const ids = async (query: string, lastEventId: string | null = null) => {
      const feed = await open(eventsPath(stream) + query, lastEventId);
      const history = await feed.history();
      feed.close();
      return [history.map((event) => event.id), feed.lastEventId];
    };
    expect(await ids("?from=3")).toEqual([["3", "4"], "4"]);
    expect(await ids("?from=0", "3")).toEqual([["4"], "4"]);
    expect(await ids("?from=4", "1")).toEqual([["2", "3", "4"], "4"]);
    expect(await ids("", "4")).toEqual([[], "4"]);
    expect(await ids("?from=5")).toEqual([[], "4"]);
  });

  test("of /v1/subscribe begins with what is new, unless it says a position", async () => {
    const stream = newStream();
    await append(stream);
    const { position } = (await http.get("/v1")).body;
    const feed = await open(`/v1/subscribe?stream=${stream}`);
    expect(await feed.history()).toEqual([]);
    expect(feed.lastEventId).toBe(String(position));
    await append(stream);
    expect(JSON.parse((await feed.nextOf("message")).data ?? "").stream_version).toBe(1);
    feed.close();
    const earlier = await open(`/v1/subscribe?stream=${stream}&from=${position}`);
    expect((await earlier.history()).map((event) => event.id)).toEqual([
      `${position}`,
      `${position + 1}`,
    ]);
    earlier.close();
    const latest = await open(`/v1/subscribe?stream=${stream}&from=latest`, String(position));
    expect((await latest.history()).map((event) => event.id)).toEqual([`${position + 1}`]);
    latest.close();
  });

  test("takes new streams that match, and signs that stand for themselves", async () => {
    const name = newStream();
    const feed = await open(`/v1/subscribe?stream=${name}-*`);
    const star = await open(`/v1/subscribe?stream=${encodeURIComponent(`${name}-\\*`)}`);
    await feed.history();
    await star.history();
    await append(`${name}-a`);
    await append(`${name}-*`);
    const heard = [await feed.nextOf("message"), await feed.nextOf("message")];
    expect(heard.map((event) => JSON.parse(event.data ?? "").stream_id)).toEqual([
      `${name}-a`,
      `${name}-*`,
    ]);
    expect(JSON.parse((await star.nextOf("message")).data ?? "").stream_id).toBe(`${name}-*`);
    feed.close();
    star.close();
  });

  test("carries data that is JSON as such, over as many lines as it has", async () => {
    const stream = newStream();
    const payload = '{\n  "a": 12345678901234567890,\n\n  "b": "x\\ny"\n}';
    const returns = payload.replaceAll("\n", "\r\n"); // of which a feed's lines would lose the half
    await http.append(stream, `{"event_name":"E","payload":${payload},"metadata":${returns}}`);
    const feed = await open(`${eventsPath(stream)}?data=json`);
    const [event] = await feed.history();
    const data = event?.data ?? "";
    expect(data).toContain(`"payload_json":${payload},"position"`);
    expect(JSON.parse(data).payload_json.b).toBe("x\ny");
    expect(JSON.parse(data).metadata).toBe(returns);
    feed.close();
  });

  test("moves its id on where nothing matches", async () => {
    const stream = newStream();
    const feed = await open(`${eventsPath(stream)}?name=Rare`);
    await feed.history();
    for (let i = 0; i < 6; i++) await append(stream, 2_000);
    const moved = await feed.next();
    expect(moved).toMatchObject({ event: "message", data: null });
    expect(Number(moved?.id)).toBeGreaterThan(8_000);
    await append(stream, 1, "Rare");
    expect((await feed.nextOf("message")).id).toBe("12000");
    feed.close();
    // History is passed over in the same way, and resumed behind it.
    const again = await open(`${eventsPath(stream)}?name=Rare`, "12000");
    expect(await again.history()).toEqual([]);
    expect(again.lastEventId).toBe("12000");
    again.close();
  });

  test("ends in order when the server stops", async () => {
    const other = await startCairn();
    const door = new HttpClient(other.httpPort);
    const feeds = await Promise.all(
      ["/v1/events", "/v1/subscribe?stream=*"].map((path) => FeedClient.open(door.base + path)),
    );
    for (const feed of feeds) await feed.history();
    expect(await other.stop()).toBe(0);
    for (const feed of feeds) expect(await feed.next()).toBe(null);
  });
});

describe("a feed is refused", () => {
  test.each([
    ["/v1/events?to=5", null, 400, "INVALIDARG", /^to is not taken by a feed/],
    ["/v1/events?limit=5", null, 400, "INVALIDARG", /^limit is not taken by a feed/],
    [
      "/v1/events?direction=backwards",
      null,
      400,
      "INVALIDARG",
      /^direction=backwards is not taken/,
    ],
    ["/v1/events", "x", 400, "INVALIDARG", /^Last-Event-ID 'x': expected -1 or a number/],
    ["/v1/events", "-2", 400, "INVALIDARG", /^Last-Event-ID '-2'/],
    ["/v1/events", "9007199254740992", 400, "INVALIDARG", /^Last-Event-ID/],
    [
      "/v1/events",
      "9007199254740990",
      409,
      "AHEAD",
      /^position 9007199254740991 is beyond the end/,
    ],
    ["/v1/events?from=1000000", null, 409, "AHEAD", /^position 1000000 is beyond/],
    [
      "/v1/streams/unknown/events",
      "7",
      409,
      "AHEAD",
      /^version 8 is beyond the end -1 of epoch \S{36} in stream unknown$/,
    ],
    ["/v1/streams/unknown/events?from=1", null, 409, "AHEAD", /^version 1 is beyond the end -1/],
    [
      "/v1/partitions/0/events",
      "1000000",
      409,
      "AHEAD",
      /^sequence 1000001 is beyond the end \d+ of epoch \S{36} in partition 0$/,
    ],
    ["/v1/subscribe", null, 400, "INVALIDARG", /^stream is missing/],
    ["/v1/subscribe?stream=", null, 400, "INVALIDARG", /^stream ''/],
    ["/v1/subscribe?stream=a&from=now", null, 400, "INVALIDARG", /^from 'now': expected latest or/],
    ["/v1/subscribe?stream=a&from=1000000", null, 409, "AHEAD", /beyond the end/],
    ["/v1/subscribe?stream=a&limit=1", null, 400, "INVALIDARG", /^unknown query parameter 'limit'/],
    [`/v1/subscribe?stream=${"*".repeat(1_025)}`, null, 413, "TOOLARGE", /pattern in bytes/],
    ["/v1/partitions/4/events", null, 404, "NOTFOUND", /does not exist/],
  ])("%s with Last-Event-ID %s: %d", async (path, lastEventId, status, code, text) => {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    expectProblem(await http.get(path, headers), status, code, text);
  });

  test("to a client that does not accept one", async () => {
    const answer = await http.get("/v1/subscribe?stream=a", { Accept: "application/json" });
    expectProblem(answer, 406, "INVALIDARG", /takes none of text\/event-stream$/);
  });
});

test("a client that does not read costs bounded memory, and gets all when it does", async () => {
  const stream = newStream();
  const payload = "x".repeat(500_000);
  const COUNT = 600; // after fewer the collector's pace moves what is resident by more than is looked for
  const appendAll = async (): Promise<void> => {
    const events = Array.from({ length: 20 }, () => ({ event_name: "E", payload }));
    for (let i = 0; i < COUNT / 20; i++) await http.append(stream, events);
  };
  await appendAll(); // the cache and whatever else grows with appends alone is as large as it gets
  const before = residentBytes();
  const socket = connect(cairn.httpPort, "127.0.0.1");
  try {
    socket.pause();
    socket.write(
      `GET ${eventsPath(stream)} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`,
    );
    await appendAll();
    // Without a bound the feed would hold both halves, 600 MB.
    expect(residentBytes() - before).toBeLessThan(150 * MiB);
    let received = 0;
    let tail = "";
    socket.on("data", (bytes: Buffer) => {
      received += bytes.length;
      tail = (tail + bytes.toString("latin1").slice(-200)).slice(-400);
    });
    socket.resume();
    const isAll = () => received > 2 * COUNT * payload.length && tail.includes('"position"');
    await until(isAll, "all has come");
  } finally {
    socket.destroy();
  }
});

test("a client that does not read holds up no stop", async () => {
  const other = await startCairn();
  const door = new HttpClient(other.httpPort);
  const payload = "x".repeat(1_000_000);
  const events = Array.from({ length: 8 }, () => ({ event_name: "E", payload }));
  for (let i = 0; i < 4; i++) await door.append("s", events);
  const socket = connect(other.httpPort, "127.0.0.1");
  socket.on("error", () => {}); // it is cut
  socket.write("GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  expect(await other.stop()).toBe(0); // within stop's time limit, which is shorter than a request's
  socket.destroy();
});

function residentBytes(): number {
  const status = readFileSync(`/proc/${cairn.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

test("an idle feed is kept alive by its id", async () => {
  await idle.history();
  const { position } = (await http.get("/v1")).body;
  // At the latest every 15 s: most of them have passed since the feed was opened.
  await until(async () => {
    const block = await idle.next();
    expect(block).toMatchObject({ event: "message", data: null });
    return Number(block?.id) === position;
  }, "the id is the last position");
  idle.close();
});
