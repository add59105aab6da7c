/**
 * A list of partitions, as both doors take it: numbers and ranges, `0,4-7`.
 */

/** A 1 at the number of each partition that was named. */
interface NamedPartitions {
  readonly chosen: Uint8Array;
  /** A partition that was named and is not one of the store's; then `chosen` says nothing. */
  readonly unknown: number | null;
}

/** Null where the text is no such list. `count` is the number of partitions. */
export function parsePartitionList(text: string, count: number): NamedPartitions | null {
  // Ranges may overlap in any number: each is noted by its ends, and filled in once.
  const begun = new Int32Array(count + 1);
  const chosen = new Uint8Array(count);
  for (const item of text.split(",")) {
    const ends = PARTITION_RANGE.exec(item);
    const first = Number(ends?.[1]);
    const last = Number(ends?.[2] ?? ends?.[1]);
    if (ends === null || first > last) return null;
    if (last >= count) return { chosen, unknown: last };
    (begun[first] as number)++;
    (begun[last + 1] as number)--;
  }
  let open = 0;
  for (let partition = 0; partition < count; partition++) {
    open += begun[partition] as number;
    if (open > 0) chosen[partition] = 1;
  }
  return { chosen, unknown: null };
}

const PARTITION_RANGE = /^(\d{1,10})(?:-(\d{1,10}))?$/;
