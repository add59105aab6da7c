/**
 * The line that an HTTP request leaves in the log: what it says, at which level, and that nothing in it is the
 * client's to choose but an escaped path.
 */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { HttpApp } from "../server/http/app.ts";
import { RequestObserver } from "../server/http/observe-requests.ts";
import { LOGGED_PATH_LENGTH_MAX } from "../server/limits.ts";
import { type LogFormat, type LogLevel, StderrLog } from "../server/stderr-log.ts";
import { startCairn, until } from "./support/server.ts";

const ROUTE = { id: "planted", tag: "Planted", summary: "Planted", answers: {} };

/** An app without a socket, and what it logged. */
function open(level: LogLevel = "info", format: LogFormat = "json") {
  let written = "";
  const log = new StderrLog({
    format,
    level,
    clock: Date.now,
    write(text) {
      written += text;
      return true;
    },
  });
  const app = new HttpApp(
    { http: { host: "127.0.0.1", port: 0 }, allowedHosts: [] },
    {
      ready: () => ({ ready: false, reason: "full" }),
      log: log.tell,
      observer: new RequestObserver(log),
      operations: [
        {
          ...ROUTE,
          method: "POST",
          path: "/v1/streams/{stream}/events",
          handle: () => new Response("stored", { status: 201, headers: { "Content-Length": "6" } }),
        },
        {
          ...ROUTE,
          method: "GET",
          path: "/broken",
          handle() {
            throw new Error("planted");
          },
        },
      ],
    },
  );
  return {
    async ask(path: string, init: RequestInit = {}) {
      const headers = { Host: "localhost", ...(init.headers as Record<string, string>) };
      return await app.respond(new Request(`http://localhost${path}`, { ...init, headers }));
    },
    text() {
      log.flush();
      return written;
    },
    lines(): Record<string, unknown>[] {
      return this.text()
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    },
  };
}

test("has method, path, route, status, duration and lengths; no query, no body, no header", async () => {
  const app = open();
  await app.ask("/v1/streams/user-1%1b%5B31m/events?name=secret-query", {
    method: "POST",
    body: '{"payload":"secret-payload"}',
    headers: { "Content-Length": "28", "X-Secret": "secret-header" },
  });
  expect(app.lines()).toEqual([
    {
      time: expect.any(String),
      level: "info",
      msg: "http request",
      method: "POST",
      path: "/v1/streams/user-1%1b%5B31m/events",
      route: "/v1/streams/:stream/events",
      status: 201,
      duration_ms: expect.any(Number),
      request_bytes: 28,
      bytes: 6,
    },
  ]);
  expect(app.text()).not.toContain("secret");
});

test("is at debug for what is polled, at warn where the server is at fault", async () => {
  const app = open("debug");
  await app.ask("/healthz");
  await app.ask("/readyz");
  await app.ask("/nothing");
  await app.ask("/broken");
  expect(app.lines().map(({ level, msg, status }) => ({ level, msg, status }))).toEqual([
    { level: "debug", msg: "http request", status: 200 },
    { level: "debug", msg: "http request", status: 503 },
    { level: "info", msg: "http request", status: 404 },
    {
      level: "error",
      msg: expect.stringMatching(/^error [0-9a-f-]{36}: GET \/broken: Error: planted/),
    },
    { level: "warn", msg: "http request", status: 500 },
  ]);
  const quiet = open("warn");
  await quiet.ask("/nothing");
  expect(quiet.text()).toBe("");
});

test("has a path of bounded length, the same in text", async () => {
  const app = open("info", "text");
  await app.ask(`/${"x".repeat(10_000)}`);
  const [, path = ""] = / path=(\S+) /.exec(app.text()) ?? [];
  expect(path).toBe(`/${"x".repeat(LOGGED_PATH_LENGTH_MAX - 1)}`);
});

test("from a socket: control bytes of a request line end neither the line nor the server", async () => {
  const cairn = await startCairn({ args: ["--log=json"] });
  const socket = connect(cairn.httpPort, "127.0.0.1");
  socket.resume();
  socket.on("error", () => {}); // a refusal may come as a reset
  socket.end(
    'GET /a\x1b[2J\x7f\xc2\x85"level":"error"\u2028x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  );
  await new Promise((resolve) => socket.once("close", resolve));
  const last = await fetch(`http://127.0.0.1:${cairn.httpPort}/last%0Aready%20resp=x`);
  expect(last.status).toBe(404);
  await until(() => cairn.stderr().includes("/last"), "the last request was logged");
  for (const line of cairn.stderr().trimEnd().split("\n")) {
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(line)).toMatchObject({ level: "info" });
  }
  expect(await cairn.stop()).toBe(0);
});
