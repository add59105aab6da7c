/**
 * Followers by ESUB and EPSUB: windows, acknowledgements, progress, pauses, and the ways to leave and to come back.
 */
import { expect } from "vitest";
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
import type { Random } from "./random.ts";
import { type PlainMap, plain, type RespClient, type Word } from "./resp-client.ts";

/** How a follower says where it goes on. */
export interface Resume {
  /** The words from FROM on. */
  from(random: Random): Word[];
  /** It was given this event. */
  given(event: Known): void;
  /** Everything up to this position was examined. */
  examined(position: number): void;
}

export class PushFollower implements Follower {
  readonly stretches: Stretch[];
  private readonly words: readonly Word[];
  private readonly filter: readonly Word[];
  private readonly resume: Resume;

  /** `words` are the command up to FROM, `filter` what may follow it. */
  constructor(topic: Topic, words: readonly Word[], resume: Resume, filter: readonly Word[] = []) {
    this.stretches = [newStretch(topic)];
    this.words = words;
    this.resume = resume;
    this.filter = filter;
  }

  async visit(client: RespClient, surroundings: Surroundings): Promise<void> {
    const { random } = surroundings;
    const manner = mannerOf(random);
    const from = this.resume.from(random);
    const words = [...this.words, ...from, ...manner.words, ...this.filter];
    await readPushes(client, words, manner, surroundings, {
      stretch: this.stretches[0] as Stretch,
      resume: this.resume,
    });
  }
}

/** Begins at LATEST each time, and at times comes back to where it was. */
export class LatestFollower implements Follower {
  readonly stretches: Stretch[] = [];
  private readonly topic: Topic;
  private readonly words: readonly Word[];
  private readonly makeResume: () => Resume;
  private resume: Resume | null = null;

  constructor(topic: Topic, words: readonly Word[], makeResume: () => Resume) {
    this.topic = topic;
    this.words = words;
    this.makeResume = makeResume;
  }

  async visit(client: RespClient, surroundings: Surroundings): Promise<void> {
    const { random } = surroundings;
    const manner = mannerOf(random);
    const last = this.stretches.at(-1);
    // Only what has come says where it stands.
    if (this.resume !== null && last !== undefined && last.ids.length > 0 && random.chance(0.5)) {
      const words = [...this.words, ...this.resume.from(random), ...manner.words];
      const progress = { stretch: last, resume: this.resume };
      await readPushes(client, words, manner, surroundings, progress);
      return;
    }
    const before = await endOf(client);
    const resume = this.makeResume();
    const from = random.chance(0.5) ? ["FROM", "LATEST"] : [];
    await readPushes(client, [...this.words, ...from, ...manner.words], manner, surroundings, {
      resume,
      begin: async () => {
        const stretch = newStretch(this.topic, before, await endOf(client));
        this.stretches.push(stretch);
        this.resume = resume;
        return stretch;
      },
    });
  }
}

/** How one visit goes. */
interface Manner {
  /** WINDOW, NOACK, PROGRESS. */
  readonly words: readonly Word[];
  readonly window: number;
  /** Leaves after so many events; with `untilCaughtUp` so many after the history is through. */
  readonly events: number;
  readonly untilCaughtUp: boolean;
  /** Stops reading after so many events, until some more were appended. */
  readonly pauseAfter: number;
  readonly leaves: "close" | "unsubscribe" | "paused";
}

const EVENTS_MOST = 100;
/** What a client that never acknowledges gets. */
const WINDOW_UNSAID = 1_000;

function mannerOf(random: Random): Manner {
  const window = random.pick([1, 3, 40, WINDOW_UNSAID, Number.POSITIVE_INFINITY]);
  const words: Word[] = [];
  if (window === Number.POSITIVE_INFINITY) words.push("NOACK");
  else if (window !== WINDOW_UNSAID) words.push("WINDOW", window);
  const wantsProgress = random.chance(0.5);
  if (wantsProgress) words.push("PROGRESS");
  return {
    words,
    window,
    events: random.between(1, window < 10 ? 12 : EVENTS_MOST),
    untilCaughtUp: wantsProgress && window > 10 && random.chance(0.6),
    pauseAfter: random.chance(0.2) ? random.between(0, 10) : Number.POSITIVE_INFINITY,
    leaves: random.pick(["close", "unsubscribe", "paused"]),
  };
}

interface Progress {
  readonly stretch?: Stretch;
  /** Makes the stretch once the subscription is there. */
  readonly begin?: () => Promise<Stretch>;
  readonly resume: Resume;
}

/** Subscribes, reads as the manner says, and leaves. */
async function readPushes(
  client: RespClient,
  words: readonly Word[],
  manner: Manner,
  { appended }: Surroundings,
  progress: Progress,
): Promise<void> {
  const id = await client.value(...words);
  const stretch = progress.stretch ?? (await (progress.begin as () => Promise<Stretch>)());
  let cursor = 0;
  let acknowledged = 0;
  let left = manner.events;
  let waitsForEnd = manner.untilCaughtUp;
  let { pauseAfter } = manner;
  const take = (push: Plain[]): void => {
    const [kind, of, number, event] = push;
    must(of === id, `a push for ${of}, not ${id}`);
    if (kind === "subscribe") return;
    if (kind === "caught-up" || kind === "progress") {
      stretch.examined.push({ position: Number(number), count: stretch.ids.length });
      progress.resume.examined(Number(number));
      if (kind === "caught-up") waitsForEnd = false;
      return;
    }
    must(kind === "message", `a push of kind ${kind}: ${number}`);
    must(number === cursor, `message ${number}, not ${cursor}`);
    must(cursor < acknowledged + manner.window, `message ${cursor} beyond the window`);
    cursor++;
    const known = knownOf(event as PlainMap);
    stretch.ids.push(known.id);
    progress.resume.given(known);
    if (!waitsForEnd) left--;
  };
  const next = async (): Promise<void> => take(plain(await client.push(), "utf8") as Plain[]);

  while (left > 0 || waitsForEnd) {
    await next();
    if (cursor === pauseAfter) {
      pauseAfter = Number.POSITIVE_INFINITY;
      client.pause();
      await appended();
      client.resume();
    }
    const isDue = cursor - acknowledged >= Math.min(manner.window, WINDOW_UNSAID) / 2;
    if (manner.window === Number.POSITIVE_INFINITY || !isDue) continue;
    acknowledged = cursor;
    expect(await client.value("EACK", String(id), cursor - 1)).toBe("OK");
  }
  if (manner.leaves === "unsubscribe") {
    expect(await client.value("EUNSUB", String(id))).toBe("OK");
    // What came before the answer is its own, and nothing comes behind it.
    while (client.pushCount > 0) await next();
    await client.value("PING");
    expect(client.pushCount).toBe(0);
    return;
  }
  if (manner.leaves === "paused") {
    client.pause();
    await appended();
  }
  client.close();
}

// ── where a follower goes on ──────────────────────────────────────────────────────────────────────

/** By the version of each stream, or by the sequence of each partition. */
export class ResumeByNumber implements Resume {
  private readonly next: Map<string, number>;
  private readonly nameOf: (event: Known) => string;
  private readonly numberOf: (event: Known) => number;

  constructor(starts: ReadonlyMap<string, number>, of: "version" | "sequence") {
    this.next = new Map(starts);
    this.nameOf = of === "version" ? ({ stream }) => stream : ({ partition }) => String(partition);
    this.numberOf = (event) => event[of];
  }

  from(random: Random): Word[] {
    const [first] = this.next.values();
    if (this.next.size === 1 && random.chance(0.5)) return ["FROM", first as number];
    return ["FROM", "MAP", ...[...this.next].map(([name, number]) => `${name}=${number}`)];
  }

  given(event: Known): void {
    this.next.set(this.nameOf(event), this.numberOf(event) + 1);
  }

  examined(): void {}
}

export class ResumeByPosition implements Resume {
  private next: number;

  constructor(start: number) {
    this.next = start;
  }

  from(): Word[] {
    return ["FROM", "POSITION", this.next];
  }

  given({ position }: Known): void {
    must(position >= this.next, `position ${position}, but from ${this.next} on was asked`);
    this.next = position + 1;
  }

  examined(position: number): void {
    this.next = Math.max(this.next, position + 1);
  }
}

/** Of each message: an `expect` takes longer than the message. */
function must(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
