/**
 * The edge of the WASM core: the one importer of the `.wasm`.
 *
 * Numbers cross, never strings or objects. Addresses and sizes are bytes of core memory; positions, versions,
 * sequences, times and log offsets are integers below 2^53; a negative status says why a call was not done
 * (`status.ts`). Views of the memory are renewed when it grew, so none may be kept over a call that can
 * allocate. A trap is a bug of ours and crashes the process: recovery is the repair.
 */
import wasmPath from "../../dist/core.wasm" with { type: "file" };
import { assert } from "../assert.ts";
import { readEmbedded } from "../disk.ts";
import { useHugePages } from "../libc.ts";
import { HUGE_PAGES_FROM_BYTES } from "../limits.ts";
import type { ByteSink } from "../resp/byte-sink.ts";
import type { Encoding } from "./encoding.ts";

/** What the core exports; what each does stands at its definition in core-wasm/assembly. */
export interface CoreExports {
  readonly memory: WebAssembly.Memory;
  init(
    memoryBytesMax: number,
    partitions: number,
    cacheBytes: number,
    pageBytes: number,
    headBytes: number,
    batchBytesMax: number,
  ): void;
  setSecret(address: number): void;
  allocate(size: number): number;
  release(address: number, size: number): void;
  memoryUsed(): number;
  crc32c(start: number, address: number, size: number): number;
  hash96(target: number, address: number, size: number): void;
  globMatches(pattern: number, patternSize: number, text: number, textSize: number): number;
  uuidParse(address: number, size: number, target: number): number;
  uuidV5(target: number, address: number, size: number): void;
  partitionHash(address: number): number;
  utf8Valid(address: number, size: number): number;

  requestsPtr(): number;
  requestKeyPtr(): number;
  resultsPtr(): number;
  append(count: number, hasKey: boolean, nowMs: number): number;
  appendsAhead(start: number, end: number): void;
  getFailedIndex(): number;
  getFailedVersion(): number;
  getFailedPosition(): number;
  getNeededSize(): number;
  segmentLacksRoom(size: number): number;
  getResultPosition(): number;
  getResultRecordedAt(): number;
  getRepeatIsPending(): number;

  resumeLog(offset: number, crc: number, position: number, recordedAt: number): void;
  enterSegment(offset: number, end: number): void;
  addClaim(kind: number, nowMs: number): number;
  batchSeal(): void;
  batchSettle(): void;
  batchSynced(): void;
  getFillLength(): number;
  getFlightPtr(): number;
  getFlightHead(): number;
  fillHeadPtr(): number;
  fillHeadSize(): number;
  getFlightLength(): number;
  getLogOffset(): number;
  getPreviousCrc(): number;
  getDurableOffset(): number;
  getSyncedOffset(): number;
  getDurablePosition(): number;
  getFlightPosition(): number;
  getNextPosition(): number;

  streamCount(): number;
  streamVersion(address: number, size: number, key: number): number;
  streamKeyOf(address: number, size: number): number;
  partitionSequence(partition: number): number;
  findEvent(id: number): number;
  showFound(id: number): number;
  showEvent(position: number): number;
  recordStart(position: number): number;
  recordEnd(position: number): number;
  viewFields(): number;
  scanTakeAll(): void;
  scanTakeMatching(program: number, seenEnd: number, asOfEnd: number): void;
  scanOpenStream(
    address: number,
    size: number,
    key: number,
    from: number,
    to: number,
    count: number,
    isReverse: boolean,
  ): void;
  scanOpenPartition(
    partition: number,
    from: number,
    to: number,
    count: number,
    isReverse: boolean,
  ): void;
  scanOpenLog(from: number, to: number, count: number, isReverse: boolean): void;
  scanRun(
    out: number,
    outEnd: number,
    bytesMax: number,
    isFirst: boolean,
    encoding: Encoding,
  ): number;
  scanFiltered(
    out: number,
    outEnd: number,
    bytesMax: number,
    isFirst: boolean,
    encoding: Encoding,
    wanted: number,
    work: number,
  ): number;
  scanNext(): number;
  scanPositions(out: number, most: number): number;
  streamVersionFrom(address: number, size: number, key: number, position: number): number;
  partitionSequenceFrom(partition: number, position: number): number;
  asOfOpen(asOf: number): void;
  asOfSearch(): number;
  getAsOfPosition(): number;
  getScanWritten(): number;
  getScanExamined(): number;
  streamsOpen(cursor: number): void;
  streamsCursor(): number;
  streamsRun(
    out: number,
    outEnd: number,
    pattern: number,
    patternSize: number,
    wanted: number,
    work: number,
  ): number;
  getStreamsWritten(): number;
  getStreamsExamined(): number;
  getScanAt(): number;
  getScanEnd(): number;
  getScanStop(): number;
  getScanTail(): number;
  getScanNeeded(): number;
  getMissedOffset(): number;
  getMissedSize(): number;
  getMissedPtr(): number;
  getWantedOffset(): number;
  cacheLoaded(size: number): void;
  cacheBytes(): number;
  getCacheHits(): number;
  getCacheMisses(): number;

  readonly APPEND_REPLY_MAX: WebAssembly.Global;
  appendReply(out: number, isResp3: boolean, withPosition: boolean): number;
  transactionReplyMax(count: number): number;
  transactionReply(
    out: number,
    count: number,
    hasKey: boolean,
    isResp3: boolean,
    withPosition: boolean,
  ): number;
  eventWriteMax(encoding: Encoding): number;
  eventWrite(out: number, encoding: Encoding): number;
  readonly ANSWER_WRITE_MAX: WebAssembly.Global;
  answerWriteInRow(out: number, index: number, encoding: Encoding): number;

  jsonEmbeds(address: number, size: number): number;
  jsonSpaceEnd(address: number, end: number): number;
  jsonValueEnd(address: number, end: number): number;
  jsonStringEnd(address: number, end: number): number;
  jsonUnescape(address: number, size: number): number;
  getStringHasEscapes(): number;
  getValueIsTooDeep(): number;

  topicAdd(address: number, size: number, number: number): number;
  topicRemove(address: number, size: number): void;
  partitionListen(partition: number, isOn: boolean): void;
  topicsCollect(
    from: number,
    to: number,
    out: number,
    outEnd: number,
    patterns: number,
    patternCount: number,
  ): number;
  flightKeyIs(position: number, key: number): number;
  getCollectedPosition(): number;
  getCollectedTail(): number;
  pushExamine(
    positions: number,
    count: number,
    interest: number,
    filter: number,
    encoding: Encoding,
    out: number,
    outEnd: number,
    rows: number,
    rowsMax: number,
    bytesMax: number,
    work: number,
  ): number;
  pushForget(): void;
  getPushTail(): number;
  getPushExamined(): number;
  getPushRows(): number;
  getPushNeeded(): number;
  pushMessagesMax(rows: number, count: number, prefixSize: number): number;
  pushMessages(
    out: number,
    rows: number,
    count: number,
    prefix: number,
    prefixSize: number,
    cursor: number,
  ): number;
  feedMessagesMax(rows: number, count: number, splits: boolean): number;
  feedMessages(
    out: number,
    rows: number,
    count: number,
    numberOffset: number,
    splits: boolean,
  ): number;
  publishMessages(
    out: number,
    rows: number,
    count: number,
    prefix: number,
    prefixSize: number,
  ): number;

  frameLengthAt(address: number, offset: number): number;
  limitMemtables(bytes: number, rows: number): void;
  getMemtableCount(): number;
  /** Not 0 where all memtables are full: appends wait until a run is written. */
  indexIsBehind(): number;
  memtableFrom(): number;
  memtableTo(): number;
  memtableOffset(): number;
  memtableLastCrc(): number;
  memtableLastSpan(): number;
  memtableTime(): number;
  memtableRows(): number;
  memtableStreams(): number;
  memtableRowsTo(from: number, count: number, out: number): void;
  memtableStreamsTo(from: number, count: number, out: number): void;
  memtableSequences(): number;
  memtableSequencesTo(out: number): void;
  sealFull(): number;
  memtableKeepHeads(count: number): number;
  memtableGiveUp(): void;
  memtableBytes(): number;
  timesTo(from: number, to: number, out: number): void;
  stretchOfPosition(position: number): number;
  runOpen(header: number, handle: number, wants: number): number;
  runLoad(run: number): number;
  runFollows(run: number): number;
  runResume(run: number): void;
  runClose(run: number): void;
  runOfferHeads(run: number, page: number): number;
  headsAreFilled(): number;
  headsComplete(): void;
  headsBytes(): number;
  runReadPages(run: number, page: number, count: number, out: number): void;
  runsReplace(index: number, count: number, run: number): void;
  getRunCount(): number;
  runsEnd(): number;
  runsBytes(): number;
  pagesBytes(): number;
  pagesLimit(bytes: number): void;
  getPageReads(): number;
  resumeIndex(): void;

  replayCompare(): void;
  digestClear(): void;
  digestCompare(run: number): number;
  replayEnter(offset: number, crc: number, position: number): void;
  replayFrames(address: number, size: number): number;
  replayLast(): number;
  findClaims(address: number, size: number, offset: number): number;
  findFrame(address: number, size: number, offset: number): number;
  framePositionAt(address: number): number;
  frameEvents(address: number): number;
  viewEvent(address: number, index: number): void;
  zeroBytes(address: number, size: number): number;
  getReplayOffset(): number;
  getReplayCrc(): number;
  getReplayPosition(): number;
  getReplayRecordedAt(): number;
  getReplayNeeded(): number;
  getReplayClaim(): number;
  getReplayLastKind(): number;

  buildOpen(
    events: number,
    streams: number,
    sequences: number,
    times: number,
    partitions: number,
  ): number;
  buildCover(from: number, endOffset: number, crc: number, span: number, recordedAt: number): void;
  buildStoreId(): number;
  buildRows(): number;
  buildStreams(): number;
  buildSequences(): number;
  buildTimes(): number;
  buildStep(): number;
  buildOutput(): number;
  buildOutputPage(): number;
  buildOutputPages(): number;
  buildEnd(): void;
  mergeOpen(runs: number): number;
  mergeStep(): number;
  mergeOutput(): number;
  mergeOutputPage(): number;
  mergeOutputPages(): number;
  mergeEnd(): void;
  getMergeRun(): number;
  getMergePage(): number;
}

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

/** A growing area of core memory for replies. */
export class OutputArea implements ByteSink {
  tail: number;
  private start: number;
  private capacity: number;
  private readonly core: Core;
  private readonly capacityMin: number;

  constructor(core: Core, capacityMin: number) {
    this.core = core;
    this.capacityMin = capacityMin;
    this.capacity = capacityMin;
    this.start = core.allocate(capacityMin);
    this.tail = this.start;
  }

  get memory(): Uint8Array {
    return this.core.memory;
  }

  /** Bytes written since the area was emptied. */
  get length(): number {
    return this.tail - this.start;
  }

  /** Where the area begins; moves when it grows, so that places in it are kept as offsets from here. */
  get origin(): number {
    return this.start;
  }

  /** Where it ends. */
  get end(): number {
    return this.start + this.capacity;
  }

  reserve(size: number): void {
    if (this.tail + size > this.start + this.capacity) this.grow(size);
  }

  /** Forgets what was written; gives back an area that one large reply needed. */
  clear(): void {
    if (this.capacity > this.capacityMin) {
      this.core.exports.release(this.start, this.capacity);
      this.start = this.core.allocate(this.capacityMin);
      this.capacity = this.capacityMin;
    }
    this.tail = this.start;
  }

  private grow(size: number): void {
    const length = this.length;
    let capacity = this.capacity;
    while (length + size > capacity) capacity *= 2;
    const start = this.core.allocate(capacity);
    this.core.memory.copyWithin(start, this.start, this.tail);
    this.core.exports.release(this.start, this.capacity);
    this.start = start;
    this.capacity = capacity;
    this.tail = start + length;
    assert(this.tail + size <= this.end);
  }
}
