/**
 * One behaviour behind all doors: the shared cases through the store itself, RESP and HTTP; and what one door writes the
 * other reads.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { MiB } from "../server/limits.ts";
import { EventStore } from "../server/store/event-store.ts";
import { eventStoreCases } from "./event-store.case.ts";
import { type Door, httpDoor, respDoor, storeDoor } from "./support/event-store-door.ts";
import { Random } from "./support/random.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

eventStoreCases("called itself", { checksRequests: false }, async () => {
  const store = EventStore.open({
    disk: new SimulatedDisk({ random: new Random(1) }).boot(),
    folder: "/data",
    partitions: 32,
    segmentBytes: MiB,
    durability: "fsync",
    strict: false,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log: () => {},
    syncPlace: "loop",
  });
  return { door: storeDoor(store), close: () => store.stop() };
});

eventStoreCases("over RESP", { checksRequests: true }, async () => {
  const cairn = await startCairn();
  const client = await RespClient.connect3(cairn.respPort);
  return {
    door: respDoor(client),
    async close() {
      client.close();
      await cairn.stop();
    },
  };
});

eventStoreCases("over HTTP", { checksRequests: true }, async () => {
  const cairn = await startCairn();
  return {
    door: httpDoor(cairn.httpPort),
    async close() {
      await cairn.stop();
    },
  };
});

let cairn: Cairn;
let client: RespClient;

beforeAll(async () => {
  cairn = await startCairn();
  client = await RespClient.connect3(cairn.respPort);
});
afterAll(async () => {
  client.close();
  await cairn.stop();
});

test("what one door writes the other reads, the same in all fields", async () => {
  const doors: [Door, Door] = [respDoor(client), httpDoor(cairn.httpPort)];
  const payloads = [Buffer.from('{"n":12345678901234567890}'), Buffer.from([0xff, 0x00, 0x0d])];
  for (const [writer, other] of [doors, doors.toReversed()] as [Door, Door][]) {
    const stream = `shared-${writer === doors[0] ? "resp" : "http"}`;
    for (const payload of payloads) await writer.append([{ stream, name: "E", payload }]);
    const source = { kind: "stream", stream } as const;
    const written = await writer.read(source);
    expect(written.events.map(({ payload }) => Buffer.from(payload))).toEqual(payloads);
    expect(await other.read(source)).toEqual(written);
  }
});
