/**
 * `cairn verify` over a store with index runs: it passes where all is right, and finds damaged pages as well as runs that
 * are whole by their checksums and say something else than the log, part by part.
 *
 * `SEED=n` chooses the events.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemDisk } from "../server/disk.ts";
import { RUN_PAGE_BYTES } from "../server/index/run-file.ts";
import { Random } from "./support/random.ts";
import { RunBytes } from "./support/run-bytes.ts";
import { fill, openRunStore } from "./support/run-store.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { verify } from "./support/verify.ts";

const SEED = Number(process.env.SEED ?? 1);
const MEMTABLE_EVENTS = 150;
const EVENTS = 400;

let parent: string;
let pristine: string;
let copies = 0;

beforeAll(async () => {
  parent = mkdtempSync(join(tmpdir(), "cairn-verify-"));
  pristine = join(parent, "pristine");
  const random = new Random(SEED);
  const store = openRunStore(new SimulatedDisk({ random }), MEMTABLE_EVENTS, [], {
    disk: systemDisk,
    folder: pristine,
  });
  await fill(store, random, EVENTS);
  await store.stop();
});

afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** A copy of the store, and its first run's path. */
function copied(): { folder: string; run: string } {
  const folder = join(parent, `copy-${copies++}`);
  cpSync(pristine, folder, { recursive: true });
  const names = readdirSync(join(folder, "index")).sort();
  expect(names.length).toBeGreaterThan(1);
  return { folder, run: join(folder, "index", names[0] as string) };
}

const LARGE = BigInt(Number.MAX_SAFE_INTEGER);

/** What is changed in a run, and the word by which it is told. */
const LIES: readonly [string, string, (run: RunBytes) => void][] = [
  ["another place of an event id", "event ids", (run) => run.add(run.part("ids") + 12, 1n << 16n)],
  ["another event id", "event ids", (run) => run.add(run.part("ids") + 8, 1n)],
  [
    "ids that are out of order",
    "event ids",
    (run) => run.swap(run.part("ids"), run.part("ids") + 20, 20),
  ],
  ["another stream", "streams", (run) => run.add(run.part("heads") + 8 + 8, 1n)],
  [
    "another first version of a stream",
    "streams",
    (run) => run.add(run.part("heads") + 8 + 16, 1n << 16n),
  ],
  [
    "another partition hash of a stream",
    "streams",
    (run) => run.add(run.part("heads") + 8 + 16, 1n),
  ],
  [
    "more events of a stream than there are",
    "streams",
    (run) => run.bytes.writeUInt32LE(2 ** 32 - 1, run.part("heads") + 8 + 12),
  ],
  ["another start of a page's places", "streams", (run) => run.add(run.part("heads"), 1n)],
  [
    "streams that are out of order",
    "streams",
    (run) => run.swap(run.part("heads") + 8, run.part("heads") + 36, 28),
  ],
  [
    "places that are out of order",
    "streams",
    (run) => run.swap(run.part("places"), run.part("places") + 8, 8),
  ],
  ["another partition key", "partition keys", (run) => run.add(run.part("keys"), 1n)],
  [
    "keys that were mixed up",
    "partition keys",
    (run) => run.swap(run.part("keys"), run.part("keys") + 16, 16),
  ],
  ["another partition", "partitions", (run) => run.add(run.part("partitions"), 1n)],
  ["another first sequence", "partitions", (run) => run.add(run.part("partitions") + 8, 1n)],
  [
    "another start of a partition's places",
    "partitions",
    (run) => run.add(run.part("partitions") + 16, 1n),
  ],
  [
    "partitions that are out of order",
    "partitions",
    (run) => run.swap(run.part("partitions"), run.part("partitions") + 24, 24),
  ],
  [
    "another place in a partition",
    "partitions",
    (run) => run.add(run.part("partitionPlaces"), 1n << 16n),
  ],
  ["another place of a position", "positions", (run) => run.add(run.part("positions"), 1n << 16n)],
  [
    "another first event of a stream",
    "order of streams",
    (run) => run.add(run.part("order") + 8, 1n),
  ],
  ["fewer streams than begin there", "its parts", (run) => run.add(72, -1n)],
  ["another time of its last event", "the last record", (run) => run.add(64, 1n)],
  ["another end of the log", "the last record", (run) => run.add(48, -8n)],
  ["later times than the events have", "times", (run) => run.add(run.part("times") + 8, LARGE)],
  [
    "earlier times than the events have",
    "times",
    (run) => run.bytes.writeBigUInt64LE(0n, run.part("times") + 16),
  ],
  ["another recorded_at", "times", (run) => run.add(run.part("times") + 24, 1n)],
  [
    "a filter of ids that lacks some",
    "filters",
    (run) => run.bytes.fill(0, run.part("idFilter"), run.part("idFilter") + 64),
  ],
  [
    "a filter of streams that lacks some",
    "filters",
    (run) => run.bytes.fill(0, run.part("headFilter"), run.part("headFilter") + 64),
  ],
  [
    "a fence of ids that is too high",
    "fences",
    (run) => run.bytes.writeUInt32LE(2 ** 32 - 1, run.part("idFences")),
  ],
  [
    "a fence of streams that is too high",
    "fences",
    (run) => run.bytes.writeUInt32LE(2 ** 32 - 1, run.part("headFences")),
  ],
];

describe("verify", () => {
  test("passes over a store with runs, and says how many there are", () => {
    const { isRight, lines } = verify(copied().folder);
    expect(lines).toMatch(/index runs: \d+, \d+ bytes, checksums right/);
    expect(isRight).toBe(true);
  });

  for (const [what, kind, change] of LIES) {
    test(`finds ${what}`, () => {
      const { folder, run } = copied();
      const changed = new RunBytes(readFileSync(run));
      change(changed);
      changed.seal();
      writeFileSync(run, changed.bytes);
      const { isRight, lines } = verify(folder);
      expect(lines).toContain(run);
      expect(lines).toContain(kind);
      expect(isRight).toBe(false);
    });
  }

  test("finds every page that is damaged, and names file and offset", () => {
    const { folder, run } = copied();
    const bytes = readFileSync(run);
    const random = new Random(SEED);
    for (let page = 0; page < bytes.length / RUN_PAGE_BYTES; page++) {
      const bit = page * RUN_PAGE_BYTES * 8 + random.below(RUN_PAGE_BYTES * 8);
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(run, copy);
      const { isRight, lines } = verify(folder);
      expect(lines, `SEED=${SEED}, page ${page}`).toContain(run);
      expect(lines).toContain(
        page === 0 ? "the header is damaged" : `offset ${page * RUN_PAGE_BYTES}`,
      );
      expect(isRight).toBe(false);
      expect(readFileSync(run).equals(copy)).toBe(true);
    }
  });

  test("changes nothing: a leftover and a run of another log stay where they are", () => {
    const { folder, run } = copied();
    writeFileSync(`${run}.new`, "half a run");
    expect(verify(folder).isRight).toBe(true);
    expect(readFileSync(`${run}.new`, "utf8")).toBe("half a run");
  });
});
