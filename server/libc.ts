/**
 * The few calls of the system's C library that neither Bun nor Node offers.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const IPPROTO_TCP = 6;
/** Linux's number; other systems have it under another one, and mean less by it. */
const TCP_NOTSENT_LOWAT = 25;

interface Libc {
  flock(descriptor: number, operation: number): number;
  setsockopt(
    descriptor: number,
    level: number,
    name: number,
    value: ReturnType<typeof ptr>,
    size: number,
  ): number;
}

let libc: Libc | null = null;

function symbols(): Libc {
  if (libc !== null) return libc;
  const { i32: int, u32: size, ptr: pointer } = FFIType;
  const opened = dlopen(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6", {
    flock: { args: [int, int], returns: int },
    setsockopt: { args: [int, int, int, pointer, size], returns: int },
  });
  libc = opened.symbols;
  return libc;
}

/** flock(2); 0 where it succeeded. */
export function flock(descriptor: number, operation: number): number {
  return symbols().flock(descriptor, operation);
}

/**
 * Lets a socket take no more than so many bytes, about, that the network cannot take yet: what is under way is not
 * bounded by it. Where the system has no such bound, or refuses it, the socket takes megabytes as before.
 */
export function limitUnsent(descriptor: number, bytes: number): void {
  if (process.platform !== "linux") return;
  const value = new Uint32Array([bytes]);
  symbols().setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, ptr(value), value.byteLength);
}

const POSIX_FADV_WILLNEED = 3;

type Advise = (descriptor: number, offset: number, bytes: number, advice: number) => number;
let advise: Advise | null = null;

/** Has Linux read bytes of a file in the background (posix_fadvise); other systems are not asked. */
export function willRead(descriptor: number, offset: number, bytes: number): void {
  if (process.platform !== "linux") return;
  const { i32: int, i64: long } = FFIType;
  advise ??= dlopen("libc.so.6", {
    posix_fadvise: { args: [int, long, long, int], returns: int },
  }).symbols.posix_fadvise as Advise;
  advise(descriptor, offset, bytes, POSIX_FADV_WILLNEED);
}

const MADV_HUGEPAGE = 14;

type AdviseMemory = (address: ReturnType<typeof ptr>, bytes: number, advice: number) => number;
let adviseMemory: AdviseMemory | null = null;

/**
 * Lets Linux hold memory from the beginning of a buffer on in pages of 2 MiB (madvise): in large tables nearly every look-up misses
 * the processor's table of small pages. A hint, as far as the memory reaches; other systems are not asked.
 */
export function useHugePages(buffer: ArrayBuffer, bytes: number): void {
  if (process.platform !== "linux") return;
  adviseMemory ??= dlopen("libc.so.6", {
    madvise: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  }).symbols.madvise as AdviseMemory;
  adviseMemory(ptr(buffer), bytes, MADV_HUGEPAGE);
}
