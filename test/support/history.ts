/**
 * What concurrent clients asked and were told, and whether one order explains it all: strict serializability.
 *
 * Each operation has a stamp of when it was sent and one of when its answer came, on one count. The store's own log,
 * read at the end, is the order to check against: a position is a moment, so that every answer says between which
 * moments it was true. Going through the stamps in order, each operation gets the earliest moment that it allows and
 * that is not before one whose answer had come before it was sent; none may be too late for what its answer says.
 * With the order given that is complete: an explanation is found where there is one.
 */
import { fail } from "./store-ledger.ts";

/** An event of the log, as ELOG gives it. */
export interface LogEvent {
  readonly position: number;
  readonly eventId: string;
  readonly streamId: string;
  readonly streamVersion: number;
  readonly partitionId: number;
  readonly partitionSequence: number;
  readonly transactionId: string;
  readonly recordedAt: number;
  readonly payload: string;
}

/** An event that a client appends: its id is its own, so that the log's events are told apart. */
export interface AskedEvent {
  readonly streamId: string;
  readonly eventId: string;
  readonly payload: string;
  /** The version that the stream must have: "empty" or a number. */
  readonly expected?: number | "empty";
}

export type Question =
  | { readonly ask: "append"; readonly events: readonly AskedEvent[] }
  | { readonly ask: "version"; readonly streamId: string }
  | { readonly ask: "stream"; readonly streamId: string }
  | { readonly ask: "event"; readonly eventId: string }
  | { readonly ask: "end" }
  | { readonly ask: "log"; readonly from: number };

export type Answer =
  /** Where an append's events are. */
  | { readonly tell: "appended"; readonly positions: readonly number[] }
  /** The stream of one event had another version; null: no event. */
  | { readonly tell: "wrong version"; readonly streamId: string; readonly current: number | null }
  /** Nothing was written. */
  | { readonly tell: "refused" }
  /** It may be there or not: UNCERTAIN, or the connection ended. Of a read: nothing was told. */
  | { readonly tell: "unknown" }
  /** A stream's last version, the last position, or null. */
  | { readonly tell: "last"; readonly last: number | null }
  /** Ids of the events that a read gave, to the end of what it saw. */
  | { readonly tell: "events"; readonly eventIds: readonly string[] }
  | { readonly tell: "found"; readonly isFound: boolean };

interface Operation {
  readonly question: Question;
  readonly sentAt: number;
  answer: Answer;
  /** Infinite where none came. */
  answeredAt: number;
}

export class History {
  private readonly operations: Operation[] = [];
  private stamps = 0;

  get count(): number {
    return this.operations.length;
  }

  /** Notes that a question is sent now; the function returned notes its answer. */
  send(question: Question): (answer: Answer) => void {
    const operation: Operation = {
      question,
      sentAt: this.stamps++,
      answer: { tell: "unknown" },
      answeredAt: Number.POSITIVE_INFINITY,
    };
    this.operations.push(operation);
    return (answer) => {
      operation.answer = answer;
      if (answer.tell !== "unknown") operation.answeredAt = this.stamps++;
    };
  }

  /** Throws where the log that the store ended with, or an answer on the way, breaks a promise. */
  check(log: readonly LogEvent[]): void {
    checkNumbers(log);
    const order = new Order(log);
    checkContents(order, this.operations);
    checkMoments(order, this.operations);
  }
}

/** The log, by what is asked of it. A moment is a number of events that are there. */
class Order {
  readonly log: readonly LogEvent[];
  private readonly positions = new Map<string, number>();
  private readonly streams = new Map<string, number[]>();

  constructor(log: readonly LogEvent[]) {
    this.log = log;
    for (const { eventId, streamId, position } of log) {
      if (this.positions.has(eventId)) fail(`event ${eventId} is there twice`);
      this.positions.set(eventId, position);
      const stream = this.streams.get(streamId);
      if (stream === undefined) this.streams.set(streamId, [position]);
      else stream.push(position);
    }
  }

  positionOf(eventId: string): number | null {
    return this.positions.get(eventId) ?? null;
  }

  /** The moments at which a stream has this version; null and -1: no event. */
  whileVersion(streamId: string, version: number | null): Moments {
    const stream = this.streams.get(streamId) ?? [];
    const at = version ?? -1;
    if (at >= stream.length) fail(`${streamId} never had version ${version}`);
    const earliest = at < 0 ? 0 : (stream[at] ?? 0) + 1;
    return { earliest, latest: stream[at + 1] ?? Number.POSITIVE_INFINITY };
  }

  streamIds(streamId: string): string[] {
    return (this.streams.get(streamId) ?? []).map((position) => this.log[position]?.eventId ?? "");
  }
}

/** One order without gaps, whatever was asked. */
function checkNumbers(log: readonly LogEvent[]): void {
  const versions = new Map<string, number>();
  const sequences = new Map<number, number>();
  let recordedAt = 0;
  for (const [index, event] of log.entries()) {
    const { streamId, partitionId } = event;
    const version = (versions.get(streamId) ?? -1) + 1;
    const sequence = (sequences.get(partitionId) ?? -1) + 1;
    if (event.position !== index) fail(`position ${event.position} stands at ${index}`);
    if (event.streamVersion !== version) fail(`${streamId} has no version ${version}`);
    if (event.partitionSequence !== sequence) fail(`${partitionId} has no sequence ${sequence}`);
    if (event.recordedAt < recordedAt) fail(`recorded_at falls at position ${index}`);
    versions.set(streamId, version);
    sequences.set(partitionId, sequence);
    recordedAt = event.recordedAt;
  }
}

/** What is there was asked for, as it is there; what was refused is not there. */
function checkContents(order: Order, operations: readonly Operation[]): void {
  const asked = new Map<string, AskedEvent>();
  const taken = new Set<string>();
  for (const { question, answer } of operations) {
    if (question.ask !== "append") continue;
    const positions = question.events.map((event) => order.positionOf(event.eventId));
    const first = positions[0] ?? null;
    for (const event of question.events) asked.set(event.eventId, event);
    if (answer.tell !== "refused" && answer.tell !== "wrong version") {
      for (const event of question.events) taken.add(event.eventId);
    }
    if (first === null && positions.some((position) => position !== null)) {
      fail(`a transaction is there in part: ${question.events[0]?.eventId}`);
    }
    for (const [index, position] of positions.entries()) {
      if (first !== null && position !== first + index) {
        fail(`a transaction is there in part, or mixed with others, at position ${first}`);
      }
      const event = position === null ? undefined : order.log[position];
      if (event?.transactionId !== order.log[first ?? 0]?.transactionId && event !== undefined) {
        fail(`position ${position} belongs to another transaction`);
      }
    }
    if (answer.tell === "appended" && String(answer.positions) !== String(positions)) {
      fail(`appended at ${answer.positions}, but the log has it at ${positions}`);
    }
  }
  for (const event of order.log) {
    const as = asked.get(event.eventId);
    if (as === undefined) fail(`event ${event.eventId} at ${event.position} comes from nowhere`);
    if (!taken.has(event.eventId)) fail(`event ${event.eventId} was refused, but it is there`);
    if (as.streamId !== event.streamId || as.payload !== event.payload) {
      fail(`event ${event.eventId} is another than was appended`);
    }
    const { expected } = as;
    const before = expected === "empty" ? -1 : expected;
    if (before !== undefined && event.streamVersion !== before + 1) {
      fail(`event ${event.eventId} expected ${expected} and has version ${event.streamVersion}`);
    }
  }
}

/** Every answer was true at a moment between its question and itself, in one order of moments. */
function checkMoments(order: Order, operations: readonly Operation[]): void {
  const stamps: { at: number; operation: Operation; isAnswer: boolean }[] = [];
  for (const operation of operations) {
    stamps.push({ at: operation.sentAt, operation, isAnswer: false });
    if (Number.isFinite(operation.answeredAt)) {
      stamps.push({ at: operation.answeredAt, operation, isAnswer: true });
    }
  }
  stamps.sort((a, b) => a.at - b.at);
  /** The latest moment that an answer has shown so far. */
  let floor = 0;
  const moments = new Map<Operation, number>();
  const attempted = new Set<string>();
  for (const { operation, isAnswer } of stamps) {
    if (isAnswer) {
      floor = Math.max(floor, moments.get(operation) ?? 0);
      continue;
    }
    const { earliest, latest } = momentsOf(order, operation, attempted);
    if (floor > latest) {
      const what = JSON.stringify({ ...operation.question, ...operation.answer }).slice(0, 500);
      fail(`this was so until moment ${latest}, but ${floor} had been shown before: ${what}`);
    }
    moments.set(operation, Math.max(earliest, floor));
  }
}

/** Moments of an answer: from which on it can have been given, and until which nothing later can have been shown. */
interface Moments {
  readonly earliest: number;
  readonly latest: number;
}

const AT_ANY_TIME: Moments = { earliest: 0, latest: Number.POSITIVE_INFINITY };

function momentsOf(order: Order, operation: Operation, attempted: Set<string>): Moments {
  const { question, answer } = operation;
  if (question.ask === "append") return momentsOfAppend(order, question.events, answer, attempted);
  if (answer.tell === "last") {
    if (question.ask === "version") return order.whileVersion(question.streamId, answer.last);
    const count = (answer.last ?? -1) + 1;
    return { earliest: count, latest: count };
  }
  if (answer.tell === "events" && question.ask === "stream") {
    const expected = order.streamIds(question.streamId).slice(0, answer.eventIds.length);
    if (String(answer.eventIds) !== String(expected)) {
      fail(`a read of ${question.streamId} is no prefix of it: ${answer.eventIds}`);
    }
    return order.whileVersion(question.streamId, answer.eventIds.length - 1);
  }
  if (answer.tell === "events" && question.ask === "log") {
    const end = question.from + answer.eventIds.length;
    const expected = order.log.slice(question.from, end).map((event) => event.eventId);
    if (String(answer.eventIds) !== String(expected)) {
      fail(`a read of the log from ${question.from} is no part of it: ${answer.eventIds}`);
    }
    return { earliest: end === question.from ? 0 : end, latest: end };
  }
  if (answer.tell === "found" && question.ask === "event") {
    const position = order.positionOf(question.eventId);
    if (!answer.isFound) return { earliest: 0, latest: position ?? Number.POSITIVE_INFINITY };
    if (position === null) fail(`event ${question.eventId} was shown, and is lost`);
    return { earliest: position + 1, latest: Number.POSITIVE_INFINITY };
  }
  return AT_ANY_TIME;
}

/** What was shown before an append was sent lies before it; of a repeated one, before its first attempt. */
function momentsOfAppend(
  order: Order,
  events: readonly AskedEvent[],
  answer: Answer,
  attempted: Set<string>,
): Moments {
  if (answer.tell === "wrong version") return order.whileVersion(answer.streamId, answer.current);
  const id = events[0]?.eventId ?? fail("an append without events");
  const position = order.positionOf(id);
  const isRepeat = attempted.has(id);
  attempted.add(id);
  if (position === null) return AT_ANY_TIME;
  const earliest = answer.tell === "appended" ? position + events.length : 0;
  return { earliest, latest: isRepeat ? Number.POSITIVE_INFINITY : position };
}
