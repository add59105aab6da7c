/**
 * The executable: finds the command, runs it, and turns what went wrong into a line and an exit code.
 *
 * 0: done. 1: the store or an address cannot be opened, or a check failed. 2: a wrong command line or
 * configuration. 70: `serve` met a bug (server.ts). 130: ended by a second signal. A bug elsewhere crashes with its stack.
 * The server's own parts are loaded by the commands that need them, so that `ping` and `help` start at once.
 */
import { version } from "../package.json" with { type: "json" };
import { folderArgument, readFlags, wholeNumberFlag } from "./cli/flags.ts";
import { helpText, unknownCommand } from "./cli/help.ts";
import { ping } from "./cli/ping.ts";
import { ADDRESS_ALLOWED, formatAddress, parseAddress } from "./config/address.ts";
import { readSettings, type Settings } from "./config/settings.ts";
import { OpenError, StoreError } from "./errors.ts";
import type { RunningServer } from "./server.ts";
import { StderrLog } from "./stderr-log.ts";
import { quote, UsageError } from "./usage.ts";

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** As a shell says of a process that SIGINT ended. */
const EXIT_INTERRUPTED = 130;

type Run = (args: readonly string[]) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, Run>> = {
  serve: runServe,
  ping: runPing,
  verify: runVerify,
  dump: runDump,
  version: runVersion,
  help: runHelp,
};

const HELP_FLAGS: ReadonlySet<string> = new Set(["--help", "-h"]);
const VERSION_FLAGS: ReadonlySet<string> = new Set(["--version", "-v", "-V"]);

async function run(args: readonly string[]): Promise<number> {
  try {
    const [name = "help", ...rest] = args;
    if (HELP_FLAGS.has(name)) return runHelp([]);
    if (VERSION_FLAGS.has(name)) return runVersion([]);
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw unknownCommand(name);
    if (rest.some((argument) => HELP_FLAGS.has(argument))) return runHelp([name]);
    return await command(rest);
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, EXIT_USAGE);
    if (isExpected(error)) return fail(error.message, EXIT_FAILED);
    throw error;
  }
}

/** EACCES, EADDRINUSE …; the runtime's own codes begin with ERR_. */
const SYSTEM_ERROR = /^E[A-Z0-9]+$/;

/** Whether the machine or the store is at fault, so that the message is for the user; else it is a bug. */
function isExpected(error: unknown): error is Error {
  if (error instanceof StoreError || error instanceof OpenError) return true;
  if (!(error instanceof Error) || !("code" in error)) return false;
  return SYSTEM_ERROR.test(String(error.code));
}

function fail(message: string, exitCode: number): number {
  report(`cairn: ${message}`);
  return exitCode;
}

/** One line on standard error. */
function report(line: string): void {
  process.stderr.write(`${line.replace(/[\r\n]+/g, " ")}\n`);
}

async function runServe(args: readonly string[]): Promise<number> {
  const settings = await readSettings(args, process.env, (path) => Bun.file(path).text());
  const stopAsked = signalled();
  const { makeTemporaryFolder, removeFolder } = await import("./disk.ts");
  const { crash, startServer } = await import("./server.ts");
  let { dataFolder } = settings;
  if (settings.ephemeral) {
    dataFolder = makeTemporaryFolder("cairn-");
    process.on("exit", () => removeFolder(dataFolder)); // however it ends, a kill -9 excepted
  }
  const log = openStderrLog(settings);
  // What is thrown where no door catches it: in a slice of long work, a timer, a worker's message.
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => crash(log.tell, error));
  }
  let server: RunningServer;
  try {
    server = await startServer({ ...settings, dataFolder }, log);
  } catch (error) {
    if (!isExpected(error)) throw error;
    log.tell(error.message.replace(/[\r\n]+/g, " "), "error");
    return EXIT_FAILED;
  }
  log.announce(`ready resp=${server.respAddress} http=${server.httpAddress}`);
  await stopAsked;
  await server.stop();
  log.flush();
  process.exit(EXIT_DONE); // all is synced and answered: nothing that still lives may hold the process
}

function openStderrLog({ logFormat, logLevel }: Settings): StderrLog {
  const log = new StderrLog({
    format: logFormat,
    level: logLevel,
    write: (text) => process.stderr.write(text),
    clock: Date.now,
  });
  process.stderr.on("drain", () => log.resume());
  return log;
}

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process at once. */
function signalled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isAsked = false;
  const onSignal = () => {
    if (isAsked) process.exit(EXIT_INTERRUPTED);
    isAsked = true;
    resolve();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return promise;
}

async function runPing(args: readonly string[]): Promise<number> {
  const flags = readFlags("ping", args, ["resp"]);
  const [surplus] = flags.positionals;
  if (surplus !== undefined) {
    throw new UsageError(`ping takes flags alone, but ${quote(surplus)} was given`);
  }
  const text = flags.text("resp") ?? (process.env.CAIRN_RESP || "127.0.0.1:9090");
  const address = parseAddress(text);
  if (address === undefined) {
    const label =
      flags.text("resp") === undefined ? "environment variable CAIRN_RESP" : "flag --resp";
    throw new UsageError(`${label}: ${quote(text)} is not allowed; give ${ADDRESS_ALLOWED}`);
  }
  const failure = await ping(address);
  if (failure !== null) return fail(failure, EXIT_FAILED);
  process.stdout.write(`PONG from ${formatAddress(address)}\n`);
  return EXIT_DONE;
}

async function runVerify(args: readonly string[]): Promise<number> {
  const folder = folderArgument("verify", readFlags("verify", args, []));
  const { verifyStore } = await import("./store/offline.ts");
  const isRight = verifyStore(folder, (line) => void process.stdout.write(`${line}\n`));
  return isRight ? EXIT_DONE : EXIT_FAILED;
}

async function runDump(args: readonly string[]): Promise<number> {
  const flags = readFlags("dump", args, ["stream", "from", "limit"]);
  const folder = folderArgument("dump", flags);
  const options = {
    streamId: flags.text("stream") ?? null,
    from: wholeNumberFlag(flags, "from", 0),
    limit: wholeNumberFlag(flags, "limit", null),
  };
  const { dumpStore } = await import("./store/offline.ts");
  const { systemDisk } = await import("./disk.ts");
  const output = { print, report: (line: string) => report(`cairn: ${line}`) };
  const isWhole = await dumpStore(systemDisk, folder, options, output);
  return isWhole ? EXIT_DONE : EXIT_FAILED;
}

/** Prints text; where standard output has taken no more for now, the promise resolves when it has. */
function print(text: string): Promise<void> | undefined {
  if (process.stdout.write(text)) return undefined;
  return new Promise((resolve) => process.stdout.once("drain", () => resolve()));
}

function runVersion(args: readonly string[]): number {
  refuseArguments("version", args);
  process.stdout.write(`cairn ${version}\n`);
  return EXIT_DONE;
}

function runHelp(args: readonly string[]): number {
  const [command, ...surplus] = args;
  refuseArguments("help", surplus);
  process.stdout.write(helpText(command));
  return EXIT_DONE;
}

function refuseArguments(command: string, args: readonly string[]): void {
  const [surplus] = args;
  if (surplus === undefined) return;
  throw new UsageError(`${command} does not take ${quote(surplus)}; see cairn help`);
}

// A reader that went away (`cairn dump | head`) has what it wanted; a full disk is a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_DONE);
  process.exit(fail(`standard output: ${error.message}`, EXIT_FAILED));
});
process.stderr.on("error", () => {}); // nobody reads the log: the server goes on

process.exitCode = await run(process.argv.slice(2));
