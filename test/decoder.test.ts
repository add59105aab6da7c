/**
 * The request decoder, with its input cut in every way: the answer must never depend on where a chunk ends.
 *
 * What is expected of framing errors and of quoting was compared with redis-server 7.0.15, but for the two
 * places where the decoder's head says that it is stricter.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ARGUMENT_BYTES_MAX,
  ARGUMENTS_MAX,
  KiB,
  MiB,
  REQUEST_BYTES_MAX,
} from "../server/limits.ts";
import { FAULT, type Fault, MORE, REQUEST, RequestDecoder } from "../server/resp/decoder.ts";

/** A decoded request's arguments, one character a byte; or a fault. */
type Decoded = string[] | Fault;

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function currentArguments(decoder: RequestDecoder): string[] {
  return Array.from({ length: decoder.count }, (_, i) => {
    const start = decoder.starts[i] ?? -1;
    expect(start).toBeGreaterThanOrEqual(decoder.requestStart);
    expect(start + (decoder.lengths[i] ?? -1)).toBeLessThanOrEqual(decoder.requestEnd);
    expect(decoder.requestEnd).toBeLessThanOrEqual(decoder.end);
    return textOf(decoder.bytes.subarray(start, start + (decoder.lengths[i] ?? -1)));
  });
}

/** Decodes all there is, at most `requestsMax` requests. */
function drain(decoder: RequestDecoder, decoded: Decoded[], requestsMax = Infinity): void {
  for (let requests = 0; requests < requestsMax; requests++) {
    const status = decoder.next();
    if (status === MORE) return;
    if (status === FAULT) {
      decoded.push(decoder.fault as Fault);
      if (decoder.fault?.closes) return;
    } else {
      decoded.push(currentArguments(decoder));
    }
  }
}

/** Gives a chunk as the socket does: its memory is used again as soon as it is released. */
function feed(
  decoder: RequestDecoder,
  chunk: Uint8Array,
  decoded: Decoded[],
  requestsMax = Infinity,
): void {
  const lent = chunk.slice();
  decoder.push(lent);
  drain(decoder, decoded, requestsMax);
  decoder.release();
  lent.fill(0xee);
}

function decode(input: Uint8Array, cuts: readonly number[], unauthenticated = false): Decoded[] {
  const decoder = new RequestDecoder();
  decoder.unauthenticated = unauthenticated;
  const decoded: Decoded[] = [];
  const ends = [...cuts, input.length];
  let start = 0;
  for (const end of ends) {
    feed(decoder, input.subarray(start, end), decoded);
    start = end;
    if (decoder.fault?.closes) break;
  }
  return decoded;
}

/** Checks a case whole, byte by byte, and cut at every single point. */
function expectDecoded(text: string, expected: Decoded[], unauthenticated = false): void {
  const input = bytesOf(text);
  expect(decode(input, [], unauthenticated), "whole").toEqual(expected);
  const every = Array.from(input, (_, i) => i);
  expect(decode(input, every, unauthenticated), "byte by byte").toEqual(expected);
  for (const cut of every) {
    expect(decode(input, [cut], unauthenticated), `cut at byte ${cut}`).toEqual(expected);
  }
}

function protocolError(text: string): Fault {
  return { code: "ERR", text: `Protocol error: ${text}`, closes: true };
}

function tooLargeError(limit: string, limitValue: number, asked: number, closes: boolean): Fault {
  const text = `${limit} is limited to ${limitValue}, but ${asked} was asked`;
  return { code: "TOOLARGE", text, closes };
}

function multibulk(...args: (string | Uint8Array)[]): string {
  const texts = args.map((arg) => (typeof arg === "string" ? arg : textOf(arg)));
  return `*${args.length}\r\n${texts.map((text) => `$${text.length}\r\n${text}\r\n`).join("")}`;
}

const ping = ["PING"];
const pingRequest = multibulk("PING");

describe("whole requests", () => {
  test.each<[string, string, Decoded[]]>([
    ["one argument", "*1\r\n$4\r\nPING\r\n", [ping]],
    ["several", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n", [["SET", "k", "vv"]]],
    ["an empty argument", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [["ECHO", ""]]],
    [
      "line ends inside an argument",
      multibulk("ECHO", "a\r\n$1\r\nb\r\n"),
      [["ECHO", "a\r\n$1\r\nb\r\n"]],
    ],
    [
      "all bytes",
      multibulk(
        "ECHO",
        Uint8Array.from({ length: 256 }, (_, i) => i),
      ),
      [["ECHO", String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))]],
    ],
    ["a pipeline", pingRequest + multibulk("ECHO", "a") + pingRequest, [ping, ["ECHO", "a"], ping]],
    ["an array without elements is ignored", `*0\r\n${pingRequest}`, [ping]],
    ["a null array is ignored", `*-1\r\n${pingRequest}`, [ping]],
    [
      "more arguments than the tables hold at first",
      multibulk(..."x".repeat(70)),
      [Array.from({ length: 70 }, () => "x")],
    ],
    [
      "inline and multibulk in turn",
      `PING\r\n${pingRequest}PING a\r\n`,
      [ping, ping, ["PING", "a"]],
    ],
    ["an incomplete request", "*2\r\n$4\r\nECHO\r\n$5\r\nab", []],
    ["nothing", "", []],
  ])("%s", (_name, input, expected) => {
    expectDecoded(input, expected);
  });
});

describe("inline requests", () => {
  test.each<[string, string, Decoded[]]>([
    ["ends with CR LF", "PING\r\n", [ping]],
    ["ends with LF", "PING\n", [ping]],
    ["empty lines are ignored", "\r\n\n   \r\nPING\r\n", [ping]],
    ["blanks around words", "  ECHO \t a  \r\n", [["ECHO", "a"]]],
    ["vertical tab and form feed before a word", "PING \x0b\x0ca\r\n", [["PING", "a"]]],
    ["a carriage return between words", "PING a\rb\r\n", [["PING", "a", "b"]]],
    ["double quotes", 'ECHO "a b"\r\n', [["ECHO", "a b"]]],
    ["single quotes", "ECHO 'a b'\r\n", [["ECHO", "a b"]]],
    ["empty quotes", `ECHO "" ''\r\n`, [["ECHO", "", ""]]],
    ["escapes", 'ECHO "\\x41\\n\\r\\t\\b\\a\\q\\"\\\\"\r\n', [["ECHO", 'A\n\r\t\b\x07q"\\']]],
    ["an x without two digits", 'ECHO "\\xZZ \\x4"\r\n', [["ECHO", "xZZ x4"]]],
    ["an escaped apostrophe", "ECHO 'a\\'b\\\\c\\n'\r\n", [["ECHO", "a'b\\\\c\\n"]]],
    ["quotes that begin within a word", `ECHO a"b c"\r\n`, [["ECHO", "ab c"]]],
    ["a backslash outside of quotes", "ECHO a\\ b\r\n", [["ECHO", "a\\", "b"]]],
    [
      "the seed's JSON",
      `EAPPEND u N PAYLOAD '{"email":"a@b.c"}'\r\n`,
      [["EAPPEND", "u", "N", "PAYLOAD", '{"email":"a@b.c"}']],
    ],
    [
      "quoted lines in a pipeline",
      `${pingRequest}ECHO "a b"\r\nECHO 'c d'\n${pingRequest}`,
      [ping, ["ECHO", "a b"], ["ECHO", "c d"], ping],
    ],
    ["a bulk header on its own is a word", "$4\r\nPING\r\n", [["$4"], ping]],
    ["a quote that is not closed", 'ECHO "a\r\n', [protocolError("unbalanced quotes in request")]],
    [
      "an apostrophe that is not closed",
      "ECHO 'a\\'\r\n",
      [protocolError("unbalanced quotes in request")],
    ],
    [
      "a backslash at the end of quotes",
      'ECHO "a\\\r\n',
      [protocolError("unbalanced quotes in request")],
    ],
    [
      "a quote closed within a word",
      `ECHO "a"b\r\n`,
      [protocolError("unbalanced quotes in request")],
    ],
    [
      "what follows an error is not decoded",
      `ECHO "\r\n${pingRequest}`,
      [protocolError("unbalanced quotes in request")],
    ],
    [
      "a web page's POST",
      `POST / HTTP/1.1\r\n${pingRequest}`,
      [{ code: "ERR", text: "", closes: true }],
    ],
    ["a web page's Host", `host: a\r\n${pingRequest}`, [{ code: "ERR", text: "", closes: true }]],
    ["words that only begin like these", "POSTS\r\nHost\r\n", [["POSTS"], ["Host"]]],
  ])("%s", (_name, input, expected) => {
    expectDecoded(input, expected);
  });
});

describe("framing errors", () => {
  const multibulkLength = [protocolError("invalid multibulk length")];
  const bulkLength = [protocolError("invalid bulk length")];
  test.each<[string, Decoded[]]>([
    ["*abc\r\n", multibulkLength],
    ["*\r\n", multibulkLength],
    ["*+1\r\n", multibulkLength],
    ["*01\r\n", multibulkLength],
    ["* 1\r\n", multibulkLength],
    ["*1 \r\n", multibulkLength],
    ["*1.0\r\n", multibulkLength],
    ["*-0\r\n", multibulkLength],
    ["*-2\r\n", multibulkLength],
    ["*-99999999999999999999\r\n", multibulkLength],
    ["*2147483648\r\n", multibulkLength],
    ["*999999999999999999999999999\r\n", multibulkLength],
    ["*1\r\r", multibulkLength],
    ["*1\n$4\r\n", multibulkLength],
    ["*1\r\n$-1\r\n", bulkLength],
    ["*1\r\n$-0\r\n", bulkLength],
    ["*1\r\n$\r\n", bulkLength],
    ["*1\r\n$+4\r\n", bulkLength],
    ["*1\r\n$04\r\n", bulkLength],
    ["*1\r\n$4x\r\n", bulkLength],
    ["*1\r\n$abc\r\n", bulkLength],
    ["*1\r\n$536870913\r\n", bulkLength],
    ["*1\r\n$99999999999\r\n", bulkLength],
    ["*1\r\n$99999999999999999999999999\r\n", bulkLength],
    ["*1\r\n$4\n\n", bulkLength],
    ["*1\r\n$4\r\nPINGS\r\n", bulkLength],
    ["*1\r\n$4\r\nPIN\r\n\r\n", bulkLength],
    ["*1\r\nPING\r\n", [protocolError("expected '$', got 'P'")]],
    ["*1\r\n:1\r\n", [protocolError("expected '$', got ':'")]],
    ["*1\r\n*1\r\n", [protocolError("expected '$', got '*'")]],
    ["*1\r\n\r\n", [protocolError("expected '$', got ' '")]],
    ["*1\r\n\x00\r\n", [protocolError("expected '$', got '\\x00'")]],
    ["*1\r\n\xff\r\n", [protocolError("expected '$', got '\\xff'")]],
    ["*2\r\n$4\r\nPING\r\nx", [protocolError("expected '$', got 'x'")]],
  ])("%j", (input, expected) => {
    expectDecoded(input + pingRequest, expected);
    expectDecoded(pingRequest + input, [ping, ...expected]);
  });

  test.each(["*x", "*1x", "*\n", "*1\r\n$x", "*1\r\n$4\n"])(
    "%j is answered before its line ends",
    (input) => {
      const [fault] = decode(bytesOf(input), []);
      expect(fault).toMatchObject({ closes: true });
    },
  );

  test("nothing is decoded after one", () => {
    const decoder = new RequestDecoder();
    const decoded: Decoded[] = [];
    feed(decoder, bytesOf(`*x\r\n${pingRequest}`), decoded);
    feed(decoder, bytesOf(pingRequest), decoded);
    expect(decoded).toEqual([
      protocolError("invalid multibulk length"),
      protocolError("invalid multibulk length"),
    ]);
    expect(decoder.heldBytes).toBe(0);
  });

  const line = "1".repeat(64 * KiB);
  test.each<[string, string, Decoded[]]>([
    ["an inline request without an end", line, [protocolError("too big inline request")]],
    ["a line that ends too late", `${line}\r\n`, [protocolError("too big inline request")]],
    [
      "a multibulk header without an end",
      `*${line}`,
      [protocolError("too big mbulk count string")],
    ],
    [
      "a bulk header without an end",
      `*1\r\n$${line}`,
      [protocolError("too big bulk count string")],
    ],
    ["the longest line", `${line.slice(2)}\r\n`, [[line.slice(2)]]],
  ])("%s", (_name, text, expected) => {
    const input = bytesOf(text);
    expect(decode(input, [])).toEqual(expected);
    expect(
      decode(
        input,
        Array.from(input, (_, i) => i),
      ),
    ).toEqual(expected);
  });
});

describe("before authentication", () => {
  const ten = Array.from({ length: 10 }, () => "a");
  test.each<[string, Decoded[]]>([
    [multibulk(...ten), [ten]],
    ["*11\r\n", [protocolError("unauthenticated multibulk length")]],
    ["*65537\r\n", [protocolError("unauthenticated multibulk length")]],
    ["*-2\r\n", [protocolError("invalid multibulk length")]],
    ["*1\r\n$16384\r\n", []],
    ["*1\r\n$16385\r\n", [protocolError("unauthenticated bulk length")]],
    ["*1\r\n$9000000\r\n", [protocolError("unauthenticated bulk length")]],
    ["*1\r\n$-1\r\n", [protocolError("invalid bulk length")]],
  ])("%j", (input, expected) => {
    expectDecoded(input, expected, true);
  });
});

describe("limits", () => {
  /** Decodes what a list of parts gives, in chunks as a socket has them; returns the most bytes held. */
  function decodeParts(parts: readonly Uint8Array[], chunkSize: number): [Decoded[], number] {
    const decoder = new RequestDecoder();
    const decoded: Decoded[] = [];
    let heldMax = 0;
    for (const part of parts) {
      for (let start = 0; start < part.length; start += chunkSize) {
        feed(decoder, part.subarray(start, start + chunkSize), decoded);
        heldMax = Math.max(heldMax, decoder.bytes.length);
      }
    }
    return [decoded, heldMax];
  }

  const big = (size: number) => new Uint8Array(size).fill(0x61);
  const oversized = ARGUMENT_BYTES_MAX + 1;
  const skipped = tooLargeError(
    "size of an argument in bytes",
    ARGUMENT_BYTES_MAX,
    oversized,
    false,
  );

  test("the largest argument is taken, and its memory given back", () => {
    const decoder = new RequestDecoder();
    const decoded: Decoded[] = [];
    const input = bytesOf(`*2\r\n$4\r\nECHO\r\n$${ARGUMENT_BYTES_MAX}\r\n`);
    feed(decoder, input, decoded);
    for (let i = 0; i < 128; i++) feed(decoder, big(64 * KiB), decoded);
    expect(decoder.heldBytes).toBe(input.length + ARGUMENT_BYTES_MAX);
    decoder.push(bytesOf("\r\n"));
    expect(decoder.next()).toBe(REQUEST);
    expect(decoder.lengths[1]).toBe(ARGUMENT_BYTES_MAX);
    decoder.release();
    expect(decoder.heldBytes).toBe(0);
    expect(decoder.bytes.length).toBeLessThanOrEqual(16 * KiB);
  });

  test.each([64 * KiB, 1 * MiB + 7, 64 * MiB])(
    "a larger one is passed over, in chunks of %i bytes",
    (chunkSize) => {
      const [decoded, heldMax] = decodeParts(
        [
          bytesOf(`${pingRequest}*4\r\n$4\r\nECHO\r\n$3\r\nabc\r\n$${oversized}\r\n`),
          big(oversized),
          bytesOf(`\r\n$5\r\nafter\r\n${pingRequest}`),
        ],
        chunkSize,
      );
      expect(decoded).toEqual([ping, skipped, ping]);
      expect(heldMax).toBeLessThanOrEqual(16 * KiB);
    },
  );

  test("a request that ends with one is passed over, cut at every point around its end", () => {
    const head = bytesOf(`*1\r\n$${oversized}\r\n`);
    const tail = `\r\n${pingRequest}`;
    for (let cut = 0; cut <= tail.length; cut++) {
      const parts = [bytesOf(tail.slice(0, cut)), bytesOf(tail.slice(cut))];
      const [decoded] = decodeParts([head, big(oversized), ...parts], 64 * MiB);
      expect(decoded, `cut at ${cut}`).toEqual([skipped, ping]);
    }
  });

  test("a framing error within a request that is passed over closes", () => {
    const head = bytesOf(`*2\r\n$${oversized}\r\n`);
    const tails: [string, Fault][] = [
      ["xx", protocolError("invalid bulk length")],
      ["\r\nx", protocolError("expected '$', got 'x'")],
      ["\r\n$-1\r\n", protocolError("invalid bulk length")],
    ];
    for (const [tail, fault] of tails) {
      expect(decodeParts([head, big(oversized), bytesOf(tail)], 1 * MiB)[0]).toEqual([fault]);
    }
  });

  test("a request above the limit closes as soon as a header says so", () => {
    const claim = REQUEST_BYTES_MAX;
    const asked = `*1\r\n$${claim}\r\n`.length + claim + 2;
    expectDecoded(`*1\r\n$${claim}\r\n`, [
      tooLargeError("size of a request in bytes", REQUEST_BYTES_MAX, asked, true),
    ]);
    // Bytes that were passed over count as well.
    const head = `*2\r\n$${oversized}\r\n`;
    const [decoded] = decodeParts(
      [bytesOf(head), big(oversized), bytesOf(`\r\n$${oversized}\r\n`)],
      1 * MiB,
    );
    const total = head.length + 2 * (oversized + 2) + `$${oversized}\r\n`.length;
    expect(decoded).toEqual([
      tooLargeError("size of a request in bytes", REQUEST_BYTES_MAX, total, true),
    ]);
  });

  test("a request of exactly the limit is taken", () => {
    const args = [8 * MiB, 8 * MiB - 64].map(big);
    const head = `*3\r\n$${args[0]?.length}\r\n`;
    const middle = `\r\n$${args[1]?.length}\r\n`;
    // The last argument fills what is left; its own length has two digits.
    const spent = head.length + middle.length + 16 * MiB - 64 + "\r\n$10\r\n\r\n".length;
    const last = "x".repeat(REQUEST_BYTES_MAX - spent);
    expect(String(last.length)).toHaveLength(2);
    const decoder = new RequestDecoder();
    for (const part of [bytesOf(head), args[0], bytesOf(middle), args[1]]) {
      decoder.push(part as Uint8Array);
      expect(decoder.next()).toBe(MORE);
      decoder.release();
    }
    decoder.push(bytesOf(`\r\n$${last.length}\r\n${last}\r\n`));
    expect(decoder.next()).toBe(REQUEST);
    expect(decoder.requestEnd - decoder.requestStart).toBe(REQUEST_BYTES_MAX);
    expect(decoder.count).toBe(3);
  });

  test("more arguments than the limit close at once", () => {
    expectDecoded(`*${ARGUMENTS_MAX + 1}\r\n`, [
      tooLargeError("number of arguments in a request", ARGUMENTS_MAX, ARGUMENTS_MAX + 1, true),
    ]);
  });

  test("as many arguments as the limit arrive byte by byte", () => {
    const input = bytesOf(`*${ARGUMENTS_MAX}\r\n${"$1\r\na\r\n".repeat(ARGUMENTS_MAX)}`);
    const decoder = new RequestDecoder();
    for (let i = 0; i < input.length - 1; i++) {
      decoder.push(input.subarray(i, i + 1));
      if (decoder.next() !== MORE) throw new Error(`decoded at byte ${i}`);
      decoder.release();
    }
    decoder.push(input.subarray(input.length - 1));
    expect(decoder.next()).toBe(REQUEST);
    expect(new Set(currentArguments(decoder))).toEqual(new Set(["a"]));
    expect(decoder.count).toBe(ARGUMENTS_MAX);
    decoder.release();
    expect(decoder.starts.length).toBeLessThanOrEqual(1_024);
  });

  test("a claimed length takes no memory", () => {
    for (const claim of [`*${ARGUMENTS_MAX}\r\n`, `*1\r\n$${ARGUMENT_BYTES_MAX}\r\nabc`]) {
      const decoder = new RequestDecoder();
      feed(decoder, bytesOf(claim), []);
      expect(decoder.heldBytes).toBe(claim.length);
      expect(decoder.bytes.length).toBeLessThanOrEqual(4 * KiB);
      expect(decoder.starts.length).toBeLessThanOrEqual(32);
    }
  });
});

describe("a connection that stops early", () => {
  test("keeps whole requests, and decodes them later without new bytes", () => {
    const decoder = new RequestDecoder();
    const decoded: Decoded[] = [];
    feed(
      decoder,
      bytesOf(multibulk("A") + multibulk("B") + multibulk("C").slice(0, 6)),
      decoded,
      1,
    );
    expect(decoded).toEqual([["A"]]);
    expect(decoder.heldBytes).toBe(multibulk("B").length + 6);
    feed(decoder, bytesOf(multibulk("C").slice(6)), decoded, 0);
    drain(decoder, decoded);
    decoder.release();
    expect(decoded).toEqual([["A"], ["B"], ["C"]]);
    expect(decoder.heldBytes).toBe(0);
  });

  test("tells a copy's owner when the bytes behind it have changed", () => {
    const decoder = new RequestDecoder();
    decoder.push(bytesOf(`${pingRequest}ECHO a\r\nECHO "b"\r\n`));
    const revisions: number[] = [];
    while (decoder.next() === REQUEST) revisions.push(decoder.revision);
    expect(revisions[1]).toBe(revisions[0]);
    expect(revisions[2]).toBeGreaterThan(revisions[1] ?? 0);
  });
});

test("any requests, cut anywhere, with stops anywhere, come out as they went in", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  console.info(`decoder: SEED=${seed}`);
  const argument = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom("", "\r\n", "*1\r\n", "$5\r\n", "'", '"', "\\", " ").map(bytesOf),
    fc.integer({ min: 3_000, max: 9_000 }).map((size) => new Uint8Array(size).fill(0x0d)),
  );
  const request = fc.record({
    args: fc.array(argument, { minLength: 1, maxLength: 40 }),
    inline: fc.boolean(),
  });
  const quoted = (bytes: Uint8Array) =>
    `"${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}"`;
  const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat({ max: 3 })), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 8 }), sizes, (requests, steps) => {
      const texts = requests.map(({ args, inline }) => {
        const line = `${args.map(quoted).join(" ")}\r\n`;
        const first = textOf(args[0] as Uint8Array).toUpperCase();
        const fits = line.length <= 64 * KiB && first !== "POST" && first !== "HOST:";
        return inline && fits ? line : multibulk(...args);
      });
      const input = bytesOf(texts.join(""));
      const decoder = new RequestDecoder();
      const decoded: Decoded[] = [];
      let start = 0;
      for (let step = 0; start < input.length; step++) {
        const [size, requestsMax] = steps[step % steps.length] as [number, number];
        feed(decoder, input.subarray(start, start + size), decoded, requestsMax);
        start += size;
      }
      drain(decoder, decoded);
      decoder.release();
      expect(decoded).toEqual(requests.map(({ args }) => args.map(textOf)));
      expect(decoder.heldBytes).toBe(0);
    }),
    { seed, numRuns: 300 },
  );
});
