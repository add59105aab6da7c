/**
 * The server's log on standard error: the forms of a line, which lines there are, that none can be forged, and what
 * happens while nobody reads.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { LOG_GATHERED_BYTES_MAX, LOG_HELD_BYTES_MAX } from "../server/limits.ts";
import { type LogFormat, type LogLevel, StderrLog } from "../server/stderr-log.ts";
import { RespClient } from "./support/resp-client.ts";
import { startCairn, until } from "./support/server.ts";

/** A log, and what it has written so far. */
function open({ format = "text", level = "info" }: { format?: LogFormat; level?: LogLevel } = {}) {
  const written: string[] = [];
  const reader = { takes: true };
  const log = new StderrLog({
    format,
    level,
    clock: () => Date.UTC(2026, 10, 24, 12, 30),
    write(text) {
      written.push(text);
      return reader.takes;
    },
  });
  return { log, reader, text: () => written.join(""), writes: written };
}

/** Lines of text without their time, which is the same in all. */
function messages(text: string): string {
  return text.replaceAll(/^2026-11-24T12:30:00\.000Z /gm, "");
}

describe("a line", () => {
  test("in text is time, level, the message and what belongs to it, one word each or in quotes", () => {
    const { log, text } = open();
    log.tell("http request", "info", { status: 201, path: "/v1/streams/a%20b", peer: undefined });
    log.tell("ready", "warn", { reason: 'no "room" = none', empty: "" });
    expect(text()).toBe(
      [
        "2026-11-24T12:30:00.000Z info  http request status=201 path=/v1/streams/a%20b\n",
        '2026-11-24T12:30:00.000Z warn  ready reason="no \\"room\\" = none" empty=""\n',
      ].join(""),
    );
  });

  test("in JSON has time, level and message first", () => {
    const { log, text } = open({ format: "json" });
    log.tell("http request", "info", { status: 201, path: "/a", peer: undefined });
    expect(text()).toBe(
      '{"time":"2026-11-24T12:30:00.000Z","level":"info","msg":"http request","status":201,"path":"/a"}\n',
    );
  });

  test("is left out below the level, but for an announcement", () => {
    const { log, text } = open({ level: "warn" });
    log.tell("a", "debug");
    log.tell("b");
    log.gather("c", "info");
    log.tell("d", "warn");
    log.tell("e", "error");
    log.announce("f");
    expect(messages(text())).toBe("warn  d\nerror e\ninfo  f\n");
    expect([log.isOn("info"), log.isOn("warn")]).toEqual([false, true]);
  });

  test("is written before what comes after it, gathered or not", () => {
    const { log, text, writes } = open();
    log.gather("a");
    log.gather("b");
    log.tell("c", "error");
    expect(messages(text())).toBe("info  a\ninfo  b\nerror c\n");
    expect(writes).toHaveLength(1);
  });

  test("gathered comes together, a little later, or once there is much of it", async () => {
    const { log, text } = open();
    log.gather("a");
    log.gather("b");
    expect(text()).toBe("");
    await until(() => messages(text()) === "info  a\ninfo  b\n", "both are written");
    const long = "x".repeat(LOG_GATHERED_BYTES_MAX);
    log.gather(long);
    expect(messages(text())).toBe(`info  a\ninfo  b\ninfo  ${long}\n`);
  });
});

describe("nothing forges a line", () => {
  /** Everything that a terminal, a viewer or a parser of logs may take for more than a character. */
  const EVIL = [
    ...Array.from({ length: 0x20 }, (_, unit) => String.fromCharCode(unit)),
    ...Array.from({ length: 0x21 }, (_, unit) => String.fromCharCode(0x7f + unit)),
    "\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff",
  ].join("");
  const forged = `x${EVIL}\nerror: all is lost level=error "\\`;

  test.each(["text", "json"] as const)("in %s", (format) => {
    const { log, text } = open({ format });
    log.tell(`about ${forged}`, "info", { path: forged });
    const lines = text().slice(0, -1).split("\n");
    for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+$/);
    // In text a message may have several lines, but each further one is visibly its continuation.
    for (const line of lines.slice(1)) expect(line).toMatch(/^ {4}/);
    if (format === "text") return;
    expect(lines).toHaveLength(1);
    expect(JSON.parse(text())).toMatchObject({ msg: `about ${forged}`, path: forged });
  });
});

describe("while standard error takes nothing", () => {
  test("lines of requests are left out and counted; others come when it takes text again", () => {
    const { log, reader, text, writes } = open();
    reader.takes = false;
    log.tell("last that was taken");
    log.gather("request 1");
    log.gather("request 2");
    log.tell("grave", "error");
    expect(writes.map(messages)).toEqual(["info  last that was taken\n"]);
    expect(log.droppedCount).toBe(2);
    reader.takes = true;
    log.resume();
    log.tell("after");
    expect(messages(text())).toBe(
      [
        "info  last that was taken\n",
        "error grave\n",
        "warn  standard error was full: lines of the log are missing lines=2\n",
        "info  after\n",
      ].join(""),
    );
  });

  test("what waits is bounded", () => {
    const { log, reader, text } = open();
    reader.takes = false;
    log.tell("first");
    const line = "x".repeat(1023);
    for (let n = 0; n < (3 * LOG_HELD_BYTES_MAX) / 1024; n++) log.tell(line, "error");
    reader.takes = true;
    log.resume();
    expect(text().length).toBeLessThan(LOG_HELD_BYTES_MAX + 2 * 1024);
    const kept = text().split("\n").length - 3; // without the first, the note and what follows the last line end
    expect(kept + log.droppedCount).toBe((3 * LOG_HELD_BYTES_MAX) / 1024);
    expect(text()).toContain(`lines=${log.droppedCount}\n`);
  });
});

describe("the executable", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-log-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("writes JSON alone with --log json, the ready line and a failing start included", async () => {
    const data = join(folder, "data");
    const cairn = await startCairn({ data, args: ["--log", "json", "--durability", "os"] });
    const lines = cairn
      .stderr()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toEqual([
      expect.objectContaining({ level: "warn", msg: expect.stringContaining("durability is os") }),
      {
        time: expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        level: "info",
        msg: `ready resp=127.0.0.1:${cairn.respPort} http=127.0.0.1:${cairn.httpPort}`,
      },
    ]);
    const second = startCairn({ data, args: ["--log", "json"] }).then(
      () => "it started",
      (error: Error) => error.message,
    );
    const told = JSON.parse((await second).replace(/^[^{]*/, ""));
    expect(told).toMatchObject({ level: "error", msg: expect.stringMatching(/in use/) });
    expect(await cairn.stop()).toBe(0);
  });

  test("tells at debug of RESP connections, and never what they sent", async () => {
    const config = join(folder, "cairn.toml");
    writeFileSync(config, 'log-level = "debug"\n');
    const cairn = await startCairn({ env: { CAIRN_CONFIG: config, CAIRN_LOG: "text" } });
    const client = await RespClient.connect(cairn.respPort);
    await client.command("EAPPEND", "stream-x", "NameX", "PAYLOAD", "secret", "METADATA", "hidden");
    client.close();
    const closed = /^\S+ debug resp connection closed peer=127\.0\.0\.1:\d+ duration_ms=\d+$/m;
    await until(() => closed.test(cairn.stderr()), "the closing was told");
    expect(cairn.stderr()).toMatch(/^\S+ debug resp connection opened peer=127\.0\.0\.1:\d+$/m);
    expect(cairn.stderr()).not.toMatch(/secret|hidden/);
    await cairn.stop();
  });

  test("with --log-level error is silent but for the ready line", async () => {
    const cairn = await startCairn({ args: ["--log-level=error", "--durability=os"] });
    expect(cairn.stderr()).toMatch(/^\S+ info {2}ready resp=\S+ http=\S+\n$/);
    await cairn.stop();
  });
});
