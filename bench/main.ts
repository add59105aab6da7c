/**
 * `make bench`: runs every workload and prints one table; a whole run writes it into `bench/README.md` too.
 *
 *     bun bench/main.ts [--seconds N] [--rounds N] [--only NAME,NAME] [--quick]
 *
 * SECONDS, ROUNDS, ONLY and QUICK=1 in the environment say the same. A run that is quick or partial, or
 * in which a number of Cairn's is missing, is only printed: the page always holds one whole run.
 */
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { appendWorkload } from "./append.ts";
import { FOOTPRINT_SIZE, footprintWorkload } from "./footprint.ts";
import { getWorkload } from "./get.ts";
import { httpAppendWorkload, httpTransactionWorkload } from "./http-append.ts";
import { httpFeedWorkload, httpReadWorkload } from "./http-read.ts";
import { latencyWorkload } from "./latency.ts";
import { liveCatchUpWorkload } from "./live-catch-up.ts";
import { liveFanOutWorkload, livePushWorkload } from "./live-push.ts";
import { liveBlockWorkload, liveStalledWorkload } from "./live-readers.ts";
import { describeMachine } from "./machine.ts";
import { type Bench, findCairn, Missing, messageOf } from "./peers.ts";
import { pingWorkload } from "./ping.ts";
import { killAll, run } from "./process.ts";
import { scanWorkload } from "./scan.ts";
import { type Row, renderTable, replaceBetweenMarkers } from "./table.ts";
import { transactionWorkload } from "./transaction.ts";

const ROOT = join(import.meta.dirname, "..");
const PAGE = join(import.meta.dirname, "README.md");
const EXIT_WRONG_FLAG = 2;
const EXIT_INTERRUPTED = 130;

/** Every workload by the name that `--only` takes, in the table's order. */
const WORKLOADS: Record<string, (bench: Bench, isQuick: boolean) => Promise<Row[]>> = {
  append: (bench) => appendWorkload(bench, 1_000),
  "append-million": (bench) => appendWorkload(bench, 1_000_000),
  latency: latencyWorkload,
  transaction: transactionWorkload,
  scan: (bench, isQuick) => scanWorkload(bench, isQuick ? 100 : 1_000),
  get: (bench) => getWorkload(bench, 1_000),
  ping: pingWorkload,
  "http-append": httpAppendWorkload,
  "http-transaction": httpTransactionWorkload,
  "http-read": (bench, isQuick) => httpReadWorkload(bench, isQuick ? 100 : 1_000),
  "http-feed": (bench, isQuick) => httpFeedWorkload(bench, isQuick ? 100_000 : 1_000_000),
  "live-catch-up": (bench, isQuick) => liveCatchUpWorkload(bench, isQuick ? 100_000 : 1_000_000),
  "live-push": livePushWorkload,
  "live-fan-out": (bench, isQuick) => liveFanOutWorkload(bench, isQuick ? 10_000 : 60_000),
  "live-block": (bench) => liveBlockWorkload(bench, 1_000),
  "live-stalled": (bench, isQuick) => liveStalledWorkload(bench, isQuick ? 40e6 : 200e6),
  footprint: (bench, isQuick) =>
    footprintWorkload(
      bench,
      isQuick ? { ...FOOTPRINT_SIZE, events: 100_000, streams: 10_000 } : FOOTPRINT_SIZE,
    ),
};

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    rounds: { type: "string" },
    only: { type: "string" },
    quick: { type: "boolean" },
  },
});
const isQuick = values.quick ?? process.env.QUICK === "1";
const seconds = Number(values.seconds ?? process.env.SECONDS ?? (isQuick ? 0.5 : 2));
const rounds = Number(values.rounds ?? process.env.ROUNDS ?? (isQuick ? 1 : 3));
const only = values.only ?? process.env.ONLY;
const names = only === undefined || only === "" ? Object.keys(WORKLOADS) : only.split(",");
for (const name of names) {
  if (WORKLOADS[name] === undefined) {
    fail(`no workload ${name}; there are ${Object.keys(WORKLOADS).join(", ")}`);
  }
}
if (!(seconds > 0)) fail("--seconds takes a number above 0");
if (!Number.isInteger(rounds) || rounds < 1) fail("--rounds takes a whole number from 1 on");

await mkdir(join(ROOT, "dist"), { recursive: true });
const folder = await mkdtemp(join(ROOT, "dist", "bench-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    void killAll().then(() => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(EXIT_INTERRUPTED);
    });
  });
}
try {
  await main({
    folder,
    seconds,
    rounds,
    cairnCommand: findCairn(),
    redisServer: Bun.which("redis-server"),
    redisBenchmark: Bun.which("redis-benchmark"),
    print: (line) => console.log(line),
  });
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function main(bench: Bench): Promise<void> {
  const startNs = Bun.nanoseconds();
  const machine = await describe(bench);
  bench.print(machine);
  const rows: Row[] = [];
  for (const name of names) {
    try {
      rows.push(...((await WORKLOADS[name]?.(bench, isQuick)) ?? []));
    } catch (error) {
      const cairn = new Missing(`failed: ${messageOf(error)}`);
      bench.print(`${name} ${cairn.reason}`);
      rows.push({ load: name, unit: "–", cairn, peer: null, limit: null, target: null });
    }
  }
  const table = renderTable(rows);
  bench.print(`\n${table}\n`);
  bench.print(`${Math.round((Bun.nanoseconds() - startNs) / 1e9)} s in all`);
  const isComplete = rows.every((row) => !(row.cairn instanceof Missing));
  if (!isComplete) process.exitCode = 1;
  if (names.length < Object.keys(WORKLOADS).length || isQuick || !isComplete) return;
  const page = await Bun.file(PAGE).text();
  await Bun.write(PAGE, replaceBetweenMarkers(page, "bench", `\n${machine}\n\n${table}\n`));
}

/** When, where and what: the lines above the table. */
async function describe(bench: Bench): Promise<string> {
  const redis =
    bench.redisServer === null
      ? "no redis-server"
      : `Redis ${/v=(\S+)/.exec(await run([bench.redisServer, "--version"]))?.[1]}`;
  const client = bench.redisBenchmark === null ? "no redis-benchmark" : "redis-benchmark";
  return [
    await describeMachine(),
    `- Beside it: ${redis}, ${client}, Bun ${Bun.version}`,
    `- ${bench.seconds} s a measurement, ${bench.rounds} in turn, the median of each`,
  ].join("\n");
}

function fail(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(EXIT_WRONG_FLAG);
}
