/**
 * The log as everything above it sees it: durable bytes, in order.
 *
 * Takes encoded transactions a batch at a time and tells later, in a callback, whether they are durable; gives
 * back bytes by their log offset. Nothing above this interface knows files, so that the log may one day be
 * carried by other machines.
 */

/** What became of a batch. */
export type Outcome =
  /** As durable as the store promises. */
  | "durable"
  /** The write or the sync failed: it may or may not be there after a restart. */
  | "uncertain"
  /** It was never written. */
  | "unwritten";

export interface Log {
  /**
   * Writes the batch that the core has in flight, at the log's end, and calls `done` when it is durable, at once
   * or in a later turn. One batch at a time. With `isLoopBusy` the event loop has other work meanwhile, and must not wait.
   */
  append(done: (error: Error | null) => void, isLoopBusy: boolean): void;
  /** As `append`, on the calling thread whatever the disk's speed. Throws what the disk says. */
  appendNow(): void;
  /** Makes all that was appended durable now, on the calling thread. Throws what the disk says. */
  sync(): void;
  /**
   * Opens room for at least `bytes` of frames behind `offset`, where the log ends now: at once or in a later turn
   * `done` gets it, or `NoRoom` where the disk has none, to be tried again later, or what the disk says, after which
   * the log takes nothing more. One at a time, and no batch meanwhile.
   */
  extend(
    offset: number,
    position: number,
    crc: number,
    bytes: number,
    done: (result: Room | Error) => void,
  ): void;
  /** Notes, after the last batch of an orderly stop, that the log ends here. Throws what the disk says. */
  end(): void;
  /** Reads bytes at a log offset; returns how many there were. */
  read(offset: number, target: Uint8Array): number;
  /** Bytes at a log offset are going to be read: a hint, of which nothing is heard. */
  willRead(offset: number, bytes: number): void;
  /**
   * Has a thread read what a segment holds of a range, and throws it away: the segment is that of the log offset. Returns what
   * that is, and calls back in a later turn, whatever came of it; null where there is no such thread. One at a time.
   */
  readAhead(offset: number, range: LogRange, done: () => void): LogRange | null;
  /** Names a place in the log for an error: file and offset. */
  placeText(offset: number): string;
  /** Bytes that the log takes on the disk. */
  diskBytes(): number;
  segmentCount(): number;
  close(): void;
}

/** Log offsets, the end excluded. */
export interface LogRange {
  readonly start: number;
  readonly end: number;
}

/** A stretch of the log that frames can be written to. */
export type Room = LogRange;

/** The disk has no room for more of the log; nothing was lost, and reads go on. */
export class NoRoom extends Error {
  override name = "NoRoom";
}
