/**
 * The time from an append's request to its event at a subscriber, in a process of its own: a writer's connection and a
 * subscriber's. The next append goes out when both the answer and the event of the last one have come.
 *
 * Each append's payload ends in its number, for which the ends of what comes are searched; nothing is parsed.
 */
import { parseArgs } from "node:util";
import type { Socket } from "bun";
import { messageOf, type Peer } from "./peers.ts";
import { run } from "./process.ts";
import { EVENT_NAME, PAYLOAD, streamId } from "./requests.ts";
import { encodeRequest } from "./resp.ts";

/** The median, microseconds. */
export async function pushLatency(peer: Peer, seconds: number): Promise<number> {
  const args = ["--port", peer.port, "--peer", peer.name, "--seconds", seconds];
  const output = await run([process.execPath, import.meta.filename, ...args.map(String)]);
  return Number(output);
}

/** One event at least is measured, however short the time. */
async function measure(port: number, isCairn: boolean, seconds: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const latenciesUs: number[] = [];
  const stream = streamId(process.pid); // a new one in each process, so that Redis' ids can be chosen
  let number = -1; // until the subscriber is there
  let mark = "";
  let isAnswered = true;
  let hasCome = true;
  let sentNs = 0;
  const endNs = Bun.nanoseconds() + seconds * 1e9;
  const connect = (data: (chunk: Buffer) => void): Promise<Socket> =>
    Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => data(chunk),
        close: () => reject(new Error("the server closed a connection")),
        error: (_socket, error) => reject(error),
      },
    });
  const next = (): void => {
    if (!isAnswered || !hasCome) return;
    if (latenciesUs.length > 0 && Bun.nanoseconds() >= endNs) {
      resolve();
      return;
    }
    number++;
    mark = `#${String(number).padStart(9, "0")}`;
    isAnswered = hasCome = false;
    const payload = PAYLOAD.slice(0, -mark.length) + mark;
    const words = isCairn
      ? ["EAPPEND", stream, EVENT_NAME, "PAYLOAD", payload]
      : ["XADD", stream, redisId(number), "name", EVENT_NAME, "payload", payload];
    const bytes = encodeRequest(words);
    sentNs = Bun.nanoseconds();
    writer.write(bytes);
  };
  // From an id on, so that it does not matter which of two requests arrives first.
  const follow = (): Uint8Array =>
    encodeRequest(["XREAD", "BLOCK", "0", "STREAMS", stream, redisId(number)]);
  const follower = await connect((chunk) => {
    if (number < 0) {
      if (!chunk.includes("subscribe")) return; // HELLO's answer
      next();
    } else if (chunk.includes(mark)) {
      latenciesUs.push((Bun.nanoseconds() - sentNs) / 1e3);
      hasCome = true;
      if (!isCairn) follower.write(follow());
      next();
    }
  });
  const writer = await connect((chunk) => {
    if (chunk[0] === MINUS) reject(new Error(chunk.toString().trim()));
    isAnswered = true;
    next();
  });
  if (isCairn) {
    follower.write(encodeRequest(["HELLO", "3"]));
    follower.write(encodeRequest(["EPSUB", "*", "NOACK"]));
  } else {
    follower.write(follow());
    next();
  }
  await promise;
  latenciesUs.sort((a, b) => a - b);
  return latenciesUs[Math.floor(latenciesUs.length / 2)] as number;
}

/** The id of an event in Redis; of number -1 the one before all. */
function redisId(number: number): string {
  return `${number + 1}-0`;
}

const MINUS = 0x2d;

if (import.meta.main) {
  const { values } = parseArgs({
    options: { port: { type: "string" }, peer: { type: "string" }, seconds: { type: "string" } },
  });
  const { port, peer, seconds } = values;
  const p50Us = await measure(Number(port), peer === "Cairn", Number(seconds)).catch(
    (error: unknown) => {
      console.error(messageOf(error));
      process.exit(1);
    },
  );
  console.log(p50Us);
  process.exit(0); // the sockets are still open
}
