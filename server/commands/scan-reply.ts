/**
 * The reply of a scan: a map of has_more and events.
 *
 * How many events there are stands before them, and is known before them nearly always: only a reply that
 * reaches its limit of bytes, or a damaged record, ends a scan early. Then the head is written again.
 */
import type { Reply } from "../resp/reply.ts";
import type { Context } from "./command.ts";

/** Writes the events of the scan that the store has open. Throws CORRUPT where the first one is damaged. */
export function writeScanReply(reply: Reply, context: Context, withPosition: boolean): void {
  const { store, area } = context;
  const count = store.scanCount();
  const hasMore = store.scanHasMore();
  const headStart = area.length;
  writeHead(reply, hasMore, count);
  const eventsStart = area.length;
  const scanned = store.writeScan(area, reply.protocol === 3, withPosition);
  if (scanned.eventCount === count && scanned.hasMore === hasMore) return;
  const end = area.length;
  area.tail = area.origin + headStart;
  writeHead(reply, scanned.hasMore, scanned.eventCount);
  // The number is smaller now, so the head is no longer than it was: the events move towards it.
  const { memory, origin } = area;
  memory.copyWithin(area.tail, origin + eventsStart, origin + end);
  area.tail += end - eventsStart;
}

function writeHead(reply: Reply, hasMore: boolean, count: number): void {
  reply.map(2);
  reply.simple("has_more");
  reply.boolean(hasMore);
  reply.simple("events");
  reply.array(count);
}
