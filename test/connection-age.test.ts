/**
 * How long a connection lives: as long as its client wants. Bun times each socket out after two minutes by itself, of
 * which a test need not wait: it says to the door that the time is over.
 */
import { expect, test, vi } from "vitest";
import { openDoor } from "./support/door.ts";
import { RespClient } from "./support/resp-client.ts";

test("the end of a socket's time ends no connection that goes on", async () => {
  const listen = Bun.listen;
  const timeOuts: (() => void)[] = [];
  const spy = vi.spyOn(Bun, "listen").mockImplementation(((
    options: Bun.TCPSocketListenOptions<unknown>,
  ) => {
    const { socket: handlers } = options;
    const open = (socket: Bun.Socket<unknown>): void => {
      handlers.open?.(socket);
      timeOuts.push(() => void handlers.timeout?.(socket));
    };
    return listen({ ...options, socket: { ...handlers, open } });
  }) as typeof Bun.listen);
  const opened = openDoor();
  spy.mockRestore();
  const client = await RespClient.connect3(opened.port);
  expect(await client.value("PING")).toBe("PONG");
  expect(timeOuts.length).toBe(1);
  for (const timeOut of timeOuts) timeOut();
  expect(await client.value("PING")).toBe("PONG");
  client.close();
  await opened.stop();
});
