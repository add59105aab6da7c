/**
 * The executable's command line as a user meets it: what it prints, where, and with which exit code.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import packageJson from "../package.json" with { type: "json" };

const MAIN = join(import.meta.dirname, "../server/main.ts");
const FREE_PORTS = ["--resp", "127.0.0.1:0", "--http", "127.0.0.1:0"];

const folder = mkdtempSync(join(tmpdir(), "cairn-cli-"));
const running = new Set<Bun.Subprocess>();

afterEach(async () => {
  for (const child of running) child.kill("SIGKILL");
  await Promise.all([...running].map((child) => child.exited));
  running.clear();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Environment = Record<string, string>;

function spawn(args: readonly string[], environment: Environment = {}) {
  // Settings of the shell that runs the tests must not reach the server under test.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("CAIRN_"));
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    cwd: folder,
    env: { ...Object.fromEntries(inherited), NO_COLOR: "1", TMPDIR: folder, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  running.add(child);
  return child;
}

/** Runs a command to its end. */
async function cairn(args: readonly string[], environment?: Environment) {
  const child = spawn(args, environment);
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

/** Starts a server on free ports and waits for its ready line. */
async function serve(args: readonly string[], environment?: Environment) {
  const child = spawn(["serve", ...FREE_PORTS, ...args], environment);
  const decoder = new TextDecoder();
  const reader = child.stderr.getReader();
  let stderr = "";
  let ready: RegExpExecArray | null = null;
  while (ready === null) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the server ended before it was ready: ${stderr}`);
    stderr += decoder.decode(value, { stream: true });
    ready = /^.*ready resp=(\S+) http=(\S+)$/m.exec(stderr);
  }
  return {
    resp: ready[1] ?? "",
    http: ready[2] ?? "",
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    exited: child.exited,
    closeStderr: () => reader.cancel(),
  };
}

const newFolder = (name: string) => join(folder, name);

// ── what needs no store ───────────────────────────────────────────────────────────────────────────

test("without a command, and with --help or -h, it prints the list of commands", async () => {
  for (const args of [[], ["help"], ["--help"], ["-h"]]) {
    const { stdout, stderr, exitCode } = await cairn(args);
    expect(exitCode).toBe(0);
    expect(stderr).toBe("");
    for (const name of ["serve", "ping", "verify", "dump", "version", "help"]) {
      expect(stdout).toContain(`cairn ${name}`);
    }
  }
});

test("each command has its help, asked in either way", async () => {
  for (const name of ["serve", "ping", "verify", "dump", "version", "help"]) {
    const { stdout, exitCode } = await cairn(["help", name]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`^cairn ${name}\\b`));
  }
  const asked = await cairn(["serve", "--help"]);
  expect(asked.exitCode).toBe(0);
  expect(asked.stdout).toBe((await cairn(["help", "serve"])).stdout);
});

test("version, --version and -v print the package's version", async () => {
  for (const args of [["version"], ["--version"], ["-v"]]) {
    expect(await cairn(args)).toEqual({
      stdout: `cairn ${packageJson.version}\n`,
      stderr: "",
      exitCode: 0,
    });
  }
});

test.each([
  [["serv"], "cairn: unknown command 'serv'; did you mean 'serve'?"],
  [["constructor"], "cairn: unknown command 'constructor'; see cairn help"],
  [["help", "dmup"], "cairn: unknown command 'dmup'; did you mean 'dump'?"],
  [["help", "dump", "x"], "cairn: help does not take 'x'; see cairn help"],
  [["--data", "x"], "cairn: flags follow a command, but '--data' came first; see cairn help"],
  [["version", "x"], "cairn: version does not take 'x'; see cairn help"],
  [["serve", "--strickt"], "cairn: unknown flag '--strickt'; did you mean '--strict'?"],
  [
    ["serve", "--partitions", "0"],
    "cairn: flag --partitions: '0' is not allowed; give a whole number from 1 to 65536",
  ],
  [
    ["serve", "--config", "missing.toml"],
    "cairn: configuration file 'missing.toml' cannot be read",
  ],
  [["serve", "--resp", "0.0.0.0:0"], "cairn: flag --resp: '0.0.0.0:0' is not allowed"],
  [["ping", "--resp", "9090"], "cairn: flag --resp: '9090' is not allowed; give HOST:PORT"],
  [["ping", "--http", "x"], "cairn: unknown flag '--http' of ping; see cairn help ping"],
  [["ping", "x"], "cairn: ping takes flags alone, but 'x' was given"],
  [["verify"], "cairn: verify needs DIR, the folder of a store; see cairn help verify"],
  [["verify", "a", "b"], "cairn: verify takes one DIR, but 'b' was given too"],
  [["dump"], "cairn: dump needs DIR, the folder of a store; see cairn help dump"],
  [["dump", "a", "--form", "1"], "cairn: unknown flag '--form' of dump; did you mean '--from'?"],
  [["dump", "a", "--from", "-1"], "cairn: flag --from: '-1' is not allowed; give a whole number"],
  [["dump", "a", "--limit", "1e3"], "cairn: flag --limit: '1e3' is not allowed"],
  [["dump", "a", "--stream"], "cairn: flag --stream needs a value"],
])("%j is refused with one line, exit code 2", async (args, line) => {
  const { stdout, stderr, exitCode } = await cairn(args);
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(stderr.slice(0, line.length)).toBe(line);
  expect(stdout).toBe("");
  expect(exitCode).toBe(2);
});

test("a wrong environment variable is told by its name", async () => {
  const { stderr, exitCode } = await cairn(["serve"], { CAIRN_SEGMENT_BYTES: "1KiB" });
  expect(stderr).toMatch(
    /^cairn: environment variable CAIRN_SEGMENT_BYTES: '1KiB' is not allowed; /,
  );
  expect(exitCode).toBe(2);
});

test("ping: one line and exit code 1 when nobody answers, or somebody else", async () => {
  const other = createServer((socket) => {
    socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const wrong = await cairn(["ping", "--resp", `127.0.0.1:${port}`]);
  expect(wrong.stderr).toBe(
    `cairn: no answer from 127.0.0.1:${port}: what came is no answer to PING\n`,
  );
  expect(wrong.exitCode).toBe(1);

  await new Promise((resolve) => other.close(resolve));
  const nobody = await cairn(["ping", "--resp", `127.0.0.1:${port}`]);
  expect(nobody.stderr).toMatch(/^cairn: no answer from 127\.0\.0\.1:\d+: [^\n]+\n$/);
  expect(nobody.exitCode).toBe(1);
});

test("ping: gives up on a server that takes the connection and says nothing", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const { stderr, exitCode } = await cairn(["ping"], { CAIRN_RESP: `127.0.0.1:${port}` });
  expect(stderr).toContain("nothing came within two seconds");
  expect(exitCode).toBe(1);
  silent.close();
});

// ── the server ────────────────────────────────────────────────────────────────────────────────────

test("serve: a ready line with the real ports, ping answers, SIGTERM ends it with 0", async () => {
  const data = newFolder("orderly");
  const server = await serve(["--data", data]);
  expect(server.resp).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  expect(server.http).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  expect(statSync(data).mode & 0o777).toBe(0o700);

  expect(await cairn(["ping", "--resp", server.resp])).toEqual({
    stdout: `PONG from ${server.resp}\n`,
    stderr: "",
    exitCode: 0,
  });
  expect((await fetch(`http://${server.http}/healthz`)).status).toBe(200);
  expect((await fetch(`http://${server.http}/readyz`)).status).toBe(200);

  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
  expect((await cairn(["ping", "--resp", server.resp])).exitCode).toBe(1);
});

test("serve: SIGINT ends it with 0 too", async () => {
  const server = await serve(["--ephemeral"]);
  server.kill("SIGINT");
  expect(await server.exited).toBe(0);
});

test("serve: settings come from a file and the environment", async () => {
  writeFileSync(newFolder("cairn.toml"), 'data = "from-file"\npartitions = 4\n');
  const server = await serve([], { CAIRN_CONFIG: "cairn.toml" });
  expect(readdirSync(folder)).toContain("from-file");
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("serve: a second server on the same folder is refused, exit code 1", async () => {
  const data = newFolder("twice");
  const first = await serve(["--data", data]);
  const second = await cairn(["serve", ...FREE_PORTS, "--data", data]);
  expect(second.stderr).toMatch(/^\S+ error [^\n]*twice[^\n]*\n$/);
  expect(second.exitCode).toBe(1);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
});

test("serve: an address that is taken is one line that names it, exit code 1", async () => {
  const first = await serve(["--ephemeral"]);
  for (const [flag, address, other] of [
    ["--resp", first.resp, "--http"],
    ["--http", first.http, "--resp"],
  ] as const) {
    const { stderr, exitCode } = await cairn([
      ...["serve", "--ephemeral", flag, address, other, "127.0.0.1:0"],
    ]);
    const door = flag === "--resp" ? "RESP" : "HTTP";
    expect(stderr.replace(/^\S+ /, "")).toBe(
      `error ${door} cannot listen at ${address}: another process listens there; ${flag} chooses another\n`,
    );
    expect(exitCode).toBe(1);
  }
});

test("serve: another number of partitions than the store's is refused, exit code 1", async () => {
  const data = newFolder("partitions");
  const made = await serve(["--data", data, "--partitions", "8"]);
  made.kill("SIGTERM");
  expect(await made.exited).toBe(0);

  const other = await cairn(["serve", ...FREE_PORTS, "--data", data, "--partitions", "16"]);
  expect(other.stderr).toMatch(/^\S+ error [^\n]*\b8\b[^\n]*\n$/);
  expect(other.stderr).toContain("16");
  expect(other.exitCode).toBe(1);

  for (const same of [[], ["--partitions", "8"]]) {
    const again = await serve(["--data", data, ...same]);
    again.kill("SIGTERM");
    expect(await again.exited).toBe(0);
  }
});

test("serve --ephemeral leaves nothing behind", async () => {
  const temporary = mkdtempSync(join(folder, "tmp-"));
  const server = await serve(["--ephemeral"], { TMPDIR: temporary });
  expect(readdirSync(temporary)).toHaveLength(1);
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
  expect(readdirSync(temporary)).toEqual([]);
});

test("serve goes on when nobody reads its standard error any more", async () => {
  const server = await serve(["--ephemeral"]);
  await server.closeStderr();
  expect((await cairn(["ping", "--resp", server.resp])).exitCode).toBe(0);
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
});

// ── closed stores ─────────────────────────────────────────────────────────────────────────────────

test("what is no store is one line, exit code 1: from verify a finding, from dump an error", async () => {
  const verified = await cairn(["verify", newFolder("nothing-here")]);
  expect(verified.stdout).toMatch(/^[^\n]*nothing-here[^\n]*\n$/);
  expect(verified.exitCode).toBe(1);

  const dumped = await cairn(["dump", newFolder("nothing-here")]);
  expect(dumped.stdout).toBe("");
  expect(dumped.stderr).toMatch(/^cairn: [^\n]*nothing-here[^\n]*\n$/);
  expect(dumped.exitCode).toBe(1);
});

test("verify says what it checked; dump prints events by position, as asked", async () => {
  const data = newFolder("closed");
  const server = await serve(["--data", data]);
  const client = new Bun.RedisClient(`redis://${server.resp}`);
  for (const [stream, payload] of [
    ["a", "1"],
    ["b", "2"],
    ["a", "3"],
  ] as const) {
    await client.send("EAPPEND", [stream, "Counted", "PAYLOAD", payload]);
  }
  client.close();

  const open = await cairn(["verify", data]);
  expect(open.stdout).toMatch(/^[^\n]*closed[^\n]*\n$/); // it names the folder, which a server has
  expect(open.exitCode).toBe(1);

  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);

  const verified = await cairn(["verify", data]);
  expect(verified.stderr).toBe("");
  expect(verified.stdout).not.toBe("");
  expect(verified.exitCode).toBe(0);

  const dumped = async (...flags: string[]) => {
    const { stdout, exitCode } = await cairn(["dump", data, ...flags]);
    expect(exitCode).toBe(0);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { position: number; stream_id: string; payload: string });
  };
  const brief = (events: Awaited<ReturnType<typeof dumped>>) =>
    events.map((event) => [event.position, event.stream_id, event.payload]);
  expect(brief(await dumped())).toEqual([
    [0, "a", "1"],
    [1, "b", "2"],
    [2, "a", "3"],
  ]);
  expect(brief(await dumped("--stream", "a"))).toEqual([
    [0, "a", "1"],
    [2, "a", "3"],
  ]);
  expect(brief(await dumped("--from", "1", "--limit", "1"))).toEqual([[1, "b", "2"]]);

  // One bit of the second event's payload is another one.
  const segment = join(data, "log", "0".repeat(20).concat(".seg"));
  const bytes = readFileSync(segment);
  const at = bytes.indexOf("bCounted2") + "bCounted".length;
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(segment, bytes);
  const refused = await cairn(["serve", ...FREE_PORTS, "--data", data]);
  expect(refused.stderr).toMatch(
    /^\S+ error \S+\.seg at offset \d+: [^\n]*; no byte was changed: restore a backup, or see with 'cairn dump \S+' which events are intact\n$/,
  );
  expect(refused.exitCode).toBe(1);
  const salvaged = await cairn(["dump", data]);
  expect(salvaged.exitCode).toBe(1);
  expect(salvaged.stdout.match(/"payload":"\d"/g)).toEqual(['"payload":"1"', '"payload":"3"']);
  expect(salvaged.stderr).toMatch(
    /^cairn: \S+\.seg at offset \d+: damaged; the event at position 1 is missing\ncairn: missing: 1 event; printed: 2\n$/,
  );
});
