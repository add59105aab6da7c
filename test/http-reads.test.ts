/**
 * Reads and look-ups over HTTP beyond what the shared suite asks: pages and their links, ETags, media types, filters in a
 * query, and what is refused.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { decode } from "@msgpack/msgpack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsPath, exchange, expectProblem, HttpClient } from "./support/http-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const PARTITIONS = 8;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

let cairn: Cairn;
let http: HttpClient;

beforeAll(async () => {
  cairn = await startCairn({ args: ["--partitions", String(PARTITIONS)] });
  http = new HttpClient(cairn.httpPort);
  const events = Array.from({ length: 10 }, (_, i) => ({
    event_name: i % 2 === 0 ? "Even" : "Odd",
    payload: { i },
    timestamp: Date.UTC(2024, 0, 1 + i),
  }));
  await http.append("ten", events);
  await http.append("other", { event_name: "Even", partition_key: "a-key" });
});
afterAll(async () => {
  await cairn.stop();
});

const versions = (body: { events: { stream_version: number }[] }): number[] =>
  body.events.map((event) => event.stream_version);

describe("pages", () => {
  test.each([
    ["forwards", "limit=4", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ["backwards", "limit=3&direction=backwards", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]],
    ["of a range", "from=2&to=8&limit=3&direction=backwards", [8, 7, 6, 5, 4, 3, 2]],
    ["of what a filter takes", "name=Odd&limit=2&data=json", [1, 3, 5, 7, 9]],
    ["with limit 1", "limit=1&from=7", [7, 8, 9]],
  ])("%s follow Link: rel=next to the end", async (_, query, expected) => {
    const found: number[] = [];
    let path: string | null = `${eventsPath("ten")}?${query}`;
    while (path !== null) {
      const { status, headers, body } = await http.get(path);
      expect([status, body.version, headers.get("ETag")]).toEqual([200, 9, '"9"']);
      found.push(...versions(body));
      const link = headers.get("Link");
      expect(link !== null).toBe(body.has_more);
      path = link === null ? null : (/^<(\/[^>]+)>; rel="next"$/.exec(link)?.[1] ?? "no link");
    }
    expect(found).toEqual(expected);
  });

  test("of the whole store and of a partition link too", async () => {
    const log = await http.get("/v1/events?limit=3");
    expect(log.body.events.map((e: { position: number }) => e.position)).toEqual([0, 1, 2]);
    expect(log.headers.get("Link")).toBe('</v1/events?limit=3&from=3>; rel="next"');
    const { partition_id: partition } = (await http.get("/v1/streams/ten")).body;
    const { headers } = await http.get(`/v1/partitions/${partition}/events?limit=3`);
    expect(headers.get("Link")).toContain(`</v1/partitions/${partition}/events?limit=3&from=3>`);
  });

  test("have `next` where a filter stands, and only there", async () => {
    expect((await http.get(`${eventsPath("ten")}?limit=2`)).body).not.toHaveProperty("next");
    expect((await http.get(`${eventsPath("ten")}?name=None`)).body).toEqual({
      version: 9,
      has_more: false,
      events: [],
      next: 10,
    });
    expect((await http.get("/v1/events?name=None&to=5")).body.next).toBe(null);
  });

  test("of none say that there is more, and link nowhere", async () => {
    const { headers, body } = await http.get(`${eventsPath("ten")}?limit=0`);
    expect(body).toEqual({ version: 9, has_more: true, events: [] });
    expect(headers.get("Link")).toBe(null);
  });
});

describe("an ETag", () => {
  test("makes a read that has not changed a 304", async () => {
    const path = eventsPath("ten");
    for (const tag of ['"9"', 'W/"9"', '"3", "9"', "*"]) {
      const response = await http.get(path, { "If-None-Match": tag });
      expect([response.status, response.body]).toEqual([304, ""]);
      expect(response.headers.get("ETag")).toBe('"9"');
      expect(response.headers.get("Vary")).toBe("Accept");
    }
    for (const tag of ['"8"', '"99"', "9"]) {
      expect((await http.get(path, { "If-None-Match": tag })).status).toBe(200);
    }
  });

  test("is not there for a stream without events, however it is asked for", async () => {
    for (const path of [eventsPath("none"), `${eventsPath("ten")}?partition_key=other`]) {
      const { status, headers, body } = await http.get(path, { "If-None-Match": "*" });
      expect([status, headers.get("ETag")]).toEqual([200, null]);
      expect(body).toEqual({ version: null, has_more: false, events: [] });
    }
    expect((await http.get(`${eventsPath("other")}?partition_key=a-key`)).body.version).toBe(0);
  });
});

describe("filters", () => {
  const found = async (query: string): Promise<number[]> =>
    versions((await http.get(`${eventsPath("ten")}?${query}`)).body);

  test("take times as milliseconds or RFC 3339", async () => {
    expect(await found(`since=${Date.UTC(2024, 0, 9)}`)).toEqual([8, 9]);
    expect(await found("since=2024-01-09T00:00:00Z")).toEqual([8, 9]);
    expect(await found("since=2024-01-09T02:00:00.000%2B02:00")).toEqual([8, 9]);
    expect(await found("since=2024-01-09T02:00:00+02:00")).toEqual([8, 9]);
    expect(await found("until=2024-01-02t00:00:00z")).toEqual([0, 1]);
    expect(await found("as_of=2000-01-01T00:00:00Z")).toEqual([]);
  });

  test("take a leap second for the second after it", async () => {
    for (const time of ["2023-12-31T23:59:60Z", "2024-01-01T01:59:60.0%2B02:00"]) {
      expect(await found(`until=${time}`)).toEqual([0]);
      expect(await found(`since=${time}`)).toHaveLength(10);
    }
    expect(await found("until=2023-12-31T23:59:59Z")).toEqual([]);
  });

  test("all hold, and names are alternatives", async () => {
    expect(await found("name=Odd&name=Even&since=2024-01-10T00:00:00Z")).toEqual([9]);
    const other = await http.get("/v1/events?match=o[t]her&key=a-key");
    expect(other.body.events).toHaveLength(1);
    expect((await http.get("/v1/events?match=ten&key=a-key")).body.events).toEqual([]);
    const all = await http.get(`/v1/events?partitions=0-${PARTITIONS - 1}`);
    expect(all.body.events).toHaveLength(11);
  });

  test.each([
    ["since=yesterday", 400, "INVALIDARG", /^since 'yesterday': expected milliseconds/],
    ["since=2024-02-30T00:00:00Z", 400, "INVALIDARG", /^since/],
    ["until=2024-01-01", 400, "INVALIDARG", /^until/],
    ["until=2024-01-01T24:00:00Z", 400, "INVALIDARG", /^until '2024-01-01T24:00:00Z': expected/],
    ["until=2024-01-01T23:60:00Z", 400, "INVALIDARG", /^until/],
    ["until=2016-12-31T23:59:61Z", 400, "INVALIDARG", /^until/],
    ["until=2016-12-31T22:59:60Z", 400, "INVALIDARG", /^until/],
    ["until=2016-12-30T23:59:60Z", 400, "INVALIDARG", /^until/],
    ["partitions=1,x", 400, "INVALIDARG", /^partitions '1,x': expected numbers and ranges/],
    ["partitions=3-1", 400, "INVALIDARG", /^partitions/],
    [`partitions=${PARTITIONS}`, 404, "NOTFOUND", /^partition 8 .*does not exist/],
    ["key=1,2", 400, "INVALIDARG", /^key: expected a UUID/],
    ["name=", 400, "INVALIDARG", /^name must be between 1 and 255 bytes/],
    [`match=${"x".repeat(1_025)}`, 413, "TOOLARGE", /pattern in bytes is limited to 1024/],
    [Array(257).fill("name=E").join("&"), 413, "TOOLARGE", /names in a filter is limited to 256/],
  ])("refuse %s", async (query, status, code, text) => {
    expectProblem(await http.get(`/v1/events?${query}`), status, code, text);
  });
});

describe("a query", () => {
  test.each([
    ["limti=1", /^unknown query parameter 'limti': expected from, to, .*; did you mean 'limit'\?$/],
    ["LIMIT=1", /^unknown query parameter 'LIMIT': .*; did you mean 'limit'\?$/],
    ["count=1", /^unknown query parameter 'count': expected from, to, [^;]*$/],
    ["match=%ff", /^match '%ff': expected percent-encoded UTF-8$/],
    ["match=a%", /^match 'a%': expected percent-encoded UTF-8$/],
    ["from=0&name=%zz", /^name '%zz': expected percent-encoded UTF-8$/],
    ["match=%c0%80", /^match '%c0%80': expected/],
    ["match=%ed%a0%80", /^match '%ed%a0%80': expected/],
    ["na%ffme=x", /^name of a query parameter 'na%ffme': expected percent-encoded UTF-8$/],
    ["from=-1", /^from '-1': expected a number from 0 to 9007199254740991$/],
    ["from=9007199254740992", /^from '9007199254740992': expected a number/],
    ["from=latest", /^from 'latest'/],
    ["limit=ten", /^limit 'ten'/],
    ["from=1&from=2", /^from is given twice$/],
    ["direction=up", /^direction 'up': expected forwards or backwards$/],
    ["data=xml", /^data 'xml': expected text or json$/],
  ])("is refused: %s", async (query, text) => {
    expectProblem(await http.get(`${eventsPath("ten")}?${query}`), 400, "INVALIDARG", text);
  });

  test("takes numbers up to 2^53-1", async () => {
    const page = await http.get(`${eventsPath("ten")}?from=9&to=${NUMBER_MAX}&limit=${NUMBER_MAX}`);
    expect(versions(page.body)).toEqual([9]);
    const ahead = await http.get(`/v1/events?from=${NUMBER_MAX}`);
    expectProblem(ahead, 409, "AHEAD", /^position 9007199254740991 is beyond the end 10 of epoch/);
    const { epoch } = (await http.get("/v1")).body;
    expect(ahead.body).toMatchObject({ position: NUMBER_MAX, end: 10, epoch });
  });

  test("is UTF-8, percent-encoded or not, with + for a space", async () => {
    const read = (query: string): Promise<string> => {
      const line = `GET /v1/streams?${query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      return exchange(wide.httpPort, Buffer.from(line, "latin1"));
    };
    const wide = await startCairn();
    const name = "größe \ufffd+";
    await new HttpClient(wide.httpPort).append(name, { event_name: "E" });
    for (const query of [`match=${encodeURIComponent(name)}`, "match=gr\xc3\xb6%C3%9fe+*"]) {
      expect(await read(query)).toContain(`"stream_id":"${Buffer.from(name).toString("latin1")}"`);
    }
    expect(await read("match=%C3%9fe+%ff")).toContain("expected percent-encoded UTF-8");
    await wide.stop();
  });
});

describe("media types", () => {
  test.each([
    [undefined, "application/json"],
    ["", "application/json"],
    ["*/*", "application/json"],
    ["application/*", "application/json"],
    ["text/html, application/msgpack;q=0.5, */*;q=0.1", "application/msgpack"],
    ["application/json;q=0.1, application/msgpack", "application/msgpack"],
    ["application/json;q=0, */*", "application/msgpack"],
    ["text/event-stream;q=0.5, application/json", "application/json"],
  ])("Accept %s is answered in %s", async (accept, type) => {
    const headers: Record<string, string> = accept === undefined ? {} : { Accept: accept };
    const response = await fetch(`${http.base}/v1/events?limit=1`, { headers });
    expect(response.headers.get("Content-Type")).toBe(type);
    await response.arrayBuffer();
  });

  test("that there are not are 406", async () => {
    for (const path of ["/v1", "/v1/events", "/v1/streams", "/v1/streams/ten", eventsPath("ten")]) {
      const answer = await http.get(path, { Accept: "text/html" });
      expectProblem(
        answer,
        406,
        "INVALIDARG",
        /^Accept 'text\/html' takes none of application\/json/,
      );
    }
  });

  test("make the same answers in MessagePack", async () => {
    const { body } = await http.get("/v1/streams/ten");
    const eventId = (await http.get("/v1/events?limit=1")).body.events[0].event_id;
    for (const path of [
      "/v1",
      "/v1/streams",
      "/v1/streams/ten",
      `/v1/partitions/${body.partition_id}`,
      `/v1/events/${eventId}`,
      "/v1/events?name=Odd&limit=2",
    ]) {
      const response = await fetch(http.base + path, {
        headers: { Accept: "application/msgpack" },
      });
      expect(response.headers.get("Content-Type")).toBe("application/msgpack");
      const value = decode(new Uint8Array(await response.arrayBuffer()));
      expect(value).toEqual((await http.get(path)).body);
    }
  });
});

describe("look-ups", () => {
  test("of the store", async () => {
    const { body, headers } = await http.get("/v1");
    expect(body).toEqual({
      store_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      epoch: expect.stringMatching(/^[0-9a-f-]{36}$/),
      position: 10,
      partitions: PARTITIONS,
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    });
    expect(headers.get("Vary")).toBe("Accept");
    expect(headers.get("Cache-Control")).toBe("private, no-cache");
  });

  test("of an empty store", async () => {
    const empty = await startCairn();
    const door = new HttpClient(empty.httpPort);
    expect((await door.get("/v1")).body.position).toBe(null);
    expect((await door.get("/v1/events")).body).toEqual({ has_more: false, events: [] });
    expect((await door.get("/v1/streams")).body).toEqual({ streams: [], cursor: null });
    expectProblem(await door.get("/v1/events?from=1"), 409, "AHEAD", /beyond the end -1/);
    await empty.stop();
  });

  test("of a stream and a partition", async () => {
    const { body, headers } = await http.get("/v1/streams/ten");
    expect(Object.keys(body)).toEqual(["stream_id", "version", "partition_key", "partition_id"]);
    expect([body.stream_id, body.version, headers.get("ETag")]).toEqual(["ten", 9, '"9"']);
    expectProblem(
      await http.get("/v1/streams/none"),
      404,
      "NOTFOUND",
      /^stream 'none' has no events$/,
    );
    expect((await http.get("/v1/streams/none")).body.stream_id).toBe("none");
    const partition = `/v1/partitions/${body.partition_id}`;
    expect((await http.get(partition)).body.partition_id).toBe(body.partition_id);
    expect((await http.get(`/v1/partitions/${body.partition_key}`)).body).toEqual(
      (await http.get(partition)).body,
    );
    const empty = Array.from({ length: PARTITIONS }, (_, i) => http.get(`/v1/partitions/${i}`));
    const sequences = (await Promise.all(empty)).map((answer) => answer.body.sequence);
    expect(sequences).toContain(null);
    expectProblem(await http.get("/v1/partitions/8"), 404, "NOTFOUND", /partitions 0 to 7$/);
    expectProblem(
      await http.get("/v1/partitions/x"),
      400,
      "INVALIDARG",
      /^partition 'x': expected/,
    );
    expectProblem(await http.get("/v1/partitions/8/events"), 404, "NOTFOUND", /does not exist/);
  });

  test("of an event, by its id in any form", async () => {
    const [event] = (await http.get("/v1/events?limit=1&from=3")).body.events;
    const id: string = event.event_id;
    for (const form of [id, id.toUpperCase(), id.replaceAll("-", ""), `%7B${id}%7D`]) {
      expect((await http.get(`/v1/events/${form}`)).body).toEqual(event);
    }
    const asJson = await http.get(`/v1/events/${id}?data=json`);
    expect(asJson.body.payload_json).toEqual({ i: 3 });
    const unknown = await http.get("/v1/events/00000000-0000-4000-8000-000000000000");
    expectProblem(unknown, 404, "NOTFOUND", /^there is no event '00000000/);
    expect(unknown.body.event_id).toMatch(/^00000000-/);
    expectProblem(
      await http.get("/v1/events/7"),
      400,
      "INVALIDARG",
      /^event_id '7': expected a UUID$/,
    );
  });

  test("of streams, page by page", async () => {
    const ids: string[] = [];
    let cursor: number | null = 0;
    while (cursor !== null) {
      const { body } = await http.get(`/v1/streams?limit=1&cursor=${cursor}`);
      ids.push(...body.streams.map((stream: { stream_id: string }) => stream.stream_id));
      cursor = body.cursor;
    }
    expect(ids).toEqual(["ten", "other"]);
    const { body } = await http.get("/v1/streams?match=t*");
    expect(body.streams).toEqual([(await http.get("/v1/streams/ten")).body]);
    expectProblem(await http.get("/v1/streams?limit=0"), 400, "INVALIDARG", /from 1 to 10000$/);
    expectProblem(await http.get("/v1/streams?limit=10001"), 400, "INVALIDARG", /from 1 to 10000$/);
  });
});

test("HEAD answers as GET, without the body", async () => {
  for (const path of ["/v1", eventsPath("ten"), "/v1/events", "/v1/streams/ten", "/openapi.json"]) {
    const get = await http.get(path);
    const head = await http.request(path, { method: "HEAD" });
    expect([head.status, head.body]).toEqual([200, ""]);
    for (const name of ["Content-Type", "ETag", "Vary", "Cache-Control"]) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
  }
});

test("a long page is written in turn with what others ask", async () => {
  const payload = "x".repeat(1_000);
  const events = Array(2_000).fill({ event_name: "E", payload });
  for (let i = 0; i < 4; i++) expect((await http.append("long", events)).status).toBe(201);
  const reader = connect(cairn.httpPort, "127.0.0.1");
  const other = connect(cairn.respPort, "127.0.0.1");
  await Promise.all([once(reader, "connect"), once(other, "connect")]);
  const answered: string[] = [];
  reader.once("data", () => answered.push("page"));
  other.once("data", () => answered.push("pong"));
  reader.write(`GET ${eventsPath("long")} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  other.write("PING\r\n");
  await until(() => answered.length === 2, "both are answered");
  expect(answered).toEqual(["pong", "page"]);
  reader.destroy();
  other.destroy();
});
