/**
 * A reader of Server-Sent Events in a process of its own: follows the whole store from its first event until it has
 * caught up, and counts. It leaves out parsing the events.
 */
import { run } from "./process.ts";

export interface FeedResult {
  readonly events: number;
  /** The last event's id. */
  readonly lastPosition: number;
  readonly bytes: number;
  readonly seconds: number;
}

export async function readFeed(port: number): Promise<FeedResult> {
  return JSON.parse(
    await run([process.execPath, import.meta.filename, String(port)]),
  ) as FeedResult;
}

const MESSAGE = Buffer.from("\nevent: message\n");
const CAUGHT_UP = "event: caught-up\n";
/** The end of the chunk before, in which a line that is looked for may begin. */
const KEPT_BYTES = 64 * 1024;

async function follow(port: number): Promise<FeedResult> {
  const startNs = Bun.nanoseconds();
  const response = await fetch(`http://127.0.0.1:${port}/v1/events?from=0`, {
    headers: { Accept: "text/event-stream" },
  });
  if (response.status !== 200 || response.body === null) {
    throw new Error(`${response.status} ${await response.text()}`);
  }
  let events = 0;
  let bytes = 0;
  /** Begins behind the last message that was counted; a line end stands for the one before the first. */
  let rest = Buffer.from("\n");
  for await (const chunk of response.body) {
    bytes += chunk.length;
    const text = Buffer.concat([rest, chunk]);
    let at = 0;
    for (let found = text.indexOf(MESSAGE); found >= 0; found = text.indexOf(MESSAGE, at)) {
      events++;
      at = found + MESSAGE.length - 1;
    }
    const caughtUp = text.indexOf(CAUGHT_UP, at);
    if (caughtUp >= 0) {
      const id = /^id: (\d+)$/m.exec(
        text.subarray(caughtUp - 40, caughtUp + 80).toString("latin1"),
      );
      const seconds = (Bun.nanoseconds() - startNs) / 1e9;
      return { events, lastPosition: Number(id?.[1] ?? -1), bytes, seconds };
    }
    rest = text.subarray(Math.max(at, text.length - KEPT_BYTES));
  }
  throw new Error(`the feed ended after ${events} events`);
}

if (import.meta.main) {
  const result = await follow(Number(process.argv[2])).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
  console.log(JSON.stringify(result));
  process.exit(0); // the feed is still open
}
