/**
 * Appends over HTTP beyond what the shared suite asks: how data is kept byte for byte, conditional requests, repeats,
 * MessagePack, and what is refused with which words.
 */
import { connect } from "node:net";
import { decode, encode } from "@msgpack/msgpack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsPath, exchange, expectProblem, HttpClient } from "./support/http-client.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const ID = "018bcfe5-6800-7000-8000-000000000001";

let cairn: Cairn;
let strict: Cairn;
let http: HttpClient;
let resp: RespClient;
let streams = 0;

beforeAll(async () => {
  cairn = await startCairn();
  strict = await startCairn({ args: ["--strict"] });
  http = new HttpClient(cairn.httpPort);
  resp = await RespClient.connect3(cairn.respPort);
});
afterAll(async () => {
  resp.close();
  await cairn.stop();
  await strict.stop();
});

const newStream = (): string => `a-${++streams}`;

/** Payload and metadata of a stream's events, as RESP gives the bytes. */
async function stored(stream: string): Promise<[string, string][]> {
  const events = await resp.events("ESCAN", stream, "-", "+");
  return events.map(({ payload, metadata }) => [payload as string, metadata as string]);
}

describe("data", () => {
  const VALUES = [
    '{"id":12345678901234567890, "ratio": 0.10000000000000000000001}',
    '{ "b":1,\n\t"a" :2, "b": 3 }',
    "9007199254740993",
    "-1.50e+10",
    "[1 , [ ], {} ]",
    "null",
    "true",
    '{"text":"\\u00fc\\/\\ud83d\\ude00","wide":"ü😀"}',
  ];

  test.each(VALUES)("that is a JSON value is stored byte for byte: %s", async (value) => {
    const stream = newStream();
    const body = `{"event_name":"E","payload":${value} ,"metadata" : ${value}}`;
    expect((await http.append(stream, body)).status).toBe(201);
    expect((await http.append(stream, `[{"payload_json":${value},"event_name":"E"}]`)).status).toBe(
      201,
    );
    expect(await stored(stream)).toEqual([
      [value, value],
      [value, ""],
    ]);
  });

  test("that is a string is stored as what the string says", async () => {
    const stream = newStream();
    const texts = ['{"a": 1}', "", 'quote " backslash \\ / \b\f\n\r\t \u0000', "ü 😀 \u2028"];
    for (const text of texts) await http.append(stream, { event_name: "E", payload: text });
    await http.append(stream, '{"event_name":"E","payload":"\\u00FC\\ud83D\\uDe00\\/"}');
    expect((await stored(stream)).map(([payload]) => payload)).toEqual([...texts, "ü😀/"]);
  });

  test("payload_json takes strings as JSON, payload_base64 any bytes", async () => {
    const stream = newStream();
    await http.append(stream, '{"event_name":"E","payload_json":"a\\n"}');
    await http.append(stream, { event_name: "E", payload_base64: "/wD+", metadata_base64: "" });
    const { body } = await http.get(eventsPath(stream));
    expect(body.events[0].payload).toBe('"a\\n"');
    expect(body.events[1].payload_base64).toBe("/wD+");
    expect(body.events[1].metadata).toBe("");
  });

  test.each(["", "?data=json"])("that was read%s posts back", async (query) => {
    const stream = newStream();
    const copy = newStream();
    for (const payload of [...VALUES, '"text"', '"{}"']) {
      await http.append(stream, `{"event_name":"E","payload_json":${payload}}`);
    }
    await http.append(stream, { event_name: "E", payload: "plain", metadata_base64: "gA==" });
    // JSON by its bytes, of which some would be lost if it stood in other JSON as such.
    const odd = [" {}", "[1]\n", "\t1 ", "[\r\n1]", " "];
    for (const payload of odd) await http.append(stream, { event_name: "E", payload });
    // The text of the answer, so that no number is parsed here.
    const text = await (await fetch(`${http.base}${eventsPath(stream)}${query}`)).text();
    const DATA = /"event_name":"E",("metadata.*?),"position":\d+/gs;
    const posted = [...text.matchAll(DATA)].map(([, data]) => `{"event_name":"E",${data}}`);
    expect(posted).toHaveLength(VALUES.length + 3 + odd.length);
    expect((await http.append(copy, `[${posted.join(",")}]`)).status).toBe(201);
    expect(await stored(copy)).toEqual(await stored(stream));
  });

  test("of 8 MiB is taken, and one byte more is too large", async () => {
    const stream = newStream();
    const payload = "x".repeat(8 * 1024 * 1024);
    expect((await http.append(stream, { event_name: "E", payload })).status).toBe(201);
    const answer = await http.append(stream, { event_name: "E", payload, metadata: "x" });
    expectProblem(answer, 413, "TOOLARGE", /^size of payload and metadata in bytes is limited to/);
    expect(answer.body).toMatchObject({ limit_value: 8_388_608, asked: 8_388_609 });
    expect((await http.get(`/v1/streams/${stream}`)).body.version).toBe(0);
  });
});

describe("the answer", () => {
  test("to one event has its numbers, an ETag and its place", async () => {
    const stream = newStream();
    const { status, headers, body } = await http.append(stream, { event_name: "E", event_id: ID });
    expect(status).toBe(201);
    expect(Object.keys(body)).toEqual([
      "event_id",
      "partition_key",
      "partition_id",
      "partition_sequence",
      "stream_version",
      "timestamp",
      "position",
      "recorded_at",
    ]);
    expect(headers.get("ETag")).toBe('"0"');
    expect(headers.get("Location")).toBe(`/v1/events/${ID}`);
    expect(headers.get("Idempotent-Replayed")).toBe(null);
    expect((await http.get(headers.get("Location") ?? "")).body.stream_id).toBe(stream);
  });

  test("to several is a list, also where the list has one", async () => {
    const stream = newStream();
    const one = await http.append(stream, [{ event_name: "E" }]);
    expect(one.body).toEqual({ events: [expect.objectContaining({ stream_version: 0 })] });
    const two = await http.append(stream, { events: [{ event_name: "E" }, { event_name: "E" }] });
    expect(two.body.events.map((e: { stream_version: number }) => e.stream_version)).toEqual([
      1, 2,
    ]);
    expect(two.headers.get("ETag")).toBe('"2"');
    expect(two.headers.get("Location")).toBe(`/v1/events/${two.body.events[0].event_id}`);
  });

  test("to a repeat is the first one's, and says so", async () => {
    const stream = newStream();
    const event = { event_name: "E", event_id: crypto.randomUUID(), expected_version: "empty" };
    const first = await http.append(stream, event);
    await http.append(stream, { event_name: "Between" });
    const again = await http.append(stream, event);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(again.headers.get("Idempotent-Replayed")).toBe("true");
    expect(again.headers.get("ETag")).toBe('"0"');
  });
});

describe("an append whose answer is lost", () => {
  const head = (stream: string, more: string) =>
    `POST ${eventsPath(stream)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;
  const counted = (stream: string, body: string) =>
    head(stream, `Content-Length: ${body.length}`) + body;
  const WAYS: Record<string, (stream: string, body: string) => string> = {
    "a line end behind the body": (stream, body) => `${counted(stream, body)}\r\n`,
    "trailers of a chunked body": (stream, body) =>
      `${head(stream, "Transfer-Encoding: chunked")}${body.length.toString(16)}\r\n${body}\r\n0\r\nX: 1\r\n\r\n`,
  };

  async function repeated(stream: string, id: string): Promise<void> {
    // Whether the first one was stored or not, the second one says what there is.
    const answer = await http.append(stream, { event_name: "E", event_id: id, payload: "p" });
    expect([answer.status, answer.body.stream_version]).toEqual([201, 0]);
    expect(await stored(stream)).toEqual([["p", ""]]);
  }

  test.each(Object.keys(WAYS))("by %s is repeated with its event_id", async (way) => {
    const stream = newStream();
    const id = crypto.randomUUID();
    const body = JSON.stringify({ event_name: "E", event_id: id, payload: "p" });
    await exchange(cairn.httpPort, WAYS[way]?.(stream, body) ?? "");
    await repeated(stream, id);
  });

  test("by a client that shuts down its sending side is repeated with its event_id", async () => {
    const stream = newStream();
    const id = crypto.randomUUID();
    const body = JSON.stringify({ event_name: "E", event_id: id, payload: "p" });
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect(cairn.httpPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
    socket.end(counted(stream, body));
    await promise;
    await repeated(stream, id);
  });
});

describe("conditions", () => {
  test("If-Match names the version, weakened or not, or any", async () => {
    const stream = newStream();
    const event = { event_name: "E" };
    const absent = await http.append(stream, event, { "If-Match": "*" });
    expectProblem(absent, 412, "WRONGVER", /is empty but expected exists/);
    expect(absent.headers.get("ETag")).toBe(null);
    expect((await http.append(stream, event, { "If-None-Match": "*" })).status).toBe(201);
    expect((await http.append(stream, event, { "If-Match": '"0"' })).status).toBe(201);
    expect((await http.append(stream, event, { "If-Match": 'W/"1"' })).status).toBe(201);
    expect((await http.append(stream, event, { "If-Match": "*" })).status).toBe(201);
    const late = await http.append(stream, event, { "If-Match": '"1"' });
    expectProblem(late, 412, "WRONGVER", /current stream version is 3 but expected 1/);
    expect(late.headers.get("ETag")).toBe('"3"');
    expect(late.body).toMatchObject({
      stream_id: stream,
      expected_version: 1,
      current_version: 3,
      event_index: 0,
    });
    const begun = await http.append(stream, event, { "If-None-Match": "*" });
    expectProblem(begun, 412, "WRONGVER", /expected empty/);
  });

  test("hold for a list's first event", async () => {
    const stream = newStream();
    const two = [{ event_name: "E" }, { event_name: "E" }];
    expect((await http.append(stream, two, { "If-None-Match": "*" })).status).toBe(201);
    expect((await http.append(stream, { expected_version: 1, events: two })).status).toBe(201);
    const late = await http.append(stream, { expected_version: 1, events: two });
    expectProblem(late, 412, "WRONGVER", /is 3 but expected 1/);
  });

  test("on a later event leave the ETag what the stream has", async () => {
    const stream = newStream();
    await http.append(stream, { event_name: "E" });
    const second = await http.append(stream, [
      { event_name: "E", expected_version: 0 },
      { event_name: "E", expected_version: 0 },
    ]);
    expectProblem(second, 412, "WRONGVER", /is 1 but expected 0/);
    expect(second.headers.get("ETag")).toBe('"0"');
  });

  test.each([
    ["a list", { "If-Match": '"1", "2"' }, /^If-Match '"1", "2"': expected one version/],
    ["no tag", { "If-Match": "1" }, /^If-Match '1': expected one version in double quotes/],
    ["no version", { "If-Match": '"abc"' }, /expected one version/],
    ["2^53", { "If-Match": '"9007199254740992"' }, /expected one version/],
    [
      "another If-None-Match",
      { "If-None-Match": '"1"' },
      /expected \* \(the stream must be empty\)/,
    ],
    ["both", { "If-Match": '"1"', "If-None-Match": "*" }, /exclude each other/],
  ])("%s is refused", async (_, headers, text) => {
    expectProblem(
      await http.append(newStream(), { event_name: "E" }, headers),
      400,
      "INVALIDARG",
      text,
    );
  });

  test("in header and body both are refused", async () => {
    const stream = newStream();
    const headers = { "If-Match": '"0"' };
    for (const body of [
      { event_name: "E", expected_version: 0 },
      { expected_version: 0, events: [{ event_name: "E" }] },
      [{ event_name: "E", expected_version: 0 }],
    ]) {
      const answer = await http.append(stream, body, headers);
      expectProblem(answer, 400, "INVALIDARG", /^the expected version is given twice/);
    }
    const both = { expected_version: 0, events: [{ event_name: "E", expected_version: 0 }] };
    expectProblem(await http.append(stream, both), 400, "INVALIDARG", /given twice/);
  });

  test("are demanded by a strict server", async () => {
    const door = new HttpClient(strict.httpPort);
    const stream = newStream();
    const event = { event_name: "E" };
    for (const body of [event, [event], { events: [event] }]) {
      expectProblem(await door.append(stream, body), 428, "INVALIDARG", /^this server is strict/);
    }
    const any = await door.append(stream, { ...event, expected_version: "any" });
    expectProblem(any, 400, "INVALIDARG", /strict/);
    const exists = await door.append(stream, event, { "If-Match": "*" });
    expectProblem(exists, 400, "INVALIDARG", /strict/);
    expect((await door.append(stream, [event, event], { "If-None-Match": "*" })).status).toBe(201);
    expect((await door.append(stream, { events: [event], expected_version: 1 })).status).toBe(201);
    const named = { ...event, stream_id: newStream() };
    const missing = await door.post("/v1/transactions", { events: [named] });
    expectProblem(missing, 428, "INVALIDARG", /events\[0\] must say which version it expects/);
    const said = { events: [{ ...named, expected_version: "empty" }, named] };
    expect((await door.post("/v1/transactions", said)).status).toBe(201);
  });
});

describe("a transaction", () => {
  test("keeps keys, and tells which event is refused", async () => {
    const [one, two] = [newStream(), newStream()];
    const done = await http.post("/v1/transactions", {
      partition_key: "a-key",
      events: [
        { stream_id: one, event_name: "E" },
        { stream_id: two, event_name: "E", payload: { a: 1 } },
      ],
    });
    expect(done.status).toBe(201);
    expect(done.headers.get("ETag")).toBe(null);
    expect(
      new Set(done.body.events.map((e: { partition_key: string }) => e.partition_key)).size,
    ).toBe(1);
    const refused = await http.post("/v1/transactions", {
      events: [
        { stream_id: one, event_name: "E" },
        { stream_id: two, event_name: "E", expected_version: 5 },
      ],
    });
    expectProblem(refused, 412, "WRONGVER", /expected 5/);
    expect(refused.body).toMatchObject({ event_index: 1, stream_id: two, current_version: 0 });
    const wrong = await http.append(one, { event_name: "E", partition_key: "another" });
    expectProblem(wrong, 409, "WRONGKEY", /^stream .* has partition key/);
    expect(wrong.body.partition_key).toBe(done.body.events[0].partition_key);
  });

  test("carries the ids that no URL can", async () => {
    for (const id of [".", ".."]) {
      const body = { events: [{ stream_id: id, event_name: "E" }] };
      expect((await http.post("/v1/transactions", body)).status).toBe(201);
      expect(await resp.value("ESVER", id)).toBe(0);
    }
  });

  test("takes no conditional headers", async () => {
    const body = { events: [{ stream_id: newStream(), event_name: "E" }] };
    const answer = await http.post("/v1/transactions", body, { "If-Match": "*" });
    expectProblem(answer, 400, "INVALIDARG", /^If-Match is not taken here/);
  });
});

describe("MessagePack", () => {
  const post = async (path: string, body: Uint8Array, accept = "application/msgpack") =>
    fetch(http.base + path, {
      method: "POST",
      headers: { "Content-Type": "application/msgpack", Accept: accept },
      body: body as Uint8Array<ArrayBuffer>,
    });

  test("takes texts and bytes, and answers in kind", async () => {
    const stream = newStream();
    const events = [
      { event_name: "E", payload: "text ü", metadata: new Uint8Array([255, 0]), timestamp: 1.0 },
      { event_name: "E", payload: new Uint8Array([97]), expected_version: 0 },
      { event_name: "E", timestamp: 2 ** 53 - 1, event_id: crypto.randomUUID() },
    ];
    const answer = await post(eventsPath(stream), encode(events));
    expect(answer.status).toBe(201);
    expect(answer.headers.get("Content-Type")).toBe("application/msgpack");
    const appended = decode(new Uint8Array(await answer.arrayBuffer())) as {
      events: { stream_version: number }[];
    };
    expect(appended.events.map((e) => e.stream_version)).toEqual([0, 1, 2]);
    const read = await fetch(http.base + eventsPath(stream), {
      headers: { Accept: "application/msgpack" },
    });
    const found = decode(new Uint8Array(await read.arrayBuffer())) as Record<string, unknown>;
    const inJson = (await http.get(eventsPath(stream))).body;
    expect(found).toEqual({
      ...inJson,
      events: inJson.events.map((event: Record<string, unknown>, i: number) => {
        const { metadata_base64: _, ...rest } = event;
        return i === 0 ? { ...rest, metadata: new Uint8Array([255, 0]) } : event;
      }),
    });
    expect(inJson.events.map((e: { timestamp: number }) => e.timestamp)).toEqual([
      1,
      expect.any(Number),
      2 ** 53 - 1,
    ]);
  });

  test("may be sent and JSON taken", async () => {
    const answer = await post(eventsPath(newStream()), encode({ event_name: "E" }), "*/*");
    expect(answer.status).toBe(201);
    expect(answer.headers.get("Content-Type")).toBe("application/json");
    expect(await answer.json()).toMatchObject({ stream_version: 0 });
  });

  test.each<[string, Uint8Array, RegExp]>([
    [
      "a payload that is a map",
      encode({ event_name: "E", payload: {} }),
      /^payload: expected a str or a bin/,
    ],
    [
      "payload_json",
      encode({ event_name: "E", payload_json: "1" }),
      /^unknown field 'payload_json': expected event_name, event_id, payload, metadata, timestamp, /,
    ],
    ["a cut body", encode({ event_name: "E" }).subarray(0, 8), /at byte \d+: expected/],
    [
      "bytes behind it",
      Uint8Array.of(...encode({ event_name: "E" }), 0xc0),
      /expected the end of the body/,
    ],
    [
      "a str that is no UTF-8",
      Uint8Array.of(0x81, 0xa1, 0xff, 0xc0),
      /expected a str to be valid UTF-8/,
    ],
    ["a map of a billion", Uint8Array.of(0xdf, 0x3b, 0x9a, 0xca, 0), /expected/],
    ["2^53", encode({ event_name: "E", timestamp: 2 ** 53 }), /^timestamp: expected milliseconds/],
    ["a negative number", encode({ event_name: "E", timestamp: -1 }), /^timestamp: expected/],
    ["a nil", Uint8Array.of(0xc0), /expected an event or a list of events/],
    ["nothing", new Uint8Array(0), /expected a value/],
  ])("refuses %s", async (_, body, text) => {
    const answer = await post(eventsPath(newStream()), body);
    const problem = (await answer.json()) as { code: string; detail: string };
    expect([answer.status, problem.code]).toEqual([400, "INVALIDARG"]);
    expect(problem.detail).toMatch(text);
  });
});

describe("a wrong body", () => {
  const CASES: readonly [string, string, RegExp][] = [
    ["no JSON", "nonsense", /^the body is not valid JSON at byte 0|expected an event/],
    ["nothing", "", /at byte 0: expected a value/],
    ["a number", "1", /expected an event or a list of events/],
    ["a cut object", '{"event_name":"E"', /at byte 17: expected ',' or '}'/],
    ["text behind it", '{"event_name":"E"}{}', /at byte 18: expected the end of the body/],
    ["a comma too many", '{"event_name":"E",}', /expected the name of a field/],
    ["single quotes", "{'event_name':'E'}", /expected the name of a field, in double quotes/],
    ["a control character", '{"event_name":"a\tb"}', /expected a string of UTF-8/],
    ["half a surrogate pair", '{"event_name":"E","payload":"\\ud800"}', /surrogate/],
    ["NaN", '{"event_name":"E","payload":NaN}', /expected a valid value/],
    ["a leading zero", '{"event_name":"E","payload":01}', /expected ',' or '}'/],
    ["no events", "[]", /^the request has no events$/],
    ["no events in a request", '{"events":[]}', /^the request has no events$/],
    ["no name", "{}", /^event_name is missing$/],
    ["no name in a list", '[{"event_name":"E"},{}]', /^\[1\]\.event_name is missing$/],
    [
      "an unknown field",
      '{"event_nam":"E"}',
      /^unknown field 'event_nam'; did you mean 'event_name'\?$/,
    ],
    ["a field in another case", '{"Event_Name":"E"}', /; did you mean 'event_name'\?$/],
    [
      "a field that is near to none",
      '{"type":"E"}',
      /^unknown field 'type': expected event_name, event_id, payload, payload_json, .*, events$/,
    ],
    [
      "a field of transactions",
      '{"event_name":"E","stream_id":"s"}',
      /^unknown field 'stream_id': expected event_name, .*, partition_key, events$/,
    ],
    [
      "a field of requests",
      '[{"event_name":"E","event":[]}]',
      /^unknown field 'event' in \[0\]: expected event_name, .*, partition_key$/,
    ],
    ["a field twice", '{"event_name":"E","event_name":"E"}', /^event_name is given twice$/],
    ["two forms of payload", '{"event_name":"E","payload":1,"payload_json":1}', /say the same/],
    ["a name that is a number", '{"event_name":1}', /^event_name: expected a string$/],
    ["an empty name", '{"event_name":""}', /^event_name must be between 1 and 255 bytes/],
    ["a name with a line break", '{"event_name":"a\\nb"}', /contains NUL, CR or LF/],
    ["an id that is none", '{"event_name":"E","event_id":"x"}', /^event_id: expected a UUID$/],
    [
      "an unknown version",
      '{"event_name":"E","expected_version":"some"}',
      /^expected_version: expected "any"/,
    ],
    ["version null", '{"event_name":"E","expected_version":null}', /^expected_version: expected/],
    [
      "version 2^53",
      '{"event_name":"E","expected_version":9007199254740992}',
      /expected_version: exp/,
    ],
    ["version 1.5", '{"event_name":"E","expected_version":1.5}', /expected_version: expected/],
    ["a negative time", '{"event_name":"E","timestamp":-1}', /^timestamp: expected milliseconds/],
    ["base64 without padding", '{"event_name":"E","payload_base64":"YQ"}', /expected base64 with/],
    ["base64 of a URL", '{"event_name":"E","payload_base64":"_-8="}', /expected base64 with/],
    [
      "a key of digits",
      '{"event_name":"E","partition_key":"1,2-3"}',
      /^partition_key: expected a UUID/,
    ],
    ["an event that is no object", '[{"event_name":"E"},3]', /^\[1\]: expected an event/],
    ["events that are no list", '{"events":{}}', /^events: expected a list of events$/],
    [
      "a field beside events",
      '{"events":[{"event_name":"E"}],"payload":1}',
      /^payload belongs into/,
    ],
    ["events in an event", '[{"event_name":"E","events":[]}]', /^unknown field 'events' in \[0\]/],
    [
      "two keys",
      '[{"event_name":"E","partition_key":"a"},{"event_name":"E","partition_key":"b"}]',
      /one partition key/,
    ],
  ];

  test.each(CASES)("is refused: %s", async (_, body, text) => {
    const stream = newStream();
    expectProblem(await http.append(stream, body), 400, "INVALIDARG", text);
    expect((await http.get(`/v1/streams/${stream}`)).status).toBe(404);
  });

  test("that nests too deep is too large", async () => {
    const nested = (depth: number): string =>
      `{"event_name":"E","payload":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    expect((await http.append(newStream(), nested(1_024))).status).toBe(201);
    const answer = await http.append(newStream(), nested(100_000));
    expectProblem(
      answer,
      413,
      "TOOLARGE",
      /^nesting of arrays and objects in a JSON value is limited to 1024/,
    );
  });

  test("of a transaction is refused by its own rules", async () => {
    const refused = async (body: unknown, text: RegExp) =>
      expectProblem(await http.post("/v1/transactions", body), 400, "INVALIDARG", text);
    await refused([{ stream_id: "s", event_name: "E" }], /expected an object/);
    await refused({ partition_key: "k" }, /^events is missing$/);
    await refused({ events: [{ event_name: "E" }] }, /^events\[0\]\.stream_id is missing$/);
    await refused({ events: [{ stream_id: "", event_name: "E" }] }, /must be between 1 and 255/);
    const own = { stream_id: "$cairn-x", event_name: "E" };
    await refused({ events: [own] }, /^events\[0\]\.stream_id .* are the store's own$/);
    const keyed = { stream_id: "s", event_name: "E", partition_key: "k" };
    await refused({ events: [keyed] }, /^unknown field 'partition_key' in events\[0\]/);
    await refused({ expected_version: 1, events: [] }, /^expected_version belongs into each event/);
  });

  test("has a stream of its own rules too", async () => {
    const refused = async (path: string, text: RegExp) =>
      expectProblem(await http.post(path, { event_name: "E" }), 400, "INVALIDARG", text);
    await refused("/v1/streams/%24cairn-x/events", /store's own/);
    await refused("/v1/streams/%FF/events", /^stream '%FF': expected percent-encoded UTF-8$/);
    await refused("/v1/streams/a%00b/events", /contains NUL, CR or LF/);
    await refused(`/v1/streams/${"s".repeat(256)}/events`, /must be between 1 and 255 bytes/);
    await refused(
      "/v1/streams/s/events?limit=1",
      /^unknown query parameter 'limit': none is taken/,
    );
  });
});
