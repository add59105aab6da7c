/**
 * The limit for everything that answers over a socket: a server that does nothing.
 *
 * It parses nothing: for every so many bytes received it sends one reply made beforehand (an echo server, with
 * the sizes of the real requests and replies). What it leaves out is all that a server is for.
 */
import type { Peer } from "./peers.ts";
import { startServer } from "./process.ts";

/** Starts it, in a process of its own: one reply of `replyBytes` for every `requestBytes` received. */
export async function startBareServer(requestBytes: number, replyBytes: number): Promise<Peer> {
  const command = [process.execPath, import.meta.filename];
  const server = await startServer([...command, String(requestBytes), String(replyBytes)], READY);
  const port = Number(READY.exec(server.readyLine)?.[1]);
  return { ...server, name: "bare server", port };
}

const READY = /listening on (\d+)/;

/** A RESP simple string of exactly this size. */
function makeReply(size: number): string {
  return size === PONG.length ? PONG : `+${"x".repeat(size - "+\r\n".length)}\r\n`;
}

const PONG = "+PONG\r\n";

/** Replies that one write sends at most: those of one read. */
const REPLIES_TOGETHER_MAX = 64;

interface State {
  /** Bytes received that were not yet a whole request. */
  received: number;
  /** Reply bytes that the socket has not taken. */
  owed: number;
}

if (import.meta.main) {
  const requestBytes = Number(process.argv[2]);
  const replyBytes = Number(process.argv[3]);
  const replies = Buffer.from(makeReply(replyBytes).repeat(REPLIES_TOGETHER_MAX));
  const flush = (socket: Bun.Socket<State>): void => {
    while (socket.data.owed > 0) {
      // A reply may have been cut: begin where the last write ended.
      const start = (replyBytes - (socket.data.owed % replyBytes)) % replyBytes;
      const end = Math.min(replies.length, start + socket.data.owed);
      const taken = socket.write(replies.subarray(start, end));
      if (taken <= 0) return;
      socket.data.owed -= taken;
    }
  };
  const listener = Bun.listen<State>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { received: 0, owed: 0 };
      },
      data(socket, chunk) {
        const received = socket.data.received + chunk.length;
        socket.data.received = received % requestBytes;
        socket.data.owed += Math.floor(received / requestBytes) * replyBytes;
        flush(socket);
      },
      drain: flush,
    },
  });
  console.log(`listening on ${listener.port}`);
}
