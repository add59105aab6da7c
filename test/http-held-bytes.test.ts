/**
 * Large bodies and answers of HTTP cost bounded memory, and who waits for room gets it.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { HeldBytes } from "../server/http/held-bytes.ts";
import {
  HTTP_BODY_BYTES_MAX,
  HTTP_HELD_BYTES_MAX,
  HTTP_SMALL_BYTES,
  KiB,
  MiB,
} from "../server/limits.ts";
import { eventsPath, HttpClient } from "./support/http-client.ts";
import { startCairn, until } from "./support/server.ts";

/** What one `HeldBytes` of these tests holds at the most. */
const HELD_MAX = MiB;
const large = (bytes: number) => new Uint8Array(bytes).fill(7);
/** Makes a large answer as soon as there is room. */
const whenRoom = <Value>(held: HeldBytes, make: () => Promise<Value>): Promise<Value> =>
  held.smallOrWhenRoom((bytesMax) =>
    bytesMax === Number.POSITIVE_INFINITY ? make() : Promise.resolve(null),
  );

test("what is large waits until others have gone, in order; what is small is not counted", async () => {
  const held = new HeldBytes(HELD_MAX);
  const body = held.openBody(() => {});
  body.add(HELD_MAX);
  const told: string[] = [];
  const younger = held.openBody(() => {});
  const piece = younger.room();
  const first = whenRoom(held, async () => told.push("first"));
  const second = whenRoom(held, async () => told.push("second"));
  expect(held.answer([large(10), large(5)])).toEqual(Buffer.from(large(15)));
  expect(held.bytes).toBe(HELD_MAX);
  await body.room(); // the oldest never waits
  expect(await held.smallOrWhenRoom(async (bytesMax) => bytesMax)).toBe(HTTP_SMALL_BYTES);
  expect(told).toEqual([]);
  body.release();
  body.release(); // once more is nothing
  await Promise.all([piece, first, second]);
  expect(told).toEqual(["first", "second"]);
  expect(held.bytes).toBe(0);
});

test("bodies that fill all there is come to their ends, one after the other", async () => {
  const held = new HeldBytes(HELD_MAX);
  const bodies = Array.from({ length: 3 }, () => held.openBody(() => {}));
  for (const body of bodies) body.add(HELD_MAX / 2);
  const ended: number[] = [];
  const ends = bodies.map(async (body, i) => {
    for (let piece = 0; piece < 4; piece++) {
      await body.room();
      body.add(HELD_MAX / 2);
    }
    ended.push(i);
    body.release();
  });
  await Promise.all(ends);
  expect(ended).toEqual([0, 1, 2]);
  expect(held.bytes).toBe(0);
});

test("an answer gives back its bytes when it was read, or nobody wants it any more", async () => {
  const held = new HeldBytes(HELD_MAX);
  const pieces = () => [large(3), large(HELD_MAX), large(100_000)];
  const read = held.answer(pieces()) as ReadableStream<Uint8Array>;
  let waited = whenRoom(held, async () => {});
  const bytes = Buffer.from(await new Response(read).arrayBuffer());
  expect(bytes.equals(Buffer.concat(pieces()))).toBe(true);
  await waited;
  const left = held.answer(pieces()) as ReadableStream<Uint8Array>;
  waited = whenRoom(held, async () => {});
  await left.cancel();
  await waited;
  expect(held.bytes).toBe(0);
});

test("a failure while an answer is made lets the next one on", async () => {
  const held = new HeldBytes(HELD_MAX);
  const body = held.openBody(() => {});
  body.add(HELD_MAX);
  const failing = whenRoom(held, () => Promise.reject(new Error("no")));
  const next = whenRoom(held, async () => "next");
  body.release();
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("next");
});

test("a body that brings too little is cut while others wait, and no other", async () => {
  const held = new HeldBytes(HELD_MAX, 0);
  const cut: string[] = [];
  const slow = held.openBody(() => {
    cut.push("slow");
    slow.release();
  });
  slow.add(HELD_MAX - 1);
  const whole = held.openBody(() => cut.push("whole"));
  whole.add(1);
  whole.complete();
  await whenRoom(held, async () => {});
  expect(cut).toEqual(["slow"]);
  expect(held.bytes).toBe(1);
});

test("slow uploads hold nobody up, and those that fill all there is are cut", async () => {
  const cairn = await startCairn();
  const http = new HttpClient(cairn.httpPort);
  const head = `POST ${eventsPath("slow")} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
  const sockets: Socket[] = [];
  let answers = "";
  const upload = (bytes: number) => {
    const socket = connect(cairn.httpPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      answers += chunk;
    });
    socket.write(`${head}Content-Length: ${HTTP_BODY_BYTES_MAX}\r\n\r\n`);
    socket.write(Buffer.alloc(bytes, " "));
    sockets.push(socket);
  };
  // Were each counted as what it may become, these would be four times what may be held.
  for (let i = 0; i < (4 * HTTP_HELD_BYTES_MAX) / HTTP_BODY_BYTES_MAX; i++) upload(100 * KiB);
  await until(async () => (await heldBytes(http)) >= sockets.length * 100 * KiB, "all have come");
  const event = { event_name: "E", payload: "x".repeat(MiB) };
  expect((await http.append("quick", event)).status).toBe(201);
  expect(answers).toBe("");
  // And these bring nearly all that they promise.
  const before = residentBytes(cairn.pid);
  for (let i = 0; i < (2 * HTTP_HELD_BYTES_MAX) / HTTP_BODY_BYTES_MAX; i++) {
    upload(HTTP_BODY_BYTES_MAX - 1);
  }
  await until(async () => (await heldBytes(http)) >= HTTP_HELD_BYTES_MAX, "all is held");
  expect((await http.append("quick", event)).status).toBe(201);
  expect(answers).toMatch(/^HTTP\/1.1 408 /);
  expect(answers).toContain("the body came too slowly");
  expect(residentBytes(cairn.pid) - before).toBeLessThan(4 * HTTP_HELD_BYTES_MAX);
  for (const socket of sockets) socket.destroy();
  await until(async () => (await heldBytes(http)) === 0, "nothing is held");
  expect((await http.get(eventsPath("slow"))).body.events).toEqual([]);
  expect(await cairn.stop()).toBe(0);
});

test("a server that is told to stop does not wait for a body that never ends", async () => {
  const cairn = await startCairn();
  const socket = connect(cairn.httpPort, "127.0.0.1");
  socket.on("error", () => {});
  const head = `POST ${eventsPath("s")} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
  socket.write(`${head}Content-Length: 100\r\n\r\n{"event_name":`);
  const http = new HttpClient(cairn.httpPort);
  // Beside the one that asks.
  await until(async () => (await figure(http, "cairn_http_requests_in_flight")) === 2, "it came");
  expect(await cairn.stop()).toBe(0);
  socket.destroy();
});

const SMALL_ID = "0197a000-0000-7000-8000-000000000001";

test("clients that do not read their answers are cut where others wait", async () => {
  const cairn = await startCairn({ args: ["--durability", "os"] });
  const http = new HttpClient(cairn.httpPort);
  const payload = "x".repeat(4 * MiB - 1_000);
  const two = [
    { event_name: "E", payload },
    { event_name: "E", payload },
  ];
  expect((await http.append("large", two)).status).toBe(201);
  const before = residentBytes(cairn.pid);
  const sockets: Socket[] = [];
  let cut = 0;
  for (let i = 0; i < 100; i++) {
    const socket = connect(cairn.httpPort, "127.0.0.1");
    socket.pause();
    socket.on("error", () => {});
    socket.on("close", () => cut++);
    socket.write(`GET ${eventsPath("large")} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    sockets.push(socket);
  }
  // 100 answers of 8 MiB are asked for, more than may be held: who reads little does not wait behind them.
  const inFlight = () => figure(http, "cairn_http_requests_in_flight");
  await until(async () => (await inFlight()) > sockets.length, "all have asked");
  const small = { event_name: "E", payload: "small", event_id: SMALL_ID };
  expect((await http.append("small", small)).status).toBe(201);
  expect((await http.get(eventsPath("small"))).body.events).toMatchObject([{ event_id: SMALL_ID }]);
  expect((await http.get(`/v1/events/${SMALL_ID}`)).body).toMatchObject({ event_id: SMALL_ID });
  expect((await http.get("/v1/events?limit=3&from=2")).body.events).toHaveLength(1);
  // Those who asked before have not all been answered by then: one after the other is, as those before it are cut.
  expect(await answered(http, "/v1/streams/:stream/events")).toBeLessThan(sockets.length);
  // And another one who reads much gets it in turn.
  const { body } = await http.get(eventsPath("large"));
  expect(body.events).toHaveLength(2);
  expect(await heldBytes(http)).toBeLessThan(HTTP_HELD_BYTES_MAX + 9 * MiB);
  expect(residentBytes(cairn.pid) - before).toBeLessThan(512 * MiB);
  for (const socket of sockets) socket.resume();
  for (const socket of sockets) socket.destroy();
  await until(() => cut === sockets.length, "all sockets are closed");
  expect((await http.get("/v1")).status).toBe(200);
  await cairn.stop();
});

async function heldBytes(http: HttpClient): Promise<number> {
  return figure(http, "cairn_http_held_bytes");
}

/** A figure of `name`, which has its labels. */
async function figure(http: HttpClient, name: string): Promise<number> {
  const { body } = await http.get("/metrics");
  const line = String(body)
    .split("\n")
    .find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** GETs of a route that were answered, or whose answer has begun. */
async function answered(http: HttpClient, route: string): Promise<number> {
  const labels = `method="GET",route="${route}",status="200"`;
  return figure(http, `cairn_http_requests_total{${labels}}`);
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
