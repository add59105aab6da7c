/**
 * Every figure of a running server that `/metrics` tells, by its name: read from where it is counted, when it is
 * asked for.
 */
import type { ServerInfo } from "./commands/server-info.ts";
import type { ErrorCode } from "./errors.ts";
import type { HttpDoor } from "./http/app.ts";
import type { RequestObserver } from "./http/observe-requests.ts";
import { addProcessFigures, connectionCount } from "./metrics/process-figures.ts";
import { type Labelled, MetricsRegistry } from "./metrics/registry.ts";
import type { RespDoor } from "./resp/door.ts";
import type { StderrLog } from "./stderr-log.ts";
import type { EventStore } from "./store/event-store.ts";
import type { MemoryFigures } from "./store/memory-figures.ts";

interface Parts {
  readonly store: EventStore;
  readonly server: ServerInfo;
  readonly resp: RespDoor;
  readonly requests: RequestObserver;
  /** The HTTP door; null until it listens. */
  readonly http: () => HttpDoor | null;
  readonly stderrLog: StderrLog;
}

export function serverFigures(parts: Parts): MetricsRegistry {
  const metrics = new MetricsRegistry();
  addIdentity(metrics, parts);
  addAppends(metrics, parts.store);
  addStore(metrics, parts.store);
  addCacheAndIndex(metrics, parts.store);
  addSubscriptions(metrics, parts);
  addDoors(metrics, parts);
  parts.requests.addFigures(metrics);
  metrics.counter(
    "cairn_log_lines_dropped_total",
    "Lines that standard error did not take.",
    () => parts.stderrLog.droppedCount,
  );
  addProcessFigures(metrics);
  return metrics;
}

function addIdentity(metrics: MetricsRegistry, { server, store }: Parts): void {
  const { storeId, epoch, durability } = store;
  metrics.gauge("cairn_build_info", "1; the label tells what runs.", () => [
    { labels: { version: server.version }, value: 1 },
  ]);
  metrics.gauge("cairn_store_info", "1; the labels tell which store it is.", () => [
    { labels: { store_id: storeId, epoch, durability }, value: 1 },
  ]);
}

function addAppends(metrics: MetricsRegistry, store: EventStore): void {
  const { meter } = store;
  metrics.counter(
    "cairn_appends_total",
    "Transactions that became durable.",
    () => meter.transactionCount,
  );
  metrics.counter("cairn_events_appended_total", "Events in them.", () => meter.eventCount);
  metrics.counter(
    "cairn_appended_bytes_total",
    "Bytes of the log that they took.",
    () => meter.byteCount,
  );
  metrics.histogram(
    "cairn_append_seconds",
    "From when an append was taken until it was durable, for each transaction.",
    () => meter.appendSeconds,
  );
  metrics.histogram(
    "cairn_batch_events",
    "Events of a batch: what one write and one sync made durable.",
    () => meter.batchEvents,
  );
  metrics.histogram("cairn_batch_bytes", "Bytes of a batch.", () => meter.batchBytes);
  metrics.histogram(
    "cairn_sync_seconds",
    "Write and sync of a batch; with durability os, a sync alone.",
    () => store.syncSeconds,
  );
}

function addStore(metrics: MetricsRegistry, store: EventStore): void {
  metrics.gauge(
    "cairn_last_position",
    "Position of the last durable event, -1 in an empty store.",
    () => store.lastPosition() ?? -1,
  );
  metrics.gauge("cairn_streams", "Streams that have an event.", () => store.streamCount());
  metrics.gauge("cairn_partitions", "Logical partitions.", () => store.partitions);
  metrics.gauge("cairn_segments", "Files of the log.", () => store.segmentCount());
  metrics.gauge("cairn_log_bytes", "Bytes written to the log.", () => store.logBytes());
  metrics.gauge("cairn_disk_used_bytes", "Bytes of its files, prepared room included.", () =>
    store.diskBytes(),
  );
  metrics.gauge("cairn_disk_free_bytes", "Bytes that the disk has left for the store.", () =>
    store.freeBytes(),
  );
  metrics.gauge("cairn_read_only", "1 while appends are refused: READONLY says why.", () =>
    store.readOnlyReason() === null ? 0 : 1,
  );
  metrics.gauge("cairn_core_memory_bytes", "Memory of the core: tables, cache, areas.", () =>
    store.memoryBytes(),
  );
}

/** The cache of the log's blocks, and the index: what is in memory of them, and what had to be read. */
function addCacheAndIndex(metrics: MetricsRegistry, store: EventStore): void {
  const { exports } = store.core;
  const figures = (): MemoryFigures => store.memoryFigures();
  metrics.gauge("cairn_cache_bytes", "Blocks of the log in memory.", () => figures().cacheBytes);
  metrics.gauge(
    "cairn_cache_limit_bytes",
    "How much of it there may be: --cache.",
    () => figures().cacheBytesMax,
  );
  metrics.counter("cairn_cache_hits_total", "Records that were found in memory.", () =>
    exports.getCacheHits(),
  );
  metrics.counter("cairn_cache_misses_total", "Reads of the disk for those that were not.", () =>
    exports.getCacheMisses(),
  );
  metrics.gauge("cairn_index_memory_bytes", "The index in memory, by part.", () => {
    const { memtableBytes, headBytes, filterBytes, pageBytes } = figures();
    return [
      { labels: { part: "memtables" }, value: memtableBytes },
      { labels: { part: "filters" }, value: filterBytes },
      { labels: { part: "heads" }, value: headBytes },
      { labels: { part: "pages" }, value: pageBytes },
    ];
  });
  metrics.gauge(
    "cairn_index_memory_limit_bytes",
    "How much of it there may be: --index-memory.",
    () => figures().indexMemoryBytesMax,
  );
  metrics.gauge("cairn_index_runs", "Runs of the index on the disk.", () => figures().runCount);
  metrics.gauge("cairn_index_disk_bytes", "Bytes that they take.", () => figures().diskBytes);
  metrics.counter(
    "cairn_index_page_reads_total",
    "Reads of the disk for pages of runs.",
    () => figures().pageReads,
  );
  metrics.gauge(
    "cairn_index_maker_memory_bytes",
    "Memory of the worker that makes and merges runs.",
    () => figures().makerBytes,
  );
  metrics.gauge(
    "cairn_index_failing",
    "1 while no run can be made, so that the index grows in memory; the log says why.",
    () => (figures().failureReason === null ? 0 : 1),
  );
}

function addSubscriptions(metrics: MetricsRegistry, { store, server }: Parts): void {
  const { subscriptions } = store;
  metrics.gauge("cairn_subscriptions", "Who follows the store, by both doors.", () => {
    const behind = subscriptions.behindCount;
    return [
      { labels: { state: "live" }, value: subscriptions.count - behind },
      { labels: { state: "behind" }, value: behind },
    ];
  });
  metrics.gauge(
    "cairn_subscription_lag_events",
    "Events that the subscription furthest behind has yet to examine.",
    () => subscriptions.lagEvents,
  );
  metrics.gauge(
    "cairn_subscriptions_waiting_for_ack",
    "Subscriptions whose window is used up: an EACK lets them go on.",
    () => {
      let count = 0;
      for (const session of server.sessions.all()) {
        count += session.subscriptions?.ackWaitingCount ?? 0;
      }
      return count;
    },
  );
  metrics.gauge(
    "cairn_blocked_reads",
    "Reads with BLOCK that wait for an event.",
    () => subscriptions.waitingCount,
  );
}

function addDoors(metrics: MetricsRegistry, { server, resp, requests, http }: Parts): void {
  metrics.gauge("cairn_connections", "Connections that are open.", async () => {
    const door = http();
    const httpCount = door === null ? null : await connectionCount(door.port);
    return [
      { labels: { door: "resp" }, value: server.sessions.count },
      ...(httpCount === null ? [] : [{ labels: { door: "http" }, value: httpCount }]),
    ];
  });
  metrics.gauge(
    "cairn_http_requests_in_flight",
    "HTTP requests that are being answered, feeds and this one included.",
    () => http()?.pendingRequests() ?? null,
  );
  metrics.counter(
    "cairn_resp_connections_opened_total",
    "RESP connections since the start.",
    () => server.sessions.openedCount,
  );
  metrics.counter(
    "cairn_resp_connections_rejected_total",
    "RESP connections turned away at the limit.",
    () => server.connectionsRejected,
  );
  metrics.gauge(
    "cairn_resp_connections_max",
    "How many RESP connections there may be.",
    () => server.connectionsMax,
  );
  metrics.counter(
    "cairn_resp_commands_total",
    "RESP requests that were answered.",
    () => server.commandsProcessed,
  );
  metrics.counter(
    "cairn_resp_received_bytes_total",
    "Bytes from RESP connections.",
    () => server.inputBytes,
  );
  metrics.counter(
    "cairn_resp_sent_bytes_total",
    "Bytes to RESP connections.",
    () => server.outputBytes,
  );
  metrics.gauge(
    "cairn_resp_held_bytes",
    "Requests and replies that wait in memory for RESP connections.",
    () => resp.heldBytes,
  );
  metrics.gauge(
    "cairn_http_held_bytes",
    "Large bodies that come and large answers that HTTP clients have not taken.",
    () => http()?.heldBytes() ?? null,
  );
  metrics.counter("cairn_errors_total", "Errors that clients were told, by code.", () => [
    ...byCode("resp", server.errorCounts),
    ...byCode("http", requests.errors()),
  ]);
}

function byCode(door: string, counts: ReadonlyMap<ErrorCode, number>): Labelled<number>[] {
  return [...counts].map(([code, value]) => ({ labels: { door, code }, value }));
}
