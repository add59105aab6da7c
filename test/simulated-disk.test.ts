/** The simulated disk keeps what was synced, whatever it does to the rest, and the same seed does the same. */
import { describe, expect, test } from "vitest";
import type { Disk, DiskFile } from "../server/disk.ts";
import { Random } from "./support/random.ts";
import { CrashSignal, SimulatedDisk } from "./support/simulated-disk.ts";
import { SECTOR_BYTES } from "./support/simulated-files.ts";

/** Enough seeds that each of a sector's fates comes up many times. */
const SEEDS = 200;
const SECTORS = 8;

/** What may be made of unsynced bytes, told from the bytes that a crash left. */
type Fate = "old" | "new" | "zeros" | "other";

function open(
  seed: number,
  options: { shortWrites?: number; capacityBytes?: number; directWrites?: boolean } = {},
) {
  const simulated = new SimulatedDisk({ random: new Random(seed), ...options });
  return { simulated, disk: simulated.boot() };
}

/** A file in a synced folder, filled with ones and synced over its first `syncedSectors`. */
function fileOfOnes(disk: Disk, syncedSectors: number): DiskFile {
  disk.makeFolder("/d");
  disk.syncFolder("/");
  const file = disk.open("/d/f", "create");
  file.write(new Uint8Array(syncedSectors * SECTOR_BYTES).fill(1), 0);
  file.sync();
  disk.syncFolder("/d");
  return file;
}

function fates(content: Uint8Array): Fate[] {
  const found: Fate[] = [];
  for (let start = 0; start < content.length; start += SECTOR_BYTES) {
    const sector = content.subarray(start, start + SECTOR_BYTES);
    if (sector.every((byte) => byte === 1)) found.push("old");
    else if (sector.every((byte) => byte === 2)) found.push("new");
    else found.push(sector.every((byte) => byte === 0) ? "zeros" : "other");
  }
  return found;
}

function read(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path, "read");
  const content = new Uint8Array(file.size());
  file.read(content, 0);
  return content;
}

describe("a crash", () => {
  test("keeps every synced byte", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, SECTORS);
      file.write(new Uint8Array(SECTOR_BYTES * SECTORS).fill(2), SECTORS * SECTOR_BYTES);
      simulated.crash();
      const after = read(simulated.boot(), "/d/f");
      expect(fates(after).slice(0, SECTORS), `seed ${seed}`).toEqual(
        new Array(SECTORS).fill("old"),
      );
    }
  });

  test("leaves a sector that held synced bytes old or new, in any mix", () => {
    const seen = new Set<Fate>();
    let mixed = false;
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      fileOfOnes(disk, SECTORS).write(new Uint8Array(SECTORS * SECTOR_BYTES).fill(2), 0);
      simulated.crash();
      const found = fates(read(simulated.boot(), "/d/f"));
      for (const fate of found) seen.add(fate);
      mixed ||= new Set(found).size > 1;
    }
    expect([...seen].sort()).toEqual(["new", "old"]);
    expect(mixed).toBe(true);
  });

  test("makes anything of a sector that held no synced bytes", () => {
    const seen = new Set<Fate>();
    const sizes = new Set<number>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 1);
      file.write(new Uint8Array(SECTORS * SECTOR_BYTES).fill(2), SECTOR_BYTES);
      simulated.crash();
      const after = read(simulated.boot(), "/d/f");
      sizes.add(after.length);
      for (const fate of fates(after).slice(1)) seen.add(fate);
    }
    expect([...seen].sort()).toEqual(["new", "other", "zeros"]);
    expect(sizes).toContain(SECTOR_BYTES); // the old size
    expect(sizes).toContain((SECTORS + 1) * SECTOR_BYTES); // the new one
    expect(Math.max(...sizes)).toBeGreaterThan((SECTORS + 1) * SECTOR_BYTES); // longer, with zeros
    expect(sizes.size).toBeGreaterThan(3); // between
  });

  test("may choose any content that a sector had since its sync", () => {
    const seen = new Set<number | undefined>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 1);
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      file.write(new Uint8Array(SECTOR_BYTES).fill(3), 0);
      simulated.crash();
      seen.add(read(simulated.boot(), "/d/f")[0]);
    }
    expect([...seen].sort()).toEqual([1, 2, 3]);
  });

  test("loses or keeps directory entries that were not synced, and never half a rename", () => {
    const listings = new Set<string>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      fileOfOnes(disk, 1);
      disk.rename("/d/f", "/d/g");
      disk.open("/d/f", "create");
      disk.open("/d/h", "create");
      simulated.crash();
      const names = simulated.boot().list("/d");
      listings.add(names.join(" "));
      const ones = names.filter((name) => read(simulated.boot(), `/d/${name}`)[0] === 1);
      expect(ones.length, `seed ${seed}: ${names}`).toBe(1);
    }
    // The second f needs the rename before it; h needs nothing.
    expect([...listings].sort()).toEqual(["f", "f g", "f g h", "f h", "g", "g h"]);
  });

  test("brings back what was removed, unless the folder was synced", () => {
    const seen = new Set<boolean>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      fileOfOnes(disk, 1);
      disk.remove("/d/f");
      if (seed % 2 === 1) disk.syncFolder("/d");
      simulated.crash();
      const exists = simulated.boot().exists("/d/f");
      if (seed % 2 === 1) expect(exists, `seed ${seed}`).toBe(false);
      else seen.add(exists);
    }
    expect(seen.size).toBe(2);
  });

  test("is the same for the same seed", () => {
    const run = (seed: number) => {
      const { simulated, disk } = open(seed, { shortWrites: 0.5 });
      fileOfOnes(disk, 2).write(new Uint8Array(SECTORS * SECTOR_BYTES).fill(2), SECTOR_BYTES);
      simulated.crash();
      return simulated.image();
    };
    for (let seed = 0; seed < 20; seed++) expect(run(seed)).toEqual(run(seed));
  });
});

describe("a kill", () => {
  test("keeps all that was written, and a later crash may still lose it", () => {
    const seen = new Set<Fate>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      fileOfOnes(disk, 1).write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      simulated.kill();
      expect(fates(read(simulated.boot(), "/d/f")), `seed ${seed}`).toEqual(["new"]);
      simulated.crash();
      for (const fate of fates(read(simulated.boot(), "/d/f"))) seen.add(fate);
    }
    expect([...seen].sort()).toEqual(["new", "old"]);
  });

  test("ends the process's view and its locks", () => {
    const { simulated, disk } = open(1);
    const file = fileOfOnes(disk, 1);
    expect(disk.lock("/d/LOCK")).not.toBeNull();
    expect(simulated.boot().lock("/d/LOCK")).toBeNull();
    simulated.kill();
    expect(simulated.ended).toBe(true);
    expect(() => file.write(new Uint8Array(1), 0)).toThrow(CrashSignal);
    expect(() => disk.list("/d")).toThrow(CrashSignal);
    expect(simulated.boot().lock("/d/LOCK")).not.toBeNull();
  });

  test("happens inside the n-th call where the test says so", () => {
    const taken = new Set<number>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 1);
      simulated.endAtCall(2, "kill");
      file.write(new Uint8Array([2]), 0);
      expect(() => file.write(new Uint8Array([3, 3]), 1)).toThrow(CrashSignal);
      expect(simulated.ended).toBe(true);
      const after = read(simulated.boot(), "/d/f");
      expect(after[0]).toBe(2);
      taken.add(after.filter((byte) => byte === 3).length);
    }
    expect([...taken].sort()).toEqual([0, 1, 2]); // nothing, a part or all of the last write
  });
});

describe("a sync", () => {
  test("that is held back covers what was written before it, once released", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 2);
      simulated.holdSyncs = true;
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      const answers: (Error | null)[] = [];
      file.syncInThread((error) => answers.push(error));
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), SECTOR_BYTES);
      expect(answers).toEqual([]);
      if (seed % 2 === 1) simulated.releaseSyncs();
      expect(answers).toEqual(seed % 2 === 1 ? [null] : []);
      simulated.crash();
      const [first, second] = fates(read(simulated.boot(), "/d/f"));
      expect(seed % 2 === 1 ? ["new"] : ["old", "new"], `seed ${seed}`).toContain(first);
      expect(["old", "new"]).toContain(second);
    }
  });

  test("in a thread completes in a later turn by itself", async () => {
    const { disk } = open(1);
    const file = fileOfOnes(disk, 1);
    let turn = "this";
    const done = new Promise<string>((resolve) => {
      file.syncInThread((error) => resolve(error === null ? turn : "failed"));
    });
    turn = "a later one";
    expect(await done).toBe("a later one");
  });

  test("that failed leaves pages clean that may be lost, though a later sync succeeds", () => {
    const seen = new Set<Fate>();
    const shown = new Set<Fate>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 1);
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      simulated.fail({ kind: "sync", code: "EIO" });
      expect(() => file.sync()).toThrow("EIO");
      expect(fates(read(disk, "/d/f"))).toEqual(["new"]);
      file.sync();
      simulated.kill();
      for (const fate of fates(read(simulated.boot(), "/d/f"))) shown.add(fate);
      simulated.crash();
      for (const fate of fates(read(simulated.boot(), "/d/f"))) seen.add(fate);
    }
    expect([...shown].sort()).toEqual(["new", "old"]);
    expect([...seen].sort()).toEqual(["new", "old"]);
  });

  test("that failed is repaired by writing the bytes again", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { simulated, disk } = open(seed);
      const file = fileOfOnes(disk, 1);
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      simulated.fail({ kind: "sync", code: "EIO" });
      expect(() => file.sync()).toThrow("EIO");
      file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
      file.sync();
      simulated.crash();
      expect(fates(read(simulated.boot(), "/d/f")), `seed ${seed}`).toEqual(["new"]);
    }
  });
});

describe("calls fail as told", () => {
  test("once or for good, by kind and path, until healed", () => {
    const { simulated, disk } = open(1);
    const file = fileOfOnes(disk, 1);
    simulated.fail({ kind: "write", code: "ENOSPC", path: "/d/f", skip: 1 });
    file.write(new Uint8Array(1), 0);
    expect(() => file.write(new Uint8Array(1), 0)).toThrow("ENOSPC");
    file.write(new Uint8Array(1), 0);
    simulated.fail({ kind: "rename", code: "EIO", times: Number.POSITIVE_INFINITY });
    expect(() => disk.rename("/d/f", "/d/g")).toThrow("EIO");
    expect(() => disk.rename("/d/f", "/d/g")).toThrow("EIO");
    simulated.heal();
    disk.rename("/d/f", "/d/g");
    expect(disk.list("/d")).toEqual(["g"]);
  });

  test("writes are short where asked, and end at the capacity", () => {
    const { disk } = open(1, { shortWrites: 1, capacityBytes: 1000 });
    disk.makeFolder("/d");
    const file = disk.open("/d/f", "create");
    const taken = file.write(new Uint8Array(900), 0);
    expect(taken).toBeLessThan(900);
    let size = taken;
    while (size < 1000) size += file.write(new Uint8Array(1), size);
    expect(() => file.write(new Uint8Array(1), 1000)).toThrow("ENOSPC");
    expect(disk.freeBytes("/d")).toBe(0);
    file.write(new Uint8Array(1), 0); // no growth, no need of room
  });

  test("with the system's codes where a path is wrong", () => {
    const { disk } = open(1);
    fileOfOnes(disk, 1);
    expect(() => disk.open("/d/none", "read")).toThrow("ENOENT");
    expect(() => disk.open("/d/f", "create")).toThrow("EEXIST");
    expect(() => disk.list("/none")).toThrow("ENOENT");
    expect(() => disk.remove("/d/none")).toThrow("ENOENT");
    disk.makeFolder("/d"); // one that exists is fine
  });
});

test("a file cut and grown again reads as zeros and may come out as anything", () => {
  const seen = new Set<Fate>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const { simulated, disk } = open(seed);
    const file = fileOfOnes(disk, 4);
    file.truncate(SECTOR_BYTES);
    file.truncate(4 * SECTOR_BYTES);
    expect(fates(read(disk, "/d/f"))).toEqual(["old", "zeros", "zeros", "zeros"]);
    simulated.crash();
    const [first, ...rest] = fates(read(simulated.boot(), "/d/f"));
    expect(first, `seed ${seed}`).toBe("old");
    for (const fate of rest) seen.add(fate);
  }
  expect(seen).toContain("zeros");
  expect(seen).toContain("other");
});

test("an image holds every file, and a flipped bit shows", () => {
  const { simulated, disk } = open(1);
  fileOfOnes(disk, 1);
  simulated.flipBit("/d/f", 8);
  const copy = SimulatedDisk.fromImage(simulated.image(), { random: new Random(2) });
  expect(copy.image()).toEqual(simulated.image());
  copy.crash();
  const after = read(copy.boot(), "/d/f");
  expect([after[0], after[1]]).toEqual([1, 0]);
});

test("direct writes are durable when they return, alone, and take whole blocks", () => {
  const { simulated, disk } = open(5, { directWrites: true });
  const file = fileOfOnes(disk, 24);
  const direct = disk.openDirect("/d/f");
  file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
  expect(direct?.write(new Uint8Array(4_096).fill(2), 4_096)).toBe(4_096);
  for (const [bytes, offset] of [
    [new Uint8Array(100), 0],
    [new Uint8Array(4_096), 512],
    [new Uint8Array(8_192).subarray(1, 4_097), 0],
  ] as const) {
    expect(() => direct?.write(bytes, offset)).toThrow("EINVAL");
  }
  simulated.crash();
  const found = fates(simulated.image().get("/d/f") ?? new Uint8Array());
  expect(found.slice(8, 16)).toEqual(Array(8).fill("new"));
  expect(found.slice(1, 8).concat(found.slice(16))).toEqual(Array(15).fill("old"));
});

test("a process ends before or after a call's whole effect, where that is asked for", () => {
  for (const effect of ["none", "all"] as const) {
    const simulated = new SimulatedDisk({ random: new Random(1) });
    const disk = simulated.boot();
    disk.makeFolder("/d");
    const file = disk.open("/d/f", "create");
    simulated.endAtCall(1, "kill", effect);
    expect(() => file.write(new Uint8Array(SECTOR_BYTES).fill(7), 0)).toThrow(CrashSignal);
    expect(simulated.image().get("/d/f")?.length).toBe(effect === "all" ? SECTOR_BYTES : 0);
  }
});

test("a copy of a crashed disk goes on by itself", () => {
  const simulated = new SimulatedDisk({ random: new Random(1) });
  const disk = simulated.boot();
  disk.makeFolder("/d");
  write(disk.open("/d/f", "create"), 1);
  disk.syncFolder("/d");
  disk.syncFolder("/");
  simulated.crash();
  const copy = simulated.copyAfterCrash({ random: new Random(2) });
  expect(copy.image()).toEqual(simulated.image());
  write(copy.boot().open("/d/f", "write"), 2);
  expect(copy.image().get("/d/f")?.[0]).toBe(2);
  expect(simulated.image().get("/d/f")?.[0]).toBe(1);

  function write(file: DiskFile, value: number): void {
    file.write(new Uint8Array(SECTOR_BYTES).fill(value), 0);
    file.sync();
  }
});
