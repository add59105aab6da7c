// What replies are made of, in RESP and JSON alike: constant texts, numbers, UUIDs, copies.
//
// What is written may spill up to 7 bytes over its end, and what is read up to 7 bytes beyond it, since short texts
// are copied in words of 8 bytes.
import { UUID_TEXT_SIZE, uuidWrite } from "./uuid";

// ── labels: constant texts, kept as a size and bytes ──────────────────────────────────────────────

const LABELS_SIZE: usize = 4096;
const labelArea: usize = memory.data(4096, 8);
let labelEnd: usize = labelArea;

/** Keeps an ASCII text in static memory; called while the module starts, never later. */
export function label(text: string): usize {
  const at = labelEnd;
  const size = text.length;
  store<u32>(at, size);
  for (let i = 0; i < size; i++) store<u8>(at + 8 + i, text.charCodeAt(i));
  labelEnd = (at + 8 + size + 7) & ~7;
  assert(labelEnd <= labelArea + LABELS_SIZE);
  return at;
}

// ── parts ─────────────────────────────────────────────────────────────────────────────────────────

/** Writes a label; returns where it ends, as all of these do. */
@inline export function put(out: usize, text: usize): usize {
  const size: usize = load<u32>(text);
  for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, load<u64>(text + 8 + i));
  return out + size;
}

@inline export function putUuid(out: usize, text: usize, uuid: usize): usize {
  out = put(out, text);
  uuidWrite(out, uuid);
  return out + UUID_TEXT_SIZE;
}

@inline export function putNumber(out: usize, text: usize, value: u64): usize {
  return decimalWrite(put(out, text), value);
}

@inline export function copyText(out: usize, ptr: usize, size: usize): usize {
  if (size > 512) memory.copy(out, ptr, size);
  else for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, load<u64>(ptr + i));
  return out + size;
}

const DIGITS_MAX: usize = 20;
const digits: usize = memory.data(24, 8);

/** Writes a number in decimal. */
export function decimalWrite(out: usize, value: u64): usize {
  let ptr = digits + DIGITS_MAX;
  while (value > u32.MAX_VALUE) {
    store<u8>(--ptr, 0x30 + <u8>(value % 10));
    value /= 10;
  }
  let rest = <u32>value;
  do {
    store<u8>(--ptr, 0x30 + <u8>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  const size = digits + DIGITS_MAX - ptr;
  for (let i: usize = 0; i < size; i += 8) store<u64>(out + i, load<u64>(ptr + i));
  return out + size;
}
