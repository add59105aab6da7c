/**
 * What the system says of this process, under the names that every Prometheus client library uses.
 *
 * What only Linux tells is left out elsewhere.
 */
import { descriptorLimit, openDescriptorCount, readSystemText } from "../disk.ts";
import type { MetricsRegistry } from "./registry.ts";

export function addProcessFigures(metrics: MetricsRegistry): void {
  const startedAtSeconds = (Date.now() - process.uptime() * 1_000) / 1_000;
  metrics.counter("process_cpu_seconds_total", "User and system time of the process.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", () =>
    process.memoryUsage.rss(),
  );
  metrics.gauge("process_open_fds", "Files and sockets that are open.", openDescriptorCount);
  metrics.gauge("process_max_fds", "How many may be open.", descriptorLimit);
  metrics.gauge(
    "process_start_time_seconds",
    "When the process started, seconds since 1970.",
    () => startedAtSeconds,
  );
  metrics.gauge("cairn_uptime_seconds", "Time since the process started.", () => process.uptime());
  metrics.gauge(
    "cairn_event_loop_lag_seconds",
    "How long the event loop took to come round when it was asked just now.",
    eventLoopLagSeconds,
  );
}

async function eventLoopLagSeconds(): Promise<number> {
  const askedAt = performance.now();
  await new Promise(setImmediate);
  return (performance.now() - askedAt) / 1_000;
}

/**
 * Connections to a local port that are open now, as the system's tables have them: for a listener that does not
 * count its own. Null where there are no such tables.
 */
export async function connectionCount(port: number): Promise<number | null> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readSystemText(`/proc/self/net/${name}`)),
  );
  if (tables.every((table) => table === null)) return null;
  const portText = port.toString(16).toUpperCase().padStart(4, "0");
  // local address:port, remote address:port, state: 01 is ESTABLISHED
  const open = new RegExp(` [0-9A-F]+:${portText} [0-9A-F]+:[0-9A-F]{4} 01 `, "g");
  return tables.reduce((count, table) => count + (table?.match(open)?.length ?? 0), 0);
}
