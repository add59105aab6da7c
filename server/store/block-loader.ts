/**
 * Loads into the core the blocks of the log that a read of its misses, and says where one is damaged.
 */
import type { Core } from "../core/core.ts";
import { StoreError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import type { Tell } from "../stderr-log.ts";
import { ReadAhead, WalkReads } from "./read-ahead.ts";

export class BlockLoader {
  private readonly core: Core;
  private readonly log: Log;
  private readonly tell: Tell;
  private readonly readAhead: ReadAhead;

  /** `tell` takes one line for whoever runs the server. */
  constructor(core: Core, log: Log, tell: Tell) {
    this.core = core;
    this.log = log;
    this.tell = tell;
    core.log = log;
    this.readAhead = new ReadAhead(log, () => core.exports.getDurableOffset(), setImmediate);
  }

  /** The reads of a walk over the log, in one direction. */
  walk(isReverse: boolean): WalkReads {
    return new WalkReads(this.readAhead, isReverse);
  }

  /** Loads the block of the log that the core misses; false where the disk does not give it. */
  load(): boolean {
    const { exports } = this.core;
    const address = exports.getMissedPtr() >>> 0;
    const target = this.core.memory.subarray(address, address + exports.getMissedSize());
    try {
      const count = this.log.read(exports.getMissedOffset(), target);
      if (count > 0) exports.cacheLoaded(count);
      return count > 0;
    } catch (error) {
      this.tell(`a read failed: ${(error as Error).message}`, "error");
      return false;
    }
  }

  /** The error of the record that the core asked for last. */
  corrupt(): StoreError {
    const place = this.log.placeText(this.core.exports.getWantedOffset());
    return new StoreError("CORRUPT", `the record in ${place} is damaged`);
  }

  /** The same where that is the record of the event at a position: which events are lost with it, and where others follow. */
  corruptAt(position: number): StoreError {
    const { exports } = this.core;
    const first = exports.recordStart(position);
    const end = exports.recordEnd(position);
    const lost = end - first === 1 ? `position ${first}` : `positions ${first} to ${end - 1}`;
    const text = `${this.corrupt().message}; it holds ${lost}: go on from position ${end}`;
    return new StoreError("CORRUPT", text);
  }
}
