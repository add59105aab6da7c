/**
 * What a subscription takes: streams by name, patterns of stream ids, partitions, or the whole log, and where each of
 * these begins. A filter may take less of it.
 */

/**
 * Where an argument begins: with the first event that has both. A version is for streams and patterns, for partitions
 * it is a sequence. `{ number: n, position: 0 }` is "from version n on", `{ number: 0, position: p }` "from position p
 * on", and with p behind the last durable event "from now on".
 */
export interface Start {
  readonly number: number;
  readonly position: number;
}

export interface StreamInterest {
  /** UTF-8. */
  readonly streamId: Uint8Array;
  /** 16 bytes: the stream is taken under this partition key alone; null for any. */
  readonly key: Uint8Array | null;
  readonly start: Start;
}

export interface PatternInterest {
  /** A glob, as filters have it. */
  readonly pattern: Uint8Array;
  readonly start: Start;
}

export interface PartitionInterest {
  readonly partition: number;
  readonly start: Start;
}

/** An event that several arguments take comes once; a stream's own start beats a pattern's. */
export type Interest =
  | { readonly kind: "log"; readonly position: number }
  | {
      readonly kind: "streams";
      readonly streams: StreamInterest[];
      readonly patterns: PatternInterest[];
    }
  | { readonly kind: "partitions"; readonly partitions: readonly PartitionInterest[] };

/** The smallest position that the interest can take; what lies below need not be looked at. */
export function firstPosition(interest: Interest): number {
  if (interest.kind === "log") return interest.position;
  if (interest.kind === "partitions") return firstStart(interest.partitions);
  return Math.min(firstStart(interest.streams), firstStart(interest.patterns));
}

/** The smallest position at which one of these begins; infinity for none. */
export function firstStart(taken: readonly { readonly start: Start }[]): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { start } of taken) first = Math.min(first, start.position);
  return first;
}
