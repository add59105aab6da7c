/**
 * The makers of index runs: the worker on a real disk, the inline one on a simulated disk that fails and crashes.
 *
 * What both must do alike is one list of cases. Histories are made at random; a failure prints the seed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Disk, systemDisk } from "../server/disk.ts";
import { RUN_NEW_SUFFIX, runName } from "../server/index/run-file.ts";
import {
  InlineRunMaker,
  type RunDone,
  type RunMaker,
  WorkerRunMaker,
} from "../server/index/run-maker.ts";
import { type RunBuild, RunInputError, RunWork } from "../server/index/run-work.ts";
import { Random } from "./support/random.ts";
import { readRun } from "./support/run-reader.ts";
import { History } from "./support/run-rows.ts";
import { type CallKind, CrashSignal, SimulatedDisk } from "./support/simulated-disk.ts";

const SEED = Number(process.env.SEED ?? 1);
const FOLDER = "/data/index";
const CUTS = [0, 400, 900, 1_000];
const NAMES = CUTS.slice(1).map((to, index) => runName(CUTS[index] as number, to));
const MERGED = runName(0, 1_000);

const history = new History({
  random: new Random(SEED),
  events: 1_000,
  streams: 120,
  partitions: 8,
  keys: 0.4,
});

function jobs(): RunBuild[] {
  return CUTS.slice(1).map((to, index) => history.build(CUTS[index] as number, to));
}

/** A job's end as a promise; its failure is what the promise gives. */
function failureOf(job: (done: RunDone) => void): Promise<Error | null> {
  return new Promise((resolve) => job(resolve));
}

async function succeed(job: (done: RunDone) => void): Promise<void> {
  expect(await failureOf(job)).toBeNull();
}

interface World {
  readonly maker: RunMaker;
  readonly names: () => string[];
  readonly read: (name: string) => Uint8Array;
  readonly write: (name: string, bytes: Uint8Array) => void;
}

let folder: string;
const open: RunMaker[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-runs-"));
});

afterEach(() => {
  for (const maker of open.splice(0)) maker.close();
  rmSync(folder, { recursive: true });
});

function makeWorker(): WorkerRunMaker {
  const maker = new WorkerRunMaker(folder);
  open.push(maker);
  return maker;
}

const MAKERS: Readonly<Record<string, () => RunMaker>> = {
  "the inline maker": () => new InlineRunMaker(systemDisk, folder),
  "the worker": makeWorker,
};

for (const [name, make] of Object.entries(MAKERS)) {
  describe(name, () => {
    let world: World;
    beforeEach(() => {
      world = {
        maker: make(),
        names: () => readdirSync(folder).sort(),
        read: (run) => readFileSync(join(folder, run)),
        write: (run, bytes) => writeFileSync(join(folder, run), bytes),
      };
    });

    test("builds, merges and removes", async () => {
      const { maker } = world;
      for (const job of jobs()) await succeed((done) => maker.build(job, done));
      expect(world.names()).toEqual(NAMES);
      await succeed((done) => maker.merge(NAMES, MERGED, done));
      expect(readRun(world.read(MERGED)), `SEED=${SEED}`).toMatchObject(history.content(0, 1_000));
      expect(maker.memoryBytes).toBeGreaterThan(0);
      maker.remove([...NAMES, "gone.run"]);
      await succeed((done) => maker.build(history.build(0, 400), done));
      expect(world.names()).toEqual([runName(0, 400), MERGED]);
    });

    test("ends jobs for a caller that waits without a turn of the event loop", () => {
      const { maker } = world;
      const ended: (Error | null)[] = [];
      const jobsGiven = jobs();
      for (const job of jobsGiven) maker.build(job, (error) => ended.push(error));
      while (ended.length < jobsGiven.length) maker.settle(true);
      expect(ended).toEqual(jobsGiven.map(() => null));
      expect(world.names()).toEqual(NAMES);
      maker.merge(NAMES, MERGED, (error) => ended.push(error));
      maker.settle(true);
      expect(ended.length).toBe(NAMES.length + 1);
      maker.settle(true); // nothing is under way
    });

    test("writes over what an earlier attempt has left", async () => {
      world.write(MERGED + RUN_NEW_SUFFIX, new Uint8Array(5_000_000).fill(7));
      world.write(MERGED, new Uint8Array(5_000).fill(7));
      await succeed((done) => world.maker.build(history.build(0, 1_000), done));
      expect(world.names()).toEqual([MERGED]);
      expect(readRun(world.read(MERGED)), `SEED=${SEED}`).toMatchObject(history.content(0, 1_000));
    });

    test("says why a job failed, and goes on", async () => {
      const { maker } = world;
      const missing = await failureOf((done) => maker.merge(NAMES, MERGED, done));
      expect(missing).toMatchObject({ name: "RunInputError", run: NAMES[0] });
      expect(missing?.message).toContain(NAMES[0]);
      for (const job of jobs()) await succeed((done) => maker.build(job, done));
      const good = world.read(NAMES[1] as string);
      const bad = Uint8Array.from(good);
      bad[5 * 4_096 + 100] = (bad[5 * 4_096 + 100] ?? 0) ^ 1;
      world.write(NAMES[1] as string, bad);
      const damaged = await failureOf((done) => maker.merge(NAMES, MERGED, done));
      expect(damaged).toBeInstanceOf(RunInputError);
      expect(damaged).toMatchObject({
        run: NAMES[1],
        message: `${NAMES[1]}: page 5 is damaged`,
      });
      expect(world.names()).toEqual(NAMES);
      world.write(NAMES[1] as string, good);
      await succeed((done) => maker.merge(NAMES, MERGED, done));
    });
  });
}

describe("the worker", () => {
  const large = new History({
    random: new Random(SEED),
    events: 60_000,
    streams: 9_000,
    partitions: 32,
  });
  const largeNames = [runName(0, 30_000), runName(30_000, 60_000)];
  const largeMerged = runName(0, 60_000);

  async function buildLarge(maker: RunMaker): Promise<void> {
    await succeed((done) => maker.build(large.build(0, 30_000), done));
    await succeed((done) => maker.build(large.build(30_000, 60_000), done));
  }

  test("builds between two slices of a merge", async () => {
    const maker = makeWorker();
    await buildLarge(maker);
    const ended: string[] = [];
    const merge = failureOf((done) => maker.merge(largeNames, largeMerged, done));
    const build = failureOf((done) => maker.build(history.build(0, 400), done));
    const told = [merge.then(() => ended.push("merge")), build.then(() => ended.push("build"))];
    await Promise.all(told);
    expect(ended).toEqual(["build", "merge"]);
    expect([await merge, await build]).toEqual([null, null]);
    expect(readRun(readFileSync(join(folder, largeMerged))), `SEED=${SEED}`).toMatchObject(
      large.content(0, 60_000),
    );
    expect(readRun(readFileSync(join(folder, runName(0, 400))))).toMatchObject(
      history.content(0, 400),
    );
  });

  test("does merges that are asked for together one after the other", async () => {
    const maker = makeWorker();
    for (const job of jobs()) await succeed((done) => maker.build(job, done));
    const half = runName(0, 900);
    const first = failureOf((done) => maker.merge(NAMES.slice(0, 2), half, done));
    const second = failureOf((done) => maker.merge([half, NAMES[2] as string], MERGED, done));
    expect(await Promise.all([first, second])).toEqual([null, null]);
    expect(readRun(readFileSync(join(folder, MERGED)))).toMatchObject(history.content(0, 1_000));
  });

  test("does a small merge while a large one is under way", async () => {
    const maker = makeWorker();
    await buildLarge(maker);
    for (const job of jobs()) await succeed((done) => maker.build(job, done));
    const ended: string[] = [];
    const first = failureOf((done) => maker.merge(largeNames, largeMerged, done));
    const second = failureOf((done) => maker.merge(NAMES, MERGED, done));
    await Promise.all([
      first.then(() => ended.push("large")),
      second.then(() => ended.push("small")),
    ]);
    expect(ended).toEqual(["small", "large"]);
    expect([await first, await second]).toEqual([null, null]);
    const read = (name: string) => readRun(readFileSync(join(folder, name)));
    expect(read(MERGED), `SEED=${SEED}`).toMatchObject(history.content(0, 1_000));
    expect(read(largeMerged), `SEED=${SEED}`).toMatchObject(large.content(0, 60_000));
  });

  test("that died has failed its jobs, and the next job begins another", async () => {
    const maker = makeWorker();
    const wrong = { ...history.build(0, 400), name: "no name of a run" };
    const failures = await Promise.all([
      failureOf((done) => maker.build(wrong, done)),
      failureOf((done) => maker.build(history.build(0, 400), done)),
    ]);
    expect(failures[0]?.message).toContain(
      "the worker that makes runs failed: AssertionError: assertion failed",
    );
    expect(failures[1]).toBeInstanceOf(Error);
    await succeed((done) => maker.build(history.build(0, 400), done));
    expect(readdirSync(folder)).toEqual([runName(0, 400)]);
  });

  test("that died has failed the job that a caller waits for", () => {
    const maker = makeWorker();
    const wrong = { ...history.build(0, 400), name: "no name of a run" };
    const ended: (Error | null)[] = [];
    maker.build(wrong, (error) => ended.push(error));
    maker.settle(true);
    expect(ended.map((error) => error?.message)).toEqual(["the worker that makes runs failed"]);
  });

  test("that is closed in the midst of a merge leaves no part of it, and says nothing", async () => {
    const maker = makeWorker();
    await buildLarge(maker);
    const fresh = join(folder, largeMerged + RUN_NEW_SUFFIX);
    for (let round = 0; round < 3; round++) {
      const calls: (Error | null)[] = [];
      const closing = round === 0 ? maker : makeWorker();
      closing.merge(largeNames, largeMerged, (error) => calls.push(error));
      while (!systemDisk.exists(fresh) && calls.length === 0) await new Promise(setImmediate);
      closing.close();
      // Where the merge was quicker than this test, there is a whole run.
      const left = readdirSync(folder).sort();
      expect(left.filter((name) => name !== largeMerged)).toEqual(largeNames);
      expect(calls.filter((error) => error !== null)).toEqual([]);
      rmSync(join(folder, largeMerged), { force: true });
    }
  });
});

describe("on a disk that fails", () => {
  function makeDisk(): { disk: SimulatedDisk; view: Disk } {
    const disk = new SimulatedDisk({ random: new Random(SEED), shortWrites: 0.3 });
    const view = disk.boot();
    view.makeFolder(FOLDER);
    view.syncFolder("/data");
    return { disk, view };
  }

  const names = (disk: SimulatedDisk) =>
    [...disk.image().keys()].map((path) => path.slice(FOLDER.length + 1)).sort();
  const file = (disk: SimulatedDisk, name: string) =>
    disk.image().get(`${FOLDER}/${name}`) as Uint8Array;

  /** Calls of a build of all rows, and of a merge of all runs, each with how often it must have failed to be tried. */
  const FAULTS: readonly (readonly [CallKind, string])[] = [
    ["create", "ENOSPC"],
    ["write", "ENOSPC"],
    ["sync", "EIO"],
    ["rename", "EIO"],
    ["syncFolder", "EIO"],
    ["read", "EIO"],
  ];

  for (const [kind, code] of FAULTS) {
    test(`any ${kind} that fails fails the job, which leaves no file and may be done again`, () => {
      const { disk, view } = makeDisk();
      const maker = new InlineRunMaker(view, FOLDER);
      for (const job of jobs()) maker.build(job, () => undefined);
      let failed = 0;
      const work: ((done: RunDone) => void)[] = [
        (done) => maker.merge(NAMES, MERGED, done),
        (done) => maker.build(history.build(0, 1_000), done),
      ];
      for (const job of work) {
        for (let skip = 0; ; skip++) {
          disk.fail({ kind, code, skip });
          let failure: Error | null = null;
          job((error) => {
            failure = error;
          });
          disk.heal();
          if (failure === null) break;
          failed++;
          expect(failure).toMatchObject({ code });
          expect(names(disk), `${kind} ${skip}`).toEqual(NAMES);
        }
        expect(readRun(file(disk, MERGED)), `SEED=${SEED}`).toMatchObject(
          history.content(0, 1_000),
        );
        maker.remove([MERGED]);
      }
      expect(failed).toBeGreaterThan(0);
    });
  }

  test("a full disk fails the job, whatever room there was, and leaves as much room as before", () => {
    const { disk, view } = makeDisk();
    const maker = new InlineRunMaker(view, FOLDER);
    const size = new RunWork(makeDisk().view, FOLDER).build(history.build(0, 1_000));
    for (let room = 0; room < size; room += 4_096) {
      disk.capacityBytes = room;
      let failure: Error | null = null;
      maker.build(history.build(0, 1_000), (error) => {
        failure = error;
      });
      expect(failure, `${room} bytes`).toMatchObject({ code: "ENOSPC" });
      expect(names(disk)).toEqual([]);
    }
    disk.capacityBytes = size;
    maker.build(history.build(0, 1_000), (error) => expect(error).toBeNull());
    expect(names(disk)).toEqual([MERGED]);
  });

  test("a crash at any call leaves under their names only runs that are whole", () => {
    const built = makeDisk();
    for (const job of [...jobs(), history.build(0, 1_000)])
      new RunWork(built.view, FOLDER).build(job);
    const whole = built.disk.image();
    const image = new Map(NAMES.map((name) => [`${FOLDER}/${name}`, file(built.disk, name)]));
    let isWhole = 0;
    for (let call = 1; ; call++) {
      const random = new Random(SEED + call);
      const disk = SimulatedDisk.fromImage(image, { random, shortWrites: 0.3 });
      const work = new RunWork(disk.boot(), FOLDER);
      disk.endAtCall(call, call % 2 === 0 ? "crash" : "kill");
      try {
        const merge = work.merge(NAMES, MERGED);
        while (merge.step() === null);
        work.remove(NAMES);
        break; // it has fewer calls than this
      } catch (error) {
        expect(error).toBeInstanceOf(CrashSignal);
      }
      if (call % 2 === 1) disk.crash();
      const left = names(disk).filter((name) => !name.endsWith(RUN_NEW_SUFFIX));
      for (const name of left) {
        const said = `SEED=${SEED}, call ${call}, ${name}`;
        const bytes = whole.get(`${FOLDER}/${name}`) as Uint8Array;
        expect(Buffer.compare(file(disk, name), bytes), said).toBe(0);
        if (name === MERGED) isWhole++;
      }
      // Either the merged run is there, or all that it was merged of.
      expect(left.includes(MERGED) || NAMES.every((name) => left.includes(name))).toBe(true);
    }
    expect(isWhole).toBeGreaterThan(0);
  });
});
