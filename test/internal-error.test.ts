/**
 * A bug in a command that touches no event: the client gets an id and nothing else, the log has the rest under it. A bug
 * where events are read, behind no command: the server ends, and what it acknowledged is there at the next start.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { encode, RespClient } from "./support/resp-client.ts";
import { startCairn } from "./support/server.ts";

const ROOT = join(import.meta.dirname, "..");

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

test.each([
  ["history", ["FROM", 0]],
  ["a live event", ["FROM", "LATEST"]],
])("a bug while a subscription is given %s ends the server with 70", async (_, from) => {
  const data = mkdtempSync(join(tmpdir(), "cairn-bug-"));
  try {
    const planted = ["--preload", join(ROOT, "test/support/planted-bug.ts")];
    const command = [process.execPath, ...planted, join(ROOT, "server/main.ts")];
    const broken = await startCairn({ command, data });
    const writer = await RespClient.connect3(broken.respPort);
    await writer.value("EAPPEND", "a", "A");
    const follower = await RespClient.connect3(broken.respPort);
    follower.send(encode(["ESUB", "a", ...from]));
    if (from[1] === "LATEST") {
      await follower.push();
      expect(await writer.value("ESVER", "a")).toBe(0);
      await writer.value("EAPPEND", "a", "A").catch(() => undefined); // answered or not
    }
    expect(await broken.exited()).toBe(70);
    expect(broken.stderr()).toMatch(/a bug of Cairn's, .*planted: a bug in a slice/);

    const mended = await startCairn({ data });
    const reader = await RespClient.connect3(mended.respPort);
    const events = await reader.events("ESCAN", "a", "-", "+");
    expect(events.length).toBe(from[1] === "LATEST" ? 2 : 1);
    reader.close();
    expect(await mended.stop()).toBe(0);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});
