/**
 * The index on disk against the model: random commands on stores whose memtables hold a handful of events, so that runs
 * are made, merged and read all the time, with orderly stops and kills, few pages and blocks in memory, and one, a few or
 * very many partitions. And what no random command meets.
 *
 * `SEED=n` chooses the commands, `RUNS=n` how many stores; fast-check prints the seed and the smallest list of
 * commands that still fails.
 */
import fc from "fast-check";
import { v5 as uuidV5 } from "uuid";
import { describe, expect, test, vi } from "vitest";
import { ServerInfo } from "../server/commands/server-info.ts";
import { divideIndexMemory } from "../server/index/index-memory.ts";
import { KiB, MiB } from "../server/limits.ts";
import { RespDoor } from "../server/resp/door.ts";
import type { EventStore } from "../server/store/event-store.ts";
import { stepOf } from "./support/model-steps.ts";
import { type ModelHost, Subject } from "./support/model-subject.ts";
import { Random } from "./support/random.ts";
import { encode, type Frame, plain, RespClient } from "./support/resp-client.ts";
import {
  eventsOf,
  expectNoStray,
  INDEX_FOLDER,
  indexFiles,
  openRunStore,
  readEverything,
} from "./support/run-store.ts";
import { until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, streamVersion } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 20_261_124);
const RUNS = Number(process.env.RUNS ?? 5);
const COMMANDS_PER_RUN = 120;
const KEY_NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

interface HostOptions {
  readonly partitions: number;
  readonly memtableEvents: number;
  /** A quarter of it is for heads of streams, 64 bytes for four; pages of runs are as few as there can be. */
  readonly indexMemoryBytes: number;
}

/** A store on a simulated disk behind a RESP door, in this process. */
class InProcessHost implements ModelHost {
  readonly disk = new SimulatedDisk({ random: new Random(SEED) });
  readonly log: string[] = [];
  store: EventStore | null = null;
  private readonly options: HostOptions;
  private door: RespDoor | null = null;

  constructor(options: HostOptions) {
    this.options = options;
  }

  async start(): Promise<number> {
    const { partitions, memtableEvents, indexMemoryBytes } = this.options;
    this.store = openRunStore(this.disk, memtableEvents, this.log, {
      partitions,
      schedules: true,
      clock: Date.now,
      cacheBytes: 64 * KiB,
      indexMemoryBytes,
    });
    this.door = new RespDoor({
      store: this.store,
      server: new ServerInfo({ version: "0.0.0", settings: new Map() }),
      log: (line) => void this.log.push(line),
      crash(error) {
        throw error;
      },
    });
    return Number(this.door.listen({ host: "127.0.0.1", port: 0 }).split(":").at(-1));
  }

  async stop(): Promise<void> {
    await this.door?.stop();
    await this.store?.stop();
  }

  async kill(): Promise<void> {
    this.disk.kill();
    await this.door?.stop();
    this.store?.close();
  }
}

describe("random commands, restarts and kills agree with the model", () => {
  const cases: readonly HostOptions[] = [
    { partitions: 1, memtableEvents: 3, indexMemoryBytes: 4 * 64 },
    { partitions: 4, memtableEvents: 7, indexMemoryBytes: 64 * KiB },
    { partitions: 65_536, memtableEvents: 5, indexMemoryBytes: 0 },
  ];
  for (const options of cases) {
    const { partitions, memtableEvents } = options;
    test(
      `over ${partitions} partitions with ${memtableEvents} events a memtable (seed ${SEED}, ${RUNS} stores)`,
      async () => {
        let runsMade = 0;
        await fc.assert(
          fc.asyncProperty(
            fc.array(stepOf(partitions), {
              minLength: 1,
              maxLength: COMMANDS_PER_RUN,
              size: "max",
            }),
            async (steps) => {
              const host = new InProcessHost(options);
              const subject = await Subject.start(host, partitions);
              try {
                for (const each of steps) await subject.take(each);
                await subject.readEverything();
                await subject.take({ do: "restart", by: "stop" });
                await subject.take({ do: "restart", by: "kill" });
                await subject.readEverything();
                runsMade += indexFiles(host.disk).size;
                expectNoStray(host.disk);
                expect(host.log.filter((line) => line.includes("again"))).toEqual([]);
              } finally {
                await subject.end();
              }
            },
          ),
          { seed: SEED, numRuns: RUNS },
        );
        expect(runsMade).toBeGreaterThan(RUNS);
      },
      TIMEOUT_MS,
    );
  }
});

test("a stream's default key, given for a whole transaction, is no key of its own, before a restart as after it", async () => {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const log: string[] = [];
  const store = openRunStore(disk, 4, log);
  for (let i = 0; i < 4; i++) await append(store, [{ stream: "a", name: "Opened" }]);
  // The run of these is made from memory; that of the next two after a restart, from what the log says.
  const events = [
    { stream: "a", name: "Changed" },
    { stream: "b", name: "Changed" },
  ];
  await append(store, events, uuidV5("a", KEY_NAMESPACE));
  expect(indexFiles(disk).size).toBe(1);
  disk.kill();
  const second = openRunStore(disk, 4, log);
  while (second.memoryFigures().runCount < 3) {
    await append(second, [{ stream: "a", name: "Opened" }]);
  }
  for (let i = 0; i < 8; i++) await append(second, [{ stream: "b", name: "Opened" }]);
  expect(log.filter((line) => line.startsWith("index:"))).toEqual([]);
  expect(indexFiles(disk).size).toBeLessThan(3);
  expect(readEverything(second, eventsOf(second))).toEqual([]);
});

describe("over the wire", () => {
  test("a page that is damaged in the midst of a scan gives one error reply, and the connection goes on", async () => {
    const host = new InProcessHost({ indexMemoryBytes: 0, partitions: 4, memtableEvents: 700 });
    let client = await RespClient.connect3(await host.start());
    const events = Array.from({ length: 50 }, () => ["long", "Changed"]).flat();
    for (let i = 0; i < 16; i++) await client.value("EMAPPEND", "*", ...events);
    const [name, bytes] = [...indexFiles(host.disk)][0] as [string, Uint8Array];
    // The second page of the streams' places, which are the third part.
    const page = Number(new DataView(bytes.buffer).getBigUint64(112 + 2 * 16, true)) + 1;
    const path = `/data/index/${name}`;
    host.disk.flipBit(path, page * 4_096 * 8 + 5);
    const wanted = `CORRUPT the index in ${path} at offset ${page * 4_096} is damaged`;
    expect(await client.error("ESCAN", "long", "-", "+")).toContain(wanted);
    expect(await client.error("ESCAN", "long", "-", "+", "NAME", "Changed")).toContain(wanted);
    expect(await client.error("ESCAN", "long", "600", "+", "REV")).toContain(wanted);
    expect(await client.value("PING")).toBe("PONG");
    expect(await client.events("ESCAN", "long", "0", "400")).toHaveLength(401);
    expect((await client.events("ELOG", "-", "+")).length).toBe(800);
    expect(await client.value("ESVER", "long")).toBe(799);
    expect(await client.value("EAPPEND", "long", "Changed")).toMatchObject({ stream_version: 800 });
    expect(host.log.filter((line) => line.includes(path))).toHaveLength(1);
    client.close();
    await host.kill();
    client = await RespClient.connect3(await host.start());
    expect(await client.events("ESCAN", "long", "-", "+")).toHaveLength(801);
    client.close();
    await host.stop();
  });

  test("INFO tells of runs, and READONLY and INFO of a disk that does not take them", async () => {
    const host = new InProcessHost({ indexMemoryBytes: 0, partitions: 4, memtableEvents: 5 });
    const client = await RespClient.connect3(await host.start());
    host.disk.fail({ kind: "create", code: "ENOSPC", path: "/index", times: Infinity });
    const replies = await client.pipeline(
      Array.from({ length: 30 }, () => ["EAPPEND", "user-1", "Changed"]),
    );
    expect(replies.filter(({ kind }) => kind === "%")).toHaveLength(20);
    const refusal = replies.find(({ kind }) => kind === "-");
    expect(refusal).toMatchObject({
      text: expect.stringContaining(
        "READONLY nothing was written: the index cannot be written: ENOSPC",
      ),
    });
    const info = async (): Promise<string> => String(await client.value("INFO", "cairn"));
    expect(await info()).toContain("read_only:yes");
    expect(await info()).toContain("index_failure:ENOSPC");
    expect(await client.events("ESCAN", "user-1", "-", "+")).toHaveLength(20);
    host.disk.heal();
    // Nobody appends: asking is enough.
    await until(async () => (await info()).includes("read_only:no"), "it is written again");
    expect(await info()).toMatch(/index_runs:[1-9]/);
    expect(await info()).toMatch(/index_disk_bytes:[1-9]/);
    expect(await client.value("EAPPEND", "user-1", "Changed")).toMatchObject({
      stream_version: 20,
    });
    client.close();
    await host.stop();
  });
});

/** A command of a pipeline, as a list of arguments. */
type Sent = readonly string[];

/** Appends of few streams, some with an id of their own that others had before, and what else a client may send between. */
function mixedPipeline(random: Random, ids: string[], count: number): Sent[] {
  return Array.from({ length: count }, (): Sent => {
    const stream = `stream-${random.below(60)}`;
    if (random.chance(0.1))
      return random.pick([["PING"], ["ESVER", stream], ["EAPPEND"], ["NONE"]]);
    const options: string[] = [];
    if (random.chance(0.3)) options.push("PAYLOAD", "EVENT_ID".repeat(random.below(4)));
    if (random.chance(0.5)) {
      const id =
        random.chance(0.3) && ids.length > 0
          ? random.pick(ids)
          : uuidV5(`${ids.length}`, KEY_NAMESPACE);
      ids.push(id);
      options.push(
        random.pick(["EVENT_ID", "event_id"]),
        random.chance(0.2) ? id.toUpperCase() : id,
      );
    }
    return [random.pick(["EAPPEND", "eappend"]), stream, "Changed", ...options];
  });
}

/** An answer without the time and the id that differ from store to store. */
function comparable(reply: Frame): string {
  return JSON.stringify(plain(reply), (name, value) =>
    name === "timestamp" || name === "event_id" ? undefined : value,
  );
}

describe("what a pipeline asks for is loaded ahead", () => {
  test(`and changes no answer (seed ${SEED})`, async () => {
    const options = { indexMemoryBytes: 64 * KiB, partitions: 4, memtableEvents: 40 };
    const hosts = [new InProcessHost(options), new InProcessHost(options)];
    const clients = [];
    for (const host of hosts) clients.push(await RespClient.connect3(await host.start()));
    const [together, apart] = clients as [RespClient, RespClient];
    const random = new Random(SEED);
    const ids: string[] = [];
    for (let round = 0; round < 12; round++) {
      const sent = mixedPipeline(random, ids, random.between(2, 150));
      const answers = (await together.pipeline(sent)).map(comparable);
      const others: string[] = [];
      for (const command of sent)
        others.push(comparable((await apart.pipeline([command]))[0] as Frame));
      expect(answers).toEqual(others);
    }
    expect(indexFiles(hosts[0]?.disk as SimulatedDisk).size).toBeGreaterThan(0);
    for (const client of clients) client.close();
    for (const host of hosts) await host.stop();
  });

  test(`and bytes that are no requests are passed over (seed ${SEED})`, async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, 8);
    for (let i = 0; i < 20; i++) await append(store, [{ stream: "a", name: "Opened" }]);
    expect(store.memoryFigures().runCount).toBeGreaterThan(0);
    const random = new Random(SEED);
    const ids: string[] = [];
    for (let round = 0; round < 3_000; round++) {
      const requests = mixedPipeline(random, ids, 4).map((sent) => encode(sent));
      const bytes = Buffer.concat([...requests, Buffer.from(random.pick(ODD_LINES))]);
      for (let i = random.below(4); i > 0; i--)
        bytes[random.below(bytes.length)] = random.below(256);
      const start = store.input(bytes.length);
      store.core.memory.set(bytes, start);
      store.lookAhead(start, start + random.between(0, bytes.length));
    }
    expect(streamVersion(store, "a")).toBe(19);
    await store.stop();
  });
});

/** What lengths must not lead astray. */
const ODD_LINES = [
  "*2\r\n$999999999\r\n",
  "*999999999\r\n$0\r\n\r\n",
  "*1\r\n$4294967295\r\nx",
  "*-1\r\n",
  "*3",
  "$",
];

/** A quarter is for heads: room for 64 streams. */
const FEW_HEADS_MEMORY_BYTES = 4 * KiB;

/** Of a few more than there is room for, some have no head, but not all that hold heads are full. */
test.each([40, 66, 70, 300])(
  "each of %i streams keeps its versions, whether or not memory has room for the heads of all",
  async (streams) => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, 8, [], { indexMemoryBytes: FEW_HEADS_MEMORY_BYTES });
    const random = new Random(SEED);
    const versions = new Map<string, number>();
    for (let i = 0; i < streams * 6; i++) {
      const stream = `stream-${random.below(streams)}`;
      const expectedVersion = versions.get(stream) ?? "empty";
      const { events } = await append(store, [{ stream, name: "Changed", expectedVersion }]);
      versions.set(stream, events[0]?.streamVersion as number);
    }
    for (const [stream, version] of versions) expect(streamVersion(store, stream)).toBe(version);
    await store.stop();
  },
);

describe("filters", () => {
  const options = {
    indexMemoryBytes: 1_140_000, // hardly more than memtables and heads take at the least
    segmentBytes: MiB,
  };
  const { filterBytes } = divideIndexMemory(options.indexMemoryBytes);

  /** Appends 40,000 events of as many streams, and gives the filters' bytes after each step, and the index's files. */
  async function fillMuch(store: EventStore, disk: SimulatedDisk) {
    const held: number[] = [];
    const files = new Map<string, Uint8Array>();
    for (let i = 0; i < 200; i++) {
      const events = Array.from({ length: 200 }, (_, k) => ({ stream: `${i}-${k}`, name: "E" }));
      await append(store, events, KEY_NAMESPACE);
      held.push(store.memoryFigures().filterBytes);
      for (const [name, bytes] of indexFiles(disk)) files.set(name, bytes);
    }
    await until(() => store.memoryFigures().jobCount === 0, "no runs are made any more");
    held.push(store.memoryFigures().filterBytes);
    return { held, files };
  }

  test("of merged runs stay within what they may take", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, 1_000, [], options);
    const { held } = await fillMuch(store, disk);
    expect(Math.max(...held)).toBeGreaterThan(filterBytes / 2); // it is not for want of events
    expect(Math.max(...held)).toBeLessThanOrEqual(filterBytes);
    await store.stop();
  });

  test("of a start are not fewer for runs that were merged already", async () => {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const store = openRunStore(disk, 1_000, [], options);
    const { files } = await fillMuch(store, disk);
    await store.stop();
    const image = new Map(disk.image());
    const start = async (image: ReadonlyMap<string, Uint8Array>): Promise<number> => {
      const again = SimulatedDisk.fromImage(image, { random: new Random(SEED) });
      const store = openRunStore(again, 1_000, [], options);
      const bytes = store.memoryFigures().filterBytes;
      await store.stop();
      return bytes;
    };
    const right = await start(image);
    // A crash came before what was merged was removed.
    for (const [name, bytes] of files) {
      if (name.endsWith(".run")) image.set(`${INDEX_FOLDER}/${name}`, bytes);
    }
    expect(image.size).toBeGreaterThan(disk.image().size);
    expect(await start(image)).toBe(right);
  });
});

describe("a start", () => {
  const MADE = /^index: made from the log for (\d+) events in \d+\.\d s, \d+ events\/s$/;

  /** What starts after a kill said, each after `spoil` was done to the disk; `stepMs` is what each look at the clock takes. */
  async function startLines(
    events: number,
    segmentBytes: number,
    memtableEvents: number,
    spoil: (disk: SimulatedDisk) => void,
    stepMs = 0,
  ): Promise<string[]> {
    const disk = new SimulatedDisk({ random: new Random(SEED) });
    const payload = new Uint8Array(500);
    const store = openRunStore(disk, memtableEvents, [], { segmentBytes });
    for (let i = 0; i < events; i++) {
      await append(store, [{ stream: "user-1", name: "Changed", payload }]);
    }
    disk.kill();
    spoil(disk);
    let nowMs = 0;
    vi.spyOn(performance, "now").mockImplementation(() => (nowMs += stepMs));
    try {
      const log: string[] = [];
      const again = openRunStore(disk, 10, log, { segmentBytes });
      expect(again.lastPosition()).toBe(events - 1);
      return log;
    } finally {
      vi.restoreAllMocks();
    }
  }

  function removeRuns(disk: SimulatedDisk): void {
    const view = disk.boot();
    for (const name of indexFiles(disk).keys()) view.remove(`/data/index/${name}`);
    view.syncFolder("/data/index");
  }

  const progress = (log: readonly string[]) =>
    log.filter((line) => /^reading the log: \d+ %, \d+ events$/.test(line));
  const made = (log: readonly string[]) =>
    log.flatMap((line) => Number(MADE.exec(line)?.[1] ?? Number.NaN)).filter(Number.isFinite);

  test("that makes the index again tells how far it is, and what it made", async () => {
    const log = await startLines(60, 8 * KiB, 1_000_000, () => {}, 400);
    expect(progress(log).length).toBeGreaterThan(1);
    expect(made(log)).toEqual([60]);
  });

  test("that makes the index of a single segment again tells it too, and how far it is where that takes long", async () => {
    const log = await startLines(60, 16 * MiB, 20, removeRuns);
    expect(made(log)).toEqual([60]);
    expect(progress(log)).toEqual([]);
    const slow = await startLines(60, 16 * MiB, 20, removeRuns, 1_500);
    expect(made(slow)).toEqual([60]);
    expect(progress(slow).length).toBeGreaterThan(0);
  });

  test("that makes again what one damaged run had tells of how many events", async () => {
    const log = await startLines(60, 16 * MiB, 20, (disk) => {
      const last = [...indexFiles(disk).keys()].sort().at(-1) as string;
      disk.flipBit(`/data/index/${last}`, 9);
    });
    expect(log.filter((line) => line.includes("is made again from the log"))).toHaveLength(1);
    expect(made(log)).toEqual([40]);
  });

  test("that reads what no run was made of yet tells nothing", async () => {
    expect(await startLines(60, 16 * MiB, 20, () => {})).toEqual([]);
  });
});
