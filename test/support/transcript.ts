/**
 * Plays a recorded conversation against a server and tells each reply that differs.
 *
 * A transcript is text, one step a line, its reply below it, two spaces in and one value a line:
 *
 *     # text              a comment
 *     > CMD ARG "A B"     a command; @b> sends it on a second connection named b (the first is a)
 *     !raw "bytes\r\n"    bytes as they are, and one reply
 *     !push N             the next N pushes of the connection (@b!push N for another one)
 *     !quiet              no push has come that was not read, and none comes before a PING's reply
 *     !skip REASON        the reply of the command above is not compared
 *
 * Values: +simple $"blob" :int ,double #t _ (null) -ERROR text; %map with its keys in alphabetical order,
 * *array, >push. Random values are named in order of appearance (<uuid1>, <uuid2>, <time>), so that equality
 * is kept; UUIDs that a command sent, and those derived from a stream id (version 5), stand as they are.
 * Errors agree by their code, since each server words its own.
 */
import { type Frame, RespClient } from "./resp-client.ts";
import { shellWords } from "./shell-words.ts";

/** The one time that the transcripts send: it is the reply's too, every other is random. */
const TIME_SENT = "1697641800000";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export interface Step {
  /** The step's own line. */
  readonly source: string;
  /** The reply as recorded. */
  readonly recorded: readonly string[];
  /** Why the reply differs on purpose, where `!skip` follows. */
  readonly skipped: string | null;
}

export interface Played extends Step {
  /** The reply that came. */
  readonly actual: readonly string[];
  readonly agrees: boolean;
}

/** The steps of a transcript; comments and `!skip` lines are none. */
export function parseTranscript(text: string): Step[] {
  const steps: { source: string; recorded: string[]; skipped: string | null }[] = [];
  for (const line of text.split("\n")) {
    const last = steps.at(-1);
    if (line.startsWith("  ")) {
      if (last === undefined) throw new Error(`a reply without a step: ${line}`);
      last.recorded.push(line);
    } else if (line.startsWith("!skip ")) {
      if (last === undefined) throw new Error(`a skip without a step: ${line}`);
      last.skipped = line.slice("!skip ".length);
    } else if (/^(@\w+)?[>!]/.test(line)) {
      steps.push({ source: line, recorded: [], skipped: null });
    } else if (line !== "" && !line.startsWith("#")) {
      throw new Error(`no step begins so: ${line}`);
    }
  }
  return steps;
}

/** Plays a transcript against the server on a port, which must hold an empty store. */
export async function playTranscript(text: string, port: number): Promise<Played[]> {
  const player = new Player(port);
  try {
    const played: Played[] = [];
    for (const step of parseTranscript(text)) {
      const actual = await player.play(step);
      const agrees = step.skipped !== null || agree(step.recorded, actual);
      played.push({ ...step, actual, agrees });
    }
    return played;
  } finally {
    player.close();
  }
}

class Player {
  private readonly port: number;
  private readonly connections = new Map<string, RespClient>();
  private names = new Names();

  constructor(port: number) {
    this.port = port;
  }

  /** Takes one step and returns what came, as a transcript shows it. */
  async play({ source, skipped }: Step): Promise<string[]> {
    const [, name = "a", sign, rest = ""] = /^(?:@(\w+))?([>!])\s*(.*)$/.exec(source) ?? [];
    const client = await this.connection(name);
    if (sign === ">") {
      const words = shellWords(rest).map(unescaped);
      for (const word of words) this.names.send(word.toString("latin1"));
      // What a skipped reply holds is not what was recorded, so it gets no names.
      const names = skipped === null ? this.names : this.names.copy();
      return this.received(name, client.command(...words), names);
    }
    const [word, argument = ""] = shellWords(rest);
    switch (word) {
      case "raw":
        client.send(unescaped(argument));
        return this.received(name, client.reply(), this.names);
      case "push": {
        const lines: string[] = [];
        for (let i = 0; i < Number(argument); i++) {
          lines.push(...(await this.received(name, client.push(), this.names)));
        }
        return lines;
      }
      case "quiet":
        await client.command("PING");
        return [client.pushCount === 0 ? "  quiet" : "  NOT QUIET"];
      default:
        throw new Error(`no such step: ${source}`);
    }
  }

  close(): void {
    for (const client of this.connections.values()) client.close();
  }

  private async connection(name: string): Promise<RespClient> {
    const known = this.connections.get(name);
    if (known !== undefined) return known;
    const client = await RespClient.connect3(this.port);
    this.connections.set(name, client);
    return client;
  }

  private async received(name: string, frame: Promise<Frame>, names: Names): Promise<string[]> {
    try {
      return show(await frame, names, "  ", "");
    } catch {
      this.connections.get(name)?.close();
      this.connections.delete(name);
      return ["  CLOSED"];
    }
  }
}

/** Gives random values names in order of appearance. */
class Names {
  private readonly uuids: Map<string, string>;
  private readonly sent: Set<string>;

  constructor(uuids = new Map<string, string>(), sent = new Set<string>()) {
    this.uuids = uuids;
    this.sent = sent;
  }

  copy(): Names {
    return new Names(new Map(this.uuids), this.sent);
  }

  send(word: string): void {
    if (UUID.test(word.toLowerCase())) this.sent.add(word.toLowerCase());
  }

  /** How a value under a map's key is shown. */
  text(value: string, key: string): string {
    if (key === "timestamp") return value === TIME_SENT ? value : "<time>";
    const version = UUID.exec(value)?.[1];
    if (version === undefined || this.sent.has(value)) return value;
    if (version === "5" && key !== "event_id" && key !== "transaction_id") return value;
    const name = this.uuids.get(value) ?? `<uuid${this.uuids.size + 1}>`;
    this.uuids.set(value, name);
    return name;
  }
}

/** A frame's lines; `lead` stands before the first one, `key` is the map's key that the frame is under. */
function show(frame: Frame, names: Names, indent: string, lead: string, key = ""): string[] {
  const inner = `${indent}  `;
  switch (frame.kind) {
    case "%": {
      const entries = frame.entries.map(([name, value]) => [keyText(name), value] as const);
      entries.sort(([a], [b]) => (a < b ? -1 : 1));
      return [
        `${indent}${lead}%`,
        ...entries.flatMap(([name, value]) => show(value, names, inner, `${name}: `, name)),
      ];
    }
    case "*":
    case "~":
    case ">":
      return [
        `${indent}${lead}${frame.items.length > 0 ? frame.kind : "*empty"}`,
        ...frame.items.flatMap((item) => show(item, names, inner, "")),
      ];
    case "$":
    case "=": {
      const text = printable(names.text(frame.bytes.toString("utf8"), key));
      return [`${indent}${lead}$"${text}"`];
    }
    case "_":
      return [`${indent}${lead}_`];
    case "#":
      return [`${indent}${lead}#${frame.value ? "t" : "f"}`];
    case ":":
      return [`${indent}${lead}:${names.text(String(frame.value), key)}`];
    default:
      return [`${indent}${lead}${frame.kind}${names.text(frame.text, key)}`];
  }
}

function keyText(frame: Frame): string {
  if (frame.kind === "+") return frame.text;
  if (frame.kind === "$") return frame.bytes.toString("utf8");
  throw new Error(`a map's key is a text, not ${frame.kind}`);
}

function printable(text: string): string {
  return text.replace(
    /\p{C}/gu,
    (char) => `\\x${(char.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`,
  );
}

/** The bytes of a word, in which `\x00`, `\r`, `\n` and `\t` stand for bytes. */
function unescaped(word: string): Buffer {
  const bytes = Buffer.from(word, "utf8").toString("latin1");
  const text = bytes.replace(/\\(?:x([0-9a-fA-F]{2})|([rnt\\]))/g, (_, hex, letter) =>
    hex === undefined ? (LETTERS[letter] as string) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(text, "latin1");
}

const LETTERS: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", "\\": "\\" };

function agree(recorded: readonly string[], actual: readonly string[]): boolean {
  const code = errorCode(recorded);
  if (code !== null) return errorCode(actual) === code;
  return recorded.join("\n") === actual.join("\n");
}

function errorCode(lines: readonly string[]): string | null {
  return /^ {2}-([A-Z]+)( |$)/.exec(lines[0] ?? "")?.[1] ?? null;
}
