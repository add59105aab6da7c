/**
 * One RESP connection: bytes in, requests run in order, replies out in order.
 *
 * A reply goes out at the end of the chunk that brought its request, or, when it depends on an append, when that
 * append's batch has settled; whatever is asked behind such a request waits with it. A request that cannot run
 * yet (a read behind the connection's own append, an append without room) stops the connection: it is retained,
 * and what follows stays undecoded. So it does while a long read is done in slices. The server stops reading a
 * connection that holds too much, either way.
 */
import { Arguments, type Staging } from "../commands/arguments.ts";
import { type Command, type Context, WAIT } from "../commands/command.ts";
import { stateRefusal } from "../commands/multi.ts";
import { commandNames, findCommand } from "../commands/registry.ts";
import type { Session, SessionLink } from "../commands/session.ts";
import { subscribedRefusal } from "../commands/subscribe.ts";
import { unknownCommand } from "../commands/unknown-command.ts";
import { MemoryRefused } from "../core/core.ts";
import { type ErrorCode, StoreError } from "../errors.ts";
import { limitUnsent } from "../libc.ts";
import {
  KiB,
  PUSH_SOCKET_BYTES,
  PUSH_UNSENT_BYTES,
  UNSENT_BYTES_MAX,
  WAITING_BYTES_MAX,
  WAITING_REQUESTS_MAX,
} from "../limits.ts";
import type { SlicedWork, Wait } from "../store/slice-queue.ts";
import { FAULT, MORE, RequestDecoder } from "./decoder.ts";
import type { RespDoor } from "./door.ts";
import { HeldKind, type HeldReplies } from "./held-replies.ts";
import { Unsent } from "./unsent.ts";

/** Replies of one chunk are sent when they are longer than this. */
const FLUSH_BYTES = 256 * KiB;
/** Bytes of a chunk that are copied into core memory at a time, one request at the least. */
const STAGE_BYTES = 256 * KiB;
/** A connection that was told its fault may read that for this long, seconds; then it is cut. */
const FAREWELL_SECONDS = 5;

export type RespSocket = Bun.Socket<Connection>;

/** What Bun's types leave out of a socket: its descriptor, -1 once it is closed. */
interface WithDescriptor {
  readonly fd: number;
}

/** Why a connection runs no further request now. */
type Blocked = "no" | "batch" | "room" | "output" | "work";

/** A request that is run in slices. */
interface Underway {
  readonly command: Command;
  readonly result: unknown;
  readonly work: SlicedWork;
}

export class Connection implements SessionLink, Staging {
  readonly session: Session;
  private readonly door: RespDoor;
  private readonly socket: RespSocket;
  private readonly decoder = new RequestDecoder();
  private readonly args: Arguments;
  private readonly context: Context;
  /** The batch that this connection's latest held reply waits for; 0 when none waits. */
  private heldBatch = 0;
  private heldRequests = 0;
  private blocked: Blocked = "no";
  private underway: Underway | null = null;
  /** What the request under way waits for; null where it does not wait. */
  private wait: Wait | null = null;
  /** How often the socket took bytes that had waited. */
  drainCount = 0;
  private readonly unsent: Unsent;
  /** Whether something was pushed, and the system's part of what waits is bounded since. */
  private isPushed = false;
  private countedBytes = 0;
  private isPaused = false;
  private hasPeerEnded = false;
  private isEnding = false;
  private isClosed = false;
  /** What of the decoder's bytes lies in core memory: offsets, where to, and of which revision. */
  private stagedStart = 0;
  private stagedEnd = -1;
  private stagedAddress = 0;
  private stagedRevision = -1;
  private stagedTurn = -1;

  constructor(door: RespDoor, socket: RespSocket, address: string, localAddress: string) {
    this.door = door;
    this.socket = socket;
    this.unsent = new Unsent(socket, door.chunks);
    this.args = new Arguments(this.decoder, this);
    this.session = door.server.sessions.open(address, localAddress, this);
    this.context = {
      store: door.store,
      server: door.server,
      session: this.session,
      area: door.direct,
    };
  }

  get waitingBytes(): number {
    return this.decoder.heldBytes + (this.underway?.work.heldBytes ?? 0);
  }

  get unsentBytes(): number {
    return this.unsent.bytes;
  }

  // ── in ──────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a chunk from the socket. */
  receive(chunk: Uint8Array): void {
    if (this.session.closing || this.isEnding || this.isClosed) return;
    this.session.activeAtMs = performance.now();
    this.door.server.inputBytes += chunk.length;
    this.decoder.push(chunk);
    this.run();
    this.door.store.commits.flushIfComplete();
  }

  /** The peer sends nothing more; it still gets what it asked for. */
  peerEnded(): void {
    this.hasPeerEnded = true;
    this.wait?.release();
    this.endWhenIdle();
  }

  /** Runs what can run, sends what can be sent. */
  private run(): void {
    const { door, decoder } = this;
    door.beginTurn();
    while (this.blocked === "no" && !this.session.closing && !this.isClosed) {
      const status = decoder.next();
      if (status === MORE) break;
      if (status === FAULT) {
        if (!this.answerFault()) break;
      } else {
        this.execute();
      }
      if (door.direct.length > FLUSH_BYTES) this.sendDirect();
    }
    decoder.release();
    this.sendDirect();
    if (this.session.closing && this.heldBatch === 0) this.end();
    else this.endWhenIdle();
    this.balance();
  }

  /** Answers what the client did wrong in framing; false where the connection ends with that. */
  private answerFault(): boolean {
    const fault = this.decoder.fault;
    if (fault === null || fault.text === "") {
      this.kill();
      return false;
    }
    const { reply } = this.door;
    const held = this.heldBatch > 0 ? this.door.heldFor(this.heldBatch) : null;
    const start = this.openReply(held);
    reply.error(fault.code, fault.text);
    this.door.server.countError(fault.code);
    this.closeReply(held, start, HeldKind.order);
    if (!fault.closes) return true;
    this.session.closing = true;
    return false;
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────

  private execute(): void {
    const { args, door, session, context } = this;
    const command = findCommand(args);
    try {
      const refusal = stateRefusal(session, command) ?? subscribedRefusal(session, command);
      if (refusal !== null) throw refusal;
      if (command === null) throw unknownCommand(args, commandNames);
      if (command.kind === "append") {
        this.executeAppend(command);
      } else if (command.kind === "read" && this.heldBatch > 0) {
        this.block("batch");
        return;
      } else {
        context.area = door.direct;
        const request = command.parse(args, context);
        const result = command.run(request, context);
        const work = command.work?.(result) ?? null;
        if (work !== null && !work.advance(door.direct)) {
          this.workLater({ command, result, work });
          return;
        }
        const held = this.heldBatch > 0 ? door.heldFor(this.heldBatch) : null;
        this.writeReply(command, result, held, HeldKind.order);
      }
    } catch (error) {
      this.answerError(error, command, this.heldBatch);
    }
    if (this.blocked !== "no") return;
    this.count(command);
    if (this.heldRequests >= WAITING_REQUESTS_MAX) this.blocked = "batch";
  }

  /** Counts a request that was answered. */
  private count(command: Command | null): void {
    this.session.lastCommand = command?.name ?? this.session.lastCommand;
    this.door.server.commandsProcessed++;
  }

  private executeAppend(command: Command): void {
    const { args, context, door } = this;
    const { store } = door;
    const request = command.parse(args, context);
    let result: unknown;
    try {
      result = command.run(request, context);
    } catch (error) {
      // The refusal may be owed to an append that is not durable yet, of any connection.
      this.answerError(error, command, Math.max(this.heldBatch, store.answerBatch));
      return;
    }
    if (result === WAIT) {
      this.block("room");
      return;
    }
    const batch = Math.max(this.heldBatch, store.answerBatch);
    const held = batch > 0 ? door.heldFor(batch) : null;
    if (held !== null && this.heldBatch !== batch) {
      this.heldBatch = batch;
      store.commits.clientsQueued++;
    }
    const kind =
      store.answerBatch === 0
        ? HeldKind.order
        : store.wasRepeated
          ? HeldKind.repeat
          : HeldKind.append;
    try {
      this.writeReply(command, result, held, kind);
    } catch (error) {
      if (!(error instanceof MemoryRefused)) throw error;
      this.kill(); // the append is done: an error would say that it is not
    }
  }

  private writeReply(
    command: Command,
    result: unknown,
    held: HeldReplies | null,
    kind: HeldKind,
  ): void {
    const start = this.openReply(held);
    try {
      command.reply(result, this.door.reply, this.context);
    } catch (error) {
      const { area } = this.context;
      area.tail = area.origin + start;
      throw error;
    }
    this.closeReply(held, start, kind);
  }

  private answerError(error: unknown, command: Command | null, batch: number): void {
    const { door } = this;
    const refusal = this.refusalOf(error, command);
    const held = batch > 0 ? door.heldFor(batch) : null;
    if (held !== null) this.heldBatch = batch;
    const start = this.openReply(held);
    door.reply.error(refusal.code, refusal.message);
    door.server.countError(refusal.code);
    const depends = command?.kind === "append" && batch > 0;
    this.closeReply(held, start, depends ? HeldKind.refusal : HeldKind.order);
  }

  /** What a client is told of an error; a bug that may have left the store's state half done crashes instead. */
  private refusalOf(error: unknown, command: Command | null): StoreError {
    if (error instanceof StoreError) return error;
    if (error instanceof MemoryRefused) return new StoreError("READONLY", error.message);
    if (command?.kind !== "connection") this.door.crash(error);
    const id = crypto.randomUUID();
    this.door.log(
      `error ${id}: ${command?.name}: ${(error as Error).stack ?? String(error)}`,
      "error",
    );
    return new StoreError("INTERNAL", `internal error ${id}`);
  }

  /** Counts an error that this connection is told when a batch failed. */
  countError(code: ErrorCode): void {
    this.door.server.countError(code);
  }

  /** Points the reply writer to where this connection's next reply belongs; returns where that begins. */
  private openReply(held: HeldReplies | null): number {
    const { reply, direct } = this.door;
    const area = held === null ? direct : held.area;
    reply.sink = area;
    this.context.area = area;
    reply.protocol = this.session.protocol;
    return area.length;
  }

  private closeReply(held: HeldReplies | null, start: number, kind: HeldKind): void {
    if (held === null) return;
    held.add(this, start, kind);
    this.heldRequests++;
  }

  // ── waiting ─────────────────────────────────────────────────────────────────────────────────────

  private block(reason: "batch" | "room"): void {
    this.decoder.retain();
    this.blocked = reason;
    if (reason === "room") this.door.store.whenRoom(() => this.unblock("room"));
  }

  /** The request goes on in later turns; what follows it waits. */
  private workLater(underway: Underway): void {
    this.underway = underway;
    this.blocked = "work";
    const { work } = underway;
    this.wait = work.wait?.(() => this.door.guard(() => this.workOn())) ?? null;
    if (this.wait === null) {
      this.door.store.slices.add(() => this.door.guard(() => this.workOn()));
    } else if (this.isLeft) {
      this.door.store.slices.add(() => this.wait?.release());
    }
  }

  /** Nobody waits any more for what may come: the client has said its last, or the server stops. */
  private get isLeft(): boolean {
    return this.hasPeerEnded || this.session.closing;
  }

  private workOn(): void {
    if (this.isClosed || this.underway === null) return;
    this.wait = null;
    const { command, result, work } = this.underway;
    try {
      if (!work.advance(this.door.direct)) {
        this.workLater(this.underway);
        this.balance();
        return;
      }
      this.blocked = "no";
      this.writeReply(command, result, null, HeldKind.order);
    } catch (error) {
      this.blocked = "no";
      this.answerError(error, command, 0);
    }
    this.underway = null;
    this.count(command);
    this.run();
  }

  private unblock(reason: Blocked): void {
    if (this.blocked !== reason || this.isClosed) return;
    this.blocked = "no";
    this.run();
  }

  /** A batch that this connection has replies in has settled, and they were sent. */
  batchSettled(): void {
    if (this.isClosed || !this.door.store.isSettled(this.heldBatch)) return;
    this.heldBatch = 0;
    this.heldRequests = 0;
    if (this.blocked === "batch") this.unblock("batch");
    else if (this.session.closing) this.end();
    else this.endWhenIdle();
  }

  /**
   * Core address of the byte at an offset of the decoder's bytes, copied there first when it is not there. The
   * request lies there as a whole from its first look-up on, so that its addresses stay true while it runs.
   */
  addressOf(offset: number): number {
    const { decoder, door } = this;
    if (
      this.stagedTurn !== door.turn ||
      this.stagedRevision !== decoder.revision ||
      decoder.requestStart < this.stagedStart ||
      decoder.requestEnd > this.stagedEnd
    ) {
      this.stage();
    }
    return this.stagedAddress + (offset - this.stagedStart);
  }

  /** Copies the request, and what follows it up to a bound, into the core's input area. */
  private stage(): void {
    const { decoder, door } = this;
    const start = decoder.requestStart;
    const end = Math.min(decoder.end, Math.max(decoder.requestEnd, start + STAGE_BYTES));
    this.stagedAddress = door.store.input(end - start);
    // A chunk that is one request needs no view of its own, and most are.
    const isAll = start === 0 && end === decoder.bytes.length;
    const bytes = isAll ? decoder.bytes : decoder.bytes.subarray(start, end);
    door.store.core.memory.set(bytes, this.stagedAddress);
    if (end > decoder.requestEnd) {
      door.store.lookAhead(this.stagedAddress, this.stagedAddress + bytes.length);
    }
    this.stagedStart = start;
    this.stagedEnd = end;
    this.stagedRevision = decoder.revision;
    this.stagedTurn = door.turn;
  }

  // ── out ─────────────────────────────────────────────────────────────────────────────────────────

  /** Sends a part of some memory that need not outlive the call. What the socket does not take is kept. */
  send(memory: Uint8Array, start: number, length: number): void {
    if (this.isClosed) return;
    this.door.server.outputBytes += length;
    this.unsent.send(memory, start, length);
    if (this.unsent.bytes === 0) return;
    if (this.unsent.bytes > UNSENT_BYTES_MAX && this.blocked === "no") this.blocked = "output";
    this.balance();
  }

  get takesPushes(): boolean {
    return !this.isClosed && !this.isLeaving && this.unsent.bytes < PUSH_UNSENT_BYTES;
  }

  /** Sends what answers nothing; once the connection's last reply is written nothing follows it. */
  push(memory: Uint8Array, start: number, length: number): void {
    if (this.isLeaving) return;
    if (!this.isPushed) {
      this.isPushed = true;
      limitUnsent((this.socket as unknown as WithDescriptor).fd, PUSH_SOCKET_BYTES);
    }
    this.send(memory, start, length);
  }

  private get isLeaving(): boolean {
    return this.session.closing || this.isEnding;
  }

  private sendDirect(): void {
    const { direct } = this.door;
    if (direct.length === 0) return;
    this.send(direct.memory, direct.origin, direct.length);
    direct.clear();
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.drainCount++;
    this.unsent.drain();
    if (this.isEnding) {
      this.end();
      return;
    }
    if (this.unsent.bytes <= UNSENT_BYTES_MAX / 2) this.unblock("output");
    this.endWhenIdle();
    this.balance();
    if (this.takesPushes) this.session.subscriptions?.resume();
  }

  /** Counts what this connection holds, and stops or resumes reading it. */
  private balance(): void {
    if (this.isClosed) return;
    const held = this.waitingBytes + this.unsent.heldBytes;
    const change = held - this.countedBytes;
    this.countedBytes = held; // first: counting may cut this very connection, which gives back what is counted
    this.door.countHeld(change);
    if (this.isClosed) return;
    // An incomplete request must go on being read, whatever its size; its limit is the decoder's.
    const isFull = this.blocked !== "no" && this.decoder.heldBytes > WAITING_BYTES_MAX;
    const pauses = isFull || this.blocked === "output";
    if (pauses === this.isPaused) return;
    this.isPaused = pauses;
    if (pauses) this.socket.pause();
    else this.socket.resume();
  }

  // ── the end ─────────────────────────────────────────────────────────────────────────────────────

  private endWhenIdle(): void {
    if (this.hasPeerEnded && this.heldBatch === 0 && this.blocked === "no") this.end();
  }

  /** Ends the connection when all its replies are sent. */
  private end(): void {
    this.isEnding = true;
    if (this.unsent.bytes > 0 || this.isClosed) return;
    this.socket.end();
    // A client that goes on sending is read no longer than it takes to see why.
    this.socket.timeout(FAREWELL_SECONDS);
  }

  /** The socket's time is over. Bun sets one of 120 s by itself, which a client that goes on must survive. */
  timedOut(): void {
    if (this.isEnding) this.kill();
  }

  /** All that was asked is answered, and the socket has it. */
  get isDone(): boolean {
    return this.isEnding && this.unsent.bytes === 0;
  }

  /** Ends the connection in order, when the server stops: what it asked and was answered is sent. */
  stop(): void {
    this.session.closing = true;
    this.wait?.release();
    if (this.heldBatch === 0 && this.blocked !== "room" && this.blocked !== "work") this.end();
  }

  /** Closes the connection now, without what it has not sent. */
  kill(): void {
    if (!this.isClosed) this.socket.terminate();
  }

  /** The socket is gone. */
  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.door.countHeld(-this.countedBytes);
    this.countedBytes = 0;
    this.unsent.clear();
    this.wait?.cancel();
    this.wait = null;
    this.underway = null;
    this.session.subscriptions?.endAll();
    this.door.server.sessions.close(this.session);
  }
}
