/**
 * What a growth run does at which size: its stages, each a fill that ends in three measured stretches of appends.
 *
 * At the end of every stage the store holds a tenth as many streams as events, whatever the stretches made. Some
 * streams are watched: they get 20 events each, spread over the history up to a stage, for that stage's reads.
 * Everything follows from the number of events, so that a run can be repeated.
 */

/** Events of a run. Below, a stage would hold less than what is measured; above, counters no longer fit 32 bits. */
export const EVENTS_MIN = 10_000;
export const EVENTS_MAX = 1_000_000_000;

/** Events a watched stream has when it is read. */
export const WATCHED_EVENTS = 20;

/** One size at which everything is measured. */
export interface Stage {
  /** Events in the store at its end. */
  readonly events: number;
  /** Streams at its end, those that are watched not counted. */
  readonly streams: number;
  /** Events of its fill: new and existing streams, and watched ones. */
  readonly mixed: number;
  /** Events of its measured stretches: to existing streams, to those with EVENT_ID, to new streams. */
  readonly existing: number;
  readonly identified: number;
  readonly created: number;
  /** Streams that are read at its end. */
  readonly watched: number;
  /** Events of fills, this stage's included, over which the watched streams' events are spread. */
  readonly watchedSpan: number;
}

export interface Plan {
  readonly events: number;
  readonly stages: readonly Stage[];
  /** How long a walk over the whole store is repeated at least, so that enough PINGs are counted beside it. */
  readonly walkSeconds: number;
}

/** The plan of a run of `events`, within its bounds. */
export function makePlan(events: number): Plan {
  const stages: Stage[] = [];
  let before = 0;
  let mixedBefore = 0;
  for (const end of stageEnds(events)) {
    const growth = end - before;
    const existing = Math.min(Math.floor(growth * STRETCH_SHARE), STRETCH_MAX);
    const created = Math.min(Math.floor(growth * CREATED_SHARE), CREATED_MAX);
    const mixed = growth - 2 * existing - created;
    mixedBefore += mixed;
    const watchedSpan = Math.floor(mixedBefore * WATCHED_SPAN_SHARE);
    const watched = Math.floor((watchedSpan * WATCHED_SHARE) / WATCHED_EVENTS);
    stages.push({
      events: end,
      streams: Math.floor(end / EVENTS_PER_STREAM),
      mixed,
      existing,
      identified: existing,
      created,
      watched: Math.min(Math.max(watched, 1), WATCHED_MAX),
      watchedSpan,
    });
    before = end;
  }
  return { events, stages, walkSeconds: events < WALK_EVENTS ? 0.1 : 2 };
}

/** A size in words: `30 M`, `666`. */
export function sizeName(events: number): string {
  const millions = events / 1e6;
  return Number.isInteger(millions * 10) && millions >= 1
    ? `${millions} M`
    : events.toLocaleString("en-US");
}

const EVENTS_PER_STREAM = 10;

/** Measured stretches take these shares of a stage's events, and no more than so many. */
const STRETCH_SHARE = 0.1;
const STRETCH_MAX = 1_000_000;
/** Fewer, since a tenth of the events are all the streams that there may be. */
const CREATED_SHARE = 0.08;
const CREATED_MAX = 400_000;

/** A run below it is for a first look. */
const WALK_EVENTS = 1e6;

/** Watched events end before the fill does, so that their streams are not touched lately. */
const WATCHED_SPAN_SHARE = 0.95;
/** The share of a fill that they may be. */
const WATCHED_SHARE = 1 / 8;
const WATCHED_MAX = 2_000;

/** Sizes of a long run. One that reaches fewer than two of them is measured at parts of itself. */
const STAGE_EVENTS = [1e6, 3e6, 10e6, 30e6, 100e6] as const;
const STAGE_DIVISORS = [100, 30, 10, 3, 1] as const;

function stageEnds(events: number): number[] {
  if (events < STAGE_EVENTS[1])
    return STAGE_DIVISORS.map((divisor) => Math.floor(events / divisor));
  const ends: number[] = STAGE_EVENTS.filter((end) => end < events);
  ends.push(events);
  return ends;
}
