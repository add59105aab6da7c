// Whether bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.

export function utf8Valid(ptr: usize, size: usize): bool {
  const end = ptr + size;
  while (ptr < end) {
    const lead: u32 = load<u8>(ptr);
    if (lead < 0x80) {
      ptr++;
    } else if (lead < 0xe0) {
      if (lead < 0xc2 || ptr + 2 > end || !continues(ptr + 1)) return false;
      ptr += 2;
    } else if (lead < 0xf0) {
      if (ptr + 3 > end || !continues(ptr + 1) || !continues(ptr + 2)) return false;
      const second: u32 = load<u8>(ptr, 1);
      if (lead == 0xe0 && second < 0xa0) return false;
      if (lead == 0xed && second > 0x9f) return false;
      ptr += 3;
    } else {
      if (lead > 0xf4 || ptr + 4 > end) return false;
      if (!continues(ptr + 1) || !continues(ptr + 2) || !continues(ptr + 3)) return false;
      const second: u32 = load<u8>(ptr, 1);
      if (lead == 0xf0 && second < 0x90) return false;
      if (lead == 0xf4 && second > 0x8f) return false;
      ptr += 4;
    }
  }
  return true;
}

@inline function continues(ptr: usize): bool {
  return (load<u8>(ptr) & 0xc0) == 0x80;
}
