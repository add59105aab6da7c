/**
 * Reads a closed store by position, in this process and through the store's own API: no socket, no client.
 *
 *     bun bench/growth/sequential.ts FOLDER EVENTS
 *
 * Every event is encoded as ELOG's reply has it, its frame's checksum verified, and then forgotten. A store of more than
 * so many events is read from its middle on. The time to open the store does not count.
 */

import { Encoding } from "../../server/core/encoding.ts";
import { OutputArea } from "../../server/core/output-area.ts";
import { systemDisk } from "../../server/disk.ts";
import { KiB, SEGMENT_BYTES_DEFAULT } from "../../server/limits.ts";
import { EventStore } from "../../server/store/event-store.ts";

/** Events that are read at the most. */
const READ_MAX = 20_000_000;
/** Events of one scan; its bytes fit the area. */
const SCAN_EVENTS = 256;
const AREA_BYTES = 256 * KiB;

const [folder = "", events = ""] = process.argv.slice(2);
const store = EventStore.open({
  disk: systemDisk,
  folder,
  partitions: null,
  segmentBytes: SEGMENT_BYTES_DEFAULT,
  durability: "fsync",
  strict: false,
  clock: Date.now,
  random: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>),
  log: (line) => console.error(line),
});
const area = new OutputArea(store.core, AREA_BYTES);
const end = (store.lastPosition() ?? -1) + 1;
if (end !== Number(events)) throw new Error(`the store holds ${end} events, not ${events}`);
const count = Math.min(end, READ_MAX);
const start = Math.floor((end - count) / 2);

const startNs = Bun.nanoseconds();
for (let from = start; from < start + count; ) {
  const to = Math.min(from + SCAN_EVENTS, start + count) - 1;
  store.openLogScan({ from, to, count: Number.POSITIVE_INFINITY, isReverse: false });
  const { eventCount } = store.writeScan(area, Encoding.resp3WithPosition);
  if (eventCount === 0) throw new Error(`nothing was read at position ${from}`);
  from += eventCount;
  area.clear();
}
const seconds = (Bun.nanoseconds() - startNs) / 1e9;
await store.stop();
console.log(count / seconds);
process.exit(0);
