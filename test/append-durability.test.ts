/**
 * When an answer may be told: no append's before its sync has returned, and nothing that depends on it either.
 *
 * The RESP door runs in this process over the simulated disk, whose syncs are held back, failed or left without
 * room, and clients speak to it through sockets. What waits is told from what was only not read yet by asking
 * something that is answered at once behind it, on another connection.
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { ServerInfo } from "../server/commands/server-info.ts";
import { KiB, MiB } from "../server/limits.ts";
import type { SyncPlace } from "../server/log/local/local-log.ts";
import { Connection } from "../server/resp/connection.ts";
import { RespDoor } from "../server/resp/door.ts";
import { EventStore } from "../server/store/event-store.ts";
import type { Durability } from "../server/store/store-options.ts";
import { Random } from "./support/random.ts";
import { encode, type Frame, plain, RespClient, type Word } from "./support/resp-client.ts";
import { until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { readAll } from "./support/store-driver.ts";

const FOLDER = "/data";
const ID = "018f0000-0000-4000-8000-00000000000";

const UNCERTAIN =
  "UNCERTAIN the log failed while this was written: it may or may not be there after a restart; repeat it with the same EVENT_ID";
const FENCED = /^READONLY nothing was written: the log failed.*restart the server/;

/** A store and its RESP door in this process, and the clients of them. */
class World {
  readonly log: string[] = [];
  readonly disk: SimulatedDisk;
  store!: EventStore;
  server!: ServerInfo;
  private door!: RespDoor;
  private port = 0;
  private clients: RespClient[] = [];
  /** How far the wall clock is off. */
  clockShiftMs = 0;
  private readonly options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.disk = new SimulatedDisk({ random: new Random(1) });
    this.start();
  }

  start(): void {
    const log = (line: string): void => void this.log.push(line);
    this.store = EventStore.open({
      disk: this.disk.boot(),
      folder: FOLDER,
      partitions: 4,
      segmentBytes: this.options.segmentBytes ?? MiB,
      durability: this.options.durability ?? "fsync",
      strict: false,
      clock: () => Date.now() + this.clockShiftMs,
      random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
      log,
      syncPlace: this.options.syncPlace ?? "thread",
    });
    this.server = new ServerInfo({ version: "0.0.0", settings: new Map() });
    const address = { host: "127.0.0.1", port: 0 };
    this.door = new RespDoor({
      store: this.store,
      server: this.server,
      log,
      crash(error) {
        throw error;
      },
    });
    this.port = Number(this.door.listen(address).split(":").at(-1));
  }

  async client(): Promise<RespClient> {
    const client = await RespClient.connect3(this.port);
    this.clients.push(client);
    return client;
  }

  /** Holds back syncs from now on, and does what it is given; returns when a batch waits for its sync. */
  async holding(act: () => void): Promise<void> {
    this.disk.holdSyncs = true;
    act();
    await until(() => this.store.core.exports.getFlightLength() > 0, "a batch is in flight");
    await until(() => this.disk.heldSyncCount > 0, "its sync is held back");
  }

  /**
   * Returns when the server has run `count` requests more than `before`, and what it told has come: a request
   * that goes through the same loop behind them is answered.
   */
  async ran(before: number, count: number, witness: RespClient): Promise<void> {
    await until(() => this.server.commandsProcessed >= before + count, `${count} requests ran`);
    for (let i = 0; i < 3; i++) expect(await witness.value("PING")).toBe("PONG");
  }

  release(): void {
    this.disk.holdSyncs = false;
    this.disk.releaseSyncs();
  }

  /** Stops as SIGTERM does: the door first, then the store. */
  async stop(): Promise<void> {
    await this.door.stop();
    await this.store.stop();
  }

  /** Ends the process and starts another one on the same disk. */
  async restart(): Promise<void> {
    for (const client of this.clients.splice(0)) client.close();
    await this.door.stop();
    this.disk.kill();
    this.disk.holdSyncs = false;
    this.store.close();
    this.start();
  }

  /** Ends what a test left, whatever state that is in. */
  async end(): Promise<void> {
    for (const client of this.clients.splice(0)) client.close();
    await this.door.stop();
    this.disk.kill();
    this.store.close();
  }
}

interface WorldOptions {
  readonly syncPlace?: SyncPlace;
  readonly durability?: Durability;
  readonly segmentBytes?: number;
}

const worlds: World[] = [];

function world(options: WorldOptions = {}): World {
  const made = new World(options);
  worlds.push(made);
  return made;
}

afterEach(async () => {
  for (const made of worlds.splice(0)) await made.end();
});

/** A reply that was asked for, and whether it has come. */
class Asked {
  frame: Frame | null = null;
  readonly reply: Promise<Frame>;

  constructor(client: RespClient, ...words: Word[]) {
    this.reply = client.command(...words).then((frame) => {
      this.frame = frame;
      return frame;
    });
    this.reply.catch(() => undefined); // a test that ends before its answer closes the connection
  }

  async error(): Promise<string> {
    const frame = await this.reply;
    if (frame.kind !== "-") throw new Error(`not an error: ${JSON.stringify(plain(frame))}`);
    return frame.text;
  }
}

describe.each(["thread", "measured", "loop"] as const)("syncs placed %s", (syncPlace) => {
  test("appends of several connections are answered and read back, over restarts", async () => {
    const made = world({ syncPlace });
    const clients = [await made.client(), await made.client(), await made.client()];
    const appends = clients.flatMap((client, c) =>
      [0, 1, 2, 3].map((n) => client.map("EAPPEND", `s-${c}`, "E", "PAYLOAD", `${n}`)),
    );
    const versions = (await Promise.all(appends)).map((answer) => answer.stream_version);
    expect(versions).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    await made.restart();
    const client = await made.client();
    for (let c = 0; c < clients.length; c++) {
      const events = await client.events("ESCAN", `s-${c}`, "-", "+");
      expect(events.map((event) => event.payload)).toEqual(["0", "1", "2", "3"]);
    }
  });

  test("a sync that fails: UNCERTAIN, then READONLY, and reads go on", async () => {
    const made = world({ syncPlace });
    const client = await made.client();
    await client.map("EAPPEND", "s", "A");
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    expect(await client.error("EAPPEND", "s", "B", "EVENT_ID", `${ID}1`)).toBe(UNCERTAIN);
    await expectFenced(made, client);
  });

  test("a write that fails: UNCERTAIN, then READONLY, and reads go on", async () => {
    const made = world({ syncPlace });
    const client = await made.client();
    await client.map("EAPPEND", "s", "A");
    made.disk.fail({ kind: "write", code: "EIO", path: ".seg" });
    expect(await client.error("EAPPEND", "s", "B", "EVENT_ID", `${ID}1`)).toBe(UNCERTAIN);
    await expectFenced(made, client);
  });
});

/** Stream `s` shows its first event alone and takes no other; a restart mends that, and one answer is given for ID 1. */
async function expectFenced(made: World, client: RespClient): Promise<void> {
  const other = await made.client();
  for (const reader of [client, other]) {
    expect(await reader.error("EAPPEND", "s", "C")).toMatch(FENCED);
    expect(await reader.error("EMAPPEND", "*", "s", "C", "t", "D")).toMatch(FENCED);
    expect(await reader.value("ESVER", "s")).toBe(0);
    expect(await reader.value("EGET", `${ID}1`)).toBe(null);
    expect(await reader.events("ESCAN", "s", "-", "+")).toMatchObject([{ event_name: "A" }]);
  }
  expect(made.store.readOnlyReason()).toMatch(/the log failed \(EIO.*restart the server/);
  expect(made.log.filter((line) => line.startsWith("read-only: the log failed"))).toHaveLength(1);

  await made.restart();
  const after = await made.client();
  expect(made.store.readOnlyReason()).toBe(null);
  const answer = await after.map("EAPPEND", "s", "B", "EVENT_ID", `${ID}1`);
  expect(answer).toMatchObject({ stream_version: 1, event_id: `${ID}1` });
  expect(await after.map("EAPPEND", "s", "B", "EVENT_ID", `${ID}1`)).toEqual(answer);
  const events = await after.events("ESCAN", "s", "-", "+");
  expect(events.map((event) => event.event_name)).toEqual(["A", "B"]);
}

describe("while a sync is held back", () => {
  test("no append is answered, on any connection; all are when it returns", async () => {
    const made = world();
    const one = await made.client();
    const other = await made.client();
    const witness = await made.client();
    const before = made.server.commandsProcessed;
    const asked: Asked[] = [];
    await made.holding(() => asked.push(new Asked(one, "EAPPEND", "s", "A")));
    asked.push(new Asked(one, "EAPPEND", "s", "B"));
    asked.push(new Asked(other, "EMAPPEND", "*", "t", "C", "u", "D"));
    await made.ran(before, 3, witness);
    expect(asked.map(({ frame }) => frame)).toEqual([null, null, null]);
    made.release();
    for (const { reply } of asked) expect((await reply).kind).toBe("%");
  });

  test("the batch behind it waits for its own sync", async () => {
    const made = world();
    const client = await made.client();
    const witness = await made.client();
    const before = made.server.commandsProcessed;
    let first: Asked | null = null;
    await made.holding(() => {
      first = new Asked(client, "EAPPEND", "s", "A");
    });
    const second = new Asked(client, "EAPPEND", "s", "B");
    await made.ran(before, 2, witness);
    made.disk.releaseSyncs(); // the first batch's, while the next one is held again
    await (first as unknown as Asked).reply;
    await until(() => made.disk.heldSyncCount > 0, "the second batch's sync is held back");
    await made.ran(before, 2, witness);
    expect(second.frame).toBe(null);
    expect(await witness.value("ESVER", "s")).toBe(0);
    made.release();
    expect(plain(await second.reply)).toMatchObject({ stream_version: 1 });
  });

  test("what a batch settles is one write to each connection's socket", async () => {
    const made = world();
    const clients = [await made.client(), await made.client(), await made.client()];
    const before = made.server.commandsProcessed;
    await made.holding(() => new Asked(clients[0] as RespClient, "EAPPEND", "s", "A"));
    const asked = clients
      .slice(1)
      .flatMap((client) => [
        new Asked(client, "EAPPEND", "s", "B"),
        new Asked(client, "PING"),
        new Asked(client, "EMAPPEND", "*", "s", "C", "t", "D"),
      ]);
    await until(() => made.server.commandsProcessed >= before + 7, "all requests ran");
    const sends = vi.spyOn(Connection.prototype, "send");
    try {
      made.release();
      for (const { reply } of asked) expect((await reply).kind).not.toBe("-");
      expect(sends).toHaveBeenCalledTimes(clients.length);
    } finally {
      sends.mockRestore();
    }
  });

  test("another connection's reads are answered at once, with the durable events alone", async () => {
    const made = world();
    const writer = await made.client();
    const reader = await made.client();
    const durable = await writer.map("EAPPEND", "s", "A");
    const partition = durable.partition_id as number;
    let append: Asked | null = null;
    await made.holding(() => {
      append = new Asked(writer, "EMAPPEND", "*", "s", "B", "EVENT_ID", `${ID}1`, "new", "N");
    });

    expect(await reader.value("ESVER", "s")).toBe(0);
    expect(await reader.value("ESVER", "new")).toBe(null);
    expect(await reader.value("EGET", `${ID}1`)).toBe(null);
    expect(await reader.value("EPSEQ", partition)).toBe(0);
    expect(await reader.value("DBSIZE")).toBe(1);
    const scan = await reader.map("ESCAN", "s", "-", "+");
    expect(scan).toMatchObject({ has_more: false, events: [{ event_name: "A" }] });
    expect(await reader.events("EPSCAN", partition, "-", "+")).toHaveLength(1);
    expect((append as unknown as Asked).frame).toBe(null);

    made.release();
    await (append as unknown as Asked).reply;
    expect(await reader.value("ESVER", "s")).toBe(1);
    expect(await reader.value("ESVER", "new")).toBe(0);
    expect(await reader.map("EGET", `${ID}1`)).toMatchObject({ stream_version: 1 });
  });

  test("the same connection's reads follow its appends, and its other replies keep their place", async () => {
    const made = world();
    const client = await made.client();
    const witness = await made.client();
    const before = made.server.commandsProcessed;
    let append: Asked | null = null;
    await made.holding(() => {
      append = new Asked(client, "EAPPEND", "s", "A");
    });
    const behind = [
      new Asked(client, "PING", "1"),
      new Asked(client, "NOSUCH"),
      new Asked(client, "ESVER", "s"),
      new Asked(client, "PING", "2"),
    ];
    await made.ran(before, 3, witness);
    expect(behind.map(({ frame }) => frame)).toEqual([null, null, null, null]);
    made.release();
    await (append as unknown as Asked).reply;
    expect(plain(await (behind[0] as Asked).reply)).toBe("1");
    expect(await (behind[1] as Asked).error()).toMatch(/^(ERR|INVALIDARG) unknown command/);
    expect(plain(await (behind[2] as Asked).reply)).toBe(0);
    expect(plain(await (behind[3] as Asked).reply)).toBe("2");
  });

  test("an error that an unsynced event causes waits for it", async () => {
    const made = world();
    const writer = await made.client();
    const other = await made.client();
    const witness = await made.client();
    const before = made.server.commandsProcessed;
    await made.holding(() => new Asked(writer, "EAPPEND", "s", "A", "EVENT_ID", `${ID}1`));
    const refused = [
      new Asked(other, "EAPPEND", "s", "B", "EXPECTED_VERSION", "empty"),
      new Asked(other, "EAPPEND", "s", "B", "EVENT_ID", `${ID}1`),
      new Asked(other, "EAPPEND", "s", "B", "PARTITION_KEY", "another"),
    ];
    await made.ran(before, 4, witness);
    expect(refused.map(({ frame }) => frame)).toEqual([null, null, null]);
    made.release();
    expect(await (refused[0] as Asked).error()).toMatch(
      /^WRONGVER .*version is 0 but expected empty/,
    );
    expect(await (refused[1] as Asked).error()).toMatch(/^DUPLICATE .*stream s version 0/);
    expect(await (refused[2] as Asked).error()).toMatch(/^WRONGKEY stream s has/);
  });

  test("a repeat of the append waits with it, and gets its answer", async () => {
    const made = world();
    const one = await made.client();
    const other = await made.client();
    const witness = await made.client();
    const before = made.server.commandsProcessed;
    const words = ["EAPPEND", "s", "A", "EVENT_ID", `${ID}1`, "PAYLOAD", "p"];
    const asked: Asked[] = [];
    await made.holding(() => asked.push(new Asked(one, ...words)));
    asked.push(new Asked(other, ...words), new Asked(one, ...words));
    await made.ran(before, 3, witness);
    expect(asked.map(({ frame }) => frame)).toEqual([null, null, null]);
    made.release();
    const [first, ...repeats] = await Promise.all(asked.map(({ reply }) => reply));
    for (const repeat of repeats) expect(repeat).toEqual(first);
    expect(await one.value("ESVER", "s")).toBe(0);
  });

  test("a repeat of a durable append is answered at once", async () => {
    const made = world();
    const one = await made.client();
    const other = await made.client();
    const words = ["EAPPEND", "s", "A", "EVENT_ID", `${ID}1`];
    const first = await one.map(...words);
    let append: Asked | null = null;
    await made.holding(() => {
      append = new Asked(one, "EAPPEND", "s", "B");
    });
    expect(await other.map(...words)).toEqual(first);
    expect((append as unknown as Asked).frame).toBe(null);
    made.release();
  });

  test("a stop waits for it: what was asked is answered, and nothing is missing afterwards", async () => {
    const made = world();
    const client = await made.client();
    const asked: Asked[] = [];
    await made.holding(() => asked.push(new Asked(client, "EAPPEND", "s", "A")));
    const before = made.server.commandsProcessed;
    asked.push(new Asked(client, "EAPPEND", "s", "B"));
    await until(() => made.server.commandsProcessed > before, "the second append ran");
    const stopped = made.stop();
    made.release();
    await stopped;
    for (const { reply } of asked) expect((await reply).kind).toBe("%");
    await client.closed;
    made.log.length = 0;
    made.disk.crash();
    made.start();
    expect(made.log).toEqual([]);
    expect(readAll(made.store).map((event) => event.eventName)).toEqual(["A", "B"]);
  });
});

describe("a sync that fails while others wait", () => {
  test("in flight UNCERTAIN, repeats too; unwritten and dependent READONLY; other replies in their place", async () => {
    const made = world();
    const one = await made.client();
    const other = await made.client();
    const before = made.server.commandsProcessed;
    await one.map("EAPPEND", "s", "A");
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    const flight: Asked[] = [];
    await made.holding(() =>
      flight.push(new Asked(one, "EAPPEND", "s", "B", "EVENT_ID", `${ID}1`)),
    );
    const repeat = new Asked(other, "EAPPEND", "s", "B", "EVENT_ID", `${ID}1`);
    const refusal = new Asked(other, "EAPPEND", "s", "X", "EXPECTED_VERSION", 0);
    const pingOfOne = new Asked(one, "PING", "one");
    const unwritten = new Asked(one, "EAPPEND", "s", "C", "EVENT_ID", `${ID}2`);
    const dependent = new Asked(one, "EAPPEND", "s", "X", "EXPECTED_VERSION", 1);
    await until(() => made.server.commandsProcessed >= before + 6, "all these ran");
    const repeatOfUnwritten = new Asked(other, "EAPPEND", "s", "C", "EVENT_ID", `${ID}2`);
    const pingOfOther = new Asked(other, "PING", "other");
    const readOfOne = new Asked(one, "ESVER", "s");
    const readOfOther = new Asked(other, "ESCAN", "s", "-", "+");
    await until(() => made.server.commandsProcessed >= before + 9, "all but the reads ran");
    made.release();

    expect(await (flight[0] as Asked).error()).toBe(UNCERTAIN);
    expect(await repeat.error()).toBe(UNCERTAIN);
    expect(await refusal.error()).toMatch(FENCED);
    expect(plain(await pingOfOne.reply)).toBe("one");
    expect(await unwritten.error()).toMatch(FENCED);
    expect(await dependent.error()).toMatch(FENCED);
    expect(await repeatOfUnwritten.error()).toBe(UNCERTAIN); // as much as a repeat is told of any
    expect(plain(await pingOfOther.reply)).toBe("other");
    expect(plain(await readOfOne.reply)).toBe(0);
    expect((await readOfOther.reply).kind).toBe("%");
    await expectFenced(made, one);
  });

  test("what was told READONLY is not there after a restart", async () => {
    const made = world();
    const client = await made.client();
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    await made.holding(() => new Asked(client, "EAPPEND", "s", "A"));
    const before = made.server.commandsProcessed;
    const unwritten = new Asked(client, "EAPPEND", "s", "B");
    await until(() => made.server.commandsProcessed > before, "the second append ran");
    made.release();
    expect(await unwritten.error()).toMatch(FENCED);
    await made.restart();
    const names = readAll(made.store).map((event) => event.eventName);
    expect(names).not.toContain("B");
  });

  test("a client that has sent its last byte is answered, and its connection ends", async () => {
    const made = world();
    const client = await made.client();
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    await made.holding(() => {
      client.send(Buffer.concat([encode(["EAPPEND", "s", "A"]), encode(["ESVER", "s"])]));
      client.endSending();
    });
    made.release();
    expect(await client.reply()).toEqual({ kind: "-", text: UNCERTAIN });
    expect(plain(await client.reply())).toBe(null);
    await client.closed;
  });

  test("a stop goes on in order", async () => {
    const made = world();
    const client = await made.client();
    await client.map("EAPPEND", "s", "A");
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    expect(await client.error("EAPPEND", "s", "B")).toBe(UNCERTAIN);
    await made.stop();
    await client.closed;
  });
});

describe("a disk without room for the next segment", () => {
  const PAYLOAD = "p".repeat(8 * KiB);

  /** Fills the first segment of a store whose disk has no room for another; returns the refusal. */
  async function fill(made: World, client: RespClient): Promise<string> {
    const size = [...made.disk.image().values()].reduce((sum, bytes) => sum + bytes.length, 0);
    made.disk.capacityBytes = size;
    for (;;) {
      const reply = await client.command("EAPPEND", "s", "E", "PAYLOAD", PAYLOAD);
      if (reply.kind === "-") return reply.text;
    }
  }

  test("READONLY that says why, reads go on, and appends resume by themselves", async () => {
    const made = world({ segmentBytes: 64 * KiB });
    const client = await made.client();
    const refusal = await fill(made, client);
    expect(refusal).toMatch(/^READONLY nothing was written: no room for the next segment: ENOSPC/);
    const version = (await client.value("ESVER", "s")) as number;
    expect(await client.events("ESCAN", "s", "-", "+")).toHaveLength(version + 1);
    expect(made.store.readOnlyReason()).toMatch(/^no room for the next segment: ENOSPC/);
    expect(await client.error("EAPPEND", "t", "E", "PAYLOAD", PAYLOAD)).toBe(refusal);

    made.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    await until(
      async () => (await client.command("EAPPEND", "s", "Last", "PAYLOAD", PAYLOAD)).kind === "%",
      "appends go on",
    );
    expect(made.store.readOnlyReason()).toBe(null);
    expect(made.log.at(-1)).toBe("the disk has room again: appends go on");
    await made.restart();
    const events = await (await made.client()).events("ESCAN", "s", "-", "+");
    expect(events).toHaveLength(version + 2);
    expect(events.at(-1)).toMatchObject({ event_name: "Last" });
  });

  test("a check for readiness alone finds that there is room again", async () => {
    const made = world({ segmentBytes: 64 * KiB });
    await fill(made, await made.client());
    expect(made.store.readOnlyReason()).not.toBe(null);
    made.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    await until(() => made.store.readOnlyReason() === null, "the store is ready");
  });

  test("appends resume though the wall clock was set back meanwhile", async () => {
    const made = world({ segmentBytes: 64 * KiB });
    const client = await made.client();
    await fill(made, client);
    made.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    made.clockShiftMs = -3_600_000;
    const reply = await client.command("EAPPEND", "s", "Last", "PAYLOAD", PAYLOAD);
    expect(reply.kind).toBe("%");
  });

  test("a transaction too large for an empty store's segment waits for room, and takes nothing from it", async () => {
    const made = world({ segmentBytes: MiB });
    const client = await made.client();
    const size = (): number =>
      [...made.disk.image().values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const segmentBytes = made.store.diskBytes();
    made.disk.capacityBytes = size();
    const large = "p".repeat(2 * MiB);
    expect(await client.error("EAPPEND", "s", "E", "PAYLOAD", large)).toMatch(
      /^READONLY nothing was written: no room for a longer segment: ENOSPC/,
    );
    await until(() => made.store.readOnlyReason() === null, "smaller ones are taken");
    expect(made.store.diskBytes()).toBe(segmentBytes);
    made.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    expect(await client.map("EAPPEND", "s", "E", "PAYLOAD", large)).toMatchObject({
      stream_version: 0,
    });
    await made.restart();
    expect(readAll(made.store)[0]?.payload).toHaveLength(2 * MiB);
  });

  test("a stop is still orderly, and the store opens on the full disk", async () => {
    const made = world({ segmentBytes: 64 * KiB });
    const client = await made.client();
    await fill(made, client);
    const version = await client.value("ESVER", "s");
    await made.stop();
    made.log.length = 0;
    made.disk.crash();
    made.start();
    expect(made.log).toEqual([]);
    const after = await made.client();
    expect(await after.value("ESVER", "s")).toBe(version);
    expect(await after.error("EAPPEND", "s", "E", "PAYLOAD", PAYLOAD)).toMatch(/^READONLY/);
  });
});

describe("where the sync runs", () => {
  test("moves to a thread while the disk is slow, and comes back", async () => {
    const made = world({ syncPlace: "measured", segmentBytes: 64 * KiB });
    const client = await made.client();
    /** Appends once and tells whether its sync was given to a thread, where it is held back until seen. */
    const runsInThread = async (): Promise<boolean> => {
      made.disk.holdSyncs = true;
      const asked = new Asked(client, "EAPPEND", "s", "E");
      await until(
        () => asked.frame !== null || made.disk.heldSyncCount > 0,
        "the append was synced",
      );
      const isInThread = asked.frame === null;
      made.release();
      await asked.reply;
      return isInThread;
    };
    made.disk.onWrite = (path) => {
      if (path.endsWith(".seg")) busyWait(SLOW_MS);
    };
    await until(runsInThread, "syncs have moved to a thread");
    expect(await runsInThread()).toBe(true);
    made.disk.onWrite = null;
    await until(async () => {
      for (let n = 0; n < APPENDS_PER_AVERAGE; n++) await client.map("EAPPEND", "s", "E");
      return !(await runsInThread());
    }, "syncs have come back");
  });
});

describe("durability os", () => {
  test("an append is answered and shown before any sync, and synced by a stop", async () => {
    const made = world({ durability: "os" });
    const client = await made.client();
    const other = await made.client();
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg", times: Number.POSITIVE_INFINITY });
    expect(await client.map("EAPPEND", "s", "A")).toMatchObject({ stream_version: 0 });
    expect(await other.value("ESVER", "s")).toBe(0);
    made.disk.heal();
    await made.stop();
    made.disk.crash();
    made.start();
    expect(readAll(made.store).map((event) => event.eventName)).toEqual(["A"]);
  });

  test("is synced within its interval without a further append", async () => {
    const made = world({ durability: "os" });
    const client = await made.client();
    await client.map("EAPPEND", "s", "A");
    const syncs = made.disk.calls.sync;
    await until(() => made.disk.calls.sync > syncs, "a sync ran");
  });

  test("a sync that fails later fences the log, and reads go on", async () => {
    const made = world({ durability: "os" });
    const client = await made.client();
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg", times: Number.POSITIVE_INFINITY });
    await client.map("EAPPEND", "s", "A");
    await until(() => made.store.readOnlyReason() !== null, "the log is fenced");
    expect(await client.error("EAPPEND", "s", "B")).toMatch(FENCED);
    expect(await client.value("ESVER", "s")).toBe(0);
  });
});

/** Long beside the bound at which syncs move, which is an average over several. */
const SLOW_MS = 40;

/** Appends after which one that was held back weighs no more. */
const APPENDS_PER_AVERAGE = 64;

/** Takes the thread as a slow disk does. */
function busyWait(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
