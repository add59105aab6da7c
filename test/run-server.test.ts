/**
 * The executable with as little index memory as it takes: tens of thousands of events over a socket make runs and merges
 * in its worker, it is killed in the midst of that again and again, and everything that was acknowledged is there.
 *
 * `SEED=n` chooses the streams.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Random } from "./support/random.ts";
import { RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";
import { verify } from "./support/verify.ts";

const SEED = Number(process.env.SEED ?? 1);
const STREAMS = 3_000;
const EVENTS_PER_COMMAND = 100;
/** Commands between two ends of the process, and how many of them are not waited for. */
const COMMANDS_PER_LIFE = 100;
const COMMANDS_IN_FLIGHT = 8;
const KILLS = 4;
/** More than a memtable of so little memory holds, by far. */
const MERGED_EVENTS = 15_000;

let folder: string;
let cairn: Cairn;
let client: RespClient;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-run-server-"));
});

afterEach(async () => {
  client.close();
  await cairn.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  cairn = await startCairn({ data: folder, args: ["--index-memory", "4MiB", "--cache", "1MiB"] });
  client = await RespClient.connect3(cairn.respPort);
}

async function figures(): Promise<Map<string, string>> {
  const text = String(await client.value("INFO", "cairn"));
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return new Map(lines.map((line) => line.split(/:(.*)/) as [string, string]));
}

test(`every acknowledged event is there after kills in the midst of runs and merges (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  /** For each stream the number of events that were acknowledged, and how many there may be at the most. */
  const least = new Array<number>(STREAMS).fill(0);
  const most = new Array<number>(STREAMS).fill(0);

  const appendMany = async (commands: number): Promise<void> => {
    const waiting: Promise<void>[] = [];
    for (let i = 0; i < commands; i++) {
      const streams = Array.from({ length: EVENTS_PER_COMMAND }, () => random.below(STREAMS));
      const words: Word[] = streams.flatMap((stream) => [`stream-${stream}`, "Changed"]);
      for (const stream of streams) most[stream] = (most[stream] as number) + 1;
      const acknowledged = client.value("EMAPPEND", "*", ...words).then(
        () => {
          for (const stream of streams) least[stream] = (least[stream] as number) + 1;
        },
        () => undefined, // the server was killed
      );
      waiting.push(acknowledged);
      if (waiting.length >= COMMANDS_IN_FLIGHT) await waiting.shift();
    }
    // The last ones are left under way for whoever kills.
    if (waiting.length < COMMANDS_IN_FLIGHT) await Promise.all(waiting);
  };

  /** Each stream has all that was acknowledged, and what a scan counts is what ESVER says. */
  const check = async (): Promise<void> => {
    const versions = await client.pipeline(
      Array.from({ length: STREAMS }, (_, stream) => ["ESVER", `stream-${stream}`]),
    );
    let total = 0;
    for (const [stream, frame] of versions.entries()) {
      const count = frame.kind === ":" ? frame.value + 1 : 0;
      if (count < (least[stream] as number) || count > (most[stream] as number)) {
        throw new Error(
          `stream-${stream} has ${count} of ${least[stream]} to ${most[stream]} events`,
        );
      }
      least[stream] = most[stream] = count;
      total += count;
    }
    expect(await client.value("EPOS")).toBe(total - 1);
    for (let i = 0; i < 20; i++) {
      const stream = random.below(STREAMS);
      const events = await client.events("ESCAN", `stream-${stream}`, "-", "+");
      expect(events.map((event) => event.stream_version)).toEqual([...Array(least[stream]).keys()]);
      const id = events.at(-1)?.event_id;
      if (id !== undefined) expect(await client.map("EGET", String(id))).toEqual(events.at(-1));
    }
  };

  await start();
  for (let kills = 0; kills < KILLS; kills++) {
    await appendMany(random.between(COMMANDS_PER_LIFE / 2, COMMANDS_PER_LIFE));
    await cairn.kill();
    client.close();
    await start();
    expect(cairn.stderr()).not.toContain("made again");
    await check();
  }
  await appendMany(COMMANDS_PER_LIFE);
  await until(
    async () => (await figures()).get("index_memtables") === "1",
    "all full memtables have become runs",
  );
  await check();
  const info = await figures();
  const position = Number(info.get("position"));
  expect(position).toBeGreaterThan(KILLS * EVENTS_PER_COMMAND * (COMMANDS_PER_LIFE / 2));
  expect(Number(info.get("index_runs"))).toBeGreaterThan(0);
  expect(Number(info.get("index_disk_bytes"))).toBeGreaterThan(0);
  expect(info.get("index_failure")).toBe("");
  await until(
    async () => (await figures()).get("index_runs_in_work") === "0",
    "no run is being made",
  );
  expect(Number(info.get("index_page_bytes"))).toBeGreaterThan(0);
  expect(cairn.stderr()).not.toContain("index: a run cannot be made");
  expect(await cairn.stop()).toBe(0);
  const names = readdirSync(join(folder, "index")).sort();
  let end = 0;
  let largest = 0;
  for (const name of names) {
    const [from, to] = (/^(\d+)-(\d+)\.run$/.exec(name) ?? []).slice(1).map(Number);
    expect(from, name).toBe(end);
    end = to as number;
    largest = Math.max(largest, end - (from as number));
  }
  expect(largest, "events of a run that was merged").toBeGreaterThan(MERGED_EVENTS);
  expect(verify(folder)).toEqual({ isRight: true, lines: expect.any(String) });
});
