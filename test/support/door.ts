/**
 * A RESP door in this process, over a store on a simulated disk: for tests that set a bound or break a part.
 */
import { ServerInfo } from "../../server/commands/server-info.ts";
import { MiB } from "../../server/limits.ts";
import { RespDoor } from "../../server/resp/door.ts";
import { EventStore } from "../../server/store/event-store.ts";
import { Random } from "./random.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

export interface DoorInProcess {
  readonly store: EventStore;
  readonly server: ServerInfo;
  readonly door: RespDoor;
  readonly port: number;
  /** What the server told whoever runs it. */
  readonly log: string[];
  stop(): Promise<void>;
}

export function openDoor(options: { heldBytesMax?: number } = {}): DoorInProcess {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const store = EventStore.open({
    disk: new SimulatedDisk({ random: new Random(1) }).boot(),
    folder: "/data",
    partitions: 1,
    segmentBytes: MiB,
    durability: "fsync",
    strict: false,
    clock: Date.now,
    random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
    log,
    syncPlace: "loop",
  });
  const server = new ServerInfo({ version: "0.0.0", settings: new Map() });
  const address = { host: "127.0.0.1", port: 0 };
  const door = new RespDoor({
    store,
    server,
    log,
    ...options,
    crash(error) {
      throw error;
    },
  });
  const port = Number(door.listen(address).split(":").at(-1));
  return {
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
