/**
 * `cairn verify` over logs whose records follow one another, but whose events do not: versions of a stream with a gap or
 * twice, a stream in two partitions, an id that two events have.
 *
 * Such a log is what a store writes that is led astray by an index run which is whole by its checksums. The index is
 * made again then, so that the runs say what the log says.
 *
 * `SEED=n` chooses the payloads.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemDisk } from "../server/disk.ts";
import type { EventStore } from "../server/store/event-store.ts";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { RunBytes } from "./support/run-bytes.ts";
import { openRunStore } from "./support/run-store.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, type NewEvent, readAll } from "./support/store-driver.ts";
import { verify } from "./support/verify.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 150;
/** Events before the one that does not go on: some of them are in no run. */
const EVENTS_BEFORE = 2.5 * MEMTABLE_EVENTS;
/** Events behind it, so that it is in a run. */
const EVENTS_BEHIND = 2 * MEMTABLE_EVENTS;
const KEY = "0197a000-0000-4000-8000-00000000cafe";
const OTHER_KEY = "f29b1c00-5a5a-4abc-8def-00000000feed";

interface Request {
  readonly event: NewEvent;
  readonly key?: string;
}

/** Changes a run, and gives what is appended then; `at` gives the event at a place. */
type Lie = (run: RunBytes, at: (place: bigint) => StoredEvent) => Request;

/** What the log says, how it is told, and the lie that brings it about. */
const LIES: readonly [string, RegExp, Lie][] = [
  [
    "leaves out a version",
    /the version of the event here does not go on/,
    (run, at) => {
      run.add(run.entry("heads", 0) + 16, 1n << 16n);
      return { event: { stream: firstOf(run, at).streamId, name: "Changed" }, key: KEY };
    },
  ],
  [
    "gives a version twice",
    /the version of the event here does not go on/,
    (run, at) => {
      run.add(run.entry("heads", 0) + 8, 1n); // another hash: the stream is not found
      return { event: { stream: firstOf(run, at).streamId, name: "Changed" }, key: KEY };
    },
  ],
  [
    "moves a stream to another partition",
    /the stream of the event here was in another partition/,
    (run, at) => {
      for (let i = 0; i < run.entryCount("keys"); i++) {
        run.bytes.write(OTHER_KEY.replaceAll("-", ""), run.entry("keys", i), "hex");
      }
      return { event: { stream: firstOf(run, at).streamId, name: "Changed" }, key: OTHER_KEY };
    },
  ],
  [
    "has two events of one id",
    /the id of the event here is that of another one/,
    (run, at) => {
      const entry = run.entry("ids", 0);
      const { eventId } = at(run.bytes.readBigUInt64LE(entry + 12));
      run.add(entry + 8, 1n); // another hash: the id is not found
      return { event: { stream: "another", name: "Opened", eventId } };
    },
  ],
];

/** The event that the run's first stream has first. */
function firstOf(run: RunBytes, at: (place: bigint) => StoredEvent): StoredEvent {
  return at(run.bytes.readBigUInt64LE(run.entry("places", 0)));
}

let parent: string;
let stores = 0;

beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), "cairn-history-"));
});

afterAll(() => rmSync(parent, { recursive: true, force: true }));

function open(folder: string): EventStore {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  return openRunStore(disk, MEMTABLE_EVENTS, [], { disk: systemDisk, folder });
}

/** Appends events of streams that have one event each: those of the first run are in no other run. */
async function appendSingles(store: EventStore, count: number): Promise<void> {
  const random = new Random(SEED);
  const from = (store.lastPosition() ?? -1) + 1;
  for (let i = from; i < from + count; i++) {
    const event = { stream: `only-${i}`, name: "Opened", payload: random.bytes(40) };
    await append(store, [event], KEY);
  }
}

/** A store that a lie led astray, whose index was made again; and so many events came behind what does not go on. */
async function makeStore(lie: Lie, eventsBehind: number): Promise<string> {
  const folder = join(parent, `store-${stores++}`);
  const index = join(folder, "index");
  let store = open(folder);
  await appendSingles(store, EVENTS_BEFORE);
  const events = readAll(store);
  await store.stop();

  const path = join(index, readdirSync(index).sort()[0] as string);
  const run = new RunBytes(readFileSync(path));
  const request = lie(run, (place) => {
    for (let i = 0; i < run.entryCount("positions"); i++) {
      const found = run.bytes.readBigUInt64LE(run.entry("positions", i));
      if (found === place) return events[i] as StoredEvent; // the first run begins at position 0
    }
    throw new Error(`no event of the run is at ${place}`);
  });
  run.seal();
  writeFileSync(path, run.bytes);

  store = open(folder);
  await append(store, [request.event], request.key);
  await appendSingles(store, eventsBehind);
  await store.stop();

  rmSync(index, { recursive: true });
  await open(folder).stop();
  return folder;
}

/** Behind the last position that a run has. */
function runsEnd(folder: string): number {
  const names = readdirSync(join(folder, "index")).filter((name) => name.endsWith(".run"));
  return Math.max(...names.map((name) => Number(name.slice(0, -".run".length).split("-")[1])));
}

for (const [what, told, lie] of LIES) {
  for (const eventsBehind of [0, EVENTS_BEHIND]) {
    const place = eventsBehind === 0 ? "behind the runs" : "in a run";
    test(`verify finds a log that ${what} ${place}`, async () => {
      const folder = await makeStore(lie, eventsBehind);
      expect(runsEnd(folder) > EVENTS_BEFORE).toBe(eventsBehind > 0);
      const { isRight, lines } = verify(folder);
      expect(lines, `SEED=${SEED}`).toMatch(told);
      expect(lines).toMatch(/\/log\/\d{20}\.seg at offset \d+: /);
      expect(isRight).toBe(false);
    });
  }
}

test("verify passes where nothing was changed", async () => {
  const request: Request = { event: { stream: "another", name: "Opened" } };
  for (const eventsBehind of [0, EVENTS_BEHIND]) {
    const folder = await makeStore(() => request, eventsBehind);
    const { isRight, lines } = verify(folder);
    expect(lines, `SEED=${SEED}`).toContain("checksums right");
    expect(isRight).toBe(true);
  }
});
