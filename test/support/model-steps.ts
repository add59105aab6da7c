/**
 * Random commands for a store and its model: what fast-check makes, and makes smaller where it fails.
 */
import fc from "fast-check";
import type { AskedAppend, AskedEvent, AskedFilter, AskedRange } from "./model.ts";

export type Step =
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

/** One step on a store of so many partitions. */
export function stepOf(partitions: number): fc.Arbitrary<Step> {
  const bound = fc.option(fc.nat(12), { nil: undefined });
  const filter: fc.Arbitrary<AskedFilter> = fc
    .record(
      {
        match: fc.constantFrom("*", "user-*", "*r*", "user-?", "a=b??"),
        names: fc.uniqueArray(eventName, { minLength: 1 }),
        key,
        partitions: fc.uniqueArray(fc.nat(partitions - 1), { minLength: 1 }),
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
    fc.nat(partitions),
    key.filter((text) => text.startsWith("650")),
  );
  return fc.oneof(
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
}

function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
