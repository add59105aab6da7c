/**
 * Rival clients over a RESP door on a simulated disk, through several lives of the process: syncs are held back and
 * fail, the process is killed, the power is cut. One history over all lives, checked against the log at the end.
 */
import { type DoorInProcess, openDoor } from "./door.ts";
import { History } from "./history.ts";
import { Random } from "./random.ts";
import { RespClient } from "./resp-client.ts";
import { RivalClient, readLog } from "./rival-clients.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { nextTurn } from "./store-driver.ts";
import { SEGMENT_BYTES } from "./store-world.ts";

const CLIENTS = 6;
const LIVES = 4;
/** Answers of all clients in one life. */
const ANSWERS_MIN = 20;
const ANSWERS_MAX = 120;
/** Turns of the event loop without an answer, syncs let go of. Above: the server hangs. */
const TURNS_MAX = 100_000;

/** Runs one seed; returns how many operations were checked. Throws where a promise is broken. */
export async function runRivalry(seed: number): Promise<number> {
  const random = new Random(seed);
  const disk = new SimulatedDisk({ random, directWrites: random.chance(0.5) });
  const syncPlace = random.pick(["loop", "thread"] as const);
  const history = new History();
  let answers = 0;
  const clients = Array.from(
    { length: CLIENTS },
    (_, number) => new RivalClient(number, new Random(random.uint32()), history, () => answers++),
  );
  const open = () => openDoor({ disk, syncPlace, segmentBytes: SEGMENT_BYTES });
  const lives: string[] = [];
  try {
    for (let life = 0; life < LIVES; life++) {
      const door = open();
      const wanted = answers + random.between(ANSWERS_MIN, ANSWERS_MAX);
      const end = random.pick(["stop", "kill", "crash", "fail, crash", "fail, kill"] as const);
      lives.push(`${end} at ${wanted} answers, syncs on the ${syncPlace}`);
      let isOver = false;
      const running = Promise.all(clients.map((client) => client.run(door.port, () => isOver)));
      disk.holdSyncs = syncPlace === "thread" && random.chance(0.7);
      await Promise.race([running, answered(() => answers >= wanted)]);
      if (end.startsWith("fail")) {
        disk.fail({ kind: random.pick(["sync", "write"] as const), code: "EIO" });
        await Promise.race([running, answered(() => answers >= wanted + ANSWERS_MIN)]);
      }
      isOver = true;
      await endLife(door, end);
      await running;
    }
    const door = open();
    const client = await RespClient.connect3(door.port);
    history.check(await readLog(client));
    client.close();
    await door.stop();
    return history.count;
  } catch (error) {
    const what = error instanceof Error ? error.stack : String(error);
    throw new Error(`seed ${seed}: ${what}\nwhat happened:\n  ${lives.join("\n  ")}`);
  }

  /** Lets go of held syncs now and then, until the clients have got so far. */
  async function answered(isReached: () => boolean): Promise<void> {
    for (let turns = 0; !isReached(); turns++) {
      if (turns > TURNS_MAX) throw new Error("the clients get no answers");
      if (random.chance(0.2)) disk.releaseSyncs();
      await nextTurn();
    }
  }

  async function endLife(door: DoorInProcess, end: string): Promise<void> {
    if (end === "stop") {
      disk.holdSyncs = false;
      disk.releaseSyncs();
      await door.stop();
      disk.kill();
      return;
    }
    // The process sees a disk that is gone; what it still answers must be true all the same.
    if (end.endsWith("kill")) disk.kill();
    else disk.crash();
    await door.door.stop();
    door.store.close();
    disk.holdSyncs = false;
  }
}
