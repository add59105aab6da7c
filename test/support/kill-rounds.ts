/**
 * The real executable under kill -9 at random moments, with rival clients, round after round on one store: one
 * history over all rounds, checked against the log at the end.
 */
import { History } from "./history.ts";
import { Random } from "./random.ts";
import { RespClient } from "./resp-client.ts";
import { RivalClient, readLog } from "./rival-clients.ts";
import { type CairnOptions, startCairn } from "./server.ts";

const CLIENTS = 8;
/** Answers of all clients in one round before its end. */
const ANSWERS_MAX = 200;
/** Rounds that end with SIGTERM instead. */
const STOP_SHARE = 0.1;
/** Answers after which the server's world is disturbed. */
const DISTURB_SHARE = 0.05;

export interface KillRounds {
  readonly rounds: number;
  readonly operations: number;
  readonly events: number;
}

export interface KillOptions extends CairnOptions {
  readonly data: string;
  /** Does something to the server's world, before each round and now and then in it. */
  readonly disturb?: (random: Random) => void;
}

/** Throws where a promise is broken, with the seed. */
export async function killRounds(
  seed: number,
  rounds: number,
  { disturb, ...cairn }: KillOptions,
): Promise<KillRounds> {
  const random = new Random(seed);
  const history = new History();
  const args = ["--segment-bytes", "64KiB", "--partitions", "8"];
  const start = () => startCairn({ ...cairn, args: [...args, ...(cairn.args ?? [])] });
  let answers = 0;
  let wanted = 0;
  let reached = () => {};
  const clients = Array.from({ length: CLIENTS }, (_, number) => {
    const ownRandom = new Random(random.uint32());
    return new RivalClient(number, ownRandom, history, () => {
      if (ownRandom.chance(DISTURB_SHARE)) disturb?.(ownRandom);
      if (++answers >= wanted) reached();
    });
  });
  try {
    for (let round = 0; round < rounds; round++) {
      disturb?.(random);
      const server = await start();
      wanted = answers + random.between(1, ANSWERS_MAX);
      const isReached = new Promise<void>((resolve) => {
        reached = resolve;
      });
      const running = Promise.all(
        clients.map((client) => client.run(server.respPort, () => false)),
      );
      await Promise.race([isReached, running]);
      if (random.chance(STOP_SHARE)) await server.stop();
      else await server.kill();
      await running;
    }
    const server = await start();
    const client = await RespClient.connect3(server.respPort);
    const log = await readLog(client);
    client.close();
    await server.stop();
    history.check(log);
    return { rounds, operations: history.count, events: log.length };
  } catch (error) {
    const what = error instanceof Error ? error.stack : String(error);
    throw new Error(`seed ${seed}: ${what}`);
  }
}
