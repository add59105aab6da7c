/**
 * Another client: a PING every two milliseconds on a connection of its own, from a process of its own.
 *
 * A PING is sent when it is due, whether or not the one before was answered, so that a server that stands still for a
 * while shows in as many of them as a real client would have sent. Until SIGTERM; then it prints the histogram.
 */
import { type Server, startServer } from "../process.ts";
import { Histogram } from "./histogram.ts";

export interface Pinger {
  /** Ends it; all round trips since its start. A connection that the server closed is thrown. */
  finish(): Promise<Histogram>;
}

/** Starts pinging a server. */
export async function startPinger(port: number): Promise<Pinger> {
  const command = [process.execPath, import.meta.filename, String(port)];
  const child: Server = await startServer(command, /^pinging$/);
  return {
    async finish() {
      const code = await child.stop();
      if (code !== 0) throw new Error(`another client's PING: ${child.lastLine()}`);
      return Histogram.parse(child.lastLine());
    },
  };
}

const INTERVAL_MS = 2;
/** The first ones are not counted: this process is not warm yet. */
const WARM_UP_COUNT = 50;
/** PINGs that may wait for an answer: two minutes' worth. Above: it fails. */
const WAITING_MAX = 60_000;

const PING = Buffer.from("PING\r\n");
const PONG_BYTES = "+PONG\r\n".length;

async function ping(port: number): Promise<void> {
  const histogram = new Histogram();
  const sentNs = new Float64Array(WAITING_MAX);
  let sent = 0;
  let answered = 0;
  let bytes = 0;
  let isEnding = false;
  const end = (): void => {
    console.log(histogram.toLine());
    process.exit(0);
  };
  const fail = (reason: string): void => {
    console.log(reason);
    process.exit(1);
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_socket, chunk) {
        const now = Bun.nanoseconds();
        bytes += chunk.length;
        while (answered < Math.floor(bytes / PONG_BYTES)) {
          const us = (now - (sentNs[answered % WAITING_MAX] as number)) / 1e3;
          if (answered >= WARM_UP_COUNT) histogram.add(us);
          if (answered === WARM_UP_COUNT) console.log("pinging");
          answered++;
        }
        if (isEnding && answered === sent) end();
      },
      close: () => fail("the server closed the connection"),
      error: (_socket, error) => fail(error.message),
    },
  });
  const timer = setInterval(() => {
    if (sent - answered === WAITING_MAX) fail(`${WAITING_MAX} are not answered`);
    sentNs[sent % WAITING_MAX] = Bun.nanoseconds();
    sent++;
    socket.write(PING);
  }, INTERVAL_MS);
  process.on("SIGTERM", () => {
    isEnding = true;
    clearInterval(timer);
    if (answered === sent) end();
  });
}

if (import.meta.main) await ping(Number(process.argv[2]));
