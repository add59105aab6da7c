/**
 * The mechanism under every live reader, without a socket: what a subscription takes, in which order, and that neither
 * the way from history to new events nor a slow sink loses or repeats one.
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { MiB, PENDING_EVENTS_MAX, PROGRESS_EVENTS, PROGRESS_MS } from "../server/limits.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Filter } from "../server/store/filter.ts";
import type { Interest } from "../server/store/interest.ts";
import { PositionReader } from "../server/store/position-reader.ts";
import { Random } from "./support/random.ts";
import { from, type RecordingSink, streams, subscribe } from "./support/recording-sink.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, type NewEvent, nextTurn, queue } from "./support/store-driver.ts";

const PARTITIONS = 4;
const stores: EventStore[] = [];

afterEach(() => {
  for (const store of stores.splice(0)) store.close();
});

function openStore(memtableEvents?: number, schedules = false): EventStore {
  const store = EventStore.open({
    disk: new SimulatedDisk({ random: new Random(1) }).boot(),
    folder: "/data",
    partitions: PARTITIONS,
    segmentBytes: MiB,
    durability: "fsync",
    strict: false,
    clock: () => 1_000,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log: () => {},
    syncPlace: "loop",
    schedules,
    ...(memtableEvents === undefined ? {} : { memtableEvents }),
  });
  stores.push(store);
  return store;
}

async function appendTo(store: EventStore, ...names: string[]): Promise<void> {
  for (const stream of names) await append(store, [{ stream, name: "A" }]);
}

/** Lets all that is queued run. */
async function settled(sinks: readonly RecordingSink[]): Promise<void> {
  let before = -1;
  for (;;) {
    const now = sinks.reduce((sum, sink) => sum + sink.log.length, 0);
    if (now === before) return;
    before = now;
    for (let i = 0; i < 64; i++) await nextTurn();
  }
}

const LOG_FROM_0: Interest = { kind: "log", position: 0 };

describe("what a subscription takes", () => {
  test("a stream from a version on, then what comes", async () => {
    const store = openStore();
    await appendTo(store, "a", "b", "a", "a", "b");
    const sink = subscribe(store, streams({ a: from(1) }));
    await settled([sink]);
    expect(sink.log).toEqual(["event 2", "event 3", "caught-up 4"]);
    await appendTo(store, "b", "a");
    await settled([sink]);
    expect(sink.positions).toEqual([2, 3, 6]);
    expect(sink.taken.map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  test("a start above the stream's end takes nothing below it later", async () => {
    const store = openStore();
    await appendTo(store, "a");
    const sink = subscribe(store, streams({ a: from(3), x: from(1) }));
    await settled([sink]);
    await appendTo(store, "a", "a", "x", "x", "a");
    await settled([sink]);
    expect(sink.taken.map(({ stream, version }) => `${stream} ${version}`)).toEqual(["x 1", "a 3"]);
  });

  test("from now on: nothing that is there already", async () => {
    const store = openStore();
    await appendTo(store, "a", "a");
    const now = store.subscriptions.end;
    const sinks = [
      subscribe(store, streams({ a: from(0, now) })),
      subscribe(store, streams({}, { "?": from(0, now) })),
      subscribe(store, { kind: "log", position: now }),
    ];
    await settled(sinks);
    for (const sink of sinks) expect(sink.log).toEqual(["caught-up 1"]);
    await appendTo(store, "a");
    await settled(sinks);
    for (const sink of sinks) expect(sink.positions).toEqual([2]);
  });

  test("an event that several arguments take comes once, and a stream's start beats a pattern's", async () => {
    const store = openStore();
    await appendTo(store, "user-1", "user-2", "user-1", "order-1", "user-1", "user-2");
    const interest = streams(
      { "user-1": from(2), "user-3": from(1) },
      { "user-*": from(1), "*-2": from(0), "user-?": from(9) },
    );
    const sink = subscribe(store, interest);
    await settled([sink]);
    expect(sink.positions).toEqual([1, 4, 5]);
    await appendTo(store, "user-3", "user-2", "user-3", "user-4", "user-4");
    await settled([sink]);
    expect(sink.positions).toEqual([1, 4, 5, 7, 8, 10]);
  });

  test("of two arguments that name one stream the one that begins first counts, live or not", async () => {
    const store = openStore();
    await appendTo(store, "a", "a");
    const named = (number: number) => ({
      streamId: Buffer.from("a"),
      key: null,
      start: from(number),
    });
    const patterns = [{ pattern: Buffer.from("*"), start: from(0) }];
    const sink = subscribe(store, { kind: "streams", streams: [named(5), named(1)], patterns });
    await settled([sink]);
    expect(sink.positions).toEqual([1]);
    await appendTo(store, "a", "a", "a", "a");
    await settled([sink]);
    expect(sink.positions).toEqual([1, 2, 3, 4, 5]);
  });

  test("streams by name beside a pattern that is new do not cost a walk through the log", async () => {
    const store = openStore();
    for (let i = 0; i < 30; i++) await appendTo(store, "a", `other-${i}`, "b");
    const walked = vi.spyOn(PositionReader.prototype, "logPositions");
    try {
      const now = store.subscriptions.end;
      const sink = subscribe(
        store,
        streams({ a: from(28), b: from(29), new: from(0) }, { "*": from(0, now) }),
      );
      await appendTo(store, "b", "c", "new", "a");
      await settled([sink]);
      await appendTo(store, "d", "a");
      await settled([sink]);
      expect(sink.positions).toEqual([84, 87, 89, 90, 91, 92, 93, 94, 95]);
      for (const [position] of walked.mock.calls) expect(position).toBeGreaterThanOrEqual(now);
    } finally {
      walked.mockRestore();
    }
  });

  test("a stream under another key than its own is not taken, live or not", async () => {
    const store = openStore();
    const key = "550e8400-e29b-41d4-a716-446655440000";
    const keyBytes = Buffer.from(key.replaceAll("-", ""), "hex");
    await append(store, [{ stream: "a", name: "A" }], key);
    await appendTo(store, "b");
    const literal = (name: string) => ({
      streamId: Buffer.from(name),
      key: keyBytes,
      start: from(0),
    });
    const interest: Interest = {
      kind: "streams",
      streams: [literal("a"), literal("b")],
      patterns: [],
    };
    const sink = subscribe(store, interest);
    await settled([sink]);
    await appendTo(store, "b", "a");
    await settled([sink]);
    expect(sink.positions).toEqual([0, 3]);
  });

  test("a filter takes a part of it, and progress tells what did not match", async () => {
    const store = openStore();
    const filter = new Filter();
    filter.names.push(Buffer.from("B"));
    const transaction = (name: string, count: number): NewEvent[] =>
      Array.from({ length: count }, () => ({ stream: "a", name }));
    await append(store, transaction("A", PROGRESS_EVENTS / 2));
    await append(store, transaction("A", PROGRESS_EVENTS / 2));
    await append(store, transaction("B", 1));
    const sink = subscribe(store, LOG_FROM_0, { filter });
    await settled([sink]);
    expect(sink.log.slice(-3)).toEqual([
      expect.stringMatching(/^progress 9\d{3}$/),
      "event 10000",
      "caught-up 10000",
    ]);
    await append(store, transaction("A", PROGRESS_EVENTS / 2));
    await append(store, transaction("A", PROGRESS_EVENTS / 2));
    await append(store, transaction("B", 1));
    await settled([sink]);
    expect(sink.log.slice(-2)).toEqual([
      expect.stringMatching(/^progress (19\d{3}|20000)$/),
      "event 20001",
    ]);
  });
});

test("progress is told from time to time, how far it is, also when nothing comes", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const store = openStore();
    await appendTo(store, "b", "b");
    const live = subscribe(store, streams({ a: from(0) }));
    const stalled = subscribe(store, LOG_FROM_0, { room: 1 });
    await settled([live, stalled]);
    vi.advanceTimersByTime(PROGRESS_MS);
    await appendTo(store, "b");
    vi.advanceTimersByTime(PROGRESS_MS);
    expect(live.log).toEqual(["caught-up 1", "progress 1", "progress 2"]);
    expect(stalled.log).toEqual(["event 0", "progress 0", "progress 0"]);
    for (const sink of [live, stalled]) sink.subscription.end();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

describe("order and completeness", () => {
  /** Everything that there can be followed, from its beginning, over the streams s0 … s5. */
  function interests(
    now: number,
  ): { name: string; interest: Interest; takes(event: Place): boolean }[] {
    return [
      { name: "the log", interest: LOG_FROM_0, takes: () => true },
      {
        name: "the log from a position on",
        interest: { kind: "log", position: now },
        takes: ({ position }) => position >= now,
      },
      { name: "one stream", interest: streams({ s1: from(0) }), takes: (e) => e.stream === "s1" },
      {
        name: "streams, each with its start",
        interest: streams({ s1: from(3), s2: from(0), s3: from(0, now), s9: from(0) }),
        takes: (e) =>
          (e.stream === "s1" && e.version >= 3) ||
          e.stream === "s2" ||
          (e.stream === "s3" && e.position >= now),
      },
      {
        name: "patterns and a stream",
        interest: streams({ s1: from(5) }, { "s[1-3]": from(2), "*4": from(0, now) }),
        takes: (e) =>
          e.stream === "s1"
            ? e.version >= 5
            : (/s[23]/.test(e.stream) && e.version >= 2) ||
              (e.stream === "s4" && e.position >= now),
      },
      {
        name: "a partition",
        interest: { kind: "partitions", partitions: [{ partition: 1, start: from(0) }] },
        takes: (e) => e.partition === 1,
      },
      {
        name: "partitions, each with its start",
        interest: {
          kind: "partitions",
          partitions: [
            { partition: 0, start: from(4) },
            { partition: 3, start: from(0, now) },
          ],
        },
        takes: (e) =>
          (e.partition === 0 && e.sequence >= 4) || (e.partition === 3 && e.position >= now),
      },
    ];
  }

  interface Place {
    readonly position: number;
    readonly version: number;
    readonly sequence: number;
    readonly stream: string;
    readonly partition: number;
  }

  test.each([
    ["in memory", undefined],
    ["in runs", 100],
  ])(
    "sinks of every kind get what they take, once and in order, however slow they are, from an index %s",
    async (_, memtableEvents) => {
      const seed = Date.now() % 1_000_000;
      const random = new Random(seed);
      const store = openStore(memtableEvents);
      const appendSome = async () => {
        for (let i = random.below(4); i >= 0; i--) {
          const events = Array.from({ length: 1 + random.below(12) }, () => ({
            stream: `s${random.below(6)}`,
            name: "A",
          }));
          while (queue(store, events) === null) store.flush();
        }
        store.flush();
        await nextTurn();
      };
      for (let i = 0; i < 40; i++) await appendSome();
      const now = store.subscriptions.end;
      const followed = interests(now).flatMap(({ interest, ...rest }) =>
        // One that is never slow, one that stalls, and one that is given a few now and then.
        [Number.POSITIVE_INFINITY, 0, 5].map((room) => ({
          ...rest,
          room,
          sink: subscribe(store, interest, { room }),
        })),
      );
      for (let i = 0; i < 120; i++) {
        await appendSome();
        for (const { sink, room } of followed) {
          if (room === 5 && random.below(3) === 0) sink.giveRoom(random.below(30));
        }
      }
      for (const { sink } of followed) sink.giveRoom(1_000_000);
      const sinks = followed.map(({ sink }) => sink);
      await settled(sinks);
      await appendSome();
      await settled(sinks);

      const all: Place[] = store.readEvents(0, 100_000).map((event) => ({
        position: event.position,
        version: event.streamVersion,
        sequence: event.partitionSequence,
        stream: event.streamId,
        partition: event.partitionId,
      }));
      expect(all.length).toBeGreaterThan(PENDING_EVENTS_MAX * 2);
      for (const { name, room, sink, takes } of followed) {
        const wanted = all.filter(takes).map(({ partition: _, ...event }) => event);
        expect(sink.taken, `${name}, room ${room}, seed ${seed}`).toEqual(wanted);
        expect(sink.log.filter((line) => line.startsWith("caught-up"))).toHaveLength(1);
      }
      expect(store.subscriptions.behindCount).toBe(0);
      expect(store.memoryFigures().runCount > 0).toBe(memtableEvents !== undefined);
    },
  );

  test("those behind catch up although every turn brings appends, and their commits", async () => {
    const EVENTS = 3_000;
    const store = openStore(undefined, true);
    const events = Array.from({ length: EVENTS }, () => ({ stream: "a", name: "A" }));
    await append(store, events);
    const sinks = Array.from({ length: 5 }, () => subscribe(store, LOG_FROM_0));
    let appended = EVENTS;
    while (sinks.some((sink) => sink.taken.length < EVENTS)) {
      queue(store, [{ stream: "b", name: "A" }]);
      appended++;
      await nextTurn();
    }
    await settled(sinks);
    for (const sink of sinks) {
      expect(sink.positions).toEqual(Array.from({ length: appended }, (_, position) => position));
    }
  });

  test("a subscription that has ended gets nothing more, also within what it is given", async () => {
    const store = openStore();
    await appendTo(store, "a", "a", "a");
    const behind = subscribe(store, LOG_FROM_0, { room: 1 });
    await settled([behind]);
    expect(behind.positions).toEqual([0]);
    behind.subscription.end();
    behind.giveRoom(10);
    const live = subscribe(store, streams({ a: from(0, store.subscriptions.end) }));
    await settled([live]);
    live.subscription.end();
    live.subscription.end();
    await appendTo(store, "a");
    await settled([behind, live]);
    expect(behind.positions).toEqual([0]);
    expect(live.positions).toEqual([]);
    expect(store.subscriptions.count).toBe(0);
  });
});

describe("waiting for one batch", () => {
  test("who comes and goes in any order is found, or is not, by stream and by pattern", async () => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    const store = openStore();
    const called: string[] = [];
    const waiting = new Map<string, () => void>();
    const interestOf = (name: string): Interest =>
      name.endsWith("*") ? streams({}, { [name]: from(0) }) : streams({ [name]: from(0) });
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 800; i++) {
        const name = `n${random.below(1_500)}${random.below(8) === 0 ? "-*" : ""}`;
        const leave = waiting.get(name);
        if (leave !== undefined) {
          leave();
          waiting.delete(name);
        } else {
          waiting.set(
            name,
            store.subscriptions.wait(interestOf(name), () => called.push(name)),
          );
        }
      }
      expect(store.subscriptions.waitingCount).toBe(waiting.size);
      // Each is heard through an event of its own, and others' events reach nobody.
      const events = [...waiting.keys(), "x1", "n", "n-"].map((name) => {
        return { stream: name.replace("*", "y"), name: "A" };
      });
      await append(store, events);
      expect(called.sort(), `seed ${seed}`).toEqual([...waiting.keys()].sort());
      expect(store.subscriptions.waitingCount).toBe(0);
      waiting.clear();
      called.length = 0;
    }
  });

  test("a batch that begins in one table of the index and ends in another is heard as a whole", async () => {
    const store = openStore(3);
    const called: string[] = [];
    const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (const name of names) {
      store.subscriptions.wait(streams({ [name]: from(0) }), () => called.push(name));
    }
    const leave = Array.from({ length: PARTITIONS }, (_, partition) => {
      const interest: Interest = {
        kind: "partitions",
        partitions: [{ partition, start: from(0) }],
      };
      return store.subscriptions.wait(interest, () => called.push(`partition ${partition}`));
    });
    leave[0]?.();
    const appended = names.map((stream) => queue(store, [{ stream, name: "A" }]));
    expect(store.memoryFigures().memtableCount).toBe(3);
    store.flush();
    for (const queued of appended) expect(await queued?.outcome).toBe("durable");
    const partitions = appended.map((queued) => queued?.result.events[0]?.partitionId);
    const heard = [...new Set(partitions)].filter((partition) => partition !== 0);
    const expected = [...names, ...heard.map((partition) => `partition ${partition}`)];
    expect(called.sort()).toEqual(expected.sort());
  });

  test("calls back once for what the interest names, and not after its end", async () => {
    const store = openStore();
    const calls: string[] = [];
    store.subscriptions.wait(streams({ a: from(0) }), () => calls.push("a"));
    store.subscriptions.wait(streams({}, { "b*": from(0) }), () => calls.push("b*"));
    store.subscriptions.wait({ kind: "log", position: 0 }, () => calls.push("log"));
    store.subscriptions.wait(streams({ a: from(0) }), () => calls.push("ended"))();
    expect(store.subscriptions.waitingCount).toBe(3);
    await appendTo(store, "c");
    expect(calls).toEqual(["log"]);
    await appendTo(store, "a", "a", "bb");
    expect(calls).toEqual(["log", "a", "b*"]);
    expect(store.subscriptions.waitingCount).toBe(0);
  });
});
