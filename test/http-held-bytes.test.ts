/**
 * Large bodies and answers of HTTP cost bounded memory, and who waits for room gets it.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { HeldBytes } from "../server/http/held-bytes.ts";
import { HTTP_HELD_BYTES_MAX, MiB } from "../server/limits.ts";
import { eventsPath, HttpClient } from "./support/http-client.ts";
import { startCairn, until } from "./support/server.ts";

test("what is large waits until others have gone, in order; what is small does not", async () => {
  const held = new HeldBytes();
  const giveBack = await held.take(HTTP_HELD_BYTES_MAX);
  const told: string[] = [];
  const first = held.take(MiB).then((back) => {
    told.push("first");
    return back;
  });
  const second = held.whenRoom(async () => told.push("second"));
  await held.take(1_000);
  expect(told).toEqual([]);
  giveBack();
  giveBack(); // once more is nothing
  await Promise.all([first, second]);
  expect(told).toEqual(["first", "second"]);
  (await first)();
});

test("an answer gives back its bytes when it was read, or nobody wants it any more", async () => {
  const held = new HeldBytes();
  const body = new Uint8Array(HTTP_HELD_BYTES_MAX).fill(7);
  const read = held.answer(body) as ReadableStream<Uint8Array>;
  let waited = held.take(MiB);
  expect(Buffer.from(await new Response(read).arrayBuffer()).equals(body)).toBe(true);
  (await waited)();
  const left = held.answer(body) as ReadableStream<Uint8Array>;
  waited = held.take(MiB);
  await left.cancel();
  (await waited)();
  expect(held.answer(new Uint8Array(10))).toEqual(new Uint8Array(10));
});

test("a failure while an answer is made lets the next one on", async () => {
  const held = new HeldBytes();
  const giveBack = await held.take(HTTP_HELD_BYTES_MAX);
  const failing = held.whenRoom(() => Promise.reject(new Error("no")));
  const next = held.whenRoom(async () => "next");
  giveBack();
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("next");
});

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
  for (let i = 0; i < 40; i++) {
    const socket = connect(cairn.httpPort, "127.0.0.1");
    socket.pause();
    socket.on("error", () => {});
    socket.on("close", () => cut++);
    socket.write(`GET ${eventsPath("large")} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    sockets.push(socket);
  }
  // 40 answers of 8 MiB are asked for, more than may be held: another reader still gets one.
  const { body } = await http.get(eventsPath("large"));
  expect(body.events).toHaveLength(2);
  expect(residentBytes(cairn.pid) - before).toBeLessThan(512 * MiB);
  for (const socket of sockets) socket.resume();
  for (const socket of sockets) socket.destroy();
  await until(() => cut === sockets.length, "all sockets are closed");
  expect((await http.get("/v1")).status).toBe(200);
  await cairn.stop();
});

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
