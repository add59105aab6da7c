/** What can be fuzzed: bytes of an input, or cases that a number names. */
import type { Random } from "../support/random.ts";

/** Input that the program must bear, whatever it is. */
export interface ByteTarget {
  readonly name: string;
  /** What must hold, in a line. */
  readonly promise: string;
  /** Of the time that all have together, beside the others' shares. */
  readonly share: number;
  /** Random inputs of each test run; `make fuzz` has the time for more. */
  readonly testInputs: number;
  /** Words of the input's language. */
  readonly dictionary: readonly string[];
  /** Makes an input that is none of the corpus, where there is a better way than changing one. */
  generate?(random: Random): Uint8Array;
  /** Throws where the promise is broken. The same bytes must do the same. */
  check(input: Uint8Array): void | Promise<void>;
  /** Ends what the checks have started. */
  close?(): Promise<void>;
}

/** Runs that a number from 1 on names. */
export interface CaseTarget {
  readonly name: string;
  readonly promise: string;
  /** Of the time that all have together, beside the others' shares. */
  readonly share: number;
  /** How many cases there are; Infinity where each number is a seed. */
  count(): Promise<number>;
  /** Throws where the promise is broken. Returns what was done, in numbers that are summed up. */
  run(number: number): Promise<Readonly<Record<string, number>>>;
}
