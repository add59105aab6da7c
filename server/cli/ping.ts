/**
 * `cairn ping`: asks the RESP door whether somebody is there.
 *
 * A health check for containers without redis-cli, so it waits for a bounded time and needs no user: a server
 * that asks for a log-in has answered too.
 */
import { type Address, formatAddress } from "../config/address.ts";

/** From the first packet to the answer. Above: no answer. */
const PING_TIMEOUT_MS = 2_000;

const REQUEST = "*1\r\n$4\r\nPING\r\n";

/** Null when a server answered, else why there is no answer, as one line. */
export async function ping(address: Address): Promise<string | null> {
  const { promise: answer, resolve } = Promise.withResolvers<string | null>();
  const timer = setTimeout(() => resolve("nothing came within two seconds"), PING_TIMEOUT_MS);
  let received = "";
  const connecting = Bun.connect({
    hostname: address.host,
    port: address.port,
    socket: {
      open: (socket) => void socket.write(REQUEST),
      data(_socket, chunk) {
        received += chunk.toString("latin1");
        if (received.includes("\r\n")) resolve(judge(received));
      },
      close: () => resolve("the connection was closed without an answer"),
      connectError: (_socket, error) => resolve(error.message),
    },
  });
  connecting.catch((error: Error) => resolve(error.message));
  const failure = await answer;
  clearTimeout(timer);
  connecting.then((socket) => socket.terminate()).catch(() => {}); // its error is told already
  return failure === null ? null : `no answer from ${formatAddress(address)}: ${failure}`;
}

function judge(answer: string): string | null {
  if (answer.startsWith("+PONG\r\n") || answer.startsWith("-NOAUTH")) return null;
  return "what came is no answer to PING";
}
