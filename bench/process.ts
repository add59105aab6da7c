/**
 * Other programs, run to their end or kept running, always with a bound and always ended by their own process.
 */
import { basename } from "node:path";
import type { Subprocess } from "bun";

/** Seconds a tool that runs to its end may take. Above: killed, and the measurement fails. */
const RUN_SECONDS_MAX = 120;
/** How long a server may take; the two where a large store can need longer are given by who starts it. */
export interface ServerBounds {
  /** Seconds from its start to its ready line. Above: killed, and the server counts as missing. */
  readonly readySeconds: number;
  /** Seconds from SIGTERM to its end. Above: SIGKILL. */
  readonly stopSeconds: number;
}
const SERVER_BOUNDS: ServerBounds = { readySeconds: 60, stopSeconds: 20 };
/** Last lines of a server's output kept, to say why it did not start, or ended. */
const LINES_KEPT = 20;

const running = new Set<Subprocess>();

/** Kills whatever this process still runs, for when it is told to stop itself; resolves when all have ended. */
export async function killAll(): Promise<void> {
  for (const child of running) child.kill("SIGKILL");
  await Promise.all([...running].map((child) => child.exited));
}

function spawn(command: readonly string[]): Subprocess<"ignore", "pipe", "pipe"> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  running.add(child);
  void child.exited.then(() => running.delete(child));
  return child;
}

/** Runs a program to its end and returns its standard output; anything but exit 0 is thrown. */
export async function run(command: readonly string[]): Promise<string> {
  const child = spawn(command);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_SECONDS_MAX * 1e3);
  try {
    const [output, errors, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (code !== 0)
      throw new Error(firstError(errors) ?? `${basename(command[0] ?? "")} ended with ${code}`);
    return output;
  } finally {
    clearTimeout(timer);
  }
}

export interface Server {
  readonly pid: number;
  /** The line that said that it is ready. */
  readonly readyLine: string;
  /** From the spawn to that line, milliseconds. */
  readonly readyMs: number;
  /** The last line that it wrote. */
  lastLine(): string;
  /** SIGTERM, and SIGKILL where that is not enough; resolves with the exit code when all output was read. */
  stop(): Promise<number>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Starts a server and waits for a line, on either output, that matches `ready`. */
export async function startServer(
  command: readonly string[],
  ready: RegExp,
  bounds = SERVER_BOUNDS,
): Promise<Server> {
  const startNs = Bun.nanoseconds();
  const child = spawn(command);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const lines: string[] = [];
  const onLine = (line: string): void => {
    if (ready.test(line)) resolve(line);
    lines.push(line);
    if (lines.length > LINES_KEPT) lines.shift();
  };
  const drained = Promise.all([readLines(child.stdout, onLine), readLines(child.stderr, onLine)]);
  drained.then(
    () => reject(new Error(lines.at(-1) ?? "it ended without a word")),
    (error) => reject(error),
  );
  const timer = setTimeout(() => {
    child.kill("SIGKILL");
    reject(new Error(`not ready after ${bounds.readySeconds} s`));
  }, bounds.readySeconds * 1e3);
  try {
    const readyLine = await promise;
    const readyMs = (Bun.nanoseconds() - startNs) / 1e6;
    return {
      pid: child.pid,
      readyLine,
      readyMs,
      lastLine: () => lines.at(-1) ?? "",
      async stop() {
        const code = await stop(child, bounds.stopSeconds);
        await drained;
        return code;
      },
      async kill() {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  } finally {
    clearTimeout(timer);
  }
}

async function stop(child: Subprocess, seconds: number): Promise<number> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1e3);
  const code = await child.exited;
  clearTimeout(timer);
  return code;
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}

function firstError(output: string): string | undefined {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /error/i.test(line)) ?? lines.at(-1);
}
