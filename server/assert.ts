/**
 * States what our own code guarantees. A false condition is a bug of ours: it crashes, and recovery is
 * the repair. Input of a user is never asserted; it gets a typed answer (`errors.ts`).
 */
export function assert(condition: boolean, message = "assertion failed"): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The process ends. */
export class AssertionError extends Error {
  override name = "AssertionError";
}
