/**
 * The fuzzers of bytes: RESP's decoder, both doors at their sockets, frames, whole folders, configuration.
 *
 * The folders' fuzzers take any file below the data folder, so that every kind of file that a store has is theirs.
 */
import { connect, type Socket } from "node:net";
import { readSettings } from "../../server/config/settings.ts";
import { OpenError, StoreError } from "../../server/errors.ts";
import { PARTITIONS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN } from "../../server/limits.ts";
import { FAULT, MORE, RequestDecoder } from "../../server/resp/decoder.ts";
import { dumpStore } from "../../server/store/offline.ts";
import { UsageError } from "../../server/usage.ts";
import { type DoorInProcess, openDoor } from "../support/door.ts";
import { Random } from "../support/random.ts";
import { FrameReader, RespClient } from "../support/resp-client.ts";
import { type Cairn, startCairn } from "../support/server.ts";
import { SimulatedDisk } from "../support/simulated-disk.ts";
import { append, nextTurn, readAll, readAllOrDamage } from "../support/store-driver.ts";
import { fail, same } from "../support/store-ledger.ts";
import { openStore } from "../support/store-world.ts";
import { RUN_TARGET } from "./run-target.ts";
import { decodeFiles, seal } from "./store-image.ts";
import type { ByteTarget } from "./target.ts";

const RESP_WORDS = (
  "*1\r\n *2\r\n *3\r\n $0\r\n $-1\r\n $5\r\n \r\n \n PING HELLO 3 2 EAPPEND EMAPPEND EGET ESCAN EPSCAN ELOG ESVER EPSEQ EPOS " +
  "SCAN EXISTS TYPE AUTH SELECT CLIENT COMMAND CONFIG INFO DBSIZE MULTI EXEC RESET QUIT EVENT_ID PARTITION_KEY EXPECTED_VERSION " +
  "TIMESTAMP PAYLOAD METADATA WITHPOSITION COUNT REV MATCH NAME KEY PARTITIONS SINCE UNTIL ASOF any exists empty - + * user-1 user-* " +
  '550e8400-e29b-41d4-a716-446655440000 "quoted" POST Host:'
).split(" ");

const HTTP_WORDS = (
  "GET POST HEAD PUT HTTP/1.1\r\n \r\n\r\n Host:localhost Content-Length:5 Transfer-Encoding:chunked Content-Type:application/json " +
  'application/msgpack If-Match:"0" If-None-Match:* Last-Event-ID:0 Accept:text/event-stream Connection:close /healthz /readyz /v1 ' +
  '/v1/streams /v1/streams/a/events /v1/events /v1/transactions /v1/partitions/0 /metrics ?from=0&limit=1 %00 %2e%2e {"event_name":"a"} [ ] { } null'
).split(" ");

const CONFIG_WORDS = (
  "--data --ephemeral --resp --http --config --partitions --segment-bytes --durability --strict --allowed-hosts --cors-origins --insecure " +
  "=false =true 127.0.0.1:0 [::1]:0 0.0.0.0:1 localhost:9090 64KiB 1GiB 64MiB fsync os 32 65536 https://a.example CAIRN_RESP= CAIRN_STRICT= " +
  "\nenvironment\n \nfile\n strict=true [a] a.b=1 \"\"\" ''' 1979-05-27 inf nan"
).split(" ");

/** Longer inputs are cut at some places only, not at every one. */
const CUT_EVERYWHERE_BYTES_MAX = 400;
/** Guards against a hang: no answer of a door takes so long. */
const ANSWER_MS_MAX = 20_000;

const resp: ByteTarget = {
  name: "resp",
  promise: "requests are the same however their bytes are cut, and nothing is thrown",
  share: 1,
  testInputs: 60,
  dictionary: RESP_WORDS,
  check(input) {
    for (const unauthenticated of [false, true]) {
      const whole = decode(input, [input.length], unauthenticated);
      const step = Math.ceil(input.length / CUT_EVERYWHERE_BYTES_MAX);
      const places = Array.from(
        { length: Math.floor(input.length / Math.max(1, step)) },
        (_, i) => (i + 1) * step,
      );
      same(decode(input, places, unauthenticated), whole, `requests of chunks of ${step}`);
      for (const place of [1, Math.floor(input.length / 3), input.length - 1]) {
        same(decode(input, [place], unauthenticated), whole, `requests of a cut at ${place}`);
      }
    }
  },
};

/** Every request's arguments and every fault, as a text each. */
function decode(input: Uint8Array, cuts: readonly number[], unauthenticated: boolean): string[] {
  const decoder = new RequestDecoder();
  decoder.unauthenticated = unauthenticated;
  const decoded: string[] = [];
  let start = 0;
  for (const end of [...cuts, input.length]) {
    const chunk = Uint8Array.from(input.subarray(start, end));
    start = Math.max(start, end);
    decoder.push(chunk);
    for (let status = decoder.next(); status !== MORE; status = decoder.next()) {
      decoded.push(status === FAULT ? JSON.stringify(decoder.fault) : argumentsOf(decoder));
      if (decoder.fault?.closes) return decoded;
    }
    decoder.release();
    if (decoder.heldBytes > input.length)
      fail(`${decoder.heldBytes} bytes held of ${input.length}`);
    chunk.fill(0xee); // the socket uses its memory again
  }
  return decoded;
}

function argumentsOf(decoder: RequestDecoder): string {
  const texts = Array.from({ length: decoder.count }, (_, index) => {
    const start = decoder.starts[index] ?? -1;
    const end = start + (decoder.lengths[index] ?? -1);
    if (start < decoder.requestStart || end > decoder.requestEnd)
      fail("an argument lies outside of its request");
    return Buffer.from(decoder.bytes.subarray(start, end)).toString("latin1");
  });
  return JSON.stringify(texts);
}

const door: ByteTarget = {
  name: "door",
  promise:
    "whatever a client sends, it gets whole replies, others are served, and the store stays whole",
  share: 1,
  testInputs: 60,
  dictionary: RESP_WORDS,
  async check(input) {
    const opened = openDoor();
    try {
      await append(opened.store, [{ stream: "user-1", name: "Registered" }]);
      await sendAll(opened, input);
      const witness = await RespClient.connect3(opened.port);
      same(await witness.value("PING"), "PONG", "PING of another client");
      witness.close();
      const bug = opened.log.find((line) => line.startsWith("error "));
      if (bug !== undefined) fail(`an internal error was answered: ${bug}`);
      for (const [position, event] of readAll(opened.store).entries()) {
        same(event.position, position, "position");
      }
    } finally {
      await opened.stop();
    }
  },
};

/** Sends all, then half-closes, and reads what comes until the server closes too. */
async function sendAll({ port }: DoorInProcess, input: Uint8Array): Promise<void> {
  const reader = new FrameReader();
  const socket = await connected(port);
  let broken: unknown = null;
  socket.on("data", (chunk: Buffer) => {
    try {
      reader.push(chunk);
      while (reader.next() !== null);
    } catch (error) {
      broken = error;
    }
  });
  socket.end(input);
  await ended(socket);
  if (broken !== null) throw broken;
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

function ended(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const hang = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server does not close its side within ${ANSWER_MS_MAX} ms`));
    }, ANSWER_MS_MAX);
    const end = () => {
      clearTimeout(hang);
      socket.destroy();
      resolve();
    };
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  });
}

let httpServer: Cairn | null = null;

const http: ByteTarget = {
  name: "http",
  promise: "whatever a client sends, the server lives, answers others, and never says 500",
  share: 1,
  testInputs: 60,
  dictionary: HTTP_WORDS,
  async check(input) {
    // The executable itself, so that Bun's own parser stands before the door as it does for users.
    httpServer ??= await startCairn();
    const { httpPort } = httpServer;
    const socket = await connected(httpPort);
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.write(input);
    // A second client's answers say that the first one's bytes were read: one loop serves both.
    for (let i = 0; i < 2; i++) {
      const response = await fetch(`http://127.0.0.1:${httpPort}/healthz`);
      same(response.status, 200, "/healthz");
      await response.arrayBuffer();
    }
    socket.destroy();
    if (answer !== "" && !answer.startsWith("HTTP/1.1 ")) fail(`no HTTP: ${answer.slice(0, 200)}`);
    const bad = /^HTTP\/1\.1 500.*$/m.exec(answer);
    if (bad !== null) fail(`it answered ${bad[0]}; it said ${httpServer.stderr().slice(-1_000)}`);
  },
  async close() {
    await httpServer?.stop();
    httpServer = null;
  },
};

const recovery: ByteTarget = {
  name: "recovery",
  promise:
    "any files are opened or refused with the file's name, what is opened stays as it is, and a dump ends",
  share: 1,
  testInputs: 60,
  dictionary: [],
  check: (input) => opensOrRefuses(decodeFiles(input)),
};

const frames: ByteTarget = {
  name: "frames",
  promise: "the same of files whose checksums are right, whatever they cover",
  share: 1,
  testInputs: 30,
  dictionary: [],
  check(input) {
    const files = decodeFiles(input);
    seal(files);
    return opensOrRefuses(files);
  },
};

async function opensOrRefuses(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await dumps(files);
  const disk = SimulatedDisk.fromImage(files, { random: new Random(1) });
  const first = tryOpen(disk);
  if (first === null) {
    const image = disk.image();
    // The index is made of the log, and made again of it.
    const changed = [...files].find(
      ([name, bytes]) =>
        !name.startsWith("/data/index/") && !Bun.deepEquals(image.get(name), bytes),
    );
    if (files.has("/data/STORE") && changed !== undefined) {
      fail(`a start that was refused changed ${changed[0]}`);
    }
    return;
  }
  const found = readAllOrDamage(first);
  const damaged = found.filter((event) => "damage" in event).length;
  try {
    await append(first, [{ stream: "fuzzed", name: "Appended" }]);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
  const appended = readAllOrDamage(first);
  same(appended.slice(0, found.length), found, "events after an append");
  await first.stop();
  disk.crash();
  await nextTurn();
  const second = tryOpen(disk);
  if (second === null) {
    // Damage in a sealed segment that the first start did not need to look at is none that it could have cut.
    if (damaged === 0) fail("a store that was opened and stopped is refused");
    return;
  }
  for (const [position, event] of readAllOrDamage(second).entries()) {
    const before = appended[position];
    // A damaged index is made again by a start: its events are right then.
    if (before !== undefined && !("damage" in before)) same(event, before, "after a start");
  }
  same(second.lastPosition(), first.lastPosition(), "the last position after a start");
  await second.stop();
}

/** A dump gives events by position, and refuses as a start does; it changes nothing. */
async function dumps(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const disk = SimulatedDisk.fromImage(files, { random: new Random(1) });
  const before = disk.image();
  let last = -1;
  const print = (text: string): undefined => {
    for (const line of text.split("\n").slice(0, -1)) {
      const { position } = JSON.parse(line) as { position: number };
      if (position <= last) fail(`position ${position} is dumped behind ${last}`);
      last = position;
    }
  };
  const report = (line: string): void => {
    if (/[\r\n]/.test(line)) fail(`a report has several lines: ${line}`);
  };
  try {
    const options = { streamId: null, from: 0, limit: null };
    await dumpStore(disk.boot(), "/data", options, { print, report });
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
  }
  const changed = [...disk.image()].find(
    ([name, bytes]) => !name.endsWith("/LOCK") && !Bun.deepEquals(before.get(name), bytes),
  );
  if (changed !== undefined) fail(`a dump changed ${changed[0]}`);
}

/** Null where the start is refused. */
function tryOpen(disk: SimulatedDisk) {
  try {
    return openStore(disk, { partitions: null });
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    if (!error.message.includes("/data")) fail(`the refusal names no file: ${error.message}`);
    if (/[\r\n]/.test(error.message)) fail(`the refusal has several lines: ${error.message}`);
    return null;
  }
}

const config: ByteTarget = {
  name: "config",
  promise:
    "any arguments, environment and file give settings within their bounds or one line that says why not",
  share: 1,
  testInputs: 60,
  dictionary: CONFIG_WORDS,
  async check(input) {
    const text = Buffer.from(input).toString("utf8");
    const [args = "", environment = "", file = ""] = text.split(/\n(?:environment|file)\n/);
    const variables = environment.split("\n").map((line) => line.split(/=(.*)/s));
    try {
      const settings = await readSettings(
        args.split("\n"),
        Object.fromEntries(variables.map(([name = "", value = ""]) => [name, value])),
        async () => file,
      );
      const { segmentBytes, partitions, resp, http: httpAddress } = settings;
      if (segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > SEGMENT_BYTES_MAX)
        fail(`${segmentBytes}`);
      if (partitions !== null && (partitions < 1 || partitions > PARTITIONS_MAX))
        fail(`${partitions}`);
      for (const { host, port } of [resp, httpAddress]) {
        if (host === "" || !(port >= 0 && port <= 65_535)) fail(`${host}:${port}`);
      }
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      if (/[\r\n]/.test(error.message)) fail(`several lines: ${error.message}`);
    }
  },
};

export const BYTE_TARGETS: readonly ByteTarget[] = [
  resp,
  door,
  http,
  frames,
  recovery,
  RUN_TARGET,
  config,
];
