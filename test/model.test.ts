/**
 * A real executable against the model: random commands over RESP, with orderly stops and kill -9 among them.
 *
 * `SEED=n` chooses the commands, `RUNS=n` how many stores; fast-check prints the seed and the smallest list of
 * commands that still fails.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type AskedAppend,
  type AskedEvent,
  type AskedFilter,
  type AskedRange,
  ErrorReply,
  Model,
  type Plain,
} from "./support/model.ts";
import { plain, RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 20_261_124);
const RUNS = Number(process.env.RUNS ?? 12);
const COMMANDS_PER_RUN = 80;
const PARTITIONS = 8;
/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;

type Step =
  | { readonly do: "append"; readonly asked: AskedAppend }
  | { readonly do: "repeat"; readonly of: number; readonly change: "metadata" | "payload" }
  | { readonly do: "eget"; readonly eventId: string; readonly withPosition: boolean }
  | { readonly do: "egetKnown"; readonly of: number; readonly withPosition: boolean }
  | {
      readonly do: "escan";
      readonly stream: string;
      readonly key?: string | undefined;
      readonly range: AskedRange;
    }
  | { readonly do: "epscan"; readonly partition: number | string; readonly range: AskedRange }
  | { readonly do: "elog"; readonly range: AskedRange }
  | { readonly do: "epos" }
  | { readonly do: "walk"; readonly count: number }
  | { readonly do: "exists"; readonly streams: readonly string[] }
  | { readonly do: "esver"; readonly stream: string; readonly key?: string | undefined }
  | { readonly do: "epseq"; readonly partition: number | string }
  | { readonly do: "malformed"; readonly line: readonly string[] }
  | { readonly do: "restart"; readonly by: "stop" | "kill" }
  | { readonly do: "killInBurst"; readonly streams: readonly string[]; readonly heard: number };

/** Names are byte strings: "ü" in UTF-8 is two of their characters. */
const stream = fc.constantFrom(
  "user-1",
  "user-2",
  "order 3",
  utf8("zürich"),
  "s".repeat(255),
  "a=b*?",
);
const eventName = fc.constantFrom("Opened", "Changed", utf8("Geöffnet"));
const givenId = fc.constantFrom(
  "550e8400-e29b-41d4-a716-446655440001",
  "550E8400-E29B-41D4-A716-446655440001",
  "550e8400e29b41d4a716446655440002",
  "{550e8400-e29b-41d4-a716-446655440003}",
  "urn:uuid:550e8400-e29b-41d4-a716-446655440004",
  "00000000-0000-0000-0000-000000000000",
);
const key = fc.constantFrom(
  "650e8400-e29b-41d4-a716-446655440000",
  "650E8400E29B41D4A716446655440000",
  "user-partition-key",
  utf8("schlüssel"),
);
const data = fc.oneof(
  fc.constantFrom("", "{}", '{"a":1}', "\r\n\0+OK\r\n", "x".repeat(5_000)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const version = fc.oneof(
  fc.constantFrom("any" as const, "exists" as const, "empty" as const),
  fc.nat(5),
);
const timestamp = fc.oneof(fc.constantFrom(0, Number.MAX_SAFE_INTEGER), fc.nat());
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const asked: fc.Arbitrary<AskedEvent> = fc.record({
  stream,
  name: eventName,
  eventId: seldom(givenId),
  expectedVersion: seldom(version),
  timestamp: seldom(timestamp),
  payload: fc.option(data, { nil: undefined }),
  metadata: seldom(data),
});
const append: fc.Arbitrary<AskedAppend> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      command: fc.constant("EAPPEND" as const),
      key: seldom(key),
      events: fc.tuple(asked),
      withPosition: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      command: fc.constant("EMAPPEND" as const),
      key: fc.oneof(fc.constant("*"), key),
      events: fc.array(asked, { minLength: 1, maxLength: 5 }),
      withPosition: fc.boolean(),
    }),
  },
);
const bound = fc.option(fc.nat(12), { nil: undefined });
const filter: fc.Arbitrary<AskedFilter> = fc
  .record(
    {
      match: fc.constantFrom("*", "user-*", "*r*", "user-?", "a=b??"),
      names: fc.uniqueArray(eventName, { minLength: 1 }),
      key,
      partitions: fc.uniqueArray(fc.nat(PARTITIONS - 1), { minLength: 1 }),
      since: timestamp,
      until: timestamp,
    },
    { requiredKeys: [] },
  )
  .filter((parts) => Object.keys(parts).length > 0);
const range: fc.Arbitrary<AskedRange> = fc.record({
  start: bound,
  end: bound,
  count: bound,
  isReverse: fc.boolean(),
  withPosition: fc.boolean(),
  filter: fc.option(filter, { nil: undefined }),
});
const partition = fc.oneof(
  fc.nat(PARTITIONS),
  key.filter((text) => text.startsWith("650")),
);
/** Each is refused with INVALIDARG and must leave nothing behind. */
const malformed = fc.constantFrom(
  ["EAPPEND", "user-1"],
  ["EAPPEND", "", "Opened"],
  ["EAPPEND", "s".repeat(256), "Opened"],
  ["EAPPEND", "$cairn-x", "Opened"],
  ["EAPPEND", "user-1", "Opened", "EXPECTED_VERSION", "-1"],
  ["EAPPEND", "user-1", "Opened", "PARTITION_KEY", "1,2"],
  ["EAPPEND", "user-1", "Opened", "PAYLOAD", "a", "PAYLOAD", "b"],
  ["EAPPEND", "user-1", "Opened", "TIMESTAMP", "9007199254740992"],
  ["EMAPPEND", "*"],
  ["EMAPPEND", "*", "user-1", "Opened", "user-2"],
  ["EMAPPEND", "*", "user-1", "Opened", "PAYLOAD", "a", "TAGS", "Opened"],
  ["ESCAN", "user-1", "x", "+"],
  ["ESCAN", "user-1", "-"],
  ["EPSCAN", "0", "-", "+", "COUNT"],
  ["EGET", "no-uuid"],
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: append.map((asked) => ({ do: "append" as const, asked })) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("repeat" as const),
      of: fc.nat(),
      change: fc.constantFrom("metadata" as const, "payload" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("eget" as const),
      eventId: givenId,
      withPosition: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("egetKnown" as const),
      of: fc.nat(),
      withPosition: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("escan" as const), stream, key: seldom(key), range }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("epscan" as const), partition, range }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("elog" as const), range }) },
  { weight: 1, arbitrary: fc.constant({ do: "epos" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("walk" as const),
      count: fc.integer({ min: 1, max: 7 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("exists" as const),
      streams: fc.array(stream, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("esver" as const), stream, key: seldom(key) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("epseq" as const), partition }) },
  { weight: 2, arbitrary: malformed.map((line) => ({ do: "malformed" as const, line })) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("restart" as const),
      by: fc.constantFrom("stop" as const, "kill" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("killInBurst" as const),
      streams: fc.array(stream, { minLength: 5, maxLength: 30 }),
      heard: fc.nat(4),
    }),
  },
);

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-model-"));
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

test(
  `random commands, restarts and kills agree with the model (seed ${SEED}, ${RUNS} stores)`,
  async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: COMMANDS_PER_RUN, size: "max" }),
        async (steps) => {
          const subject = await Subject.start(path.join(folder, String(run++)));
          try {
            for (const each of steps) await subject.take(each);
            await subject.take({ do: "restart", by: "kill" });
            await subject.readEverything();
          } finally {
            await subject.end();
          }
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

/** A server and the model that says what it must answer. */
class Subject {
  private readonly model = new Model(PARTITIONS);
  private readonly appended: AskedAppend[] = [];
  private readonly data: string;
  private cairn: Cairn;
  private client: RespClient;
  private burst = 0;

  private constructor(data: string, cairn: Cairn, client: RespClient) {
    this.data = data;
    this.cairn = cairn;
    this.client = client;
  }

  static async start(data: string): Promise<Subject> {
    const cairn = await startCairn({ data, args: ["--partitions", String(PARTITIONS)] });
    return new Subject(data, cairn, await connect(cairn));
  }

  async end(): Promise<void> {
    this.client.close();
    await this.cairn.kill();
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "append":
        return this.append(step.asked);
      case "repeat":
        return this.repeat(step.of, step.change);
      case "eget":
        return this.eget(step.eventId, step.withPosition);
      case "egetKnown": {
        const events = this.model.transactions.flatMap((transaction) => transaction.events);
        const event = events[step.of % Math.max(1, events.length)];
        if (event !== undefined) await this.eget(event.eventId, step.withPosition);
        return;
      }
      case "escan": {
        const words = ["ESCAN", step.stream, ...rangeWords(step.range), ...keyWords(step.key)];
        return this.model.escan(step.stream, step.key, step.range, await this.ask(words));
      }
      case "epscan": {
        const words = ["EPSCAN", String(step.partition), ...rangeWords(step.range)];
        return this.model.epscan(step.partition, step.range, await this.ask(words));
      }
      case "elog": {
        const words = rangeWords({ ...step.range, withPosition: false });
        return this.model.elog(step.range, await this.ask(["ELOG", ...words]));
      }
      case "epos":
        return this.model.epos(await this.ask(["EPOS"]));
      case "walk":
        return this.model.streamIds(await this.walk(step.count));
      case "exists":
        return this.model.exists(step.streams, await this.ask(["EXISTS", ...step.streams]));
      case "esver":
        return this.model.esver(
          step.stream,
          step.key,
          await this.ask(["ESVER", step.stream, ...keyWords(step.key)]),
        );
      case "epseq":
        return this.model.epseq(step.partition, await this.ask(["EPSEQ", String(step.partition)]));
      case "malformed": {
        const reply = await this.ask(step.line);
        expect(reply instanceof ErrorReply && reply.code, step.line.join(" ")).toBe("INVALIDARG");
        return;
      }
      case "restart":
        return this.restart(step.by);
      case "killInBurst":
        return this.killInBurst(step.streams, step.heard);
    }
  }

  /** Every partition and every event by its id, against the model. */
  async readEverything(): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await this.take({ do: "epscan", partition, range: { withPosition: true } });
    }
    await this.take({ do: "elog", range: { withPosition: true } });
    await this.take({ do: "walk", count: 100 });
    for (const { events } of this.model.transactions) {
      for (const event of events) await this.eget(event.eventId, true);
    }
  }

  /** All stream ids, with SCAN. */
  private async walk(count: number): Promise<string[]> {
    const found: string[] = [];
    let cursor = "0";
    do {
      const reply = await this.ask(["SCAN", cursor, "COUNT", String(count)]);
      if (reply instanceof ErrorReply) throw new Error(`SCAN answered ${reply.code} ${reply.text}`);
      const [next, some] = reply as [string, string[]];
      found.push(...some);
      cursor = next;
    } while (cursor !== "0");
    return found;
  }

  private async append(asked: AskedAppend): Promise<void> {
    const reply = await this.ask(appendWords(asked));
    this.model.append(asked, reply);
    if (!(reply instanceof ErrorReply)) this.appended.push(withIds(asked, reply));
  }

  /** An append given again with the ids that it got: answered as before, or refused when it says other things. */
  private async repeat(of: number, change: "metadata" | "payload"): Promise<void> {
    const earlier = this.appended[of % Math.max(1, this.appended.length)];
    if (earlier === undefined) return;
    const events = earlier.events.map((event) => ({
      ...event,
      [change]: `${event[change] ?? ""}, again`,
      expectedVersion: undefined,
    }));
    await this.append({ ...earlier, events });
  }

  private async eget(eventId: string, withPosition: boolean): Promise<void> {
    const words = ["EGET", eventId, ...(withPosition ? ["WITHPOSITION"] : [])];
    this.model.eget(eventId, withPosition, await this.ask(words));
  }

  private async restart(by: "stop" | "kill"): Promise<void> {
    this.client.close();
    if (by === "stop") expect(await this.cairn.stop()).toBe(0);
    else await this.cairn.kill();
    await this.startAgain();
  }

  /** Kills the server while appends are under way: those that were answered are there, of the rest the first. */
  private async killInBurst(streams: readonly string[], heard: number): Promise<void> {
    const burst = streams.map((stream, index): AskedAppend => {
      const eventId = `00000000-0000-4000-8000-${String(this.burst * 1_000 + index).padStart(12, "0")}`;
      return {
        command: "EAPPEND",
        events: [{ stream, name: "Burst", eventId, payload: `${index}` }],
        withPosition: true,
      };
    });
    this.burst++;
    const replies = burst.map((asked) => this.ask(appendWords(asked)).catch(() => null));
    await replies[heard];
    await this.cairn.kill();
    const answers = await Promise.all(replies);
    this.client.close();
    await this.startAgain();
    let ended = false;
    for (const [index, asked] of burst.entries()) {
      const answer = answers[index] ?? null;
      if (answer !== null) {
        this.model.append(asked, answer);
        continue;
      }
      const eventId = asked.events[0]?.eventId ?? "";
      const found = await this.ask(["EGET", eventId, "WITHPOSITION"]);
      if (found instanceof ErrorReply) throw new Error(`EGET answered ${found.code} ${found.text}`);
      const done = this.model.appendUnanswered(asked, [found]);
      if (done && ended) throw new Error("a later append is there though an earlier one is not");
      ended ||= !done;
    }
  }

  private async startAgain(): Promise<void> {
    this.cairn = await startCairn({ data: this.data });
    this.client = await connect(this.cairn);
  }

  private async ask(words: readonly string[]): Promise<Plain | ErrorReply> {
    return plain(await this.client.command(...words.map((word) => Buffer.from(word, "latin1"))));
  }
}

async function connect(cairn: Cairn): Promise<RespClient> {
  const client = await RespClient.connect(cairn.respPort);
  await client.command("HELLO", "3");
  return client;
}

/** The same append with the ids that the server gave, as a client would keep them for a retry. */
function withIds(asked: AskedAppend, reply: Plain): AskedAppend {
  const answer = reply as { event_id?: string; events?: { event_id: string }[] };
  const ids = answer.events?.map((event) => event.event_id) ?? [answer.event_id];
  return {
    ...asked,
    events: asked.events.map((event, index) => ({ ...event, eventId: ids[index] })),
  };
}

function appendWords(asked: AskedAppend): string[] {
  const withPosition = asked.withPosition ? ["WITHPOSITION"] : [];
  const events = asked.events.flatMap(eventWords);
  if (asked.command === "EMAPPEND")
    return ["EMAPPEND", asked.key ?? "*", ...withPosition, ...events];
  return ["EAPPEND", ...events, ...keyWords(asked.key), ...withPosition];
}

function eventWords(event: AskedEvent): string[] {
  const options = {
    EVENT_ID: event.eventId,
    expected_version: event.expectedVersion,
    TIMESTAMP: event.timestamp,
    PAYLOAD: event.payload,
    metadata: event.metadata,
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return [event.stream, event.name, ...given.flatMap(([word, value]) => [word, String(value)])];
}

function rangeWords(range: AskedRange): string[] {
  return [
    String(range.start ?? "-"),
    String(range.end ?? "+"),
    ...(range.count === undefined ? [] : ["COUNT", String(range.count)]),
    ...(range.isReverse ? ["REV"] : []),
    ...(range.withPosition ? ["WITHPOSITION"] : []),
    ...(range.filter === undefined ? [] : filterWords(range.filter)),
  ];
}

function filterWords(filter: AskedFilter): string[] {
  const options = {
    MATCH: filter.match,
    KEY: filter.key,
    partitions: filter.partitions?.join(","),
    SINCE: filter.since,
    until: filter.until,
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return [
    ...given.flatMap(([word, value]) => [word, String(value)]),
    ...(filter.names ?? []).flatMap((name) => ["NAME", name]),
  ];
}

function keyWords(key: string | undefined): string[] {
  return key === undefined ? [] : ["PARTITION_KEY", key];
}

function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
