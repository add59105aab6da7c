/**
 * A RESP door in this process, over a store on a simulated disk: for tests that set a bound or break a part.
 */
import { ServerInfo } from "../../server/commands/server-info.ts";
import { MiB } from "../../server/limits.ts";
import type { SyncPlace } from "../../server/log/local/local-log.ts";
import { RespDoor } from "../../server/resp/door.ts";
import { EventStore } from "../../server/store/event-store.ts";
import { Random } from "./random.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

export interface DoorInProcess {
  readonly disk: SimulatedDisk;
  readonly store: EventStore;
  readonly server: ServerInfo;
  readonly door: RespDoor;
  readonly port: number;
  /** What the server told whoever runs it. */
  readonly log: string[];
  stop(): Promise<void>;
}

interface DoorOptions {
  readonly heldBytesMax?: number;
  readonly partitions?: number;
  /** An empty one when left out. */
  readonly disk?: SimulatedDisk;
  readonly segmentBytes?: number;
  readonly syncPlace?: SyncPlace;
}

export function openDoor(options: DoorOptions = {}): DoorInProcess {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const disk = options.disk ?? new SimulatedDisk({ random: new Random(1) });
  const store = EventStore.open({
    disk: disk.boot(),
    folder: "/data",
    partitions: options.partitions ?? 1,
    segmentBytes: options.segmentBytes ?? MiB,
    durability: "fsync",
    strict: false,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log,
    syncPlace: options.syncPlace ?? "loop",
  });
  const server = new ServerInfo({ version: "0.0.0", settings: new Map() });
  const address = { host: "127.0.0.1", port: 0 };
  const door = new RespDoor({
    store,
    server,
    log,
    ...(options.heldBytesMax === undefined ? {} : { heldBytesMax: options.heldBytesMax }),
    crash(error) {
      throw error;
    },
  });
  const port = Number(door.listen(address).split(":").at(-1));
  return {
    disk,
    store,
    server,
    door,
    port,
    log: lines,
    async stop() {
      await door.stop();
      await store.stop();
    },
  };
}
