/**
 * Where reply bytes go: a growing area of some memory.
 *
 * `memory` may be another array after `reserve` (WASM memory that grew), so a writer takes it anew each time
 * and never keeps it over a call.
 */
export interface ByteSink {
  /** The memory that holds the area; indexes are addresses in it. */
  readonly memory: Uint8Array;
  /** Address of the next byte. The writer moves it on. */
  tail: number;
  /** Makes room for `size` bytes after `tail`. */
  reserve(size: number): void;
}
