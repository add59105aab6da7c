/**
 * Planted bugs: the sources with one defect each, and the tests that must not pass with it.
 *
 * A defect is a text that stands once in a file, and what stands there instead. Where the text is gone, the sources
 * have moved on: `mutants.test.ts` fails, and the defect must be planted anew.
 */

export interface Mutant {
  /** The defect, in words. */
  readonly name: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** One of these files' tests fails. */
  readonly tests: readonly string[];
  /** In a file that takes long: the test's name begins so. */
  readonly only?: string;
}

const LOCAL_LOG = "server/log/local/local-log.ts";
const RECOVERY = "server/log/local/recovery.ts";
const STORE_FOLDER = "server/store/store-folder.ts";
const EVENT_STORE = "server/store/event-store.ts";
const COMMITS = "server/store/commit-pipeline.ts";
const SEQUENCER = "core-wasm/assembly/sequencer.ts";
const REPLAY = "core-wasm/assembly/replay.ts";
const DISK = "server/disk.ts";

const CRASH_POINTS = "test/crash-points.test.ts";
const FAULT_POINTS = "test/fault-points.test.ts";
const RECOVERY_RULE = "test/recovery-rule.test.ts";
const DURABILITY = "test/append-durability.test.ts";
const MODEL = "test/model.test.ts";
const RUN_INDEX = "test/run-index.test.ts";

export const MUTANTS: readonly Mutant[] = [
  // ── acknowledging ──
  {
    name: "acknowledge without a sync",
    file: LOCAL_LOG,
    find: "      this.write();\n      this.writer.sync();",
    replace: "      this.write();",
    tests: [CRASH_POINTS],
  },
  {
    name: "acknowledge before the sync in the thread has returned",
    file: LOCAL_LOG,
    find: "    else this.writer.syncInThread(written);",
    replace: "    else {\n      this.writer.syncInThread(() => {});\n      written(null);\n    }",
    tests: [CRASH_POINTS],
  },
  {
    name: "try a failed sync again",
    file: LOCAL_LOG,
    find: "      this.write();\n      this.writer.sync();",
    replace:
      "      this.write();\n      try {\n        this.writer.sync();\n      } catch {\n        this.writer.sync();\n      }",
    tests: [FAULT_POINTS],
  },
  {
    name: "take a short direct write for a whole one",
    file: LOCAL_LOG,
    find: "return taken === size ? null :",
    replace: "return taken <= size ? null :",
    tests: [FAULT_POINTS],
  },
  {
    name: "go on after a failed sync as if nothing were",
    file: COMMITS,
    find: "    if (error !== null) {\n      this.fence(error);\n      return;\n    }",
    replace: "    if (error !== null) this.options.tell(error.message);",
    tests: [FAULT_POINTS],
  },
  {
    name: "call a batch that failed unwritten",
    file: COMMITS,
    find: 'this.notify(flight, "uncertain")',
    replace: 'this.notify(flight, "unwritten")',
    tests: [DURABILITY],
  },
  {
    name: "show events before their sync",
    file: "core-wasm/assembly/batch.ts",
    find: "  flightPosition = nextPosition;\n",
    replace: "  flightPosition = nextPosition;\n  durablePosition = nextPosition;\n",
    tests: [DURABILITY],
  },
  {
    name: "push before the sync",
    file: COMMITS,
    find: "    this.lastCommitAt = performance.now();\n    log.append(",
    replace:
      "    this.lastCommitAt = performance.now();\n    this.options.subscriptions.collect();\n    this.options.subscriptions.deliver();\n    log.append(",
    tests: ["test/subscriptions.test.ts"],
  },
  {
    name: "tell a refusal that depends on an unsynced event at once",
    file: EVENT_STORE,
    find: "    this.answerBatch = this.pendingBatch();\n    this.wasRepeated",
    replace: "    this.answerBatch = 0;\n    this.wasRepeated",
    tests: [DURABILITY],
  },
  // ── numbers ──
  {
    name: "version check off by one",
    file: SEQUENCER,
    find: "current == <i64>load<f64>(request, REQUEST_EXPECTED_VERSION)",
    replace: "current <= <i64>load<f64>(request, REQUEST_EXPECTED_VERSION)",
    tests: [MODEL],
  },
  {
    name: "two winners of one version in a transaction",
    file: SEQUENCER,
    find: "return checkVersion(index, request, <i64>version - 1);",
    replace: "return checkVersion(index, request, <i64>(version - earlier) - 1);",
    tests: ["test/transaction-versions.test.ts"],
  },
  {
    name: "keep half of a transaction: its last event is not in the tables",
    file: SEQUENCER,
    find: "  else for (let i: u32 = 0; i < count; i++) enterEvent(i, nowMs, recordedAt);",
    replace: "  else for (let i: u32 = 0; i < count - 1; i++) enterEvent(i, nowMs, recordedAt);",
    tests: [CRASH_POINTS],
  },
  {
    name: "forget event ids",
    file: SEQUENCER,
    find: "    if (!eventIdFind(hashLow, hashHigh)) continue;\n    const place = foundPlace;\n    if (given",
    replace: "    if (hashHigh >= 0) continue;\n    const place = foundPlace;\n    if (given",
    tests: ["test/idempotency.test.ts"],
  },
  {
    name: "take other content under a known event id for a repeat",
    file: SEQUENCER,
    find: "oneSize == otherSize && memory.compare(one, other, oneSize) == 0",
    replace: "oneSize == otherSize",
    tests: ["test/idempotency.test.ts"],
  },
  {
    name: "let recorded_at go back with the clock",
    file: SEQUENCER,
    find: "const recordedAt = max(nowMs, lastRecordedAt);",
    replace: "const recordedAt = nowMs;",
    tests: [RECOVERY_RULE],
  },
  // ── files ──
  {
    name: "no sync of the folder when a segment gets its name",
    file: LOCAL_LOG,
    find: "      else named(attempt(() => disk.syncFolder(folder)) ?? null);",
    replace: "      else named(null);",
    tests: [CRASH_POINTS],
  },
  {
    name: "no sync of STORE's name by the start after one that was killed",
    file: STORE_FOLDER,
    find: "    disk.syncFolder(folder);\n    const opened",
    replace: "    const opened",
    tests: [FAULT_POINTS],
    only: "a store whose making",
  },
  {
    name: "no sync of the folder when a store is made",
    file: STORE_FOLDER,
    find: "  disk.syncFolder(logFolder);\n  disk.syncFolder(folder);\n",
    replace: "  disk.syncFolder(folder);\n",
    tests: [CRASH_POINTS],
  },
  {
    name: "no sync of a small file before it gets its name",
    file: DISK,
    find: "    writeFully(file, bytes, 0);\n    file.sync();",
    replace: "    writeFully(file, bytes, 0);",
    tests: [CRASH_POINTS],
  },
  {
    name: "no sync of a segment's header",
    file: LOCAL_LOG,
    find: "    else synced(attempt(() => prepared.file.sync()) ?? null);",
    replace: "    else synced(null);",
    tests: [CRASH_POINTS],
  },
  {
    name: "no last sync of the old segment before a roll",
    file: "server/store/log-room.ts",
    find: "    try {\n      claims.syncWritten();\n      log.extend(",
    replace: "    try {\n      log.extend(",
    tests: [RECOVERY_RULE],
  },
  {
    name: "take a file that the system could not look for as missing",
    file: DISK,
    find: "    return fs.statSync(path, { throwIfNoEntry: false }) !== undefined;",
    replace: "    return fs.existsSync(path);",
    tests: ["test/disk.test.ts"],
  },
  // ── recovery ──
  {
    name: "skip the checksum of frames",
    file: "core-wasm/assembly/frame.ts",
    find: "  return load<u32>(frame, FRAME_CRC) == frameCrc(frame, load<u32>(frame, FRAME_LENGTH));",
    replace: "  return true;",
    tests: [RECOVERY_RULE],
  },
  {
    name: "cut the log in the middle, where synced data is damaged",
    file: RECOVERY,
    find: "    if (claim > end) {",
    replace: "    if (claim > end && options.readOnly) {",
    tests: [RECOVERY_RULE],
  },
  {
    name: "refuse a torn tail",
    file: RECOVERY,
    find: "    if (claim > end) {",
    replace: "    if (tail > end) {",
    tests: [CRASH_POINTS],
  },
  {
    name: "leave what the page cache shows after a crash unsynced",
    file: RECOVERY,
    find: "    rewrite(core, file, segment, claim, end);\n",
    replace: "",
    tests: ["test/recovery-chain.test.ts"],
  },
  {
    name: "leave a cut tail where it is",
    file: RECOVERY,
    find: "    if (!endsInOrder || hasTail) zeroFill(file, end - base, bytes);\n    else zeroFill",
    replace: "    zeroFill",
    tests: ["test/recovery-chain.test.ts"],
  },
  {
    name: "do not notice the missing end of a log that was stopped in order",
    file: RECOVERY,
    find: "  if (stopped === null || end > stopped.offset) return;",
    replace: "  if (stopped === null || end !== stopped.offset) return;",
    tests: ["test/recovery-cuts.test.ts"],
    only: "after an orderly stop",
  },
  {
    name: "take a whole frame that does not follow from the one before it",
    file: REPLAY,
    find: "  if (load<u32>(frame, FRAME_PREVIOUS_CRC) != replayCrc || framePosition(frame) != replayPosition) return REPLAY_MISFIT;\n",
    replace: "",
    tests: ["test/recovery-chain.test.ts"],
  },
  {
    name: "take a body that is none because its checksum is right",
    file: REPLAY,
    find: " || !bodyIsWhole(frame, length)) return REPLAY_MISFIT;",
    replace: ") return REPLAY_MISFIT;",
    tests: ["test/fuzz.test.ts"],
  },
  {
    name: "read a body that is none, in a segment that no start reads",
    file: "core-wasm/assembly/cache.ts",
    find: " && bodyIsWhole(frame, length)",
    replace: "",
    tests: ["test/fuzz.test.ts"],
    only: "frames: ",
  },
  {
    name: "follow a place of an index run wherever it leads",
    file: "core-wasm/assembly/runs.ts",
    find: "  if (!canBe) runRefuseValue(run, part, index);\n",
    replace: "",
    tests: ["test/fuzz.test.ts"],
    only: "runs: ",
  },
  {
    name: "take over partitions of an index run that do not go on from the one before it",
    file: "core-wasm/assembly/runs.ts",
    find: "  if (!partitionsFollow(run)) return PARTITIONS_MISFIT;\n",
    replace: "",
    tests: ["test/fuzz.test.ts"],
    only: "runs: ",
  },
  // ── bounds ──
  {
    name: "an unbounded queue: read on while a client does not take its replies",
    file: "server/resp/connection.ts",
    find: 'const pauses = isFull || this.blocked === "output";',
    replace: "const pauses = false;",
    tests: ["test/held-bytes.test.ts"],
  },

  // ── the index ──
  {
    name: "go on with a stream's version from before what the memtable had of it",
    file: "core-wasm/assembly/lookup.ts",
    find: "    headPut(streamHashLow(stream),",
    replace:
      "    if (headFind(streamHashLow(stream), streamHashHigh(stream)) == 0) headPut(streamHashLow(stream),",
    tests: [RUN_INDEX],
  },
  {
    name: "take a stream for new before the heads of all runs are known",
    file: "core-wasm/assembly/heads.ts",
    find: "headIsNone = isComplete && (",
    replace: "headIsNone = (",
    tests: ["test/run-rebuild.test.ts"],
  },
  {
    name: "take a stream for new where one of its buckets has put heads out",
    file: "core-wasm/assembly/heads.ts",
    find: "!(isFull(first) || isFull(second))",
    replace: "!(isFull(first) && isFull(second))",
    tests: [RUN_INDEX],
  },
  {
    name: "take offers of heads after one was put out",
    file: "core-wasm/assembly/heads.ts",
    find: "      hasPutOut = true;\n",
    replace: "",
    tests: ["test/run-rebuild.test.ts"],
  },
  {
    name: "look for an id among those that are entered alone",
    file: "core-wasm/assembly/memtable.ts",
    find: "return row == 0 && memtable == active ? lateRow(low, high) : row;",
    replace: "return row;",
    tests: ["test/idempotency.test.ts"],
  },
  {
    name: "forget that a stream with a key of its own exists",
    file: "core-wasm/assembly/lookup.ts",
    find: "    headPut(streamHashLow(stream),",
    replace: "    if (streamKey(stream) == 0) headPut(streamHashLow(stream),",
    tests: [RUN_INDEX],
  },
  {
    name: "verify a stream's version in runs alone",
    file: "core-wasm/assembly/history.ts",
    find: "if (found != GOES_ON) return refuse(found, listedPlace(",
    replace: "if (found > OTHER_PARTITION) return refuse(found, listedPlace(",
    tests: ["test/history-verify.test.ts"],
  },
  {
    name: "verify no id against older runs",
    file: "core-wasm/assembly/history.ts",
    find: "for (let i = count; i > 0; i--) if (runFindId",
    replace: "for (let i = count; i > count; i--) if (runFindId",
    tests: ["test/history-verify.test.ts"],
  },
  {
    name: "keep the tags of places in a run that has no room for them",
    file: "core-wasm/assembly/run-merge.ts",
    find: "return !isTagged(endOffsetOf(runCount - 1)) && isTagged(endOffsetOf(run));",
    replace: "return false;",
    tests: ["test/run-merge.test.ts"],
  },
  {
    name: "go on before the events of other keys that were passed over",
    file: "core-wasm/assembly/scan.ts",
    find: "  if (count > 0) hasPassed = true;\n",
    replace: "",
    tests: ["test/scans.test.ts"],
  },
  {
    name: "let an area end with the core's memory",
    file: "core-wasm/assembly/memory.ts",
    find: "const MARGIN: usize = 16;",
    replace: "const MARGIN: usize = 0;",
    tests: ["test/core.test.ts"],
  },
  {
    name: "tell that a history is through only where the socket has room",
    file: "server/commands/push-sink.ts",
    find: 'void {\n    this.pushNumber("caught-up", position);',
    replace: 'void {\n    if (this.link.takesPushes) this.pushNumber("caught-up", position);',
    tests: ["test/live.test.ts"],
  },
];
