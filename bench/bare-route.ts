/**
 * The peer of an append over HTTP: a Bun.serve route that does nothing but parse the same JSON and answer the same
 * JSON. It leaves out the store, the sync, and every check.
 */
import { startServer } from "./process.ts";

interface BareRoute {
  readonly port: number;
  stop(): Promise<unknown>;
}

/** Starts it, in a process of its own. */
export async function startBareRoute(): Promise<BareRoute> {
  const server = await startServer([process.execPath, import.meta.filename], READY);
  return { port: Number(READY.exec(server.readyLine)?.[1]), stop: () => server.stop() };
}

const READY = /listening on (\d+)/;

/** As long as what an append answers. */
const ANSWER = {
  event_id: "0193a5c4-7f3e-7a3c-8f5e-000000000000",
  partition_key: "219bd637-e279-53e9-9e2b-eabe5d9120cc",
  partition_id: 17,
  partition_sequence: 123_456,
  timestamp: 1_795_550_000_000,
  position: 4_567_890,
  recorded_at: 1_795_550_000_000,
};

if (import.meta.main) {
  let version = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/v1/streams/:stream/events": {
        async POST(request) {
          const event = (await request.json()) as { event_name?: unknown };
          if (typeof event.event_name !== "string") return new Response(null, { status: 400 });
          return Response.json(
            { ...ANSWER, stream_version: version++ },
            { status: 201, headers: { ETag: `"${version}"` } },
          );
        },
      },
    },
  });
  console.log(`listening on ${server.port}`);
}
