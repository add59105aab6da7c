// What a subscription takes, as a program of bytes: for a subscriber that reads the log itself. It says of the shown
// event whether some argument of the subscription takes it, from where that argument begins.
//
//   interest     0 kind u32 │ 4 literal count u32 │ 8 pattern count u32 │ 12 – │ 16 …
//   streams      literals: 48 bytes each, ascending by hash │ patterns
//     literal    0 hash 12 │ 12 has key u32 │ 16 first version f64 │ 24 first position f64 │ 32 partition key 16
//     pattern    0 first version f64 │ 8 first position f64 │ 16 size u32 │ 20 bytes, padded to a multiple of 8
//   partitions   16 first position of those that begin at none of their sequences f64 │ 24 a first sequence f64 for each
//                partition: -1 from that position on, infinite where the partition is not taken
//
// server/store/interest-program.ts writes the same layout.
import {
  defaultKey, viewExplicitKey, viewHash, viewPosition, viewSequence, viewStream, viewStreamSize, viewVersion,
} from "./event";
import { globMatches } from "./glob";
import { hash, hashHigh, hashLow } from "./hash";
import { partitionOf } from "./memtable";
import { uuidEquals } from "./uuid";

const OF_PARTITIONS: u32 = 1;

const LITERAL_COUNT: usize = 4;
const PATTERN_COUNT: usize = 8;
const STREAMS: usize = 16;
const LITERAL_SIZE: usize = 48;
const LITERAL_HASH_HIGH: usize = 8;
const LITERAL_HAS_KEY: usize = 12;
const LITERAL_VERSION: usize = 16;
const LITERAL_POSITION: usize = 24;
const LITERAL_KEY: usize = 32;
const PATTERN_POSITION: usize = 8;
const PATTERN_SIZE: usize = 16;
const PATTERN_BYTES: usize = 20;
const PARTITIONS_POSITION: usize = 16;
const PARTITIONS: usize = 24;

/** Whether the interest takes the shown event. */
export function interestAdmits(interest: usize): bool {
  if (load<u32>(interest) == OF_PARTITIONS) return partitionAdmits(interest);
  const literalCount = load<u32>(interest, LITERAL_COUNT);
  const literals = interest + STREAMS;
  if (literalCount > 0) {
    hash(viewStream, viewStreamSize);
    let row = literals + <usize>literalsBelow(literals, literalCount) * LITERAL_SIZE;
    const end = literals + <usize>literalCount * LITERAL_SIZE;
    let isNamed = false;
    while (row < end && load<u64>(row) == hashLow && load<u32>(row, LITERAL_HASH_HIGH) == hashHigh) {
      if (hasKey(row)) {
        if (begins(row + LITERAL_VERSION, row + LITERAL_POSITION)) return true;
        isNamed = true;
      }
      row += LITERAL_SIZE;
    }
    if (isNamed) return false; // an argument that names the stream beats a pattern's start
  }
  return patternAdmits(literals + <usize>literalCount * LITERAL_SIZE, load<u32>(interest, PATTERN_COUNT));
}

function partitionAdmits(interest: usize): bool {
  const first = load<f64>(interest + PARTITIONS + ((<usize>partitionOf(viewHash)) << 3));
  if (first < 0) return <f64>viewPosition() >= load<f64>(interest, PARTITIONS_POSITION);
  return <f64>viewSequence >= first;
}

/** How many literals have a smaller hash than the last one taken. */
function literalsBelow(literals: usize, count: u32): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = literals + <usize>middle * LITERAL_SIZE;
    const rowLow = load<u64>(row);
    if (rowLow < hashLow || (rowLow == hashLow && load<u32>(row, LITERAL_HASH_HIGH) < hashHigh)) low = middle + 1;
    else high = middle;
  }
  return low;
}

@inline function hasKey(row: usize): bool {
  if (load<u32>(row, LITERAL_HAS_KEY) == 0) return true;
  return uuidEquals(viewExplicitKey != 0 ? viewExplicitKey : defaultKey(viewStream, viewStreamSize), row + LITERAL_KEY);
}

@inline function begins(version: usize, position: usize): bool {
  return <f64>viewVersion >= load<f64>(version) && <f64>viewPosition() >= load<f64>(position);
}

function patternAdmits(pattern: usize, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    const size: usize = load<u32>(pattern, PATTERN_SIZE);
    if (
      begins(pattern, pattern + PATTERN_POSITION) && globMatches(pattern + PATTERN_BYTES, size, viewStream, viewStreamSize)
    ) return true;
    pattern += (PATTERN_BYTES + size + 7) & ~7;
  }
  return false;
}
