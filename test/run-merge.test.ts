/**
 * Merging index runs: the merged run is byte for byte the one that is built of all rows at once, whatever the cuts; what is
 * damaged or does not go together is refused, and leaves no file.
 *
 * Histories are made at random; a failure prints the seed.
 */
import { describe, expect, test } from "vitest";
import { runName } from "../server/index/run-file.ts";
import { type RunBuild, RunWork } from "../server/index/run-work.ts";
import { Random } from "./support/random.ts";
import { readRun } from "./support/run-reader.ts";
import { History, type HistoryOptions } from "./support/run-rows.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

const SEED = Number(process.env.SEED ?? 1);
const FOLDER = "/data/index";
const PAGE_BYTES = 4_096;

class World {
  readonly disk = new SimulatedDisk({ random: new Random(SEED) });
  readonly work: RunWork;

  constructor() {
    const view = this.disk.boot();
    view.makeFolder(FOLDER);
    this.work = new RunWork(view, FOLDER);
  }

  build(job: RunBuild): string {
    this.work.build(job);
    return job.name;
  }

  /** Builds a run for each stretch between two cuts. */
  buildAll(history: History, cuts: readonly number[]): string[] {
    return cuts.slice(1).map((to, index) => this.build(history.build(cuts[index] as number, to)));
  }

  merge(inputs: readonly string[], output: string): void {
    const merge = this.work.merge(inputs, output);
    while (merge.step() === null);
  }

  file(name: string): Uint8Array {
    return this.disk.image().get(`${FOLDER}/${name}`) as Uint8Array;
  }

  get names(): string[] {
    return [...this.disk.image().keys()].map((path) => path.slice(FOLDER.length + 1)).sort();
  }
}

interface Case extends Omit<HistoryOptions, "random"> {
  readonly cuts: readonly number[];
}

const CASES: Readonly<Record<string, Case>> = {
  "two runs of one event": { events: 2, streams: 1, partitions: 4, cuts: [0, 1, 2] },
  "two streams, each in a run": {
    events: 2,
    streams: 2,
    partitions: 4,
    inTurn: true,
    cuts: [0, 1, 2],
  },
  "runs of very different size": {
    events: 5_000,
    streams: 300,
    partitions: 32,
    keys: 0.2,
    cuts: [0, 4_000, 4_001, 4_900, 4_903, 5_000],
  },
  "not the store's first runs": {
    events: 9_000,
    streams: 500,
    partitions: 8,
    keys: 0.5,
    cuts: [2_000, 4_000, 8_500, 9_000],
  },
  "all events in one stream": { events: 4_000, streams: 1, partitions: 32, cuts: [0, 900, 4_000] },
  "every event a stream of its own": {
    events: 3_000,
    streams: 3_000,
    partitions: 32,
    inTurn: true,
    keys: 1,
    cuts: [0, 1_000, 2_000, 3_000],
  },
  "65,536 partitions": {
    events: 3_000,
    streams: 900,
    partitions: 65_536,
    keys: 0.1,
    cuts: [0, 1_500, 3_000],
  },
  "sixteen runs": {
    events: 4_000,
    streams: 200,
    partitions: 16,
    keys: 0.3,
    cuts: Array.from({ length: 17 }, (_, i) => i * 250),
  },
  "runs on both sides of where places of partitions can have tags": {
    events: 4_000,
    streams: 300,
    partitions: 8,
    logStart: 2 ** 43 - 800_000,
    cuts: [0, 1_000, 2_000, 3_000, 4_000],
  },
  "more than one slice of the file": {
    events: 50_000,
    streams: 20_000,
    partitions: 64,
    keys: 0.5,
    cuts: [0, 20_000, 30_000, 50_000],
  },
};

describe("a run that was merged", () => {
  for (const [name, { cuts, ...options }] of Object.entries(CASES)) {
    test(`is the run that is built of all rows: ${name}`, () => {
      const history = new History({ ...options, random: new Random(SEED) });
      const from = cuts[0] as number;
      const to = cuts.at(-1) as number;
      const world = new World();
      const inputs = world.buildAll(history, cuts);
      const output = runName(from, to);
      world.merge(inputs, output);
      expect(world.names).toEqual([...inputs, output].sort());
      const whole = new World();
      whole.build(history.build(from, to));
      const isSame = Buffer.compare(world.file(output), whole.file(output)) === 0;
      // The reader's account says where they differ.
      if (!isSame) expect(readRun(world.file(output))).toEqual(readRun(whole.file(output)));
      expect(isSame, `SEED=${SEED}`).toBe(true);
    });
  }

  test("is the same when merged runs are merged again, at random cuts", () => {
    const random = new Random(SEED);
    for (let round = 0; round < 20; round++) {
      const events = random.between(4, 3_000);
      const history = new History({
        random,
        events,
        streams: random.between(1, events),
        partitions: random.between(1, 40),
        keys: random.chance(0.5) ? 0.3 : 0,
      });
      const [a, b, c] = distinct(random, 3, events);
      const cuts = [0, a, b, c, events] as number[];
      const world = new World();
      const inputs = world.buildAll(history, cuts);
      const half = runName(cuts[1] as number, cuts[3] as number);
      world.merge(inputs.slice(1, 3), half);
      const output = runName(0, events);
      world.merge([inputs[0] as string, half, inputs[3] as string], output);
      const whole = new World();
      whole.build(history.build(0, events));
      const said = `SEED=${SEED}, round ${round}`;
      expect(Buffer.compare(world.file(output), whole.file(output)), said).toBe(0);
    }
  });

  test("takes no memory that stays taken", () => {
    const history = new History({
      random: new Random(SEED),
      events: 2_000,
      streams: 100,
      partitions: 4,
    });
    const world = new World();
    const inputs = world.buildAll(history, [0, 1_000, 2_000]);
    const output = runName(0, 2_000);
    world.merge(inputs, output);
    const { core } = world.work;
    const used = core.exports.memoryUsed();
    for (let i = 0; i < 5; i++) {
      world.work.remove([output]);
      world.merge(inputs, output);
      world.build(history.build(0, 1_000));
      world.work.merge(inputs, output).abandon();
    }
    expect(core.exports.memoryUsed()).toBe(used);
  });
});

describe("a run that is damaged", () => {
  const history = new History({
    random: new Random(SEED),
    events: 1_200,
    streams: 400,
    partitions: 8,
    keys: 0.3,
  });

  test("ends the merge with its name and page, whichever page it is that the merge reads", () => {
    const world = new World();
    const inputs = world.buildAll(history, [0, 700, 1_200]);
    const output = runName(0, 1_200);
    world.merge(inputs, output);
    const whole = world.file(output);
    world.work.remove([output]);
    const random = new Random(SEED);
    for (const input of inputs) {
      const pages = world.file(input).length / PAGE_BYTES;
      const filterPage = readNumber(world.file(input), 112 + 9 * 16);
      for (let page = 0; page < pages; page++) {
        const bit = page * PAGE_BYTES * 8 + random.below(PAGE_BYTES * 8);
        world.disk.flipBit(`${FOLDER}/${input}`, bit);
        const merge = () => world.merge(inputs, output);
        if (page < filterPage) {
          expect(merge, `page ${page} of ${input}`).toThrow(`${input}: page ${page} is damaged`);
        } else {
          merge(); // filters and fences are made anew
          expect(Buffer.compare(world.file(output), whole)).toBe(0);
          world.work.remove([output]);
        }
        expect(world.names).toEqual(inputs);
        world.disk.flipBit(`${FOLDER}/${input}`, bit);
      }
    }
  });

  test("that was cut off ends the merge, wherever the cut is", () => {
    const world = new World();
    const inputs = world.buildAll(history, [0, 700, 1_200]);
    const image = world.disk.image();
    const path = `${FOLDER}/${inputs[1]}`;
    const bytes = image.get(path) as Uint8Array;
    const filterPage = readNumber(bytes, 112 + 9 * 16);
    for (let page = 0; page < filterPage; page++) {
      const cut = page * PAGE_BYTES + 1_000;
      const disk = SimulatedDisk.fromImage(new Map([...image, [path, bytes.slice(0, cut)]]), {
        random: new Random(SEED),
      });
      const work = new RunWork(disk.boot(), FOLDER);
      const said = messageOf(() => {
        const merge = work.merge(inputs, runName(0, 1_200));
        while (merge.step() === null);
      });
      // Some parts are read before others: the page that is named is the first one missed.
      const named = Number(/\.run: page (\d+) is damaged$/.exec(said)?.[1]);
      expect(said).toContain(inputs[1]);
      expect(named).toBeGreaterThanOrEqual(page);
      expect(named).toBeLessThan(filterPage);
      expect(disk.image().size).toBe(2);
    }
  });
});

describe("runs that do not go together", () => {
  const random = new Random(SEED);
  const options = { events: 900, streams: 60, partitions: 8, keys: 0.5 };
  const history = new History({ ...options, random });

  /** Merges a run of this history with a younger one whose rows were changed. */
  function mergeWith(change: (job: RunBuild) => RunBuild): () => void {
    const world = new World();
    const older = world.build(history.build(0, 400));
    const younger = world.build(change(history.build(400, 900)));
    return () => {
      try {
        world.merge([older, younger], runName(0, 900));
      } finally {
        expect(world.names).toEqual([older, younger]);
      }
    };
  }

  /** All chunks of a kind in one, changed. */
  function edited(chunks: readonly Uint8Array[], change: (view: DataView) => void): Uint8Array[] {
    const bytes = new Uint8Array(Buffer.concat(chunks));
    change(new DataView(bytes.buffer));
    return [bytes];
  }

  const WRONG = `${runName(400, 900)} does not go on from the run before it`;

  test("because a stream's versions have a gap", () => {
    const merge = mergeWith((job) => ({
      ...job,
      streams: edited(job.streams, (view) =>
        view.setBigUint64(16, view.getBigUint64(16, true) + 1n, true),
      ),
    }));
    expect(merge).toThrow(WRONG);
  });

  test("because a stream has another partition hash", () => {
    const merge = mergeWith((job) => ({
      ...job,
      streams: edited(job.streams, (view) =>
        view.setUint16(24, (view.getUint16(24, true) + 8) & 0xffff, true),
      ),
    }));
    expect(merge).toThrow(WRONG);
  });

  test("because a stream's key is another", () => {
    const merge = mergeWith((job) => ({
      ...job,
      streams: edited(job.streams, (view) => {
        for (let at = 0; at < view.byteLength; at += 48) view.setUint8(at + 40, 77);
      }),
    }));
    expect(merge).toThrow(WRONG);
  });

  test("because a stream has a key in one of them alone", () => {
    const merge = mergeWith((job) => ({
      ...job,
      streams: edited(job.streams, (view) =>
        view.setUint16(26, view.getUint16(26, true) ^ 2, true),
      ),
    }));
    expect(merge).toThrow(WRONG);
  });

  test("because a partition's sequences have a gap", () => {
    const merge = mergeWith((job) => ({
      ...job,
      sequences: edited(job.sequences, (view) =>
        view.setBigUint64(8, view.getBigUint64(8, true) + 1n, true),
      ),
    }));
    expect(merge).toThrow(WRONG);
  });

  test("because both have an event of the same id", () => {
    const older = new DataView((history.build(0, 400).rows[0] as Uint8Array).slice().buffer);
    const merge = mergeWith((job) => ({
      ...job,
      rows: edited(job.rows, (view) => {
        view.setBigUint64(0, older.getBigUint64(0, true), true);
        view.setUint32(8, older.getUint32(8, true), true);
      }),
    }));
    expect(merge).toThrow(/does not go on from the run before it/);
  });

  test("because they are of different stores, or have different partitions", () => {
    expect(mergeWith((job) => ({ ...job, storeId: new Uint8Array(16) }))).toThrow(WRONG);
    expect(mergeWith((job) => ({ ...job, partitions: 65_536, ...spread(job) }))).toThrow(WRONG);
  });

  /** A first sequence for every partition that there can be. */
  function spread({ sequences }: RunBuild): Pick<RunBuild, "sequences"> {
    const rows = new DataView(new ArrayBuffer(65_536 * 16));
    for (let partition = 0; partition < 65_536; partition++) {
      rows.setUint32(partition * 16, partition, true);
    }
    expect(sequences.length).toBeGreaterThan(0);
    return { sequences: [new Uint8Array(rows.buffer)] };
  }

  test("because one between them is missing", () => {
    const world = new World();
    const inputs = world.buildAll(history, [0, 300, 600, 900]);
    expect(() => world.merge([inputs[0], inputs[2]] as string[], runName(0, 900))).toThrow(
      `${runName(600, 900)} does not go on from the run before it`,
    );
    expect(world.names).toEqual(inputs);
  });
});

function messageOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

function distinct(random: Random, count: number, below: number): number[] {
  const numbers = new Set<number>();
  while (numbers.size < count) numbers.add(random.between(1, below - 1));
  return [...numbers].sort((a, b) => a - b);
}

function readNumber(bytes: Uint8Array, at: number): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true));
}
