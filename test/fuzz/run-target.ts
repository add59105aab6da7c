/**
 * The fuzzer of index runs whose checksums are right and whose content is not.
 *
 * The inputs are changes to the runs of one store (run-edits.ts), after which every page gets the checksum of what it
 * holds. Then the store is verified, opened, asked everything in every way, appended to until runs are made and merged,
 * killed and opened again. Where `verify` passes the runs, every answer must be right. Where it does not, answers may be wrong
 * or CORRUPT, but nothing may end the process, trap, or go on without end.
 */

import { Encoding } from "../../server/core/encoding.ts";
import { OutputArea } from "../../server/core/output-area.ts";
import { OpenError, StoreError } from "../../server/errors.ts";
import { KiB } from "../../server/limits.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import { Filter } from "../../server/store/filter.ts";
import type { FilteredScan, ScanSource } from "../../server/store/filtered-scan.ts";
import type { Interest } from "../../server/store/interest.ts";
import { verifyStore } from "../../server/store/offline.ts";
import type { StoredEvent } from "../../server/store/stored-event.ts";
import { Random } from "../support/random.ts";
import { from, type RecordingSink, streams, subscribe } from "../support/recording-sink.ts";
import { RunBytes } from "../support/run-bytes.ts";
import { askEverything, eventsOf, INDEX_FOLDER, openRunStore } from "../support/run-store.ts";
import { SimulatedDisk } from "../support/simulated-disk.ts";
import { append, nextTurn, readAllOrDamage } from "../support/store-driver.ts";
import { fail, same } from "../support/store-ledger.ts";
import { FOLDER } from "../support/store-world.ts";
import { applyEdits, EDIT_WORDS, randomEdits } from "./run-edits.ts";
import type { ByteTarget } from "./target.ts";

const SEED = 1;
const MEMTABLE_EVENTS = 52;
/** A run that was merged, with more than a page of ids and of streams, two that were not, and what no run covers. */
const EVENTS = 6 * MEMTABLE_EVENTS + 10;
const STREAMS = 1_200;
/** So many that two runs are made of them, and merged. */
const APPENDED_EVENTS = 2 * MEMTABLE_EVENTS;
/** Steps of a filtered scan or of a subscription, beyond which it does not end. */
const STEPS_MAX = 2_000;

interface Base {
  readonly image: ReadonlyMap<string, Uint8Array>;
  readonly runPaths: readonly string[];
  readonly events: readonly StoredEvent[];
}

let base: Promise<Base> | null = null;

async function makeBase(): Promise<Base> {
  const random = new Random(SEED);
  const disk = new SimulatedDisk({ random });
  const store = open(disk);
  while ((store.lastPosition() ?? -1) + 1 < EVENTS) {
    const stream = random.below(random.chance(0.15) ? 8 : STREAMS);
    const count = random.chance(0.1) ? random.between(2, 5) : 1;
    const asked = Array.from({ length: count }, () => {
      return { stream: `stream-${stream}`, name: random.pick(["Opened", "Closed"]) };
    });
    await append(store, asked, stream % 3 === 0 ? `key ${stream % 20}` : undefined);
  }
  const events = eventsOf(store);
  disk.kill();
  const image = disk.image();
  const runPaths = [...image.keys()].filter((path) => path.startsWith(INDEX_FOLDER)).sort();
  same(runPaths.length, 3, "runs of the store that is changed");
  return { image, runPaths, events };
}

/** The same bytes must do the same, so what is random is not. */
function open(disk: SimulatedDisk): EventStore {
  const random = new Random(SEED);
  return openRunStore(disk, MEMTABLE_EVENTS, [], { random: (target) => random.fill(target) });
}

async function check(input: Uint8Array): Promise<void> {
  base ??= makeBase();
  const { image, runPaths, events } = await base;
  const runs = runPaths.map((path) => new RunBytes(image.get(path) as Uint8Array));
  const files = new Map(image);
  for (const index of applyEdits(input, runs)) {
    const run = runs[index] as RunBytes;
    run.seal();
    files.set(runPaths[index] as string, run.bytes);
  }
  const disk = SimulatedDisk.fromImage(files, { random: new Random(SEED) });
  const isRight = verifyStore(FOLDER, () => undefined, disk.boot());
  disk.kill();

  const store = open(disk);
  judge(askEverything(store, events), isRight);
  askFiltered(store, events, isRight);
  follow(store, events, isRight);
  await appendSome(store, events);
  disk.kill();
  await nextTurn();
  await reopen(disk, events, isRight);
}

function judge(
  { wrong, refused }: { wrong: readonly string[]; refused: readonly string[] },
  isRight: boolean,
) {
  if (!isRight) return;
  const [first] = [...wrong, ...refused];
  if (first !== undefined) fail(`verify passed the runs, and this is wrong: ${first}`);
}

/** What filters look up: a partition's places, times, and both ways through each. */
function askFiltered(store: EventStore, events: readonly StoredEvent[], isRight: boolean): void {
  const area = new OutputArea(store.core, 64 * KiB);
  const late = events[Math.floor(events.length / 2)]?.recordedAt ?? 0;
  const named = new Filter();
  named.names.push(Buffer.from("Opened"));
  const inOne = new Filter();
  inOne.setPartitions(Uint8Array.of(0, 1));
  const key = events[events.length >> 1]?.partitionKey ?? "";
  const keyed = Object.assign(new Filter(), { key: Buffer.from(key.replaceAll("-", ""), "hex") });
  const filters: [string, Filter, (event: StoredEvent) => boolean][] = [
    ["KEY", keyed, (event) => event.partitionKey === key],
    ["NAME", named, (event) => event.eventName === "Opened"],
    ["ASOF", Object.assign(new Filter(), { asOf: late }), (event) => event.recordedAt <= late],
    ["SINCE", Object.assign(new Filter(), { since: late }), (event) => event.timestamp >= late],
    ["PARTITIONS", inOne, (event) => event.partitionId === 1],
  ];
  const sources: [string, ScanSource, (event: StoredEvent) => boolean][] = [
    ["the log", { kind: "log" }, () => true],
    ["partition 1", { kind: "partition", partition: 1 }, (event) => event.partitionId === 1],
  ];
  for (const [what, filter, matches] of filters) {
    for (const [where, source, isIn] of sources) {
      for (const isReverse of [false, true]) {
        const range = { from: 0, to: Infinity, count: Infinity, isReverse };
        const scan = store.openFilteredScan(source, range, filter, Encoding.resp3);
        const refused = finish(scan, area, `a scan of ${where} with ${what}`);
        if (!isRight) continue;
        if (refused !== null) fail(`verify passed the runs, and a scan was refused: ${refused}`);
        const wanted = events.filter((event) => isIn(event) && matches(event)).length;
        same(scan.eventCount, wanted, `events of ${where} with ${what}, reverse: ${isReverse}`);
      }
    }
  }
}

/** Scans to the end; gives why it was refused, or null. */
function finish(scan: FilteredScan, area: OutputArea, what: string): string | null {
  try {
    for (let steps = 0; !scan.advance(area); steps++) {
      if (steps > STEPS_MAX) fail(`${what} does not end`);
    }
    return null;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error.message;
  }
}

/** Reads the history as subscriptions do: by the lists of streams and of partitions, and by the log. */
function follow(store: EventStore, events: readonly StoredEvent[], isRight: boolean): void {
  const named = [...new Set(events.map(({ streamId }) => streamId))].slice(0, 20);
  const first = from(0);
  const interests: [string, Interest, (event: StoredEvent) => boolean][] = [
    [
      "streams",
      streams(Object.fromEntries(named.map((name) => [name, first]))),
      ({ streamId }) => named.includes(streamId),
    ],
    [
      "partitions",
      { kind: "partitions", partitions: [0, 2].map((partition) => ({ partition, start: first })) },
      ({ partitionId }) => partitionId % 2 === 0,
    ],
    ["the log", { kind: "log", position: 0 }, () => true],
  ];
  for (const [what, interest, isIn] of interests) {
    const slices: (() => void)[] = [];
    // Done here and now, so that what a slice throws is thrown here.
    store.slices.add = (slice) => void slices.push(slice);
    const sink = subscribe(store, interest);
    for (let steps = 0; slices.length > 0; steps++) {
      if (steps > STEPS_MAX) fail(`a subscription to ${what} never catches up`);
      (slices.shift() as () => void)();
    }
    sink.subscription.end();
    if (!isRight) continue;
    judgeSink(sink, events.filter(isIn), what);
  }
}

function judgeSink(sink: RecordingSink, wanted: readonly StoredEvent[], what: string): void {
  same(sink.log.at(-1)?.split(" ")[0], "caught-up", `what ends a subscription to ${what}`);
  same(
    sink.positions,
    wanted.map(({ position }) => position),
    `events of ${what}`,
  );
}

/** Appends to streams that are there and to new ones, with ids that are known and new, until runs are merged. */
async function appendSome(store: EventStore, events: readonly StoredEvent[]): Promise<void> {
  const random = new Random(SEED);
  for (let i = 0; i < APPENDED_EVENTS; i++) {
    const known = random.pick(events);
    const kind = random.weighted({ known: 4, repeated: 2, other: 1, fresh: 1 });
    const stream = kind === "fresh" ? `fresh-${i}` : known.streamId;
    const eventId = kind === "repeated" || kind === "other" ? { eventId: known.eventId } : {};
    const name = kind === "other" ? "Other" : known.eventName;
    try {
      await append(store, [{ stream, name, ...eventId }]);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }
}

async function reopen(
  disk: SimulatedDisk,
  events: readonly StoredEvent[],
  isRight: boolean,
): Promise<void> {
  let store: EventStore;
  try {
    store = open(disk);
  } catch (error) {
    // What was appended by the word of runs that lied may not follow from what the log says.
    if (isRight || !(error instanceof OpenError)) throw error;
    return;
  }
  const found = readAllOrDamage(store);
  if (isRight) same(found.slice(0, events.length), events, "events after a restart");
  await store.stop();
}

export const RUN_TARGET: ByteTarget = {
  name: "runs",
  promise:
    "index runs whose checksums are right, whatever they say, end nothing, and what verify passes gives right answers",
  share: 2,
  testInputs: 20,
  dictionary: EDIT_WORDS,
  generate: randomEdits,
  check,
};
