/**
 * Python with redis-py, where the machine has it: the scripts of test/python run against a server.
 */
import { join } from "node:path";

const SCRIPTS = join(import.meta.dirname, "../python");

/** Why the scripts cannot run here, or null. */
export const pythonMissing: string | null = missing();

/** Runs a script against the server on a port, which is its first argument; throws with what it said unless it ended well. */
export async function runPython(
  script: string,
  port: number,
  ...words: readonly string[]
): Promise<void> {
  const child = Bun.spawn(["python3", join(SCRIPTS, script), String(port), ...words], {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode}\n${stdout}${stderr}`);
}

function missing(): string | null {
  if (Bun.which("python3") === null) return "no python3 on the PATH";
  const { exitCode } = Bun.spawnSync(["python3", "-c", "import redis"], { stderr: "ignore" });
  return exitCode === 0 ? null : "python3 has no redis package (pip install redis)";
}
