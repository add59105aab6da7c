// CRC32C (Castagnoli, reflected polynomial 0x82F63B78), eight bytes a step.
// Source: "Slicing-by-8", Kounavis and Berry, Intel, 2005; check value of "123456789" is 0xE3069283.

const POLYNOMIAL: u32 = 0x82f63b78;
const TABLE_SIZE: usize = 256 * sizeof<u32>();
const tables: usize = memory.data(8 * 256 * sizeof<u32>(), 16);

export function crc32cInit(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    store<u32>(tables + (i << 2), crc);
  }
  for (let i: u32 = 0; i < 256; i++) {
    let crc = load<u32>(tables + (i << 2));
    for (let table: usize = 1; table < 8; table++) {
      crc = load<u32>(tables + ((crc & 0xff) << 2)) ^ (crc >> 8);
      store<u32>(tables + table * TABLE_SIZE + (i << 2), crc);
    }
  }
}

@inline function entry(table: usize, byte: u32): u32 {
  return load<u32>(tables + table * TABLE_SIZE + (byte << 2));
}

/** The checksum of `size` bytes at `ptr`, going on from `crc` (0 at the beginning). */
export function crc32c(crc: u32, ptr: usize, size: usize): u32 {
  crc = ~crc;
  const end = ptr + size;
  while (ptr + 8 <= end) {
    const low = load<u32>(ptr) ^ crc;
    const high = load<u32>(ptr, 4);
    crc =
      entry(7, low & 0xff) ^ entry(6, (low >> 8) & 0xff) ^ entry(5, (low >> 16) & 0xff) ^ entry(4, low >> 24) ^
      entry(3, high & 0xff) ^ entry(2, (high >> 8) & 0xff) ^ entry(1, (high >> 16) & 0xff) ^ entry(0, high >> 24);
    ptr += 8;
  }
  while (ptr < end) {
    crc = entry(0, (crc ^ load<u8>(ptr)) & 0xff) ^ (crc >> 8);
    ptr++;
  }
  return ~crc;
}
