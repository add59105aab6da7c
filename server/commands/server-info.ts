/**
 * What HELLO, INFO, CONFIG GET and CLIENT tell of the running server: its settings, its counters, its sessions.
 *
 * One object a process. The doors count into it; commands only read it.
 */
import type { ErrorCode } from "../errors.ts";
import { CONNECTIONS_MAX } from "../limits.ts";
import { Sessions } from "./session.ts";

interface ServerInfoOptions {
  /** Version of the executable. */
  readonly version: string;
  /** Every setting by its flag's name, as it is in force (`partitions` → `32`): for CONFIG GET. */
  readonly settings: ReadonlyMap<string, string>;
}

export class ServerInfo {
  readonly version: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly sessions = new Sessions();
  /** 40 hexadecimal digits, new with each start: how tools notice a restart. */
  readonly runId = Buffer.from(crypto.getRandomValues(new Uint8Array(20))).toString("hex");
  /** Where the RESP door listens; set when it does. */
  respHost = "";
  respPort = 0;
  /** Requests answered since the start, those answered with an error included. */
  commandsProcessed = 0;
  errorReplies = 0;
  /** Error replies by their code. */
  readonly errorCounts = new Map<ErrorCode, number>();
  /** How many connections there may be at a time; set when the RESP door is made. */
  connectionsMax = CONNECTIONS_MAX;
  /** Connections turned away at the limit. */
  connectionsRejected = 0;
  /** Bytes read from RESP sockets and written to them. */
  inputBytes = 0;
  outputBytes = 0;

  constructor(options: ServerInfoOptions) {
    this.version = options.version;
    this.settings = options.settings;
  }

  /** Counts an error reply. */
  countError(code: ErrorCode): void {
    this.errorReplies++;
    this.errorCounts.set(code, (this.errorCounts.get(code) ?? 0) + 1);
  }
}
