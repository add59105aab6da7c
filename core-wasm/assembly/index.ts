// Everything that crosses the edge: numbers only. Positions, versions, sequences, times and log offsets are f64
// (below 2^53); addresses and sizes are u32. server/core/core.ts is the other side.
import { allocate, memoryInit, memoryUsed as used, release } from "./memory";
import { crc32c as crc, crc32cInit } from "./crc32c";
import { hash, hashHigh, hashInit, hashLow } from "./hash";
import {
  partitionHash as hashOfKey, uuidInit, uuidParse, uuidV5, uuidWrite,
} from "./uuid";
import { utf8Valid as isUtf8 } from "./utf8";
import { requestInit, requestKey, requests, results } from "./request";
import {
  append as appendTransaction, failedIndex, failedPosition, failedVersion, neededSize, repeatIsPending, resultPosition,
  resultRecordedAt, sequencerInit,
} from "./sequencer";
import {
  memtableAt, memtableBytes as bytesInMemtables, memtableCopyRows, memtableCopyStreams, memtableCount, memtableCrc, memtableEnd,
  memtableEndOffset, memtableFirst, memtableRecordedAt, memtableRows as rowsOf, memtableCopySequences, memtableSequences as sequencesOf, memtableSpan, memtableStreams as streamsOf, memtablesAreFull, memtablesBegin, memtablesInit,
  memtablesLimit, partitionOf,
} from "./memtable";
import {
  memtableGiveUp, memtableKeepHeads, placeOffset, recordEnd as endOfRecord, recordStart as startOfRecord, streamCount as countStreams,
} from "./lookup";
import { historyPlace } from "./history";
import { headsBytes as bytesInHeads, headsInit } from "./heads";
import { pageReads as pagesRead, pagesBytes as bytesInPages, pagesInit, pagesLimit } from "./pages";
import {
  runAt, runBytes as bytesOfRun, runCount, runEndOffset, runRecordedAt, runsEnd as endOfRuns, runsInit,
} from "./runs";
import {
  batchAddClaim, batchEnterSegment, batchInit, batchResume, batchSeal, batchSettle as settleBatch, batchSynced, durableOffset, durablePosition, fillHeadPtr, fillHeadSize,
  fillLength, flightFrames, flightHead, flightLength, flightPosition, lastRecordedAt, logOffset, nextPosition, previousCrc, segmentLacksRoom as lacksRoom, syncedOffset,
} from "./batch";
import { cacheBytes as bytesInCache, cacheFlight, cacheHits, cacheInit, cacheLoaded, cacheMisses, missedOffset, missedPtr, missedSize, wantedOffset } from "./cache";
import {
  viewEventId, viewHash, viewKey, viewMetadata, viewMetadataSize, viewName, viewNameSize, viewPayload, viewPayloadSize, viewPosition,
  viewRecordedAt, viewSequence, viewStream, viewStreamSize, viewTimestamp, viewTransactionId, viewVersion,
} from "./event";
import { APPEND_REPLY_MAX, appendReply, transactionReply, transactionReplyMax } from "./resp";
import {
  asOfPosition, scanAt, scanEnd, scanExamined, scanFiltered, scanNeeded, scanRun, scanStop, scanTail, scanWritten, streamsExamined,
  streamsWritten,
} from "./scan";
import { frameHeadLength, framePosition } from "./frame";
import { globMatches as matches } from "./glob";
import { pushExamined, pushNeeded, pushRows, pushTail } from "./push";
import { stringHasEscapes, valueIsTooDeep } from "./json-read";
import { collectedPosition, collectedTail, topicsCollect as collect, topicsInit } from "./topics";
import { stretchOf, timesCopy as copyTimes, timesInit } from "./times";
import { buildCover as coverBuild } from "./run-build";
import { mergePage, mergeRun } from "./run-merge";
import {
  findClaims as searchClaims, findFrame as searchFrame, replayClaim, replayCrc, replayEnter as enterReplay, replayLastKind, replayNeeded, replayOffset,
  replayPosition, replayRecordedAt, replayResume, replaySpan,
} from "./replay";

export { allocate, release };
export { uuidParse, uuidV5, uuidWrite };
export { batchSeal, batchSynced, cacheLoaded };
export { fillHeadPtr, fillHeadSize };
export { APPEND_REPLY_MAX, appendReply, transactionReply, transactionReplyMax };
export { ANSWER_WRITE_MAX, answerWriteInRow, eventWrite, eventWriteMax } from "./encoding";
export { jsonEmbeds, jsonSpaceEnd, jsonStringEnd, jsonUnescape, jsonValueEnd } from "./json-read";
export {
  asOfOpen, asOfSearch, findEvent, partitionSequence, partitionSequenceFrom, scanLogBytes, scanNext, scanOpenLog, scanOpenPartition, scanOpenStream,
  scanPositions, scanTakeAll, scanTakeMatching, showEvent, showFound, streamKeyOf, streamVersion, streamVersionFrom, streamsCursor,
  streamsOpen, streamsRun,
} from "./scan";
export { scanFiltered, scanRun };
export { feedMessages, feedMessagesMax, pushExamine, pushForget, publishMessages, pushMessages, pushMessagesMax } from "./push";
export { flightKeyIs, partitionListen, topicAdd, topicRemove } from "./topics";
export { frameEvents, replayCompare, replayFrames, replayLast, zeroBytes } from "./replay";
export { viewEvent } from "./event";
export { digestClear, digestCompare } from "./digest";
export { historyCheckMemtable, historyCheckRun } from "./history";
export { memtableGiveUp, memtableKeepHeads };
export { sealFull } from "./sequencer";
export { headsAreFilled, headsComplete } from "./heads";
export { appendsAhead } from "./ahead";
export { touched } from "./touch";
export { pagesLimit };
export { runClose, runFollows, runLoad, runOfferHeads, runOpen, runReadPages, runResume, runsReplace } from "./runs";
export {
  buildEnd, buildOpen, buildOutput, buildOutputPage, buildOutputPages, buildRows, buildSequences, buildStep, buildStoreId, buildStreams,
  buildTimes,
} from "./run-build";
export { mergeEnd, mergeOpen, mergeOutput, mergeOutputPage, mergeOutputPages, mergeStep } from "./run-merge";

/** The first call: memory's limit, partitions, and the bytes of the cache, of index pages, of heads and of a batch. */
export function init(
  memoryBytesMax: f64, partitions: u32, cacheBytesMax: u32, pageBytesMax: u32, headBytesMax: u32, batchBytesMax: u32,
): void {
  memoryInit(<usize>memoryBytesMax);
  crc32cInit();
  uuidInit();
  timesInit();
  memtablesInit(partitions);
  topicsInit(partitions);
  runsInit();
  pagesInit(pageBytesMax);
  headsInit(headBytesMax);
  requestInit();
  sequencerInit();
  cacheInit(cacheBytesMax);
  batchInit(batchBytesMax);
}

/** Takes the store's secret: before anything is hashed. */
export function setSecret(secretPtr: usize): void {
  hashInit(secretPtr);
}

export function memoryUsed(): f64 {
  return <f64>used();
}

export function crc32c(start: u32, ptr: usize, size: usize): u32 {
  return crc(start, ptr, size);
}

/** SipHash-2-4 of bytes, its first 96 bits written to `out`: for its test. */
export function hash96(out: usize, ptr: usize, size: usize): void {
  hash(ptr, size);
  store<u64>(out, hashLow);
  store<u32>(out, hashHigh, 8);
}

/** For its test. */
export function globMatches(pattern: usize, patternSize: usize, text: usize, textSize: usize): bool {
  return matches(pattern, patternSize, text, textSize);
}

export function partitionHash(key: usize): u32 {
  return hashOfKey(key);
}

export function utf8Valid(ptr: usize, size: usize): bool {
  return isUtf8(ptr, size);
}

export function getStringHasEscapes(): bool { return stringHasEscapes; }
export function getValueIsTooDeep(): bool { return valueIsTooDeep; }

// ── append ────────────────────────────────────────────────────────────────────────────────────────

export function requestsPtr(): usize { return requests; }
export function requestKeyPtr(): usize { return requestKey; }
export function resultsPtr(): usize { return results; }
export function append(count: u32, hasKey: bool, nowMs: f64): i32 { return appendTransaction(count, hasKey, <u64>nowMs); }
export function getFailedIndex(): u32 { return failedIndex; }
export function getFailedVersion(): f64 { return <f64>failedVersion; }
export function getFailedPosition(): f64 { return <f64>failedPosition; }
export function getNeededSize(): u32 { return <u32>neededSize; }
export function segmentLacksRoom(size: u32): bool { return lacksRoom(size); }
export function getResultPosition(): f64 { return <f64>resultPosition; }
export function getResultRecordedAt(): f64 { return <f64>resultRecordedAt; }
export function getRepeatIsPending(): bool { return repeatIsPending; }

// ── the log's end ─────────────────────────────────────────────────────────────────────────────────

export function resumeLog(offset: f64, crc: u32, position: f64, recordedAt: f64): void {
  batchResume(<u64>offset, crc, replaySpan, <u64>position, <u64>recordedAt);
}
export function enterSegment(offset: f64, end: f64): void { batchEnterSegment(<u64>offset, <u64>end); }
export function addClaim(kind: u32, nowMs: f64): bool { return batchAddClaim(kind, <u64>nowMs); }
export function getFillLength(): u32 { return <u32>fillLength; }
/** The batch in flight is as durable as the store promises. */
export function batchSettle(): void {
  cacheFlight();
  settleBatch();
}
export function getFlightPtr(): usize { return flightFrames(); }
export function getFlightHead(): u32 { return <u32>flightHead; }
export function getFlightLength(): u32 { return <u32>flightLength; }
export function getLogOffset(): f64 { return <f64>logOffset; }
export function getPreviousCrc(): u32 { return previousCrc; }
/** The position below which the batch in flight ends. */
export function getFlightPosition(): f64 { return <f64>flightPosition; }
export function getDurableOffset(): f64 { return <f64>durableOffset; }
export function getSyncedOffset(): f64 { return <f64>syncedOffset; }
export function getDurablePosition(): f64 { return <f64>durablePosition; }
export function getNextPosition(): f64 { return <f64>nextPosition; }
export function getLastRecordedAt(): f64 { return <f64>lastRecordedAt; }

// ── reads ─────────────────────────────────────────────────────────────────────────────────────────

export function streamCount(): f64 { return <f64>countStreams(); }
export function getMissedOffset(): f64 { return <f64>missedOffset; }
export function getMissedSize(): u32 { return <u32>missedSize; }
export function getMissedPtr(): usize { return missedPtr; }
export function getWantedOffset(): f64 { return <f64>wantedOffset; }
export function cacheBytes(): f64 { return <f64>bytesInCache(); }
export function getCacheHits(): f64 { return <f64>cacheHits; }
export function getCacheMisses(): f64 { return <f64>cacheMisses; }
export function getScanAt(): f64 { return <f64>scanAt; }
export function getScanEnd(): f64 { return <f64>scanEnd; }
export function getScanStop(): f64 { return <f64>scanStop; }
export function getScanWritten(): u32 { return scanWritten; }
export function getScanExamined(): u32 { return scanExamined; }
export function getAsOfPosition(): f64 { return <f64>asOfPosition; }
export function getStreamsWritten(): u32 { return streamsWritten; }
export function getStreamsExamined(): u32 { return streamsExamined; }
export function getScanTail(): usize { return scanTail; }
export function getScanNeeded(): u32 { return <u32>scanNeeded; }

//   view fields   0 position f64 │ 8 recordedAt │ 16 sequence │ 24 version │ 32 timestamp │ 40 partition u32
//                 44 event id ptr │ 48 transaction id ptr │ 52 key ptr │ 56 stream ptr, size │ 64 name │ 72 payload │ 80 metadata
const fields: usize = memory.data(88, 8);

/** Writes the fields of the shown event to a fixed place, which is returned. */
export function viewFields(): usize {
  store<f64>(fields, <f64>viewPosition());
  store<f64>(fields, <f64>viewRecordedAt(), 8);
  store<f64>(fields, <f64>viewSequence, 16);
  store<f64>(fields, <f64>viewVersion, 24);
  store<f64>(fields, <f64>viewTimestamp, 32);
  store<u32>(fields, partitionOf(viewHash), 40);
  store<u32>(fields, <u32>viewEventId, 44);
  store<u32>(fields, <u32>viewTransactionId, 48);
  store<u32>(fields, <u32>viewKey(), 52);
  store<u32>(fields, <u32>viewStream, 56);
  store<u32>(fields, <u32>viewStreamSize, 60);
  store<u32>(fields, <u32>viewName, 64);
  store<u32>(fields, <u32>viewNameSize, 68);
  store<u32>(fields, <u32>viewPayload, 72);
  store<u32>(fields, <u32>viewPayloadSize, 76);
  store<u32>(fields, <u32>viewMetadata, 80);
  store<u32>(fields, <u32>viewMetadataSize, 84);
  return fields;
}

export function recordStart(position: f64): f64 { return <f64>startOfRecord(<u64>position); }
export function recordEnd(position: f64): f64 { return <f64>endOfRecord(<u64>position); }

// ── subscriptions ─────────────────────────────────────────────────────────────────────────────────

export function topicsCollect(from: f64, to: f64, out: usize, outEnd: usize, patterns: usize, patternCount: u32): i32 {
  return collect(<u64>from, <u64>to, out, outEnd, patterns, patternCount);
}
export function getCollectedPosition(): f64 { return <f64>collectedPosition; }
export function getCollectedTail(): usize { return collectedTail; }
export function getPushTail(): usize { return pushTail; }
export function getPushExamined(): u32 { return pushExamined; }
export function getPushRows(): u32 { return pushRows; }
export function getPushNeeded(): u32 { return <u32>pushNeeded; }

/** Length of the frame whose head lies at `ptr`, which is at this log offset; 0 where none does. */
export function frameLengthAt(ptr: usize, offset: f64): u32 { return <u32>frameHeadLength(ptr, <u64>offset); }

// ── the index ───────────────────────────────────────────────────────────────────────────────────────

/** A memtable is full with this many bytes or events. */
export function limitMemtables(bytes: u32, rows: u32): void { memtablesLimit(bytes, rows); }
export function indexIsBehind(): bool { return memtablesAreFull(); }
export function getMemtableCount(): u32 { return memtableCount; }
/** The oldest memtable: what becomes a run. */
export function memtableFrom(): f64 { return <f64>memtableFirst(memtableAt(0)); }
export function memtableTo(): f64 { return <f64>memtableEnd(memtableAt(0)); }
export function memtableOffset(): f64 { return <f64>memtableEndOffset(memtableAt(0)); }
export function memtableLastCrc(): u32 { return memtableCrc(memtableAt(0)); }
export function memtableLastSpan(): u32 { return memtableSpan(memtableAt(0)); }
export function memtableTime(): f64 { return <f64>memtableRecordedAt(memtableAt(0)); }
export function memtableRows(): u32 { return rowsOf(memtableAt(0)); }
export function memtableStreams(): u32 { return streamsOf(memtableAt(0)); }
export function memtableRowsTo(from: u32, count: u32, out: usize): void { memtableCopyRows(memtableAt(0), from, count, out); }
export function memtableStreamsTo(from: u32, count: u32, out: usize): void { memtableCopyStreams(memtableAt(0), from, count, out); }
/** Partitions that have events in it, and a row for each: 0 partition u32 │ 8 its first sequence u64. */
export function memtableSequences(): u32 { return sequencesOf(memtableAt(0)); }
export function memtableSequencesTo(out: usize): void { memtableCopySequences(memtableAt(0), out); }
/** Copies the times of the stretches `from` up to `to`, both included. */
export function timesTo(from: u32, to: u32, out: usize): void {
  for (let stretch = from; stretch <= to; stretch++) copyTimes(stretch, out + <usize>(stretch - from) * 32);
}
export function stretchOfPosition(position: f64): u32 { return stretchOf(<u64>position); }
export function memtableBytes(): f64 { return <f64>bytesInMemtables(); }
export function pagesBytes(): f64 { return <f64>bytesInPages(); }
export function headsBytes(): f64 { return <f64>bytesInHeads(); }
export function getPageReads(): f64 { return <f64>pagesRead; }
export function getRunCount(): u32 { return runCount; }
export function runsEnd(): f64 { return <f64>endOfRuns(); }
export function runsBytes(): f64 {
  let bytes: usize = 0;
  for (let i: u32 = 0; i < runCount; i++) bytes += bytesOfRun(runAt(i));
  return <f64>bytes;
}
/** After the last run of a start: what they cover is known, and replay begins behind it. */
export function resumeIndex(): void {
  memtablesBegin(endOfRuns());
  if (runCount == 0) return;
  const last = runAt(runCount - 1);
  replayResume(runRecordedAt(last), runEndOffset(last));
}

// ── replay ────────────────────────────────────────────────────────────────────────────────────────

export function replayEnter(offset: f64, crc: u32, position: f64): void { enterReplay(<u64>offset, crc, <u64>position); }
/** After a check of history that found something: where the log has it. */
export function historyOffset(): f64 { return <f64>placeOffset(historyPlace); }
export function findClaims(ptr: usize, size: u32, offset: f64): u32 { return <u32>searchClaims(ptr, size, <u64>offset); }
export function findFrame(ptr: usize, size: u32, offset: f64): u32 { return <u32>searchFrame(ptr, size, <u64>offset); }
export function framePositionAt(ptr: usize): f64 { return <f64>framePosition(ptr); }
export function getReplayOffset(): f64 { return <f64>replayOffset; }
export function getReplayCrc(): u32 { return replayCrc; }
export function getReplayPosition(): f64 { return <f64>replayPosition; }
export function getReplayRecordedAt(): f64 { return <f64>replayRecordedAt; }
export function getReplayNeeded(): u32 { return <u32>replayNeeded; }
export function getReplayClaim(): f64 { return <f64>replayClaim; }
export function getReplayLastKind(): u32 { return replayLastKind; }

// ── runs ──────────────────────────────────────────────────────────────────────────────────────────

export function buildCover(from: f64, endOffset: f64, crc: u32, span: u32, recordedAt: f64): void {
  coverBuild(<u64>from, <u64>endOffset, crc, span, <u64>recordedAt);
}
export function getMergeRun(): u32 { return mergeRun; }
export function getMergePage(): u32 { return mergePage; }
