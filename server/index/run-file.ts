/**
 * Files of index runs: their names, and the header page with which each begins.
 *
 * A run covers the positions from its first name's number up to its second's, that one not included. It is written as
 * `<name>.new`, its header last, and gets its name when all of it is synced: a file under its own name is whole, or
 * was damaged since. FORMAT.md draws the header; core-wasm/assembly/run-format.ts names the same offsets.
 */
import type { Core } from "../core/core.ts";
import { checksum } from "../log/local/segment.ts";

export const RUN_PAGE_BYTES = 4_096;
/** Behind the name of a run that is being written. A file of such a name at a start is a leftover. */
export const RUN_NEW_SUFFIX = ".new";

const RUN_VERSION = 2;
const NAME_DIGITS = 20;
const NAME_PATTERN = /^(\d{20})-(\d{20})\.run$/;

const MAGIC = "CAIRNIDX";
const VERSION_OFFSET = 8;
const PAGE_SIZE_OFFSET = 12;
const STORE_ID_OFFSET = 16;
const ID_BYTES = 16;
const FROM_OFFSET = 32;
const TO_OFFSET = 40;
const END_OFFSET_OFFSET = 48;
const CRC_OFFSET = 56;
const SPAN_OFFSET = 60;
const RECORDED_AT_OFFSET = 64;
const NEW_STREAMS_OFFSET = 72;
const PARTITIONS_OFFSET = 104;
const PARTS_OFFSET = 112;
const PART_BYTES = 16;
const PAGE_CRC_OFFSET = RUN_PAGE_BYTES - 4;

const IDS_PER_PAGE = 204;
const HEADS_PER_PAGE = 145;
/** Positions of which one entry of the times tells. */
const STRETCH_EVENTS = 8_192;
/** More than a filter of any version has for an entry. Above: the header is refused. */
const FILTER_ENTRY_BITS_MAX = 64;
const FILTER_BLOCK_BITS = 512;

/** Entries of a page, part by part, in the order in which the parts lie. */
const PART_PAGE_ENTRIES = [
  ["ids", IDS_PER_PAGE],
  ["heads", HEADS_PER_PAGE],
  ["places", 511],
  ["keys", 255],
  ["partitions", 170],
  ["partitionPlaces", 511],
  ["positions", 511],
  ["order", 511],
  ["times", 127],
  ["idFilter", 63],
  ["headFilter", 63],
  ["idFences", 1_022],
  ["headFences", 1_022],
] as const;

type RunPartName = (typeof PART_PAGE_ENTRIES)[number][0];

interface RunPart {
  /** Page of the file with which it begins; the header is page 0. */
  readonly firstPage: number;
  readonly entries: number;
}

/** What a run says of itself. All numbers are below 2^53. */
export interface RunHeader {
  readonly storeId: Uint8Array;
  /** Positions that it covers: from `from` to `to`, that one not included. */
  readonly from: number;
  readonly to: number;
  /** The log's end when `to` was the next position: its offset, and CRC and span of the last frame before it. */
  readonly endOffset: number;
  readonly crc: number;
  readonly span: number;
  /** That frame's recorded_at, milliseconds. */
  readonly recordedAt: number;
  /** Streams whose very first event it covers. */
  readonly newStreams: number;
  readonly partitions: number;
  readonly parts: Readonly<Record<RunPartName, RunPart>>;
  /** Pages of the whole file. */
  readonly pages: number;
}

/** File name of the run that covers the positions from `from` to `to`, that one not included. */
export function runName(from: number, to: number): string {
  return `${digits(from)}-${digits(to)}.run`;
}

function digits(position: number): string {
  return String(position).padStart(NAME_DIGITS, "0");
}

/** Positions that a run covers, the end excluded. */
export interface RunRange {
  readonly from: number;
  readonly to: number;
}

/** What a run's name says it covers; null where the name is none of a run. */
export function parseRunName(name: string): RunRange | null {
  const match = NAME_PATTERN.exec(name);
  if (match === null) return null;
  const from = Number(match[1]);
  const to = Number(match[2]);
  return from < to && Number.isSafeInteger(to) ? { from, to } : null;
}

/**
 * Reads a run's header page. `name` and `fileBytes` are the file's, `storeId` is the store's. Gives a text that says
 * what is wrong where the header is damaged, of a newer format, another store's, or does not fit name or size.
 */
export function decodeRunHeader(
  core: Core,
  page: Uint8Array,
  name: string,
  fileBytes: number,
  storeId: Uint8Array,
): RunHeader | string {
  if (page.length < RUN_PAGE_BYTES || fileBytes < RUN_PAGE_BYTES) return "the file is cut off";
  const view = new DataView(page.buffer, page.byteOffset, RUN_PAGE_BYTES);
  const seal = checksum(core, page.subarray(0, PAGE_CRC_OFFSET));
  if (view.getUint32(PAGE_CRC_OFFSET, true) !== seal) return "the header is damaged";
  if (Buffer.from(page.subarray(0, MAGIC.length)).toString("latin1") !== MAGIC) {
    return "this is no index run of Cairn";
  }
  const version = view.getUint32(VERSION_OFFSET, true);
  if (version !== RUN_VERSION) {
    return `the run has format version ${version}, and this executable reads ${RUN_VERSION}`;
  }
  const pageBytes = view.getUint32(PAGE_SIZE_OFFSET, true);
  if (pageBytes !== RUN_PAGE_BYTES) return `its pages have ${pageBytes} bytes`;
  const id = page.slice(STORE_ID_OFFSET, STORE_ID_OFFSET + ID_BYTES);
  if (Buffer.compare(id, storeId) !== 0) return "the run is another store's";
  const { parts, pages } = decodeParts(view);
  const header: RunHeader = {
    storeId: id,
    from: u64(view, FROM_OFFSET),
    to: u64(view, TO_OFFSET),
    endOffset: u64(view, END_OFFSET_OFFSET),
    crc: view.getUint32(CRC_OFFSET, true),
    span: view.getUint32(SPAN_OFFSET, true),
    recordedAt: u64(view, RECORDED_AT_OFFSET),
    newStreams: u64(view, NEW_STREAMS_OFFSET),
    partitions: view.getUint32(PARTITIONS_OFFSET, true),
    parts,
    pages,
  };
  if (runName(header.from, header.to) !== name) {
    return `the run covers positions ${header.from} to ${header.to - 1}, and its name says otherwise`;
  }
  const bytes = pages * RUN_PAGE_BYTES;
  if (bytes !== fileBytes) return `the file has ${fileBytes} bytes, and the run ${bytes}`;
  return isLaidOut(header) ? header : "its parts are none that such a run can have";
}

/** Whether the parts lie one behind the other, and have as many entries as the run's events and streams ask for. */
function isLaidOut({ from, to, newStreams, parts }: RunHeader): boolean {
  const events = to - from;
  const streams = parts.heads.entries;
  const stretches = stretchOf(to - 1) - stretchOf(from) + 1;
  let page = 1;
  for (const [name, perPage] of PART_PAGE_ENTRIES) {
    if (parts[name].firstPage !== page) return false;
    page += Math.ceil(parts[name].entries / perPage);
  }
  return (
    [parts.ids, parts.places, parts.partitionPlaces, parts.positions].every(
      ({ entries }) => entries === events,
    ) &&
    [streams, parts.partitions.entries].every((count) => count > 0 && count <= events) &&
    parts.keys.entries <= streams &&
    newStreams <= streams &&
    parts.order.entries === newStreams &&
    parts.times.entries === stretches &&
    isFilterOf(parts.idFilter, events) &&
    isFilterOf(parts.headFilter, streams) &&
    parts.idFences.entries === Math.ceil(events / IDS_PER_PAGE) &&
    parts.headFences.entries === Math.ceil(streams / HEADS_PER_PAGE)
  );
}

function stretchOf(position: number): number {
  return Math.floor(position / STRETCH_EVENTS);
}

/** Versions differ in how many bits a filter has for an entry; it says so by its blocks. */
function isFilterOf({ entries: blocks }: RunPart, entries: number): boolean {
  const blocksMax = Math.ceil((entries * FILTER_ENTRY_BITS_MAX) / FILTER_BLOCK_BITS);
  return blocks >= 1 && blocks <= blocksMax;
}

function decodeParts(view: DataView): Pick<RunHeader, "parts" | "pages"> {
  const parts: Partial<Record<RunPartName, RunPart>> = {};
  let pages = 1;
  for (const [index, [name, perPage]] of PART_PAGE_ENTRIES.entries()) {
    const at = PARTS_OFFSET + index * PART_BYTES;
    const part = { firstPage: u64(view, at), entries: u64(view, at + 8) };
    parts[name] = part;
    pages = part.firstPage + Math.ceil(part.entries / perPage);
  }
  return { parts: parts as Record<RunPartName, RunPart>, pages };
}

function u64(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}
