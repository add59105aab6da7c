/**
 * A running server: a store, its two doors, and the order in which they start and stop.
 */
import { version } from "../package.json" with { type: "json" };
import { ServerInfo } from "./commands/server-info.ts";
import { formatAddress } from "./config/address.ts";
import type { Settings } from "./config/settings.ts";
import { type Disk, systemDisk } from "./disk.ts";
import { serverFigures } from "./figures.ts";
import { type HttpDoor, serveHttp } from "./http/app.ts";
import { RequestObserver } from "./http/observe-requests.ts";
import { storeRoutes } from "./http/store-routes.ts";
import { RespDoor } from "./resp/door.ts";
import type { StderrLog, Tell } from "./stderr-log.ts";
import { EventStore } from "./store/event-store.ts";

/** Exit code of a server that met a bug of its own (EX_SOFTWARE of sysexits.h). */
const EXIT_BUG = 70;

export interface RunningServer {
  /** `HOST:PORT` with the real ports. */
  readonly respAddress: string;
  readonly httpAddress: string;
  /** Stops in order: no new connections, what is under way is synced and answered. */
  stop(): Promise<void>;
}

/**
 * Opens the store and both doors, which tell `stderrLog` what happens. Throws OpenError, or what the system says of
 * an address. `disk` is another one than the system's in tests.
 */
export async function startServer(
  settings: Settings,
  stderrLog: StderrLog,
  disk: Disk = systemDisk,
): Promise<RunningServer> {
  const log = stderrLog.tell;
  if (settings.durability === "os") {
    log(
      "durability is os: appends are acknowledged before they are synced, at most a second earlier",
      "warn",
    );
  }
  const store = EventStore.open({
    disk,
    folder: settings.dataFolder,
    partitions: settings.partitions,
    segmentBytes: settings.segmentBytes,
    indexMemoryBytes: settings.indexMemoryBytes,
    cacheBytes: settings.cacheBytes,
    durability: settings.durability,
    strict: settings.strict,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log,
  });
  const server = new ServerInfo({ version, settings: settingTexts(settings, store.partitions) });
  let opened: HttpDoor | null = null;
  const resp = new RespDoor({
    store,
    server,
    log,
    crash: (error) => crash(log, error),
    otherConnections: () => opened?.pendingRequests() ?? 0,
    otherHeldBytes: () => opened?.heldBytes() ?? 0,
  });
  const observer = new RequestObserver(stderrLog);
  const metrics = serverFigures({
    store,
    server,
    resp,
    requests: observer,
    http: () => opened,
    stderrLog,
  });
  let respAddress: string;
  let http: HttpDoor;
  try {
    respAddress = resp.listen(settings.resp);
    http = serveHttp(settings, {
      ready: () => readiness(store),
      log,
      observer,
      metrics,
      requestsMax: () => server.connectionsMax - resp.connectionCount,
      ...storeRoutes({ store, version, crash: (error) => crash(log, error) }),
    });
    opened = http;
  } catch (error) {
    await resp.stop();
    await store.stop();
    throw error;
  }
  return {
    respAddress,
    httpAddress: http.address,
    async stop() {
      await Promise.all([resp.stop(), http.stop()]);
      await store.stop();
    },
  };
}

function readiness(store: EventStore): { ready: boolean; reason?: string } {
  const reason = store.readOnlyReason();
  return reason === null ? { ready: true } : { ready: false, reason };
}

/** Ends the process. A bug may have left the state half done: what is on the disk is right, and the next start reads it. */
export function crash(log: Tell, error: unknown): never {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log(`a bug of Cairn's, please report it: ${text}`, "error");
  process.exit(EXIT_BUG);
}

/** Every setting by its flag's name, as it is in force: for CONFIG GET. */
function settingTexts(settings: Settings, partitions: number): Map<string, string> {
  return new Map([
    ["data", settings.dataFolder],
    ["ephemeral", String(settings.ephemeral)],
    ["resp", formatAddress(settings.resp)],
    ["http", formatAddress(settings.http)],
    ["partitions", String(partitions)],
    ["segment-bytes", String(settings.segmentBytes)],
    ["index-memory", String(settings.indexMemoryBytes)],
    ["cache", String(settings.cacheBytes)],
    ["durability", settings.durability],
    ["strict", String(settings.strict)],
    ["allowed-hosts", settings.allowedHosts.join(",")],
    ["cors-origins", settings.corsOrigins.join(",")],
    ["insecure", String(settings.insecure)],
    ["log", settings.logFormat],
    ["log-level", settings.logLevel],
  ]);
}
