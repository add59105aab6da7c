/** The real disk where the system says no. */
import { expect, test } from "vitest";

import { makeTemporaryFolder, removeFolder, systemDisk } from "../server/disk.ts";

test("a file that the system cannot look for is not taken for missing", () => {
  const folder = makeTemporaryFolder("cairn-disk-");
  try {
    expect(systemDisk.exists(folder)).toBe(true);
    expect(systemDisk.exists(`${folder}/STORE`)).toBe(false);
    expect(() => systemDisk.exists(`${folder}/${"x".repeat(4_096)}`)).toThrow("ENAMETOOLONG");
  } finally {
    removeFolder(folder);
  }
});
