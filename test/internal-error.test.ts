/**
 * A bug in a command that touches no event: the client gets an id and nothing else, the log has the rest under it.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { RespClient } from "./support/resp-client.ts";

let opened: DoorInProcess;

beforeAll(() => {
  opened = openDoor();
});

afterAll(async () => {
  await opened.stop();
});

test("INTERNAL carries an id that the log has too, and the connection goes on", async () => {
  const client = await RespClient.connect3(opened.port);
  const broken = vi.spyOn(opened.server.sessions, "all").mockImplementation(() => {
    throw new TypeError("planted: secret detail");
  });
  const text = await client.error("CLIENT", "LIST");
  broken.mockRestore();
  expect(text).toMatch(/^INTERNAL internal error [0-9a-f-]{36}$/);
  const id = text.split(" ").at(-1) ?? "";
  expect(opened.log.filter((line) => line.includes(id))).toEqual([
    expect.stringMatching(/^error [0-9a-f-]{36}: CLIENT: .*planted: secret detail/),
  ]);
  expect(await client.value("PING")).toBe("PONG");
  client.close();
});
