/**
 * When an HTTP append is answered: not before its sync, nor is anything that depends on it; and what clients are told
 * where the disk fails, has no room or gives back damage.
 *
 * The routes run in this process over the simulated disk.
 */
import { afterEach, describe, expect, test } from "vitest";
import { CoreTrap, MemoryRefused } from "../server/core/core.ts";
import { HttpApp } from "../server/http/app.ts";
import { storeRoutes } from "../server/http/store-routes.ts";
import { KiB, MiB } from "../server/limits.ts";
import type { SyncPlace } from "../server/log/local/local-log.ts";
import { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import { until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

const ID = "018f0000-0000-4000-8000-000000000001";

interface WorldOptions {
  readonly syncPlace?: SyncPlace;
  readonly segmentBytes?: number;
  readonly cacheBytes?: number;
}

class World {
  readonly disk = new SimulatedDisk({ random: new Random(1) });
  readonly store: EventStore;
  readonly crashes: unknown[] = [];
  private readonly app: HttpApp;

  constructor({ syncPlace = "thread", segmentBytes = MiB, cacheBytes }: WorldOptions) {
    this.store = EventStore.open({
      disk: this.disk.boot(),
      folder: "/data",
      partitions: 4,
      segmentBytes,
      durability: "fsync",
      strict: false,
      clock: Date.now,
      random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
      log: () => {},
      syncPlace,
      ...(cacheBytes === undefined ? {} : { cacheBytes }),
    });
    const { store } = this;
    const crash = (error: unknown): never => {
      this.crashes.push(error);
      throw error;
    };
    this.app = new HttpApp(
      { http: { host: "127.0.0.1", port: 0 }, allowedHosts: [] },
      {
        ready() {
          const reason = store.readOnlyReason();
          return reason === null ? { ready: true } : { ready: false, reason };
        },
        log: () => {},
        ...storeRoutes({ store, version: "0.0.0", crash }),
      },
    );
  }

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { Host: "localhost", ...(init.headers as Record<string, string>) };
    return this.app.respond(new Request(`http://localhost${path}`, { ...init, headers }));
  }

  append(stream: string, body: unknown): Promise<Response> {
    return this.ask(`/v1/streams/${stream}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  /** Asks for an append whose batch is then in flight, its sync held back. */
  async hold(stream: string, body: unknown): Promise<Told> {
    this.disk.holdSyncs = true;
    const told = new Told(this.append(stream, body));
    await until(() => this.disk.heldSyncCount > 0, "a sync is held back");
    return told;
  }

  release(): void {
    this.disk.holdSyncs = false;
    this.disk.releaseSyncs();
  }

  end(): void {
    this.release();
    this.disk.kill();
    this.store.close();
  }
}

/** An answer that was asked for, and whether it has come. */
class Told {
  response: Response | null = null;
  readonly answer: Promise<Response>;

  constructor(answer: Promise<Response>) {
    this.answer = answer.then((response) => {
      this.response = response;
      return response;
    });
  }

  async status(): Promise<number> {
    return (await this.answer).status;
  }

  async problem(): Promise<Record<string, unknown>> {
    return (await (await this.answer).json()) as Record<string, unknown>;
  }
}

const worlds: World[] = [];

function world(options: WorldOptions = {}): World {
  const made = new World(options);
  worlds.push(made);
  return made;
}

afterEach(() => {
  for (const made of worlds.splice(0)) made.end();
});

/** Whatever could have been answered has been. */
async function turns(made: World): Promise<void> {
  for (let i = 0; i < 5; i++) expect((await made.ask("/healthz")).status).toBe(200);
}

describe("while a sync is held back", () => {
  test("neither the append is answered nor its repeat nor a refusal, and reads see nothing", async () => {
    const made = world();
    const event = { event_name: "A", event_id: ID };
    const append = await made.hold("s", event);
    const repeat = new Told(made.append("s", event));
    const refused = new Told(made.append("s", { event_name: "B", expected_version: "empty" }));
    const behind = new Told(made.append("t", { event_name: "C" }));
    await turns(made);
    for (const told of [append, repeat, refused, behind]) expect(told.response).toBe(null);
    expect((await made.ask("/v1/streams/s")).status).toBe(404);
    expect((await made.ask(`/v1/events/${ID}`)).status).toBe(404);
    made.release();
    expect(await append.status()).toBe(201);
    expect(await repeat.status()).toBe(201);
    expect((await repeat.answer).headers.get("Idempotent-Replayed")).toBe("true");
    expect(await refused.problem()).toMatchObject({ status: 412, current_version: 0 });
    expect(await behind.status()).toBe(201);
    expect((await made.ask(`/v1/events/${ID}`)).status).toBe(200);
  });

  test("and fails, each is told what became of it", async () => {
    const made = world();
    expect((await made.append("s", { event_name: "A" })).status).toBe(201);
    const event = { event_name: "B", event_id: ID };
    made.disk.fail({ kind: "sync", code: "EIO", path: ".seg" });
    const append = await made.hold("s", event);
    const repeat = new Told(made.append("s", event));
    const refused = new Told(made.append("s", { event_name: "B", expected_version: 0 }));
    const behind = new Told(made.append("t", { event_name: "C" }));
    await turns(made);
    made.release();
    for (const told of [append, repeat]) {
      expect(await told.problem()).toMatchObject({
        status: 503,
        code: "UNCERTAIN",
        outcome: "unknown",
      });
      expect((await told.answer).headers.get("Retry-After")).toBe("1");
    }
    for (const told of [refused, behind]) {
      expect(await told.problem()).toMatchObject({
        status: 503,
        code: "READONLY",
        outcome: "none",
      });
    }
    const later = await made.append("s", { event_name: "D" });
    expect(await later.json()).toMatchObject({ status: 503, code: "READONLY", outcome: "none" });
    expect((await made.ask("/readyz")).status).toBe(503);
    expect((await made.ask("/healthz")).status).toBe(200);
    const read = (await (await made.ask("/v1/events")).json()) as { events: unknown[] };
    expect(read.events).toEqual([expect.objectContaining({ event_name: "A" })]);
  });
});

describe.each(["loop", "thread"] as const)("syncs placed %s", (syncPlace) => {
  test("appends that need many segments wait for room, and none is lost", async () => {
    const made = world({ syncPlace, segmentBytes: 64 * KiB });
    const payload = "x".repeat(5_000);
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => made.append("s", { event_name: "E", payload })),
    );
    const versions = await Promise.all(
      answers.map(async (answer) => {
        expect(answer.status).toBe(201);
        return ((await answer.json()) as { stream_version: number }).stream_version;
      }),
    );
    expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(made.store.segmentCount()).toBeGreaterThan(10);
  });

  test("a full disk is READONLY until there is room", async () => {
    const made = world({ syncPlace, segmentBytes: 64 * KiB });
    made.disk.fail({
      kind: "write",
      code: "ENOSPC",
      path: "next",
      times: Number.POSITIVE_INFINITY,
    });
    made.disk.fail({ kind: "create", code: "ENOSPC", times: Number.POSITIVE_INFINITY });
    const payload = "x".repeat(30_000);
    let refused: Response | null = null;
    for (let i = 0; i < 10 && refused === null; i++) {
      const answer = await made.append("s", { event_name: "E", payload });
      if (answer.status !== 201) refused = answer;
    }
    expect(await refused?.json()).toMatchObject({ status: 503, code: "READONLY", outcome: "none" });
    expect(refused?.headers.get("Retry-After")).toBe("1");
    expect((await made.ask("/v1/streams/s")).status).toBe(200);
    made.disk.heal();
    await until(
      async () => (await made.append("s", { event_name: "E", payload })).status === 201,
      "appends go on",
    );
  });
});

test("appends that come together are one batch, or few", async () => {
  const made = world({ syncPlace: "loop" });
  const { flush } = made.store;
  let batches = 0;
  made.store.flush = () => {
    if (made.store.core.exports.getFillLength() > 0) batches++;
    flush.call(made.store);
  };
  const appends = Array.from({ length: 50 }, (_, i) => made.append(`s-${i}`, { event_name: "E" }));
  for (const answer of await Promise.all(appends)) expect(answer.status).toBe(201);
  expect(batches).toBeLessThan(10);
});

test("a damaged record is a 500 that names its place, and ends a feed with it", async () => {
  const made = world({ segmentBytes: 64 * KiB, cacheBytes: 128 * KiB });
  const payload = "x".repeat(20_000);
  for (let i = 0; i < 40; i++) await made.append("s", { event_name: "E", payload });
  const [path = ""] = [...made.disk.image().keys()].filter((name) => name.endsWith(".seg")).sort();
  made.disk.flipBit(path, 8 * 30_000); // in the second event's payload
  const page = await made.ask("/v1/events");
  const body = (await page.json()) as { has_more: boolean; events: { position: number }[] };
  expect([page.status, body.has_more, body.events.map((e) => e.position)]).toEqual([
    200,
    true,
    [0],
  ]);
  const damaged = await made.ask("/v1/events?from=1");
  expect(await damaged.json()).toMatchObject({
    status: 500,
    code: "CORRUPT",
    detail: expect.stringMatching(/^the record in .*\.seg at offset \d+ is damaged$/),
  });
  expect((await made.ask("/v1/events?from=2")).status).toBe(200);
  const feed = await made.ask("/v1/events", { headers: { Accept: "text/event-stream" } });
  const text = await feed.text(); // it ends
  expect(text.match(/^event: .*$/gm)).toEqual(["event: message", "event: problem"]);
  expect(text).toContain('data: {"code":"CORRUPT"');
});

test("memory at its limit is READONLY, and a bug of the core ends the process", async () => {
  const made = world();
  const fails = (error: Error) => {
    made.store.partitionSequence = () => {
      throw error;
    };
    return made.ask("/v1/partitions/0");
  };
  const refused = await fails(new MemoryRefused(5));
  expect(await refused.json()).toMatchObject({ status: 503, code: "READONLY" });
  const trap = new CoreTrap("a bug");
  await expect(fails(trap)).rejects.toBe(trap);
  expect(made.crashes).toEqual([trap]);
  expect((await fails(new Error("another bug"))).status).toBe(500);
  expect(made.crashes).toEqual([trap]);
});
