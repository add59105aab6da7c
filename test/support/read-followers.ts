/**
 * Followers by other ways than pushes of their own: BLOCK, Server-Sent Events, and classic pub/sub.
 */
import { expect } from "vitest";
import { FeedClient } from "./feed-client.ts";
import {
  endOf,
  type Follower,
  type Known,
  knownOf,
  newStretch,
  type Stretch,
  type Surroundings,
  type Topic,
} from "./followers.ts";
import type { Plain } from "./model.ts";
import { asMaps, encode, type PlainMap, plain, type RespClient, type Word } from "./resp-client.ts";

/** Events of one page, or of one visit, at the most. */
const EVENTS_MOST = 100;

// ── BLOCK ─────────────────────────────────────────────────────────────────────────────────────────

/** A loop over ESCAN, EPSCAN or ELOG with BLOCK: it goes on at `next`, or behind the last number that came. */
export class BlockFollower implements Follower {
  readonly stretches: Stretch[];
  private readonly words: readonly Word[];
  private readonly numberOf: (event: Known) => number;
  private readonly filter: readonly Word[];
  private next: number;

  /** `words` are the command up to the start. */
  constructor(
    topic: Topic,
    words: readonly Word[],
    start: number,
    numberOf: (event: Known) => number,
    filter: readonly Word[] = [],
  ) {
    this.stretches = [newStretch(topic)];
    this.words = words;
    this.next = start;
    this.numberOf = numberOf;
    this.filter = filter;
  }

  async visit(client: RespClient, { random }: Surroundings): Promise<void> {
    for (let i = random.between(1, 4); i > 0; i--) {
      const options = [
        "COUNT",
        random.between(1, EVENTS_MOST),
        "BLOCK",
        random.pick([0, 50, 2_000]),
      ];
      const page = await client.map(...this.words, this.next, "+", ...options, ...this.filter);
      for (const event of asMaps(page.events)) {
        const known = knownOf(event);
        this.stretches[0]?.ids.push(known.id);
        this.next = this.numberOf(known) + 1;
      }
      if (page.next !== undefined) {
        expect(Number(page.next)).toBeGreaterThanOrEqual(this.next);
        this.next = Number(page.next);
      }
    }
    client.close();
  }
}

// ── Server-Sent Events ────────────────────────────────────────────────────────────────────────────

/** A feed, which comes back with Last-Event-ID. */
export class FeedFollower implements Follower {
  readonly stretches: Stretch[];
  private readonly path: string;
  private readonly query: string;
  private readonly isByPosition: boolean;
  private lastEventId: string;

  /** `of` is what the feed's ids are, `query` what it is asked for beside where it begins. */
  constructor(
    topic: Topic,
    path: string,
    of: "version" | "sequence" | "position",
    start: number,
    query = "",
  ) {
    this.stretches = [newStretch(topic)];
    this.path = path;
    this.query = query;
    this.isByPosition = of === "position";
    this.lastEventId = String(start - 1);
  }

  async visit(client: RespClient, { random, appended, httpPort }: Surroundings): Promise<void> {
    const stretch = this.stretches[0] as Stretch;
    // `from` includes its number, Last-Event-ID excludes it and beats `from`.
    const resumesByHeader = random.chance(0.7);
    const from = resumesByHeader ? 0 : Number(this.lastEventId) + 1;
    const url = `http://127.0.0.1:${httpPort()}${this.path}?from=${from}${this.query}`;
    const feed = await FeedClient.open(url, resumesByHeader ? this.lastEventId : null);
    try {
      let waitsForEnd = random.chance(0.3);
      let pauseAfter = random.chance(0.2) ? random.between(1, 10) : 0;
      for (let left = random.between(1, EVENTS_MOST); left > 0 || waitsForEnd; ) {
        const message = await feed.next();
        if (message === null) throw new Error("the connection of a feed has ended");
        this.lastEventId = message.id ?? this.lastEventId;
        if (message.event === "caught-up") {
          waitsForEnd = false;
          if (this.isByPosition) {
            stretch.examined.push({ position: Number(message.id), count: stretch.ids.length });
          }
        }
        if (message.event !== "message" || message.data === null) continue;
        stretch.ids.push(knownOf(JSON.parse(message.data) as PlainMap).id);
        if (!waitsForEnd) left--;
        if (left !== pauseAfter) continue;
        pauseAfter = 0;
        await appended();
      }
    } finally {
      feed.close();
    }
    client.close();
  }
}

// ── SUBSCRIBE ─────────────────────────────────────────────────────────────────────────────────────

/** Classic pub/sub: what is appended while it is there. */
export class PubsubFollower implements Follower {
  readonly stretches: Stretch[] = [];
  private readonly topic: Topic;
  private readonly words: readonly Word[];

  constructor(topic: Topic, words: readonly Word[]) {
    this.topic = topic;
    this.words = words;
  }

  async visit(client: RespClient, { random, appended }: Surroundings): Promise<void> {
    const before = await endOf(client);
    client.send(encode(this.words));
    const stretch = newStretch(this.topic, before, await endOf(client));
    this.stretches.push(stretch);
    expect((plain(await client.push(), "utf8") as Plain[])[1]).toBe(this.words[1]);
    const pauseAfter = random.chance(0.3) ? random.between(1, 10) : 0;
    for (let left = random.between(1, EVENTS_MOST / 2); left > 0; left--) {
      const push = plain(await client.push(), "utf8") as Plain[];
      const event = JSON.parse(String(push.at(-1))) as PlainMap;
      expect(push.at(-2)).toBe(event.stream_id);
      stretch.ids.push(knownOf(event).id);
      if (left !== pauseAfter) continue;
      client.pause();
      await appended();
      client.resume();
    }
    client.close();
  }
}
