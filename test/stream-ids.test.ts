/**
 * SCAN, EXISTS and TYPE over stream ids: what is there all along comes exactly once, whatever is appended meanwhile.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { globMatches } from "../server/resp/glob.ts";
import { Random } from "./support/random.ts";
import { RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 1);
const STREAMS = 3_000;
/** A walk that takes more steps than this does not end. */
const STEPS_MAX = 20_000;

const random = new Random(SEED);
let cairn: Cairn;
let client: RespClient;
let ids: string[];

beforeAll(async () => {
  cairn = await startCairn();
  client = await RespClient.connect(cairn.respPort);
  ids = Array.from({ length: STREAMS }, (_, i) => `${random.pick(["user", "order", "ü"])}-${i}`);
  for (let at = 0; at < STREAMS; at += 500) {
    const words = ids.slice(at, at + 500).flatMap((id) => [id, "N", id, "N"]);
    await client.value("EMAPPEND", "*", ...words);
  }
  await client.value("EAPPEND", ids[0] as string, "Again");
});
afterAll(async () => {
  client.close();
  await cairn.stop();
});

/** One step: the next cursor and ids. */
async function step(cursor: string, ...options: Word[]): Promise<[string, string[]]> {
  const reply = (await client.value("SCAN", cursor, ...options)) as [string, string[]];
  expect(reply).toHaveLength(2);
  expect(reply[0]).toMatch(/^\d{1,18}$/);
  return reply;
}

/** A whole walk; `between` runs after each step. */
async function walk(options: Word[], between: () => Promise<void> = async () => {}) {
  const found: string[] = [];
  let cursor = "0";
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const [next, some] = await step(cursor, ...options);
    found.push(...some);
    if (next === "0") return found;
    cursor = next;
    await between();
  }
  throw new Error(`a walk did not end in ${STEPS_MAX} steps`);
}

test("a walk gives every id once, whatever COUNT says", async () => {
  for (const options of [
    [],
    ["COUNT", 1_000],
    ["COUNT", 7],
    ["count", 100_000],
    ["TYPE", "stream"],
  ]) {
    expect(await walk(options)).toEqual(ids);
  }
});

test("a step gives COUNT ids at the most, 10 unless told", async () => {
  expect((await step("0"))[1].length).toBeLessThanOrEqual(10);
  expect((await step("0", "COUNT", 3))[1].length).toBeLessThanOrEqual(3);
  expect((await step("0", "COUNT", 1))[1]).toEqual([ids[0]]);
});

test.each(["user-*", "*-1?", "ü-*", "order-[0-4]*", "user-1", "nothing*", "*", "\\*"])(
  "MATCH %s",
  async (pattern) => {
    const wanted = ids.filter((id) => globMatches(Buffer.from(pattern), Buffer.from(id)));
    expect(await walk(["MATCH", pattern, "COUNT", 50])).toEqual(wanted);
  },
);

test("another type has no ids", async () => {
  expect(await step("0", "TYPE", "string")).toEqual(["0", []]);
});

test("a cursor of an ended walk, or of none, is no error", async () => {
  expect(await step("9007199254740991")).toEqual(["0", []]);
  const [, some] = await step("17", "COUNT", 5);
  for (const id of some) expect(ids).toContain(id);
});

test(`a walk while streams are appended gives what was there once, and nothing twice (seed ${SEED})`, async () => {
  const writer = await RespClient.connect(cairn.respPort);
  const before = await walk(["COUNT", 1_000]);
  let added = 0;
  const found = await walk(["COUNT", 40], async () => {
    const words = random.chance(0.7) ? [`new-${added++}`, "N"] : [random.pick(ids), "More"];
    await writer.value("EAPPEND", ...words);
  });
  expect(new Set(found).size).toBe(found.length);
  expect(found.filter((id) => !id.startsWith("new-"))).toEqual(before);
  writer.close();
});

test("the walk is the same after a restart, from any cursor", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-ids-"));
  const first = await startCairn({ data: folder });
  client.close();
  client = await RespClient.connect(first.respPort);
  for (const id of ["a", "b", "c", "b", "d"]) await client.value("EAPPEND", id, "N");
  const [cursor] = await step("0", "COUNT", 2);
  client.close();
  await first.kill();
  const second = await startCairn({ data: folder });
  client = await RespClient.connect(second.respPort);
  expect(await step(cursor, "COUNT", 9)).toEqual(["0", ["c", "d"]]);
  client.close();
  await second.stop();
  fs.rmSync(folder, { recursive: true });
  client = await RespClient.connect(cairn.respPort);
});

test("EXISTS counts, TYPE tells", async () => {
  const [one, two] = ids as [string, string];
  expect(await client.value("EXISTS", one)).toBe(1);
  expect(await client.value("EXISTS", one, two, one, "nobody", "", "x".repeat(300))).toBe(3);
  expect(await client.command("TYPE", one)).toEqual({ kind: "+", text: "stream" });
  expect(await client.command("TYPE", "nobody")).toEqual({ kind: "+", text: "none" });
});

test.each([
  ["SCAN", "wrong number of arguments for 'scan' command"],
  ["SCAN x", "invalid cursor"],
  ["SCAN -1", "invalid cursor"],
  ["SCAN 0 COUNT", "syntax error"],
  ["SCAN 0 COUNT 0", "syntax error"],
  ["SCAN 0 COUNT x", "value is not an integer or out of range"],
  ["SCAN 0 NOPE 1", "syntax error"],
  ["EXISTS", "wrong number of arguments for 'exists' command"],
  ["TYPE", "wrong number of arguments for 'type' command"],
  ["TYPE a b", "wrong number of arguments for 'type' command"],
])("%s is refused", async (line, text) => {
  expect(await client.error(...line.split(" "))).toBe(`INVALIDARG ${text}`);
});

test("a pattern above its limit is refused", async () => {
  const pattern = "x".repeat(1_025);
  const text = "TOOLARGE the length of a pattern in bytes is limited to 1024, but 1025 was asked";
  expect(await client.error("SCAN", 0, "MATCH", pattern)).toBe(text);
  expect(await client.error("ELOG", "-", "+", "MATCH", pattern)).toBe(text);
});
