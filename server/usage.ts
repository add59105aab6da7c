/**
 * A command line or a configuration that is wrong: the user's doing, told in one line, exit code 2.
 *
 * The line names what is wrong and what is allowed. It may quote what the user wrote, so quoting keeps it one
 * line and short.
 */

/** Ends the process with exit code 2; `message` is the one line. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Characters of a user's text that an error line repeats. */
const QUOTED_LENGTH_MAX = 100;

/** The user's text for an error line: in single quotes, without line breaks, cut when long. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH_MAX ? `${text.slice(0, QUOTED_LENGTH_MAX)}…` : text;
  return `'${JSON.stringify(cut).slice(1, -1).replaceAll('\\"', '"')}'`;
}

/** `; did you mean '…'?` for a mistyped word, or nothing where no candidate is near; case does not count. */
export function suggestion(word: string, candidates: readonly string[]): string {
  let nearest: string | null = null;
  // Two slips in a long word, one in a short one: beyond that a guess confuses more than it helps.
  let nearestDistance = Math.max(1, Math.min(2, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    // Nothing is gained by comparing what differs too much in length already, and a word may be megabytes long.
    if (Math.abs(word.length - candidate.length) >= nearestDistance) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < nearestDistance) {
      nearest = candidate;
      nearestDistance = distance;
    }
  }
  return nearest === null ? "" : `; did you mean '${nearest}'?`;
}

/** Insertions, removals, replacements and swaps of neighbours that make `source` into `target`. */
function editDistance(source: string, target: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: target.length + 1 }, (_, column) => column);
  for (let row = 1; row <= source.length; row++) {
    const current = [row];
    for (let column = 1; column <= target.length; column++) {
      const same = source[row - 1] === target[column - 1];
      let distance = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 &&
        column > 1 &&
        source[row - 1] === target[column - 2] &&
        source[row - 2] === target[column - 1];
      if (swapped) distance = Math.min(distance, at(beforeLast, column - 2) + 1);
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, target.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0;
}
