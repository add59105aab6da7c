// A hash table that grows a page at a time, so that no insert ever waits for a whole table to be rehashed
// (extendible hashing: Fagin, Nievergelt, Pippenger, Strong, 1979).
//
//   table      0 directory ptr │ 4 depth │ 8 arena ptr │ 12 –
//   directory  2^depth page pointers; the first `depth` bits of a tag choose
//   page       0 local depth u32 │ 4 used slots u32 │ 8 … 511 slots
//   slot       0 tag u32 (the hash's upper 32 bits) │ 4 entry ptr u32, 0 when free
//   entry      the owner's, which begins with 0 hashLow u64 │ 8 hashHigh u32
//
// Entries are never removed; pages and directories lie in the owner's arena.
import { arenaAllocate } from "./arena";
import { touch } from "./touch";

export const TABLE_SIZE: usize = 16;
const DIRECTORY: usize = 0;
const DEPTH: usize = 4;
const ARENA: usize = 8;

export const TABLE_PAGE_SIZE: usize = 4096;
const PAGE_HEAD_SIZE: usize = 8;
const SLOT_SIZE: usize = 8;
const SLOTS: u32 = <u32>((TABLE_PAGE_SIZE - PAGE_HEAD_SIZE) / SLOT_SIZE);
/** A page is split when it is fuller than this: probes stay short. */
const SLOTS_USED_MAX: u32 = (SLOTS * 3) / 4;
/** Bytes that a table takes for each entry, on average. */
export const TABLE_ENTRY_BYTES: usize = 2 * SLOT_SIZE;

/** A page whose slots are being divided. */
const divided: usize = memory.data(4096, 8);

export function tableInit(table: usize, arena: usize): void {
  store<u32>(table, <u32>arena, ARENA);
  const directory = arenaAllocate(arena, sizeof<u32>());
  store<u32>(directory, <u32>newPage(table, 0));
  store<u32>(table, <u32>directory, DIRECTORY);
  store<u32>(table, 0, DEPTH);
}

/** Bytes that one insert may take at the most: a page and a directory of twice the size. */
export function tableGrowthBytes(table: usize): usize {
  return TABLE_PAGE_SIZE + ((2 * sizeof<u32>()) << load<u32>(table, DEPTH));
}

function newPage(table: usize, localDepth: u32): usize {
  const page = arenaAllocate(load<u32>(table, ARENA), TABLE_PAGE_SIZE);
  memory.fill(page, 0, TABLE_PAGE_SIZE);
  store<u32>(page, localDepth);
  return page;
}

@inline function tagOf(low: u64): u32 {
  return <u32>(low >> 32);
}

@inline function pageOf(table: usize, tag: u32): usize {
  const depth = load<u32>(table, DEPTH);
  const index: u32 = depth == 0 ? 0 : tag >> (32 - depth);
  return load<u32>(load<u32>(table, DIRECTORY) + (index << 2));
}

@inline function slotStart(tag: u32): u32 {
  return ((tag & 0xffff) * SLOTS) >> 16;
}

/** Loads what `tableFind` and `tableInsert` will look at first. */
@inline export function tableTouch(table: usize, low: u64): void {
  const tag = tagOf(low);
  const page = pageOf(table, tag);
  touch(page);
  touch(page + PAGE_HEAD_SIZE + <usize>slotStart(tag) * SLOT_SIZE);
}

/** The entry with this hash, or 0. */
export function tableFind(table: usize, low: u64, high: u32): usize {
  const tag = tagOf(low);
  const slots = pageOf(table, tag) + PAGE_HEAD_SIZE;
  let slot = slotStart(tag);
  while (true) {
    const ptr = slots + <usize>slot * SLOT_SIZE;
    const entry: usize = load<u32>(ptr, 4);
    if (entry == 0) return 0;
    if (load<u32>(ptr) == tag && load<u64>(entry) == low && load<u32>(entry, 8) == high) return entry;
    if (++slot == SLOTS) slot = 0;
  }
}

/** Adds an entry for a hash that has none, and writes the hash into it. */
export function tableInsert(table: usize, low: u64, high: u32, entry: usize): void {
  const tag = tagOf(low);
  let page = pageOf(table, tag);
  while (load<u32>(page, 4) >= SLOTS_USED_MAX) {
    split(table, page, tag);
    page = pageOf(table, tag);
  }
  store<u64>(entry, low);
  store<u32>(entry, high, 8);
  placeSlot(page, tag, <u32>entry);
}

function placeSlot(page: usize, tag: u32, entry: u32): void {
  const slots = page + PAGE_HEAD_SIZE;
  let slot = slotStart(tag);
  while (load<u32>(slots + <usize>slot * SLOT_SIZE, 4) != 0) {
    if (++slot == SLOTS) slot = 0;
  }
  store<u32>(slots + <usize>slot * SLOT_SIZE, tag);
  store<u32>(slots + <usize>slot * SLOT_SIZE, entry, 4);
  store<u32>(page, load<u32>(page, 4) + 1, 4);
}

/** Divides a page by the next bit of its tags; the directory doubles when the page is as deep as it. */
function split(table: usize, page: usize, tag: u32): void {
  const localDepth = load<u32>(page);
  assert(localDepth < 32); // 384 equal tags of 32 bits: the hash is broken
  if (localDepth == load<u32>(table, DEPTH)) doubleDirectory(table);
  const depth = load<u32>(table, DEPTH);
  const directory: usize = load<u32>(table, DIRECTORY);
  const upper = newPage(table, localDepth + 1);
  const lower = page;
  memory.copy(divided, page, TABLE_PAGE_SIZE);
  memory.fill(lower, 0, TABLE_PAGE_SIZE);
  store<u32>(lower, localDepth + 1);
  for (let slot: u32 = 0; slot < SLOTS; slot++) {
    const ptr = divided + PAGE_HEAD_SIZE + <usize>slot * SLOT_SIZE;
    const entry = load<u32>(ptr, 4);
    if (entry == 0) continue;
    const slotTag = load<u32>(ptr);
    placeSlot((slotTag >> (31 - localDepth)) & 1 ? upper : lower, slotTag, entry);
  }
  const span: u32 = 1 << (depth - localDepth);
  const first: u32 = depth == 0 ? 0 : (tag >> (32 - depth)) & ~(span - 1);
  for (let i: u32 = 0; i < span; i++) {
    store<u32>(directory + ((first + i) << 2), <u32>(i < span >> 1 ? lower : upper));
  }
}

function doubleDirectory(table: usize): void {
  const depth = load<u32>(table, DEPTH);
  const old: usize = load<u32>(table, DIRECTORY);
  const fresh = arenaAllocate(load<u32>(table, ARENA), sizeof<u32>() << (depth + 1));
  for (let i: u32 = 0; i < 1 << depth; i++) {
    const page = load<u32>(old + (i << 2));
    store<u32>(fresh + (i << 3), page);
    store<u32>(fresh + (i << 3), page, 4);
  }
  store<u32>(table, <u32>fresh, DIRECTORY);
  store<u32>(table, depth + 1, DEPTH);
}
