/**
 * A store as whoever uses it sees it, through whichever door: the interface of the shared suite
 * (event-store.case.ts), and the doors that it runs through.
 *
 * Payload and metadata are bytes in all of them; a refusal is a `Refusal` with its code.
 */

import { Encoding } from "../../server/core/encoding.ts";
import { OutputArea } from "../../server/core/output-area.ts";
import { StoreError } from "../../server/errors.ts";
import { KiB } from "../../server/limits.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import { Filter } from "../../server/store/filter.ts";
import type { FilteredScan, ScanSource } from "../../server/store/filtered-scan.ts";
import { ErrorReply, type Plain } from "./model.ts";
import { asMaps, type PlainMap, plain, type RespClient } from "./resp-client.ts";
import { append, eventById, streamVersion } from "./store-driver.ts";

export interface AskedEvent {
  readonly stream: string;
  readonly name: string;
  readonly payload?: Uint8Array;
  readonly metadata?: Uint8Array;
  readonly eventId?: string;
  readonly expected?: "any" | "exists" | "empty" | number;
  readonly timestamp?: number;
}

/** The numbers that an append gave an event. */
interface Numbers {
  readonly eventId: string;
  readonly partitionKey: string;
  readonly partitionId: number;
  readonly sequence: number;
  readonly version: number;
  readonly timestamp: number;
  readonly position: number;
  readonly recordedAt: number;
}

export interface ReadEvent extends Numbers {
  readonly transactionId: string;
  readonly stream: string;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly metadata: Uint8Array;
}

interface AskedFilter {
  readonly match?: string;
  readonly names?: readonly string[];
  readonly since?: number;
  readonly until?: number;
  readonly asOf?: number;
}

interface Range {
  readonly from?: number;
  readonly to?: number;
  readonly limit?: number;
  readonly backwards?: boolean;
  readonly filter?: AskedFilter;
}

interface Page {
  readonly hasMore: boolean;
  readonly events: readonly ReadEvent[];
  /** Where a filter stands. */
  readonly next?: number | null;
}

type Source =
  | { readonly kind: "stream"; readonly stream: string }
  | { readonly kind: "partition"; readonly partition: number }
  | { readonly kind: "log" };

export interface Door {
  /** One transaction; `key` is the partition key of all its streams, null where each keeps its own. */
  append(events: readonly AskedEvent[], key?: string | null): Promise<readonly Numbers[]>;
  read(source: Source, range?: Range): Promise<Page>;
  event(eventId: string): Promise<ReadEvent | null>;
  version(stream: string): Promise<number | null>;
  lastPosition(): Promise<number | null>;
  streams(match: string): Promise<readonly string[]>;
}

/** What a client is told that something is not done. */
export class Refusal extends Error {
  readonly code: string;

  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

// ── the store itself ──────────────────────────────────────────────────────────────────────────────

export function storeDoor(store: EventStore): Door {
  const area = new OutputArea(store.core, 256 * KiB);
  return {
    async append(events, key) {
      const asked = events.map(({ expected, ...event }) => ({
        ...event,
        ...(expected === undefined ? {} : { expectedVersion: expected }),
      }));
      const { events: appended } = await refusing(append(store, asked, key ?? undefined));
      return appended.map(
        ({ partitionSequence, streamVersion, streamId: _streamId, ...event }) => ({
          ...event,
          sequence: partitionSequence,
          version: streamVersion,
        }),
      );
    },
    async read(source, range = {}) {
      const scanSource: ScanSource =
        source.kind === "stream"
          ? { kind: "stream", streamId: Buffer.from(source.stream), key: null }
          : source;
      const filter = filterOf(range.filter ?? { asOf: Number.MAX_SAFE_INTEGER });
      const scan = await refusing(
        (async () => {
          const made = store.openFilteredScan(scanSource, numbers(range), filter, Encoding.json);
          while (!made.advance(area)) await new Promise((resolve) => setImmediate(resolve));
          return made;
        })(),
      );
      const page = { hasMore: scan.hasMore, events: eventsOf(scan) };
      return range.filter === undefined ? page : { ...page, next: scan.next };
    },
    async event(eventId) {
      const event = eventById(store, eventId);
      if (event === null) return null;
      return {
        ...event,
        sequence: event.partitionSequence,
        version: event.streamVersion,
        stream: event.streamId,
        name: event.eventName,
      };
    },
    async version(stream) {
      const version = streamVersion(store, stream);
      return version < 0 ? null : version;
    },
    lastPosition: async () => store.lastPosition(),
    async streams(match) {
      const found: string[] = [];
      let cursor = 0;
      do {
        const page = store.openStreamWalk(cursor, Buffer.from(match), 100);
        page.advance(area); // once: the simulated disk has no thread to wait for
        const text = Buffer.concat(page.pieces).toString();
        found.push(...text.split("\r\n").filter((_, line) => line % 2 === 1));
        cursor = page.cursor;
      } while (cursor !== 0);
      return found;
    },
  };
}

function filterOf({ match, names = [], since, until, asOf }: AskedFilter): Filter {
  const filter = new Filter();
  if (match !== undefined) filter.pattern = Buffer.from(match);
  for (const name of names) filter.names.push(Buffer.from(name));
  filter.since = since ?? null;
  filter.until = until ?? null;
  filter.asOf = asOf ?? null;
  return filter;
}

function numbers({ from, to, limit, backwards }: Range) {
  return {
    from: from ?? 0,
    to: to ?? Number.POSITIVE_INFINITY,
    count: limit ?? Number.POSITIVE_INFINITY,
    isReverse: backwards ?? false,
  };
}

function eventsOf(scan: FilteredScan): ReadEvent[] {
  const text = Buffer.concat(scan.pieces).toString();
  return (JSON.parse(`[${text.slice(0, -1)}]`) as PlainMap[]).map(eventOfJson);
}

async function refusing<Value>(work: Promise<Value>): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StoreError) throw new Refusal(error.code, error.message);
    throw error;
  }
}

// ── RESP ──────────────────────────────────────────────────────────────────────────────────────────

export function respDoor(client: RespClient): Door {
  const ask = async (...words: (string | number | Uint8Array)[]): Promise<Plain> => {
    const reply = plain(await client.command(...words));
    if (reply instanceof ErrorReply) throw new Refusal(reply.code, reply.text);
    return reply;
  };
  return {
    async append(events, key) {
      const [only] = events;
      if (events.length === 1 && only !== undefined && key !== null) {
        const keyWords = key === undefined ? [] : ["PARTITION_KEY", key];
        const words = ["EAPPEND", ...appendWords(only), ...keyWords, "WITHPOSITION"];
        return [numbersOf((await ask(...words)) as PlainMap)];
      }
      const words = events.flatMap(appendWords);
      const reply = (await ask("EMAPPEND", key ?? "*", "WITHPOSITION", ...words)) as PlainMap;
      return (reply.events as PlainMap[]).map((event, index) =>
        numbersOf({
          ...event,
          ...(reply.partition_key === null
            ? {}
            : {
                partition_key: reply.partition_key as Plain,
                partition_id: reply.partition_id as Plain,
                partition_sequence: Number(reply.first_partition_sequence) + index,
              }),
        }),
      );
    },
    async read(source, range = {}) {
      const { from = "-", to = "+", limit, backwards, filter } = range;
      const head =
        source.kind === "stream"
          ? ["ESCAN", Buffer.from(source.stream)]
          : source.kind === "partition"
            ? ["EPSCAN", source.partition]
            : ["ELOG"];
      const reply = (await ask(
        ...head,
        from,
        to,
        ...(limit === undefined ? [] : ["COUNT", limit]),
        ...(backwards === true ? ["REV"] : []),
        ...(source.kind === "log" ? [] : ["WITHPOSITION"]),
        ...filterWords(filter ?? {}),
      )) as PlainMap;
      const page = {
        hasMore: reply.has_more as boolean,
        events: (reply.events as PlainMap[]).map(eventOfResp),
      };
      return filter === undefined ? page : { ...page, next: reply.next as number | null };
    },
    async event(eventId) {
      const reply = await ask("EGET", eventId, "WITHPOSITION");
      return reply === null ? null : eventOfResp(reply as PlainMap);
    },
    version: async (stream) => (await ask("ESVER", Buffer.from(stream))) as number | null,
    lastPosition: async () => (await ask("EPOS")) as number | null,
    async streams(match) {
      const found: string[] = [];
      let cursor = "0";
      do {
        const [next, ids] = (await ask("SCAN", cursor, "MATCH", match)) as [string, string[]];
        found.push(...ids.map((id) => Buffer.from(id, "latin1").toString()));
        cursor = next;
      } while (cursor !== "0");
      return found;
    },
  };
}

function appendWords(event: AskedEvent): (string | number | Uint8Array)[] {
  const options: [string, string | number | Uint8Array | undefined][] = [
    ["EVENT_ID", event.eventId],
    ["EXPECTED_VERSION", event.expected],
    ["TIMESTAMP", event.timestamp],
    ["PAYLOAD", event.payload],
    ["METADATA", event.metadata],
  ];
  const given = options.flatMap(([word, value]) => (value === undefined ? [] : [word, value]));
  return [Buffer.from(event.stream), Buffer.from(event.name), ...given];
}

function filterWords({ match, names = [], since, until, asOf }: AskedFilter): (string | number)[] {
  return [
    ...(match === undefined ? [] : ["MATCH", match]),
    ...names.flatMap((name) => ["NAME", name]),
    ...(since === undefined ? [] : ["SINCE", since]),
    ...(until === undefined ? [] : ["UNTIL", until]),
    ...(asOf === undefined ? [] : ["ASOF", asOf]),
  ];
}

function numbersOf(map: PlainMap): Numbers {
  return {
    eventId: map.event_id as string,
    partitionKey: map.partition_key as string,
    partitionId: map.partition_id as number,
    sequence: map.partition_sequence as number,
    version: map.stream_version as number,
    timestamp: map.timestamp as number,
    position: map.position as number,
    recordedAt: map.recorded_at as number,
  };
}

/** Texts are bytes in Latin-1 here. */
function eventOfResp(map: PlainMap): ReadEvent {
  const bytes = (name: string): Buffer => Buffer.from(map[name] as string, "latin1");
  return {
    ...numbersOf(map),
    transactionId: map.transaction_id as string,
    stream: bytes("stream_id").toString(),
    name: bytes("event_name").toString(),
    payload: bytes("payload"),
    metadata: bytes("metadata"),
  };
}

// ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────

export function httpDoor(port: number): Door {
  const ask = async (
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; body: PlainMap }> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    const body = (await response.json()) as PlainMap;
    if (!response.ok && response.status !== 404) {
      throw new Refusal(String(body.code), String(body.detail));
    }
    return { status: response.status, body };
  };
  return {
    async append(events, key) {
      const [only] = events;
      const isOne = events.length === 1 && only !== undefined && key !== null;
      const keyMember = key === undefined || key === null ? {} : { partition_key: key };
      const [path, message] = isOne
        ? [eventsPath(only.stream), { ...appendMembers(only), ...keyMember }]
        : [
            "/v1/transactions",
            {
              ...keyMember,
              events: events.map((event) => ({
                stream_id: event.stream,
                ...appendMembers(event),
              })),
            },
          ];
      const headers = { "Content-Type": "application/json" };
      const { body } = await ask(path, { method: "POST", headers, body: JSON.stringify(message) });
      return (isOne ? [body] : asMaps(body.events)).map(numbersOf);
    },
    async read(source, range = {}) {
      const path =
        source.kind === "stream"
          ? eventsPath(source.stream)
          : source.kind === "partition"
            ? `/v1/partitions/${source.partition}/events`
            : "/v1/events";
      const { body } = await ask(`${path}?${query(range)}`);
      const events = asMaps(body.events).map(eventOfJson);
      const page = { hasMore: body.has_more as boolean, events };
      return range.filter === undefined ? page : { ...page, next: body.next as number | null };
    },
    async event(eventId) {
      const { status, body } = await ask(`/v1/events/${eventId}`);
      return status === 404 ? null : eventOfJson(body);
    },
    async version(stream) {
      const { status, body } = await ask(`/v1/streams/${encodeURIComponent(stream)}`);
      return status === 404 ? null : (body.version as number);
    },
    lastPosition: async () => (await ask("/v1")).body.position as number | null,
    async streams(match) {
      const found: string[] = [];
      let cursor: number | null = 0;
      while (cursor !== null) {
        const { body } = await ask(
          `/v1/streams?${new URLSearchParams({ match, cursor: String(cursor) })}`,
        );
        found.push(...asMaps(body.streams).map((stream) => stream.stream_id as string));
        cursor = body.cursor as number | null;
      }
      return found;
    },
  };
}

function eventsPath(stream: string): string {
  return `/v1/streams/${encodeURIComponent(stream)}/events`;
}

function appendMembers(event: AskedEvent): Record<string, unknown> {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  return {
    event_name: event.name,
    event_id: event.eventId,
    expected_version: event.expected,
    timestamp: event.timestamp,
    ...(event.payload === undefined ? {} : { payload_base64: base64(event.payload) }),
    ...(event.metadata === undefined ? {} : { metadata_base64: base64(event.metadata) }),
  };
}

function query({ from, to, limit, backwards, filter = {} }: Range): URLSearchParams {
  const parameters = new URLSearchParams();
  const given: Record<string, unknown> = {
    from,
    to,
    limit,
    direction: backwards === true ? "backwards" : undefined,
    match: filter.match,
    since: filter.since,
    until: filter.until,
    as_of: filter.asOf,
  };
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) parameters.append(name, String(value));
  }
  for (const name of filter.names ?? []) parameters.append("name", name);
  return parameters;
}

function eventOfJson(map: PlainMap): ReadEvent {
  const bytes = (name: string): Buffer =>
    map[`${name}_base64`] === undefined
      ? Buffer.from(map[name] as string)
      : Buffer.from(map[`${name}_base64`] as string, "base64");
  return {
    ...numbersOf(map),
    transactionId: map.transaction_id as string,
    stream: map.stream_id as string,
    name: map.event_name as string,
    payload: bytes("payload"),
    metadata: bytes("metadata"),
  };
}
