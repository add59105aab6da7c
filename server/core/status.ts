/** Every status that the core answers with; core-wasm/assembly/status.ts names the same numbers. */

export const DONE = 0;
export const REPEATED = 1;
export const NO_ROOM = -1;
export const NEED_BLOCK = -2;
export const NO_MEMORY = -3;
export const WRONG_VERSION = -4;
export const WRONG_KEY = -5;
export const DUPLICATE = -6;
export const ID_TWICE = -7;
export const CORRUPT = -8;
export const NEED_OUTPUT = -9;
export const PAUSED = -10;
export const MISFIT = -11;
export const INDEX_BEHIND = -12;

/** What replay stops with; core-wasm/assembly/replay.ts names the same numbers. */
export const REPLAY_STOPPED = 0;
export const REPLAY_NEEDS_MORE = 1;
export const REPLAY_MISFIT = 2;
export const REPLAY_UNKNOWN_KIND = 3;
export const REPLAY_NO_MEMORY = 4;
export const REPLAY_FULL = 5;
export const REPLAY_RUN_END = 6;

/** Kinds of frames; core-wasm/assembly/frame.ts names the same numbers. */
export const KIND_EVENTS = 1;
export const KIND_MARK = 2;
export const KIND_END = 3;
