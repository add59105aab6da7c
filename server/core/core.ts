/**
 * The edge of the WASM core: the one importer of the `.wasm`.
 *
 * Numbers cross, never strings or objects. Addresses and sizes are bytes of core memory; positions, versions,
 * sequences, times and log offsets are integers below 2^53; a negative status says why a call was not done
 * (`status.ts`). Views of the memory are renewed when it grew, so none may be kept over a call that can
 * allocate. A trap is a bug of ours and crashes the process: recovery is the repair.
 */
import wasmPath from "../../dist/core.wasm" with { type: "file" };
import { readEmbedded } from "../disk.ts";
import { useHugePages } from "../libc.ts";
import { HUGE_PAGES_FROM_BYTES } from "../limits.ts";
import type { CoreExports } from "./core-exports.ts";

export interface CoreOptions {
  /** Linear memory may grow to this, 4 GiB less a page at the most. Above: appends are refused. */
  readonly memoryBytesMax: number;
  readonly partitions: number;
  /** Blocks of the log kept in memory. */
  readonly cacheBytes: number;
  /** Pages of index runs kept in memory. */
  readonly pageBytes: number;
  /** Heads of streams kept in memory; 0 for a core that no appends come to. */
  readonly headBytes: number;
  /** Encoded transactions that may wait for one sync. */
  readonly batchBytesMax: number;
  /** Fills its argument with random bytes. */
  readonly random: (target: Uint8Array) => void;
  /**
   * Reads a page or more of a run that is being merged into `target`, and returns how many bytes there were: for cores
   * that merge.
   */
  readonly readRun?: (run: number, offset: number, target: Uint8Array) => number;
}

/** Where the core gets pages of index runs from, while a call of it waits. */
export interface PageSource {
  /** Fills `target` with the pages from `page` on of the run that is known as `handle`; throws where it cannot. */
  readPages(handle: number, page: number, target: Uint8Array): void;
  /** Pages are going to be asked for. */
  pagesWanted(handle: number, page: number, count: number): void;
  /** A page is not what was written: throws what the call's user is to be told. */
  pageDamaged(handle: number, page: number): never;
}

/** Who is told what of the log is going to be read. */
export interface LogSource {
  willRead(offset: number, bytes: number): void;
}

/** Bytes of a page of an index run. */
export const PAGE_BYTES = 4_096;
/** Bytes that a UUID takes. */
export const UUID_BYTES = 16;
/** The input area when it is made; it grows with what is put there. */
const INPUT_BYTES_MIN = 256 * 1024;
/** An input area beyond this is given back after use. */
const INPUT_BYTES_KEPT = 1024 * 1024;

let compiled: WebAssembly.Module | null = null;

export class Core {
  readonly exports: CoreExports;
  /** Address of the request table, and of the partition key of the whole request. */
  readonly requestAddress: number;
  readonly requestKeyAddress: number;
  /** Address of the result table. */
  readonly resultAddress: number;
  /** Set by whoever opens runs. */
  pages: PageSource | null = null;
  /** Set by whoever loads blocks of the log. */
  log: LogSource | null = null;
  private bytesView = new Uint8Array(0);
  private wordsView = new Uint32Array(0);
  private doublesView = new Float64Array(0);
  private inputAddress = 0;
  private inputCapacity = 0;
  private readonly memoryBytesMax: number;
  private hasHugePages = false;

  constructor(options: CoreOptions) {
    this.memoryBytesMax = options.memoryBytesMax;
    compiled ??= new WebAssembly.Module(readEmbedded(wasmPath) as Uint8Array<ArrayBuffer>);
    const instance = new WebAssembly.Instance(compiled, {
      env: {
        abort: (_message: number, file: number, line: number, column: number) => {
          throw new CoreTrap(`the core gave up at ${this.trapText(file)}:${line}:${column}`);
        },
        fillRandom: (address: number, size: number) => {
          options.random(this.memory.subarray(address, address + size));
        },
        readPages: (handle: number, page: number, count: number, address: number) => {
          const start = address >>> 0;
          const target = this.memory.subarray(start, start + count * PAGE_BYTES);
          (this.pages as PageSource).readPages(handle >>> 0, page >>> 0, target);
        },
        pagesWanted: (handle: number, page: number, count: number) => {
          (this.pages as PageSource).pagesWanted(handle >>> 0, page >>> 0, count);
        },
        logWanted: (offset: number, size: number) => {
          this.log?.willRead(offset, size);
        },
        pageDamaged: (handle: number, page: number) => {
          (this.pages as PageSource).pageDamaged(handle >>> 0, page >>> 0);
        },
        readRun: (run: number, offset: number, address: number, size: number) => {
          if (options.readRun === undefined) throw new CoreTrap("this core merges no runs");
          const start = address >>> 0;
          return options.readRun(run, offset, this.memory.subarray(start, start + size));
        },
      },
    });
    this.exports = instance.exports as unknown as CoreExports;
    this.exports.init(
      options.memoryBytesMax,
      options.partitions,
      options.cacheBytes,
      options.pageBytes,
      options.headBytes,
      options.batchBytesMax,
    );
    this.requestAddress = this.exports.requestsPtr();
    this.requestKeyAddress = this.exports.requestKeyPtr();
    this.resultAddress = this.exports.resultsPtr();
  }

  /** All of linear memory; indexes are addresses. */
  get memory(): Uint8Array {
    if (this.bytesView.length === 0) this.renewViews();
    return this.bytesView;
  }

  /** The same as 32-bit words: index an address divided by 4. */
  get words(): Uint32Array {
    if (this.bytesView.length === 0) this.renewViews();
    return this.wordsView;
  }

  /** The same as doubles: index an address divided by 8. */
  get doubles(): Float64Array {
    if (this.bytesView.length === 0) this.renewViews();
    return this.doublesView;
  }

  /** Lets the system hold memory in huge pages, once there is much of it. Asked again it does nothing. */
  useHugePages(): void {
    if (this.hasHugePages || this.exports.memoryUsed() < HUGE_PAGES_FROM_BYTES) return;
    this.hasHugePages = true;
    useHugePages(this.exports.memory.buffer, this.memoryBytesMax);
  }

  /** An area of at least `size` bytes; throws where memory is at its limit. */
  allocate(size: number): number {
    const address = this.exports.allocate(size);
    if (address === 0) throw new MemoryRefused(size);
    return address >>> 0;
  }

  /** The input area, with room for `size` bytes: where either door puts what a request brings. */
  input(size: number): number {
    if (
      size > this.inputCapacity ||
      (this.inputCapacity > INPUT_BYTES_KEPT && size < INPUT_BYTES_KEPT)
    ) {
      if (this.inputCapacity > 0) this.exports.release(this.inputAddress, this.inputCapacity);
      this.inputCapacity = 0;
      const capacity = Math.max(INPUT_BYTES_MIN, size);
      this.inputAddress = this.allocate(capacity);
      this.inputCapacity = capacity;
    }
    return this.inputAddress;
  }

  /** Reads a UUID in any of its usual forms into 16 bytes at `target`; false where the text is none. */
  parseUuid(address: number, length: number, target: number): boolean {
    return this.exports.uuidParse(address, length, target) !== 0;
  }

  /** A partition key from its text: the UUID that it is, or the UUIDv5 of its bytes. */
  parsePartitionKey(address: number, length: number, target: number): void {
    if (this.exports.uuidParse(address, length, target) === 0) {
      this.exports.uuidV5(target, address, length);
    }
  }

  /** Bits 46 to 61 of the partition key at `address`. */
  partitionHash(address: number): number {
    return this.exports.partitionHash(address);
  }

  validUtf8(address: number, length: number): boolean {
    return this.exports.utf8Valid(address, length) !== 0;
  }

  /** The UUID at `address` as text. */
  uuidText(address: number): string {
    const hex = Buffer.from(this.memory.subarray(address, address + UUID_BYTES)).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** Bytes at `address` as text; what is no UTF-8 becomes U+FFFD. */
  text(address: number, size: number): string {
    return textDecoder.decode(this.memory.subarray(address, address + size));
  }

  private renewViews(): void {
    const buffer = this.exports.memory.buffer;
    this.bytesView = new Uint8Array(buffer);
    this.wordsView = new Uint32Array(buffer);
    this.doublesView = new Float64Array(buffer);
  }

  /** A constant text of AssemblyScript: UTF-16, its size in bytes in front of it. */
  private trapText(address: number): string {
    if (address === 0) return "an unknown place";
    const size = this.words[address / 4 - 1] as number;
    return Buffer.from(this.memory.subarray(address, address + size)).toString("utf16le");
  }
}

const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** An assertion of the core failed: a bug of ours. The process ends. */
export class CoreTrap extends Error {
  override name = "CoreTrap";
}

/** Core memory is at its limit. */
export class MemoryRefused extends Error {
  override name = "MemoryRefused";

  constructor(size: number) {
    super(`the core has no memory for ${size} bytes more`);
  }
}
