/**
 * Which processors server and client run on while single requests are timed.
 *
 * Left to the system a round trip takes 17 or 50 µs, by whether both happen to share a processor, and that may change in the
 * midst of a pass. So each gets one of its own (taskset of util-linux); without it, or with one processor, nothing is done.
 */
import { availableParallelism } from "node:os";
import { run } from "../process.ts";

/** Does `act` with the server's threads on one processor and this process' threads on another. */
export async function onOwnProcessors<T>(serverPid: number, act: () => Promise<T>): Promise<T> {
  const all = `0-${availableParallelism() - 1}`;
  const isBound = (await bind(serverPid, "0")) && (await bind(process.pid, "1"));
  try {
    return await act();
  } finally {
    if (isBound) await bind(process.pid, all);
    await bind(serverPid, all);
  }
}

/** False where it cannot be done. */
async function bind(pid: number, processors: string): Promise<boolean> {
  if (availableParallelism() < 2 || Bun.which("taskset") === null) return false;
  try {
    await run(["taskset", "--all-tasks", "--cpu-list", "--pid", processors, String(pid)]);
    return true;
  } catch {
    return false;
  }
}
