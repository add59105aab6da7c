/** The real disk where the system says no, and its locks. */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";

import { makeTemporaryFolder, removeFolder, systemDisk } from "../server/disk.ts";

let folder: string;

beforeEach(() => {
  folder = makeTemporaryFolder("cairn-disk-");
});

afterEach(() => removeFolder(folder));

test("a file that the system cannot look for is not taken for missing", () => {
  expect(systemDisk.exists(folder)).toBe(true);
  expect(systemDisk.exists(`${folder}/STORE`)).toBe(false);
  expect(() => systemDisk.exists(`${folder}/${"x".repeat(4_096)}`)).toThrow("ENAMETOOLONG");
});

// As one is that is just being started in another thread: it has all descriptors until it runs its own program. Only Linux says
// there which file a descriptor is.
test.skipIf(!existsSync("/proc/self/fd"))(
  "a lock that was given up is free, though another process still has its descriptor",
  async () => {
    const path = `${folder}/LOCK`;
    const unlock = systemDisk.lock(path);
    expect(systemDisk.lock(path)).toBeNull();
    const other = Bun.spawn(["cat"], { stdio: ["pipe", descriptorOf(path), null] });
    unlock?.();
    const again = systemDisk.lock(path);
    expect(again).not.toBeNull();
    again?.();
    other.stdin.end();
    expect(await other.exited).toBe(0);
  },
);

/** The number under which this process has a file open. */
function descriptorOf(path: string): number {
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === path) return Number(name);
    } catch {
      // It is closed by now.
    }
  }
  throw new Error(`${path} is not open`);
}
