/**
 * How the scans (ESCAN, EPSCAN, ELOG) run and reply: a map of has_more and events, and of `next` where a filter
 * stands or the scan is by position.
 *
 * How many events an unfiltered scan writes stands before them, and is known before them nearly always: only a
 * reply that reaches its limit of bytes, or a damaged record, ends it early. Then the head is written again. A
 * filtered scan, and one of many events, keeps what it finds until it is through: others are served meanwhile.
 */

import { type Encoding, respEncoding } from "../core/encoding.ts";
import type { OutputArea } from "../core/output-area.ts";
import { LOG_SCAN_AT_ONCE_BYTES_MAX, LOG_SCAN_AT_ONCE_MAX, SCAN_AT_ONCE_MAX } from "../limits.ts";
import type { Reply } from "../resp/reply.ts";
import type { EventStore } from "../store/event-store.ts";
import { Filter } from "../store/filter.ts";
import type { FilteredScan, ScanSource } from "../store/filtered-scan.ts";
import { BlockingScan } from "./blocking-scan.ts";
import type { Command, Context } from "./command.ts";
import type { RangeRequest } from "./read-options.ts";

/** An unfiltered scan that the store has open, as it is to be written; one that is done in slices; one that waits. */
export type RunningScan = OpenScan | SlicedScan | BlockingScan;

interface OpenScan {
  readonly withPosition: boolean;
  readonly withNext: boolean;
}

interface SlicedScan {
  readonly scan: FilteredScan;
  readonly withNext: boolean;
}

/** Whether the scan of a stream or a partition that the store has open is so short that it is written in one go. */
export function isShort(store: EventStore): boolean {
  return store.scanCount() <= SCAN_AT_ONCE_MAX;
}

/** The same for one of positions, whose events lie one behind the other. */
export function isShortLog(store: EventStore): boolean {
  return (
    store.scanCount() <= LOG_SCAN_AT_ONCE_MAX && store.scanLogBytes() <= LOG_SCAN_AT_ONCE_BYTES_MAX
  );
}

/** A scan with a filter or of many events, or one that waits. Throws AHEAD. */
export function scanOrWait(
  store: EventStore,
  source: ScanSource,
  request: RangeRequest & { readonly withNext: boolean },
  encoding: Encoding,
): RunningScan {
  if (request.blockMs !== null) return new BlockingScan(store, source, request, encoding);
  const scan = store.openFilteredScan(source, request, request.filter ?? new Filter(), encoding);
  return { scan, withNext: request.withNext || request.filter !== null };
}

/** The parts of a scan's command that are the same in all. */
export const scanParts: Pick<Command<never, RunningScan>, "kind" | "flags" | "work" | "reply"> = {
  kind: "read",
  flags: ["readonly"],

  work(running) {
    if (running instanceof BlockingScan) return running;
    return "scan" in running ? running.scan : null;
  },

  reply(running, reply, context) {
    if ("scan" in running) writeFound(running, reply, context.area);
    else writeOpen(running, reply, context);
  },
};

/** Throws CORRUPT where the first event is damaged. */
function writeOpen({ withPosition, withNext }: OpenScan, reply: Reply, context: Context): void {
  const { store, area } = context;
  const count = store.scanCount();
  const hasMore = store.scanHasMore();
  const headStart = area.length;
  writeHead(reply, hasMore, count, withNext);
  const eventsStart = area.length;
  const scanned = store.writeScan(area, respEncoding(reply.protocol, withPosition));
  if (scanned.eventCount !== count || scanned.hasMore !== hasMore) {
    const end = area.length;
    area.tail = area.origin + headStart;
    writeHead(reply, scanned.hasMore, scanned.eventCount, withNext);
    // The number is smaller now, so the head is no longer than it was: the events move towards it.
    const { memory, origin } = area;
    memory.copyWithin(area.tail, origin + eventsStart, origin + end);
    area.tail += end - eventsStart;
  }
  if (withNext) writeNext(reply, scanned.next);
}

function writeFound({ scan, withNext }: SlicedScan, reply: Reply, area: OutputArea): void {
  writeHead(reply, scan.hasMore, scan.eventCount, withNext);
  for (const bytes of scan.pieces) {
    area.reserve(bytes.length);
    area.memory.set(bytes, area.tail);
    area.tail += bytes.length;
  }
  if (withNext) writeNext(reply, scan.next);
}

function writeHead(reply: Reply, hasMore: boolean, count: number, withNext: boolean): void {
  reply.map(withNext ? 3 : 2);
  reply.simple("has_more");
  reply.boolean(hasMore);
  reply.simple("events");
  reply.array(count);
}

function writeNext(reply: Reply, next: number | null): void {
  reply.simple("next");
  if (next === null) reply.null();
  else reply.integer(next);
}
