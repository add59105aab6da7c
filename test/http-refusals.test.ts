/**
 * What the HTTP door refuses before a route: methods, media types, bodies that are too long, hosts and origins, and
 * requests that two readers could read in two ways.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsPath, exchange, expectProblem, HttpClient } from "./support/http-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const MiB = 1024 * 1024;
const BODY_BYTES_MAX = 16 * MiB;
const ORIGIN = "https://app.example.org";

let cairn: Cairn;
let shared: Cairn;
let http: HttpClient;

beforeAll(async () => {
  cairn = await startCairn();
  shared = await startCairn({
    args: ["--cors-origins", ORIGIN, "--allowed-hosts", "cairn.internal"],
  });
  http = new HttpClient(cairn.httpPort);
});
afterAll(async () => {
  await cairn.stop();
  await shared.stop();
});

describe("methods", () => {
  test.each([
    ["/v1", "GET, HEAD"],
    ["/v1/streams", "GET, HEAD"],
    ["/v1/streams/s", "GET, HEAD"],
    ["/v1/streams/s/events", "GET, HEAD, POST"],
    ["/v1/transactions", "POST"],
    ["/v1/events", "GET, HEAD"],
    ["/v1/events/x", "GET, HEAD"],
    ["/v1/partitions/0", "GET, HEAD"],
    ["/v1/partitions/0/events", "GET, HEAD"],
    ["/v1/subscribe", "GET, HEAD"],
    ["/openapi.json", "GET, HEAD"],
    ["/docs", "GET, HEAD"],
  ])("of %s are %s", async (path, allow) => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      if (allow.split(", ").includes(method)) continue;
      const answer = await http.request(path, { method });
      expectProblem(answer, 405, "INVALIDARG", new RegExp(`^${method} is not allowed at /`));
      expect(answer.headers.get("Allow")).toBe(allow);
    }
  });

  test("at no path are 404", async () => {
    for (const path of [
      "/",
      "/v2",
      "/v1/",
      "/v1/stream",
      "/v1/streams/s/event",
      "/v1/streams/a/b/events",
      "/v1/streams//events",
      "/v1%2Fstreams",
    ]) {
      expectProblem(
        await http.get(path),
        404,
        "NOTFOUND",
        /^there is nothing at \/\S*; \/docs shows what there is$/,
      );
      expect((await http.post(path, {})).status).toBe(404);
    }
  });

  test("are the same with percent signs where none are needed", async () => {
    const answer = await http.post("/v1/%73treams/%70ercent/even%74s", { event_name: "E" });
    expect(answer.status).toBe(201);
    expect((await http.get("/v1/streams/percent/events")).body.events).toHaveLength(1);
  });
});

describe("media types of an append", () => {
  test.each([
    ["none", {}, /but there is none$/],
    ["of a form", { "Content-Type": "application/x-www-form-urlencoded" }, /got 'application/],
    ["of plain text", { "Content-Type": "text/plain;charset=UTF-8" }, /got 'text\/plain/],
    ["nearly JSON", { "Content-Type": "application/jsonx" }, /got/],
    [
      "compressed",
      { "Content-Type": "application/json", "Content-Encoding": "gzip" },
      /^Content-Enc/,
    ],
  ])("%s are 415", async (_, headers, text) => {
    const body = new Blob(['{"event_name":"E"}']); // carries no type of its own
    for (const path of [eventsPath("s"), "/v1/transactions"]) {
      const answer = await http.request(path, {
        method: "POST",
        headers: headers as Record<string, string>,
        body,
      });
      expectProblem(answer, 415, "INVALIDARG", text);
    }
    expect((await http.get("/v1/streams/s")).status).toBe(404);
  });

  test("are heeded in any case and with parameters", async () => {
    const headers = { "Content-Type": "Application/JSON; charset=utf-8" };
    expect((await http.append("typed", { event_name: "E" }, headers)).status).toBe(201);
  });
});

describe("a body", () => {
  const head = (length: string): string =>
    `POST ${eventsPath("large")} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;

  test("above 16 MiB is refused by its length, unread", async () => {
    const answer = await exchange(cairn.httpPort, head(`Content-Length: ${BODY_BYTES_MAX + 1}`));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"TOOLARGE"');
    expect(answer).toContain(`"limit_value":${BODY_BYTES_MAX},"asked":${BODY_BYTES_MAX + 1}`);
  });

  test("in chunks is refused where it passes 16 MiB", async () => {
    const chunk = `${MiB.toString(16)}\r\n${"x".repeat(MiB)}\r\n`;
    const bytes = Buffer.from(head("Transfer-Encoding: chunked") + chunk.repeat(40));
    const answer = await exchange(cairn.httpPort, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"TOOLARGE"');
  });

  test.each([
    ["of a known length", `Content-Length: ${30 * MiB}`, "x".repeat(30 * MiB)],
    [
      "in chunks",
      "Transfer-Encoding: chunked",
      `${(30 * MiB).toString(16)}\r\n${"x".repeat(30 * MiB)}\r\n0\r\n\r\n`,
    ],
  ])(
    "above 16 MiB, %s, can be sent to its end before the answer is read",
    async (_, length, body) => {
      const socket = connect(cairn.httpPort, "127.0.0.1");
      const sent = Promise.withResolvers<void>();
      socket.on("error", sent.reject);
      socket.write(head(length) + body, () => sent.resolve());
      await sent.promise;
      const answer = Promise.withResolvers<string>();
      socket.once("data", (bytes) => answer.resolve(bytes.toString("latin1")));
      expect(await answer.promise).toMatch(/^HTTP\/1\.1 413 /);
      socket.destroy();
    },
  );

  test("of 16 MiB is taken, in one piece and in chunks", async () => {
    const event = (size: number) => `{"event_name":"E","payload":"${"x".repeat(size)}"}`;
    const half = event(8 * MiB - 1_024);
    const list = `[${half},${half}]`.padEnd(BODY_BYTES_MAX, " ");
    expect((await http.append("large", list)).status).toBe(201);
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        const bytes = Buffer.from(list);
        for (let at = 0; at < bytes.length; at += MiB) {
          controller.enqueue(bytes.subarray(at, at + MiB));
        }
        controller.close();
      },
    });
    const answer = await http.request(eventsPath("large"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: pieces,
    });
    expect(answer.status).toBe(201);
    expect((await http.get("/v1/streams/large")).body.version).toBe(3);
  });

  test("that never comes costs no more than its connection", async () => {
    const before = residentBytes(cairn.pid);
    const answers = Array.from({ length: 20 }, () =>
      exchange(cairn.httpPort, head("Content-Length: 99999999999")),
    );
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(residentBytes(cairn.pid) - before).toBeLessThan(256 * MiB);
  });
});

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

describe("a request that two readers could read in two ways", () => {
  const HOST = "Host: localhost\r\n";
  const POST = `POST ${eventsPath("smuggled")} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;
  const hidden = `GET /v1 HTTP/1.1\r\n${HOST}\r\n`;

  test.each([
    [
      "both lengths",
      `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    ["two lengths", `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`],
    ["the same length twice", `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
    ["a list of lengths", `${POST}Content-Length: 5, 5\r\n\r\nhello`],
    ["a signed length", `${POST}Content-Length: +5\r\n\r\nhello`],
    ["a negative length", `${POST}Content-Length: -5\r\n\r\nhello`],
    ["a hexadecimal length", `${POST}Content-Length: 0x5\r\n\r\nhello`],
    ["an unknown coding", `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`],
    ["chunked not last", `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`],
    [
      "two codings",
      `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
    ],
    ["a space before the colon", `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`],
    [
      "a chunk's size that is none",
      `${POST}Transfer-Encoding: chunked\r\n\r\n5g\r\nhello\r\n0\r\n\r\n`,
    ],
    ["chunks with line feeds alone", `${POST}Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n`],
    ["a folded header", `GET /v1 HTTP/1.1\r\n${HOST}X-A: a\r\n b\r\n\r\n`],
    ["NUL in a header", `GET /v1 HTTP/1.1\r\n${HOST}X-A: a\0b\r\n\r\n`],
    ["two hosts", `GET /v1 HTTP/1.1\r\n${HOST}Host: evil.example\r\n\r\n`],
    ["a host with a user", "GET /v1 HTTP/1.1\r\nHost: evil.example@localhost\r\n\r\n"],
    ["no host", "GET /v1 HTTP/1.1\r\n\r\n"],
    ["HTTP/1.0 without a host", "GET /v1 HTTP/1.0\r\n\r\n"],
  ])("is 400 and closes the connection: %s", async (_, request) => {
    const answer = await exchange(cairn.httpPort, request);
    // One answer alone: what follows the request is not taken for another one.
    expect(answer.match(/^HTTP\/1\.1 \d+/gm)).toEqual(["HTTP/1.1 400"]);
  });

  test("is no stream of events afterwards", async () => {
    expect((await http.get("/v1/streams/smuggled")).status).toBe(404);
  });

  test("headers above 16 KiB are 431", async () => {
    const answer = await exchange(
      cairn.httpPort,
      `GET /v1 HTTP/1.1\r\n${HOST}X-A: ${"a".repeat(17_000)}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("what is pipelined is answered in order, as far as it is", async () => {
    // Bun closes a connection on which a request comes while one is under way: never is one answered twice or wrong.
    const post = (name: string): string => {
      const body = `{"event_name":"${name}"}`;
      return `${POST.replace("smuggled", "piped")}Content-Length: ${body.length}\r\n\r\n${body}`;
    };
    const end = `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
    const answer = await exchange(cairn.httpPort, post("A") + post("B") + end);
    const told = answer.match(/"stream_version":\d+/g) ?? [];
    expect(told).toEqual(["0", "1"].slice(0, told.length).map((v) => `"stream_version":${v}`));
    const { body } = await http.get(eventsPath("piped"));
    const names = body.events.map((event: { event_name: string }) => event.event_name);
    expect(names).toEqual(["A", "B"].slice(0, names.length));
    expect(names.length).toBeGreaterThanOrEqual(told.length);
  });
});

describe("hosts", () => {
  test("beyond loopback and the allowed ones are 421 at every path", async () => {
    for (const path of ["/v1", eventsPath("s"), "/openapi.json", "/nothing"]) {
      const answer = await http.get(path, { Host: "evil.example" });
      expectProblem(answer, 421, "INVALIDARG", /--allowed-hosts$/);
    }
    const door = new HttpClient(shared.httpPort);
    expect((await door.get("/v1", { Host: "cairn.internal:80" })).status).toBe(200);
    expect((await door.get("/v1", { Host: "evil.example" })).status).toBe(421);
  });
});

describe("pages of other origins", () => {
  const preflight = { Origin: ORIGIN, "Access-Control-Request-Method": "POST" };

  test("get no permission unless origins are configured", async () => {
    const asked = await http.request(eventsPath("s"), { method: "OPTIONS", headers: preflight });
    expect(asked.status).toBe(405);
    const read = await http.get("/v1", { Origin: ORIGIN });
    for (const { headers } of [asked, read]) {
      expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    }
  });

  test("get it where theirs is configured", async () => {
    const door = new HttpClient(shared.httpPort);
    const asked = await door.request(eventsPath("s"), { method: "OPTIONS", headers: preflight });
    expect(asked.status).toBe(204);
    expect(asked.headers.get("Access-Control-Allow-Origin")).toBe(ORIGIN);
    expect(asked.headers.get("Access-Control-Allow-Methods")).toContain("POST");
    expect(asked.headers.get("Access-Control-Allow-Headers")).toContain("Content-Type");
    for (const path of ["/v1", "/nothing", "/v1/events?from=x"]) {
      const { headers } = await door.get(path, { Origin: ORIGIN });
      expect(headers.get("Access-Control-Allow-Origin")).toBe(ORIGIN);
      expect(headers.get("Access-Control-Expose-Headers")).toContain("ETag");
      expect(headers.get("Vary")).toMatch(/\bOrigin\b/);
    }
  });

  test("of an origin that is not configured get none", async () => {
    const door = new HttpClient(shared.httpPort);
    const { headers } = await door.get("/v1", { Origin: "https://evil.example" });
    expect(headers.get("Access-Control-Allow-Origin")).toBe(null);
    expect(headers.get("Vary")).toMatch(/\bOrigin\b/);
    const asked = await door.request("/v1", {
      method: "OPTIONS",
      headers: { ...preflight, Origin: "https://evil.example" },
    });
    expect(asked.status).toBe(405);
    expect(asked.headers.get("Access-Control-Allow-Origin")).toBe(null);
  });
});
