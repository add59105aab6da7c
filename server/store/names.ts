/**
 * What stream ids, event names and partition keys are made of, byte by byte: what both doors check in their own words.
 */

/** NUL, CR or LF: what no name may contain. */
export const BYTES_FORBIDDEN = 1;
/** Bytes of characters beyond ASCII: whether they are valid UTF-8 has to be checked. */
export const BYTES_BEYOND_ASCII = 2;
/** Digits: whether there are only these and the next ones tells a partition number from a text. */
export const BYTES_DIGITS = 4;
/** Comma, hyphen and asterisk, as they stand in lists and ranges of partitions. */
const BYTES_OF_LISTS = 8;
/** Anything else. */
const BYTES_OTHER = 16;

const BYTE_CLASSES = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x00 || byte === 0x0a || byte === 0x0d) return BYTES_FORBIDDEN;
  if (byte >= 0x80) return BYTES_BEYOND_ASCII;
  if (byte >= 0x30 && byte <= 0x39) return BYTES_DIGITS;
  return byte === 0x2a || byte === 0x2c || byte === 0x2d ? BYTES_OF_LISTS : BYTES_OTHER;
});

/** Which of the classes occur among the bytes from `start` on, below `end`: their sum. */
export function byteClasses(bytes: Uint8Array, start: number, end: number): number {
  let classes = 0;
  for (let i = start; i < end; i++) classes |= BYTE_CLASSES[bytes[i] as number] as number;
  return classes;
}

/** Whether a text of these classes alone could be read as partition numbers: only a UUID may look like that. */
export function looksLikePartitions(classes: number): boolean {
  return (classes & ~(BYTES_DIGITS | BYTES_OF_LISTS)) === 0;
}

/** Streams that the store itself writes: no client appends to them. */
export const OWN_STREAM_PREFIX = "$cairn";
