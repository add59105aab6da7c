/**
 * Followers of a store that come and go, and what each was given: for a test that holds all of it against the whole log.
 *
 * A follower keeps what a projection keeps: the last version, sequence or position that it was given. It comes back
 * there. What it is given over all of its visits must be one run of what it asked for, from its start on.
 */
import type { Random } from "./random.ts";
import type { PlainMap, RespClient } from "./resp-client.ts";

/** An event of the log as far as followers tell events apart. */
export interface Known {
  readonly id: string;
  readonly position: number;
  readonly stream: string;
  readonly version: number;
  readonly partition: number;
  readonly sequence: number;
  readonly name: string;
  readonly key: string;
  readonly timestamp: number;
}

/** What a follower asks for, however it asks. */
export interface Topic {
  /** What it is called where a test fails. */
  readonly label: string;
  takes(event: Known): boolean;
}

/** What came of one topic, in order: it must be a run of what the topic takes. */
export interface Stretch {
  readonly topic: Topic;
  /** The run begins with the first event that it takes at one of these positions, or beyond it. */
  readonly firstMin: number;
  readonly firstMax: number;
  readonly ids: string[];
  /** Positions up to which everything was examined, and how many events had come by then. */
  readonly examined: { readonly position: number; readonly count: number }[];
}

/** What followers know of the server under test. */
export interface Surroundings {
  readonly random: Random;
  httpPort(): number;
  /** Resolves when some events more were appended, or none will be. */
  appended(): Promise<void>;
}

/** One way to follow. A visit reads on where the last one ended. */
export interface Follower {
  readonly stretches: readonly Stretch[];
  /** Closes the connection, or leaves it as it was. That it fails is thrown, and no failure where the server was ended. */
  visit(client: RespClient, surroundings: Surroundings): Promise<void>;
}

export function knownOf(event: PlainMap): Known {
  return {
    id: String(event.event_id),
    position: Number(event.position),
    stream: String(event.stream_id),
    version: Number(event.stream_version),
    partition: Number(event.partition_id),
    sequence: Number(event.partition_sequence),
    name: String(event.event_name),
    key: String(event.partition_key),
    timestamp: Number(event.timestamp),
  };
}

export function newStretch(topic: Topic, firstMin = 0, firstMax = firstMin): Stretch {
  return { topic, firstMin, firstMax, ids: [], examined: [] };
}

/** Throws where a stretch is no run of what its topic takes of the log. */
export function checkStretch(stretch: Stretch, log: readonly Known[]): void {
  const { topic, ids } = stretch;
  const taken = log.filter((event) => topic.takes(event));
  const indexFrom = (position: number): number => {
    const index = taken.findIndex((event) => event.position >= position);
    return index < 0 ? taken.length : index;
  };
  const least = indexFrom(stretch.firstMin);
  const most = indexFrom(stretch.firstMax);
  const found = taken.findIndex((event) => event.id === ids[0]);
  const first = ids.length === 0 ? least : found;
  if (first < least || first > most) {
    throw new Error(
      `${topic.label}: began with event ${first} of its own, not ${least} to ${most}`,
    );
  }
  for (const [i, id] of ids.entries()) {
    const right = taken[first + i];
    if (right?.id === id) continue;
    const came = log.find((event) => event.id === id);
    throw new Error(`${topic.label}: event ${i} is ${told(came)}, but should be ${told(right)}`);
  }
  for (const { position, count } of stretch.examined) {
    const due = indexFrom(position + 1) - first;
    if (least === most && due !== count) {
      throw new Error(`${topic.label}: ${count} events up to position ${position}, but ${due} are`);
    }
  }
}

function told(event: Known | undefined): string {
  if (event === undefined) return "nothing";
  return `position ${event.position} (${event.stream} version ${event.version})`;
}

/** The position that the next event gets, as far as this connection sees. */
export async function endOf(client: RespClient): Promise<number> {
  const last = await client.value("EPOS");
  return last === null ? 0 : Number(last) + 1;
}
