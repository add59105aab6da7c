/**
 * No gap, no repeat, in order: writers append at full speed while followers of every kind come, go, lag, stop reading and
 * come back at their last version, sequence or position, over restarts and kills of the executable, with index
 * memory so small that most of the history lies in runs on the disk. At the end the whole log is read, and what each follower
 * was given must be exactly what it asked for.
 *
 * `SEED=n` chooses what is done, not how it interleaves.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  KEY,
  makeFollowers,
  NAMES,
  PARTITIONS,
  SHARED,
  STREAMS,
} from "./support/follower-kinds.ts";
import {
  checkStretch,
  type Follower,
  type Known,
  knownOf,
  type Surroundings,
} from "./support/followers.ts";
import { Random } from "./support/random.ts";
import { RespClient, type Word } from "./support/resp-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 1);
const RESUMES = Number(process.env.RESUMES ?? 1_000);
/** How often the server is ended meanwhile, in turn by SIGKILL and SIGTERM. */
const ENDS = 6;
/** Events that are there before anybody follows, over streams of their own and those above. */
const HISTORY_EVENTS = 24_000;
const HISTORY_STREAMS = 2_000;
const EVENTS_PER_COMMAND = 100;
const WRITERS = 2;
/** Beyond so many events for each resume a writer waits for each answer, so that followers catch up at times. */
const EVENTS_PER_RESUME = 15;
/** Those who do not read wait for so many events. */
const EVENTS_WHILE_PAUSED = 400;
/** Timestamps of the new events; those of the history lie below. */
const TIME_MIN = 1_000;
const TIME_MAX = 2_000;

let folder: string;
let cairn: Cairn;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-no-gap-"));
});

afterEach(async () => {
  await cairn.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** The server under test, ended and started again. */
class Life {
  /** Goes up when the server is about to be ended: what fails then may. */
  generation = 0;
  appendedEvents = 0;
  private up: Promise<void> = Promise.resolve();

  async start(): Promise<void> {
    const args = ["--index-memory", "4MiB", "--cache", "1MiB", "--partitions", String(PARTITIONS)];
    cairn = await startCairn({ data: folder, args });
  }

  restart(isKill: boolean): Promise<void> {
    this.generation++;
    this.up = (async () => {
      if (isKill) await cairn.kill();
      else expect(await cairn.stop()).toBe(0);
      await this.start();
    })();
    return this.up;
  }

  async port(): Promise<number> {
    await this.up;
    return cairn.respPort;
  }

  /** Runs `work` on a connection of its own; false where the server was ended meanwhile. */
  async connected(work: (client: RespClient) => Promise<void>): Promise<boolean> {
    const port = await this.port();
    const { generation } = this;
    let client: RespClient | null = null;
    try {
      client = await RespClient.connect3(port);
      await work(client);
      return true;
    } catch (error) {
      if (this.generation === generation || !isConnectionError(error)) throw error;
      return false;
    } finally {
      client?.close();
    }
  }
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && /connect|ECONN|EPIPE|socket/i.test(error.message);
}

/** A transaction over some streams; `streams` share a partition key where one is given. */
function transaction(
  random: Random,
  key: string,
  streams: readonly string[],
  events: number,
): Word[] {
  const words: Word[] = ["EMAPPEND", key];
  for (let i = 0; i < events; i++) {
    const time = random.between(TIME_MIN, TIME_MAX);
    words.push(
      random.pick(streams),
      random.pick(NAMES),
      "TIMESTAMP",
      time,
      "PAYLOAD",
      "x".repeat(60),
    );
  }
  return words;
}

function nextCommand(random: Random, events: number): { words: Word[]; events: number } {
  if (random.chance(0.2)) {
    return { words: transaction(random, KEY, SHARED, events), events };
  }
  if (random.chance(0.2)) {
    const words = ["EAPPEND", random.pick(STREAMS), random.pick(NAMES), "PAYLOAD", "single"];
    return { words, events: 1 };
  }
  return { words: transaction(random, "*", STREAMS, events), events };
}

async function fillHistory(client: RespClient, random: Random): Promise<void> {
  const commands: Word[][] = [
    ["EMAPPEND", KEY, ...SHARED.flatMap((stream) => [stream, "Opened", "TIMESTAMP", TIME_MIN])],
    transaction(random, "*", STREAMS, 40),
  ];
  for (let events = 0; events < HISTORY_EVENTS; events += EVENTS_PER_COMMAND) {
    const words: Word[] = ["EMAPPEND", "*"];
    for (let i = 0; i < EVENTS_PER_COMMAND; i++) {
      const stream = random.chance(0.1)
        ? random.pick(STREAMS)
        : `cold-${random.below(HISTORY_STREAMS)}`;
      words.push(stream, random.pick(NAMES), "TIMESTAMP", 1);
    }
    commands.push(words);
  }
  for (const reply of await client.pipeline(commands)) expect(reply.kind).toBe("%");
}

async function readLog(client: RespClient): Promise<Known[]> {
  const log: Known[] = [];
  for (;;) {
    const events = await client.events("ELOG", log.length, "+", "COUNT", 2_000);
    if (events.length === 0) return log;
    log.push(...events.map(knownOf));
  }
}

test(`${RESUMES} resumes, without a gap or a repeat (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const life = new Life();
  await life.start();
  let history: Known[] = [];
  await life.connected(async (client) => {
    await fillHistory(client, random);
    history = await readLog(client);
  });
  const followers = makeFollowers(history, random);
  let resumes = 0;
  let isOver = false;

  const surroundings: Surroundings = {
    random,
    httpPort: () => cairn.httpPort,
    async appended() {
      const { appendedEvents, generation } = life;
      const end = appendedEvents + EVENTS_WHILE_PAUSED;
      await until(
        () => isOver || life.appendedEvents >= end || life.generation !== generation,
        "more was appended",
      );
    },
  };

  const follow = async (follower: Follower): Promise<void> => {
    while (resumes < RESUMES) {
      await life.connected(async (client) => {
        while (resumes < RESUMES && !client.isClosed) {
          resumes++;
          await follower.visit(client, surroundings);
        }
      });
    }
  };

  const write = async (): Promise<void> => {
    while (!isOver) {
      await life.connected(async (client) => {
        const waiting: Promise<unknown>[] = [];
        while (!isOver) {
          const isFull = life.appendedEvents < resumes * EVENTS_PER_RESUME;
          const { words, events } = nextCommand(random, isFull ? 20 : 3);
          const answered = client.value(...words).then(() => {
            life.appendedEvents += events;
          });
          answered.catch(() => {}); // whoever waits for it is told
          waiting.push(answered);
          while (waiting.length > (isFull ? 8 : 0)) await waiting.shift();
        }
        await Promise.all(waiting);
      });
    }
  };

  const restart = async (): Promise<void> => {
    for (let ends = 1; ends <= ENDS; ends++) {
      await until(() => resumes >= (ends * RESUMES) / (ENDS + 1), "some more have come back");
      await life.restart(ends % 2 === 1);
    }
  };

  const followed = Promise.all([restart(), ...followers.map(follow)]).finally(() => {
    isOver = true;
  });
  await Promise.all([followed, ...Array.from({ length: WRITERS }, write)]);

  let log: Known[] = [];
  await life.connected(async (client) => {
    log = await readLog(client);
    expect(
      Number(/^index_runs:(\d+)/m.exec(String(await client.value("INFO", "cairn")))?.[1]),
    ).toBeGreaterThan(0);
  });
  expect(log.slice(0, history.length)).toEqual(history);
  for (const { stretches } of followers) {
    for (const stretch of stretches) checkStretch(stretch, log);
    expect(stretches.some(({ ids }) => ids.length > 0)).toBe(true);
  }
  expect(await cairn.stop()).toBe(0);
});
