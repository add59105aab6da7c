/**
 * What is done with a closed store: `verify` reads all of it, `dump` prints what is intact. Neither changes a byte.
 */

import { Core } from "../core/core.ts";
import { type Disk, systemDisk } from "../disk.ts";
import { OpenError } from "../errors.ts";
import { divideIndexMemory } from "../index/index-memory.ts";
import {
  BATCH_BYTES_MAX,
  CACHE_BYTES_DEFAULT,
  CORE_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_DEFAULT,
  SEGMENT_BYTES_DEFAULT,
} from "../limits.ts";
import { salvage } from "../log/local/salvage.ts";
import {
  type OpenedFolder,
  openStoreFolderReadOnly,
  openStoreFolderToSalvage,
} from "./store-folder.ts";
import { readStoredEvent, storedEventJson } from "./stored-event.ts";

/** Text is printed in pieces of about this many characters. */
const PRINT_LENGTH = 64 * 1024;

/**
 * Reads every byte of a store: checksums, the chain of records, order, and the index that comes of them. Prints
 * what it checked; false where something is wrong, which is printed with file and offset.
 */
export function verifyStore(
  folder: string,
  print: (line: string) => void,
  disk: Disk = systemDisk,
): boolean {
  try {
    const { core, recovered, index, unlock } = openReadOnly(disk, folder, print);
    const bytes = recovered.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    print(
      `segments: ${recovered.segments.length}, ${bytes} bytes, headers and chain of records right`,
    );
    print(`events: ${recovered.position}, checksums, positions, versions, sequences and ids right`);
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

/** Where `dumpStore` prints. */
export interface DumpOutput {
  /** Takes text; where no more is taken for now, the promise resolves when it is. */
  readonly print: (text: string) => Promise<void> | undefined;
  /** Takes a line for whoever runs the command. */
  readonly report: (line: string) => void;
}

/**
 * Prints the events that are intact as JSON lines, by position, and reports damage and the positions that it cost; false
 * where there is any. Throws OpenError where the store cannot be read at all.
 */
export async function dumpStore(
  disk: Disk,
  folder: string,
  options: DumpOptions,
  { print, report }: DumpOutput,
): Promise<boolean> {
  const { core, logFolder, unlock } = openStoreFolderToSalvage({
    disk,
    folder,
    makeCore,
  });
  const { streamId, from } = options;
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  const damage = new DamageReport(from, report);
  let printed = 0;
  let text = "";
  try {
    for (const found of salvage({ disk, core, folder: logFolder, from })) {
      if (printed === limit) break;
      if (found.kind === "damage") {
        damage.add(found);
        continue;
      }
      for (let index = Math.max(0, from - found.first); index < found.count; index++) {
        core.exports.viewEvent(found.address, index);
        const event = readStoredEvent(core);
        if (streamId !== null && event.streamId !== streamId) continue;
        if (printed === limit) break;
        text += `${storedEventJson(event)}\n`;
        printed++;
        if (text.length > PRINT_LENGTH) {
          await print(text);
          text = "";
        }
      }
    }
    await print(text);
    return damage.finish(printed);
  } finally {
    unlock();
  }
}

/** What is damaged of what was asked for, as lines. */
class DamageReport {
  private readonly from: number;
  private readonly report: (line: string) => void;
  private found = false;
  private missing = 0;

  constructor(from: number, report: (line: string) => void) {
    this.from = from;
    this.report = report;
  }

  add({ place, first, end }: { place: string; first: number; end: number }): void {
    const from = Math.max(first, this.from);
    if (end < this.from || (end === this.from && first < end)) return; // before what was asked for
    this.found = true;
    this.missing += end - from;
    this.report(`${place}: damaged; ${missingText(from, end)}`);
  }

  /** True where nothing was. */
  finish(printed: number): boolean {
    const events = this.missing === 1 ? "event" : "events";
    if (this.found) this.report(`missing: ${this.missing} ${events}; printed: ${printed}`);
    return !this.found;
  }
}

function missingText(first: number, end: number): string {
  if (first === end) return "no event is missing";
  if (first + 1 === end) return `the event at position ${first} is missing`;
  return `the events at positions ${first} to ${end - 1} are missing`;
}

function openReadOnly(disk: Disk, folder: string, log: (line: string) => void): OpenedFolder {
  return openStoreFolderReadOnly({
    disk,
    folder,
    partitions: null,
    segmentBytes: SEGMENT_BYTES_DEFAULT,
    index: divideIndexMemory(INDEX_MEMORY_BYTES_DEFAULT),
    makeRuns: null,
    clock: Date.now,
    random: refuseRandom,
    log,
    makeCore,
  });
}

function makeCore(partitions: number): Core {
  return new Core({
    memoryBytesMax: CORE_MEMORY_BYTES_MAX,
    partitions,
    cacheBytes: CACHE_BYTES_DEFAULT,
    pageBytes: divideIndexMemory(INDEX_MEMORY_BYTES_DEFAULT).pageBytes,
    headBytes: 0,
    batchBytesMax: BATCH_BYTES_MAX,
    random: refuseRandom,
  });
}

function refuseRandom(): never {
  throw new Error("a store that is only read needs nothing random");
}
