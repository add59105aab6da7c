/**
 * Runs a read of events, in the encoding that the request wants: at once, or in slices where a filter may have to look
 * at very many. The bodies are bytes that the core wrote.
 */
import type { Encoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import type { Filter } from "../store/filter.ts";
import type { FilteredScan, ScanRange, ScanSource } from "../store/filtered-scan.ts";
import { stage } from "./checks.ts";
import type { StoreParts } from "./operation.ts";

export interface Read {
  readonly source: ScanSource;
  readonly range: ScanRange;
  readonly filter: Filter | null;
  readonly encoding: Encoding;
}

export interface FoundEvents {
  readonly count: number;
  /** In pieces; in JSON each event is followed by a comma. */
  readonly rows: readonly Uint8Array[];
  readonly hasMore: boolean;
  /** The first number not examined; null where the range's end was reached for good. */
  readonly next: number | null;
}

/** Throws CORRUPT, AHEAD; READONLY where memory is at its limit. */
export async function readEvents(
  parts: StoreParts,
  read: Read,
  isGone: () => boolean,
): Promise<FoundEvents> {
  if (read.filter === null) return readRange(parts, read);
  const { source, range, filter, encoding } = read;
  const scan = parts.store.openFilteredScan(source, range, filter, encoding);
  await runInSlices(parts, scan, isGone);
  return { count: scan.eventCount, rows: scan.pieces, hasMore: scan.hasMore, next: scan.next };
}

function readRange({ store, area }: StoreParts, { source, range, encoding }: Read): FoundEvents {
  if (source.kind === "stream") {
    const key = source.key ?? NO_BYTES;
    const { address } = stage(store, Buffer.concat([key, source.streamId]));
    const keyAddress = source.key === null ? 0 : address;
    store.openStreamScan(address + key.length, source.streamId.length, keyAddress, range);
  } else if (source.kind === "partition") {
    store.openPartitionScan(source.partition, range);
  } else {
    store.openLogScan(range);
  }
  try {
    const { eventCount, hasMore, next } = store.writeScan(area, encoding);
    const rows = [area.memory.slice(area.origin, area.tail)];
    return { count: eventCount, rows, hasMore, next };
  } finally {
    area.clear();
  }
}

const NO_BYTES = new Uint8Array(0);

/** Does the scan's slices in turn with others'; ends early where nobody waits for it any more. */
function runInSlices(
  { store, area }: StoreParts,
  scan: FilteredScan,
  isGone: () => boolean,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const slice = (): void => {
    try {
      if (isGone()) reject(new StoreError("INVALIDARG", "the client is gone"));
      else if (scan.advance(area)) resolve();
      else store.slices.add(slice);
    } catch (error) {
      reject(error);
    }
  };
  slice();
  return promise;
}
