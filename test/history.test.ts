/** The check of histories itself: it takes what one order explains, and finds each kind of answer that none does. */
import { expect, test } from "vitest";
import {
  type Answer,
  type AskedEvent,
  History,
  type LogEvent,
  type Question,
} from "./support/history.ts";

const UNKNOWN: Answer = { tell: "unknown" };

/** A stream's event `number` of the log; its id is its number. */
function event(position: number, streamId: string, streamVersion: number): LogEvent {
  return {
    position,
    eventId: `e${position}`,
    streamId,
    streamVersion,
    partitionId: 0,
    partitionSequence: position,
    transactionId: `t${position}`,
    recordedAt: 0,
    payload: "",
  };
}

/** Two streams: a has positions 0 and 2, b has 1. */
const LOG = [event(0, "a", 0), event(1, "b", 0), event(2, "a", 1)];
const EVENTS: AskedEvent[] = LOG.map(({ eventId, streamId }) => ({
  eventId,
  streamId,
  payload: "",
}));

function append(position: number): Question {
  return { ask: "append", events: EVENTS.slice(position, position + 1) };
}

function at(...positions: number[]): Answer {
  return { tell: "appended", positions };
}

/** Asks one thing after the other. */
function inTurn(...asked: [Question, Answer][]): History {
  const history = new History();
  for (const [question, answer] of asked) history.send(question)(answer);
  return history;
}

const APPENDS: [Question, Answer][] = [
  [append(0), at(0)],
  [append(1), at(1)],
  [append(2), at(2)],
];

test("what one order explains is taken", () => {
  const history = inTurn(
    [
      { ask: "version", streamId: "a" },
      { tell: "last", last: null },
    ],
    [append(0), at(0)],
    [{ ask: "end" }, { tell: "last", last: 0 }],
    [append(1), UNKNOWN],
    [append(1), at(1)],
    [
      { ask: "log", from: 0 },
      { tell: "events", eventIds: ["e0", "e1"] },
    ],
    [
      { ask: "event", eventId: "e2" },
      { tell: "found", isFound: false },
    ],
    [append(2), at(2)],
    [
      { ask: "stream", streamId: "a" },
      { tell: "events", eventIds: ["e0", "e2"] },
    ],
    [
      { ask: "append", events: [{ eventId: "e9", streamId: "a", payload: "", expected: 0 }] },
      { tell: "wrong version", streamId: "a", current: 1 },
    ],
    [{ ask: "append", events: [{ eventId: "e8", streamId: "a", payload: "" }] }, UNKNOWN],
  );
  history.check(LOG);
});

test("answers of questions that were under way together may come in any order", () => {
  const history = new History();
  const tells = [2, 1, 0].map((position) => history.send(append(position)));
  const read = history.send({ ask: "end" });
  for (const [index, tell] of tells.entries()) tell(at(2 - index));
  read({ tell: "last", last: null });
  history.check(LOG);
});

const BROKEN: [string, [Question, Answer][], string][] = [
  [
    "an append before one that was answered",
    [
      [append(2), at(2)],
      [append(0), at(0)],
      [append(1), at(1)],
    ],
    "had been shown before",
  ],
  [
    "an acknowledged event that is lost",
    [
      ...APPENDS,
      [{ ask: "append", events: [{ eventId: "e3", streamId: "a", payload: "" }] }, at(3)],
    ],
    "the log has it at",
  ],
  [
    "an answer with another position",
    [
      [append(0), at(1)],
      [append(1), at(1)],
      [append(2), at(2)],
    ],
    "the log has it at",
  ],
  ["an event from nowhere", APPENDS.slice(0, 2), "comes from nowhere"],
  [
    "an event that was refused",
    [[append(0), { tell: "refused" }], ...APPENDS.slice(1)],
    "was refused, but it is there",
  ],
  [
    "a stale version",
    [
      ...APPENDS,
      [
        { ask: "version", streamId: "a" },
        { tell: "last", last: 0 },
      ],
    ],
    "had been shown before",
  ],
  [
    "a version that never was",
    [
      ...APPENDS,
      [
        { ask: "version", streamId: "a" },
        { tell: "last", last: 2 },
      ],
    ],
    "never had version",
  ],
  [
    "a stale end",
    [...APPENDS, [{ ask: "end" }, { tell: "last", last: 1 }]],
    "had been shown before",
  ],
  [
    "a read with a hole",
    [
      ...APPENDS,
      [
        { ask: "log", from: 0 },
        { tell: "events", eventIds: ["e0", "e2"] },
      ],
    ],
    "no part of it",
  ],
  [
    "a read of a stream out of order",
    [
      ...APPENDS,
      [
        { ask: "stream", streamId: "a" },
        { tell: "events", eventIds: ["e2", "e0"] },
      ],
    ],
    "no prefix of it",
  ],
  [
    "an event that was there and is not found",
    [
      ...APPENDS,
      [
        { ask: "event", eventId: "e0" },
        { tell: "found", isFound: false },
      ],
    ],
    "had been shown before",
  ],
  [
    "an event that is shown before it is sent",
    [
      [
        { ask: "event", eventId: "e0" },
        { tell: "found", isFound: true },
      ],
      ...APPENDS,
    ],
    "had been shown before",
  ],
  [
    "a version that was never wrong",
    [
      ...APPENDS,
      [
        { ask: "append", events: [{ eventId: "e9", streamId: "b", payload: "" }] },
        { tell: "wrong version", streamId: "b", current: null },
      ],
    ],
    "had been shown before",
  ],
];

test.each(BROKEN)("%s is found", (_, asked, message) => {
  expect(() => inTurn(...asked).check(LOG)).toThrow(message);
});

test.each<[string, Partial<LogEvent>, string]>([
  ["a gap in the positions", { position: 3 }, "stands at"],
  ["a version that is given twice", { streamVersion: 0 }, "has no version"],
  ["a gap in the sequences", { partitionSequence: 3 }, "has no sequence"],
  ["a clock that goes back", { recordedAt: -1 }, "recorded_at falls"],
  ["another payload", { payload: "y" }, "is another than was appended"],
])("%s is found", (_, change, message) => {
  const log = LOG.map((each, index) => (index === 2 ? { ...each, ...change } : each));
  expect(() => inTurn(...APPENDS).check(log)).toThrow(message);
});

test("a transaction in part and a version that two appends won are found", () => {
  const two: Question = {
    ask: "append",
    events: [...EVENTS.slice(2), { eventId: "e3", streamId: "b", payload: "" }],
  };
  expect(() => inTurn(...APPENDS.slice(0, 2), [two, UNKNOWN]).check(LOG)).toThrow("in part");
  const won: Question = {
    ask: "append",
    events: [{ eventId: "e2", streamId: "a", payload: "", expected: "empty" }],
  };
  expect(() => inTurn(...APPENDS.slice(0, 2), [won, at(2)]).check(LOG)).toThrow("expected empty");
});
