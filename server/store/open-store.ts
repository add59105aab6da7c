/**
 * Opens what a store consists of: its folder, a core that knows its index and where its log ends, and the log to go on with.
 */
import { Core } from "../core/core.ts";
import { systemDisk } from "../disk.ts";
import { divideIndexMemory, type IndexMemory } from "../index/index-memory.ts";
import type { RunIndex } from "../index/run-index.ts";
import { InlineRunMaker, type RunMaker, WorkerRunMaker } from "../index/run-maker.ts";
import {
  BATCH_BYTES_MAX,
  CACHE_BYTES_DEFAULT,
  CORE_MEMORY_BYTES_MAX,
  INDEX_MEMORY_BYTES_DEFAULT,
} from "../limits.ts";
import { LocalLog } from "../log/local/local-log.ts";
import type { StoreIdentity } from "./store-file.ts";
import { openStoreFolder, whileOpening } from "./store-folder.ts";
import type { StoreOptions } from "./store-options.ts";

export interface OpenedStore {
  readonly core: Core;
  readonly identity: StoreIdentity;
  readonly log: LocalLog;
  readonly index: RunIndex;
  readonly unlock: () => void;
}

/** Throws OpenError, one line that says why. `failed` is called when the log can take nothing more. */
export function openStore(options: StoreOptions, failed: (error: Error) => void): OpenedStore {
  const { disk, folder, segmentBytes, clock, random } = options;
  const indexMemory = divideIndexMemory(
    options.indexMemoryBytes ?? INDEX_MEMORY_BYTES_DEFAULT,
    options.memtableEvents,
  );
  const { core, identity, recovered, index, logFolder, unlock } = openStoreFolder({
    disk,
    folder,
    partitions: options.partitions,
    segmentBytes,
    index: indexMemory,
    makeRuns: (indexFolder) => makeRuns(options, indexFolder),
    clock,
    random,
    log: options.log,
    makeCore: (partitions) => makeCore(options, indexMemory, partitions),
  });
  const log = whileOpening(folder, unlock, () => {
    const logOptions = {
      disk,
      core,
      folder: logFolder,
      storeId: identity.storeId,
      segmentBytes,
      syncBatches: options.durability === "fsync",
      syncPlace: options.syncPlace ?? "measured",
      isDiskShared: () => index.jobCount > 0,
      failed,
    };
    const made = new LocalLog(logOptions, recovered);
    const { end, crc, position, recordedAt } = recovered;
    core.exports.resumeLog(end, crc, position, recordedAt);
    made.enter({ start: end, end: made.roomEnd });
    return made;
  });
  return { core, identity, log, index, unlock };
}

function makeCore(options: StoreOptions, indexMemory: IndexMemory, partitions: number): Core {
  return new Core({
    memoryBytesMax: options.memoryBytesMax ?? CORE_MEMORY_BYTES_MAX,
    partitions,
    cacheBytes: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
    pageBytes: indexMemory.pageBytes,
    headBytes: indexMemory.headBytes,
    batchBytesMax: BATCH_BYTES_MAX,
    random: options.random,
  });
}

/** Runs are made in a worker on a real disk, and at once where a test has a disk of its own. */
function makeRuns(options: StoreOptions, folder: string): RunMaker {
  if (options.makeRuns !== undefined) return options.makeRuns(folder);
  return hasWorker(options) ? new WorkerRunMaker(folder) : new InlineRunMaker(options.disk, folder);
}

/** Whether runs are made meanwhile: in a worker, on a real disk. */
export function hasWorker({ disk, schedules }: StoreOptions): boolean {
  return disk === systemDisk && schedules !== false;
}
