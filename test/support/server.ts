/**
 * The executable under test, started as a user starts it and reached through its ports alone.
 *
 * CAIRN_TEST_COMMAND says what is run (words separated by blanks, "bun server/main.ts"); without it that is
 * dist/cairn, which `make test` builds first, and the sources where nothing is built. Whatever a file's tests
 * started is ended after them, also when they fail.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** From the start to the ready line. Above: killed, and the test fails with what the server said. */
const READY_MS_MAX = 60_000;
/** From SIGTERM to the end. Above: killed, and the test fails. */
const STOP_MS_MAX = 30_000;
/** How long `until` waits for its condition. Above: the test fails; it says nothing about speed. */
const UNTIL_MS_MAX = 60_000;
/** Between two looks at a condition. */
const UNTIL_PAUSE_MS = 5;

export interface CairnOptions {
  /** Flags after `serve`, beside data folder and ports. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The data folder. Without it the store is a throw-away one. */
  readonly data?: string;
  /** Words before the executable: a shell that lowers its limits first, for example. */
  readonly wrapper?: readonly string[];
  /** Words that start the server, in place of the executable. */
  readonly command?: readonly string[];
}

export interface Cairn {
  readonly pid: number;
  readonly respPort: number;
  readonly httpPort: number;
  /** What it has written to standard error so far. */
  stderr(): string;
  /** Resolves with the exit code when it has ended by itself. */
  exited(): Promise<number>;
  /** SIGTERM; resolves with the exit code when it has ended. */
  stop(): Promise<number>;
  /** SIGKILL; resolves when it has ended. A server that has ended already stays as it is. */
  kill(): Promise<void>;
}

type Child = Bun.Subprocess<"ignore", "ignore", "pipe">;

const running = new Set<Child>();

// An orderly end, so that throw-away stores are removed; killed where that takes too long.
async function endAll(): Promise<void> {
  for (const child of running) child.kill("SIGTERM");
  try {
    await until(() => running.size === 0, "all servers have stopped", STOP_MS_MAX);
  } finally {
    for (const child of running) child.kill("SIGKILL");
  }
}

if (process.env.VITEST !== undefined) afterAll(endAll); // a fuzzer outside of tests ends its servers itself

/** Starts a server on free ports and waits until it is ready. */
export async function startCairn(options: CairnOptions = {}): Promise<Cairn> {
  const store = options.data === undefined ? ["--ephemeral"] : ["--data", options.data];
  const doors = ["--resp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
  const words = [
    ...(options.command ?? executable()),
    "serve",
    ...store,
    ...doors,
    ...(options.args ?? []),
  ];
  const child: Child = Bun.spawn([...(options.wrapper ?? []), ...words], {
    env: environment(options.env ?? {}),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  running.add(child);
  let stderr = "";
  let hasEnded = false;
  void child.exited.then(() => {
    hasEnded = true;
    running.delete(child);
  });
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) stderr += decoder.decode(chunk, { stream: true });
  })();
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };

  const readyLine = () => /ready resp=\S+:(\d+) http=\S+:(\d+)["\n]/.exec(stderr);
  try {
    await until(() => readyLine() !== null || hasEnded, "the server is ready", READY_MS_MAX);
  } catch (error) {
    await kill();
    throw new Error(`${String(error)}; it said: ${stderr}`);
  }
  const ready = readyLine();
  if (ready === null) {
    await reading;
    throw new Error(`the server ended with ${child.exitCode} before it was ready: ${stderr}`);
  }

  return {
    pid: child.pid,
    respPort: Number(ready[1]),
    httpPort: Number(ready[2]),
    stderr: () => stderr,
    async exited() {
      await until(() => hasEnded, "the server has ended by itself");
      await reading;
      return child.exited;
    },
    async stop() {
      child.kill("SIGTERM");
      try {
        await until(() => hasEnded, "the server has stopped", STOP_MS_MAX);
      } finally {
        await kill();
      }
      return child.exited;
    },
    kill,
  };
}

/** Waits for a condition; `what` says in words what did not come true. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  msMax = UNTIL_MS_MAX,
): Promise<void> {
  const deadline = performance.now() + msMax;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`after ${msMax} ms it is not so that ${what}`);
    }
    await Bun.sleep(UNTIL_PAUSE_MS);
  }
}

/** The words that run the executable. */
export function executable(): string[] {
  const command = process.env.CAIRN_TEST_COMMAND;
  if (command !== undefined && command !== "") return command.split(" ");
  const built = join(ROOT, "dist/cairn");
  return existsSync(built) ? [built] : [process.execPath, join(ROOT, "server/main.ts")];
}

/** Settings of the shell that runs the tests must not reach the server under test. */
function environment(given: Readonly<Record<string, string>>): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith("CAIRN_")) inherited[name] = value;
  }
  return { ...inherited, ...given };
}
