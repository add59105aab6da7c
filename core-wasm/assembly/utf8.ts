// Whether bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.

export function utf8Valid(ptr: usize, size: usize): bool {
  const end = ptr + size;
  while (ptr < end) {
    const length = utf8Length(ptr, end);
    if (length == 0) return false;
    ptr += length;
  }
  return true;
}

/** Bytes of the character at `ptr`, or 0 where there is none. */
@inline export function utf8Length(ptr: usize, end: usize): usize {
  const lead: u32 = load<u8>(ptr);
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return lead >= 0xc2 && ptr + 2 <= end && continues(ptr + 1) ? 2 : 0;
  if (lead < 0xf0) {
    if (ptr + 3 > end || !continues(ptr + 1) || !continues(ptr + 2)) return 0;
    const second: u32 = load<u8>(ptr, 1);
    return (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ? 0 : 3;
  }
  if (lead > 0xf4 || ptr + 4 > end) return 0;
  if (!continues(ptr + 1) || !continues(ptr + 2) || !continues(ptr + 3)) return 0;
  const second: u32 = load<u8>(ptr, 1);
  return (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ? 0 : 4;
}

@inline function continues(ptr: usize): bool {
  return (load<u8>(ptr) & 0xc0) == 0x80;
}
