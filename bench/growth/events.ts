/**
 * The events of a growth run, one after the other, written as EAPPEND requests straight into a buffer.
 *
 * Nothing is kept of them but counters: which stream an event goes to, and its id where it has one, come out of
 * its number. Existing streams are chosen evenly over all that there are. Watched events carry an EVENT_ID that can be made
 * again from stage, stream and version, and one in twenty has a name of its own, to be looked for by it.
 */
import { EVENT_NAME, PAYLOAD, SEED, streamId } from "../requests.ts";
import { encodeRequest } from "../resp.ts";
import { type Plan, type Stage, WATCHED_EVENTS } from "./plan.ts";

/** To which streams events go, and whether with EVENT_ID; "mixed" is a stage's fill. */
export type EventKind = "mixed" | "existing" | "identified" | "created";

/** The name of one event of each watched stream; as long as the others' name. */
export const RARE_NAME = "rv";

/** Bytes of the longest request. */
export const REQUEST_BYTES_MAX = 320;

const WATCHED_PREFIX = "wat:";
/** Watched streams of one stage are numbered from a multiple of it on. */
const WATCHED_PER_STAGE = 1_000_000;

/** The id of a watched stream. */
export function watchedStreamId(stage: number, stream: number): string {
  return streamId(stage * WATCHED_PER_STAGE + stream, WATCHED_PREFIX);
}

/** The id of a watched stream's event; `turn` counts the stream's events in the order in which they are sent. */
export function watchedEventId(stage: number, stream: number, turn: number): string {
  const bytes = new Uint8Array(UUID_LENGTH);
  writeUuid(bytes, 0, DOMAIN_WATCHED, watchedNumber(stage, stream, turn));
  return Buffer.from(bytes).toString();
}

/** Makes the plan's events in order. */
export class EventSource {
  /** Events made so far. */
  count = 0;
  /** Streams so far, those that are watched not counted. */
  streamCount = 0;
  watchedStreamCount = 0;
  /** Events so far with the rare name. */
  rareCount = 0;

  private readonly watches: Watch[];
  private mixedCount = 0;
  /** The number of the fill's event at which a watched one is due. */
  private watchDueAt = Number.POSITIVE_INFINITY;
  /** Where the fill of a stage began, and how many streams it has at its end. */
  private stage: Stage | null = null;
  private stageMixedStart = 0;
  private stageStreamsStart = 0;
  private stageStreamsEnd = 0;

  constructor(plan: Plan) {
    this.watches = plan.stages.map((stage, index) => ({
      stage: index,
      streams: stage.watched,
      total: stage.watched * WATCHED_EVENTS,
      span: stage.watchedSpan,
      done: 0,
    }));
    this.findDueWatch();
  }

  /** Begins a stage: its fill makes as many streams as are missing when its other stretches are counted. */
  enter(stage: Stage): void {
    this.stage = stage;
    this.stageMixedStart = this.mixedCount;
    this.stageStreamsStart = this.streamCount;
    this.stageStreamsEnd = stage.streams - stage.created;
  }

  /** Writes the next event's request at `offset` of the buffer; returns where it ends. */
  write(target: Uint8Array, offset: number, kind: EventKind): number {
    const number = this.count++;
    if (kind === "mixed") {
      const mixed = this.mixedCount++;
      if (mixed >= this.watchDueAt) return this.writeWatched(target, offset, mixed);
      if (this.isStreamDue(mixed)) return writePlain(target, offset, this.streamCount++);
    } else if (kind === "created" || this.streamCount === 0) {
      return writePlain(target, offset, this.streamCount++);
    }
    const stream = Math.floor((mix(number, SEED) / 2 ** 32) * this.streamCount);
    return kind === "identified"
      ? writeIdentified(target, offset, stream, number)
      : writePlain(target, offset, stream);
  }

  private isStreamDue(mixed: number): boolean {
    if (this.streamCount === 0) return true;
    const { stage, stageStreamsStart: start, stageStreamsEnd: end } = this;
    if (stage === null) throw new Error("no stage was entered");
    const share = (mixed + 1 - this.stageMixedStart) / stage.mixed;
    return this.streamCount < start + (end - start) * share;
  }

  private writeWatched(target: Uint8Array, offset: number, mixed: number): number {
    const watch = this.watches.find((watch) => isDue(watch, mixed)) as Watch;
    const turn = Math.floor(watch.done / watch.streams);
    const stream = watch.done % watch.streams;
    watch.done++;
    this.findDueWatch();
    if (turn === 0) this.watchedStreamCount++;
    const isRare = turn === stream % WATCHED_EVENTS;
    if (isRare) this.rareCount++;
    const template = isRare ? RARE : WATCHED;
    target.set(template.bytes, offset);
    writeDigits(target, offset + template.digitsEnd, watch.stage * WATCHED_PER_STAGE + stream);
    const idOffset = offset + template.idStart;
    writeUuid(target, idOffset, DOMAIN_WATCHED, watchedNumber(watch.stage, stream, turn));
    return offset + template.bytes.length;
  }

  private findDueWatch(): void {
    this.watchDueAt = Math.min(...this.watches.map(dueAt));
  }
}

/** The watched streams of one stage: each in turn gets its first event, then each its second, and so on. */
interface Watch {
  readonly stage: number;
  readonly streams: number;
  readonly total: number;
  readonly span: number;
  done: number;
}

function dueAt(watch: Watch): number {
  if (watch.done === watch.total) return Number.POSITIVE_INFINITY;
  return Math.floor(((watch.done + 0.5) * watch.span) / watch.total);
}

function isDue(watch: Watch, mixed: number): boolean {
  return mixed >= dueAt(watch);
}

function watchedNumber(stage: number, stream: number, turn: number): number {
  return (stage * WATCHED_PER_STAGE + stream) * WATCHED_EVENTS + turn;
}

// ── requests ──────────────────────────────────────────────────────────────────────────────────────

/** A request whose stream's digits, and event id where there is one, are written over. */
interface Template {
  readonly bytes: Uint8Array;
  readonly digitsEnd: number;
  readonly idStart: number;
}

const UUID_LENGTH = 36;
const ID_PLACEHOLDER = "x".repeat(UUID_LENGTH);

const PLAIN = makeTemplate(streamId(0), EVENT_NAME, false);
const IDENTIFIED = makeTemplate(streamId(0), EVENT_NAME, true);
const WATCHED = makeTemplate(watchedStreamId(0, 0), EVENT_NAME, true);
const RARE = makeTemplate(watchedStreamId(0, 0), RARE_NAME, true);

function makeTemplate(stream: string, name: string, isIdentified: boolean): Template {
  const id = isIdentified ? ["EVENT_ID", ID_PLACEHOLDER] : [];
  const bytes = encodeRequest(["EAPPEND", stream, name, ...id, "PAYLOAD", PAYLOAD]);
  if (bytes.length > REQUEST_BYTES_MAX) throw new Error(`a request has ${bytes.length} bytes`);
  const text = Buffer.from(bytes).toString();
  return {
    bytes,
    digitsEnd: text.indexOf(stream) + stream.length,
    idStart: text.indexOf(ID_PLACEHOLDER),
  };
}

function writePlain(target: Uint8Array, offset: number, stream: number): number {
  target.set(PLAIN.bytes, offset);
  writeDigits(target, offset + PLAIN.digitsEnd, stream);
  return offset + PLAIN.bytes.length;
}

function writeIdentified(
  target: Uint8Array,
  offset: number,
  stream: number,
  number: number,
): number {
  target.set(IDENTIFIED.bytes, offset);
  writeDigits(target, offset + IDENTIFIED.digitsEnd, stream);
  writeUuid(target, offset + IDENTIFIED.idStart, DOMAIN_IDENTIFIED, number);
  return offset + IDENTIFIED.bytes.length;
}

/** Writes a number's digits so that they end at `end`, over zeros. */
function writeDigits(target: Uint8Array, end: number, number: number): void {
  let rest = number;
  for (let at = end - 1; rest > 0; at--) {
    const next = Math.trunc(rest / 10);
    target[at] = DIGIT_0 + rest - next * 10;
    rest = next;
  }
}

const DIGIT_0 = 0x30;

/** Seeds of the ids: numbers of one domain never meet those of the other, and one number has one id. */
const DOMAIN_IDENTIFIED = 1;
const DOMAIN_WATCHED = 2;

/** Writes a UUIDv4's 36 characters: its first word is the number, mixed, which keeps different ones apart. */
function writeUuid(target: Uint8Array, offset: number, domain: number, number: number): void {
  writeHex(target, offset, mix(number, SEED), 8);
  target[offset + 8] = HYPHEN;
  const second = mix(number, SEED + domain);
  writeHex(target, offset + 9, second >>> 16, 4);
  target[offset + 13] = HYPHEN;
  writeHex(target, offset + 14, 0x4000 | (second & 0x0fff), 4);
  target[offset + 18] = HYPHEN;
  const third = mix(number, SEED + domain + 2);
  writeHex(target, offset + 19, 0x8000 | domain, 4);
  target[offset + 23] = HYPHEN;
  writeHex(target, offset + 24, third >>> 16, 4);
  writeHex(target, offset + 28, mix(number, SEED + domain + 4), 8);
}

const HYPHEN = 0x2d;
const HEX = Buffer.from("0123456789abcdef");

function writeHex(target: Uint8Array, offset: number, value: number, digits: number): void {
  let rest = value;
  for (let at = offset + digits - 1; at >= offset; at--) {
    target[at] = HEX[rest & 15] as number;
    rest >>>= 4;
  }
}

/** A whole number in [0, 2^32) that looks random; different numbers give different ones under one seed (murmur3's end). */
function mix(number: number, seed: number): number {
  let mixed = (number + Math.imul(seed, 0x9e3779b1)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
