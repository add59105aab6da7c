/**
 * One fixed script of a store's life on a simulated disk, for harnesses that end or fail any one of its calls.
 *
 * The script makes a store and goes through what a log can meet: single events, transactions, several batches under
 * way, a transaction larger than a segment, rolls, an idle mark, orderly stops and kills. It knows nothing of which
 * files a store has: whatever goes through the disk is one of its calls. The same variant and seed make the same
 * calls, so that a call's number names it.
 */
import { OpenError, StoreError } from "../../server/errors.ts";
import type { SyncPlace } from "../../server/log/local/local-log.ts";
import type { EventStore } from "../../server/store/event-store.ts";
import { Random } from "./random.ts";
import { type CallKind, SimulatedDisk } from "./simulated-disk.ts";
import { type NewEvent, nextTurn, type QueuedAppend, queue } from "./store-driver.ts";
import { fail, StoreLedger } from "./store-ledger.ts";
import { openStore, SEGMENT_BYTES } from "./store-world.ts";

export interface ScriptVariant {
  readonly name: string;
  readonly syncPlace: SyncPlace;
  readonly directWrites: boolean;
  /** Events after which the index writes a run; none when left out. */
  readonly memtableEvents?: number;
}

/** The ways to the disk that a log has. */
export const VARIANTS: readonly ScriptVariant[] = [
  { name: "synced on the loop", syncPlace: "loop", directWrites: false },
  { name: "written directly", syncPlace: "loop", directWrites: true },
  { name: "synced in a thread", syncPlace: "thread", directWrites: false },
  { name: "with runs of the index", syncPlace: "loop", directWrites: true, memtableEvents: 2 },
];

type Step =
  | { readonly do: "append"; readonly events: readonly NewEvent[]; readonly key?: string }
  | { readonly do: "flush" | "settle" | "idle" };

interface Session {
  readonly steps: readonly Step[];
  readonly end: "stop" | "kill";
}

const SETTLE: Step = { do: "settle" };
const FLUSH: Step = { do: "flush" };
const IDLE: Step = { do: "idle" };

const SCRIPT: readonly Session[] = [
  {
    steps: [
      append(event("order-1", "Placed", 40, 1)),
      SETTLE,
      append(event("order-1", "Paid", 700), event("order-2", "Placed", 20, 2)),
      append(event("order-3", "Placed", 5)),
      FLUSH,
      append(event("order-2", "Paid", 1_500, 3)),
      SETTLE,
      IDLE,
    ],
    end: "stop",
  },
  {
    steps: [
      append(event("order-4", "Placed", SEGMENT_BYTES / 2)),
      SETTLE,
      // Rolls into a second segment.
      append(event("order-4", "Paid", SEGMENT_BYTES / 2, 4), event("order-1", "Sent", 10)),
      SETTLE,
      append(event("order-5", "Placed", 300)),
      FLUSH,
    ],
    end: "kill",
  },
  {
    steps: [
      // Larger than a segment: it gets one of its own.
      append(event("order-6", "Placed", SEGMENT_BYTES * 1.2, 5)),
      SETTLE,
      { do: "append", events: [event("order-7", "Placed", 30, 6)], key: "tenant-a" },
      append(event("order-6", "Paid", 200)),
      SETTLE,
    ],
    end: "stop",
  },
];

/** Room for what waits: attempts of one append until it is taken or refused. */
const ATTEMPTS_MAX = 8;
/** Turns of the event loop in which all must be answered. */
const SETTLE_TURNS_MAX = 1_000;
/** More than a store waits between two looks at a full disk, milliseconds. */
const CLOCK_STEP_MS = 1_000;
const CLOCK_START_MS = 1_700_000_000_000;

export class ScriptRun {
  readonly disk: SimulatedDisk;
  readonly ledger: StoreLedger;
  /** What happened, for the message of a failure. */
  readonly trace: string[] = [];
  /** The calls of the disk so far. */
  readonly calls: CallKind[] = [];
  /** Hears of each call before its effect, with its number from 1 on. */
  onCall: ((number: number, kind: CallKind) => void) | null = null;
  private readonly variant: ScriptVariant;
  private readonly random: Random;
  private clockMs = CLOCK_START_MS;
  private store: EventStore | null = null;
  /** Calls have failed since the process began: what it says may be an error, and an orderly end may fail. */
  private mayFail = false;
  /** Whether the process whose store this is has failed to read: its reads may fail too. */
  private readsMayFail = false;

  constructor(variant: ScriptVariant, seed: number) {
    this.variant = variant;
    this.random = new Random(seed);
    this.disk = new SimulatedDisk({ random: this.random, directWrites: variant.directWrites });
    this.disk.onCall = (kind, path) => {
      this.calls.push(kind);
      this.trace.push(`${this.calls.length}: ${kind} ${path}`);
      this.onCall?.(this.calls.length, kind);
    };
    this.ledger = new StoreLedger("fsync", (line) => this.trace.push(line));
  }

  /**
   * Runs the script until its end, until the process ends in a call, or until the end of the session in which calls
   * failed, which `faultyEnd` says.
   */
  async run(faultyEnd: "kill" | "crash" = "kill"): Promise<void> {
    for (const session of SCRIPT) {
      await nextTurn();
      if (!this.open()) return;
      for (const step of session.steps) {
        await this.take(step);
        if (this.disk.ended) return;
      }
      await this.settle();
      if (!this.disk.ended) this.checkReads();
      if (!this.disk.ended && this.mayFail) await this.goesOn();
      if (this.disk.ended || !(await this.end(session.end, faultyEnd))) return;
    }
  }

  /** Calls that fail from now on are the reason of what the process says. */
  faultsBegin(kind: CallKind, forGood: boolean): void {
    this.mayFail = true;
    this.readsMayFail = forGood || kind === "read" || kind === "open";
  }

  /** Opens the store as a new process after the disk is well again, and checks all that it holds. */
  async restart(disk = this.disk): Promise<void> {
    this.ledger.forgetOpen();
    this.mayFail = false;
    this.readsMayFail = false;
    await nextTurn(); // the memory of the store before may be collected
    const store = this.openOn(disk);
    this.ledger.check(store, (events) => this.random.pick(events));
    for (const known of this.ledger.repeatable()) this.ledger.repeat(store, known);
    this.store = store;
    await this.appendNow([event("order-9", "Placed", 100)], undefined);
    await this.settleOn(disk);
    this.store = store;
    this.ledger.check(store, (events) => this.random.pick(events));
  }

  /** Opens the store on a disk on which the process may end; false when it did. */
  opensOn(disk: SimulatedDisk): boolean {
    try {
      this.openOn(disk);
      return true;
    } catch (error) {
      if (disk.ended) return false;
      throw error;
    }
  }

  private openOn(disk: SimulatedDisk): EventStore {
    return openStore(disk, {
      random: this.random,
      syncPlace: this.variant.syncPlace,
      memtableEvents: this.variant.memtableEvents,
      clock: () => this.clockMs++,
      log: (line) => this.trace.push(`log: ${line}`),
    });
  }

  /** False when the process ended meanwhile. A start that a fault refuses is tried again on a disk that is well. */
  private open(): boolean {
    try {
      this.store = this.openOn(this.disk);
    } catch (error) {
      if (this.disk.ended) return false;
      if (!this.mayFail || !(error instanceof OpenError)) throw error;
      this.trace.push(`refused: ${error.message}`);
      this.disk.kill();
      this.mayFail = false;
      this.readsMayFail = false;
      this.store = this.openOn(this.disk);
    }
    return this.checkOpened();
  }

  /** Checks what a start shows, unless the process ends, or a fault strikes, in a read. */
  private checkOpened(): boolean {
    try {
      this.ledger.check(this.store ?? fail("no store is open"), (events) =>
        this.random.pick(events),
      );
    } catch (error) {
      if (!this.disk.ended && !this.isReadFailure(error)) throw error;
    }
    return !this.disk.ended;
  }

  private async take(step: Step): Promise<void> {
    if (step.do === "append") await this.appendNow(step.events, step.key);
    else if (step.do === "flush") this.unlessEnded((store) => store.flush());
    else if (step.do === "idle") this.unlessEnded((store) => store.markIdle());
    else await this.settle();
  }

  private async appendNow(events: readonly NewEvent[], key: string | undefined): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX && !this.disk.ended; attempt++) {
      let queued: QueuedAppend | null = null;
      try {
        queued = queue(this.store ?? fail("no store is open"), events, key);
      } catch (error) {
        if (this.disk.ended) return;
        this.refused(error);
        return;
      }
      if (queued !== null) {
        this.ledger.take(events, key, queued);
        return;
      }
      await this.settle();
    }
    if (!this.disk.ended) fail("an append was neither taken nor refused");
  }

  private refused(error: unknown): void {
    const code = error instanceof StoreError ? error.code : "";
    // A repeat and a version are looked up in the log: a read that fails there says CORRUPT.
    const isAllowed = code === "READONLY" || (code === "CORRUPT" && this.readsMayFail);
    if (!isAllowed || !this.mayFail) throw error;
    this.trace.push(`append: ${code}`);
  }

  private settle(): Promise<void> {
    return this.settleOn(this.disk);
  }

  private async settleOn(disk: SimulatedDisk): Promise<void> {
    for (let turns = 0; !disk.ended; turns++) {
      this.unlessEnded((store) => store.flush(), disk);
      if (this.ledger.openCount === 0) break;
      if (turns > SETTLE_TURNS_MAX) fail("an append was never answered");
      await nextTurn();
    }
    await nextTurn(); // slices of the next segment are synced in a thread
  }

  private checkReads(): void {
    try {
      this.ledger.checkRunning(this.store ?? fail("no store is open"));
    } catch (error) {
      if (!this.disk.ended && !this.isReadFailure(error)) throw error;
    }
  }

  /** A disk that does not give a record, which the store cannot tell from a damaged one. */
  private isReadFailure(error: unknown): boolean {
    return this.readsMayFail && error instanceof Error && error.message.includes("is damaged");
  }

  /** After a fault: a store that says it takes writes takes them, and one that does not says why. */
  private async goesOn(): Promise<void> {
    this.disk.heal();
    this.readsMayFail = false;
    this.clockMs += CLOCK_STEP_MS;
    const store = this.store ?? fail("no store is open");
    // A segment may be opened in a thread: what it comes to is told in a later turn.
    let reason = store.readOnlyReason();
    for (let turns = 0; reason !== null && turns < ATTEMPTS_MAX; turns++) {
      await nextTurn();
      reason = store.readOnlyReason();
    }
    this.trace.push(`healed, read-only: ${reason}`);
    if (reason === null) {
      this.mayFail = false;
      await this.appendNow([event("order-8", "Placed", 60)], undefined);
      await this.settle();
    } else if (!/restart the server/.test(reason)) {
      fail(`the disk is well, but appends are refused: ${reason}`);
    }
    this.checkReads();
    this.mayFail = true;
  }

  /** Ends the process in the session's own way; false when the script is over with it. */
  private async end(by: "stop" | "kill", faultyEnd: "kill" | "crash"): Promise<boolean> {
    if (by === "stop") {
      try {
        await (this.store ?? fail("no store is open")).stop();
      } catch (error) {
        if (!this.disk.ended) throw error;
      }
      if (this.disk.ended) return false;
      if (!this.mayFail) this.ledger.guarantee();
    }
    this.ledger.forgetOpen();
    if (this.mayFail) {
      if (faultyEnd === "kill") this.disk.kill();
      else this.disk.crash();
      return false;
    }
    this.ledger.killed();
    this.disk.kill();
    return true;
  }

  private unlessEnded(act: (store: EventStore) => void, disk = this.disk): void {
    try {
      act(this.store ?? fail("no store is open"));
    } catch (error) {
      if (!disk.ended) throw error;
    }
  }
}

function append(...events: NewEvent[]): Step {
  return { do: "append", events };
}

/** An event of `payloadBytes`; with a number it has an event id. */
function event(stream: string, name: string, payloadBytes: number, id?: number): NewEvent {
  return {
    stream,
    name,
    payload: new Uint8Array(payloadBytes).fill(1 + (payloadBytes % 250)),
    ...(id !== undefined && { eventId: `018f0000-0000-4000-8000-${String(id).padStart(12, "0")}` }),
  };
}
