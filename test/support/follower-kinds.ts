/**
 * One follower of every kind, over streams that are appended to all the time, and the partitions in which these lie.
 */
import type { Follower, Known } from "./followers.ts";
import {
  LatestFollower,
  PushFollower,
  ResumeByNumber,
  ResumeByPosition,
} from "./push-followers.ts";
import type { Random } from "./random.ts";
import { BlockFollower, FeedFollower, PubsubFollower } from "./read-followers.ts";
import type { Word } from "./resp-client.ts";

export const PARTITIONS = 8;
/** Streams that are followed and appended to. */
export const STREAMS = Array.from({ length: 10 }, (_, i) => `hot-${i}`);
/** The last two share a partition key. */
export const KEY = "550e8400-e29b-41d4-a716-446655440000";
export const SHARED = ["hot-8", "hot-9"];
export const NAMES = ["Opened", "Changed", "Closed"];

/** Followers of every kind, each beginning somewhere in the history, or at its end. */
export function makeFollowers(log: readonly Known[], random: Random): Follower[] {
  const end = log.length;
  const nextVersion = new Map(STREAMS.map((stream) => [stream, 0]));
  const nextSequence = new Map(Array.from({ length: PARTITIONS }, (_, i) => [String(i), 0]));
  for (const { stream, version, partition, sequence } of log) {
    if (nextVersion.has(stream)) nextVersion.set(stream, version + 1);
    nextSequence.set(String(partition), sequence + 1);
  }
  const before = (next: number): number => Math.max(0, next - random.pick([0, 1, 30, 500]));
  const startsOf = (names: readonly string[], next: ReadonlyMap<string, number>) =>
    new Map(names.map((name) => [name, before(next.get(name) ?? 0)]));

  const streams = (names: readonly string[], words: readonly Word[] = names): Follower => {
    const starts = startsOf(names, nextVersion);
    return new PushFollower(
      {
        label: `ESUB ${words.join(" ")}`,
        takes: ({ stream, version }) => version >= (starts.get(stream) ?? Number.POSITIVE_INFINITY),
      },
      ["ESUB", ...words],
      new ResumeByNumber(starts, "version"),
    );
  };
  const partitions = (argument: string, numbers: readonly number[]): Follower => {
    const starts = startsOf(numbers.map(String), nextSequence);
    return new PushFollower(
      {
        label: `EPSUB ${argument}`,
        takes: ({ partition, sequence }) =>
          sequence >= (starts.get(String(partition)) ?? Number.POSITIVE_INFINITY),
      },
      ["EPSUB", argument],
      new ResumeByNumber(starts, "sequence"),
    );
  };
  const positions = (
    words: readonly Word[],
    takes: (event: Known) => boolean,
    filter: readonly Word[] = [],
  ): Follower => {
    const start = before(end);
    return new PushFollower(
      {
        label: [...words, "FROM POSITION", start, ...filter].join(" "),
        takes: (event) => event.position >= start && takes(event),
      },
      words,
      new ResumeByPosition(start),
      filter,
    );
  };
  const block = (
    words: readonly Word[],
    of: "version" | "sequence" | "position",
    next: number,
    takes: (event: Known) => boolean,
    filter: readonly Word[] = [],
  ): Follower => {
    const start = before(next);
    return new BlockFollower(
      {
        label: [...words, start, "BLOCK", ...filter].join(" "),
        takes: (event) => event[of] >= start && takes(event),
      },
      words,
      start,
      (event) => event[of],
      filter,
    );
  };
  /** The partitions of these streams. */
  const placesOf = (...names: string[]): number[] => [
    ...new Set(log.filter(({ stream }) => names.includes(stream)).map((event) => event.partition)),
  ];
  const [place = -1] = placesOf("hot-3");
  const places = placesOf("hot-0", "hot-1", "hot-8");
  const feed = (
    path: string,
    of: "version" | "sequence" | "position",
    next: number,
    takes: (event: Known) => boolean,
    query = "",
  ): Follower => {
    const start = before(next);
    return new FeedFollower(
      {
        label: `${path}?from=${start}${query}`,
        takes: (event) => event[of] >= start && takes(event),
      },
      path,
      of,
      start,
      query,
    );
  };
  const isHot = ({ stream }: Known): boolean => stream.startsWith("hot-");
  const byVersion = () => new ResumeByNumber(new Map(), "version");
  const bySequence = () => new ResumeByNumber(new Map(), "sequence");

  return [
    streams(["hot-0"]),
    streams(["hot-8"]),
    streams(["hot-1", "hot-2", "hot-3"]),
    streams(STREAMS, ["hot-*", ...STREAMS]),
    positions(["ESUB", "hot-*"], isHot),
    positions(["ESUB", "hot-[0-4]", "hot-4", "hot-7", "cold-1"], ({ stream }) =>
      /^(hot-[0-47]|cold-1)$/.test(stream),
    ),
    positions(["ESUB", "hot-5", "hot-9"], ({ stream }) => /^hot-[59]$/.test(stream)),
    positions(["ESUB", "hot-8", "PARTITION_KEY", KEY], ({ stream }) => stream === "hot-8"),
    partitions(String(place), [place]),
    partitions(places.join(","), places),
    partitions("*", [...Array(PARTITIONS).keys()]),
    positions(["EPSUB", places.join(",")], ({ partition }) => places.includes(partition)),
    positions(
      ["EPSUB", KEY],
      ({ partition, key }) => key === KEY || partition === keyPartition(log),
    ),
    positions(["EPSUB", "*"], () => true),
    positions(["EPSUB", "*"], ({ name }) => name === "Closed", ["NAME", "Closed"]),
    positions(["EPSUB", "*"], ({ key }) => key === KEY, ["KEY", KEY]),
    positions(["EPSUB", "*"], ({ timestamp }) => timestamp >= 1_700, ["SINCE", 1_700]),
    positions(
      ["ESUB", "*"],
      ({ stream, name, partition }) =>
        /^hot-[0-3]$/.test(stream) && name !== "Closed" && partition < 6,
      ["MATCH", "hot-[0-3]", "NAME", "Opened", "NAME", "Changed", "PARTITIONS", "0-5"],
    ),
    new LatestFollower(only("stream", "hot-6"), ["ESUB", "hot-6"], byVersion),
    new LatestFollower(only("partition", place), ["EPSUB", String(place)], bySequence),
    block(
      ["ESCAN", "hot-0"],
      "version",
      nextVersion.get("hot-0") ?? 0,
      ({ stream }) => stream === "hot-0",
    ),
    block(
      ["EPSCAN", place],
      "sequence",
      nextSequence.get(String(place)) ?? 0,
      ({ partition }) => partition === place,
    ),
    block(["ELOG"], "position", end, () => true),
    block(["ELOG"], "position", end, isHot, ["MATCH", "hot-*"]),
    block(
      ["ELOG"],
      "position",
      end,
      ({ name, timestamp }) => name === "Opened" && timestamp <= 1_300,
      [...["NAME", "Opened", "UNTIL", 1_300]],
    ),
    feed(
      "/v1/streams/hot-2/events",
      "version",
      nextVersion.get("hot-2") ?? 0,
      ({ stream }) => stream === "hot-2",
    ),
    feed(
      `/v1/partitions/${place}/events`,
      "sequence",
      nextSequence.get(String(place)) ?? 0,
      ({ partition }) => partition === place,
    ),
    feed("/v1/events", "position", end, ({ name }) => name === "Closed", "&name=Closed"),
    feed("/v1/subscribe", "position", end, isHot, "&stream=hot-%2A"),
    feed(
      "/v1/subscribe",
      "position",
      end,
      ({ stream }) => /^hot-[069]$/.test(stream),
      "&stream=hot-0&stream=hot-6&stream=hot-9",
    ),
    new PubsubFollower(only("stream", "hot-1"), ["SUBSCRIBE", "hot-1"]),
    new PubsubFollower({ label: "PSUBSCRIBE hot-*", takes: isHot }, ["PSUBSCRIBE", "hot-*"]),
  ];
}

function only<Field extends "stream" | "partition">(field: Field, value: Known[Field]) {
  return {
    label: `${field} ${value} from LATEST`,
    takes: (event: Known): boolean => event[field] === value,
  };
}

/** The partition of the streams that share a key. */
function keyPartition(log: readonly Known[]): number {
  return log.find(({ key }) => key === KEY)?.partition ?? -1;
}
