/**
 * How the memory that `--index-memory` gives is divided: memtables, heads of streams, then the runs' filters and pages: seven
 * eighths of the rest for filters at the most, since without its filter each look-up in a run reads a page, and for pages what
 * filters leave.
 */
import { MEMTABLE_BYTES_MAX, MEMTABLE_BYTES_MIN } from "../limits.ts";

/** Memtables that are counted on: one takes appends, one becomes a run, and one may wait. */
const MEMTABLES_USUAL = 3;
/** Share of all memory that one memtable may take. */
const MEMTABLE_SHARE = 1 / 8;
/** Share of all memory for heads: 16 bytes a stream. */
const HEAD_SHARE = 1 / 4;

/** Share for filters of what is left then. */
const FILTER_SHARE = 7 / 8;

/** More than a memtable's bytes hold. */
const EVENTS_UNBOUNDED = 2 ** 32 - 1;

export interface IndexMemory {
  /** One memtable. */
  readonly memtableBytes: number;
  /** Events of one memtable, where they are few for a test. */
  readonly memtableEvents: number;
  /** Heads of streams. */
  readonly headBytes: number;
  /** Pages of runs, less what their filters and fences take. */
  readonly pageBytes: number;
  /** Filters and fences of runs. */
  readonly filterBytes: number;
}

export function divideIndexMemory(bytes: number, memtableEvents = EVENTS_UNBOUNDED): IndexMemory {
  const share = Math.floor(bytes * MEMTABLE_SHARE);
  const memtableBytes = Math.min(MEMTABLE_BYTES_MAX, Math.max(MEMTABLE_BYTES_MIN, share));
  const headBytes = Math.floor(bytes * HEAD_SHARE);
  const rest = Math.max(0, bytes - MEMTABLES_USUAL * memtableBytes - headBytes);
  return {
    memtableBytes,
    memtableEvents,
    headBytes,
    pageBytes: rest,
    filterBytes: Math.floor(rest * FILTER_SHARE),
  };
}
