/**
 * A connection whose bytes are kept in the order in which they come: for what tells a push from a reply.
 */
import { connect, type Socket } from "node:net";
import { encode, type Word } from "./resp-client.ts";
import { until } from "./server.ts";

export class RawClient {
  /** Everything that has come and was not taken, a character a byte. */
  received = "";
  isClosed = false;
  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    await new Promise((resolve) => socket.once("connect", resolve));
    return new RawClient(socket);
  }

  send(...words: readonly Word[]): void {
    this.socket.write(encode(words));
  }

  /** Waits until so many bytes have come, and takes them. */
  async take(size: number): Promise<string> {
    await until(() => this.received.length >= size || this.isClosed, `${size} bytes have come`);
    const taken = this.received.slice(0, size);
    this.received = this.received.slice(size);
    return taken;
  }

  /** Sends no more, and goes on reading. */
  endSending(): void {
    this.socket.end();
  }

  /** Reads nothing more from the socket. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  close(): void {
    this.socket.destroy();
  }
}
