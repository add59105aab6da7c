/** What `cairn verify` says of a store. */
import { type Disk, systemDisk } from "../../server/disk.ts";
import { verifyStore } from "../../server/store/offline.ts";

export function verify(
  folder: string,
  disk: Disk = systemDisk,
): { isRight: boolean; lines: string } {
  const lines: string[] = [];
  const isRight = verifyStore(folder, (line) => void lines.push(line), disk);
  return { isRight, lines: lines.join("\n") };
}
