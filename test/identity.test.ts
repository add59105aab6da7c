/**
 * What events are named and numbered by, as a client sees it: keys, partitions, ids, and the shapes of replies.
 *
 * Keys and partitions are computed here a second time, with the npm uuid package and with bigint, since clients may
 * compute them as well. `SEED=n` chooses the random texts.
 */
import { v5 as uuidV5 } from "uuid";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Random } from "./support/random.ts";
import {
  asMaps,
  encode,
  type Frame,
  type PlainMap,
  RespClient,
  type Word,
} from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? Date.now());
const NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
const PARTITIONS = 32;
const KEY = "550e8400-e29b-41d4-a716-446655440000";
const HASH_SHIFT = 46n;
const HASH_MASK = 0xffffn;

let cairn: Cairn;
let client: RespClient;

beforeAll(async () => {
  cairn = await startCairn();
});
beforeEach(async () => {
  client = await RespClient.connect3(cairn.respPort);
});
afterEach(() => client.close());
afterAll(async () => {
  expect(await cairn.stop()).toBe(0);
});

function hashOf(uuid: unknown): bigint {
  return (BigInt(`0x${String(uuid).replaceAll("-", "")}`) >> HASH_SHIFT) & HASH_MASK;
}

function partitionOf(uuid: unknown): number {
  return Number(hashOf(uuid) % BigInt(PARTITIONS));
}

/** Texts of one to a few hundred characters, of all lengths around the blocks that SHA-1 works in. */
function randomTexts(random: Random, count: number): string[] {
  const characters = [..."abcxyz019-_:/ *?[]{}äß€日本🎉"];
  return Array.from({ length: count }, (_, n) => {
    const length = n < 130 ? n + 1 : random.between(1, 60);
    let text = "";
    while (text.length < length) text += random.pick(characters);
    return `${text}k`; // a text of digits and the like alone would be no key
  });
}

describe(`partition keys (seed ${SEED})`, () => {
  test("without one, a stream's key is the UUIDv5 of its id", async () => {
    const texts = randomTexts(new Random(SEED), 200).filter(
      (text) => Buffer.byteLength(text) < 250,
    );
    for (const stream of texts) {
      const reply = await client.map("EAPPEND", `1${stream}`, "E");
      expect(reply.partition_key, stream).toBe(uuidV5(`1${stream}`, NAMESPACE));
      expect(reply.partition_id).toBe(partitionOf(reply.partition_key));
    }
  });

  test("any other text is the UUIDv5 of its bytes", async () => {
    for (const [n, text] of randomTexts(new Random(SEED + 1), 200).entries()) {
      const reply = await client.map("EAPPEND", `text-key-${n}`, "E", "PARTITION_KEY", text);
      expect(reply.partition_key, text).toBe(uuidV5(text, NAMESPACE));
      expect(reply.partition_id).toBe(partitionOf(reply.partition_key));
    }
  });

  test("a UUID is used as it is, and chooses the partition by its bits 46 to 61", async () => {
    const random = new Random(SEED + 2);
    for (let n = 0; n < 100; n++) {
      const digits = Array.from({ length: 32 }, () => random.below(16).toString(16)).join("");
      const key = digits.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
      const reply = await client.map("EAPPEND", `uuid-key-${n}`, "E", "PARTITION_KEY", key);
      expect(reply.partition_key).toBe(key);
      expect(reply.partition_id).toBe(partitionOf(key));
    }
  });

  test("a UUID's other forms are the same key, everywhere a key is taken", async () => {
    const key = "a50e8400-e29b-41d4-a716-44665544beef";
    const forms = [
      key,
      key.toUpperCase(),
      key.replaceAll("-", ""),
      `{${key}}`,
      `urn:uuid:${key}`,
      `URN:UUID:${key.toUpperCase()}`,
      `{${key.toUpperCase()}}`,
    ];
    for (const [n, form] of forms.entries()) {
      const reply = await client.map("EAPPEND", "forms", "E", "PARTITION_KEY", form);
      expect([reply.partition_key, reply.stream_version]).toEqual([key, n * 2]);
      const transaction = await client.map("EMAPPEND", form, "forms", "E");
      expect(transaction.partition_key).toBe(key);
      expect(await client.value("ESVER", "forms", "PARTITION_KEY", form)).toBe(n * 2 + 1);
      const sequence = await client.value("EPSEQ", partitionOf(key));
      expect(await client.value("EPSEQ", form)).toBe(sequence);
      expect(await client.events("EPSCAN", form, Number(sequence), "+")).toHaveLength(1);
    }
    expect(await client.events("ESCAN", "forms", "-", "+", "PARTITION_KEY", key)).toHaveLength(
      forms.length * 2,
    );
  });

  test("a key of digits alone is a UUID where it has a UUID's form", async () => {
    const key = "12345678-1234-1234-1234-123456789012";
    const reply = await client.map("EAPPEND", "digits", "E", "PARTITION_KEY", key);
    expect(reply.partition_key).toBe(key);
    const plain32 = key.replaceAll("-", "");
    expect(await client.value("EPSEQ", plain32)).toBe(
      await client.value("EPSEQ", partitionOf(key)),
    );
  });

  test("a stream keeps the key of its first event", async () => {
    await client.map("EAPPEND", "keeps", "E", "PARTITION_KEY", "tenant-7");
    const own = uuidV5("tenant-7", NAMESPACE);
    expect((await client.map("EAPPEND", "keeps", "E")).partition_key).toBe(own);
    const transaction = await client.map("EMAPPEND", "*", "keeps", "E");
    expect(asMaps(transaction.events)[0]?.partition_key).toBe(own);
    expect(await client.events("ESCAN", "keeps", "-", "+")).toHaveLength(3);
  });
});

describe("event ids", () => {
  test("are UUIDv7 of the server's clock with the partition's hash in bits 46 to 61", async () => {
    const before = Date.now();
    const replies: PlainMap[] = [];
    for (let n = 0; n < 100; n++) replies.push(await client.map("EAPPEND", `made-${n}`, "E"));
    const after = Date.now();
    for (const reply of replies) {
      const id = String(reply.event_id);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(hashOf(id)).toBe(hashOf(reply.partition_key));
      const madeAt = Number(BigInt(`0x${id.replaceAll("-", "").slice(0, 12)}`));
      expect(madeAt).toBeGreaterThanOrEqual(before);
      expect(madeAt).toBeLessThanOrEqual(after);
    }
    expect(new Set(replies.map((reply) => reply.event_id)).size).toBe(replies.length);
  });

  test("any UUID may be given, and is shown in its plain form", async () => {
    const given = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    for (const form of [given, "00000000-0000-0000-0000-000000000000"]) {
      const reply = await client.map("EAPPEND", "given", "E", "EVENT_ID", form);
      expect(reply.event_id).toBe(form);
    }
    const event = await client.map("EGET", `{${given.toUpperCase()}}`);
    expect(event).toMatchObject({ event_id: given, stream_id: "given", stream_version: 0 });
    expect(await client.map("EGET", given.replaceAll("-", ""))).toEqual(event);
  });
});

test("names and data are any legal bytes, and come back as they were sent", async () => {
  const random = new Random(SEED + 3);
  const data = Uint8Array.from({ length: 1_000 }, () => random.below(256));
  const stream = `zürich/日本 🎉 "${"x".repeat(220)}`;
  expect(Buffer.byteLength(stream)).toBeLessThanOrEqual(255);
  await client.map("EAPPEND", stream, "Größe geändert", "PAYLOAD", data, "METADATA", "\r\n\0");
  const [event] = await frames("ESCAN", stream, "-", "+");
  expect(event?.get("stream_id")).toEqual(Buffer.from(stream));
  expect(event?.get("event_name")).toEqual(Buffer.from("Größe geändert"));
  expect(event?.get("payload")).toEqual(Buffer.from(data));
  expect(event?.get("metadata")).toEqual(Buffer.from("\r\n\0"));
});

/** The blob strings of each event in a read's reply. */
async function frames(...words: Word[]): Promise<Map<string, Buffer>[]> {
  const reply = await client.command(...words);
  const events = reply.kind === "%" ? reply.entries.map(([, value]) => value) : [];
  const list = events.find((frame) => frame.kind === "*");
  return (list?.kind === "*" ? list.items : []).map((event) => {
    const blobs = new Map<string, Buffer>();
    for (const [key, value] of event.kind === "%" ? event.entries : []) {
      if (key.kind === "+" && value.kind === "$") blobs.set(key.text, value.bytes);
    }
    return blobs;
  });
}

describe("the shapes of replies", () => {
  const EVENT = [
    "event_id+",
    "partition_key+",
    "partition_id:",
    "transaction_id+",
    "partition_sequence:",
    "stream_version:",
    "timestamp:",
    "stream_id$",
    "event_name$",
    "metadata$",
    "payload$",
  ];
  const APPENDED = [
    "event_id+",
    "partition_key+",
    "partition_id:",
    "partition_sequence:",
    "stream_version:",
    "timestamp:",
  ];
  const PLACE = ["position:", "recorded_at:"];
  const PART = ["event_id+", "stream_id+", "stream_version:", "timestamp:"];
  const OWN_PARTITION = ["partition_key+", "partition_id:", "partition_sequence:"];
  const id = "11111111-1111-4111-8111-111111111111";

  beforeAll(async () => {
    const setup = await RespClient.connect3(cairn.respPort);
    await setup.map("EAPPEND", "shapes", "E", "EVENT_ID", id);
    setup.close();
  });

  /** A map's keys in their order, each with the type of its value. */
  function shape(frame: Frame | undefined): string[] {
    if (frame?.kind !== "%") throw new Error(`not a map, but ${frame?.kind}`);
    return frame.entries.map(([key, value]) => `${key.kind === "+" ? key.text : ""}${value.kind}`);
  }

  function itemsOf(frame: Frame): readonly Frame[] {
    const lists = frame.kind === "%" ? frame.entries.map(([, value]) => value) : [];
    return lists.flatMap((list) => (list.kind === "*" ? list.items : []));
  }

  test("EAPPEND", async () => {
    expect(shape(await client.command("EAPPEND", "shapes", "E"))).toEqual(APPENDED);
    expect(shape(await client.command("EAPPEND", "shapes", "E", "WITHPOSITION"))).toEqual([
      ...APPENDED,
      ...PLACE,
    ]);
  });

  test("EMAPPEND", async () => {
    const keys = ["partition_key", "partition_id", "first_partition_sequence"];
    keys.push("last_partition_sequence", "events");
    const typed = (...kinds: string[]) => keys.map((key, n) => `${key}${kinds[n]}`);
    for (const withPosition of [false, true]) {
      const words = [...(withPosition ? ["WITHPOSITION"] : []), "shapes-2", "E", "shapes-3", "E"];
      const place = withPosition ? PLACE : [];

      const one = await client.command("EMAPPEND", KEY, ...words);
      expect(shape(one)).toEqual(typed("+", ":", ":", ":", "*"));
      expect(itemsOf(one).map(shape)).toEqual([
        [...PART, ...place],
        [...PART, ...place],
      ]);

      const several = await client.command("EMAPPEND", "*", ...words);
      expect(shape(several)).toEqual(typed("_", "_", "_", "_", "*"));
      for (const event of itemsOf(several)) {
        expect(shape(event).sort()).toEqual([...PART, ...OWN_PARTITION, ...place].sort());
      }
    }
  });

  test("EGET, ESCAN and EPSCAN", async () => {
    for (const place of [[], PLACE]) {
      const words = place.length > 0 ? ["WITHPOSITION"] : [];
      expect(shape(await client.command("EGET", id, ...words))).toEqual([...EVENT, ...place]);
      for (const range of [
        ["ESCAN", "shapes", "0", "0"],
        ["EPSCAN", String(partitionOf(uuidV5("shapes", NAMESPACE))), "-", "+", "COUNT", "1"],
      ]) {
        const scan = await client.command(...range, ...words);
        expect(shape(scan)).toEqual(["has_more#", "events*"]);
        expect(itemsOf(scan).map(shape)).toEqual([[...EVENT, ...place]]);
      }
    }
  });

  test("positions count over the whole store, and recorded_at never decreases", async () => {
    const first = await client.map("EAPPEND", "places-1", "E", "WITHPOSITION");
    const words = ["EMAPPEND", "*", "WITHPOSITION", "places-2", "E", "places-3", "E"];
    const events = asMaps((await client.map(...words)).events);
    const last = await client.map("EAPPEND", "places-1", "E", "TIMESTAMP", 5, "WITHPOSITION");
    const all = [first, ...events, last];
    const from = Number(first.position);
    expect(all.map((event) => event.position)).toEqual([from, from + 1, from + 2, from + 3]);
    expect(last.timestamp).toBe(5);
    const times = all.map((event) => Number(event.recorded_at));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const [read] = await client.events("ESCAN", "places-1", 1, 1, "WITHPOSITION");
    expect(read).toMatchObject({ position: last.position, recorded_at: last.recorded_at });
  });

  test("in RESP2 a map is a flat array, a boolean a number and null a null bulk string", async () => {
    const resp2 = await RespClient.connect(cairn.respPort);
    const scan = await resp2.command("ESCAN", "shapes", "0", "0");
    const [hasMoreKey, hasMore, , events] = scan.kind === "*" ? scan.items : [];
    expect([hasMoreKey, hasMore?.kind]).toEqual([{ kind: "+", text: "has_more" }, ":"]);
    const [event] = events?.kind === "*" ? events.items : [];
    expect(event?.kind === "*" ? event.items.length : 0).toBe(EVENT.length * 2);
    resp2.close();

    const answers: string[] = [];
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: cairn.respPort,
      socket: { data: (_, chunk) => void answers.push(chunk.toString("latin1")) },
    });
    const closed = Promise.withResolvers<void>();
    socket.reload({
      socket: {
        data: (_, chunk) => void answers.push(chunk.toString("latin1")),
        close: () => closed.resolve(),
      },
    });
    socket.write(Buffer.concat([encode(["ESVER", "nobody"]), encode(["QUIT"])]));
    await closed.promise;
    expect(answers.join("")).toBe("$-1\r\n+OK\r\n");
  });
});

test("COUNT and ranges bound a scan, and has_more says whether the range holds further events", async () => {
  for (let n = 0; n < 5; n++) await client.map("EAPPEND", "ranges", "E", "PAYLOAD", n);
  const scan = async (...words: Word[]) => {
    const reply = await client.map("ESCAN", "ranges", ...words);
    return [asMaps(reply.events).map((event) => event.stream_version), reply.has_more];
  };
  expect(await scan("-", "+")).toEqual([[0, 1, 2, 3, 4], false]);
  expect(await scan("-", "+", "COUNT", 4)).toEqual([[0, 1, 2, 3], true]);
  expect(await scan("-", "+", "COUNT", 5)).toEqual([[0, 1, 2, 3, 4], false]);
  expect(await scan(1, 3, "COUNT", 3)).toEqual([[1, 2, 3], false]);
  expect(await scan(1, 3, "COUNT", 2)).toEqual([[1, 2], true]);
  expect(await scan("-", "+", "COUNT", 0)).toEqual([[], true]);
  expect(await scan(5, "+", "COUNT", 0)).toEqual([[], false]);
  expect(await scan(4, 99)).toEqual([[4], false]);
  expect(await scan(5, "+")).toEqual([[], false]);
  expect(await scan(3, 1)).toEqual([[], false]);
  // A single event that ends its partition's range, which SierraDB drops.
  const key = uuidV5("ranges", NAMESPACE);
  const last = Number(await client.value("EPSEQ", key));
  const reply = await client.map("EPSCAN", key, last, "+");
  expect([asMaps(reply.events).length, reply.has_more]).toEqual([1, false]);
});
