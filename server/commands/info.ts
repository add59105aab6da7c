/**
 * INFO [section …]
 *
 * The server's figures as text, in Redis' sections and names where it has them, so that Redis' tools read
 * them; what is only here stands in the section `Cairn`. Unknown sections are left out, as in Redis.
 *
 *     INFO cairn    → # Cairn … store_id:… position:1000 …
 */
import { KiB, MEMTABLES_MAX } from "../limits.ts";
import type { Command, Context } from "./command.ts";

/** The Redis whose answers these commands give: clients choose by it what they may send. */
const REDIS_VERSION = "7.2.0";

type Figure = readonly [name: string, value: string | number];

interface Section {
  readonly title: string;
  figures(context: Context): Figure[];
}

export const info: Command<ReadonlySet<string>, string> = {
  name: "INFO",
  kind: "read",
  summary: "Tell the server's figures, all or of the sections named.",
  arity: -1,
  flags: ["loading", "stale"],

  parse(args) {
    const names = new Set<string>();
    for (let i = 1; i < args.count; i++) names.add(args.text(i).toLowerCase());
    return names;
  },

  run(names, context) {
    const all = names.size === 0 || ALL.some((name) => names.has(name));
    return SECTIONS.filter(({ title }) => all || names.has(title.toLowerCase()))
      .map((section) => sectionText(section, context))
      .join("\r\n");
  },

  reply(text, reply) {
    reply.verbatim(text);
  },
};

/** The names for all sections; Redis leaves some out of `default`. */
const ALL: readonly string[] = ["default", "all", "everything"];

function sectionText({ title, figures }: Section, context: Context): string {
  let text = `# ${title}\r\n`;
  for (const [name, value] of figures(context)) text += `${name}:${value}\r\n`;
  return text;
}

const SECTIONS: readonly Section[] = [
  { title: "Server", figures: serverFigures },
  { title: "Clients", figures: clientsFigures },
  { title: "Memory", figures: memoryFigures },
  { title: "Persistence", figures: persistenceFigures },
  { title: "Stats", figures: statsFigures },
  { title: "Replication", figures: replicationFigures },
  { title: "CPU", figures: cpuFigures },
  { title: "Cluster", figures: () => [["cluster_enabled", 0]] },
  { title: "Keyspace", figures: keyspaceFigures },
  { title: "Cairn", figures: cairnFigures },
];

function serverFigures({ server }: Context): Figure[] {
  const uptimeSeconds = Math.floor(process.uptime());
  return [
    ["redis_version", REDIS_VERSION],
    ["cairn_version", server.version],
    ["redis_mode", "standalone"],
    ["os", process.platform],
    ["arch_bits", 64],
    ["process_id", process.pid],
    ["run_id", server.runId],
    ["tcp_port", server.respPort],
    ["server_time_usec", Date.now() * 1000],
    ["uptime_in_seconds", uptimeSeconds],
    ["uptime_in_days", Math.floor(uptimeSeconds / 86_400)],
  ];
}

function clientsFigures({ server, store }: Context): Figure[] {
  return [
    ["connected_clients", server.sessions.count],
    ["cluster_connections", 0],
    ["maxclients", server.connectionsMax],
    ["blocked_clients", store.subscriptions.waitingCount],
    ["tracking_clients", 0],
  ];
}

function memoryFigures(_context: Context): Figure[] {
  const residentBytes = process.memoryUsage.rss();
  const peakBytes = Math.max(residentBytes, process.resourceUsage().maxRSS * KiB);
  return [
    ["used_memory", residentBytes],
    ["used_memory_human", humanBytes(residentBytes)],
    ["used_memory_rss", residentBytes],
    ["used_memory_rss_human", humanBytes(residentBytes)],
    ["used_memory_peak", peakBytes],
    ["used_memory_peak_human", humanBytes(peakBytes)],
    ["maxmemory", 0],
    ["maxmemory_human", humanBytes(0)],
    ["maxmemory_policy", "noeviction"],
  ];
}

function persistenceFigures({ store }: Context): Figure[] {
  const writable = store.readOnlyReason() === null;
  return [
    ["loading", 0],
    ["async_loading", 0],
    ["rdb_changes_since_last_save", 0],
    ["rdb_bgsave_in_progress", 0],
    ["aof_enabled", 1],
    ["aof_rewrite_in_progress", 0],
    ["aof_last_write_status", writable ? "ok" : "err"],
    ["aof_current_size", store.logBytes()],
  ];
}

function statsFigures({ server }: Context): Figure[] {
  return [
    ["total_connections_received", server.sessions.openedCount],
    ["total_commands_processed", server.commandsProcessed],
    ["total_net_input_bytes", server.inputBytes],
    ["total_net_output_bytes", server.outputBytes],
    ["rejected_connections", server.connectionsRejected],
    ["expired_keys", 0],
    ["evicted_keys", 0],
    ["total_error_replies", server.errorReplies],
  ];
}

function replicationFigures({ server }: Context): Figure[] {
  return [
    ["role", "master"],
    ["connected_slaves", 0],
    ["master_replid", server.runId],
  ];
}

function cpuFigures(_context: Context): Figure[] {
  const { user, system } = process.cpuUsage();
  return [
    ["used_cpu_sys", (system / 1e6).toFixed(6)],
    ["used_cpu_user", (user / 1e6).toFixed(6)],
  ];
}

function keyspaceFigures({ store }: Context): Figure[] {
  const streamCount = store.streamCount();
  return streamCount === 0 ? [] : [["db0", `keys=${streamCount},expires=0,avg_ttl=0`]];
}

function cairnFigures({ store }: Context): Figure[] {
  const readOnlyReason = store.readOnlyReason();
  const figures = store.memoryFigures();
  return [
    ["store_id", store.storeId],
    ["epoch", store.epoch],
    ["partitions", store.partitions],
    ["position", store.lastPosition() ?? ""],
    ["streams", store.streamCount()],
    ["durability", store.durability],
    ["strict", store.strict ? "yes" : "no"],
    ["read_only", readOnlyReason === null ? "no" : "yes"],
    ["read_only_reason", readOnlyReason ?? ""],
    ["segments", store.segmentCount()],
    ["log_bytes", store.logBytes()],
    ["core_memory_bytes", store.memoryBytes()],
    ["subscriptions", store.subscriptions.count],
    ["subscriptions_behind", store.subscriptions.behindCount],
    ["cache_bytes", figures.cacheBytes],
    ["cache_limit_bytes", figures.cacheBytesMax],
    [
      "index_memory_bytes",
      figures.memtableBytes + figures.headBytes + figures.filterBytes + figures.pageBytes,
    ],
    ["index_memory_limit_bytes", figures.indexMemoryBytesMax],
    ["index_memtables", figures.memtableCount],
    ["index_memtables_limit", MEMTABLES_MAX],
    ["index_memtable_bytes", figures.memtableBytes],
    ["index_filter_bytes", figures.filterBytes],
    ["index_head_bytes", figures.headBytes],
    ["index_heads_loading", figures.isLoadingHeads ? 1 : 0],
    ["index_page_bytes", figures.pageBytes],
    ["index_page_reads", figures.pageReads],
    ["index_runs", figures.runCount],
    ["index_runs_in_work", figures.jobCount],
    ["index_disk_bytes", figures.diskBytes],
    ["index_maker_memory_bytes", figures.makerBytes],
    ["index_failure", figures.failureReason ?? ""],
  ];
}

/** As Redis writes sizes: `1.25M`. */
function humanBytes(bytes: number): string {
  if (bytes < KiB) return `${bytes}B`;
  let size = bytes;
  let unit = -1;
  while (size >= KiB && unit < UNITS.length - 1) {
    size /= KiB;
    unit++;
  }
  return `${size.toFixed(2)}${UNITS[unit]}`;
}

const UNITS = "KMGT";
