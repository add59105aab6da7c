/**
 * Every bound of the server, with its unit and what happens at it.
 *
 * A queue, a buffer, a window, a batch, a count: each has one line here. Their relations are asserted at
 * the end, so that a changed number cannot contradict another.
 */
import { assert } from "./assert.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** Largest integer that a client may send or see: JSON numbers are exact up to it. Above: INVALIDARG. */
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;

// ── identity ──────────────────────────────────────────────────────────────────────────────────────

/** Logical partitions of a store, fixed when it is made. Above: refused at the start, exit 2. */
export const PARTITIONS_MAX = 65_536;
/** Partitions of a store that is made without --partitions. */
export const PARTITIONS_DEFAULT = 32;
/** Bytes of UTF-8 in a stream id. Above: INVALIDARG. */
export const STREAM_ID_BYTES_MAX = 255;
/** Bytes of UTF-8 in an event name. Above: INVALIDARG. */
export const EVENT_NAME_BYTES_MAX = 255;

// ── requests ──────────────────────────────────────────────────────────────────────────────────────

/** One RESP request, all its arguments. Above: TOOLARGE and the connection closes. */
export const REQUEST_BYTES_MAX = 16 * MiB;
/** One argument of a request. Above: its bytes are skipped, TOOLARGE, and the connection goes on. */
export const ARGUMENT_BYTES_MAX = 8 * MiB;
/** Payload and metadata of one event together. Above: TOOLARGE. */
export const EVENT_DATA_BYTES_MAX = 8 * MiB;
/** Arguments of one request. Above: TOOLARGE and the connection closes. */
export const ARGUMENTS_MAX = 65_536;
/** Events of one transaction. Above: TOOLARGE. */
export const TRANSACTION_EVENTS_MAX = 8_192;
/** One inline command with its line end. Above: protocol error, the connection closes. */
export const INLINE_BYTES_MAX = 64 * KiB;
/** Arguments of one request before authentication. Above: protocol error, the connection closes. */
export const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
/** One argument before authentication. Above: protocol error, the connection closes. */
export const UNAUTHENTICATED_ARGUMENT_BYTES_MAX = 16 * KiB;
/** Arrays and objects inside one another in JSON. Above: TOOLARGE; stored data is given as a string. */
export const JSON_DEPTH_MAX = 1_024;
/** HTTP request body. Above: 413. */
export const HTTP_BODY_BYTES_MAX = 16 * MiB;
/** Of a body that is refused as too large, what is still taken and thrown away. Above: the connection is cut. */
export const HTTP_DISCARD_BYTES_MAX = 32 * MiB;
/** How long. Above: the connection is cut. */
export const HTTP_DISCARD_MS = 1_000;
/** A body or an answer of HTTP up to this is not counted as held. */
export const HTTP_SMALL_BYTES = 64 * KiB;
/** Of larger bodies, what has come of all connections together, and the same of larger answers. Above: others wait. */
export const HTTP_HELD_BYTES_MAX = 128 * MiB;
/** Who does not get on for this long, milliseconds, while others wait for room: a body is answered 408, an answer cut. */
export const HTTP_STALLED_MS = 2_000;
/** What a body must bring in this time to get on. */
export const HTTP_BODY_PROGRESS_BYTES = 512 * KiB;
/** A stop waits this long, milliseconds, for bodies to come and answers to be taken. Above: they are cut. */
export const HTTP_STOP_MS = 5_000;
/** Seconds for an HTTP request's header, for the whole request. Above: closed. */
export const HTTP_HEADER_TIMEOUT_SECONDS = 10;
export const HTTP_REQUEST_TIMEOUT_SECONDS = 60;

// ── reads ─────────────────────────────────────────────────────────────────────────────────────────

/** Bytes of a MATCH pattern. Above: TOOLARGE. */
export const PATTERN_BYTES_MAX = 1 * KiB;
/** Bytes of a list of partitions: more than all that there can be, one by one. Above: TOOLARGE. */
export const PARTITION_LIST_BYTES_MAX = 512 * KiB;
/** Names that one filter gives with NAME. Above: TOOLARGE. */
export const FILTER_NAMES_MAX = 256;
/** Streams that one page of HTTP's list has at most. Above: INVALIDARG. And where the request says no limit. */
export const STREAMS_LISTED_MAX = 10_000;
export const STREAMS_LISTED_DEFAULT = 100;
/** Work that a read does in one turn, milliseconds. Above: it goes on in a later one, others are served between. */
export const SLICE_MS = 1;
/** Events of a scan without a filter that are written in one go: each may lie in a block of its own. Above: it is done in slices. */
export const SCAN_AT_ONCE_MAX = 128;
/** The same by position, where one block has many, and the bytes of the log that they take. */
export const LOG_SCAN_AT_ONCE_MAX = 1_024;
export const LOG_SCAN_AT_ONCE_BYTES_MAX = 512 * KiB;
/** What a thread reads of the log for a walk that begins, and for one that goes on. Above: its next stretch. */
export const READ_AHEAD_BYTES_MIN = 128 * KiB;
export const READ_AHEAD_BYTES_MAX = 512 * KiB;
/** Events that one filtered scan looks at. Above: it answers what it has, with has_more and next. */
export const SCAN_EXAMINED_MAX = 1_000_000;

// ── subscriptions ─────────────────────────────────────────────────────────────────────────────────

/** Messages of one subscription that no EACK has covered, unless WINDOW says another number. At it: it waits. */
export const WINDOW_DEFAULT = 1_000;
/** Subscriptions of one connection, its channels and patterns of SUBSCRIBE included. Above: TOOLARGE. */
export const SUBSCRIPTIONS_MAX = 1_024;
/** Streams, patterns or names in MAP of one subscription, each. Above: TOOLARGE. */
export const SUBSCRIPTION_ARGUMENTS_MAX = 16_384;
/** Bytes of events that a subscriber is given at a time. Above: the next ones come when others had their turn. */
export const PUSH_BYTES = 128 * KiB;
/** Events that a subscriber without a window is given at a time. Above: as for `PUSH_BYTES`. */
export const PUSHED_EVENTS_MAX = 1_024;
/** Bytes of a feed of Server-Sent Events that wait to be pulled. Above: the log is not read for it until they were. */
export const FEED_UNSENT_BYTES = 64 * KiB;
/** Pushes that a socket has not taken. Above: the log is not read for its subscribers until it has. */
export const PUSH_UNSENT_BYTES = 64 * KiB;
/** Bytes of pushes that the system holds for a client beyond what the network takes. Above: the socket takes no more. */
export const PUSH_SOCKET_BYTES = 128 * KiB;
/** Places of events that a live subscriber may wait with. Above: they are dropped, and it reads the log again. */
export const PENDING_EVENTS_MAX = 256;
/** A subscriber that asked for progress hears of it after so many events that did not match. */
export const PROGRESS_EVENTS = 10_000;
/** And at the latest after this, milliseconds. */
export const PROGRESS_MS = 15_000;

// ── replies and connections ───────────────────────────────────────────────────────────────────────

/** Bytes of events in one reply. Above: the reply ends there with has_more; it holds one event at least. */
export const REPLY_EVENT_BYTES_MAX = 8 * MiB;
/** Requests of one connection that wait for an answer. Above: the server stops reading that connection. */
export const WAITING_REQUESTS_MAX = 1_024;
/** Bytes of those requests. Above: the server stops reading that connection. */
export const WAITING_BYTES_MAX = 16 * MiB;
/** A connection's replies that its socket has not taken. Above: the server stops reading that connection. */
export const UNSENT_BYTES_MAX = 32 * MiB;
/** Replies and requests held for all connections of both doors together. Above: the slowest of RESP are disconnected. */
export const HELD_BYTES_MAX = 512 * MiB;
/** Memory of unsent replies that is kept for the next ones, until it was not needed for some seconds. Above: it is let go. */
export const CHUNKS_KEPT_BYTES = 512 * MiB;
/** Connections, or the descriptor limit less `DESCRIPTORS_RESERVED`. Above: an error reply, closed. */
export const CONNECTIONS_MAX = 10_000;
/** Descriptors kept for the log, the indexes and HTTP. */
export const DESCRIPTORS_RESERVED = 64;

/** Characters of the server's own log that wait while standard error takes none. Above: they are left out, and counted. */
export const LOG_HELD_BYTES_MAX = 1 * MiB;

/** Characters of lines about requests that are written together. Above: they are written at once. */
export const LOG_GATHERED_BYTES_MAX = 16 * KiB;
/** And the time for which such a line waits for others, milliseconds: a write to a pipe wakes whoever reads it. */
export const LOG_GATHERED_MS = 20;

/** Characters of a request's path in a line of that log. Above: cut. */
export const LOGGED_PATH_LENGTH_MAX = 1_024;

// ── the log ───────────────────────────────────────────────────────────────────────────────────────

/** Segment sizes that `--segment-bytes` takes. Outside: refused at the start, exit 2. */
export const SEGMENT_BYTES_MIN = 64 * KiB;
export const SEGMENT_BYTES_MAX = 1 * GiB;
export const SEGMENT_BYTES_DEFAULT = 64 * MiB;
/**
 * Segment files kept open for reading: as many as descriptors allow beside all connections, within these. Above: the one
 * opened longest ago is closed.
 */
export const SEGMENT_FILES_OPEN_MIN = 16;
export const SEGMENT_FILES_OPEN_MAX = 1_024;
/** Encoded transactions that wait for their sync. Above: appends wait, so their connections stop being read. */
export const BATCH_BYTES_MAX = 32 * MiB;
/** A file beside the log (a prepared segment) is written in slices of this size, each synced. */
export const PREPARE_SLICE_BYTES = 1 * MiB;

// ── the index ───────────────────────────────────────────────────────────────────────────────────────

/** Memory that `--index-memory` takes; index-memory.ts divides it. Outside: refused at the start, exit 2. */
export const INDEX_MEMORY_BYTES_MIN = 4 * MiB;
export const INDEX_MEMORY_BYTES_MAX = 3 * GiB;
export const INDEX_MEMORY_BYTES_DEFAULT = 256 * MiB;
/** A memtable. Above: it becomes a run. A run is built in a few times as much memory of the worker. */
export const MEMTABLE_BYTES_MIN = 256 * KiB;
export const MEMTABLE_BYTES_MAX = 64 * MiB;
/** Memtables at a time: the one that takes appends, and full ones whose runs are not written. Above: appends wait. */
export const MEMTABLES_MAX = 4;
/** Core memory from which on it is held in huge pages, as far as the system does. Below: small tables gain little, and must not wait for them. */
export const HUGE_PAGES_FROM_BYTES = 256 * MiB;
/** Runs at a time, which merging keeps far fewer. Above: appends wait until some are merged. */
export const RUNS_MAX = 64;
/** Runs of about one size that are merged into one. */
export const MERGED_RUNS = 4;
/** Merges at a time, each of less than the ones before: a large one takes minutes. Above: small runs wait to be merged. */
export const MERGES_MAX = 4;
/** As many at a time while a start makes them of the log, where each merge is waited for (core-wasm/assembly/run-cursor.ts: RUNS_MAX). */
export const START_MERGED_RUNS = 16;
/** After each slice a merge leaves the disk to the log for as long as the slice took, at most this, milliseconds. */
export const RUN_MERGE_PAUSE_MS_MAX = 50;
/** The same for a merge that no other waits for: so many times as long. */
export const RUN_MERGE_ALONE_PAUSES = 3;
/** Core memory of the worker that makes runs. Above: it is let go when the job is done. */
export const RUN_CORE_BYTES_KEPT = 32 * MiB;
/** A start waits so long for the worker to begin. Above: runs cannot be made, and memtables grow. */
export const RUN_MAKER_BEGIN_MS = 60_000;
/** A stop waits for the run that is being made, a slice of it at the most. Above: the next start removes its file. */
export const RUN_MAKER_STOP_MS = 1_000;

// ── the core ──────────────────────────────────────────────────────────────────────────────────────

/** Linear memory of the core: 4 GiB less a page. Above: appends are READONLY. */
export const CORE_MEMORY_BYTES_MAX = 4 * GiB - 64 * KiB;
/** Blocks of the log kept in memory (`--cache`). Above: the one not used lately makes room. */
export const CACHE_BYTES_MIN = 1 * MiB;
export const CACHE_BYTES_MAX = 2 * GiB;
export const CACHE_BYTES_DEFAULT = 64 * MiB;

assert(LOG_GATHERED_BYTES_MAX < LOG_HELD_BYTES_MAX);
assert(ARGUMENT_BYTES_MAX <= REQUEST_BYTES_MAX);
assert(UNAUTHENTICATED_ARGUMENTS_MAX <= ARGUMENTS_MAX);
assert(UNAUTHENTICATED_ARGUMENT_BYTES_MAX <= ARGUMENT_BYTES_MAX);
assert(EVENT_DATA_BYTES_MAX <= ARGUMENT_BYTES_MAX);
assert(REQUEST_BYTES_MAX < BATCH_BYTES_MAX);
assert(EVENT_DATA_BYTES_MAX < HTTP_BODY_BYTES_MAX && HTTP_BODY_BYTES_MAX < BATCH_BYTES_MAX);
assert(2 * HTTP_HELD_BYTES_MAX <= HELD_BYTES_MAX / 2); // what is left is RESP's
assert(HTTP_BODY_PROGRESS_BYTES < HTTP_BODY_BYTES_MAX && HTTP_BODY_BYTES_MAX < HTTP_HELD_BYTES_MAX);
assert(HTTP_STOP_MS < HTTP_REQUEST_TIMEOUT_SECONDS * 1_000);
assert(STREAMS_LISTED_DEFAULT <= STREAMS_LISTED_MAX);
assert(REPLY_EVENT_BYTES_MAX < UNSENT_BYTES_MAX);
assert(UNSENT_BYTES_MAX < HELD_BYTES_MAX);
assert(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
