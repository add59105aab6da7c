/**
 * Filters, ranges and `next`, against a plain model: some 17,000 events, more than two of the stretches of positions
 * whose times the core knows, in a store with few blocks in memory and many index runs, by stream, partition and position.
 *
 * `SEED=n` chooses events and queries; fast-check prints the seed and the smallest query that fails.
 */
import fc from "fast-check";
import { v5 as uuidV5 } from "uuid";
import { beforeAll, expect, test } from "vitest";
import { Encoding } from "../server/core/encoding.ts";
import { OutputArea } from "../server/core/output-area.ts";
import { KiB, MiB } from "../server/limits.ts";
import { globMatches } from "../server/resp/glob.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Filter } from "../server/store/filter.ts";
import type { FilteredScan, ScanRange, ScanSource } from "../server/store/filtered-scan.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, type NewEvent } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 20_261_124);
const RUNS = Number(process.env.RUNS ?? 400);
const PARTITIONS = 6;
const EVENTS = 17_000;
/** Of the second half of the test: so few that there are many index runs. */
const MEMTABLE_EVENTS = 300;
const CLOCK_MS = 1_700_000_000_000;
const KEY_NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
const NAMES = ["Opened", "Changed", "Closed", "Geöffnet"];
/** Of the streams `shared-…`: so that one partition holds events of several keys, and a key several streams. */
const SHARED_KEY = "550e8400-e29b-41d4-a716-446655440000";

interface PlainEvent {
  readonly stream: string;
  readonly name: string;
  readonly key: string;
  readonly partition: number;
  readonly version: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly recordedAt: number;
  readonly position: number;
}

const events: PlainEvent[] = [];
const random = new Random(SEED);
const disk = new SimulatedDisk({ random });
let nowMs = CLOCK_MS;
let store: EventStore;
let area: OutputArea;

function open(memtableEvents: number): void {
  store = EventStore.open({
    disk: disk.boot(),
    folder: "/data",
    partitions: PARTITIONS,
    segmentBytes: MiB,
    durability: "fsync",
    strict: false,
    clock: () => nowMs,
    random: (target) => random.fill(target),
    log: () => undefined,
    syncPlace: "loop",
    schedules: false,
    cacheBytes: 256 * KiB,
    indexMemoryBytes: 4 * MiB,
    memtableEvents,
  });
  area = new OutputArea(store.core, 64 * KiB);
}

beforeAll(async () => {
  open(EVENTS);
  while (events.length < EVENTS) await appendSome();
  // What a start rebuilds from the log must say the same as what appends kept.
  const half = events.length;
  disk.kill();
  // It makes index runs of nearly all, and appends go on making more, between the slices of scans too.
  open(MEMTABLE_EVENTS);
  while (events.length < half + 200) await appendSome();
});

/** One transaction, of one event or many, of one key or several. */
async function appendSome(): Promise<void> {
  const many = random.chance(0.1);
  const isShared = random.chance(0.2);
  const isLarge = random.chance(0.005);
  const count = many ? random.between(2, isLarge ? 700 : 30) : 1;
  const asked: NewEvent[] = Array.from({ length: count }, () => ({
    stream: `${isShared ? "shared" : random.pick(["user", "order"])}-${random.below(30)}`,
    name: random.pick(NAMES),
    timestamp: timestampAt(events.length),
  }));
  nowMs += random.pick([0, 0, 0, 1, 3, -2]);
  const result = await append(store, asked, isShared ? SHARED_KEY : undefined);
  for (const [index, { stream, name }] of asked.entries()) {
    const numbers = result.events[index];
    if (numbers === undefined) throw new Error("an append without an answer");
    const key = isShared ? SHARED_KEY : uuidV5(stream, KEY_NAMESPACE);
    expect(numbers.partitionKey).toBe(key);
    events.push({
      stream,
      name,
      key,
      partition: numbers.partitionId,
      version: numbers.streamVersion,
      sequence: numbers.partitionSequence,
      timestamp: numbers.timestamp,
      recordedAt: numbers.recordedAt,
      position: numbers.position,
    });
  }
}

/** Times go up with the positions, but for some that are far from their neighbours'. */
function timestampAt(position: number): number {
  if (random.chance(0.001)) return random.pick([0, Number.MAX_SAFE_INTEGER]);
  return position * 10 + random.below(2_000);
}

// ── queries ───────────────────────────────────────────────────────────────────────────────────────

interface FilterParts {
  readonly match?: string | undefined;
  readonly names?: readonly string[] | undefined;
  readonly key?: string | undefined;
  readonly partitions?: readonly number[] | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly asOf?: number | undefined;
}

interface Query {
  readonly source:
    | { readonly kind: "stream"; readonly stream: string; readonly key?: string | undefined }
    | { readonly kind: "partition"; readonly partition: number }
    | { readonly kind: "log" };
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly isReverse: boolean;
  readonly filter: FilterParts;
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const streamName = fc
  .tuple(fc.constantFrom("user", "order", "shared", "nobody"), fc.nat(30))
  .map(([kind, number]) => `${kind}-${number}`);
const key = fc.oneof(
  fc.constant(SHARED_KEY),
  streamName.map((stream) => uuidV5(stream, KEY_NAMESPACE)),
);
const time = fc.oneof(
  fc.nat(EVENTS * 10 + 4_000),
  fc.constantFrom(0, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER),
);
const pattern = fc.constantFrom(
  ...["user-*", "*", "*-1?", "shared-[0-4]", "order-7", "[^s]*", "*r-*2", "x", ""],
);
const parts = {
  match: pattern,
  names: fc.uniqueArray(fc.constantFrom(...NAMES, "Nothing"), { minLength: 1 }),
  key,
  partitions: fc.uniqueArray(fc.nat(PARTITIONS - 1), { minLength: 1 }),
  since: time,
  until: time,
  asOf: fc.oneof(
    fc.nat(8_000).map((ms) => CLOCK_MS + ms),
    fc.constantFrom(0, CLOCK_MS - 1, CLOCK_MS, Number.MAX_SAFE_INTEGER),
  ),
};
type PartName = keyof typeof parts;
const PART_NAMES = Object.keys(parts) as PartName[];
const source: fc.Arbitrary<Query["source"]> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: "log" as const }) },
  fc.record({ kind: fc.constant("stream" as const), stream: streamName, key: maybe(key) }),
  fc.record({ kind: fc.constant("partition" as const), partition: fc.nat(PARTITIONS - 1) }),
);
const share = fc.double({ min: 0, max: 1.1, noNaN: true });
const shape = {
  source,
  from: fc.oneof(fc.constant(0), share),
  to: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), share),
  count: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(12), fc.nat(2_000)),
  isReverse: fc.boolean(),
};

/** Ends are given as shares of what the source holds; here they become numbers. */
function scaled(query: Query): Query {
  const last = sourceEvents(query.source).length;
  const number = (part: number) => (part === Infinity ? part : Math.floor(part * last));
  const from = number(query.from);
  // A position far beyond the end is refused, which is no matter of filters.
  return {
    ...query,
    from: query.source.kind === "log" ? Math.min(from, events.length) : from,
    to: number(query.to),
  };
}

function sourceEvents(source: Query["source"]): PlainEvent[] {
  if (source.kind === "log") return events;
  if (source.kind === "partition")
    return events.filter(({ partition }) => partition === source.partition);
  return events.filter(
    (event) =>
      event.stream === source.stream && (source.key === undefined || event.key === source.key),
  );
}

function numberOf(event: PlainEvent, source: Query["source"]): number {
  if (source.kind === "log") return event.position;
  return source.kind === "stream" ? event.version : event.sequence;
}

function matches(event: PlainEvent, filter: FilterParts): boolean {
  const { match, names, key, partitions, since, until, asOf } = filter;
  return (
    (match === undefined || globMatches(Buffer.from(match), Buffer.from(event.stream))) &&
    (names === undefined || names.includes(event.name)) &&
    (key === undefined || event.key === key) &&
    (partitions === undefined || partitions.includes(event.partition)) &&
    (since === undefined || event.timestamp >= since) &&
    (until === undefined || event.timestamp <= until) &&
    (asOf === undefined || event.recordedAt <= asOf)
  );
}

interface Answer {
  readonly positions: number[];
  readonly hasMore: boolean;
  readonly next: number | null;
}

/** What protocol and common sense demand. */
function expected(query: Query): Answer {
  const { source, from, to, count, isReverse, filter } = query;
  const all = sourceEvents(source);
  const found = all.filter((event) => {
    const number = numberOf(event, source);
    return number >= from && number <= to && matches(event, filter);
  });
  if (isReverse) found.reverse();
  const positions = found.slice(0, count).map(({ position }) => position);
  const following = found[positions.length];
  if (following !== undefined)
    return { positions, hasMore: true, next: numberOf(following, source) };
  const last = all.length - 1;
  const next = isReverse || from > to || to <= last ? null : Math.max(from, last + 1);
  return { positions, hasMore: false, next };
}

function openScan(query: Query): FilteredScan {
  const filter = new Filter();
  const { match, names = [], key, partitions, since, until, asOf } = query.filter;
  if (match !== undefined) filter.pattern = Buffer.from(match);
  for (const name of names) filter.names.push(Buffer.from(name));
  if (key !== undefined) filter.key = keyBytes(key);
  if (partitions !== undefined) {
    filter.setPartitions(
      Uint8Array.from({ length: PARTITIONS }, (_, i) => (partitions.includes(i) ? 1 : 0)),
    );
  }
  filter.since = since ?? null;
  filter.until = until ?? null;
  filter.asOf = asOf ?? null;
  const range: ScanRange = query;
  return store.openFilteredScan(sourceOf(query.source), range, filter, Encoding.resp3WithPosition);
}

function sourceOf(source: Query["source"]): ScanSource {
  if (source.kind !== "stream") return source;
  const key = source.key === undefined ? null : keyBytes(source.key);
  return { kind: "stream", streamId: Buffer.from(source.stream), key };
}

function keyBytes(key: string): Uint8Array {
  return Buffer.from(key.replaceAll("-", ""), "hex");
}

function answer(query: Query): Answer {
  const scan = openScan(query);
  while (!scan.advance(area));
  return answerOf(scan);
}

function answerOf(scan: FilteredScan): Answer {
  const text = Buffer.concat(scan.pieces).toString("latin1");
  const positions = [...text.matchAll(/\+position\r\n:(\d+)\r\n/g)].map(([, digits]) =>
    Number(digits),
  );
  expect(positions.length).toBe(scan.eventCount);
  return { positions, hasMore: scan.hasMore, next: scan.next };
}

// ── tests ─────────────────────────────────────────────────────────────────────────────────────────

test.each(PART_NAMES)(`${"%s"} alone, in any range (seed ${SEED})`, (name) => {
  const filter = fc.record({ [name]: parts[name] }) as fc.Arbitrary<FilterParts>;
  fc.assert(
    fc.property(fc.record({ ...shape, filter }), (given) => {
      const query = scaled(given);
      expect(answer(query)).toEqual(expected(query));
    }),
    { seed: SEED, numRuns: RUNS / 4 },
  );
});

test(`filters together, in any range (seed ${SEED})`, () => {
  const filter = fc.record(parts, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.record({ ...shape, filter }), (given) => {
      const query = scaled(given);
      expect(answer(query)).toEqual(expected(query));
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

test(`going on from next gives each matching event once, either way (seed ${SEED})`, () => {
  const filter = fc.record(parts, { requiredKeys: [] });
  const paged = fc.record({ ...shape, count: fc.integer({ min: 1, max: 2_000 }), filter });
  fc.assert(
    fc.property(paged, (given) => {
      let query = scaled(given);
      const wanted = expected({ ...query, count: Number.POSITIVE_INFINITY });
      const found: number[] = [];
      for (let pages = 0; pages <= wanted.positions.length; pages++) {
        const page = answer(query);
        found.push(...page.positions);
        if (!page.hasMore) {
          expect(page.next).toBe(wanted.next);
          break;
        }
        if (page.next === null) throw new Error("there is more, but not where");
        query = query.isReverse ? { ...query, to: page.next } : { ...query, from: page.next };
      }
      expect(found).toEqual(wanted.positions);
    }),
    { seed: SEED, numRuns: RUNS / 4 },
  );
});

test("a scan sees what was durable when it began, whatever is appended and read between its slices", async () => {
  const base = { from: 0, to: Infinity, count: Infinity, isReverse: false };
  const query: Query = { ...base, source: { kind: "log" }, filter: { match: "user-*" } };
  const other: Query = {
    ...base,
    source: { kind: "partition", partition: 1 },
    filter: { since: 5 },
  };
  const wanted = expected(query);
  const scan = openScan(query);
  const runCounts = new Set([store.memoryFigures().runCount]);
  while (!scan.advance(area)) {
    // Enough for a memtable: index runs take the places of others while the scan is under way.
    const end = events.length + MEMTABLE_EVENTS;
    while (events.length < end) await appendSome();
    runCounts.add(store.memoryFigures().runCount);
    expect(answer(other)).toEqual(expected(other));
  }
  expect(runCounts.size).toBeGreaterThan(1);
  expect(answerOf(scan)).toEqual(wanted);
});
