// Every status that crosses the edge. Zero and above: done; below: why not.
// server/core/status.ts names the same numbers.

/** Appended. */
export const DONE: i32 = 0;
/** The request repeats an earlier transaction; the results are that one's. */
export const REPEATED: i32 = 1;

/** The segment, or the batch, has no room for this transaction now. */
export const NO_ROOM: i32 = -1;
/** A block of the log must be loaded first: `missedOffset` says which. Then call again. */
export const NEED_BLOCK: i32 = -2;
/** The memory's limit is reached. */
export const NO_MEMORY: i32 = -3;
/** EXPECTED_VERSION does not hold: `failedIndex`, `failedVersion`. */
export const WRONG_VERSION: i32 = -4;
/** The stream has another partition key: `failedIndex`; the stream's key is in its result row. */
export const WRONG_KEY: i32 = -5;
/** An event id stands for other content: `failedIndex`; `failedPosition` says where. */
export const DUPLICATE: i32 = -6;
/** An event id is given twice in one request: `failedIndex`. */
export const ID_TWICE: i32 = -7;
/** The stored frame is damaged: `wantedOffset` says where in the log. */
export const CORRUPT: i32 = -8;
/** The output area is full: make it larger and call again. */
export const NEED_OUTPUT: i32 = -9;
/** The work that the call allowed is done, but not all there is: call again, perhaps in a later turn. */
export const PAUSED: i32 = -10;
/** Index runs do not go together: one is no continuation of the one before it. */
export const MISFIT: i32 = -11;
/** The memtables are full: an append waits until a run is written. */
export const INDEX_BEHIND: i32 = -12;
