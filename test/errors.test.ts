/**
 * Every error that a client can bring about: its exact text, and that nothing was written with it.
 *
 * What a user's program may match on (WRONGVER, WRONGKEY, DUPLICATE, TOOLARGE) is compared whole, so that a reworded
 * error is a decision and no accident.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Frame, plain, RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const PARTITIONS = 32;
const KEY = "550e8400-e29b-41d4-a716-446655440000";
const OTHER_KEY = "550e8400-e29b-41d4-a716-446655440001";
/** The key of user-123 where none is given. */
const USER_KEY = "7e124fe8-fe28-5398-bb95-53973100148f";
const NUMBERS = "a number from 0 to 9007199254740991";

let cairn: Cairn;
let client: RespClient;
let observer: RespClient;
/** What the store held before a test's refusals. */
let before: unknown;

beforeAll(async () => {
  cairn = await startCairn();
  observer = await RespClient.connect3(cairn.respPort);
  for (const name of ["UserRegistered", "EmailVerified", "ProfileUpdated"]) {
    await observer.map("EAPPEND", "user-123", name);
  }
  await observer.map("EAPPEND", "order-1", "OrderPlaced", "PARTITION_KEY", KEY);
});
beforeEach(async () => {
  client = await RespClient.connect3(cairn.respPort);
  before = await storeState();
});
afterEach(async () => {
  client.close();
  expect(await storeState(), "the store after the refusals").toEqual(before);
});
afterAll(async () => {
  observer.close();
  expect(await cairn.stop()).toBe(0);
});

/** What any append would change: each partition's last sequence, and the number of streams. */
async function storeState(): Promise<unknown[]> {
  const commands: Word[][] = [["DBSIZE"], ["ESVER", "user-123"], ["ESVER", "order-1"]];
  for (let partition = 0; partition < PARTITIONS; partition++) commands.push(["EPSEQ", partition]);
  return (await observer.pipeline(commands)).map((frame) => plain(frame));
}

describe("INVALIDARG says what was expected, and where", () => {
  const IN_EAPPEND =
    "EVENT_ID, PARTITION_KEY, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, WITHPOSITION or end of input";
  const IN_EMAPPEND =
    "EVENT_ID, EXPECTED_VERSION, TIMESTAMP, PAYLOAD, METADATA, stream id or end of input";
  const LONG = "x".repeat(256);

  test.each<[words: Word[], text: string]>([
    // EAPPEND
    [["EAPPEND"], "unexpected end of input: expected stream id"],
    [["EAPPEND", "s"], "unexpected end of input: expected event name"],
    [["EAPPEND", "", "E"], "stream id must be between 1 and 255 bytes in length, but got 0 for ''"],
    [
      ["EAPPEND", LONG, "E"],
      `stream id must be between 1 and 255 bytes in length, but got 256 for '${LONG.slice(0, 128)}'`,
    ],
    [
      ["EAPPEND", "s", ""],
      "event name must be between 1 and 255 bytes in length, but got 0 for ''",
    ],
    [["EAPPEND", "a\nb", "E"], "stream id 'a b' contains NUL, CR or LF, which are not allowed"],
    [["EAPPEND", "s", "a\rb"], "event name 'a b' contains NUL, CR or LF, which are not allowed"],
    [["EAPPEND", "a\0b", "E"], "stream id 'a b' contains NUL, CR or LF, which are not allowed"],
    [["EAPPEND", bytes(0x61, 0xff), "E"], "stream id 'a\ufffd' is not valid UTF-8"],
    [["EAPPEND", "s", bytes(0xc0, 0x80)], "event name '\ufffd\ufffd' is not valid UTF-8"],
    [
      ["EAPPEND", "$cairn-users", "E"],
      "stream id '$cairn-users' begins with '$cairn': these streams are the store's own",
    ],
    [
      ["EAPPEND", "s", "E", "NOPE", "1"],
      `unexpected string: expected ${IN_EAPPEND}, got 'NOPE' as argument 3`,
    ],
    [
      ["EAPPEND", "s", "E", "PAYLOAD", "a", "surplus"],
      `unexpected string: expected ${IN_EAPPEND}, got 'surplus' as argument 5`,
    ],
    [["EAPPEND", "s", "E", "PAYLOAD"], "unexpected end of input: expected data after PAYLOAD"],
    [["EAPPEND", "s", "E", "METADATA"], "unexpected end of input: expected data after METADATA"],
    [["EAPPEND", "s", "E", "PAYLOAD", "a", "payload", "b"], "payload already specified"],
    [["EAPPEND", "s", "E", "METADATA", "a", "METADATA", "b"], "metadata already specified"],
    [["EAPPEND", "s", "E", "WITHPOSITION", "WITHPOSITION"], "WITHPOSITION already specified"],
    [
      ["EAPPEND", "s", "E", "EXPECTED_VERSION"],
      "unexpected end of input: expected any, exists, empty or a number after EXPECTED_VERSION",
    ],
    [
      ["EAPPEND", "s", "E", "EXPECTED_VERSION", "-1"],
      `invalid EXPECTED_VERSION '-1': expected any, exists, empty or ${NUMBERS}`,
    ],
    [
      ["EAPPEND", "s", "E", "EXPECTED_VERSION", "9007199254740992"],
      `invalid EXPECTED_VERSION '9007199254740992': expected any, exists, empty or ${NUMBERS}`,
    ],
    [
      ["EAPPEND", "s", "E", "EXPECTED_VERSION", "1.0"],
      `invalid EXPECTED_VERSION '1.0': expected any, exists, empty or ${NUMBERS}`,
    ],
    [
      ["EAPPEND", "s", "E", "EVENT_ID", "not-a-uuid"],
      "invalid EVENT_ID 'not-a-uuid': expected a UUID",
    ],
    [["EAPPEND", "s", "E", "EVENT_ID", ""], "invalid EVENT_ID '': expected a UUID"],
    [
      ["EAPPEND", "s", "E", "TIMESTAMP", "yesterday"],
      "invalid TIMESTAMP 'yesterday': expected milliseconds from 0 to 9007199254740991",
    ],
    [
      ["EAPPEND", "s", "E", "TIMESTAMP", "-5"],
      "invalid TIMESTAMP '-5': expected milliseconds from 0 to 9007199254740991",
    ],
    ...["", "5", "1,2-4", "*", "-"].map((key): [Word[], string] => [
      ["EAPPEND", "s", "E", "PARTITION_KEY", key],
      `invalid partition key '${key}': expected a UUID, or a text of more than digits, commas, hyphens and '*'`,
    ]),
    // EMAPPEND
    [["EMAPPEND"], "unexpected end of input: expected partition key"],
    [["EMAPPEND", KEY], "unexpected end of input: expected stream id"],
    [["EMAPPEND", KEY, "WITHPOSITION"], "unexpected end of input: expected stream id"],
    [["EMAPPEND", KEY, "s"], "unexpected end of input: expected event name"],
    [["EMAPPEND", KEY, "s", "E", "t"], "unexpected end of input: expected event name"],
    [
      ["EMAPPEND", "5", "s", "E"],
      "invalid partition key '5': expected a UUID, or a text of more than digits, commas, hyphens and '*'",
    ],
    [
      ["EMAPPEND", KEY, "s", "E", "PARTITION_KEY", KEY],
      `unexpected string: expected ${IN_EMAPPEND}, got 'PARTITION_KEY' as argument 4: the partition key is EMAPPEND's first argument`,
    ],
    [
      ["EMAPPEND", KEY, "s", "E", "WITHPOSITION"],
      `unexpected string: expected ${IN_EMAPPEND}, got 'WITHPOSITION' as argument 4: WITHPOSITION stands once, after the partition key`,
    ],
    ...["EVENT_ID", "EXPECTED_VERSION", "TIMESTAMP", "PAYLOAD", "METADATA"].map(
      (word): [Word[], string] => [
        ["EMAPPEND", KEY, word, "E"],
        `unexpected string: expected stream id, got '${word}' as argument 2: it is a word of the grammar, and no stream id here`,
      ],
    ),
    ...["CHECK", "tag", "TAGS", "If", "UNLESS", "KEY", "CONTENT_TYPE", "EXPIRES", "VERSION"].map(
      (word): [Word[], string] => [
        ["EMAPPEND", "*", "s", "E", word, "x"],
        `unexpected string: expected ${IN_EMAPPEND}, got '${word}' as argument 4: it is a word of the grammar, and no stream id here`,
      ],
    ),
    // Reads
    [["EGET"], "unexpected end of input: expected event id"],
    [["EGET", "not-a-uuid"], "invalid event id 'not-a-uuid': expected a UUID"],
    [
      ["EGET", KEY, "COUNT", "1"],
      "unexpected string: expected WITHPOSITION or end of input, got 'COUNT' as argument 2",
    ],
    [["ESCAN"], "unexpected end of input: expected stream id"],
    [["ESCAN", "s"], "unexpected end of input: expected range value (-, +, or number)"],
    [["ESCAN", "s", "-"], "unexpected end of input: expected range value (-, +, or number)"],
    [
      ["ESCAN", "s", "first", "+"],
      "unexpected string: expected range value (-, +, or number), got 'first' as argument 2",
    ],
    [
      ["ESCAN", "s", "0", "-1"],
      "unexpected string: expected range value (-, +, or number), got '-1' as argument 3",
    ],
    [["ESCAN", "s", "+", "-"], "start version cannot be '+'"],
    [["ESCAN", "s", "-", "-"], "end version cannot be '-'"],
    [["ESCAN", "s", "-", "+", "COUNT"], "unexpected end of input: expected a number after COUNT"],
    [["ESCAN", "s", "-", "+", "COUNT", "x"], `invalid COUNT 'x': expected ${NUMBERS}`],
    [["ESCAN", "s", "-", "+", "COUNT", "1", "COUNT", "2"], "count already specified"],
    [["EPSCAN"], "unexpected end of input: expected partition id or key"],
    [
      ["EPSCAN", "x", "-", "+"],
      "unexpected string: expected partition id or key, got 'x' as argument 1",
    ],
    [["EPSCAN", "0", "+", "+"], "start sequence cannot be '+'"],
    [["ESVER"], "unexpected end of input: expected stream id"],
    [["EPSEQ"], "unexpected end of input: expected partition id or key"],
    [["EPSEQ", "0", "1"], "unexpected string: expected end of input, got '1' as argument 2"],
    [["EPSEQ", "-1"], "unexpected string: expected partition id or key, got '-1' as argument 1"],
    // Others
    [["NOSUCHCOMMAND", "a"], "unknown command 'NOSUCHCOMMAND'"],
    [["ECHO"], "wrong number of arguments for 'echo' command"],
  ])("%j", async (words, text) => {
    expect(await client.error(...words)).toBe(`INVALIDARG ${text}`);
  });

  test("unknown Redis commands are told what serves here", async () => {
    expect(await client.error("XADD", "s", "*", "a", "b")).toBe(
      "INVALIDARG unknown command 'XADD': events are appended with EAPPEND stream name [PAYLOAD data]",
    );
  });

  test("an error is one line, whatever the client sent", async () => {
    expect(await client.error("NO\r\nSUCH")).toBe("INVALIDARG unknown command 'NO  SUCH'");
    expect(await client.value("PING")).toBe("PONG");
  });

  test("with --strict an append must state a version", async () => {
    const strict = await startCairn({ args: ["--strict"] });
    const connection = await RespClient.connect3(strict.respPort);
    const text = (event: number) =>
      `INVALIDARG this server is strict: EXPECTED_VERSION must be given as empty or a number (event ${event} of the request)`;
    expect(await connection.error("EAPPEND", "s", "E")).toBe(text(0));
    for (const version of ["any", "exists"]) {
      const words = ["EAPPEND", "s", "E", "EXPECTED_VERSION", version];
      expect(await connection.error(...words)).toBe(text(0));
    }
    const words = ["EMAPPEND", KEY, "s", "E", "EXPECTED_VERSION", "empty", "t", "E"];
    expect(await connection.error(...words)).toBe(text(1));
    expect(await connection.value("DBSIZE")).toBe(0);
    await connection.map("EAPPEND", "s", "E", "EXPECTED_VERSION", "empty");
    await connection.map("EAPPEND", "s", "E", "EXPECTED_VERSION", 0);
    connection.close();
    expect(await strict.stop()).toBe(0);
  });
});

describe("WRONGVER", () => {
  const text = (current: string, expected: string, key: string, stream: string) =>
    `WRONGVER wrong expected version: current stream version is ${current} but expected ${expected} for partition key ${key} and stream id ${stream}`;

  test.each([
    ["0", "0"],
    ["3", "3"],
    ["9007199254740991", "9007199254740991"],
    ["EMPTY", "empty"],
  ])("version 2, but expected %s", async (expected, shown) => {
    expect(await client.error("EAPPEND", "user-123", "E", "EXPECTED_VERSION", expected)).toBe(
      text("2", shown, USER_KEY, "user-123"),
    );
  });

  test.each([
    ["0", "0"],
    ["exists", "exists"],
  ])("no events, but expected %s", async (expected, shown) => {
    expect(await client.error("EAPPEND", "user-124", "E", "EXPECTED_VERSION", expected)).toBe(
      text("empty", shown, "dae20fea-8372-525d-86ef-4c79ff30182e", "user-124"),
    );
  });

  test("shows the stream's own key, and the key that was given to a new stream", async () => {
    expect(await client.error("EAPPEND", "order-1", "E", "EXPECTED_VERSION", "empty")).toBe(
      text("0", "empty", KEY, "order-1"),
    );
    const words = ["EAPPEND", "order-2", "E", "PARTITION_KEY", KEY, "EXPECTED_VERSION", "5"];
    expect(await client.error(...words)).toBe(text("empty", "5", KEY, "order-2"));
  });

  test("one event refuses the whole transaction, whichever it is", async () => {
    const good = ["order-9", "E", "EXPECTED_VERSION", "empty"];
    const bad = ["order-1", "E", "EXPECTED_VERSION", "7"];
    for (const events of [
      [...good, ...bad],
      [...bad, ...good],
    ]) {
      expect(await client.error("EMAPPEND", KEY, ...events)).toBe(text("0", "7", KEY, "order-1"));
      expect(await client.error("EMAPPEND", "*", ...events)).toBe(text("0", "7", KEY, "order-1"));
    }
  });

  test("is checked after the transaction's earlier events", async () => {
    const events = ["s", "E", "EXPECTED_VERSION", "empty", "s", "E", "EXPECTED_VERSION", "empty"];
    expect(await client.error("EMAPPEND", KEY, ...events)).toBe(text("0", "empty", KEY, "s"));
  });
});

describe("WRONGKEY", () => {
  const refused = `WRONGKEY stream order-1 has partition key ${KEY}, not ${OTHER_KEY}: leave PARTITION_KEY out`;

  test("another key for a stream that has one", async () => {
    expect(await client.error("EAPPEND", "order-1", "E", "PARTITION_KEY", OTHER_KEY)).toBe(refused);
  });

  test("within a transaction, of which nothing is written", async () => {
    expect(await client.error("EMAPPEND", OTHER_KEY, "new", "E", "order-1", "E")).toBe(refused);
  });

  test("a stream's own key, or none, is right", async () => {
    // Refused by their version, and not by their key.
    const words = ["EAPPEND", "order-1", "E", "EXPECTED_VERSION", "9"];
    expect(await client.error(...words, "PARTITION_KEY", KEY)).toMatch(/^WRONGVER /);
    expect(await client.error(...words)).toMatch(/^WRONGVER /);
  });

  test("a read with another key finds nothing", async () => {
    expect(await client.value("ESVER", "order-1", "PARTITION_KEY", OTHER_KEY)).toBeNull();
    expect(await client.events("ESCAN", "order-1", "-", "+", "PARTITION_KEY", OTHER_KEY)).toEqual(
      [],
    );
  });
});

describe("NOTFOUND", () => {
  test.each([["EPSEQ"], ["EPSCAN", "-", "+"]])(
    "%s of a partition that is none",
    async (name, ...range) => {
      for (const partition of ["32", "99", "9007199254740991", "18446744073709551616"]) {
        expect(await client.error(name, partition, ...range)).toBe(
          `NOTFOUND partition ${partition} does not exist: this store has partitions 0 to 31`,
        );
      }
    },
  );
});

describe("MULTI", () => {
  const REFUSED =
    "INVALIDARG transactions are EMAPPEND; in redis-py use pipeline(transaction=False)";
  const NOT_RUN = "EXECABORT not run, because MULTI was refused: EXEC, DISCARD or RESET ends this";
  const DISCARDED =
    "EXECABORT Transaction discarded because of previous errors: nothing of it ran, transactions are EMAPPEND";

  test.each(["EXEC", "DISCARD"])("runs nothing until %s", async (end) => {
    const replies = await client.pipeline([
      ["MULTI"],
      ["EAPPEND", "multi", "E"],
      ["EMAPPEND", KEY, "multi", "E"],
      ["ESVER", "user-123"],
      ["NOSUCHCOMMAND"],
      [end],
      ["ESVER", "multi"],
    ]);
    expect(replies.map(textOf)).toEqual([
      REFUSED,
      NOT_RUN,
      NOT_RUN,
      NOT_RUN,
      NOT_RUN,
      DISCARDED,
      null,
    ]);
  });

  test("RESET ends it", async () => {
    expect(await client.error("MULTI")).toBe(REFUSED);
    expect(await client.error("PING")).toBe(NOT_RUN);
    expect(await client.value("RESET")).toBe("RESET");
    expect(await client.value("PING")).toBe("PONG");
  });

  test("QUIT works as ever", async () => {
    expect(await client.error("MULTI")).toBe(REFUSED);
    expect(await client.value("QUIT")).toBe("OK");
    await client.closed;
  });

  test.each(["EXEC", "DISCARD"])("%s without it", async (end) => {
    expect(await client.error(end)).toBe(`ERR ${end} without MULTI`);
  });
});

describe("the connection's own errors", () => {
  test("NOPROTO", async () => {
    for (const version of [1, 4]) {
      expect(await client.error("HELLO", version)).toBe("NOPROTO unsupported protocol version");
    }
    expect(await client.value("PING")).toBe("PONG");
  });

  test("WRONGPASS", async () => {
    const text = "WRONGPASS invalid username-password pair or user is disabled.";
    expect(await client.error("AUTH", "alice", "secret")).toBe(text);
    expect(await client.error("HELLO", 3, "AUTH", "alice", "secret")).toBe(text);
    expect(await client.value("AUTH", "default", "secret")).toBe("OK");
  });

  test("ERR: a password where none is configured, and another database", async () => {
    expect(await client.error("AUTH", "secret")).toBe(
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    );
    expect(await client.error("SELECT", 1)).toBe("ERR DB index is out of range");
    expect(await client.value("SELECT", 0)).toBe("OK");
  });

  test.each([
    ["*x\r\n", "ERR Protocol error: invalid multibulk length"],
    ["*1\r\n+PING\r\n", "ERR Protocol error: expected '$', got '+'"],
    ["*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length"],
    ["*1\r\n$-7\r\nPING\r\n", "ERR Protocol error: invalid bulk length"],
    ["*1\r\n$99999999999999999999\r\n", "ERR Protocol error: invalid bulk length"],
    ['EAPPEND s "E\r\n', "ERR Protocol error: unbalanced quotes in request"],
  ])("ERR: %j is answered and the connection closes", async (sent, text) => {
    client.send(sent);
    expect(textOf(await client.reply())).toBe(text);
    await client.closed;
  });

  test("what was asked before a framing error is answered and kept, what follows is not run", async () => {
    const store = await startCairn();
    const connection = await RespClient.connect3(store.respPort);
    connection.send("EAPPEND first E\r\n*1\r\n!\r\nEAPPEND second E\r\n");
    expect((await connection.reply()).kind).toBe("%");
    expect(textOf(await connection.reply())).toBe("ERR Protocol error: expected '$', got '!'");
    await connection.closed;
    const later = await RespClient.connect3(store.respPort);
    expect(await later.value("ESVER", "first")).toBe(0);
    expect(await later.value("ESVER", "second")).toBeNull();
    later.close();
    expect(await store.stop()).toBe(0);
  });

  test.each(["POST / HTTP/1.1\r\n", "Host: localhost:9090\r\n"])(
    "a web page's %j closes the connection without a word",
    async (line) => {
      client.send(`${line}\r\nEAPPEND web E\r\n`);
      await client.closed;
      await expect(client.reply()).rejects.toThrow(/^the (server|connection) has /);
    },
  );
});

/** An error's line, or null for a null. */
function textOf(frame: Frame): string | null {
  if (frame.kind === "-") return frame.text;
  if (frame.kind === "_") return null;
  throw new Error(`neither an error nor null: ${JSON.stringify(plain(frame))}`);
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}
