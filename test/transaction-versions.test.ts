/** In a transaction each EXPECTED_VERSION is checked after the transaction's earlier events of the same stream. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { RespClient } from "./support/resp-client.ts";

let opened: DoorInProcess;
let client: RespClient;
beforeEach(async () => {
  opened = openDoor();
  client = await RespClient.connect3(opened.port);
});
afterEach(async () => {
  client.close();
  await opened.stop();
});

test("versions that count the earlier events hold", async () => {
  const words =
    "EMAPPEND * s A EXPECTED_VERSION empty t B s C EXPECTED_VERSION 0 s D EXPECTED_VERSION 1";
  const { events } = await client.map(...words.split(" "));
  expect(events).toMatchObject([0, 0, 1, 2].map((stream_version) => ({ stream_version })));
});

test("a version that only held before the transaction has no second winner, and nothing is written", async () => {
  for (const [second, current] of [
    ["EXPECTED_VERSION empty", 0],
    ["EXPECTED_VERSION 3", 0],
  ] as const) {
    const words = `EMAPPEND * s A EXPECTED_VERSION empty s B ${second}`;
    expect(await client.error(...words.split(" "))).toMatch(
      new RegExp(`^WRONGVER wrong expected version: current stream version is ${current} but`),
    );
    expect(await client.value("ESVER", "s")).toBeNull();
    expect(await client.value("EPOS")).toBeNull();
  }
});
