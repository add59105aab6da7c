/**
 * What the README promises: its regular expressions match what the server says through either door, and find the facts;
 * its examples of HTTP work.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EventSource } from "eventsource";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, HttpClient } from "./support/http-client.ts";
import { pythonMissing } from "./support/python.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, executable, startCairn, until } from "./support/server.ts";

const ID = "11111111-2222-4333-8444-555555555555";
const OTHER_ID = "11111111-2222-4333-8444-666666666666";
const KEY = "550e8400-e29b-41d4-a716-446655440000";
const DEFAULT_KEY = "7e124fe8-fe28-5398-bb95-53973100148f";

let cairn: Cairn;
let client: RespClient;
let http: HttpClient;
let readme: string;
let expressions: Map<string, RegExp>;

beforeAll(async () => {
  readme = await Bun.file(new URL("../README.md", import.meta.url).pathname).text();
  expressions = new Map(
    [...readme.matchAll(/^\| `(\w+)` \| `(\^.+\$)` \|$/gm)].map(([, code = "", source = ""]) => [
      code,
      new RegExp(source.replaceAll("\\|", "|")),
    ]),
  );
  cairn = await startCairn();
  client = await RespClient.connect(cairn.respPort);
  http = new HttpClient(cairn.httpPort);
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
    // What some expressions take for the end of a line.
    const odd = "a\u2028b\u2029c\u0085d\ve";
    const lines = await facts("WRONGVER", "EAPPEND", odd, "B", "EXPECTED_VERSION", "exists");
    expect(lines).toMatchObject({ stream: odd });
  });

  it("AHEAD", async () => {
    expect(await facts("AHEAD", "ELOG", "1001", "+")).toEqual({
      kind: "position",
      number: "1001",
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

describe("the README's regular expressions over HTTP", () => {
  /** The facts that the expression finds in the problem's detail. */
  function found(code: string, { body }: Answer): Record<string, string> {
    expect(body.code).toBe(code);
    const match = expressions.get(code)?.exec(body.detail);
    expect(match, body.detail).toBeTruthy();
    return JSON.parse(JSON.stringify(match?.groups ?? {}));
  }

  it("find what the problems' members say", async () => {
    const wrong = await http.append("user-123", { event_name: "B", expected_version: 7 });
    expect(wrong.body).toMatchObject({
      stream_id: "user-123",
      expected_version: 7,
      current_version: 0,
    });
    expect(found("WRONGVER", wrong)).toMatchObject({
      current: "0",
      expected: "7",
      stream: "user-123",
    });
    const key = await http.append("user-123", { event_name: "B", partition_key: KEY });
    expect(found("WRONGKEY", key)).toMatchObject({ key: key.body.partition_key, given: KEY });
    const duplicate = await http.append("other", { event_name: "A", event_id: ID });
    expect(duplicate.body).toMatchObject({ event_id: ID, stream_version: 0, position: 0 });
    expect(found("DUPLICATE", duplicate)).toMatchObject({ id: ID, version: "0", position: "0" });
    const ahead = await http.get("/v1/events?from=1001");
    expect(ahead.body).toMatchObject({ position: 1001, end: 0 });
    expect(found("AHEAD", ahead)).toMatchObject({
      kind: "position",
      number: "1001",
      end: "0",
      epoch: ahead.body.epoch,
    });
    const feed = { Accept: "text/event-stream", "Last-Event-ID": "41" };
    const stream = await http.get("/v1/streams/user-123/events", feed);
    expect(stream.body).toMatchObject({ stream_id: "user-123", stream_version: 42, end: 0 });
    expect(found("AHEAD", stream)).toMatchObject({
      kind: "version",
      number: "42",
      end: "0",
      epoch: ahead.body.epoch,
      stream: "user-123",
    });
    const events = Array.from({ length: 8_193 }, () => ({ event_name: "E" }));
    const large = await http.append("large", events);
    expect(large.body).toMatchObject({ limit_value: 8_192, asked: 8_193 });
    expect(found("TOOLARGE", large)).toMatchObject({ limit: large.body.limit, asked: "8193" });
  });
});

it.skipIf(pythonMissing !== null)("the README's way from a dump into a new store", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-readme-"));
  const [script = ""] =
    readme.split(/^## When the disk is damaged$/m)[1]?.match(/(?<=^```python\n).*?(?=^```)/ms) ??
    [];
  const old = await startCairn({ data: join(folder, "old") });
  const client = await RespClient.connect3(old.respPort);
  await client.map("EAPPEND", "a", "A", "PAYLOAD", Buffer.from([0xff, 0]), "METADATA", "m");
  await client.map("EMAPPEND", KEY, "b", "B", "PAYLOAD", "{}", "c", "C", "TIMESTAMP", "7");
  const read = async (from: RespClient) =>
    (await from.events("ELOG", "-", "+")).map(
      ({ transaction_id, partition_sequence, recorded_at, ...kept }) => kept,
    );
  const events = await read(client);
  client.close();
  await old.stop();
  const dump = Bun.spawnSync([...executable(), "dump", join(folder, "old")]);
  writeFileSync(join(folder, "events.jsonl"), dump.stdout);
  const fresh = await startCairn();
  const text = script.replace("port=9090", `port=${fresh.respPort}`);
  for (const _ of ["first", "again"]) {
    const run = Bun.spawnSync(["python3", "-c", text], { cwd: folder });
    expect(run.exitCode, run.stderr.toString()).toBe(0);
  }
  const reader = await RespClient.connect3(fresh.respPort);
  expect(await read(reader)).toEqual(events);
  reader.close();
  await fresh.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("the README's examples of HTTP", () => {
  /** The code blocks of a language in the section. */
  function blocks(language: string): string[] {
    const section = readme.split(/^## /m).find((part) => part.startsWith("HTTP\n")) ?? "";
    const all = [...section.matchAll(/```(\w+)\n(.*?)```/gs)];
    return all.filter(([, name]) => name === language).map(([, , code = ""]) => code);
  }

  it.skipIf(Bun.which("curl") === null)("of the shell work, each of them", async () => {
    const fresh = await startCairn();
    const [script = ""] = blocks("sh");
    const commands = script.match(/^curl /gm)?.length ?? 0;
    expect(commands).toBeGreaterThan(4);
    const run = Bun.spawn(
      [
        "bash",
        "-ec",
        script
          .replaceAll("localhost:9091", `127.0.0.1:${fresh.httpPort}`)
          .replaceAll("curl ", "curl -sS --fail-with-body -w '\\n' "),
      ],
      { stdout: "pipe", stderr: "pipe" },
    );
    const output = await new Response(run.stdout).text();
    expect(await run.exited, output + (await new Response(run.stderr).text())).toBe(0);
    const answers = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(commands);
    expect(answers.slice(0, 2).map((answer) => answer.stream_version)).toEqual([0, 1]);
    expect(answers[2].events[1].payload_json).toEqual({ verified_at: "2024-01-01" });
    expect(answers[3].events).toHaveLength(1);
    expect(answers[4].events[0].event_name).toBe("UserRegistered");
    await fresh.stop();
  });

  it("of a browser works", async () => {
    const [script = ""] = blocks("js");
    const lines: unknown[][] = [];
    const log = { log: (...words: unknown[]) => lines.push(words) };
    const text = script.replaceAll("localhost:9091", `127.0.0.1:${cairn.httpPort}`);
    const source: EventSource = new Function("EventSource", "console", `${text}; return source;`)(
      EventSource,
      log,
    );
    await until(() => lines.length >= 2, "the history has come");
    expect(lines).toEqual([[0, "user-123", "A", ""], ["what comes now is new"]]);
    source.close();
  });
});
