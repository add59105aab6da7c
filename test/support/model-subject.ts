/**
 * A server and the model that says what it must answer: takes steps, restarts and kills among them.
 */
import { expect } from "vitest";
import {
  type AskedAppend,
  type AskedEvent,
  type AskedFilter,
  type AskedRange,
  ErrorReply,
  Model,
  type Plain,
} from "./model.ts";
import type { Step } from "./model-steps.ts";
import { plain, RespClient } from "./resp-client.ts";

/** Runs the server under test, on one store. */
export interface ModelHost {
  /** Starts it; gives its RESP port. */
  start(): Promise<number>;
  /** Stops it in order, and throws where that failed. */
  stop(): Promise<void>;
  /** Ends it as kill -9 does. */
  kill(): Promise<void>;
}

/** A server and the model that says what it must answer. */
export class Subject {
  private readonly model: Model;
  private readonly appended: AskedAppend[] = [];
  private readonly host: ModelHost;
  private readonly partitions: number;
  private client: RespClient;
  private burst = 0;

  private constructor(host: ModelHost, partitions: number, client: RespClient) {
    this.host = host;
    this.partitions = partitions;
    this.client = client;
    this.model = new Model(partitions);
  }

  /** Starts a server that has no store yet. */
  static async start(host: ModelHost, partitions: number): Promise<Subject> {
    return new Subject(host, partitions, await RespClient.connect3(await host.start()));
  }

  async end(): Promise<void> {
    this.client.close();
    await this.host.kill();
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "append":
        return this.append(step.asked);
      case "repeat":
        return this.repeat(step.of, step.change);
      case "eget":
        return this.eget(step.eventId, step.withPosition);
      case "egetKnown": {
        const events = this.model.transactions.flatMap((transaction) => transaction.events);
        const event = events[step.of % Math.max(1, events.length)];
        if (event !== undefined) await this.eget(event.eventId, step.withPosition);
        return;
      }
      case "escan": {
        const words = ["ESCAN", step.stream, ...rangeWords(step.range), ...keyWords(step.key)];
        return this.model.escan(step.stream, step.key, step.range, await this.ask(words));
      }
      case "epscan": {
        const words = ["EPSCAN", String(step.partition), ...rangeWords(step.range)];
        return this.model.epscan(step.partition, step.range, await this.ask(words));
      }
      case "elog": {
        const words = rangeWords({ ...step.range, withPosition: false });
        return this.model.elog(step.range, await this.ask(["ELOG", ...words]));
      }
      case "epos":
        return this.model.epos(await this.ask(["EPOS"]));
      case "walk":
        return this.model.streamIds(await this.walk(step.count));
      case "exists":
        return this.model.exists(step.streams, await this.ask(["EXISTS", ...step.streams]));
      case "esver":
        return this.model.esver(
          step.stream,
          step.key,
          await this.ask(["ESVER", step.stream, ...keyWords(step.key)]),
        );
      case "epseq":
        return this.model.epseq(step.partition, await this.ask(["EPSEQ", String(step.partition)]));
      case "malformed": {
        const reply = await this.ask(step.line);
        expect(reply instanceof ErrorReply && reply.code, step.line.join(" ")).toBe("INVALIDARG");
        return;
      }
      case "restart":
        return this.restart(step.by);
      case "killInBurst":
        return this.killInBurst(step.streams, step.heard);
    }
  }

  /** Every partition and every event by its id, against the model. */
  async readEverything(): Promise<void> {
    const used = this.model.transactions.flatMap(({ events }) =>
      events.map((event) => event.partition),
    );
    for (const partition of new Set([0, this.partitions - 1, ...used])) {
      await this.take({ do: "epscan", partition, range: { withPosition: true } });
      await this.take({ do: "epseq", partition });
    }
    await this.take({ do: "elog", range: { withPosition: true } });
    await this.take({ do: "walk", count: 100 });
    for (const { events } of this.model.transactions) {
      for (const event of events) await this.eget(event.eventId, true);
    }
  }

  /** All stream ids, with SCAN. */
  private async walk(count: number): Promise<string[]> {
    const found: string[] = [];
    let cursor = "0";
    do {
      const reply = await this.ask(["SCAN", cursor, "COUNT", String(count)]);
      if (reply instanceof ErrorReply) throw new Error(`SCAN answered ${reply.code} ${reply.text}`);
      const [next, some] = reply as [string, string[]];
      found.push(...some);
      cursor = next;
    } while (cursor !== "0");
    return found;
  }

  private async append(asked: AskedAppend): Promise<void> {
    const reply = await this.ask(appendWords(asked));
    this.model.append(asked, reply);
    if (!(reply instanceof ErrorReply)) this.appended.push(withIds(asked, reply));
  }

  /** An append given again with the ids that it got: answered as before, or refused when it says other things. */
  private async repeat(of: number, change: "metadata" | "payload"): Promise<void> {
    const earlier = this.appended[of % Math.max(1, this.appended.length)];
    if (earlier === undefined) return;
    const events = earlier.events.map((event) => ({
      ...event,
      [change]: `${event[change] ?? ""}, again`,
      expectedVersion: undefined,
    }));
    await this.append({ ...earlier, events });
  }

  private async eget(eventId: string, withPosition: boolean): Promise<void> {
    const words = ["EGET", eventId, ...(withPosition ? ["WITHPOSITION"] : [])];
    this.model.eget(eventId, withPosition, await this.ask(words));
  }

  private async restart(by: "stop" | "kill"): Promise<void> {
    this.client.close();
    if (by === "stop") await this.host.stop();
    else await this.host.kill();
    await this.startAgain();
  }

  /** Kills the server while appends are under way: those that were answered are there, of the rest the first. */
  private async killInBurst(streams: readonly string[], heard: number): Promise<void> {
    const burst = streams.map((stream, index): AskedAppend => {
      const eventId = `00000000-0000-4000-8000-${String(this.burst * 1_000 + index).padStart(12, "0")}`;
      return {
        command: "EAPPEND",
        events: [{ stream, name: "Burst", eventId, payload: `${index}` }],
        withPosition: true,
      };
    });
    this.burst++;
    const replies = burst.map((asked) => this.ask(appendWords(asked)).catch(() => null));
    await replies[heard];
    await this.host.kill();
    const answers = await Promise.all(replies);
    this.client.close();
    await this.startAgain();
    let ended = false;
    for (const [index, asked] of burst.entries()) {
      const answer = answers[index] ?? null;
      if (answer !== null) {
        this.model.append(asked, answer);
        continue;
      }
      const eventId = asked.events[0]?.eventId ?? "";
      const found = await this.ask(["EGET", eventId, "WITHPOSITION"]);
      if (found instanceof ErrorReply) throw new Error(`EGET answered ${found.code} ${found.text}`);
      const done = this.model.appendUnanswered(asked, [found]);
      if (done && ended) throw new Error("a later append is there though an earlier one is not");
      ended ||= !done;
    }
  }

  private async startAgain(): Promise<void> {
    this.client = await RespClient.connect3(await this.host.start());
  }

  private async ask(words: readonly string[]): Promise<Plain | ErrorReply> {
    return plain(await this.client.command(...words.map((word) => Buffer.from(word, "latin1"))));
  }
}
/** The same append with the ids that the server gave, as a client would keep them for a retry. */
function withIds(asked: AskedAppend, reply: Plain): AskedAppend {
  const answer = reply as { event_id?: string; events?: { event_id: string }[] };
  const ids = answer.events?.map((event) => event.event_id) ?? [answer.event_id];
  return {
    ...asked,
    events: asked.events.map((event, index) => ({ ...event, eventId: ids[index] })),
  };
}

function appendWords(asked: AskedAppend): string[] {
  const withPosition = asked.withPosition ? ["WITHPOSITION"] : [];
  const events = asked.events.flatMap(eventWords);
  if (asked.command === "EMAPPEND")
    return ["EMAPPEND", asked.key ?? "*", ...withPosition, ...events];
  return ["EAPPEND", ...events, ...keyWords(asked.key), ...withPosition];
}

function eventWords(event: AskedEvent): string[] {
  const options = {
    EVENT_ID: event.eventId,
    expected_version: event.expectedVersion,
    TIMESTAMP: event.timestamp,
    PAYLOAD: event.payload,
    metadata: event.metadata,
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return [event.stream, event.name, ...given.flatMap(([word, value]) => [word, String(value)])];
}

function rangeWords(range: AskedRange): string[] {
  return [
    String(range.start ?? "-"),
    String(range.end ?? "+"),
    ...(range.count === undefined ? [] : ["COUNT", String(range.count)]),
    ...(range.isReverse ? ["REV"] : []),
    ...(range.withPosition ? ["WITHPOSITION"] : []),
    ...(range.filter === undefined ? [] : filterWords(range.filter)),
  ];
}

function filterWords(filter: AskedFilter): string[] {
  const options = {
    MATCH: filter.match,
    KEY: filter.key,
    partitions: filter.partitions?.join(","),
    SINCE: filter.since,
    until: filter.until,
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return [
    ...given.flatMap(([word, value]) => [word, String(value)]),
    ...(filter.names ?? []).flatMap((name) => ["NAME", name]),
  ];
}

function keyWords(key: string | undefined): string[] {
  return key === undefined ? [] : ["PARTITION_KEY", key];
}
