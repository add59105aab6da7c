/**
 * Clients that append to the same streams and read them at the same time, and note in a history what they are told.
 *
 * Each sends one request after the other over its own connection, until that ends or it is told to stop. Appends
 * carry their ids, and one whose answer did not come is sent again later, as the README tells clients to do.
 */
import type { Answer, AskedEvent, History, LogEvent, Question } from "./history.ts";
import { ErrorReply, type Plain } from "./model.ts";
import type { Random } from "./random.ts";
import { asMaps, type PlainMap, plain, RespClient, type Word } from "./resp-client.ts";

/** Few, so that clients meet in each. */
const STREAM_COUNT = 5;
const LOG_READ_EVENTS_MAX = 20;

export class RivalClient {
  private readonly answered: (answer: Answer) => void;
  private readonly random: Random;
  private readonly history: History;
  private readonly number: number;
  /** Appends whose fate is open. */
  private readonly open: (readonly AskedEvent[])[] = [];
  private readonly versions = new Map<string, number>();
  private appended = 0;
  private lastPosition = -1;

  /** `answered` is called after each answer, but not where the connection ended; `number` is this client's own. */
  constructor(
    number: number,
    random: Random,
    history: History,
    answered: (answer: Answer) => void,
  ) {
    this.number = number;
    this.random = random;
    this.history = history;
    this.answered = answered;
  }

  /** Asks one thing after the other until the connection ends or `isOver` says so. */
  async run(port: number, isOver: () => boolean): Promise<void> {
    let client: RespClient;
    try {
      client = await RespClient.connect3(port);
    } catch {
      return; // the server has ended
    }
    try {
      while (!isOver()) {
        if (!(await this.askSomething(client))) return;
      }
    } finally {
      client.close();
    }
  }

  /** False when the connection has ended. */
  private async askSomething(client: RespClient): Promise<boolean> {
    const again = this.open.pop();
    if (again !== undefined) return await this.append(client, again);
    const kind = this.random.weighted({
      append: 8,
      version: 2,
      stream: 1,
      log: 2,
      event: 1,
      end: 1,
    });
    const streamId = `stream-${this.random.below(STREAM_COUNT)}`;
    switch (kind) {
      case "append":
        return await this.append(client, this.newEvents());
      case "version":
        return await this.read(client, { ask: "version", streamId }, ["ESVER", streamId]);
      case "stream":
        return await this.read(client, { ask: "stream", streamId }, ["ESCAN", streamId, "-", "+"]);
      case "end":
        return await this.read(client, { ask: "end" }, ["EPOS"]);
      case "event": {
        const eventId = eventIdOf(this.number, this.random.below(this.appended + 1));
        return await this.read(client, { ask: "event", eventId }, ["EGET", eventId]);
      }
      case "log": {
        const from = Math.max(0, this.lastPosition - this.random.below(LOG_READ_EVENTS_MAX));
        return await this.read(client, { ask: "log", from }, ["ELOG", from, "+"]);
      }
    }
  }

  private newEvents(): AskedEvent[] {
    const count =
      this.random.weighted({ one: 4, some: 1 }) === "one" ? 1 : this.random.between(2, 5);
    const first = this.random.below(STREAM_COUNT);
    return Array.from({ length: count }, (_, index) => {
      const eventId = eventIdOf(this.number, this.appended++);
      const streamId = `stream-${(first + index) % STREAM_COUNT}`;
      const seen = this.versions.get(streamId);
      const expects = this.random.chance(0.5);
      const payload = `${eventId} ${"x".repeat(this.random.pick([0, 10, 100, 2_000]))}`;
      return { streamId, eventId, payload, ...(expects && { expected: seen ?? "empty" }) };
    });
  }

  private async append(client: RespClient, events: readonly AskedEvent[]): Promise<boolean> {
    const words: Word[] = events.length === 1 ? ["EAPPEND"] : ["EMAPPEND", "*"];
    for (const { streamId, eventId, payload, expected } of events) {
      words.push(streamId, "Happened", "EVENT_ID", eventId, "PAYLOAD", payload);
      if (expected !== undefined) words.push("EXPECTED_VERSION", expected);
    }
    if (events.length === 1) words.push("WITHPOSITION");
    else words.splice(2, 0, "WITHPOSITION");
    const tell = this.history.send({ ask: "append", events });
    const reply = await ask(client, words);
    const answer = reply === undefined ? UNKNOWN : appendAnswer(reply, events);
    tell(answer);
    if (answer.tell === "unknown") this.open.push(events);
    if (answer.tell === "wrong version") this.versions.set(answer.streamId, answer.current ?? -1);
    if (answer.tell === "appended") this.lastPosition = answer.positions.at(-1) ?? -1;
    if (answer.tell === "wrong version" && answer.current === null)
      this.versions.delete(answer.streamId);
    if (reply === undefined) return false;
    this.answered(answer);
    return true;
  }

  private async read(client: RespClient, question: Question, words: Word[]): Promise<boolean> {
    const tell = this.history.send(question);
    const reply = await ask(client, words);
    if (reply === undefined) return false;
    const answer = readAnswer(question, reply);
    tell(answer);
    if (question.ask === "version" && answer.tell === "last" && answer.last !== null) {
      this.versions.set(question.streamId, answer.last);
    }
    this.answered(answer);
    return true;
  }
}

/** The whole log, as the history is checked against it. */
export async function readLog(client: RespClient): Promise<LogEvent[]> {
  const log: LogEvent[] = [];
  for (;;) {
    const reply = await client.map("ELOG", log.length, "+", "COUNT", 1_000);
    log.push(...asMaps(reply.events).map(logEvent));
    if (reply.has_more !== true) return log;
  }
}

const UNKNOWN: Answer = { tell: "unknown" };

/** The reply as a value; undefined when the connection ended first. */
async function ask(client: RespClient, words: Word[]): Promise<Plain | ErrorReply | undefined> {
  try {
    return plain(await client.command(...words), "utf8");
  } catch {
    return undefined;
  }
}

function appendAnswer(reply: Plain | ErrorReply, events: readonly AskedEvent[]): Answer {
  if (!(reply instanceof ErrorReply)) {
    const map = reply as PlainMap;
    const each = events.length === 1 ? [map] : asMaps(map.events);
    return { tell: "appended", positions: each.map((event) => Number(event.position)) };
  }
  if (reply.code === "READONLY") return { tell: "refused" };
  if (reply.code === "UNCERTAIN") return UNKNOWN;
  const told = /current stream version is (\d+|empty) but .* stream id (\S+)$/.exec(reply.text);
  if (reply.code !== "WRONGVER" || told === null) {
    throw new Error(`an append was answered ${reply.code} ${reply.text}`);
  }
  const current = told[1] === "empty" ? null : Number(told[1]);
  return { tell: "wrong version", streamId: told[2] ?? "", current };
}

function readAnswer(question: Question, reply: Plain | ErrorReply): Answer {
  if (reply instanceof ErrorReply) throw new Error(`${question.ask}: ${reply.code} ${reply.text}`);
  if (question.ask === "version" || question.ask === "end") {
    return { tell: "last", last: reply === null ? null : Number(reply) };
  }
  if (question.ask === "event") return { tell: "found", isFound: reply !== null };
  const map = reply as PlainMap;
  if (map.has_more !== false) throw new Error("a read ends before the end of what it can see");
  return { tell: "events", eventIds: asMaps(map.events).map((event) => String(event.event_id)) };
}

function logEvent(event: PlainMap): LogEvent {
  return {
    position: Number(event.position),
    eventId: String(event.event_id),
    streamId: String(event.stream_id),
    streamVersion: Number(event.stream_version),
    partitionId: Number(event.partition_id),
    partitionSequence: Number(event.partition_sequence),
    transactionId: String(event.transaction_id),
    recordedAt: Number(event.recorded_at),
    payload: String(event.payload),
  };
}

function eventIdOf(client: number, event: number): string {
  return `00000000-0000-4000-8${String(client).padStart(3, "0")}-${String(event).padStart(12, "0")}`;
}
