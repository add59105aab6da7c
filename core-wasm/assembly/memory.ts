// Memory without a managed heap: areas of power-of-two sizes, taken from the end of linear memory and given
// back to a list per size. Memory grows in large steps, since each growth makes the shell renew its views.
// Fresh memory is zero; an area that was given back is not.

const CLASS_MIN: u32 = 4; // 16 bytes
const CLASS_MAX: u32 = 31;
const GROWTH_BYTES_MIN: usize = 1 << 20;
const GROWTH_BYTES_MAX: usize = 64 << 20;
const PAGE_SIZE: usize = 65536;
/** Memory that no area ever has: texts at an area's end are read in words, up to 7 bytes beyond it (write.ts), and vectors. */
const MARGIN: usize = 16;
/** Larger areas begin at multiples of this, so that direct I/O can take them. */
const ALIGNMENT: usize = 4096;

/** First free area of each class; a free area's first word points to the next. */
const freeLists: usize = memory.data(32 * sizeof<u32>());

let bump: usize = 0;
let limitBytes: usize = 0;

/** Limits memory to `bytesMax`; the first call of all. */
export function memoryInit(bytesMax: usize): void {
  bump = (__heap_base + 15) & ~15;
  limitBytes = bytesMax;
}

/** The class whose areas hold `size` bytes: their size is 1 << class. */
@inline function classOf(size: usize): u32 {
  if (size <= 1 << CLASS_MIN) return CLASS_MIN;
  return 32 - clz<u32>(<u32>size - 1);
}

/** Bytes of the area that `allocate(size)` gives. */
export function areaSize(size: usize): usize {
  return 1 << classOf(size);
}

/** An area of at least `size` bytes, aligned to 16, from 4 KiB on to 4 KiB; 0 when memory is at its limit. */
export function allocate(size: usize): usize {
  const areaClass = classOf(size);
  if (areaClass > CLASS_MAX) return 0;
  const list = freeLists + (areaClass << 2);
  const free = load<u32>(list);
  if (free != 0) {
    store<u32>(list, load<u32>(free));
    return free;
  }
  const bytes: usize = 1 << areaClass;
  const gap: usize = bytes < ALIGNMENT ? 0 : (ALIGNMENT - (bump & (ALIGNMENT - 1))) & (ALIGNMENT - 1);
  if (!ensureMemory(gap + bytes)) return 0;
  const area = bump + gap;
  bump = area + bytes;
  return area;
}

/**
 * An area that is all zeros, of which no page is touched before it is used; aligned as by `allocate`. It is not to be given back.
 * 0 when memory is at its limit.
 */
export function allocateFresh(size: usize): usize {
  const gap: usize = (ALIGNMENT - (bump & (ALIGNMENT - 1))) & (ALIGNMENT - 1);
  if (!ensureMemory(gap + size)) return 0;
  const area = bump + gap;
  bump = area + ((size + 15) & ~15);
  return area;
}

/** As `allocate`, for what `ensureMemory` has provided for: a refusal is a bug of ours. */
export function allocateReserved(size: usize): usize {
  const area = allocate(size);
  assert(area != 0); // ensureMemory was asked for less than is now used
  return area;
}

/** Gives an area back; `size` as it was asked for. */
export function release(area: usize, size: usize): void {
  const list = freeLists + (classOf(size) << 2);
  store<u32>(area, load<u32>(list));
  store<u32>(list, <u32>area);
}

/** Grows memory so that `bytes` more can be taken; false when that is refused. */
export function ensureMemory(bytes: usize): bool {
  const size = <usize>memory.size() * PAGE_SIZE;
  const end = <u64>bump + bytes + MARGIN;
  if (end <= size) return true;
  if (end > limitBytes) return false;
  const growth = <u64>min(max(size / 4, GROWTH_BYTES_MIN), GROWTH_BYTES_MAX);
  return growTo(min<u64>(max(end, <u64>bump + growth), limitBytes), size) || growTo(end, size);
}

/** Makes memory of `size` bytes reach to `end`. */
function growTo(end: u64, size: usize): bool {
  return memory.grow(<i32>((end - size + PAGE_SIZE - 1) / PAGE_SIZE)) >= 0;
}

/** Bytes that may still be taken before the limit. */
export function memoryLeft(): u64 {
  const end = <u64>bump + MARGIN;
  return end < limitBytes ? limitBytes - end : 0;
}

/** Bytes taken from linear memory so far. */
export function memoryUsed(): usize {
  return bump;
}
