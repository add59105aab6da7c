/**
 * `make bench-growth`: fills one store and measures it on the way, to show that cost stays flat as it grows.
 *
 *     bun bench/growth.ts [--events N]
 *
 * Underscores in N are allowed; EVENTS says the same. GROWTH_DATA names the data folder, else it is a temporary one
 * on the project's disk; both are removed at the end, unless KEEP=1. GROWTH_OUT names a folder for the table and the curves, else
 * they go into `bench/`, where the largest run so far stays. COLD=0 leaves the system's page cache alone. What each
 * number is stands in `growth/`; the machine, its disk and this client are shared by all of them.
 */
import { existsSync, readdirSync, statfsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { renderCurves } from "./growth/curves.ts";
import { EventSource } from "./growth/events.ts";
import { EVENTS_MAX, EVENTS_MIN, makePlan, type Plan, sizeName } from "./growth/plan.ts";
import { Progress } from "./growth/progress.ts";
import { runStage, type StageResult } from "./growth/stage.ts";
import { Subject } from "./growth/subject.ts";
import { growthRows, renderGrowthTable } from "./growth/table.ts";
import { describeMachine } from "./machine.ts";
import { findCairn, messageOf } from "./peers.ts";
import { killAll } from "./process.ts";
import { replaceBetweenMarkers } from "./table.ts";

const ROOT = join(import.meta.dirname, "..");
const PAGE = join(import.meta.dirname, "README.md");
const CURVES_NAME = "growth.svg";

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const EVENTS_DEFAULT = "1_000_000";
/** A run below it is too short to stand on the page. */
const PAGE_EVENTS_MIN = 1_000_000;

/** Bytes of the disk that an event can take: log, index, and an index that is being merged. */
const DISK_BYTES_PER_EVENT = 400;
/** Segments are prepared ahead. */
const DISK_BYTES_SPARE = 512 * 1024 * 1024;

const { values } = parseArgs({ options: { events: { type: "string" } } });
const events = readEvents(values.events ?? process.env.EVENTS ?? EVENTS_DEFAULT);
const command = findCairn() ?? fail("there is no executable; make build makes it");
const folder = await makeDataFolder(process.env.GROWTH_DATA);
const output = process.env.GROWTH_OUT;

const interrupted = Promise.withResolvers<number>();
let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    isInterrupted = true;
    interrupted.resolve(EXIT_INTERRUPTED);
  });
}
const exitCode = await Promise.race([run(makePlan(events)), interrupted.promise]);
await killAll();
if (process.env.KEEP === "1") console.error(`the store is kept in ${folder}`);
else await rm(folder, { recursive: true, force: true });
process.exit(exitCode);

async function run(plan: Plan): Promise<number> {
  const source = new EventSource(plan);
  const subject = new Subject(command, folder);
  const progress = new Progress(
    plan.events,
    () => source.count,
    process.stderr.isTTY === true,
    (text) => void process.stderr.write(text),
  );
  const results: StageResult[] = [];
  try {
    const startNs = Bun.nanoseconds();
    await subject.start();
    for (const [index, stage] of plan.stages.entries()) {
      results.push(
        await runStage(plan, index, subject, source, (step) =>
          progress.tell(`${step} (${sizeName(stage.events)})`),
        ),
      );
      progress.print(stageLine(results[index] as StageResult));
    }
    await subject.stop();
    progress.end();
    const minutes = (Bun.nanoseconds() - startNs) / 60e9;
    await report(results, minutes);
    return EXIT_DONE;
  } catch (error) {
    progress.end();
    if (isInterrupted) return EXIT_INTERRUPTED; // the server got the signal too
    const place = `at ${source.count.toLocaleString("en-US")} events`;
    console.error(`bench-growth: ${messageOf(error)} (${place})`);
    const lastLine = await subject.abandon();
    if (lastLine !== "") console.error(`the server's last line: ${lastLine}`);
    if (results.length > 0) console.log(renderGrowthTable(results, growthRows(results)));
    return EXIT_FAILED;
  }
}

/** What is known of a stage when it is through; the table follows at the end. */
function stageLine({ stage, existing, created, identified, fill, memory }: StageResult): string {
  const rate = (load: { perSecond: number }): string =>
    Math.round(load.perSecond).toLocaleString("en-US");
  const resident = "residentBytes" in memory ? Math.round(memory.residentBytes / 2 ** 20) : "?";
  return (
    `${sizeName(stage.events)}: fill ${rate(fill)}/s, existing ${rate(existing)}/s, new ${rate(created)}/s, ` +
    `EVENT_ID ${rate(identified)}/s, ${resident} MiB resident`
  );
}

/** Prints the table, and writes it with its curves where it belongs. */
async function report(results: readonly StageResult[], minutes: number): Promise<void> {
  const last = results.at(-1) as StageResult;
  const head = [
    await describeMachine(),
    `- Index memory: ${process.env.CAIRN_INDEX_MEMORY ?? "the default"}`,
    `- Events: ${last.store.events.toLocaleString("en-US")} in ${last.store.streams.toLocaleString("en-US")} streams; ` +
      `${minutes.toFixed(1)} min in all`,
  ].join("\n");
  const table = `${head}\n\n${renderGrowthTable(results, growthRows(results))}`;
  console.log(`${table}\n`);
  const curves = renderCurves(results);
  const content = `${table}\n\n![The curves of this run](${CURVES_NAME})\n`;
  if (output !== undefined && output !== "") {
    await mkdir(output, { recursive: true });
    await Bun.write(join(output, "README.md"), content);
    await Bun.write(join(output, CURVES_NAME), curves);
    return;
  }
  const page = await Bun.file(PAGE).text();
  if (events < Math.max(PAGE_EVENTS_MIN, eventsOnPage(page))) {
    console.log("bench/README.md stays as it is: it holds a larger run, or this one is too short");
    return;
  }
  await Bun.write(join(import.meta.dirname, CURVES_NAME), curves);
  await Bun.write(PAGE, replaceBetweenMarkers(page, "growth", `\n${content}`));
}

/** Events of the run that stands on the page; 0 where none does. */
function eventsOnPage(page: string): number {
  const found = /^- Events: ([\d,]+) in /m.exec(page)?.[1];
  return found === undefined ? 0 : Number(found.replaceAll(",", ""));
}

function readEvents(text: string): number {
  const number = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll("_", "")) : Number.NaN;
  if (!(number >= EVENTS_MIN && number <= EVENTS_MAX)) {
    const [least, most] = [EVENTS_MIN, EVENTS_MAX].map((bound) => bound.toLocaleString("en-US"));
    fail(`EVENTS is '${text}', but must be a whole number from ${least} to ${most}`);
  }
  return number;
}

/** The store's folder, which is not there yet or empty; the disk must have room for the whole run. */
async function makeDataFolder(given: string | undefined): Promise<string> {
  const isGiven = given !== undefined && given !== "";
  const parent = isGiven ? dirname(resolve(given)) : join(ROOT, "dist");
  if (isGiven && existsSync(given) && readdirSync(given).length > 0) {
    fail(`GROWTH_DATA: ${given} is not empty`);
  }
  await mkdir(parent, { recursive: true });
  const { bavail, bsize } = statfsSync(parent);
  const needed = events * DISK_BYTES_PER_EVENT + DISK_BYTES_SPARE;
  if (bavail * bsize < needed) {
    const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
    fail(
      `${events} events may take ${gigabytes(needed)}, and ${parent} has ${gigabytes(bavail * bsize)}`,
    );
  }
  return isGiven ? resolve(given) : await mkdtemp(join(parent, "growth-"));
}

function fail(message: string): never {
  console.error(`bench-growth: ${message}`);
  process.exit(EXIT_USAGE);
}
