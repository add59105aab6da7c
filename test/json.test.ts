/**
 * JSON in the core: events as HTTP gives them, against the shell's own form of them and against JSON.parse; and what
 * is taken for JSON, against JSON.parse.
 *
 * SEED chooses the random bytes; a test that fails says which.
 */
import { describe, expect, test } from "vitest";
import { Encoding } from "../server/core/encoding.ts";
import { OutputArea } from "../server/core/output-area.ts";
import { JSON_DEPTH_MAX, MiB } from "../server/limits.ts";
import { EventStore } from "../server/store/event-store.ts";
import { storedEventJson } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append, readAll } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
const random = new Random(SEED);
const store = EventStore.open({
  disk: new SimulatedDisk({ random: new Random(SEED) }).boot(),
  folder: "/data",
  partitions: 4,
  segmentBytes: 16 * MiB,
  durability: "fsync",
  strict: false,
  clock: () => 1_700_000_000_000,
  random: (target) => random.fill(target),
  log: () => {},
  syncPlace: "loop",
  schedules: false,
});
const { core } = store;
const area = new OutputArea(core, MiB);
const input = core.allocate(MiB);

/** What all events are, as a scan of the core writes them. */
function scanned(encoding: Encoding): string[] {
  const found: string[] = [];
  let from = 0;
  while (true) {
    const range = { from, to: Infinity, count: 50, isReverse: false };
    store.openLogScan(range);
    const { eventCount } = store.writeScan(area, encoding);
    const text = core.text(area.origin, area.length);
    area.clear();
    if (eventCount === 0) return found;
    // Every event ends with its recorded_at and is followed by a comma; a line break never stands in one.
    found.push(
      ...text
        .replaceAll(/("recorded_at":\d+\}),/g, "$1\n")
        .split("\n")
        .slice(0, -1),
    );
    from += eventCount;
  }
}

/** Whether the core takes the bytes for JSON that can stand in other JSON. */
function embeds(bytes: Uint8Array): boolean {
  core.memory.set(bytes, input);
  core.memory.fill(0x31, input + bytes.length, input + bytes.length + 16); // digits behind must not count
  return core.exports.jsonEmbeds(input, bytes.length) !== 0;
}

/** Whether they are JSON by the platform's own parser; bytes that are no UTF-8 are not. */
function isJsonByPlatform(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Whether they are JSON that has no white space around it and no carriage return in it. */
function embedsByPlatform(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString("latin1");
  return isJsonByPlatform(bytes) && !/^[ \t\r\n]|\r|[ \t\r\n]$/.test(text);
}

const CHARACTERS = ["a", "9", " ", '"', "\\", "\n", "\r", "\t", "\b", "\f", "\0", "\x1f", "\x7f"];
const WIDE = ["é", "ß", "€", "\u2028", "\ufeff", "\uffff", "😀", "\u{10ffff}"];

function randomText(length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    text += random.chance(0.5) ? "plain" : random.pick(random.chance(0.7) ? CHARACTERS : WIDE);
  }
  return text;
}

function randomData(): Uint8Array {
  const kind = random.below(6);
  if (kind === 0) return random.bytes(random.below(60));
  if (kind === 1) return Buffer.from(JSON.stringify(randomValue(3)));
  if (kind === 2) return Buffer.from(randomText(2_000));
  if (kind === 3) return random.bytes(5_000 + random.below(5_000));
  return Buffer.from(randomText(random.below(30)));
}

function randomValue(depth: number): unknown {
  const kind = random.below(depth === 0 ? 5 : 7);
  if (kind === 0) return randomText(random.below(8));
  if (kind === 1) return random.uint32() - 2 ** 31;
  if (kind === 2) return (random.uint32() - 2 ** 31) * 10 ** (random.below(60) - 30);
  if (kind === 3) return random.chance(0.5);
  if (kind === 4) return null;
  const items = Array.from({ length: random.below(5) }, () => randomValue(depth - 1));
  if (kind === 5) return items;
  return Object.fromEntries(items.map((item) => [randomText(random.below(4)), item]));
}

const idText = (length: number): string =>
  [...randomText(length).replaceAll(/[\0\r\n]/g, "")].slice(0, 30).join("") || "s";

describe(`events as JSON (SEED=${SEED})`, () => {
  test("are written as the shell writes them, byte for byte", async () => {
    for (let i = 0; i < 400; i++) {
      await append(store, [
        {
          stream: idText(6),
          name: idText(6),
          payload: randomData(),
          metadata: random.chance(0.5) ? randomData() : new Uint8Array(0),
        },
      ]);
    }
    const events = readAll(store);
    expect(events).toHaveLength(400);
    const texts = scanned(Encoding.json);
    expect(texts).toHaveLength(400);
    for (const [i, event] of events.entries()) expect(texts[i]).toBe(storedEventJson(event));
  });

  test("carry data that is JSON as such where that is asked for", () => {
    const events = readAll(store);
    const documents = new Set<string>();
    let at = 0;
    for (const event of events) {
      store.openLogScan({ from: event.position, to: event.position, count: 1, isReverse: false });
      store.writeScan(area, Encoding.jsonData);
      const text = core.text(area.origin, area.length - 1);
      area.clear();
      const parsed = JSON.parse(text);
      for (const name of ["payload", "metadata"] as const) {
        const bytes = event[name];
        const expected = embedsByPlatform(bytes) ? `${name}_json` : name;
        documents.add(expected);
        if (embedsByPlatform(bytes)) {
          expect(text).toContain(`"${name}_json":${Buffer.from(bytes)},"`);
          expect(parsed[`${name}_json`]).toEqual(JSON.parse(Buffer.from(bytes).toString()));
          expect(parsed).not.toHaveProperty(name);
        } else {
          const plain = JSON.parse(storedEventJson(event));
          expect(parsed[name]).toBe(plain[name]);
          expect(parsed[`${name}_base64`]).toBe(plain[`${name}_base64`]);
        }
      }
      at++;
    }
    expect(at).toBe(400);
    expect(documents).toEqual(new Set(["payload", "payload_json", "metadata", "metadata_json"]));
  });

  test("of the largest control characters fit their area", async () => {
    const payload = new Uint8Array(4 * MiB).fill(1);
    const { events } = await append(store, [{ stream: "large", name: "Large", payload }]);
    const { position = -1 } = events[0] ?? {};
    store.openLogScan({ from: position, to: position, count: 1, isReverse: false });
    store.writeScan(area, Encoding.json);
    const text = core.text(area.origin, area.length - 1);
    area.clear();
    expect(JSON.parse(text).payload).toBe("\x01".repeat(payload.length));
  });
});

describe("what is taken for JSON", () => {
  const cases: readonly [string, boolean][] = [
    ["", false],
    [" ", false],
    ["0", true],
    ["-0", true],
    ["00", false],
    ["-", false],
    ["+1", false],
    ["1.", false],
    [".5", false],
    ["1.5e", false],
    ["1e+", false],
    ["1E-07", true],
    ["9007199254740993.00000000000000000001", true],
    ["NaN", false],
    ["nul", false],
    ["null", true],
    ["truE", false],
    ["false", true],
    ["fals", false],
    ["[ \n\t] ", false],
    [" 1", false],
    ["\n1", false],
    ["1\t", false],
    ["[ \n\t]", true],
    ["[\r]", false],
    ['{"a":\r\n1}', false],
    ['{"a":"\\r\\n"}', true],
    ["[1,]", false],
    ["[,1]", false],
    ["[1 2]", false],
    ["[1}", false],
    ['{"a":1}', true],
    ['{"a":1,}', false],
    ['{"a"}', false],
    ["{a:1}", false],
    ['{"a":1,"a":2}', true],
    ['{"a" : [ {} , [ ] ] }', true],
    ["{} {}", false],
    ["1 2", false],
    ['"\\u00e9\\ud800"', true],
    ['"\\u00g0"', false],
    ['"\\x41"', false],
    ['"\\"', false],
    ['"a', false],
    ['"tab\t"', false],
    ["\ufeff1", false],
    ["\u00a01", false],
    ["\v1", false],
  ];
  test.each(cases)("%j: %s", (text, expected) => {
    const bytes = Buffer.from(text);
    expect(embedsByPlatform(bytes)).toBe(expected);
    expect(embeds(bytes)).toBe(expected);
  });

  test("is what JSON.parse takes, over documents with random faults", () => {
    let valid = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(JSON.stringify(randomValue(4), null, random.below(2)));
      for (let faults = random.below(3); faults > 0 && bytes.length > 0; faults--) {
        const at = random.below(bytes.length);
        bytes[at] = random.chance(0.6)
          ? (random.pick([...'{}[]",:\\0eE+-.tn/u \n\r']).charCodeAt(0) as number)
          : random.below(256);
      }
      const cut = random.chance(0.1) ? random.below(bytes.length + 1) : bytes.length;
      const document = bytes.subarray(0, cut);
      const expected = embedsByPlatform(document);
      if (expected) valid++;
      expect(embeds(document), `SEED=${SEED}: ${document.toString("latin1")}`).toBe(expected);
    }
    expect(valid).toBeGreaterThan(1_000);
    expect(valid).toBeLessThan(19_000);
  });

  test("is no deeper than its bound, whatever the nesting", () => {
    const nested = (depth: number): Buffer => Buffer.from("[".repeat(depth) + "]".repeat(depth));
    expect(embeds(nested(JSON_DEPTH_MAX))).toBe(true);
    expect(embeds(nested(JSON_DEPTH_MAX + 1))).toBe(false);
    expect(embeds(Buffer.from("[".repeat(500_000)))).toBe(false);
    const objects = '{"a":'.repeat(JSON_DEPTH_MAX);
    expect(embeds(Buffer.from(`${objects}1${"}".repeat(JSON_DEPTH_MAX)}`))).toBe(true);
  });
});
