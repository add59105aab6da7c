/**
 * What is measured, started and stopped: Cairn, and Redis with a durable append-only file.
 *
 * Each gets an empty folder on the disk that holds this project, so that all sync to the same disk. A peer that is not
 * installed or does not start is `Missing` with the reason, never an exception: its cells in the table say so.
 */
import { existsSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Server, type ServerBounds, startServer } from "./process.ts";
import { member, RespClient } from "./resp.ts";

const ROOT = join(import.meta.dirname, "..");

/** Why there is no number. */
export class Missing {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export interface Peer extends Server {
  readonly name: "Cairn" | "Redis" | "bare server";
  readonly port: number;
}

/** Where the benchmark runs and what it may use; the same for every workload. */
export interface Bench {
  /** A folder of this run, on the project's disk. Everything in it is thrown away. */
  readonly folder: string;
  /** How long one measurement of one peer goes on. */
  readonly seconds: number;
  /** Measurements of each peer, taken in turn; the median counts. */
  readonly rounds: number;
  /** Programs to start, as argument lists; null where there is none. */
  readonly cairnCommand: readonly string[] | null;
  readonly redisServer: string | null;
  readonly redisBenchmark: string | null;
  /** Takes the lines that tell each workload's parameters, rounds and checksum. */
  print(line: string): void;
}

/** The executable under test: CAIRN_TEST_COMMAND, else what `make build` made; null where neither is. */
export function findCairn(): readonly string[] | null {
  const command = process.env.CAIRN_TEST_COMMAND;
  if (command !== undefined && command !== "") return command.split(" ");
  const built = join(ROOT, "dist", "cairn");
  return existsSync(built) ? [built] : null;
}

/** Starts Cairn with its defaults, on free ports, with its data in `folder`. */
export async function startCairn(
  bench: Pick<Bench, "cairnCommand">,
  folder: string,
  bounds?: ServerBounds,
): Promise<Peer | Missing> {
  if (bench.cairnCommand === null) return new Missing("not built");
  const command = [...bench.cairnCommand, "serve", "--data", folder];
  command.push("--resp", "127.0.0.1:0", "--http", "127.0.0.1:0");
  try {
    const server = await startServer(command, CAIRN_READY, bounds);
    const port = Number(CAIRN_READY.exec(server.readyLine)?.[1]);
    return { ...server, name: "Cairn", port };
  } catch (error) {
    return new Missing(`did not start: ${messageOf(error)}`);
  }
}

/** The port of Cairn's HTTP door, as its ready line says it. */
export function httpPort(cairn: Peer): number {
  return Number(/ http=\S+:(\d+)/.exec(cairn.readyLine)?.[1]);
}

/**
 * Starts Redis so that an acknowledged write is synced, as in Cairn: append-only file, `appendfsync always`.
 * Snapshots and rewrites of the file are off: they would only disturb it.
 */
async function startRedis(bench: Bench, folder: string): Promise<Peer | Missing> {
  if (bench.redisServer === null) return new Missing("no redis-server");
  const port = freePort();
  const command = [bench.redisServer, "--port", String(port), "--bind", "127.0.0.1"];
  command.push("--dir", folder, "--appendonly", "yes", "--appendfsync", "always");
  command.push("--save", "", "--auto-aof-rewrite-percentage", "0");
  try {
    const server = await startServer(command, /Ready to accept connections/);
    return { ...server, name: "Redis", port };
  } catch (error) {
    return new Missing(`did not start: ${messageOf(error)}`);
  }
}

/** Runs `work` with a fresh Cairn and a fresh Redis, and stops both and removes their data whatever happens. */
export async function withPeers<T>(
  bench: Bench,
  work: (cairn: Peer | Missing, redis: Peer | Missing) => Promise<T>,
): Promise<T> {
  const cairnFolder = makeFolderName(bench);
  const redisFolder = makeFolderName(bench);
  await Bun.write(join(redisFolder, ".keep"), ""); // Redis wants its folder to be there
  const cairn = await startCairn(bench, cairnFolder);
  const redis = await startRedis(bench, redisFolder);
  try {
    return await work(cairn, redis);
  } finally {
    for (const peer of [cairn, redis]) if (!(peer instanceof Missing)) await peer.stop();
    await rm(cairnFolder, { recursive: true, force: true });
    await rm(redisFolder, { recursive: true, force: true });
  }
}

/** A name for a new folder of this run. */
export function makeFolderName(bench: Bench): string {
  folderCount++;
  return join(bench.folder, `store-${process.pid}-${folderCount}`);
}

let folderCount = 0;

/** Opens a connection that parses replies, for as long as `work` runs. */
export async function withClient<T>(
  peer: Peer,
  work: (client: RespClient) => Promise<T>,
): Promise<T> {
  const client = await RespClient.connect(peer.port);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** Events in the store: in Cairn over all its partitions, in Redis all that XADD ever added. */
export function countEvents(peer: Peer): Promise<number> {
  return withClient(peer, async (client) => {
    if (peer.name === "Redis") {
      const stats = String(await client.request("INFO", "commandstats"));
      return Number(/cmdstat_xadd:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    }
    const partitions = Number(member(await client.request("HELLO"), "num_partitions"));
    let events = 0;
    for (let partition = 0; partition < partitions; partition++) {
      const last = await client.request("EPSEQ", String(partition));
      if (last !== null) events += Number(last) + 1;
    }
    return events;
  });
}

/** A number of Cairn's INFO, from its section `cairn`. */
export async function infoNumber(client: RespClient, name: string): Promise<number> {
  const info = String(await client.request("INFO", "cairn"));
  const found = new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
  if (found === undefined) throw new Error(`INFO cairn has no ${name}`);
  return Number(found);
}

/** Resident bytes of a process; Missing where the system has no /proc. */
export async function residentBytes(pid: number): Promise<number | Missing> {
  const path = `/proc/${pid}/status`;
  const exists = await stat(path).catch(() => null);
  if (exists === null) return new Missing("no /proc");
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(await Bun.file(path).text())?.[1];
  return kibibytes === undefined ? new Missing("no VmRSS") : Number(kibibytes) * 1024;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const CAIRN_READY = /ready resp=\S*:(\d+) http=/;

/** A port that nothing listens on: Redis cannot take port 0. */
function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const port = listener.port;
  listener.stop(true);
  return port;
}
