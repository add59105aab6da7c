/**
 * SierraDB's recorded answers, replayed: each transcript on an empty store of its own. What differs on purpose
 * is marked there and explained in COMPAT.md, and nothing else may differ.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encode } from "./support/resp-client.ts";
import { startCairn } from "./support/server.ts";
import { type Played, parseTranscript, playTranscript, type Step } from "./support/transcript.ts";

const FOLDER = join(import.meta.dirname, "transcripts");

const transcripts = readdirSync(FOLDER)
  .sort()
  .map((file) => ({
    name: file.replace(/\.txt$/, ""),
    text: readFileSync(join(FOLDER, file), "utf8"),
  }));

interface CompatRow {
  readonly transcript: string;
  readonly command: string;
  /** What Cairn's answer holds, as a transcript shows it. */
  readonly cairn: string;
}

const compat = readFileSync(join(import.meta.dirname, "COMPAT.md"), "utf8");
const compatRows: CompatRow[] = [
  ...compat.matchAll(/^\| ([\w-]+) \| `(.+?)` \| .+? \| `(.+?)` \| .+? \|$/gm),
].map(([, transcript = "", command = "", cairn = ""]) => ({ transcript, command, cairn }));

function rowOf(transcript: string, step: Step): CompatRow | undefined {
  const command = step.source.replace(/^> /, "");
  return compatRows.find((row) => row.transcript === transcript && row.command === command);
}

function difference({ source, recorded, actual }: Played): string {
  return [source, "expected", ...recorded, "got", ...actual].join("\n");
}

describe.each(transcripts)("SierraDB's answers: $name", ({ name, text }) => {
  test("every reply agrees, or is as COMPAT.md says", async () => {
    const cairn = await startCairn();
    const played = await playTranscript(text, cairn.respPort);
    expect(await cairn.stop()).toBe(0);

    expect(played.filter((step) => !step.agrees).map(difference)).toEqual([]);
    for (const step of played.filter((step) => step.skipped !== null)) {
      const held = rowOf(name, step)?.cairn ?? "a row in COMPAT.md";
      expect(`${step.source}\n${step.actual.join("\n")}`).toContain(held);
    }
  });
});

describe("COMPAT.md", () => {
  test("names the version that was recorded", () => {
    expect(compat).toMatch(/^# .*SierraDB 0\.3\.1\n/);
  });

  test("has one row for every !skip, and no other", () => {
    const skipped = transcripts.flatMap(({ name, text }) =>
      parseTranscript(text)
        .filter((step) => step.skipped !== null)
        .map((step) => `${name}: ${step.source.replace(/^> /, "")}`),
    );
    const rows = compatRows.map(({ transcript, command }) => `${transcript}: ${command}`);
    expect(rows.sort()).toEqual(skipped.sort());
  });
});

describe("the player itself", () => {
  // A server that answers each request with the bytes that a test sets for it.
  const answers = new Map<string, string>();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, chunk) {
        for (const [request, answer] of answers) {
          if (chunk.toString("latin1") === request) socket.write(answer);
        }
      },
    },
  });
  afterAll(() => server.stop(true));

  const request = (...words: string[]) => encode(words).toString("latin1");

  async function play(transcript: string): Promise<boolean[]> {
    return (await playTranscript(transcript, server.port)).map((step) => step.agrees);
  }

  test("compares values, and names random ones in order of appearance", async () => {
    const one = "018f0000-0000-7000-8000-000000000001";
    const two = "018f0000-0000-7000-8000-000000000002";
    answers.set(request("HELLO", "3"), "%0\r\n");
    answers.set(request("A", 'x "y"'), `%2\r\n+b\r\n+${one}\r\n+a\r\n+${two}\r\n`);
    answers.set(request("B"), `*2\r\n+${one}\r\n$2\r\n\x00a\r\n`);
    answers.set(request("C"), "-WRONGVER in words of its own\r\n");
    const replies = [
      `> A "x \\"y\\""\n  %\n    a: +<uuid1>\n    b: +<uuid2>`,
      `> B\n  *\n    +<uuid2>\n    $"\\x00a"`,
      "> C\n  -WRONGVER other words",
    ];
    expect(await play(replies.join("\n"))).toEqual([true, true, true]);
    expect(await play(replies.join("\n").replace("+<uuid2>\n    $", "+<uuid1>\n    $"))).toEqual([
      true,
      false,
      true,
    ]);
    expect(await play("> C\n  -INVALIDARG other words")).toEqual([false]);
    expect(await play("> C\n  -INVALIDARG other words\n!skip for a reason")).toEqual([true]);
  });

  test("reads pushes, raw bytes, silence and a second connection", async () => {
    answers.set(request("HELLO", "3"), "%0\r\n");
    answers.set(request("PING"), "+PONG\r\n");
    answers.set(request("SUB"), "+OK\r\n>1\r\n:0\r\n>1\r\n:1\r\n");
    answers.set("sub\r\n", "+OK\r\n");
    const steps = "> SUB\n  +OK\n!push 1\n  >\n    :0\n";
    expect(await play(`${steps}!push 1\n  >\n    :1\n!quiet\n  quiet`)).not.toContain(false);
    expect(await play(`${steps}!quiet\n  quiet`)).toEqual([true, true, false]);
    expect(await play(`${steps}@b!quiet\n  quiet\n@b!raw "sub\\r\\n"\n  +OK`)).not.toContain(false);
  });

  test("refuses a line that is no step", () => {
    expect(() => parseTranscript("PING\n  +PONG")).toThrow("no step begins so: PING");
  });
});
