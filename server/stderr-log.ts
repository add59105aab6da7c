/**
 * The server's log of itself on standard error: one event a line, as text or as JSON.
 *
 * In text a line is time, level and message, then what belongs to it as name=value. A line never holds payloads or
 * metadata, and nothing that a client sent can forge one: control characters and those that change the direction of
 * text are escaped, line ends included. In text a message of several lines (a stack) goes on in indented ones. A reader of standard error that does not keep up costs bounded memory: lines of
 * requests are left out first, and how many is said when it reads again.
 */
import { LOG_GATHERED_BYTES_MAX, LOG_GATHERED_MS, LOG_HELD_BYTES_MAX } from "./limits.ts";

/** From the chattiest to the gravest. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "json" | "text";
/** What belongs to a line beside its message; what is undefined is left out. */
export type LogFields = Readonly<Record<string, string | number | undefined>>;

/** Levels as long as the longest: messages stand in one column. */
const LEVEL_COLUMN: Readonly<Record<LogLevel, string>> = {
  debug: "debug",
  info: "info ",
  warn: "warn ",
  error: "error",
};

/** Takes one event for whoever runs the server; "info" where no level is given. */
export type Tell = (message: string, level?: LogLevel, fields?: LogFields) => void;

export interface StderrLogOptions {
  readonly format: LogFormat;
  /** Lines below it are left out. */
  readonly level: LogLevel;
  /** Takes text; false when it took it but cannot take more until `resume` is called. */
  readonly write: (text: string) => boolean;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
}

export class StderrLog {
  private readonly options: StderrLogOptions;
  private readonly lowest: number;
  /** Lines that are written with the next ones, or when standard error takes text again. */
  private gathered = "";
  private flushTimer: Timer | null = null;
  private isFull = false;
  /** Lines left out since the start, and those of them that were not told yet. */
  droppedCount = 0;
  private untoldCount = 0;
  private timeMs = Number.NaN;
  private time = "";

  constructor(options: StderrLogOptions) {
    this.options = options;
    this.lowest = LOG_LEVELS.indexOf(options.level);
  }

  /** Whether lines of this level are written: to ask before making one that costs something. */
  isOn(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.lowest;
  }

  /** Writes a line at once. */
  readonly tell: Tell = (message, level = "info", fields = {}) => {
    if (!this.isOn(level)) return;
    this.gathered += this.line(message, level, fields);
    this.flush();
  };

  /** Writes a line whatever the level is: for what tools and people wait for. */
  announce(message: string): void {
    this.gathered += this.line(message, "info", {});
    this.flush();
  }

  /** Writes a line together with others of a short time: for what comes with every request. */
  readonly gather: Tell = (message, level = "info", fields = {}) => {
    if (!this.isOn(level)) return;
    if (this.isFull) {
      this.drop();
      return;
    }
    this.gathered += this.line(message, level, fields);
    if (this.gathered.length >= LOG_GATHERED_BYTES_MAX) this.flush();
    if (this.flushTimer !== null || this.gathered === "") return;
    this.flushTimer = setTimeout(() => this.flush(), LOG_GATHERED_MS);
  };

  /** Writes what was gathered. */
  flush(): void {
    if (this.flushTimer !== null) clearTimeout(this.flushTimer);
    this.flushTimer = null;
    if (this.gathered === "") return;
    if (this.isFull) {
      if (this.gathered.length <= LOG_HELD_BYTES_MAX) return;
      this.drop(this.gathered.split("\n").length - 1);
      this.gathered = "";
      return;
    }
    const text = this.gathered;
    this.gathered = "";
    this.isFull = !this.options.write(text);
  }

  /** Standard error takes text again. */
  resume(): void {
    this.isFull = false;
    if (this.untoldCount > 0) {
      const count = this.untoldCount;
      this.untoldCount = 0;
      this.gathered += this.line("standard error was full: lines of the log are missing", "warn", {
        lines: count,
      });
    }
    this.flush();
  }

  private drop(count = 1): void {
    this.droppedCount += count;
    this.untoldCount += count;
  }

  private line(message: string, level: LogLevel, fields: LogFields): string {
    const time = this.timeText(this.options.clock());
    return this.options.format === "json"
      ? jsonLine(time, message, level, fields)
      : textLine(time, message, level, fields);
  }

  /** Lines of one millisecond share its text. */
  private timeText(ms: number): string {
    if (ms !== this.timeMs) {
      this.timeMs = ms;
      this.time = new Date(ms).toISOString();
    }
    return this.time;
  }
}

function jsonLine(time: string, message: string, level: LogLevel, fields: LogFields): string {
  const line = JSON.stringify({ time, level, msg: message, ...fields });
  return `${isPlain(line) ? line : line.replace(UNSAFE_IN_JSON, escapeUnit)}\n`;
}

function textLine(time: string, message: string, level: LogLevel, fields: LogFields): string {
  const shown = isPlain(message) ? message : message.replace(UNSAFE_IN_TEXT, escapeInText);
  let text = `${time} ${LEVEL_COLUMN[level]} ${shown}`;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    text += ` ${name}=${typeof value === "number" ? value : textValue(value)}`;
  }
  return `${text}\n`;
}

/** As it is where it is one plain word, else in quotes as JSON has it. */
function textValue(value: string): string {
  if (PLAIN_WORD.test(value)) return value;
  return JSON.stringify(value).replace(UNSAFE_IN_JSON, escapeUnit);
}

/** Printable ASCII alone, as nearly every line is: nothing to escape. */
function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

const PLAIN = /^[\x20-\x7e]*$/;
const PLAIN_WORD = /^[\x21\x23-\x3c\x3e-\x7e]+$/; // printable ASCII but blank, " and =

/** What JSON leaves as it is, but a terminal or a viewer of logs may not: DEL, C1, line ends, directions of text. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
/** The same, and what JSON would have escaped. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
const UNSAFE_IN_TEXT = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escapeInText(unit: string): string {
  return unit === "\n" ? "\n    " : escapeUnit(unit);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
