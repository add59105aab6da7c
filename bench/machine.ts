/**
 * When, of which commit and on which machine something was measured: the first lines above a table.
 */
import { cpus, release } from "node:os";
import { join } from "node:path";
import { run } from "./process.ts";
import { SEED } from "./requests.ts";

const ROOT = join(import.meta.dirname, "..");

/** Two lines of a Markdown list. */
export async function describeMachine(): Promise<string> {
  const git = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"];
  const commit = await run(git).catch(() => "none");
  const cpu = cpus();
  return [
    `- Date: ${new Date().toISOString().slice(0, 10)}; commit: ${commit.trim()}; seed: ${SEED}`,
    `- Machine: ${cpu[0]?.model ?? "unknown"}, ${cpu.length} cores, ${process.platform} ${release()}`,
  ].join("\n");
}
