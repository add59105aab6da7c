/**
 * An interest as the core takes it, for a subscriber that walks the log: core-wasm/assembly/interest.ts draws the
 * layout.
 */
import { type Core, UUID_BYTES } from "../core/core.ts";
import type { Interest, PartitionInterest, PatternInterest, StreamInterest } from "./interest.ts";

const KIND_STREAMS = 0;
const KIND_PARTITIONS = 1;
const HASH_BYTES = 12;
const HEAD_BYTES = 16;
const LITERAL_BYTES = 48;
const PATTERN_HEAD_BYTES = 20;
const PARTITIONS_HEAD_BYTES = 24;

/** The program of an interest, or null for the whole log, of which nothing has to be asked. */
export function interestProgram(core: Core, interest: Interest, partitions: number) {
  if (interest.kind === "log") return null;
  if (interest.kind === "partitions") return partitionsProgram(interest.partitions, partitions);
  return streamsProgram(core, interest.streams, interest.patterns);
}

function streamsProgram(
  core: Core,
  streams: readonly StreamInterest[],
  patterns: readonly PatternInterest[],
): Uint8Array {
  const literals = streams
    .map((stream) => ({ ...stream, hash: hashOf(core, stream.streamId) }))
    .sort((a, b) => compareHashes(a.hash, b.hash));
  const patternBytes = patterns.reduce((sum, { pattern }) => sum + patternSize(pattern), 0);
  const program = new Uint8Array(HEAD_BYTES + literals.length * LITERAL_BYTES + patternBytes);
  const view = new DataView(program.buffer);
  view.setUint32(0, KIND_STREAMS, true);
  view.setUint32(4, literals.length, true);
  view.setUint32(8, patterns.length, true);
  let at = HEAD_BYTES;
  for (const { hash, key, start } of literals) {
    program.set(hash, at);
    view.setUint32(at + 12, key === null ? 0 : 1, true);
    view.setFloat64(at + 16, start.number, true);
    view.setFloat64(at + 24, start.position, true);
    if (key !== null) program.set(key.subarray(0, UUID_BYTES), at + 32);
    at += LITERAL_BYTES;
  }
  for (const { pattern, start } of patterns) {
    view.setFloat64(at, start.number, true);
    view.setFloat64(at + 8, start.position, true);
    view.setUint32(at + 16, pattern.length, true);
    program.set(pattern, at + PATTERN_HEAD_BYTES);
    at += patternSize(pattern);
  }
  return program;
}

function patternSize(pattern: Uint8Array): number {
  return (PATTERN_HEAD_BYTES + pattern.length + 7) & ~7;
}

/** Of partitions that begin at a position the largest counts: they all begin at the same one. */
function partitionsProgram(taken: readonly PartitionInterest[], count: number): Uint8Array {
  const program = new Uint8Array(PARTITIONS_HEAD_BYTES + count * 8);
  const view = new DataView(program.buffer);
  view.setUint32(0, KIND_PARTITIONS, true);
  const firsts = new Float64Array(program.buffer, PARTITIONS_HEAD_BYTES);
  firsts.fill(Number.POSITIVE_INFINITY);
  let position = 0;
  for (const { partition, start } of taken) {
    position = Math.max(position, start.position);
    firsts[partition] = start.position > 0 ? -1 : start.number;
  }
  view.setFloat64(16, position, true);
  return program;
}

function hashOf(core: Core, text: Uint8Array): Uint8Array {
  const size = HASH_BYTES + text.length;
  const address = core.allocate(size);
  core.memory.set(text, address + HASH_BYTES);
  core.exports.hash96(address, address + HASH_BYTES, text.length);
  const hash = core.memory.slice(address, address + HASH_BYTES);
  core.exports.release(address, size);
  return hash;
}

/** In the order of the core: by the lower 64 bits as a number, then by the upper 32. */
function compareHashes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 7; i >= 0; i--) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  for (let i = 11; i >= 8; i--) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
