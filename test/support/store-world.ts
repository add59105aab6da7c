/**
 * A store on a simulated disk: random appends, faults and ends of the process, after each of which the store must
 * hold exactly what its ledger says.
 */
import { OpenError, StoreError } from "../../server/errors.ts";
import type { SyncPlace } from "../../server/log/local/local-log.ts";
import { EventStore } from "../../server/store/event-store.ts";
import type { StoredEvent } from "../../server/store/stored-event.ts";
import { Random } from "./random.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import {
  type NewEvent,
  nextTurn,
  type QueuedAppend,
  queue,
  readAll,
  readAllOrDamage,
} from "./store-driver.ts";
import { StoreLedger, same } from "./store-ledger.ts";

export const FOLDER = "/data";
export const SEGMENT_BYTES = 64 * 1024;

/** Small, so that reads come from the disk too. */
const CACHE_BYTES = 256 * 1024;
/** Few of each, so that streams and partitions get many events. */
const PARTITIONS = 4;
const STREAMS = 6;
/** Ends of the process during one start, one after the other, before it is let through. */
const ENDS_IN_RECOVERY_MAX = 3;
/** Beyond this many calls of the disk, an end that was set has not come and is taken back. */
const CALLS_UNTIL_END_MAX = 40;
/** Turns of the event loop in which every append must be answered, once syncs are not held back. */
const SETTLE_TURNS_MAX = 10_000;
/** Where the clock of the world begins, and how far it jumps either way. */
const CLOCK_START_MS = 1_700_000_000_000;
const CLOCK_JUMP_MS = 5_000;

export class StoreWorld {
  readonly random: Random;
  readonly disk: SimulatedDisk;
  /** What happened, for the message of a failure. */
  readonly trace: string[] = [];
  readonly ledger: StoreLedger;
  store!: EventStore;

  private readonly durability: "fsync" | "os";
  private readonly syncPlace: SyncPlace;
  /** Mostly few, so that ends of the process come inside making, merging and removing index runs. */
  private readonly memtableEvents: number | undefined;
  private clockMs = CLOCK_START_MS;
  /** A fault was set in this run of the process. */
  private faulty = false;
  private nextText = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.durability = this.random.chance(0.1) ? "os" : "fsync";
    this.ledger = new StoreLedger(this.durability, (line) => this.trace.push(line));
    this.syncPlace = this.random.pick(["loop", "thread", "measured"]);
    this.memtableEvents = this.random.chance(0.7) ? this.random.between(3, 60) : undefined;
    const shortWrites = this.random.pick([0, 0, 0.3]);
    this.disk = new SimulatedDisk({
      random: this.random,
      shortWrites,
      // A direct write that is short fails the batch: with many of those nothing would be stored.
      directWrites: shortWrites === 0 && this.random.chance(0.6),
    });
  }

  /** Does one random thing, and ends in a store that is open and was checked if that needed a restart. */
  async step(): Promise<void> {
    const step = this.random.weighted({
      append: 10,
      settle: 3,
      idle: 2,
      stop: 2,
      kill: 2,
      crash: 3,
      endInside: 3,
      failure: 2,
      holdSyncs: 1,
      fullDisk: 1,
    });
    this.trace.push(step);
    if (step === "append") this.appendSome();
    else if (step === "settle") await this.settle();
    else if (step === "idle") await this.idle();
    else if (step === "stop") await this.stop();
    else if (step === "kill") this.kill();
    else if (step === "crash") this.disk.crash();
    else if (step === "endInside") await this.endInside();
    else if (step === "failure") await this.failure();
    else if (step === "holdSyncs") this.disk.holdSyncs = !this.disk.holdSyncs;
    else await this.fullDisk();
    if (this.disk.ended) this.reopen();
    await nextTurn();
  }

  /** Opens the store, through ends of the process on the way, and checks all that it holds. */
  private reopen(): void {
    this.forgetOpen();
    for (let i = 0; i < ENDS_IN_RECOVERY_MAX && this.random.chance(0.3); i++) {
      const by = this.random.pick(["kill", "crash"] as const);
      this.disk.endAtCall(this.random.between(1, CALLS_UNTIL_END_MAX), by);
      this.trace.push(`a ${by} was set for the start`);
      if (this.tryOpen()) break;
      if (by === "crash") this.ledger.crashed();
    }
    if (this.disk.ended) this.mustOpen();
    // An end that is still set comes right after the start, or is taken back.
    else if (this.random.chance(0.5)) this.disk.endAtCall(0, "kill");
    try {
      this.check();
    } catch (error) {
      if (!this.disk.ended) throw error;
      this.trace.push("ended right after the start");
      this.mustOpen();
      this.check();
    }
    this.disk.endAtCall(0, "kill");
    this.retrySome();
  }

  /** Opens the store where nothing can end the process meanwhile. */
  mustOpen(): void {
    if (!this.tryOpen()) throw new Error("the process ended though nothing ended it");
  }

  /** Opens the store; false when the process ended meanwhile. Throws when it refuses. */
  private tryOpen(): boolean {
    try {
      this.store = openStore(this.disk, {
        random: this.random,
        durability: this.durability,
        syncPlace: this.syncPlace,
        memtableEvents: this.memtableEvents,
        clock: () => this.now(),
        log: (line) => this.trace.push(`log: ${line}`),
      });
      return true;
    } catch (error) {
      if (this.disk.ended) return false;
      throw error;
    }
  }

  /** Appends a few random transactions and, mostly, lets them be written. */
  appendSome(): void {
    for (let i = this.random.between(1, 4); i > 0; i--) {
      this.appendOne(this.randomTransaction());
      if (this.random.chance(0.7)) this.flush();
    }
  }

  /** Lets all that is queued be written and synced, and takes every answer. */
  async settle(): Promise<void> {
    this.flush();
    for (let turns = 0; this.ledger.openCount > 0 && !this.disk.ended; turns++) {
      if (turns > SETTLE_TURNS_MAX) throw new Error("an append was never answered");
      this.disk.releaseSyncs();
      this.flush();
      await nextTurn();
    }
  }

  /** What a store does when nothing was appended for a while. */
  private async idle(): Promise<void> {
    await this.settle();
    this.onlyEndsMayThrow(() => this.store.markIdle());
    if (this.random.chance(0.7)) await this.settle();
  }

  /** Lets go of held syncs: a stop waits for all of them, a mark's too, of which no append waits. */
  releaseSyncs(): void {
    this.disk.holdSyncs = false;
    this.disk.releaseSyncs();
  }

  private async stop(): Promise<void> {
    await this.settle();
    if (this.disk.ended) return;
    this.releaseSyncs();
    let isOver = false;
    let failure: unknown = null;
    void this.store
      .stop()
      .catch((error) => {
        failure = error;
      })
      .finally(() => {
        isOver = true;
      });
    // A process that ended in a later turn, opening a segment, tells nobody.
    while (!isOver && !this.disk.ended) await nextTurn();
    // How it ended says what must be there: a power cut in the midst of a stop is no kill behind it.
    if (this.disk.ended) return;
    if (failure !== null) throw failure;
    this.trace.push("stopped");
    if (!this.faulty) this.ledger.guarantee();
    if (this.random.chance(0.5)) this.kill();
    else this.disk.crash();
  }

  /** Ends the process alone: with `durability` os too, what was acknowledged is there afterwards. */
  private kill(): void {
    if (!this.faulty) this.ledger.killed();
    this.disk.kill();
  }

  /** Checks the open store against the ledger. */
  check(): void {
    this.ledger.check(this.store, (events) => this.random.pick(events));
  }

  private appendOne(events: readonly NewEvent[], partitionKey = this.randomKey()): void {
    if (this.disk.ended) return;
    let queued: QueuedAppend | null = null;
    try {
      queued = queue(this.store, events, partitionKey);
    } catch (error) {
      if (this.disk.ended) return;
      // The log is fenced, the disk is full, or the stream has another key: nothing was appended.
      const code = error instanceof StoreError ? error.code : "";
      if (code !== "READONLY" && code !== "WRONGKEY") throw error;
      this.trace.push(`append: ${code}`);
      return;
    }
    if (queued === null) {
      this.flush();
      return;
    }
    this.ledger.take(events, partitionKey, queued);
  }

  private flush(): void {
    this.onlyEndsMayThrow(() => this.store.flush());
  }

  private async endInside(): Promise<void> {
    await this.settle();
    if (this.disk.ended) return;
    this.disk.endAtCall(
      this.random.between(1, CALLS_UNTIL_END_MAX),
      this.random.pick(["kill", "crash"]),
    );
    for (let i = 0; i < 5 && !this.disk.ended; i++) this.appendSome();
    if (!this.disk.ended && this.random.chance(0.3)) await this.stop();
    if (!this.disk.ended) this.disk.crash();
  }

  /** A write or sync fails; what the store says of it must be true, and reads go on. */
  private async failure(): Promise<void> {
    await this.settle();
    if (this.disk.ended) return;
    const kind = this.random.pick(["write", "sync", "create", "rename", "syncFolder"] as const);
    const code = this.random.pick(["EIO", "ENOSPC"]);
    const times = this.random.pick([1, Number.POSITIVE_INFINITY]);
    this.trace.push(`${kind} fails with ${code}, ${times} times`);
    this.disk.fail({ kind, code, times, skip: this.random.below(3) });
    this.faulty = true;
    for (let i = 0; i < 3; i++) this.appendSome();
    await this.settle();
    if (!this.disk.ended) readAll(this.store);
    const end = this.random.pick(["stop", "kill", "crash"]);
    if (this.disk.ended) return;
    if (end === "stop") await this.stop();
    else if (end === "kill") this.kill();
    else this.disk.crash();
  }

  private async fullDisk(): Promise<void> {
    await this.settle();
    if (this.disk.ended) return;
    const used = [...this.disk.image().values()].reduce((sum, bytes) => sum + bytes.length, 0);
    this.disk.capacityBytes = used + this.random.pick([0, 1000, SEGMENT_BYTES]);
    for (let i = 0; i < 8; i++) this.appendSome();
    await this.settle();
    if (!this.disk.ended) readAll(this.store);
    this.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
  }

  /** Gives some appends again with their event ids: one that is there must be answered as it was. */
  private retrySome(): void {
    const there = this.ledger.repeatable();
    if (there.length === 0 || this.random.chance(0.5)) return;
    this.ledger.repeat(this.store, this.random.pick(there));
  }

  private randomTransaction(): NewEvent[] {
    const kind = this.random.weighted({ small: 10, many: 4, sectors: 4, large: 1, huge: 1 });
    this.trace.push(kind);
    if (kind === "many") {
      const count = this.random.between(2, 12);
      const giveIds = this.random.chance(0.3);
      return Array.from({ length: count }, () => this.randomEvent(this.random.below(60), giveIds));
    }
    const sizes = {
      small: 200,
      sectors: 6_000,
      large: SEGMENT_BYTES / 3,
      huge: SEGMENT_BYTES * 1.5,
    };
    return [this.randomEvent(this.random.below(sizes[kind]), this.random.chance(0.5))];
  }

  private randomEvent(payloadBytes: number, givesId: boolean): NewEvent {
    // A text that comes once in the store, then noise: damage is planted by looking for it.
    const payload = this.random.bytes(payloadBytes + 16);
    payload.set(Buffer.from(`${String(this.nextText++).padStart(15, "0")} `));
    const stream = `stream-${this.random.below(STREAMS)}`;
    return {
      stream,
      name: this.random.pick(["Opened", "Changed", "Closed"]),
      payload,
      ...(this.random.chance(0.3) && { metadata: this.random.bytes(this.random.below(40)) }),
      ...(this.random.chance(0.2) && { timestamp: this.random.below(2 ** 31) }),
      ...(givesId && { eventId: randomUuid(this.random) }),
    };
  }

  /** Mostly none, so that streams of several keys mix; streams that have another refuse it. */
  private randomKey(): string | undefined {
    return this.random.chance(0.1) ? `key ${this.random.below(2)}` : undefined;
  }

  private now(): number {
    this.clockMs += this.random.chance(0.05)
      ? this.random.between(-CLOCK_JUMP_MS, CLOCK_JUMP_MS)
      : this.random.below(3);
    return this.clockMs;
  }

  /** The process ended: nobody hears what becomes of the open appends. */
  private forgetOpen(): void {
    this.ledger.forgetOpen();
    this.faulty = false;
  }

  private onlyEndsMayThrow(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!this.disk.ended) throw error;
    }
  }
}

/** Opens a store on a simulated disk, as a new run of the process. */
export function openStore(
  disk: SimulatedDisk,
  options: {
    random?: Random;
    durability?: "fsync" | "os";
    syncPlace?: SyncPlace;
    clock?: () => number;
    log?: (line: string) => void;
    /** Null: as the store was made. */
    partitions?: number | null;
    /** Events after which the index writes a run; as many as memory holds when left out. */
    memtableEvents?: number | undefined;
  } = {},
): EventStore {
  const random = options.random ?? new Random(1);
  return EventStore.open({
    disk: disk.boot(),
    folder: FOLDER,
    partitions: options.partitions === undefined ? PARTITIONS : options.partitions,
    segmentBytes: SEGMENT_BYTES,
    durability: options.durability ?? "fsync",
    strict: false,
    syncPlace: options.syncPlace ?? "loop",
    schedules: false,
    cacheBytes: CACHE_BYTES,
    ...(options.memtableEvents !== undefined && { memtableEvents: options.memtableEvents }),
    clock: options.clock ?? (() => CLOCK_START_MS),
    random: (target) => random.fill(target),
    log: options.log ?? (() => undefined),
  });
}

/** What became of a damaged disk: an open refused, or events that were right or said to be damaged. */
export type DamageVerdict = "refused" | "event refused" | "right";

/**
 * Opens a store over planted damage. Throws where the damage was accepted: a wrong or missing event, a message
 * that does not name `path` and an offset, or an error that is no refusal at all.
 */
export function judgeDamage(
  disk: SimulatedDisk,
  path: string,
  expected: readonly StoredEvent[],
): DamageVerdict {
  let store: EventStore;
  try {
    store = openStore(disk);
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    namesFileAndOffset(error.message, path);
    return "refused";
  }
  const found = readAllOrDamage(store);
  same(found.length, expected.length, "number of events after damage");
  let verdict: DamageVerdict = "right";
  for (const [position, event] of found.entries()) {
    if ("damage" in event) {
      namesFileAndOffset(event.damage, path);
      verdict = "event refused";
    } else {
      same(event, expected[position], `event at ${position} after damage`);
    }
  }
  return verdict;
}

function namesFileAndOffset(message: string, path: string): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!message.includes(name) || !/offset \d+/.test(message)) {
    throw new Error(`"${message}" does not name ${name} and an offset`);
  }
}

function randomUuid(random: Random): string {
  const hex = Buffer.from(random.bytes(16)).toString("hex");
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}
