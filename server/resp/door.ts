/**
 * The RESP door: listens, makes connections, and holds what they share: the writer of replies, the area of those
 * that go out at once, and the replies that wait for a batch.
 */

import type { ServerInfo } from "../commands/server-info.ts";
import type { Session } from "../commands/session.ts";
import { type Address, formatAddress } from "../config/address.ts";
import { OutputArea } from "../core/output-area.ts";
import { descriptorLimit } from "../disk.ts";
import { cannotListen } from "../errors.ts";
import { CONNECTIONS_MAX, DESCRIPTORS_RESERVED, HELD_BYTES_MAX, KiB } from "../limits.ts";
import type { Tell } from "../stderr-log.ts";
import type { EventStore } from "../store/event-store.ts";
import { ChunkPool } from "./chunk-pool.ts";
import { Connection } from "./connection.ts";
import { HeldReplies } from "./held-replies.ts";
import { Reply } from "./reply.ts";

/** The area of replies that go out at once, when it is made. */
const DIRECT_BYTES = 512 * KiB;
const TOO_MANY = "-ERR max number of clients reached\r\n";
/** How long a stop waits for clients that have all their replies to close. Then they are cut. */
const STOP_IDLE_MS = 250;
/** How long it waits for the others to take their last replies. */
const STOP_UNSENT_MS = 5_000;
/** How long of that it waits for one that takes nothing at all. */
const STOP_STALLED_MS = 1_000;

export interface RespDoorOptions {
  readonly store: EventStore;
  readonly server: ServerInfo;
  readonly log: Tell;
  /** Connections of the other door, which count as well. */
  readonly otherConnections?: () => number;
  /** What the other door holds, which counts as well. */
  readonly otherHeldBytes?: () => number;
  /** What all connections may hold together; `HELD_BYTES_MAX` unless a test sets less. */
  readonly heldBytesMax?: number;
  /** Ends the process: a bug may have left the state half done. */
  readonly crash: (error: unknown) => never;
}

export class RespDoor {
  readonly store: EventStore;
  readonly server: ServerInfo;
  readonly log: Tell;
  readonly crash: (error: unknown) => never;
  readonly direct: OutputArea;
  readonly reply: Reply;
  /** Goes up with each chunk that is run: what another one staged in core memory is gone then. */
  turn = 0;
  /** Where connections keep what their sockets have not taken. */
  readonly chunks = new ChunkPool();
  private readonly connections = new Set<Connection>();
  private readonly otherConnections: () => number;
  private readonly otherHeldBytes: () => number;
  private readonly heldBytesMax: number;
  private readonly held = new Map<number, HeldReplies>();
  private readonly spare: HeldReplies[] = [];
  /** Bytes of requests and replies that connections hold now. */
  heldBytes = 0;
  private listener: Bun.TCPSocketListener<Connection> | null = null;
  private allClosed: (() => void) | null = null;

  constructor(options: RespDoorOptions) {
    this.store = options.store;
    this.server = options.server;
    this.log = options.log;
    this.crash = options.crash;
    this.otherConnections = options.otherConnections ?? (() => 0);
    this.otherHeldBytes = options.otherHeldBytes ?? (() => 0);
    this.heldBytesMax = options.heldBytesMax ?? HELD_BYTES_MAX;
    this.direct = new OutputArea(options.store.core, DIRECT_BYTES);
    this.reply = new Reply(this.direct);
    const connectionsMax = Math.min(CONNECTIONS_MAX, descriptorLimit() - DESCRIPTORS_RESERVED);
    this.server.connectionsMax = connectionsMax;
  }

  /** Takes connections from now on; returns `HOST:PORT` with the real port. Throws OpenError. */
  listen(address: Address): string {
    try {
      this.listener = this.listenAt(address);
    } catch (error) {
      throw cannotListen("RESP", formatAddress(address), "--resp", error);
    }
    this.server.respHost = address.host;
    this.server.respPort = this.listener.port;
    return formatAddress({ host: address.host, port: this.listener.port });
  }

  private listenAt(address: Address): Bun.TCPSocketListener<Connection> {
    const door = this;
    return Bun.listen<Connection>({
      hostname: address.host,
      port: address.port,
      allowHalfOpen: true,
      socket: {
        open(socket) {
          door.opened(socket);
        },
        data(socket, chunk) {
          door.guard(() => socket.data?.receive(chunk));
        },
        drain(socket) {
          door.guard(() => socket.data?.drained());
        },
        end(socket) {
          if (socket.data === undefined) socket.end();
          else door.guard(() => socket.data.peerEnded());
        },
        timeout(socket) {
          if (socket.data === undefined) socket.terminate();
          else socket.data.timedOut();
        },
        close(socket) {
          door.guard(() => door.closed(socket.data));
        },
        error(socket, error) {
          door.log(`resp connection ${socket.data?.session.address}: ${error.message}`, "warn");
        },
      },
    });
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** A chunk is about to run. */
  beginTurn(): void {
    this.turn++;
  }

  /** Where the replies that wait for a batch are held. */
  heldFor(batch: number): HeldReplies {
    const known = this.held.get(batch);
    if (known !== undefined) return known;
    const replies = this.spare.pop() ?? new HeldReplies(this.store.core);
    this.held.set(batch, replies);
    this.store.whenSettled(batch, (outcome) => {
      this.held.delete(batch);
      this.guard(() => replies.settle(outcome));
      this.spare.push(replies);
    });
    return replies;
  }

  /** Counts what connections hold; above the limit those that hold most are cut. */
  countHeld(bytes: number): void {
    this.heldBytes += bytes;
    while (this.heldBytes + this.otherHeldBytes() > this.heldBytesMax) {
      let largest: Connection | null = null;
      for (const connection of this.connections) {
        const size = connection.unsentBytes + connection.waitingBytes;
        if (largest === null || size > largest.unsentBytes + largest.waitingBytes)
          largest = connection;
      }
      if (largest === null) return;
      this.log(
        `resp connection ${largest.session.address}: cut, since all connections hold too much`,
        "warn",
      );
      largest.kill();
      this.closed(largest);
    }
  }

  /** Takes no new connections, answers what is under way, and closes. */
  async stop(): Promise<void> {
    this.listener?.stop(false);
    this.listener = null;
    for (const connection of [...this.connections]) this.guard(() => connection.stop());
    await this.closedWithin(STOP_IDLE_MS);
    for (const connection of [...this.connections]) if (connection.isDone) connection.kill();
    await this.drainedWithin(STOP_UNSENT_MS);
    for (const connection of [...this.connections]) connection.kill();
  }

  /** Resolves when all connections have closed, or after this time; cuts those meanwhile that take no reply. */
  private async drainedWithin(timeMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeMs;
    while (this.connections.size > 0 && performance.now() < deadlineMs) {
      const stalled = [...this.connections]
        .filter(({ unsentBytes }) => unsentBytes > 0)
        .map((connection) => ({ connection, drainCount: connection.drainCount }));
      await this.closedWithin(STOP_STALLED_MS);
      for (const { connection, drainCount } of stalled) {
        if (connection.drainCount === drainCount) connection.kill();
      }
    }
  }

  /** Resolves when there is no connection any more, or after this time. */
  private async closedWithin(timeMs: number): Promise<void> {
    if (this.connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.allClosed = resolve;
    const timer = setTimeout(resolve, timeMs);
    await promise;
    clearTimeout(timer);
  }

  private opened(socket: Bun.Socket<Connection>): void {
    if (this.connections.size + this.otherConnections() >= this.server.connectionsMax) {
      this.server.connectionsRejected++;
      this.log("resp connection refused: there are too many", "debug", {
        peer: socket.remoteAddress,
      });
      socket.write(TOO_MANY);
      socket.end();
      return;
    }
    const connection = new Connection(
      this,
      socket,
      formatAddress({ host: socket.remoteAddress, port: socket.remotePort }),
      formatAddress({ host: this.server.respHost, port: this.server.respPort }),
    );
    socket.data = connection;
    socket.setNoDelay(true);
    this.connections.add(connection);
    this.store.commits.clientCount++;
    this.log("resp connection opened", "debug", { peer: connection.session.address });
  }

  private closed(connection: Connection | undefined): void {
    if (connection === undefined) return;
    connection.closed();
    if (this.connections.delete(connection)) {
      this.store.commits.clientCount--;
      this.tellClosed(connection.session);
    }
    if (this.connections.size === 0) this.allClosed?.();
  }

  private tellClosed(session: Session): void {
    this.log("resp connection closed", "debug", {
      peer: session.address,
      duration_ms: Math.round(performance.now() - session.connectedAtMs),
    });
  }

  /** What is thrown beyond a command is a bug, and no client's business. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.crash(error);
    }
  }
}
