/**
 * The server under test on its data folder: started, stopped, killed, and looked at from outside.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Missing, type Peer, startCairn, withClient } from "../peers.ts";

/** A start may have to read the whole log, and a stop to write an index. Above: the run ends. */
const BOUNDS = { readySeconds: 1_800, stopSeconds: 300 };

/** What INFO tells of the store. */
export interface StoreFigures {
  readonly events: number;
  readonly streams: number;
  readonly logBytes: number;
}

const POLL_MS = 50;

export class Subject {
  readonly folder: string;
  private readonly command: readonly string[];
  private server: Peer | null = null;
  private lastServer: Peer | null = null;

  constructor(command: readonly string[], folder: string) {
    this.command = command;
    this.folder = folder;
  }

  get port(): number {
    return this.running.port;
  }

  /** Starts it; milliseconds until it is ready. */
  async start(): Promise<number> {
    const server = await startCairn({ cairnCommand: this.command }, this.folder, BOUNDS);
    if (server instanceof Missing) throw new Error(`the server ${server.reason}`);
    this.server = server;
    this.lastServer = server;
    return server.readyMs;
  }

  /** SIGTERM; another end than an orderly one is thrown. */
  async stop(): Promise<void> {
    const server = this.running;
    this.server = null;
    const code = await server.stop();
    if (code !== 0) throw new Error(`the server's stop ended with ${code}: ${server.lastLine()}`);
  }

  async kill(): Promise<void> {
    const server = this.running;
    this.server = null;
    await server.kill();
  }

  /** Ends a server that may have failed already; the last line that it wrote after it was ready, or nothing. */
  async abandon(): Promise<string> {
    const server = this.server ?? this.lastServer;
    if (server === null) return "";
    this.server = null;
    await server.stop();
    const line = server.lastLine();
    return line === server.readyLine ? "" : line;
  }

  figures(): Promise<StoreFigures> {
    return withClient(this.running, async (client) => {
      const info = String(await client.request("INFO", "cairn"));
      return {
        events: infoNumber(info, "position") + 1,
        streams: infoNumber(info, "streams"),
        logBytes: infoNumber(info, "log_bytes"),
      };
    });
  }

  /** Waits until no more heads of streams are read from the index; milliseconds that it took. */
  headsLoaded(): Promise<number> {
    return this.untilZero("index_heads_loading");
  }

  /** Waits until no run is being made or merged; milliseconds that it took. */
  indexSettled(): Promise<number> {
    return this.untilZero("index_runs_in_work");
  }

  /** Waits until INFO has 0 for a name; milliseconds that it took. */
  private untilZero(name: string): Promise<number> {
    const startNs = Bun.nanoseconds();
    return withClient(this.running, async (client) => {
      while (infoNumber(String(await client.request("INFO", "cairn")), name) > 0) {
        await Bun.sleep(POLL_MS);
      }
      return (Bun.nanoseconds() - startNs) / 1e6;
    });
  }

  /** Resident bytes now, and the most since this start. */
  async memory(): Promise<{ residentBytes: number; peakBytes: number } | Missing> {
    const path = `/proc/${this.running.pid}/status`;
    if (!existsSync(path)) return new Missing("no /proc");
    const status = await Bun.file(path).text();
    const bytes = (name: string): number => {
      const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
      if (kibibytes === undefined) throw new Error(`${path} has no ${name}`);
      return Number(kibibytes) * 1024;
    };
    return { residentBytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") };
  }

  get pid(): number {
    return this.running.pid;
  }

  get logFolder(): string {
    return join(this.folder, "log");
  }

  get indexFolder(): string {
    return join(this.folder, "index");
  }

  /** Bytes of the runs that the index folder has; 0 where there is none. */
  indexBytes(): number {
    if (!existsSync(this.indexFolder)) return 0;
    return readdirSync(this.indexFolder, { recursive: true })
      .filter((name) => String(name).endsWith(".run"))
      .map((name) => statSync(join(this.indexFolder, String(name)), { throwIfNoEntry: false }))
      .reduce((sum, file) => sum + (file?.isFile() === true ? file.size : 0), 0);
  }

  private get running(): Peer {
    if (this.server === null) throw new Error("the server does not run");
    return this.server;
  }
}

function infoNumber(info: string, name: string): number {
  const found = new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
  if (found === undefined) throw new Error(`INFO cairn has no ${name}`);
  return Number(found);
}
