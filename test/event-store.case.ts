/**
 * What a store does, whichever door one comes through: event-store.test.ts runs these cases against the store itself, over
 * RESP and over HTTP.
 */
import { v5 as uuidV5 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AskedEvent, type Door, type ReadEvent, Refusal } from "./support/event-store-door.ts";

export interface OpenedDoor {
  readonly door: Door;
  close(): Promise<void>;
}

/** The namespace of partition keys that are made of texts. */
const KEY_NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

interface CaseOptions {
  /** The bounds of a request are the doors' to check: the store asserts that they did. */
  readonly checksRequests: boolean;
}

/** Declares the cases. `open` gives a door to an empty store of 32 partitions. */
export function eventStoreCases(
  name: string,
  { checksRequests }: CaseOptions,
  open: () => Promise<OpenedDoor>,
): void {
  describe(`a store, ${name}`, () => {
    let opened: OpenedDoor;
    let door: Door;
    let stream: string;
    let testNumber = 0;

    beforeAll(async () => {
      opened = await open();
      door = opened.door;
    });
    beforeEach(() => {
      stream = `s${++testNumber}`;
    });
    afterAll(() => opened.close());

    const id = (n: number): string =>
      `00000000-0000-4000-8000-${String(testNumber * 1_000 + n).padStart(12, "0")}`;
    const event = (more: Partial<AskedEvent> = {}): AskedEvent => ({ stream, name: "E", ...more });
    const read = (of = stream) => door.read({ kind: "stream", stream: of });
    const versions = (events: readonly ReadEvent[]): number[] => events.map((e) => e.version);
    const refusal = async (work: Promise<unknown>): Promise<Refusal> => {
      const error = await work.then(
        () => new Error("it was not refused"),
        (refused: unknown) => refused,
      );
      if (!(error instanceof Refusal)) throw error;
      return error;
    };
    /** Refused with the code and the text, and nothing was written. */
    const expectRefused = async (code: string, text: RegExp, work: () => Promise<unknown>) => {
      const before = await door.lastPosition();
      const { code: given, message } = await refusal(work());
      expect([given, message]).toEqual([code, expect.stringMatching(text)]);
      expect(await door.lastPosition()).toBe(before);
    };

    test("an append is answered with its numbers, and read back as it was", async () => {
      const payload = Buffer.from('{"email":"alice@example.com"}');
      const metadata = Buffer.from('{"source":"test"}');
      const [numbers] = await door.append([
        event({
          name: "Geöffnet",
          payload,
          metadata,
          eventId: id(1),
          timestamp: 1_697_641_800_000,
        }),
      ]);
      const key = uuidV5(stream, KEY_NAMESPACE);
      expect(numbers).toMatchObject({
        eventId: id(1),
        partitionKey: key,
        version: 0,
        timestamp: 1_697_641_800_000,
      });
      const { events, hasMore } = await read();
      expect(hasMore).toBe(false);
      expect(events).toHaveLength(1);
      const [found] = events;
      expect(found).toMatchObject(numbers ?? {});
      expect(found?.transactionId).toMatch(UUID);
      expect(found?.stream).toBe(stream);
      expect(found?.name).toBe("Geöffnet");
      expect(Buffer.from(found?.payload ?? [])).toEqual(payload);
      expect(Buffer.from(found?.metadata ?? [])).toEqual(metadata);
      expect(await door.event(id(1))).toMatchObject({ ...numbers, stream });
    });

    test("payload and metadata are any bytes, none included", async () => {
      const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const line = Buffer.from("\r\n\0 \u2028 ü 😀 \ufeff");
      await door.append([
        event({ payload: bytes, metadata: line }),
        event({ payload: line }),
        event(),
      ]);
      const { events } = await read();
      const data = events.map((e) => [Buffer.from(e.payload), Buffer.from(e.metadata)]);
      const none = Buffer.alloc(0);
      expect(data).toEqual([
        [Buffer.from(bytes), line],
        [line, none],
        [none, none],
      ]);
    });

    test.each([
      "with space",
      "a/b%2Fc",
      "ümläut 😀",
      "?#&+=",
      "%",
      "\ufeffbom",
      "s".repeat(255),
      '"\\',
    ])("a stream may be called %j", async (odd) => {
      const id = `${odd}`.slice(0, 255);
      await door.append([{ stream: id, name: odd.slice(0, 20) }]);
      const { events } = await read(id);
      expect(events.map((e) => [e.stream, e.name])).toEqual([[id, odd.slice(0, 20)]]);
      expect(await door.version(id)).toBe(0);
    });

    test("versions, sequences and positions count up without gaps", async () => {
      const first = ((await door.lastPosition()) ?? -1) + 1;
      for (let i = 0; i < 3; i++) await door.append([event(), event()]);
      const { events } = await read();
      expect(versions(events)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(events.map((e) => e.position - first)).toEqual([0, 1, 2, 3, 4, 5]);
      const sequence = events[0]?.sequence ?? -1;
      expect(events.map((e) => e.sequence - sequence)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(new Set(events.map((e) => e.transactionId)).size).toBe(3);
      expect(await door.version(stream)).toBe(5);
      expect(await door.lastPosition()).toBe(first + 5);
      const recorded = events.map((e) => e.recordedAt);
      expect(recorded).toEqual(recorded.toSorted((a, b) => a - b));
    });

    describe("the expected version", () => {
      test("any, empty, exists and a number are held against the stream", async () => {
        await expectRefused(
          "WRONGVER",
          /^wrong expected version: .* is empty but expected exists/,
          () => door.append([event({ expected: "exists" })]),
        );
        await door.append([event({ expected: "empty" })]);
        await door.append([event({ expected: 0 })]);
        await door.append([event({ expected: "exists" })]);
        await door.append([event({ expected: "any" })]);
        await expectRefused("WRONGVER", /current stream version is 3 but expected empty/, () =>
          door.append([event({ expected: "empty" })]),
        );
        await expectRefused("WRONGVER", /current stream version is 3 but expected 2 /, () =>
          door.append([event({ expected: 2 })]),
        );
        await expectRefused("WRONGVER", /but expected 9007199254740991 /, () =>
          door.append([event({ expected: NUMBER_MAX })]),
        );
      });

      test("of an event in a transaction counts the events before it", async () => {
        const other = `${stream}-b`;
        await door.append(
          [event({ expected: "empty" }), { stream: other, name: "E" }, event({ expected: 0 })],
          null,
        );
        await expectRefused("WRONGVER", /current stream version is 2 but expected 1 /, () =>
          door.append([event({ expected: 1 }), event({ expected: 1 })], null),
        );
      });
    });

    describe("a transaction", () => {
      test("over streams with keys of their own is all or nothing", async () => {
        const [one, two] = [`${stream}-a`, `${stream}-b`];
        await door.append([{ stream: one, name: "Opened" }]);
        const numbers = await door.append(
          [
            { stream: one, name: "Withdrawn" },
            { stream: two, name: "Opened" },
            { stream: two, name: "Deposited" },
          ],
          null,
        );
        expect(numbers.map((n) => n.version)).toEqual([1, 0, 1]);
        expect(numbers.map((n) => n.partitionKey)).toEqual(
          [one, two, two].map((text) => uuidV5(text, KEY_NAMESPACE)),
        );
        await expectRefused("WRONGVER", /expected 7/, () =>
          door.append(
            [
              { stream: one, name: "E" },
              { stream: two, name: "E", expected: 7 },
            ],
            null,
          ),
        );
        expect(await door.version(one)).toBe(1);
      });

      test("with one key keeps its streams in one partition", async () => {
        const [one, two] = [`${stream}-a`, `${stream}-b`];
        const key = `${stream}-key`;
        const numbers = await door.append(
          [
            { stream: one, name: "E" },
            { stream: two, name: "E" },
          ],
          key,
        );
        expect(new Set(numbers.map((n) => n.partitionKey))).toEqual(
          new Set([uuidV5(key, KEY_NAMESPACE)]),
        );
        const [{ sequence = -1, partitionId = -1 } = {}] = numbers;
        const page = await door.read(
          { kind: "partition", partition: partitionId },
          { from: sequence },
        );
        expect(page.events.map((e) => e.stream)).toEqual([one, two]);
        await door.append([{ stream: one, name: "E" }]); // found by its id, whatever its key
        await expectRefused(
          "WRONGKEY",
          /^stream .* has partition key .*: leave PARTITION_KEY out$/,
          () => door.append([{ stream: one, name: "E" }], "other-key"),
        );
      });

      test("takes 8,192 events, and no more", async () => {
        const events = Array.from({ length: 8_193 }, () => event());
        if (checksRequests) {
          await expectRefused("TOOLARGE", /limited to 8192, but 8193 was asked$/, () =>
            door.append(events, null),
          );
        }
        const numbers = await door.append(events.slice(1), null);
        expect(numbers.at(-1)?.version).toBe(8_191);
      });
    });

    describe("an event id", () => {
      test("given again with the same content is answered as the first time", async () => {
        const asked = event({ eventId: id(1), payload: Buffer.from("p"), expected: "empty" });
        const [first] = await door.append([asked]);
        await door.append([event()]);
        const last = await door.lastPosition();
        const again = { ...asked, metadata: Buffer.from("other"), timestamp: 5 };
        expect(await door.append([again])).toEqual([first]);
        expect(await door.lastPosition()).toBe(last);
      });

      test("given again for other content is a duplicate", async () => {
        await door.append([event({ eventId: id(1) })]);
        await expectRefused(
          "DUPLICATE",
          /already stands for other content: stream s\d+ version 0/,
          () => door.append([event({ eventId: id(1), payload: Buffer.from("other") })]),
        );
        await expectRefused("DUPLICATE", /is given twice in this request$/, () =>
          door.append([event({ eventId: id(2) }), event({ eventId: id(2) })], null),
        );
      });

      test("is found in any of a UUID's forms, and unknown where it is not", async () => {
        await door.append([event({ eventId: id(1) })]);
        expect((await door.event(id(1)))?.eventId).toBe(id(1));
        expect(await door.event(id(2))).toBe(null);
      });
    });

    describe("a read", () => {
      const append10 = async (): Promise<void> => {
        const events = Array.from({ length: 10 }, (_, i) =>
          event({ name: i % 2 === 0 ? "Even" : "Odd", timestamp: 1_000 + i }),
        );
        await door.append(events, null);
      };

      test("takes a range, both ends included, and says whether it holds more", async () => {
        await append10();
        const page = async (range: Parameters<Door["read"]>[1]) => {
          const { events, hasMore } = await door.read({ kind: "stream", stream }, range);
          return [versions(events), hasMore];
        };
        expect(await page({ from: 3, to: 5 })).toEqual([[3, 4, 5], false]);
        expect(await page({ from: 8 })).toEqual([[8, 9], false]);
        expect(await page({ limit: 3 })).toEqual([[0, 1, 2], true]);
        expect(await page({ from: 7, limit: 3 })).toEqual([[7, 8, 9], false]);
        expect(await page({ limit: 0 })).toEqual([[], true]);
        expect(await page({ from: 10 })).toEqual([[], false]);
        expect(await page({ from: 5, to: 4 })).toEqual([[], false]);
        expect(await page({ to: NUMBER_MAX, from: 9 })).toEqual([[9], false]);
        expect(await page({ backwards: true, limit: 2 })).toEqual([[9, 8], true]);
        expect(await page({ backwards: true, from: 1, to: 3 })).toEqual([[3, 2, 1], false]);
      });

      test("of what is not there is empty", async () => {
        expect(await read()).toEqual({ hasMore: false, events: [] });
        expect(await door.version(stream)).toBe(null);
      });

      test("takes filters, of which all must hold, and says where to go on", async () => {
        await append10();
        const page = async (filter: object, range: object = {}) => {
          const found = await door.read({ kind: "stream", stream }, { filter, ...range });
          return [versions(found.events), found.hasMore, found.next];
        };
        expect(await page({ names: ["Even"] })).toEqual([[0, 2, 4, 6, 8], false, 10]);
        expect(await page({ names: ["Even", "Odd"], since: 1_008 })).toEqual([[8, 9], false, 10]);
        expect(await page({ names: ["Odd"], until: 1_004 })).toEqual([[1, 3], false, 10]);
        expect(await page({ names: ["Odd"] }, { limit: 2 })).toEqual([[1, 3], true, 5]);
        expect(await page({ names: ["Odd"] }, { from: 5, to: 7 })).toEqual([[5, 7], false, null]);
        expect(await page({ match: "nothing-*" })).toEqual([[], false, 10]);
        expect(await page({ asOf: 0 })).toEqual([[], false, 10]);
      });

      test("of the whole store follows positions, over all streams", async () => {
        const first = ((await door.lastPosition()) ?? -1) + 1;
        for (const suffix of ["a", "b", "a"]) {
          await door.append([{ stream: `${stream}-${suffix}`, name: "E" }]);
        }
        const all = await door.read({ kind: "log" }, { from: first });
        expect(all.events.map((e) => e.stream)).toEqual([
          `${stream}-a`,
          `${stream}-b`,
          `${stream}-a`,
        ]);
        const some = await door.read(
          { kind: "log" },
          { from: first, filter: { match: `${stream}-[a]` } },
        );
        expect(some.events.map((e) => e.version)).toEqual([0, 1]);
        expect(some.next).toBe(first + 3);
        const end = await door.read({ kind: "log" }, { from: first + 3 });
        expect(end.events).toEqual([]);
        await expectRefused("AHEAD", /^position \d+ is beyond the end \d+ of epoch /, () =>
          door.read({ kind: "log" }, { from: first + 4 }),
        );
      });

      test("of a partition follows its sequences, and one too high is not found", async () => {
        const [numbers] = await door.append([event()]);
        const source = { kind: "partition", partition: numbers?.partitionId ?? 0 } as const;
        const { events } = await door.read(source, { from: numbers?.sequence ?? 0 });
        expect(events.map((e) => e.eventId)).toEqual([numbers?.eventId]);
      });
    });

    test("the list of streams has each that matches once", async () => {
      const ids = Array.from({ length: 25 }, (_, i) => `${stream}-listed-${i}`);
      await door.append(
        ids.map((listed) => ({ stream: listed, name: "E" })),
        null,
      );
      expect(await door.streams(`${stream}-listed-*`)).toEqual(ids);
      expect(await door.streams(`${stream}-listed-1?`)).toHaveLength(10);
    });
  });
}
