/**
 * The direction of imports: down the data's way, never up, and two doors that one file alone may use.
 *
 * The rows are ARCHITECTURE.md's picture from top to bottom. An entry of a row is a folder, or files that are one part;
 * a file named there does not belong to its folder's entry. A file may import from its own entry and from the rows
 * below. Types count as well.
 */
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

/** Top to bottom. `resp/` is bytes alone and knows nothing of events; its door is above the commands. */
const ROWS = [
  ["main.ts"],
  ["cli/"],
  ["server.ts figures.ts"],
  ["resp/door.ts resp/connection.ts resp/held-replies.ts"],
  ["commands/", "http/"],
  ["store/"],
  ["index/"],
  ["log/"],
  ["core/"],
  ["resp/"],
  ["metrics/"],
  ["disk.ts"],
  ["libc.ts"],
  ["config/"],
  ["stderr-log.ts"],
  ["usage.ts"],
  ["errors.ts"],
  ["limits.ts"],
  ["assert.ts"],
];

/** Packages that only one file may import, since a test puts something else under everything there. */
const SINGLE_IMPORTERS = [
  { pattern: /^(node:)?fs(\/.*)?$/, importer: "disk.ts" },
  { pattern: /\.wasm$/, importer: "core/core.ts" },
];

const SERVER = join(import.meta.dirname, "../server");
const transpiler = new Bun.Transpiler({ loader: "ts" });

async function importsOf(file: string): Promise<string[]> {
  const source = await Bun.file(join(SERVER, file)).text();
  // The transpiler drops imports of types, so they are made to look like others.
  const withTypes = source
    .replace(/^(import|export) type (?=[{*]|\w+ from)/gm, "$1 ")
    .replace(
      /^((?:import|export) \{)([^}]*)\}/gm,
      (_, head: string, names: string) => `${head}${names.replace(/\btype (?=\w)/g, "")}}`,
    );
  return transpiler.scanImports(withTypes).map(({ path }) => path);
}

const files = [...new Bun.Glob("**/*.ts").scanSync(SERVER)].filter(
  (file) => !file.endsWith(".d.ts"),
);
const imports = new Map(
  await Promise.all(files.sort().map(async (file) => [file, await importsOf(file)] as const)),
);

/** Index of a file's row, and the entry of the row that it belongs to. */
function place(file: string): { row: number; entry: string } | null {
  const places = ROWS.flatMap((row, index) => row.map((entry) => ({ row: index, entry })));
  return (
    places.find(({ entry }) => entry.split(" ").includes(file)) ??
    places.find(({ entry }) => entry.endsWith("/") && file.startsWith(entry)) ??
    null
  );
}

test("every file of the server has its row", () => {
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((file) => place(file) === null)).toEqual([]);
});

test("imports go down the picture, never up or across", () => {
  const wrong: string[] = [];
  for (const [file, paths] of imports) {
    for (const path of paths.filter((path) => path.startsWith("."))) {
      const target = normalize(join(dirname(file), path));
      const from = place(file);
      const to = place(target);
      if (from === null || to === null) continue; // outside of server/, or told by the test above
      const isAllowed = to.row > from.row || to.entry === from.entry;
      if (!isAllowed) wrong.push(`${file} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("one file alone imports the file system, one the core", () => {
  const wrong: string[] = [];
  for (const [file, paths] of imports) {
    for (const path of paths) {
      const rule = SINGLE_IMPORTERS.find(({ pattern }) => pattern.test(path));
      if (rule !== undefined && rule.importer !== file) wrong.push(`${file} imports ${path}`);
    }
  }
  expect(wrong).toEqual([]);
});
