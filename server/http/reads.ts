/**
 * Runs a read of events, in the encoding that the request wants: in slices, since a page may be long to write, and a
 * filter may have to look at very many events. The bodies are bytes that the core wrote.
 */
import type { Encoding } from "../core/encoding.ts";
import { StoreError } from "../errors.ts";
import { Filter } from "../store/filter.ts";
import type { ScanRange, ScanSource } from "../store/filtered-scan.ts";
import type { SlicedWork } from "../store/slice-queue.ts";
import type { StoreParts } from "./operation.ts";

export interface Read {
  readonly source: ScanSource;
  readonly range: ScanRange;
  readonly filter: Filter | null;
  readonly encoding: Encoding;
  /** Above it the read is given up. */
  readonly bytesMax: number;
}

export interface FoundEvents {
  readonly count: number;
  /** In pieces; in JSON each event is followed by a comma. */
  readonly rows: readonly Uint8Array[];
  readonly hasMore: boolean;
  /** The first number not examined; null where the range's end was reached for good. */
  readonly next: number | null;
}

/** Null where it was given up. Throws CORRUPT, AHEAD; READONLY where memory is at its limit. */
export async function readEvents(
  parts: StoreParts,
  { source, range, filter, encoding, bytesMax }: Read,
  isGone: () => boolean,
): Promise<FoundEvents | null> {
  const scan = parts.store.openFilteredScan(source, range, filter ?? ALL, encoding, bytesMax);
  await runInSlices(parts, scan, isGone);
  if (scan.isGivenUp) return null;
  return { count: scan.eventCount, rows: scan.pieces, hasMore: scan.hasMore, next: scan.next };
}

/** Without a filter a page may be long to write as well. */
const ALL = new Filter();

/** Does all of the work, in turn with others'; ends early where nobody waits for it any more. */
export async function runInSlices(
  { store, area }: StoreParts,
  work: SlicedWork,
  isGone: () => boolean,
): Promise<void> {
  if (work.advance(area)) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const slice = (): void => {
    try {
      if (isGone()) reject(new StoreError("INVALIDARG", "the client is gone"));
      else if (work.advance(area)) resolve();
      else later();
    } catch (error) {
      reject(error);
    }
  };
  const later = (): void => {
    if ((work.wait?.(slice) ?? null) === null) store.slices.add(slice);
  };
  later();
  return promise;
}
