/**
 * The grammar of the store's commands, over inline requests and a stand-in for the core: what each request
 * says, and what is answered to each way of getting it wrong.
 */
import { describe, expect, test } from "vitest";
import { Arguments } from "../server/commands/arguments.ts";
import { parseEappend } from "../server/commands/eappend.ts";
import { parseEget } from "../server/commands/eget.ts";
import { parseEmappend } from "../server/commands/emappend.ts";
import { parseEpscan } from "../server/commands/epscan.ts";
import { parseEpseq } from "../server/commands/epseq.ts";
import { parseEscan } from "../server/commands/escan.ts";
import { parseEsver } from "../server/commands/esver.ts";
import type { ParseContext, ParseCore, TransactionToParse } from "../server/commands/options.ts";
import { StoreError } from "../server/errors.ts";
import { MiB, TRANSACTION_EVENTS_MAX } from "../server/limits.ts";
import { REQUEST, RequestDecoder } from "../server/resp/decoder.ts";
import { ExpectedVersion } from "../server/store/transaction-builder.ts";

const UUID = "550e8400-e29b-41d4-a716-446655440000";
const PARTITIONS = 32;

/** Core memory: 16 bytes that a request names a key in, then the request as it came. */
const KEY_ADDRESS = 16;
const REQUEST_ADDRESS = 64;
const memory = new Uint8Array(24 * MiB);

function textAt(address: number, length: number): string {
  return Buffer.from(memory.subarray(address, address + length)).toString("latin1");
}

function keyAt(address: number): string {
  return Buffer.from(memory.subarray(address, address + 16)).toString("hex");
}

/** Knows a UUID by its digits, and makes the key of any other text from its first bytes. */
const core: ParseCore = {
  requestKeyAddress: KEY_ADDRESS,
  memory,
  parseUuid(address, length, target) {
    const digits = textAt(address, length)
      .replace(/^urn:uuid:/i, "")
      .replace(/[{}-]/g, "");
    if (!/^[0-9a-f]{32}$/i.test(digits)) return false;
    memory.set(Buffer.from(digits, "hex"), target);
    return true;
  },
  parsePartitionKey(address, length, target) {
    if (core.parseUuid(address, length, target)) return;
    memory.fill(0, target, target + 16);
    memory.set(memory.subarray(address, address + Math.min(length, 16)), target);
  },
  validUtf8(address, length) {
    const bytes = memory.subarray(address, address + length);
    return Buffer.from(Buffer.from(bytes).toString()).equals(bytes);
  },
  partitionHash: (address) => memory[address] ?? 0,
};

interface RecordedEvent {
  stream: string;
  name: string;
  payload?: string;
  metadata?: string;
  eventId?: string;
  expected?: string;
  timestampMs?: number;
}

/** Keeps in plain objects what a parser says of a transaction. */
class RecordedTransaction implements TransactionToParse {
  events: RecordedEvent[] = [];
  dataSizes: number[] = [];
  key: string | null = null;
  hasPartitionKey = false;

  get count(): number {
    return this.events.length;
  }

  begin(): void {
    this.events = [];
    this.dataSizes = [];
    this.key = null;
    this.hasPartitionKey = false;
  }

  addEvent(
    streamAddress: number,
    streamSize: number,
    nameAddress: number,
    nameSize: number,
  ): number {
    this.events.push({
      stream: textAt(streamAddress, streamSize),
      name: textAt(nameAddress, nameSize),
    });
    this.dataSizes.push(0);
    return this.count - 1;
  }

  setPayload(index: number, address: number, length: number): void {
    this.add(index, length).payload = textAt(address, Math.min(length, 100));
  }

  setMetadata(index: number, address: number, length: number): void {
    this.add(index, length).metadata = textAt(address, Math.min(length, 100));
  }

  dataBytes(index: number): number {
    return this.dataSizes[index] ?? 0;
  }

  setEventId(index: number, address: number, length: number): boolean {
    if (!core.parseUuid(address, length, 0)) return false;
    this.add(index, 0).eventId = keyAt(0);
    return true;
  }

  setExpectedVersion(index: number, kind: ExpectedVersion, version = 0): void {
    const word = Object.keys(ExpectedVersion)[kind];
    this.add(index, 0).expected = kind === ExpectedVersion.exact ? `${version}` : `${word}`;
  }

  setTimestamp(index: number, timestampMs: number): void {
    this.add(index, 0).timestampMs = timestampMs;
  }

  setPartitionKey(address: number, length: number): void {
    core.parsePartitionKey(address, length, KEY_ADDRESS);
    this.hasPartitionKey = true;
    this.key = keyAt(KEY_ADDRESS);
  }

  private add(index: number, dataSize: number): RecordedEvent {
    this.dataSizes[index] = (this.dataSizes[index] ?? 0) + dataSize;
    return this.events[index] as RecordedEvent;
  }
}

const transaction = new RecordedTransaction();

function contextOf(strict: boolean): ParseContext {
  return { store: { core, transaction, strict, partitions: PARTITIONS } };
}

/** Decodes a request, given as an inline line or as RESP, and puts its bytes into core memory. */
function argumentsOf(request: string | Uint8Array): Arguments {
  const decoder = new RequestDecoder();
  decoder.push(typeof request === "string" ? Buffer.from(`${request}\r\n`) : request);
  expect(decoder.next()).toBe(REQUEST);
  memory.set(decoder.bytes.subarray(0, decoder.end), REQUEST_ADDRESS);
  return new Arguments(decoder, { addressOf: (offset) => REQUEST_ADDRESS + offset });
}

type Parse<T> = (args: Arguments, context: ParseContext) => T;

function parsed<T>(parse: Parse<T>, request: string | Uint8Array, strict = false): T {
  return parse(argumentsOf(request), contextOf(strict));
}

/** The error that a request gets, as RESP sends it. */
function refusal(parse: Parse<unknown>, request: string | Uint8Array, strict = false): string {
  try {
    parsed(parse, request, strict);
  } catch (error) {
    if (error instanceof StoreError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "accepted";
}

function resp(...args: (string | Uint8Array)[]): Uint8Array {
  const parts = args.flatMap((arg) => {
    const bytes = Buffer.from(arg);
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")];
  });
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]);
}

/** All orders of a list. */
function orders<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, i) =>
    orders([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [item, ...rest]),
  );
}

const keyOf = (uuid: string) => uuid.replaceAll("-", "");
const textKey = (text: string) => Buffer.from(text.padEnd(16, "\0").slice(0, 16)).toString("hex");
const NUMBER = "a number from 0 to 9007199254740991";
const STRICT =
  "INVALIDARG this server is strict: EXPECTED_VERSION must be given as empty or a number";

describe("EAPPEND", () => {
  test("the least there is", () => {
    expect(parsed(parseEappend, "EAPPEND user-1 Registered")).toEqual({ withPosition: false });
    expect(transaction.events).toEqual([{ stream: "user-1", name: "Registered" }]);
    expect(transaction.key).toBeNull();
  });

  test("every option, in every order and in any case", () => {
    const options = [
      `EVENT_ID ${UUID}`,
      "Partition_Key user-key",
      "expected_version 7",
      "TIMESTAMP 1697641800000",
      "PAYLOAD 'a b'",
      "metadata m",
      "WithPosition",
    ];
    for (const order of orders(options)) {
      const request = `EAPPEND user-1 Registered ${order.join(" ")}`;
      const { withPosition } = parsed(parseEappend, request);
      if (!withPosition || transaction.key !== textKey("user-key")) expect(request).toBe("parsed");
      expect(transaction.events[0]).toEqual({
        stream: "user-1",
        name: "Registered",
        eventId: keyOf(UUID),
        expected: "7",
        timestampMs: 1_697_641_800_000,
        payload: "a b",
        metadata: "m",
      });
    }
  });

  test("keywords are data where data stands", () => {
    parsed(parseEappend, "EAPPEND PAYLOAD METADATA PAYLOAD METADATA METADATA PAYLOAD");
    expect(transaction.events).toEqual([
      { stream: "PAYLOAD", name: "METADATA", payload: "METADATA", metadata: "PAYLOAD" },
    ]);
  });

  test("nothing is left over from the request before", () => {
    parsed(parseEappend, "EAPPEND a b PARTITION_KEY k WITHPOSITION");
    expect(parsed(parseEappend, "EAPPEND a b")).toEqual({ withPosition: false });
    expect(transaction.hasPartitionKey).toBe(false);
  });

  test.each([
    ["any", "any"],
    ["EXISTS", "exists"],
    ["Empty", "empty"],
    ["0", "0"],
    ["9007199254740991", "9007199254740991"],
  ])("EXPECTED_VERSION %s", (value, expected) => {
    parsed(parseEappend, `EAPPEND s E EXPECTED_VERSION ${value}`);
    expect(transaction.events[0]?.expected).toBe(expected);
  });

  test.each([
    [UUID, keyOf(UUID)],
    [UUID.toUpperCase(), keyOf(UUID)],
    [`{${UUID}}`, keyOf(UUID)],
    [`urn:uuid:${UUID}`, keyOf(UUID)],
    ["11111111-1111-1111-1111-111111111111", "1".repeat(32)],
    ["1".repeat(32), "1".repeat(32)],
    ["not-a-uuid", textKey("not-a-uuid")],
    ["5a", textKey("5a")],
  ])("PARTITION_KEY %s", (key, expected) => {
    parsed(parseEappend, `EAPPEND s E PARTITION_KEY ${key}`);
    expect(transaction.key).toBe(expected);
  });

  test("names of any legal bytes, up to their limits", () => {
    const long = "é".repeat(127);
    parsed(parseEappend, resp("EAPPEND", `${long}x`, `\t ${long.slice(1)}`));
    expect(transaction.events[0]?.stream).toHaveLength(255);
    parsed(parseEappend, resp("EAPPEND", "cairn$", "$cairn"));
    expect(transaction.events[0]?.name).toBe("$cairn");
  });

  const expectedWords =
    "EVENT_ID, PARTITION_KEY, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, WITHPOSITION or end of input";
  const keyForms = "expected a UUID, or a text of more than digits, commas, hyphens and '*'";
  test.each([
    ["", "unexpected end of input: expected stream id"],
    ["only-stream", "unexpected end of input: expected event name"],
    ["s E NOPE 1", `unexpected string: expected ${expectedWords}, got 'NOPE' as argument 3`],
    ["s E PAYLOAD a b", `unexpected string: expected ${expectedWords}, got 'b' as argument 5`],
    ["s E REV", `unexpected string: expected ${expectedWords}, got 'REV' as argument 3`],
    ["s E PAYLOAD a PAYLOAD b", "payload already specified"],
    ["s E METADATA a METADATA b", "metadata already specified"],
    [`s E EVENT_ID ${UUID} EVENT_ID ${UUID}`, "event id already specified"],
    ["s E PARTITION_KEY a PARTITION_KEY a", "partition key already specified"],
    ["s E EXPECTED_VERSION 1 expected_version 1", "expected version already specified"],
    ["s E TIMESTAMP 1 TIMESTAMP 1", "timestamp already specified"],
    ["s E WITHPOSITION WITHPOSITION", "WITHPOSITION already specified"],
    ["s E PAYLOAD", "unexpected end of input: expected data after PAYLOAD"],
    ["s E METADATA", "unexpected end of input: expected data after METADATA"],
    ["s E EVENT_ID", "unexpected end of input: expected event id after EVENT_ID"],
    ["s E PARTITION_KEY", "unexpected end of input: expected partition key after PARTITION_KEY"],
    [
      "s E EXPECTED_VERSION",
      "unexpected end of input: expected any, exists, empty or a number after EXPECTED_VERSION",
    ],
    ["s E TIMESTAMP", "unexpected end of input: expected milliseconds after TIMESTAMP"],
    ["s E EVENT_ID abc", "invalid EVENT_ID 'abc': expected a UUID"],
    [
      "s E EXPECTED_VERSION -1",
      `invalid EXPECTED_VERSION '-1': expected any, exists, empty or ${NUMBER}`,
    ],
    [
      "s E EXPECTED_VERSION abc",
      `invalid EXPECTED_VERSION 'abc': expected any, exists, empty or ${NUMBER}`,
    ],
    [
      "s E EXPECTED_VERSION 9007199254740992",
      `invalid EXPECTED_VERSION '9007199254740992': expected any, exists, empty or ${NUMBER}`,
    ],
    [
      "s E EXPECTED_VERSION ''",
      `invalid EXPECTED_VERSION '': expected any, exists, empty or ${NUMBER}`,
    ],
    [
      "s E TIMESTAMP abc",
      "invalid TIMESTAMP 'abc': expected milliseconds from 0 to 9007199254740991",
    ],
    [
      "s E TIMESTAMP 1.5",
      "invalid TIMESTAMP '1.5': expected milliseconds from 0 to 9007199254740991",
    ],
    [
      's E TIMESTAMP "1\\r\\n2"',
      "invalid TIMESTAMP '1  2': expected milliseconds from 0 to 9007199254740991",
    ],
    ["s E PARTITION_KEY 5", `invalid partition key '5': ${keyForms}`],
    ["s E PARTITION_KEY 1-3,7", `invalid partition key '1-3,7': ${keyForms}`],
    ["s E PARTITION_KEY *", `invalid partition key '*': ${keyForms}`],
    ["s E PARTITION_KEY -", `invalid partition key '-': ${keyForms}`],
    ["s E PARTITION_KEY ''", `invalid partition key '': ${keyForms}`],
    ["'' E", "stream id must be between 1 and 255 bytes in length, but got 0 for ''"],
    ["s ''", "event name must be between 1 and 255 bytes in length, but got 0 for ''"],
    [
      `${"a".repeat(256)} E`,
      `stream id must be between 1 and 255 bytes in length, but got 256 for '${"a".repeat(128)}'`,
    ],
    [
      `s ${"é".repeat(128)}`,
      `event name must be between 1 and 255 bytes in length, but got 256 for '${"é".repeat(64)}'`,
    ],
    ['"a\\x00b" E', "stream id 'a b' contains NUL, CR or LF, which are not allowed"],
    ['"a\\rb" E', "stream id 'a b' contains NUL, CR or LF, which are not allowed"],
    ['s "a\\nb"', "event name 'a b' contains NUL, CR or LF, which are not allowed"],
    ['"\\xff" E', "stream id '\ufffd' is not valid UTF-8"],
    ['s "\\xed\\xa0\\x80"', "event name '\ufffd\ufffd\ufffd' is not valid UTF-8"],
    ["$cairn E", "stream id '$cairn' begins with '$cairn': these streams are the store's own"],
    ["$cairn-x E", "stream id '$cairn-x' begins with '$cairn': these streams are the store's own"],
  ])("%j is refused", (rest, text) => {
    expect(refusal(parseEappend, `EAPPEND ${rest}`)).toBe(`INVALIDARG ${text}`);
  });

  test("payload and metadata above their limit together", () => {
    const half = new Uint8Array(4 * MiB);
    expect(
      refusal(parseEappend, resp("EAPPEND", "s", "E", "PAYLOAD", half, "METADATA", half)),
    ).toBe("accepted");
    const request = resp(
      "EAPPEND",
      "s",
      "E",
      "METADATA",
      half,
      "PAYLOAD",
      new Uint8Array(4 * MiB + 1),
    );
    expect(refusal(parseEappend, request)).toBe(
      "TOOLARGE size of payload and metadata in bytes is limited to 8388608, but 8388609 was asked",
    );
  });

  test("a strict server demands a version that means something", () => {
    for (const version of ["empty", "0", "12"]) {
      const request = `EAPPEND s E EXPECTED_VERSION ${version}`;
      expect(refusal(parseEappend, request, true)).toBe("accepted");
    }
    for (const request of [
      "EAPPEND s E",
      "EAPPEND s E EXPECTED_VERSION any",
      "EAPPEND s E EXPECTED_VERSION exists",
    ]) {
      expect(refusal(parseEappend, request, true)).toBe(`${STRICT} (event 0 of the request)`);
    }
    // A mistyped option is named, not the version that it hides.
    expect(refusal(parseEappend, "EAPPEND s E EXPECTEDVERSION 1", true)).toContain(
      "'EXPECTEDVERSION'",
    );
  });
});

describe("EMAPPEND", () => {
  test("the seed's transfer", () => {
    const request = `EMAPPEND ${UUID} account-123 MoneyWithdrawn PAYLOAD '{"amount":100}' account-456 MoneyDeposited PAYLOAD '{"amount":100}'`;
    expect(parsed(parseEmappend, request)).toEqual({ withPosition: false });
    expect(transaction.key).toBe(keyOf(UUID));
    expect(transaction.events).toEqual([
      { stream: "account-123", name: "MoneyWithdrawn", payload: '{"amount":100}' },
      { stream: "account-456", name: "MoneyDeposited", payload: '{"amount":100}' },
    ]);
  });

  test("options of each event, WITHPOSITION, a key of text", () => {
    const options = `EVENT_ID ${UUID} expected_version empty TIMESTAMP 5 PAYLOAD p METADATA m`;
    const request = `EMAPPEND my-key withposition a A ${options} b B c C EXPECTED_VERSION 3`;
    expect(parsed(parseEmappend, request)).toEqual({ withPosition: true });
    expect(transaction.key).toBe(textKey("my-key"));
    expect(transaction.events).toEqual([
      {
        stream: "a",
        name: "A",
        eventId: keyOf(UUID),
        expected: "empty",
        timestampMs: 5,
        payload: "p",
        metadata: "m",
      },
      { stream: "b", name: "B" },
      { stream: "c", name: "C", expected: "3" },
    ]);
  });

  test("* leaves each stream its own key", () => {
    parsed(parseEmappend, "EMAPPEND k a A");
    parsed(parseEmappend, "EMAPPEND * a A b B");
    expect(transaction.hasPartitionKey).toBe(false);
    expect(transaction.count).toBe(2);
  });

  const grammarWords = [
    "EVENT_ID",
    "PARTITION_KEY",
    "EXPECTED_VERSION",
    "TIMESTAMP",
    "PAYLOAD",
    "METADATA",
    "WITHPOSITION",
    "CHECK",
    "TAG",
    "TAGS",
    "IF",
    "UNLESS",
    "KEY",
    "CONTENT_TYPE",
    "EXPIRES",
    "VERSION",
  ];
  test.each(grammarWords)("%s is no stream id", (word) => {
    const lower = word.toLowerCase();
    const first = refusal(parseEmappend, `EMAPPEND k WITHPOSITION ${lower} E`);
    expect(first).toMatch(
      `INVALIDARG unexpected string: expected stream id, got '${lower}' as argument 3: `,
    );
    if (["EVENT_ID", "EXPECTED_VERSION", "TIMESTAMP", "PAYLOAD", "METADATA"].includes(word)) return;
    const later = refusal(parseEmappend, `EMAPPEND k s E PAYLOAD p ${word} x`);
    expect(later).toMatch(
      `INVALIDARG unexpected string: expected EVENT_ID, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, stream id or end of input, got '${word}' as argument 6: `,
    );
  });

  test("words that only look like the grammar's are stream ids", () => {
    parsed(parseEmappend, "EMAPPEND k TAGGED A PAYLOADS B");
    expect(transaction.events.map(({ stream }) => stream)).toEqual(["TAGGED", "PAYLOADS"]);
  });

  test.each([
    ["", "unexpected end of input: expected partition key"],
    ["k", "unexpected end of input: expected stream id"],
    ["k WITHPOSITION", "unexpected end of input: expected stream id"],
    ["* s", "unexpected end of input: expected event name"],
    ["k s E t", "unexpected end of input: expected event name"],
    ["k s E PAYLOAD", "unexpected end of input: expected data after PAYLOAD"],
    ["k s E PAYLOAD a PAYLOAD b", "payload already specified"],
    ["k $cairn E", "stream id '$cairn' begins with '$cairn': these streams are the store's own"],
    ["k s E '' E", "stream id must be between 1 and 255 bytes in length, but got 0 for ''"],
    [
      "7 s E",
      "invalid partition key '7': expected a UUID, or a text of more than digits, commas, hyphens and '*'",
    ],
    [
      "** s E",
      "invalid partition key '**': expected a UUID, or a text of more than digits, commas, hyphens and '*'",
    ],
    [
      "k s E TIMESTAMP x",
      "invalid TIMESTAMP 'x': expected milliseconds from 0 to 9007199254740991",
    ],
  ])("%j is refused", (rest, text) => {
    expect(refusal(parseEmappend, `EMAPPEND ${rest}`)).toBe(`INVALIDARG ${text}`);
  });

  test("as many events as the limit, and more", () => {
    const events = (count: number) =>
      Array.from({ length: count }, (_, i) => [`s${i}`, "E", "PAYLOAD", "p"]).flat();
    parsed(parseEmappend, resp("EMAPPEND", "k", ...events(TRANSACTION_EVENTS_MAX)));
    expect(transaction.count).toBe(TRANSACTION_EVENTS_MAX);
    const above = resp("EMAPPEND", "k", "WITHPOSITION", ...events(TRANSACTION_EVENTS_MAX + 5));
    expect(refusal(parseEmappend, above)).toBe(
      "TOOLARGE number of events in a transaction is limited to 8192, but 8197 was asked",
    );
  });

  test("a strict server demands each event's version", () => {
    const request = "EMAPPEND k a A EXPECTED_VERSION 1 b B";
    expect(refusal(parseEmappend, request, true)).toBe(`${STRICT} (event 1 of the request)`);
    expect(refusal(parseEmappend, `${request} EXPECTED_VERSION EMPTY`, true)).toBe("accepted");
  });
});

describe("EGET", () => {
  test("an id, and WITHPOSITION", () => {
    const request = parsed(parseEget, `EGET ${UUID}`);
    expect(keyAt(request.eventIdAddress)).toBe(keyOf(UUID));
    expect(request.withPosition).toBe(false);
    expect(parsed(parseEget, `EGET {${UUID.toUpperCase()}} withposition`).withPosition).toBe(true);
  });

  test.each([
    ["", "unexpected end of input: expected event id"],
    ["not-a-uuid", "invalid event id 'not-a-uuid': expected a UUID"],
    ["''", "invalid event id '': expected a UUID"],
    [
      `${UUID} COUNT`,
      "unexpected string: expected WITHPOSITION or end of input, got 'COUNT' as argument 2",
    ],
    [`${UUID} WITHPOSITION WITHPOSITION`, "WITHPOSITION already specified"],
  ])("%j is refused", (rest, text) => {
    expect(refusal(parseEget, `EGET ${rest}`)).toBe(`INVALIDARG ${text}`);
  });
});

describe("ESCAN", () => {
  test("the whole stream", () => {
    const request = parsed(parseEscan, "ESCAN cart-1 - +");
    expect(textAt(request.streamAddress, request.streamLength)).toBe("cart-1");
    expect(request).toMatchObject({
      from: 0,
      to: Number.POSITIVE_INFINITY,
      count: Number.POSITIVE_INFINITY,
      keyAddress: null,
      withPosition: false,
    });
  });

  test("a range, and every option in every order", () => {
    for (const order of orders(["COUNT 5", "PARTITION_KEY k", "WITHPOSITION"])) {
      const request = parsed(parseEscan, `ESCAN cart-1 3 9007199254740991 ${order.join(" ")}`);
      expect(request).toMatchObject({
        from: 3,
        to: 9007199254740991,
        count: 5,
        withPosition: true,
      });
      expect(keyAt(request.keyAddress ?? 0)).toBe(textKey("k"));
    }
  });

  test("no range is too odd, the store's own streams are read, COUNT 0 is none", () => {
    const request = parsed(parseEscan, "ESCAN $cairn-x 3 1 COUNT 0");
    expect(request).toMatchObject({ from: 3, to: 1, count: 0, keyAddress: null });
  });

  test("a number that no event has is as far as numbers go: Rust's u64::MAX is the end", () => {
    const request = parsed(parseEscan, "ESCAN s 9007199254740992 18446744073709551615");
    expect(request).toMatchObject({
      from: Number.MAX_SAFE_INTEGER,
      to: Number.MAX_SAFE_INTEGER,
    });
  });

  const range = "range value (-, +, or number)";
  const options =
    "PARTITION_KEY, COUNT, REV, BLOCK, WITHPOSITION, MATCH, NAME, KEY, PARTITIONS, SINCE, UNTIL, ASOF or end of input";
  test.each([
    ["", "unexpected end of input: expected stream id"],
    ["s", `unexpected end of input: expected ${range}`],
    ["s 0", `unexpected end of input: expected ${range}`],
    ["s a b", `unexpected string: expected ${range}, got 'a' as argument 2`],
    ["s 0 -1", `unexpected string: expected ${range}, got '-1' as argument 3`],
    [
      "s 0 184467440737095516150",
      `unexpected string: expected ${range}, got '184467440737095516150' as argument 3`,
    ],
    ["s + -", "start version cannot be '+'"],
    ["s - -", "end version cannot be '-'"],
    ["s - + COUNT", "unexpected end of input: expected a number after COUNT"],
    ["s - + COUNT x", `invalid COUNT 'x': expected ${NUMBER}`],
    ["s - + COUNT -1", `invalid COUNT '-1': expected ${NUMBER}`],
    ["s - + COUNT 1 COUNT 2", "count already specified"],
    ["s - + PARTITION_KEY a PARTITION_KEY b", "partition key already specified"],
    ["s - + PARTITION_KEY", "unexpected end of input: expected partition key after PARTITION_KEY"],
    [
      "s - + PARTITION_KEY 3",
      "invalid partition key '3': expected a UUID, or a text of more than digits, commas, hyphens and '*'",
    ],
    ["s - + NOPE", `unexpected string: expected ${options}, got 'NOPE' as argument 4`],
    ["'' - +", "stream id must be between 1 and 255 bytes in length, but got 0 for ''"],
  ])("%j is refused", (rest, text) => {
    expect(refusal(parseEscan, `ESCAN ${rest}`)).toBe(`INVALIDARG ${text}`);
  });
});

describe("filters", () => {
  const hexOf = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString("hex");

  test("all of them, in any case, beside other options", () => {
    const request = parsed(
      parseEscan,
      "ESCAN s - + match u-* NAME A COUNT 5 name B KEY k since 1 until 2 asof 3 PARTITION_KEY p REV",
    );
    expect(request).toMatchObject({ count: 5, isReverse: true });
    expect(keyAt(request.keyAddress ?? 0)).toBe(textKey("p"));
    const { filter } = request;
    expect(Buffer.from(filter?.pattern ?? []).toString()).toBe("u-*");
    expect(filter?.names.map((name) => Buffer.from(name).toString())).toEqual(["A", "B"]);
    expect(hexOf(filter?.key ?? null)).toBe(textKey("k"));
    expect(filter).toMatchObject({ since: 1, until: 2, asOf: 3 });
    expect(parsed(parseEscan, "ESCAN s - +").filter).toBeNull();
  });

  test("PARTITION_KEY is kept whichever comes first", () => {
    for (const order of orders([`KEY ${UUID}`, "PARTITION_KEY p"])) {
      const request = parsed(parseEscan, `ESCAN s - + ${order.join(" ")}`);
      expect(keyAt(request.keyAddress ?? 0)).toBe(textKey("p"));
      expect(hexOf(request.filter?.key ?? null)).toBe(keyOf(UUID));
    }
  });

  test.each([
    ["3", [3]],
    ["3,1", [1, 3]],
    ["0-2,2-3,31", [0, 1, 2, 3, 31]],
    ["0-31", Array.from({ length: PARTITIONS }, (_, i) => i)],
  ])("PARTITIONS %s", (list, expected) => {
    const { filter } = parsed(parseEscan, `ESCAN s - + PARTITIONS ${list}`);
    const bits = filter?.program().subarray(56) ?? [];
    const chosen = expected.map(
      (partition) => ((bits[partition >> 3] ?? 0) >> (partition & 7)) & 1,
    );
    expect(chosen).toEqual(expected.map(() => 1));
    let count = 0;
    for (const byte of bits) count += byte.toString(2).replaceAll("0", "").length;
    expect(count).toBe(expected.length);
  });

  test.each([
    ["MATCH", "unexpected end of input: expected a pattern after MATCH"],
    ["MATCH a MATCH b", "MATCH already specified"],
    ["NAME", "unexpected end of input: expected event name after NAME"],
    ["NAME ''", "event name must be between 1 and 255 bytes in length, but got 0 for ''"],
    ["KEY", "unexpected end of input: expected partition key after KEY"],
    [
      "KEY 3",
      "invalid partition key '3': expected a UUID, or a text of more than digits, commas, hyphens and '*'",
    ],
    ["KEY a KEY b", "KEY already specified"],
    ["PARTITIONS", "unexpected end of input: expected partitions after PARTITIONS"],
    ["PARTITIONS ''", "invalid PARTITIONS '': expected numbers and ranges as in 0,4-7"],
    ["PARTITIONS 1,", "invalid PARTITIONS '1,': expected numbers and ranges as in 0,4-7"],
    ["PARTITIONS 3-1", "invalid PARTITIONS '3-1': expected numbers and ranges as in 0,4-7"],
    ["PARTITIONS *", "invalid PARTITIONS '*': expected numbers and ranges as in 0,4-7"],
    ["PARTITIONS 1 PARTITIONS 2", "PARTITIONS already specified"],
    ["SINCE", "unexpected end of input: expected milliseconds after SINCE"],
    ["SINCE x", `invalid SINCE 'x': expected milliseconds, ${NUMBER}`],
    ["SINCE 1 SINCE 2", "SINCE already specified"],
    ["UNTIL -1", `invalid UNTIL '-1': expected milliseconds, ${NUMBER}`],
    ["ASOF 1 ASOF 1", "ASOF already specified"],
  ])("%j is refused", (filters, text) => {
    expect(refusal(parseEscan, `ESCAN s - + ${filters}`)).toBe(`INVALIDARG ${text}`);
  });

  test("a partition that the store does not have is not found", () => {
    expect(refusal(parseEscan, "ESCAN s - + PARTITIONS 0-32")).toBe(
      "NOTFOUND partition 32 of '0-32' does not exist: this store has partitions 0 to 31",
    );
  });

  test("names and patterns have limits", () => {
    expect(refusal(parseEscan, `ESCAN s - + ${"NAME x ".repeat(257)}`)).toBe(
      "TOOLARGE the number of names in a filter is limited to 256, but 257 was asked",
    );
    expect(refusal(parseEscan, `ESCAN s - + MATCH ${"x".repeat(1_025)}`)).toBe(
      "TOOLARGE the length of a pattern in bytes is limited to 1024, but 1025 was asked",
    );
  });
});

describe("EPSCAN", () => {
  test.each([
    ["0", 0],
    ["31", 31],
    ["007", 7],
    [UUID, 0x55 % PARTITIONS],
    ["1".repeat(32), 0x11],
  ])("partition %s", (partition, expected) => {
    expect(parsed(parseEpscan, `EPSCAN ${partition} 1 + COUNT 2 WITHPOSITION`)).toMatchObject({
      partition: expected,
      from: 1,
      to: Number.POSITIVE_INFINITY,
      count: 2,
      withPosition: true,
    });
  });

  test.each([
    ["", "INVALIDARG unexpected end of input: expected partition id or key"],
    ["32 - +", "NOTFOUND partition 32 does not exist: this store has partitions 0 to 31"],
    [
      "99999999999999999999 - +",
      "NOTFOUND partition 99999999999999999999 does not exist: this store has partitions 0 to 31",
    ],
    [
      "-1 - +",
      "INVALIDARG unexpected string: expected partition id or key, got '-1' as argument 1",
    ],
    ["'' - +", "INVALIDARG unexpected string: expected partition id or key, got '' as argument 1"],
    [
      "abc - +",
      "INVALIDARG unexpected string: expected partition id or key, got 'abc' as argument 1",
    ],
    ["1 + +", "INVALIDARG start sequence cannot be '+'"],
    ["1 - -", "INVALIDARG end sequence cannot be '-'"],
    [
      "1 - + PARTITION_KEY k",
      "INVALIDARG unexpected string: expected COUNT, REV, BLOCK, WITHPOSITION, MATCH, NAME, KEY, PARTITIONS, SINCE, UNTIL, ASOF or end of input, got 'PARTITION_KEY' as argument 4",
    ],
  ])("%j is refused", (rest, text) => {
    expect(refusal(parseEpscan, `EPSCAN ${rest}`)).toBe(text);
  });
});

describe("ESVER and EPSEQ", () => {
  test("a stream, with a key and without", () => {
    const request = parsed(parseEsver, "ESVER user-1");
    expect(textAt(request.streamAddress, request.streamLength)).toBe("user-1");
    expect(request.keyAddress).toBeNull();
    expect(keyAt(parsed(parseEsver, `ESVER user-1 PARTITION_KEY ${UUID}`).keyAddress ?? 0)).toBe(
      keyOf(UUID),
    );
  });

  test("a partition", () => {
    expect(parsed(parseEpseq, "EPSEQ 31")).toBe(31);
    expect(parsed(parseEpseq, `EPSEQ ${UUID}`)).toBe(0x55 % PARTITIONS);
  });

  test.each<[string, Parse<unknown>, string]>([
    ["ESVER", parseEsver, "INVALIDARG unexpected end of input: expected stream id"],
    [
      "ESVER s WITHPOSITION",
      parseEsver,
      "INVALIDARG unexpected string: expected PARTITION_KEY or end of input, got 'WITHPOSITION' as argument 2",
    ],
    ["EPSEQ", parseEpseq, "INVALIDARG unexpected end of input: expected partition id or key"],
    [
      "EPSEQ 99",
      parseEpseq,
      "NOTFOUND partition 99 does not exist: this store has partitions 0 to 31",
    ],
    [
      "EPSEQ 1 2",
      parseEpseq,
      "INVALIDARG unexpected string: expected end of input, got '2' as argument 2",
    ],
  ])("%j is refused", (request, parse, text) => {
    expect(refusal(parse, request)).toBe(text);
  });
});
