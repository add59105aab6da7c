/**
 * The executable on a real system that fails it: a disk that is full, syncs that fail, a clock that jumps.
 *
 * Rival clients go on meanwhile, and one history over all that they were told must agree with the log at the end.
 * What a test needs of the machine (root for a small file system, strace, a C compiler) is said where it is skipped.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Answer, History } from "./support/history.ts";
import { killRounds } from "./support/kill-rounds.ts";
import { Random } from "./support/random.ts";
import { RespClient } from "./support/resp-client.ts";
import { RivalClient, readLog } from "./support/rival-clients.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const ARGS = ["--segment-bytes", "64KiB"];
const CLIENTS = 4;

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-faults-"));
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Clients with one history over several runs of a server. */
class Rivals {
  readonly history = new History();
  private readonly seen = new Map<Answer["tell"], number>();
  private readonly clients: RivalClient[];

  constructor() {
    this.clients = Array.from({ length: CLIENTS }, (_, number) => {
      const count = (answer: Answer) => {
        this.seen.set(answer.tell, this.count(answer.tell) + 1);
      };
      return new RivalClient(number, new Random(number), this.history, count);
    });
  }

  /** Answers of this kind so far. */
  count(tell: Answer["tell"]): number {
    return this.seen.get(tell) ?? 0;
  }

  /** Lets the clients ask until they have got so many more answers of this kind. */
  async run(server: Cairn, tell: Answer["tell"], more: number): Promise<void> {
    const wanted = this.count(tell) + more;
    const runs = this.clients.map((client) =>
      client.run(server.respPort, () => this.count(tell) >= wanted),
    );
    await Promise.all(runs);
    expect(
      this.count(tell),
      `answers "${tell}"; it said ${server.stderr()}`,
    ).toBeGreaterThanOrEqual(wanted);
  }

  /** Holds all that was told against the log. */
  async check(server: Cairn): Promise<void> {
    const client = await RespClient.connect3(server.respPort);
    this.history.check(await readLog(client));
    client.close();
  }
}

async function status(server: Cairn, route: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}${route}`);
  await response.arrayBuffer();
  return response.status;
}

// ── a full disk ───────────────────────────────────────────────────────────────────────────────────

const SMALL_DISK = "4m";
/** What is left of it when the server is to meet its end. */
const ROOM_BYTES = 400 * 1024;

const canMount = (() => {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-mount-"));
  const mounted = mount(place);
  if (mounted) spawnSync("umount", [place]);
  fs.rmdirSync(place);
  return mounted;
})();

function mount(place: string): boolean {
  return (
    spawnSync("mount", ["-t", "tmpfs", "-o", `size=${SMALL_DISK}`, "tmpfs", place]).status === 0
  );
}

test.skipIf(!canMount)(
  "a full disk: refused, read, stopped in order, opened, and written again when there is room (needs mount: root on Linux)",
  async () => {
    expect(mount(folder)).toBe(true);
    try {
      const data = path.join(folder, "data");
      const ballast = path.join(folder, "ballast");
      const rivals = new Rivals();
      let server = await startCairn({ data, args: ARGS });
      await rivals.run(server, "appended", 20);
      const { bavail, bsize } = fs.statfsSync(folder);
      fs.writeFileSync(ballast, new Uint8Array(bavail * bsize - ROOM_BYTES));
      await rivals.run(server, "refused", 50);
      expect(await status(server, "/readyz")).toBe(503);
      expect(await status(server, "/healthz")).toBe(200);
      await rivals.run(server, "events", 5); // reads go on
      expect(await server.stop()).toBe(0);

      server = await startCairn({ data, args: ARGS });
      await rivals.run(server, "events", 5);
      await rivals.check(server);
      await server.kill();

      server = await startCairn({ data, args: ARGS });
      await rivals.run(server, "refused", 1);
      fs.rmSync(ballast);
      await rivals.run(server, "appended", 50); // by itself
      expect(await status(server, "/readyz")).toBe(200);
      await rivals.check(server);
      expect(await server.stop()).toBe(0);
    } finally {
      expect(spawnSync("umount", [folder]).status).toBe(0);
    }
  },
);

// ── syncs that fail ───────────────────────────────────────────────────────────────────────────────

const canTrace = spawnSync("strace", ["-qq", "-o", "/dev/null", "true"]).status === 0;
/** Writes of the log that succeed before the first one fails. */
const WRITES_BEFORE = 40;

/** Words before the executable; `-D` makes the server, not strace, the child. */
function strace(output: string, file: string, ...options: string[]): string[] {
  return ["strace", "-D", "-f", "-qq", "-o", output, "-P", file, ...options];
}

test.skipIf(!canTrace)(
  "syncs that fail: uncertain, then read-only, and a restart has all that was acknowledged (needs strace)",
  async () => {
    const data = path.join(folder, "data");
    const segment = path.join(data, "log", `${"0".repeat(20)}.seg`);
    const trace = path.join(folder, "trace");
    // One segment, so that all that is appended goes to the file that is traced.
    const args = ["--segment-bytes", "64MiB"];

    const makeStore = async () => {
      fs.rmSync(data, { recursive: true, force: true });
      const server = await startCairn({ data, args });
      await server.stop();
    };

    // Which of the file's opens is for direct writes: without it every batch is a write and an fdatasync.
    await makeStore();
    const watched = await startCairn({
      data,
      args,
      wrapper: strace(trace, segment, "-e", "openat"),
    });
    await watched.kill();
    const opens = fs
      .readFileSync(trace, "utf8")
      .split("\n")
      .filter((line) => line.includes("openat("));
    const direct = opens.findIndex((line) => line.includes("O_DIRECT")) + 1;

    for (const way of ["as it comes", "fdatasync alone"]) {
      const refuse = direct > 0 ? ["-e", `inject=openat:error=EINVAL:when=${direct}`] : [];
      const wrapper = strace(
        trace,
        segment,
        ...["-e", "trace=openat,pwrite64,fdatasync"],
        ...(way === "fdatasync alone"
          ? refuse
          : ["-e", `inject=pwrite64:error=EIO:when=${WRITES_BEFORE}+`]),
        ...["-e", `inject=fdatasync:error=EIO:when=${WRITES_BEFORE}+`],
      );
      const rivals = new Rivals();
      await makeStore();
      let server = await startCairn({ data, args, wrapper });
      await rivals.run(server, "unknown", 1);
      await rivals.run(server, "refused", 20);
      expect(server.stderr()).toMatch(/read-only: the log failed \(EIO.*restart the server/);
      expect(await status(server, "/readyz")).toBe(503);
      await rivals.run(server, "events", 5);
      expect(await server.stop()).toBe(0);
      expect(fs.readFileSync(trace, "utf8")).toMatch(
        way === "fdatasync alone" ? /fdatasync\(.*INJECTED/ : /INJECTED/,
      );

      server = await startCairn({ data, args });
      await rivals.run(server, "appended", 20);
      await rivals.check(server);
      expect(await server.stop()).toBe(0);
    }
  },
);

// ── a clock that jumps ────────────────────────────────────────────────────────────────────────────

const HOUR_S = 3_600;
const SHIFT_BYTES = 8;
const ROUNDS = 6;

const canCompile = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;

test.skipIf(!canCompile)(
  "a clock that jumps an hour back and forth, with kills (needs a C compiler, Linux)",
  async () => {
    const library = path.join(folder, "clock-shift.so");
    const source = path.join(import.meta.dirname, "support/clock-shift.c");
    const compiled = spawnSync("cc", ["-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
    expect(String(compiled.stderr)).toBe("");
    const shift = path.join(folder, "shift");
    const write = (seconds: number) => {
      const bytes = new Uint8Array(SHIFT_BYTES);
      new DataView(bytes.buffer).setBigInt64(0, BigInt(seconds), true);
      const file = fs.openSync(shift, "a");
      fs.closeSync(file);
      fs.writeFileSync(shift, bytes, { flag: "r+" });
    };
    write(HOUR_S);
    const env = { LD_PRELOAD: library, TEST_CLOCK_SHIFT: shift };
    const server = await startCairn({ env });
    const client = await RespClient.connect3(server.respPort);
    const [seconds] = (await client.value("TIME")) as [string];
    expect(Number(seconds) - Date.now() / 1_000, "the clock is off").toBeGreaterThan(HOUR_S / 2);
    client.close();
    await server.stop();

    const jump = (random: Random) => write(random.pick([-HOUR_S, 0, HOUR_S]));
    const data = path.join(folder, "data");
    const { events } = await killRounds(1, ROUNDS, { data, env, disturb: jump });
    expect(events).toBeGreaterThan(ROUNDS * 10);
  },
);
