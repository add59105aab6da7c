// Partition keys in a row of replies. A default key is the SHA-1 of a stream id, the dearest part of a reply, and four
// cost little more than one (sha1-lanes.ts). So in a row the key's place is left empty, and filled when four wait.
import { defaultKey, defaultKeyIsLast, defaultKeyKeep, viewExplicitKey, viewKey, viewStream, viewStreamSize } from "./event";
import { LANES, LANE_SIZE, laneEnd, laneWord, lanes, lanesHash } from "./sha1-lanes";
import { NAMESPACE, UUID_SIZE, UUID_TEXT_SIZE, uuidV5Of, uuidWrite } from "./uuid";
import { copyText, put } from "./write";

/** The event that is written is one of a row. */
let inRow: bool = false;
let waiting: u32 = 0;
/** Of each key that waits: where its text goes u32 │ bytes of the stream id u32. The id lies behind the namespace in its lane. */
const places: usize = memory.data(4 * 8, 4);
const key: usize = memory.data(16, 8);

/** A row begins: until `rowEnd` it has holes. One that was left by a throw is forgotten. */
export function rowBegin(): void {
  waiting = 0;
}

/** Fills what is empty. */
export function rowEnd(): void {
  if (waiting > 0) fill();
}

/** Whether what is written from now on belongs to the row. */
export function rowWrites(isInRow: bool): void {
  inRow = isInRow;
}

/** Writes a label and the text of the shown event's partition key, in a row perhaps later; returns where it ends. */
export function putViewKey(out: usize, text: usize): usize {
  out = put(out, text);
  if (!inRow || viewExplicitKey != 0 || defaultKeyIsLast(viewStream, viewStreamSize)) {
    uuidWrite(out, viewKey());
  } else {
    wait(out);
    if (waiting == LANES) fill();
  }
  return out + UUID_TEXT_SIZE;
}

function wait(out: usize): void {
  const message = lanes + <usize>waiting * LANE_SIZE;
  memory.copy(message, NAMESPACE, UUID_SIZE);
  copyText(message + UUID_SIZE, viewStream, viewStreamSize);
  store<u32>(places + (<usize>waiting << 3), <u32>out);
  store<u32>(places + (<usize>waiting << 3), <u32>viewStreamSize, 4);
  waiting++;
}

function fill(): void {
  if (waiting == 1) {
    uuidWrite(load<u32>(places), defaultKey(lanes + UUID_SIZE, load<u32>(places, 4)));
    waiting = 0;
    return;
  }
  for (let lane: u32 = 0; lane < waiting; lane++) laneEnd(lane, UUID_SIZE + load<u32>(places + (<usize>lane << 3), 4));
  lanesHash(waiting);
  for (let lane: u32 = 0; lane < waiting; lane++) {
    uuidV5Of(key, laneWord(lane, 0), laneWord(lane, 1), laneWord(lane, 2), laneWord(lane, 3));
    uuidWrite(load<u32>(places + (<usize>lane << 3)), key);
  }
  const last = <usize>waiting - 1;
  defaultKeyKeep(lanes + last * LANE_SIZE + UUID_SIZE, load<u32>(places + (last << 3), 4), key);
  waiting = 0;
}
