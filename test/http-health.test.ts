/**
 * The HTTP door before its routes: health, readiness, and what every request passes first.
 */
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { StoreError } from "../server/errors.ts";
import { HttpApp, type HttpDoor, serveHttp } from "../server/http/app.ts";
import type { Readiness } from "../server/http/operation.ts";

const LOOPBACK = { http: { host: "127.0.0.1", port: 0 }, allowedHosts: ["cairn.example"] };

let door: HttpDoor | null = null;
let readiness: Readiness = { ready: true };
let logged: string[] = [];

function open(settings = LOOPBACK): string {
  readiness = { ready: true };
  logged = [];
  door = serveHttp(settings, { ready: () => readiness, log: (line) => logged.push(line) });
  return door.address;
}

afterEach(async () => {
  await door?.stop();
  door = null;
});

/** Sends bytes as they stand and gives all that came until the server closed. */
function exchange(address: string, request: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  const socket = connect(Number(address.split(":").at(-1)), "127.0.0.1", () =>
    socket.write(request),
  );
  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    received += text;
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => resolve(received));
  socket.on("error", reject);
  return promise;
}

test("/healthz says ok, whatever the store's state", async () => {
  const address = open();
  readiness = { ready: false, reason: "the log is fenced" };
  const response = await fetch(`http://${address}/healthz`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual({ status: "ok" });
});

test("/readyz is 200 when the store takes writes, else a 503 problem with the reason", async () => {
  const address = open();
  expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
  readiness = { ready: false, reason: "the disk is full" };
  const response = await fetch(`http://${address}/readyz`);
  expect(response.status).toBe(503);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("retry-after")).toBe("1");
  expect(await response.json()).toEqual({
    type: "about:blank",
    title: "Service Unavailable",
    status: 503,
    code: "READONLY",
    detail: "the disk is full",
  });
});

test("an unknown path is a 404 problem", async () => {
  const response = await fetch(`http://${open()}/v0/nothing?x=1`);
  expect(response.status).toBe(404);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(await response.json()).toMatchObject({
    status: 404,
    code: "NOTFOUND",
    detail: "there is nothing at /v0/nothing; /docs shows what there is",
  });
});

test("another method is a 405 problem with Allow", async () => {
  const address = open();
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const response = await fetch(`http://${address}/healthz`, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect(await response.json()).toMatchObject({ status: 405, code: "INVALIDARG" });
  }
});

test("HEAD answers as GET, without a body", async () => {
  const address = open();
  for (const [path, status] of [
    ["/healthz", 200],
    ["/readyz", 200],
    ["/nothing", 404],
  ] as const) {
    const response = await fetch(`http://${address}${path}`, { method: "HEAD" });
    expect(response.status).toBe(status);
    expect(await response.text()).toBe("");
  }
});

test("HEAD tells the length that GET's body has", async () => {
  const address = open();
  readiness = { ready: false, reason: "the disk is full" };
  for (const path of ["/healthz", "/readyz", "/nothing"]) {
    const headOf = async (method: string) => {
      const request = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      const [head = "", body = ""] = (await exchange(address, request)).split("\r\n\r\n");
      return { length: /^content-length: (\d+)$/im.exec(head)?.[1], body };
    };
    const get = await headOf("GET");
    expect(get.length).toBe(String(get.body.length));
    expect(await headOf("HEAD")).toEqual({ length: get.length, body: "" });
  }
});

test("bound to loopback, another Host header is a 421 problem that names the flag", async () => {
  const address = open();
  const statusWith = async (host: string) =>
    (await fetch(`http://${address}/healthz`, { headers: { Host: host } })).status;
  for (const host of ["localhost", "LOCALHOST:80", "127.0.0.1:9091", "127.1.2.3", "[::1]:9091"]) {
    expect([host, await statusWith(host)]).toEqual([host, 200]);
  }
  for (const host of ["cairn.example", "Cairn.Example:8080"]) {
    expect([host, await statusWith(host)]).toEqual([host, 200]);
  }
  for (const host of ["evil.example", "localhost.evil.example", "10.0.0.1", "cairn.example.evil"]) {
    expect([host, await statusWith(host)]).toEqual([host, 421]);
  }
  const response = await fetch(`http://${address}/healthz`, { headers: { Host: "evil.example" } });
  expect(await response.json()).toMatchObject({
    status: 421,
    code: "INVALIDARG",
    detail: expect.stringContaining("--allowed-hosts"),
  });
});

test("beyond loopback, any Host header is taken", async () => {
  const app = new HttpApp(
    { http: { host: "0.0.0.0", port: 9091 }, allowedHosts: [] },
    { ready: () => ({ ready: true }), log: () => {} },
  );
  const response = await app.respond(
    new Request("http://store.example/healthz", { headers: { Host: "store.example" } }),
  );
  expect(response.status).toBe(200);
});

test("two Host headers are 400, and the connection closes", async () => {
  const answer = await exchange(
    open(),
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('"code":"INVALIDARG"');
});

test("an error of the store is a problem with its facts; a bug shows an id that the log has too", async () => {
  const app = new HttpApp(LOOPBACK, {
    ready: () => ({ ready: true }),
    log: (line) => logged.push(line),
    operations: [
      {
        ...PLANTED,
        path: "/refused",
        handle() {
          throw new StoreError("WRONGVER", "wrong expected version", { current_version: 2 });
        },
      },
      {
        ...PLANTED,
        path: "/broken",
        handle() {
          throw new Error("a secret of the implementation");
        },
      },
    ],
  });
  logged = [];
  const headers = { Host: "localhost" };

  const refused = await app.respond(new Request("http://localhost/refused", { headers }));
  expect(refused.status).toBe(412);
  expect(await refused.json()).toMatchObject({ code: "WRONGVER", current_version: 2 });

  const broken = await app.respond(new Request("http://localhost/broken", { headers }));
  expect(broken.status).toBe(500);
  const { code, detail } = (await broken.json()) as { code: string; detail: string };
  expect(code).toBe("INTERNAL");
  expect(detail).not.toContain("secret");
  const id = /[0-9a-f-]{36}/.exec(detail)?.[0] ?? "no id";
  expect(logged.join("\n")).toContain(id);
});

test("an address that is taken is refused, and told", () => {
  const taken = { host: "127.0.0.1", port: Number(open().split(":").at(-1)) };
  const parts = { ready: () => readiness, log: () => {} };
  expect(() => serveHttp({ http: taken, allowedHosts: [] }, parts)).toThrow(
    `HTTP cannot listen at 127.0.0.1:${taken.port}: `,
  );
});

test("a stop does not wait for a connection that asks nothing", async () => {
  const port = Number(open().split(":").at(-1));
  const silent = connect(port, "127.0.0.1");
  const closed = new Promise((resolve) => silent.on("close", resolve));
  silent.on("error", () => {}); // a reset is as good as an end
  await new Promise((resolve) => silent.once("connect", resolve));
  silent.write("GET /hea");
  await door?.stop();
  door = null;
  await closed;
});

test("after stop the door takes no connections", async () => {
  const address = open();
  expect((await fetch(`http://${address}/healthz`)).status).toBe(200);
  await door?.stop();
  door = null;
  await expect(fetch(`http://${address}/healthz`)).rejects.toThrow();
});

test("a request above the limit of connections is told so, and its connection closes", async () => {
  let requestsMax = 0;
  door = serveHttp(LOOPBACK, {
    ready: () => readiness,
    log: () => undefined,
    requestsMax: () => requestsMax,
  });
  const text = await exchange(door.address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect(text).toMatch(/^HTTP\/1\.1 503 /);
  expect(text).toContain("the number of connections is limited to 0, but 1 was asked");
  requestsMax = 1;
  expect((await fetch(`http://${door.address}/healthz`)).status).toBe(200);
});

const PLANTED = {
  method: "GET",
  id: "planted",
  tag: "Planted",
  summary: "Planted",
  answers: {},
} as const;
