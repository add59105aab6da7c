/**
 * Reads the files of a folder one after the other and sums them up, as `cat * | cksum` does: what a program that goes over
 * the whole log does to others on this machine, whoever it is.
 *
 *     bun bench/growth/read-files.ts FOLDER SECONDS
 *
 * Ends with the last file, or after so many seconds.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

const READ_BYTES = 512 * 1024;

const [folder = "", seconds = ""] = process.argv.slice(2);
const endNs = Bun.nanoseconds() + Number(seconds) * 1e9;
const bytes = new Uint8Array(READ_BYTES);
let sum = 0;
for (const name of readdirSync(folder).sort()) {
  const file = openSync(join(folder, name), "r");
  while (Bun.nanoseconds() < endNs) {
    const length = readSync(file, bytes, 0, READ_BYTES, null);
    if (length === 0) break;
    sum = crc32(bytes.subarray(0, length), sum);
  }
  closeSync(file);
}
console.log(sum);
