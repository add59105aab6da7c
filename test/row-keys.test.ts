/**
 * What the core makes several of at a time for a row of replies: partition keys, four together, and the digits of numbers.
 *
 * Stream ids and their order are random; a failure prints the seed.
 */
import { v5 as uuidV5 } from "uuid";
import { expect, test } from "vitest";
import { Encoding } from "../server/core/encoding.ts";
import { OutputArea } from "../server/core/output-area.ts";
import { INTEGER_MAX, MiB, STREAM_ID_BYTES_MAX } from "../server/limits.ts";
import type { EventStore } from "../server/store/event-store.ts";
import { Random } from "./support/random.ts";
import { openRunStore } from "./support/run-store.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";
import { append } from "./support/store-driver.ts";

const SEED = Number(process.env.SEED ?? 1);
/** In which partition keys are made of stream ids. */
const NAMESPACE = "219bd637-e279-53e9-9e2b-eabe5d9120cc";
const EXPLICIT_KEY = "8a9f7f0c-6b1a-4c1e-9d1e-0123456789ab";

function openStore(): { store: EventStore; area: OutputArea } {
  const disk = new SimulatedDisk({ random: new Random(SEED) });
  const store = openRunStore(disk, 1_000_000, [], { segmentBytes: 16 * MiB });
  return { store, area: new OutputArea(store.core, 4 * MiB) };
}

/** A row of `count` events from a position on, as it lies in the output. */
function row(store: EventStore, area: OutputArea, from: number, count: number, encoding: Encoding) {
  store.openLogScan({ from, to: Infinity, count, isReverse: false });
  store.writeScan(area, encoding);
  const bytes = area.memory.slice(area.origin, area.tail);
  area.clear();
  return Buffer.from(bytes).toString("latin1");
}

/** The keys of a text, in whichever encoding it is. */
function keysOf(text: string): string[] {
  return [...text.matchAll(/partition_key\W+([0-9a-f-]{36})/g)].map(([, key]) => key as string);
}

test(`each event of a row has its own stream's key, whatever stands beside it (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const { store, area } = openStore();
  // Every length, since ids take one to five blocks of SHA-1, in an order in which a row has them side by side.
  const streams = Array.from({ length: STREAM_ID_BYTES_MAX }, (_, index) => "x".repeat(index + 1));
  streams.push(...Array.from({ length: 40 }, () => `stream-${random.below(1e9)}`));
  const keys: string[] = [];
  for (let round = 0; round < 600; round++) {
    const stream = random.pick(streams);
    const isExplicit = random.chance(0.1);
    const count = random.chance(0.1) ? random.between(2, 9) : 1;
    const events = Array.from({ length: count }, () => ({
      stream: isExplicit ? `own-${stream.slice(0, 200)}` : stream,
      name: "E",
    }));
    await append(store, events, isExplicit ? EXPLICIT_KEY : undefined);
    keys.push(...events.map(() => (isExplicit ? EXPLICIT_KEY : uuidV5(stream, NAMESPACE))));
  }
  for (const encoding of [
    Encoding.resp2,
    Encoding.resp3WithPosition,
    Encoding.json,
    Encoding.msgpack,
  ]) {
    for (let count = 1; count <= 9; count++) {
      for (let from = 0; from < keys.length; from += count) {
        const found = keysOf(row(store, area, from, count, encoding));
        const said = `seed ${SEED}, encoding ${encoding}, ${count} events from ${from} on`;
        expect(found, said).toEqual(keys.slice(from, from + count));
      }
    }
    expect(keysOf(row(store, area, 0, keys.length, encoding))).toEqual(keys);
  }
});

test(`numbers of every length are written as they are (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const { store, area } = openStore();
  const numbers = [0, INTEGER_MAX, 2 ** 32 - 1, 2 ** 32];
  for (let power = 1; power < INTEGER_MAX; power *= 10) {
    numbers.push(power, power - 1, power + 1, Math.floor(random.below(1e9) * (power / 1e9)));
  }
  for (const timestamp of numbers) await append(store, [{ stream: "s", name: "E", timestamp }]);
  const text = row(store, area, 0, numbers.length, Encoding.resp3);
  const found = [...text.matchAll(/\+timestamp\r\n:(\d+)\r\n/g)].map(([, digits]) => digits);
  expect(found).toEqual(numbers.map(String));
  const versions = [...text.matchAll(/\+stream_version\r\n:(\d+)\r\n/g)].map(
    ([, digits]) => digits,
  );
  expect(versions).toEqual(numbers.map((_, version) => String(version)));
});
