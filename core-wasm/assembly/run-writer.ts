// Writes a run page by page: run-build.ts and run-merge.ts fill the pages, here they get their places, are sealed and
// gathered in an output area that the shell writes to the file. Pages come in the order of the file, but the header
// comes last, alone: a file without it is no run.
//
// Several runs can be in the making at a time, each with a writer of its own. What a writer holds of memory is given
// back as a whole by `end`.
import { allocate, release } from "./memory";
import {
  FENCES_PER_PAGE, FENCE_SIZE, FILTER_BLOCKS_PER_PAGE, FILTER_BLOCK_SIZE, HEADER_CRC, HEADER_END_OFFSET, HEADER_FROM,
  HEADER_MAGIC_HIGH, HEADER_MAGIC_LOW, HEADER_NEW_STREAMS, HEADER_PAGE_SIZE, HEADER_PARTITIONS, HEADER_PARTS,
  HEADER_RECORDED_AT, HEADER_SPAN, HEADER_STORE_ID, HEADER_TO, HEADER_VERSION, HEADS_PER_PAGE, HEADS_START, HEAD_SIZE,
  IDS_PER_PAGE, ID_SIZE, KEYS_PER_PAGE, KEY_SIZE, PAGE_SIZE, PARTITIONS_PER_PAGE, PARTITION_SIZE, PARTS, PART_ENTRIES,
  PART_HEADS, PART_HEAD_FENCES, PART_HEAD_FILTER, PART_IDS, PART_ID_FENCES, PART_ID_FILTER, PART_KEYS, PART_PARTITIONS,
  PART_SIZE, PART_TIMES, PLACES_PER_PAGE, PLACE_SIZE, RUN_VERSION, TIMES_PER_PAGE, TIMES_SIZE, headerSeal, pageSeal,
  runSeed,
} from "./run-format";

/** What one step hands to the shell at the most; the shell syncs each (server/limits.ts: RUN_SLICE_BYTES). */
const OUTPUT_SIZE: usize = 1 << 20;
const OUTPUT_PAGES: u32 = <u32>(OUTPUT_SIZE / PAGE_SIZE);
/** Areas that one writer holds: header, output, and those of its owner. */
const AREAS_MAX: u32 = 64;
const AREA_SIZE: usize = 8;

/** Bytes of a part's entry. */
export function entrySize(part: u32): usize {
  if (part == PART_IDS) return ID_SIZE;
  if (part == PART_HEADS) return HEAD_SIZE;
  if (part == PART_KEYS) return KEY_SIZE;
  if (part == PART_PARTITIONS) return PARTITION_SIZE;
  if (part == PART_TIMES) return TIMES_SIZE;
  if (part == PART_ID_FILTER || part == PART_HEAD_FILTER) return FILTER_BLOCK_SIZE;
  if (part == PART_ID_FENCES || part == PART_HEAD_FENCES) return FENCE_SIZE;
  return PLACE_SIZE;
}

/** Entries of a page of a part. */
export function entriesPerPage(part: u32): u32 {
  if (part == PART_IDS) return IDS_PER_PAGE;
  if (part == PART_HEADS) return HEADS_PER_PAGE;
  if (part == PART_KEYS) return KEYS_PER_PAGE;
  if (part == PART_PARTITIONS) return PARTITIONS_PER_PAGE;
  if (part == PART_TIMES) return TIMES_PER_PAGE;
  if (part == PART_ID_FILTER || part == PART_HEAD_FILTER) return FILTER_BLOCKS_PER_PAGE;
  if (part == PART_ID_FENCES || part == PART_HEAD_FENCES) return FENCES_PER_PAGE;
  return PLACES_PER_PAGE;
}

/** Where the entries of a page of a part begin. */
export function entriesStart(part: u32): usize {
  return part == PART_HEADS ? HEADS_START : 0;
}

export function pagesFor(part: u32, entries: u64): u64 {
  const perPage: u64 = entriesPerPage(part);
  return (entries + perPage - 1) / perPage;
}

@inline function partRow(header: usize, part: u32): usize {
  return header + HEADER_PARTS + <usize>part * PART_SIZE;
}

export function partFirstPage(header: usize, part: u32): u64 {
  return load<u64>(partRow(header, part));
}

export function partEntries(header: usize, part: u32): u64 {
  return load<u64>(partRow(header, part), PART_ENTRIES);
}

@unmanaged export class RunWriter {
  /** The header page while it is made; 0 when the writer is not open. */
  header: usize;
  /** The pages of this step lie here, `outputPages` of them, the first being page `outputFirst` of the file. */
  output: usize;
  outputPages: u32;
  outputFirst: u32;
  /** Pages written before this one, or where the next part begins while parts are laid out. */
  nextPage: u32;
  seed: u32;
  /** The part that is being written, and how many of its entries are. */
  part: u32;
  done: u64;
  areas: usize;
  areaCount: u32;

  /** Takes what every run needs, and begins the header; false where memory is refused. */
  open(): bool {
    assert(this.areas == 0); // the run before was not ended
    this.areas = allocate(<usize>AREAS_MAX * AREA_SIZE);
    if (this.areas == 0) return false;
    this.areaCount = 0;
    this.header = this.take(PAGE_SIZE);
    this.output = this.take(OUTPUT_SIZE);
    if (this.header == 0 || this.output == 0) return false;
    this.outputPages = 0;
    this.nextPage = 1;
    memory.fill(this.header, 0, PAGE_SIZE);
    store<u32>(this.header, HEADER_MAGIC_LOW);
    store<u32>(this.header, HEADER_MAGIC_HIGH, 4);
    store<u32>(this.header, RUN_VERSION, HEADER_VERSION);
    store<u32>(this.header, <u32>PAGE_SIZE, HEADER_PAGE_SIZE);
    return true;
  }

  /** An area that `end` gives back, 0 where memory is refused; what it holds is not zero. */
  take(size: usize): usize {
    assert(this.areaCount < AREAS_MAX);
    const area = allocate(size);
    if (area == 0) return 0;
    const row = this.areas + <usize>this.areaCount * AREA_SIZE;
    this.areaCount++;
    store<u32>(row, <u32>area);
    store<u32>(row, <u32>size, 4);
    return area;
  }

  /** Gives back everything, the run being whole or not. */
  end(): void {
    if (this.areas == 0) return;
    for (let i: u32 = 0; i < this.areaCount; i++) {
      const row = this.areas + <usize>i * AREA_SIZE;
      release(load<u32>(row), load<u32>(row, 4));
    }
    release(this.areas, <usize>AREAS_MAX * AREA_SIZE);
    this.areas = this.header = this.output = 0;
    this.areaCount = 0;
  }

  /** What the run covers, and the log's end at its last position. */
  cover(from: u64, to: u64, endOffset: u64, crc: u32, span: u32, recordedAt: u64): void {
    store<u64>(this.header, from, HEADER_FROM);
    store<u64>(this.header, to, HEADER_TO);
    store<u64>(this.header, endOffset, HEADER_END_OFFSET);
    store<u32>(this.header, crc, HEADER_CRC);
    store<u32>(this.header, span, HEADER_SPAN);
    store<u64>(this.header, recordedAt, HEADER_RECORDED_AT);
  }

  storeId(): usize {
    return this.header + HEADER_STORE_ID;
  }

  setPartitions(partitions: u32): void {
    store<u32>(this.header, partitions, HEADER_PARTITIONS);
  }

  setNewStreams(count: u64): void {
    store<u64>(this.header, count, HEADER_NEW_STREAMS);
  }

  /** Gives the next part its pages: every part once, in order. */
  lay(part: u32, entries: u64): void {
    store<u64>(partRow(this.header, part), this.nextPage);
    store<u64>(partRow(this.header, part), entries, PART_ENTRIES);
    this.nextPage += <u32>pagesFor(part, entries);
  }

  /** Begins with the pages: the header is whole but for its checksum. */
  start(): void {
    this.seed = runSeed(this.header);
    this.nextPage = 1;
    this.clear();
    this.enter(0);
  }

  /** Goes on with a part, which must begin with the next page. */
  enter(part: u32): void {
    this.part = part;
    this.done = 0;
    assert(part == PARTS || partFirstPage(this.header, part) == <u64>this.nextPage);
  }

  /** Forgets the output: the shell has written it. */
  clear(): void {
    this.outputPages = 0;
    this.outputFirst = this.nextPage;
  }

  isFull(): bool {
    return this.outputPages == OUTPUT_PAGES;
  }

  /** Entries of the part that are not written yet. */
  left(): u64 {
    return partEntries(this.header, this.part) - this.done;
  }

  /** How many of them the next page takes. */
  pageEntries(): u32 {
    return <u32>min<u64>(entriesPerPage(this.part), this.left());
  }

  /** The next page, zeros; the output is not full. */
  page(): usize {
    const page = this.output + <usize>this.outputPages * PAGE_SIZE;
    memory.fill(page, 0, PAGE_SIZE);
    return page;
  }

  /** The page holds `entries` of the part and is done. */
  seal(entries: u32): void {
    pageSeal(this.output + <usize>this.outputPages * PAGE_SIZE, this.seed, this.nextPage);
    this.done += entries;
    this.outputPages++;
    this.nextPage++;
  }

  /** Writes the part from its entries in memory, as far as the output takes them; true when all are written. */
  copy(entries: usize): bool {
    const size = entrySize(this.part);
    while (this.left() > 0) {
      if (this.isFull()) return false;
      const count = this.pageEntries();
      memory.copy(this.page(), entries + <usize>this.done * size, <usize>count * size);
      this.seal(count);
    }
    return true;
  }

  /** The header is the output: the last of all. The output was empty. */
  finish(): void {
    assert(this.outputPages == 0);
    memory.copy(this.output, this.header, PAGE_SIZE);
    headerSeal(this.output);
    this.outputFirst = 0;
    this.outputPages = 1;
  }
}
