/** The inputs that fuzzing starts from and every test run tries again: a folder of files for each target. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

const FOLDER = path.join(import.meta.dirname, "../corpus");
const HASH_DIGITS = 8;

export interface CorpusFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function readCorpus(target: string): CorpusFile[] {
  const folder = path.join(FOLDER, target);
  const names = fs.readdirSync(folder).sort();
  return names.map((name) => ({ name, bytes: fs.readFileSync(path.join(folder, name)) }));
}

/** Keeps an input that failed, so that it is a test from now on; returns its path. */
export function keepInCorpus(target: string, bytes: Uint8Array): string {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, HASH_DIGITS);
  const file = path.join(FOLDER, target, `found-${hash}`);
  fs.writeFileSync(file, bytes);
  return path.relative(process.cwd(), file);
}
