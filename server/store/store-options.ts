/** What a store is opened with. */
import type { Disk } from "../disk.ts";
import type { RunMaker } from "../index/run-maker.ts";
import type { SyncPlace } from "../log/local/local-log.ts";
import type { Tell } from "../stderr-log.ts";

export type Durability = "fsync" | "os";

export interface StoreOptions {
  readonly disk: Disk;
  readonly folder: string;
  /** Null: what the store was made with, 32 for a new one. */
  readonly partitions: number | null;
  readonly segmentBytes: number;
  readonly durability: Durability;
  readonly strict: boolean;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly random: (target: Uint8Array) => void;
  /** Takes one line for whoever runs the server. */
  readonly log: Tell;
  /** Where syncs run; "measured" unless a test fixes it. */
  readonly syncPlace?: SyncPlace;
  /** False: the owner calls `flush` and `markIdle` itself, as a simulation does. */
  readonly schedules?: boolean;
  /** Bounds of core memory and of its cache, for tests of what happens at them. */
  readonly memoryBytesMax?: number;
  readonly cacheBytes?: number;
  readonly indexMemoryBytes?: number;
  /** Events of a memtable, for tests in which few make a run. */
  readonly memtableEvents?: number;
  /** Who makes index runs in a folder, for tests of what is done meanwhile. */
  readonly makeRuns?: (folder: string) => RunMaker;
}
