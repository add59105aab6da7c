/**
 * Walks over the log whose disk is slow: what a thread reads for them, that others are served meanwhile, and that they find
 * the same as without.
 */
import { createConnection } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KiB, MiB, READ_AHEAD_BYTES_MAX } from "../server/limits.ts";
import type { Log, LogRange } from "../server/log/log.ts";
import { ReadAhead, WalkReads } from "../server/store/read-ahead.ts";
import { type DoorInProcess, openDoor } from "./support/door.ts";
import { Random } from "./support/random.ts";
import { RespClient, type Word } from "./support/resp-client.ts";
import { until } from "./support/server.ts";
import { SimulatedDisk } from "./support/simulated-disk.ts";

const SEED = Number(process.env.SEED ?? 1);
const BLOCK_BYTES = 16 * KiB;

describe("what is read ahead", () => {
  const atOnce = (work: () => void): void => work();
  const SEGMENT_BYTES = 3 * MiB;
  const LOG_BYTES = 20 * MiB + 5_000;

  /** A log of segments, whose thread is done when `finish` is called. */
  function makeLog() {
    const read: LogRange[] = [];
    let finish: (() => void) | null = null;
    const log: Pick<Log, "readAhead"> = {
      readAhead(offset, range, done) {
        expect(finish).toBe(null); // one at a time
        const base = offset - (offset % SEGMENT_BYTES);
        const start = Math.max(range.start, base);
        const end = Math.min(range.end, base + SEGMENT_BYTES);
        expect(offset).toBeGreaterThanOrEqual(start);
        expect(offset).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(LOG_BYTES);
        expect(end - start).toBeLessThanOrEqual(READ_AHEAD_BYTES_MAX);
        finish = () => {
          finish = null;
          read.push({ start, end });
          done();
        };
        return { start, end };
      },
    };
    const finishRead = (): void => (finish as (() => void) | null)?.();
    return { log: log as Log, read, finishRead };
  }

  test.each([false, true])("is what a walk comes to next (newest first: %s)", (isReverse) => {
    const { log, read, finishRead } = makeLog();
    const walk = new WalkReads(new ReadAhead(log, () => LOG_BYTES, atOnce), isReverse);
    const blockCount = Math.ceil(LOG_BYTES / BLOCK_BYTES);
    let waits = 0;
    for (let i = 0; i < blockCount; i++) {
      const offset = BLOCK_BYTES * (isReverse ? blockCount - 1 - i : i);
      while (!walk.mayLoad(offset)) {
        let isWoken = false;
        expect(walk.wait(() => (isWoken = true))).not.toBe(null);
        finishRead();
        expect(isWoken).toBe(true);
        expect(++waits).toBeLessThan(blockCount);
      }
      expect(walk.wait(() => undefined)).toBe(null);
      const isRead = read.some(({ start, end }) => offset >= start && offset < end);
      if (i >= 4) expect(isRead).toBe(true);
      finishRead();
    }
    expect(waits).toBe(1); // what comes next is always there
    expect(read.length).toBeLessThan(60); // since stretches become long
  });

  test("serves walks side by side, each in its own direction", () => {
    const random = new Random(SEED);
    const { log, read, finishRead } = makeLog();
    const readAhead = new ReadAhead(log, () => LOG_BYTES, atOnce);
    const walks = Array.from({ length: 5 }, (_, i) => ({
      reads: new WalkReads(readAhead, i % 2 === 1),
      offset: random.below(LOG_BYTES / BLOCK_BYTES) * BLOCK_BYTES,
      step: i % 2 === 1 ? -BLOCK_BYTES : BLOCK_BYTES,
      isWaiting: false,
      blocks: 0,
    }));
    const isUnderway = ({ offset }: { offset: number }) => offset >= 0 && offset < LOG_BYTES;
    for (let turns = 0; walks.some(isUnderway); turns++) {
      expect(turns, `seed ${SEED}`).toBeLessThan(100_000);
      const walk = random.pick(walks.filter(isUnderway));
      if (walk.isWaiting || random.chance(0.1)) {
        finishRead();
      } else if (walk.reads.mayLoad(walk.offset)) {
        if (++walk.blocks > 4) {
          const isRead = read.some(({ start, end }) => walk.offset >= start && walk.offset < end);
          expect(isRead, `seed ${SEED}`).toBe(true);
        }
        walk.offset += walk.step;
      } else {
        walk.isWaiting = true;
        walk.reads.wait(() => {
          walk.isWaiting = false;
        });
      }
    }
  });
});

describe("over a door", () => {
  const STREAMS = 300;
  const COMMANDS = 200;
  let disk: SimulatedDisk;
  let opened: DoorInProcess;
  let clients: RespClient[];

  /** Opens the store anew, with nothing of the log in memory. */
  function open(): void {
    disk.kill();
    opened = openDoor({ disk, segmentBytes: MiB });
  }

  async function connect(): Promise<RespClient> {
    const client = await RespClient.connect3(opened.port);
    clients.push(client);
    return client;
  }

  beforeEach(async () => {
    clients = [];
    disk = new SimulatedDisk({ random: new Random(SEED), readThread: true });
    open();
    const client = await connect();
    for (let command = 0; command < COMMANDS; command++) {
      const words: Word[] = ["EMAPPEND", "*"];
      for (let i = 0; i < 40; i++) {
        const name = command % 50 === 7 && i === 3 ? "Rare" : "Common";
        words.push(`stream-${(command * 40 + i) % STREAMS}`, name, "PAYLOAD", "x".repeat(700));
      }
      await client.value(...words);
    }
    client.close();
    await opened.stop();
    open();
  });

  afterEach(async () => {
    disk.holdReads = false;
    disk.releaseReads();
    for (const client of clients) client.close();
    await opened.stop();
  });

  async function walkStreams(client: RespClient): Promise<unknown[]> {
    const found: unknown[] = [];
    let cursor: unknown = "0";
    do {
      const [next, ids] = (await client.value(
        "SCAN",
        String(cursor),
        "COUNT",
        "1000",
      )) as unknown[];
      found.push(...(ids as unknown[]));
      cursor = next;
    } while (cursor !== "0");
    return found;
  }

  test.each([
    ["ELOG by name", ["ELOG", "0", "+", "NAME", "Rare"]],
    ["ELOG newest first", ["ELOG", "0", "+", "REV", "NAME", "Rare"]],
    ["ELOG with BLOCK", ["ELOG", "0", "+", "NAME", "Rare", "BLOCK", "1"]],
  ])("%s waits for the disk, and others do not", async (_, words) => {
    disk.holdReads = true;
    const walker = await connect();
    const other = await connect();
    let positions: number[] | null = null;
    void walker.events(...words).then((events) => {
      positions = events.map(({ position }) => Number(position));
    });
    for (let reads = 0; positions === null; reads++) {
      await until(() => disk.heldReadCount > 0 || positions !== null, "a thread reads");
      expect(await other.value("PING")).toBe("PONG");
      if (reads === 0) expect(positions).toBe(null);
      disk.releaseReads();
    }
    const rare = Array.from({ length: COMMANDS / 50 }, (_, i) => (i * 50 + 7) * 40 + 3);
    expect(positions).toEqual(words.includes("REV") ? rare.reverse() : rare);
  });

  test("SCAN gives all streams, once", async () => {
    const all = Array.from({ length: STREAMS }, (_, i) => `stream-${i}`);
    expect(await walkStreams(await connect())).toEqual(all);
  });

  test("a client that has said its last is answered without waiting", async () => {
    disk.holdReads = true;
    const socket = createConnection({ port: opened.port, host: "127.0.0.1", allowHalfOpen: true });
    let answer = "";
    socket.on("data", (bytes) => {
      answer += bytes.toString("latin1");
    });
    socket.write("ELOG 0 + NAME Rare\r\n");
    await until(() => disk.heldReadCount > 0, "a thread reads");
    socket.end();
    await until(() => answer.includes("has_more"), "it is answered");
    socket.destroy();
  });

  test("a client that goes is forgotten", async () => {
    disk.holdReads = true;
    const walker = await connect();
    walker.send(Buffer.from("ELOG 0 + NAME Rare\r\n"));
    await until(() => disk.heldReadCount > 0, "a thread reads");
    walker.close();
    disk.holdReads = false;
    disk.releaseReads();
    const other = await connect();
    expect(((await other.map("ELOG", "0", "+", "NAME", "Rare")).events as unknown[]).length).toBe(
      4,
    );
  });
});
