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
  scanLogBytes(): number;
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
  historyCheckRun(run: number): number;
  historyCheckMemtable(): number;
  historyOffset(): number;
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
