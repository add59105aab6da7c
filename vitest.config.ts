/**
 * How the tests run: inside Bun, where vitest's only pool that starts is `threads`.
 *
 * A test that starts servers or crashes disks takes seconds on a small machine, hence the long time limit:
 * it ends a hang, and says nothing about speed.
 */
import { defineConfig } from "vitest/config";

const TEST_TIME_MAX_MS = 120_000;

/** Embedded files by their paths, as Bun gives them for `with { type: "file" }`; vite would run them as modules. */
const embeddedFiles = {
  name: "embedded-files",
  enforce: "pre" as const,
  load(id: string): string | undefined {
    return /\.(wasm|html)$/.test(id) ? `export default ${JSON.stringify(id)};` : undefined;
  },
};

export default defineConfig({
  plugins: [embeddedFiles],
  test: {
    include: ["test/**/*.test.ts"],
    pool: "threads",
    maxWorkers: 2,
    testTimeout: TEST_TIME_MAX_MS,
    hookTimeout: TEST_TIME_MAX_MS,
  },
});
