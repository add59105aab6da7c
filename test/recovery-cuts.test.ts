/**
 * A small store cut at every byte, and with bits of every byte flipped (`BITS=8`: every bit).
 *
 * Cuts: the store comes back with exactly the whole transactions before the cut, takes appends and comes back
 * again. Flips: right data, a refusal that names file and offset, or an error on that event.
 */
import { beforeAll, describe, expect, test } from "vitest";
import type { StoredEvent } from "../server/store/stored-event.ts";
import { Random } from "./support/random.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import {
  append,
  type NewEvent,
  nextTurn,
  readAll,
  readAllOrDamage,
} from "./support/store-driver.ts";
import { same } from "./support/store-ledger.ts";
import { judgeDamage, openStore, SEGMENT_BYTES } from "./support/store-world.ts";
import { verify } from "./support/verify.ts";

/** Only keeps a hang from lasting for ever. */
const TIMEOUT_MS = 10 * 60_000;
/** Bits tried of each byte of a small segment; 8 are all of them. */
const BITS = Number(process.env.BITS ?? 2);
/** Flips tried in each long run of zeros or of one payload, where every byte is like its neighbours. */
const FLIPS_PER_RUN = 100;
/** Bytes at either end of such a run of which every byte is tried. */
const RUN_EDGE_BYTES = 48;
/** Flips in each frame of a store that runs. */
const FLIPS_PER_FRAME = 40;
/** The event loop turns once in so many flips. */
const BITS_PER_TURN = 8;
/** Shorter runs are tried byte by byte. */
const RUN_BYTES_MIN = 512;

/** A transaction's frame: its file, from and to which byte, and its events. */
interface FramePlace {
  readonly path: string;
  readonly from: number;
  readonly to: number;
  readonly position: number;
  readonly events: number;
}

/** A store's files, and what it held. */
interface Snapshot {
  readonly image: ReadonlyMap<string, Uint8Array>;
  readonly events: readonly StoredEvent[];
  readonly frames: readonly FramePlace[];
}

const TAIL: readonly (readonly NewEvent[])[] = [
  [event("order-1", "Placed", "{}")],
  [
    event("order-1", "Paid", "first"),
    event("order-2", "Placed", ""),
    event("order-1", "Sent", "x"),
  ],
  [event("order-3", "Placed", "a payload of some more bytes than the others have")],
  [{ ...event("order-2", "Paid", "y"), eventId: "018f0000-0000-4000-8000-000000000001" }],
];

const TWO_SEGMENTS = [
  ...TAIL,
  [event("big", "Large", "z".repeat(SEGMENT_BYTES))],
  [event("order-4", "Placed", "in the second segment")],
];

describe("a log cut at every byte of its last frames", () => {
  let snapshot: Snapshot;
  beforeAll(async () => {
    snapshot = await makeSnapshot(TAIL, "kill");
    expect(snapshot.frames.length).toBe(TAIL.length);
  });

  for (const way of ["cut off", "zeroed"] as const) {
    test(
      `${way}: reopens with the whole transactions before the cut, takes appends, reopens`,
      async () => {
        const path = snapshot.frames[0]?.path ?? "";
        const whole = snapshot.image.get(path) ?? new Uint8Array(0);
        const from = snapshot.frames[0]?.from ?? 0;
        const to = snapshot.frames.at(-1)?.to ?? 0;
        for (let cut = from; cut <= to; cut++) {
          const bytes = way === "zeroed" ? whole.slice().fill(0, cut) : whole.slice(0, cut);
          const disk = SimulatedDisk.fromImage(new Map([...snapshot.image, [path, bytes]]), {
            random: new Random(cut),
          });
          await reopensWithPrefix(disk, snapshot, cut);
        }
      },
      TIMEOUT_MS,
    );
  }
});

/** The store holds the frames that end at or before the cut, and goes on from there. */
async function reopensWithPrefix(
  disk: SimulatedDisk,
  snapshot: Snapshot,
  cut: number,
): Promise<void> {
  const first = openStore(disk);
  const found = readAll(first);
  // Padding after a frame is zeros: a cut there loses nothing.
  const bytes = snapshot.image.get(snapshot.frames[0]?.path ?? "") ?? new Uint8Array(0);
  const surely = snapshot.frames.filter((frame) => frame.to <= cut);
  const perhaps = snapshot.frames.filter((frame) => contentEnd(bytes, frame.to) <= cut);
  const counts = [surely, perhaps].map((frames) =>
    frames.reduce((sum, frame) => sum + frame.events, 0),
  );
  expect(counts, `events left by a cut at ${cut}`).toContain(found.length);
  same(found, snapshot.events.slice(0, found.length), `events left by a cut at ${cut}`);
  const { events } = await append(first, [event("order-9", "Placed", `after ${cut}`)]);
  same(events[0]?.position, found.length, `position of an append after a cut at ${cut}`);
  disk.crash();
  const again = readAll(openStore(disk));
  same(again.slice(0, -1), found, `events after a cut at ${cut} and a crash`);
  same(again.at(-1)?.payload, utf8(`after ${cut}`), `append after a cut at ${cut} and a crash`);
  await nextTurn();
}

describe("a store with one bit flipped", () => {
  const stores = [
    { name: `${BITS} bits of every byte of one segment`, transactions: TAIL, bitsPerByte: BITS },
    { name: "a bit of every byte of two segments", transactions: TWO_SEGMENTS, bitsPerByte: 1 },
  ];
  for (const { name, transactions, bitsPerByte } of stores) {
    test(
      `${name}: right data, a refusal, or an error on the event`,
      async () => {
        const snapshot = await makeSnapshot(transactions, "stop");
        const verdicts = { refused: 0, "event refused": 0, right: 0 };
        for (const [path, bytes] of snapshot.image) {
          for (const bit of bitsToFlip(bytes, bitsPerByte)) {
            const disk = SimulatedDisk.fromImage(snapshot.image, { random: new Random(bit) });
            disk.flipBit(path, bit);
            if (bit % BITS_PER_TURN === 0) await nextTurn();
            try {
              verdicts[judgeDamage(disk, path, snapshot.events)]++;
            } catch (error) {
              const what = error instanceof Error ? error.message : String(error);
              throw new Error(`bit ${bit} of ${path}: ${what}`, { cause: error });
            }
          }
        }
        expect(verdicts.refused).toBeGreaterThan(0);
      },
      TIMEOUT_MS,
    );
  }
});

test("a bit that flips under a running store is an error on that event alone", async () => {
  const { image, events, frames } = await makeSnapshot(TWO_SEGMENTS, "stop");
  let refused = 0;
  for (const frame of frames) {
    const random = new Random(frame.from);
    for (let i = 0; i < FLIPS_PER_FRAME; i++) {
      const disk = SimulatedDisk.fromImage(image, { random });
      const store = openStore(disk);
      const bit = random.between(frame.from * 8, frame.to * 8 - 1);
      disk.flipBit(frame.path, bit);
      for (const [position, found] of readAllOrDamage(store).entries()) {
        if (!("damage" in found)) {
          same(
            found,
            events[position],
            `event at ${position}, bit ${bit} of ${frame.path} flipped`,
          );
          continue;
        }
        refused++;
        expect(found.damage).toContain(frame.path);
        expect(found.damage).toMatch(/offset \d+/);
        const isOfFrame = position >= frame.position && position < frame.position + frame.events;
        expect(isOfFrame, `${found.damage}, at position ${position}, bit ${bit}`).toBe(true);
      }
      await nextTurn();
    }
  }
  expect(refused).toBeGreaterThan(0);
});

test("after an orderly stop a tail that is gone as a whole is damage", async () => {
  const events = Array.from({ length: 900 }, (_, n) => [
    { stream: `s-${n % 7}`, name: "E", payload: Buffer.alloc(100, 65 + (n % 26)) },
  ]);
  const stopped = await makeSnapshot(events, "stop");
  const segments = [...stopped.image.keys()].filter((path) => path.endsWith(".seg")).sort();
  const newest = segments.at(-1) ?? "";
  expect(segments.length).toBeGreaterThan(1);
  const content = stopped.image.get(newest) ?? new Uint8Array();
  const half = (stopped.frames.at(-1)?.to ?? 0) >> 1;
  const truncated = content.slice(0, half);
  const zeroed = new Uint8Array(content.length);
  zeroed.set(truncated);
  for (const [what, bytes] of [
    ["removed", null],
    ["truncated", truncated],
    ["zeroed", zeroed],
  ] as const) {
    const image = new Map(stopped.image);
    if (bytes === null) image.delete(newest);
    else image.set(newest, bytes);
    const disk = SimulatedDisk.fromImage(image, { random: new Random(3) });
    expect(() => openStore(disk), what).toThrow(
      /\.seg at offset \d+: the log ends here, before position \d+, but an orderly stop left it before position 900/,
    );
    expect(disk.image(), "no byte is changed").toEqual(image);
    disk.kill();
    await nextTurn();
  }
  const whole = SimulatedDisk.fromImage(stopped.image, { random: new Random(3) });
  const store = openStore(whole);
  expect(store.lastPosition()).toBe(899);
  expect([...whole.image().keys()].filter((path) => path.endsWith("/end"))).toEqual([]);
  await store.stop();
});

/** Makes a store of these transactions, each synced by itself, and ends it. */
async function makeSnapshot(
  transactions: readonly (readonly NewEvent[])[],
  end: "stop" | "kill",
): Promise<Snapshot> {
  const disk = new SimulatedDisk({ random: new Random(7) });
  const store = openStore(disk);
  const frames: FramePlace[] = [];
  for (const transaction of transactions) {
    const writes: { from: number; to: number }[] = [];
    disk.onWrite = (_path, offset, bytes) => {
      // All else that is written beside a batch is a segment's header, at its start, or zeros.
      const isBatch = offset > 0 && bytes.some((byte) => byte !== 0);
      if (isBatch) writes.push({ from: offset, to: offset + bytes.length });
    };
    const position = (store.lastPosition() ?? -1) + 1;
    await append(store, transaction);
    disk.onWrite = null;
    // Told by name: the file may have been opened before it got it.
    const segment = [...disk.image().keys()]
      .filter((path) => path.endsWith(".seg"))
      .sort()
      .at(-1);
    const batch = writes.at(-1);
    if (batch === undefined || writes.length > 1 || segment === undefined)
      throw new Error("no batch was seen");
    frames.push({ ...batch, path: segment, position, events: transaction.length });
  }
  const events = readAll(store);
  if (end === "stop") await store.stop();
  disk.kill();
  return { image: disk.image(), events, frames };
}

/** So many bits of every byte, but of a long run of like bytes only its edges and a seeded choice. */
function* bitsToFlip(bytes: Uint8Array, bitsPerByte: number): Generator<number> {
  const random = new Random(bytes.length);
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = start + 1;
    while (end < bytes.length && bytes[end] === bytes[start]) end++;
    const isLong = end - start >= RUN_BYTES_MIN;
    for (let at = start; at < end; at++) {
      if (isLong && at >= start + RUN_EDGE_BYTES && at < end - RUN_EDGE_BYTES) continue;
      const first = random.below(8);
      for (let i = 0; i < bitsPerByte; i++) yield at * 8 + ((first + i) % 8);
    }
    for (let i = 0; isLong && i < FLIPS_PER_RUN; i++) yield random.between(start * 8, end * 8 - 1);
  }
}

/** The end of the bytes before `end` that are not zeros. */
function contentEnd(bytes: Uint8Array, end: number): number {
  let last = end;
  while (last > 0 && bytes[last - 1] === 0) last--;
  return last;
}

function event(stream: string, name: string, payload: string): NewEvent {
  return { stream, name, payload: utf8(payload) };
}

function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf8"));
}

test("a note of the log's end that is damaged is told by a start, and refused by verify", async () => {
  const event = { stream: "s", name: "E" };
  const stopped = await makeSnapshot([[event], [event]], "stop");
  const path = [...stopped.image.keys()].find((name) => name.endsWith("/end")) ?? "";
  for (const bytes of [
    Uint8Array.from(stopped.image.get(path) ?? [], (byte, at) => (at === 9 ? byte ^ 4 : byte)),
    (stopped.image.get(path) ?? new Uint8Array()).slice(0, 20),
  ]) {
    const image = new Map(stopped.image).set(path, bytes);
    const disk = SimulatedDisk.fromImage(image, { random: new Random(3) });
    const { isRight, lines } = verify(path.slice(0, -"/log/end".length), disk.boot());
    expect([isRight, lines]).toEqual([false, expect.stringContaining(`${path} is damaged`)]);
    disk.kill();
    const started = SimulatedDisk.fromImage(image, { random: new Random(3) });
    const log: string[] = [];
    const store = openStore(started, { log: (line) => void log.push(line) });
    expect(log.filter((line) => line.includes(`${path} is damaged`))).toHaveLength(1);
    expect(store.lastPosition()).toBe(1);
    store.close();
    await nextTurn();
  }
});
