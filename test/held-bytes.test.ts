/**
 * What all connections hold together: those that hold most are cut above the bound, and what they held is given
 * back, so that others are served as before.
 */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KiB, MiB, UNSENT_BYTES_MAX, WAITING_BYTES_MAX } from "../server/limits.ts";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { encode, RespClient } from "./support/resp-client.ts";
import { until } from "./support/server.ts";

const HELD_BYTES_MAX = 24 * MiB;
const EVENT_BYTES = 4 * MiB;
const ROUNDS = 3;
/** Far above what a server may hold of one client and a socket's buffers take. */
const SENT_BYTES = 160 * MiB;

let opened: DoorInProcess;

beforeAll(() => {
  opened = openDoor({ heldBytesMax: HELD_BYTES_MAX });
});

afterAll(async () => {
  await opened.stop();
});

test("a reader that is cut for what it holds leaves nothing behind", async () => {
  const { door, log, port, server } = opened;
  const witness = await RespClient.connect3(port);
  const payload = Buffer.alloc(EVENT_BYTES, "x");
  for (let i = 0; i < 2; i++) await witness.value("EAPPEND", "large", "E", "PAYLOAD", payload);
  for (let round = 0; round < ROUNDS; round++) {
    // Four readers that never read: the third reply of some of them is beyond what all may hold.
    const readers = await Promise.all(Array.from({ length: 4 }, () => RespClient.connect3(port)));
    const cutBefore = log.filter((line) => line.includes("hold too much")).length;
    for (const reader of readers) {
      reader.pause();
      void reader.pipeline(Array(8).fill(["ESCAN", "large", "-", "+"])).catch(() => {});
    }
    await until(
      () => log.filter((line) => line.includes("hold too much")).length > cutBefore,
      "a reader is cut",
    );
    for (const reader of readers) reader.close();
    await until(() => server.sessions.count === 1, "the readers are gone");
    expect(door.heldBytes).toBe(0);
    expect(await witness.value("PING")).toBe("PONG");
  }
  witness.close();
});

test("a client that sends on and never reads is not read on: what it sends waits in its own memory", async () => {
  const own = openDoor();
  try {
    const witness = await RespClient.connect3(own.port);
    const socket = connect({ port: own.port, host: "127.0.0.1" });
    socket.pause();
    const request = encode(["ECHO", Buffer.alloc(64 * KiB, "x")]);
    const requests = Buffer.concat(Array(32).fill(request));
    for (let sent = 0; sent < SENT_BYTES; sent += requests.length) socket.write(requests);
    await until(() => own.door.heldBytes > UNSENT_BYTES_MAX, "the server holds all it may");
    const held = () => own.door.heldBytes;
    for (let before = -1; before !== held(); ) {
      before = held();
      for (let i = 0; i < 20; i++) await witness.value("PING");
    }
    expect(held()).toBeLessThan(UNSENT_BYTES_MAX + WAITING_BYTES_MAX);
    expect(socket.writableLength).toBeGreaterThan(SENT_BYTES / 4);
    socket.destroy();
    witness.close();
  } finally {
    await own.stop();
  }
});
