/**
 * What the README promises of error texts: its regular expressions match what the server says, and find the facts.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const ID = "11111111-2222-4333-8444-555555555555";
const OTHER_ID = "11111111-2222-4333-8444-666666666666";
const KEY = "550e8400-e29b-41d4-a716-446655440000";
const DEFAULT_KEY = "7e124fe8-fe28-5398-bb95-53973100148f";

let cairn: Cairn;
let client: RespClient;
let expressions: Map<string, RegExp>;

beforeAll(async () => {
  const readme = await Bun.file(new URL("../README.md", import.meta.url).pathname).text();
  expressions = new Map(
    [...readme.matchAll(/^\| `(\w+)` \| `(\^.+\$)` \|$/gm)].map(([, code = "", source = ""]) => [
      code,
      new RegExp(source.replaceAll("\\|", "|")),
    ]),
  );
  cairn = await startCairn();
  client = await RespClient.connect(cairn.respPort);
  await client.command("EAPPEND", "user-123", "A", "EVENT_ID", ID);
});

afterAll(async () => {
  client.close();
  await cairn.stop();
});

/** The facts that the README's expression finds in the server's refusal. */
async function facts(code: string, ...words: string[]): Promise<Record<string, string>> {
  const text = await client.error(...words);
  expect(text.slice(0, code.length + 1)).toBe(`${code} `);
  const match = expressions.get(code)?.exec(text.slice(code.length + 1));
  expect(match, text).toBeTruthy();
  return JSON.parse(JSON.stringify(match?.groups ?? {}));
}

describe("the README's regular expressions", () => {
  it("WRONGVER", async () => {
    expect(await facts("WRONGVER", "EAPPEND", "user-123", "B", "EXPECTED_VERSION", "7")).toEqual({
      current: "0",
      expected: "7",
      key: DEFAULT_KEY,
      stream: "user-123",
    });
    const empty = await facts("WRONGVER", "EAPPEND", "user 9", "B", "EXPECTED_VERSION", "exists");
    expect(empty).toMatchObject({ current: "empty", expected: "exists", stream: "user 9" });
  });

  it("AHEAD", async () => {
    expect(await facts("AHEAD", "ELOG", "1001", "+")).toEqual({
      position: "1001",
      end: "0",
      epoch: expect.any(String),
    });
  });

  it("WRONGKEY", async () => {
    expect(await facts("WRONGKEY", "EAPPEND", "user-123", "B", "PARTITION_KEY", KEY)).toEqual({
      stream: "user-123",
      key: DEFAULT_KEY,
      given: KEY,
    });
  });

  it("DUPLICATE", async () => {
    expect(await facts("DUPLICATE", "EAPPEND", "other", "A", "EVENT_ID", ID)).toEqual({
      id: ID,
      stream: "user-123",
      version: "0",
      position: "0",
    });
    const twice = ["EMAPPEND", KEY, "a", "A", "EVENT_ID", OTHER_ID, "b", "A", "EVENT_ID", OTHER_ID];
    expect(await facts("DUPLICATE", ...twice)).toEqual({ id: OTHER_ID });
  });

  it("TOOLARGE", async () => {
    const events = Array.from({ length: 8_193 }, () => ["s", "E"]).flat();
    expect(await facts("TOOLARGE", "EMAPPEND", KEY, ...events)).toEqual({
      limit: "number of events in a transaction",
      value: "8192",
      asked: "8193",
    });
  });
});
