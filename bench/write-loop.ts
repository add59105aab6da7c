/**
 * The limit for everything that is durable: a bare loop of `pwrite` and `fdatasync`.
 *
 * It writes batches of the same size one after another into a file whose zeros were written and synced before, so
 * that a sync carries no file-system metadata. It leaves out making the bytes, and every client.
 */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./peers.ts";
import { EVENT_NAME, PAYLOAD_BYTES, streamId } from "./requests.ts";

/** Bytes of the file; the loop begins again at its start. */
const FILE_BYTES = 32 * 1024 * 1024;
/** What one event takes in a log: its own bytes, and the most that Cairn allows itself beyond them. */
const OVERHEAD_BYTES = 100;
export const RECORD_BYTES = PAYLOAD_BYTES + EVENT_NAME.length + streamId(0).length + OVERHEAD_BYTES;

export interface WriteLoopResult {
  readonly batchesPerSecond: number;
  readonly p50Us: number;
}

/** Writes and syncs batches of `batchBytes` for `seconds`, on this thread. */
export function writeLoop(bench: Bench, batchBytes: number, seconds: number): WriteLoopResult {
  const path = join(bench.folder, "write-loop");
  const file = openSync(path, "w+");
  try {
    const zeros = new Uint8Array(FILE_BYTES);
    for (let offset = 0; offset < FILE_BYTES; ) {
      offset += writeSync(file, zeros, offset, FILE_BYTES - offset, offset);
    }
    fdatasyncSync(file);

    const batch = new Uint8Array(batchBytes).fill(0xca);
    const latenciesUs: number[] = [];
    const startNs = Bun.nanoseconds();
    let nowNs = startNs;
    let offset = 0;
    while (nowNs - startNs < seconds * 1e9) {
      if (offset + batchBytes > FILE_BYTES) offset = 0;
      const taken = writeSync(file, batch, 0, batchBytes, offset);
      if (taken !== batchBytes) throw new Error(`the disk took ${taken} of ${batchBytes} bytes`);
      fdatasyncSync(file);
      offset += batchBytes;
      const endNs = Bun.nanoseconds();
      latenciesUs.push((endNs - nowNs) / 1e3);
      nowNs = endNs;
    }
    latenciesUs.sort((a, b) => a - b);
    return {
      batchesPerSecond: latenciesUs.length / ((nowNs - startNs) / 1e9),
      p50Us: latenciesUs[Math.floor(latenciesUs.length / 2)] ?? 0,
    };
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}
