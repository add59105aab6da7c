/**
 * The arguments of one request, as bytes: what a command's `parse` reads.
 *
 * Nothing is decoded until it is asked for, and nothing is allocated by what a hot command calls. `address`
 * gives an argument's place in core memory, where the connection copies a request's bytes when the first
 * command of a chunk needs them there.
 */
import { INTEGER_MAX } from "../limits.ts";
import type { RequestDecoder } from "../resp/decoder.ts";
import { byteClasses } from "../store/names.ts";

export interface Staging {
  /** Core address of the byte at `decoder.bytes[offset]`, copied there first when it is not there yet. */
  addressOf(offset: number): number;
}

export class Arguments {
  private readonly decoder: RequestDecoder;
  private readonly staging: Staging;

  constructor(decoder: RequestDecoder, staging: Staging) {
    this.decoder = decoder;
    this.staging = staging;
  }

  /** Number of arguments, the command's name (index 0) included. */
  get count(): number {
    return this.decoder.count;
  }

  length(index: number): number {
    return this.decoder.lengths[index] as number;
  }

  /** Place of the argument in core memory; valid until the end of the turn. */
  address(index: number): number {
    return this.staging.addressOf(this.decoder.starts[index] as number);
  }

  /** The argument's bytes; a view, valid until the command returns. */
  bytes(index: number): Uint8Array {
    const start = this.decoder.starts[index] as number;
    return this.decoder.bytes.subarray(start, start + this.length(index));
  }

  /** The argument as text; bytes that are no UTF-8 become U+FFFD. */
  text(index: number): string {
    return textDecoder.decode(this.bytes(index));
  }

  /** Whether the argument is this keyword (given in upper case), in any case. */
  is(index: number, keyword: string): boolean {
    if (this.length(index) !== keyword.length) return false;
    const start = this.decoder.starts[index] as number;
    for (let i = 0; i < keyword.length; i++) {
      if (upper(this.decoder.bytes[start + i] as number) !== keyword.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Whether the argument begins with this ASCII text. */
  startsWith(index: number, prefix: string): boolean {
    if (this.length(index) < prefix.length) return false;
    const start = this.decoder.starts[index] as number;
    for (let i = 0; i < prefix.length; i++) {
      if (this.decoder.bytes[start + i] !== prefix.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The argument as a decimal number from 0 to 2^53-1, or -1 where it is none. */
  integer(index: number): number {
    const length = this.length(index);
    if (length === 0 || length > INTEGER_DIGITS_MAX) return -1;
    const start = this.decoder.starts[index] as number;
    let value = 0;
    for (let i = start; i < start + length; i++) {
      const digit = (this.decoder.bytes[i] as number) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value <= INTEGER_MAX ? value : -1;
  }

  /** Which of the classes of `store/names.ts` occur among the argument's bytes: their sum. */
  byteClasses(index: number): number {
    const start = this.decoder.starts[index] as number;
    return byteClasses(this.decoder.bytes, start, start + this.length(index));
  }
}

const textDecoder = new TextDecoder();

/** Digits of 2^53-1; longer numbers with leading zeros are no numbers here. */
const INTEGER_DIGITS_MAX = 16;

function upper(byte: number): number {
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
}
