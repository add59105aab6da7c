/**
 * What is done with a closed store: `verify` reads all of it, `dump` prints it. Neither changes a byte.
 */

import { Core } from "../core/core.ts";
import { DONE, NEED_BLOCK } from "../core/status.ts";
import { systemDisk } from "../disk.ts";
import { OpenError } from "../errors.ts";
import { divideIndexMemory } from "../index/index-memory.ts";
import type { RunIndex } from "../index/run-index.ts";
import {
  BATCH_BYTES_MAX,
  CACHE_BYTES_DEFAULT,
  CORE_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_DEFAULT,
  SEGMENT_BYTES_DEFAULT,
} from "../limits.ts";
import { SegmentReader } from "../log/local/segment-reader.ts";
import { type OpenedFolder, openStoreFolderReadOnly } from "./store-folder.ts";
import { readStoredEvent, type StoredEvent, storedEventJson } from "./stored-event.ts";

/** Text is printed in pieces of about this many characters. */
const PRINT_LENGTH = 64 * 1024;

/**
 * Reads every byte of a store: checksums, the chain of records, order, and the index that comes of them. Prints
 * what it checked; false where something is wrong, which is printed with file and offset.
 */
export function verifyStore(folder: string, print: (line: string) => void): boolean {
  try {
    const { core, recovered, index, unlock } = openReadOnly(folder, true, (line) => print(line));
    const bytes = recovered.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    print(
      `segments: ${recovered.segments.length}, ${bytes} bytes, headers and chain of records right`,
    );
    print(`events: ${recovered.position}, checksums, positions, versions and sequences right`);
    print(`streams: ${core.exports.streamCount()}`);
    print(
      `index runs: ${index.runCount}, ${index.diskBytes} bytes, checksums right, and they say what the log says`,
    );
    index.close();
    print(
      recovered.wasStopped
        ? "the store was stopped in order: nothing is missing at its end"
        : "the store was not stopped in order: the next start reads it to its last whole transaction",
    );
    unlock();
    return true;
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    print(error.message);
    return false;
  }
}

export interface DumpOptions {
  /** Null: of all streams. */
  readonly streamId: string | null;
  readonly from: number;
  /** Events printed at the most; null: no limit. */
  readonly limit: number | null;
}

/** Prints events as JSON lines, by position. Throws OpenError where the store cannot be read. */
export async function dumpStore(
  folder: string,
  options: DumpOptions,
  print: (text: string) => Promise<void> | undefined,
): Promise<void> {
  const reader = new OfflineReader(openReadOnly(folder, false, () => {}));
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  let printed = 0;
  let text = "";
  for (let position = options.from; position < reader.end && printed < limit; position++) {
    const event = reader.read(position);
    if (options.streamId !== null && event.streamId !== options.streamId) continue;
    text += `${storedEventJson(event)}\n`;
    printed++;
    if (text.length > PRINT_LENGTH) {
      await print(text);
      text = "";
    }
  }
  await print(text);
  reader.close();
}

function openReadOnly(
  folder: string,
  verifies: boolean,
  log: (line: string) => void,
): OpenedFolder {
  const index = divideIndexMemory(INDEX_MEMORY_BYTES_DEFAULT);
  return openStoreFolderReadOnly({
    disk: systemDisk,
    folder,
    partitions: null,
    segmentBytes: SEGMENT_BYTES_DEFAULT,
    index,
    makeRuns: null,
    verifies,
    clock: Date.now,
    random: refuseRandom,
    log,
    makeCore: (partitions) =>
      new Core({
        memoryBytesMax: CORE_MEMORY_BYTES_MAX,
        partitions,
        cacheBytes: CACHE_BYTES_DEFAULT,
        pageBytes: index.pageBytes,
        batchBytesMax: BATCH_BYTES_MAX,
        random: refuseRandom,
      }),
  });
}

function refuseRandom(): never {
  throw new Error("a store that is only read needs nothing random");
}

/** Reads events of a closed store by position. */
class OfflineReader {
  /** Positions below it hold events. */
  readonly end: number;
  private readonly core: Core;
  private readonly log: SegmentReader;
  private readonly unlock: () => void;
  private readonly index: RunIndex;

  constructor(opened: OpenedFolder) {
    const { core, recovered } = opened;
    this.core = core;
    this.unlock = opened.unlock;
    this.index = opened.index;
    this.end = recovered.position;
    this.log = new SegmentReader(systemDisk, recovered.segments);
    core.exports.resumeLog(recovered.end, recovered.crc, recovered.position, recovered.recordedAt);
  }

  read(position: number): StoredEvent {
    const { exports } = this.core;
    while (true) {
      const status = exports.showEvent(position);
      if (status === DONE) return readStoredEvent(this.core);
      const address = exports.getMissedPtr() >>> 0;
      const target = this.core.memory.subarray(address, address + exports.getMissedSize());
      const count = status === NEED_BLOCK ? this.log.read(exports.getMissedOffset(), target) : 0;
      if (count === 0) {
        throw new OpenError(
          `${this.log.placeText(exports.getWantedOffset())}: the record is damaged`,
        );
      }
      exports.cacheLoaded(count);
    }
  }

  close(): void {
    this.index.close();
    this.log.close();
    this.unlock();
  }
}
