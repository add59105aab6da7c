/**
 * What all connections hold together: those that hold most are cut above the bound, and what they held is given
 * back, so that others are served as before.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ServerInfo } from "../server/commands/server-info.ts";
import { MiB } from "../server/limits.ts";
import { RespDoor } from "../server/resp/door.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import { RespClient } from "./support/resp-client.ts";
import { until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

const HELD_BYTES_MAX = 24 * MiB;
const EVENT_BYTES = 4 * MiB;
const ROUNDS = 3;

const log: string[] = [];
let store: EventStore;
let server: ServerInfo;
let door: RespDoor;
let port: number;

beforeAll(() => {
  store = EventStore.open({
    disk: new SimulatedDisk({ random: new Random(1) }).boot(),
    folder: "/data",
    partitions: 1,
    segmentBytes: MiB,
    durability: "fsync",
    strict: false,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log: (line) => log.push(line),
    syncPlace: "loop",
  });
  server = new ServerInfo({ version: "0.0.0", settings: new Map() });
  const address = { host: "127.0.0.1", port: 0 };
  door = new RespDoor({
    address,
    store,
    server,
    log: (line) => log.push(line),
    heldBytesMax: HELD_BYTES_MAX,
    crash(error) {
      throw error;
    },
  });
  port = Number(door.listen(address).split(":").at(-1));
});

afterAll(async () => {
  await door.stop();
  await store.stop();
});

test("a reader that is cut for what it holds leaves nothing behind", async () => {
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
