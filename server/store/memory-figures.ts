/** What the index and the cache take of memory and disk. */
import type { Core } from "../core/core.ts";
import type { RunIndex } from "../index/run-index.ts";
import { CACHE_BYTES_DEFAULT, INDEX_MEMORY_BYTES_DEFAULT } from "../limits.ts";
import type { StoreOptions } from "./store-options.ts";

/** Sizes are bytes. */
export interface MemoryFigures {
  readonly cacheBytes: number;
  readonly cacheBytesMax: number;
  readonly indexMemoryBytesMax: number;
  readonly memtableCount: number;
  readonly memtableBytes: number;
  /** Heads of streams. */
  readonly headBytes: number;
  /** A start's are still being read from the runs. */
  readonly isLoadingHeads: boolean;
  /** Filters and fences of the runs. */
  readonly filterBytes: number;
  /** Pages of runs in memory, and pages read since the start. */
  readonly pageBytes: number;
  readonly pageReads: number;
  readonly runCount: number;
  /** Runs that are being made, of a memtable or of other runs. */
  readonly jobCount: number;
  /** The runs' files. */
  readonly diskBytes: number;
  /** The worker that makes runs. */
  readonly makerBytes: number;
  /** Why runs cannot be made, or null. */
  readonly failureReason: string | null;
}

export function readMemoryFigures(
  { exports }: Core,
  index: RunIndex,
  options: StoreOptions,
): MemoryFigures {
  return {
    cacheBytes: exports.cacheBytes(),
    cacheBytesMax: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
    indexMemoryBytesMax: options.indexMemoryBytes ?? INDEX_MEMORY_BYTES_DEFAULT,
    memtableCount: exports.getMemtableCount(),
    memtableBytes: exports.memtableBytes(),
    headBytes: exports.headsBytes(),
    isLoadingHeads: index.isLoadingHeads,
    filterBytes: exports.runsBytes(),
    pageBytes: exports.pagesBytes(),
    pageReads: exports.getPageReads(),
    runCount: index.runCount,
    jobCount: index.jobCount,
    diskBytes: index.diskBytes,
    makerBytes: index.makerBytes,
    failureReason: index.failureReason,
  };
}
