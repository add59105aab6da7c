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

const EIGHT_DIGITS: u64 = 100_000_000;
const ZEROS: u64 = 0x3030303030303030;

/** Writes a number in decimal: eight digits at a time, since a division for each would take the most of a reply. */
export function decimalWrite(out: usize, value: u64): usize {
  if (value < 10) {
    store<u8>(out, 0x30 + <u8>value);
    return out + 1;
  }
  if (value < EIGHT_DIGITS) {
    const digits = eightDigits(<u32>value);
    const leading = ctz(digits) & ~7; // bits of leading zeros
    store<u64>(out, (digits | ZEROS) >> leading);
    return out + 8 - <usize>(leading >> 3);
  }
  const upper = value / EIGHT_DIGITS;
  out = decimalWrite(out, upper);
  store<u64>(out, eightDigits(<u32>(value - upper * EIGHT_DIGITS)) | ZEROS);
  return out + 8;
}

/**
 * The digits of a number below 10^8, the first one in the lowest byte: it is halved into 4 and 4 digits, those into 2 and 2, those
 * into 1 and 1, all parts of a step with one multiplication. Each divisor's inverse is exact for what it is used for.
 */
function eightDigits(value: u32): u64 {
  const upper = (<u64>value * 3_518_437_209) >> 45; // / 10^4
  const fours = upper | ((<u64>value - upper * 10_000) << 32);
  const hundreds = ((fours * 10_486) >> 20) & 0x0000007f0000007f; // / 100
  const twos = hundreds | ((fours - hundreds * 100) << 16);
  const tens = ((twos * 103) >> 10) & 0x000f000f000f000f; // / 10
  return tens | ((twos - tens * 10) << 8);
}
