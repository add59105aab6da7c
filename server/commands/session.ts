/**
 * What the server knows of one connection, and the list of all live ones.
 *
 * Commands read and change a `Session`; the connection acts on what they change (`protocol`, `closing`) and
 * is reached through `SessionLink` alone. Times are milliseconds of the monotonic clock, so that a changed
 * wall clock makes no connection old.
 */
import { KiB } from "../limits.ts";
import type { SessionSubscriptions } from "./session-subscriptions.ts";

/** A connection's name and its client library's name and version, each. Above: TOOLARGE. */
export const CLIENT_TEXT_BYTES_MAX = 1 * KiB;

/** The one user there is where no users are configured, as in Redis. */
export const DEFAULT_USER = "default";

/** What a session asks of its connection. */
export interface SessionLink {
  /** Closes the connection now, without what it has not sent. */
  kill(): void;
  /** Bytes of requests read but not answered yet. */
  readonly waitingBytes: number;
  /** Bytes of replies that the socket has not taken yet. */
  readonly unsentBytes: number;
  /** Whether the socket has taken so much that pushes may follow; after false the session's `resume` is called. */
  readonly takesPushes: boolean;
  /** Sends bytes that answer nothing, a part of some memory that need not outlive the call. */
  push(memory: Uint8Array, start: number, length: number): void;
}

export class Session {
  /** Counts up from 1 over the server's life. */
  readonly id: number;
  /** The client's end and the server's, as `127.0.0.1:50000` or `[::1]:50000`. */
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  /** When it last sent something; the connection sets it. */
  activeAtMs: number;
  protocol: 2 | 3 = 2;
  user = DEFAULT_USER;
  name = "";
  libraryName = "";
  libraryVersion = "";
  /** Name of the command that ran last, as the registry has it; empty before the first. */
  lastCommand = "";
  /** MULTI was refused, and neither EXEC nor DISCARD nor RESET has come since: nothing else runs. */
  transactionRefused = false;
  /** The connection answers what it has and closes; it runs no further command. */
  closing = false;
  readonly link: SessionLink;
  /** What it follows; null until it has followed something. */
  subscriptions: SessionSubscriptions | null = null;

  constructor(id: number, address: string, localAddress: string, link: SessionLink) {
    this.id = id;
    this.address = address;
    this.localAddress = localAddress;
    this.link = link;
    this.connectedAtMs = performance.now();
    this.activeAtMs = this.connectedAtMs;
  }

  /** Back to how the connection began (RESET), following nothing. What it told of its library stays, as in Redis. */
  reset(): void {
    this.protocol = 2;
    this.user = DEFAULT_USER;
    this.name = "";
    this.transactionRefused = false;
    this.subscriptions?.endAll();
  }
}

/** The live sessions, in the order in which they connected. */
export class Sessions {
  /** Sessions opened since the start. */
  openedCount = 0;
  private readonly live = new Set<Session>();

  get count(): number {
    return this.live.size;
  }

  open(address: string, localAddress: string, link: SessionLink): Session {
    const session = new Session(++this.openedCount, address, localAddress, link);
    this.live.add(session);
    return session;
  }

  /** Forgets a session whose connection has closed; once more is fine. */
  close(session: Session): void {
    this.live.delete(session);
  }

  all(): Iterable<Session> {
    return this.live.values();
  }
}
