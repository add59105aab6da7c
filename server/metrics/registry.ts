/**
 * The figures that `/metrics` tells, and their text: Prometheus' exposition format 0.0.4.
 *
 * A figure is registered once with a function that reads it when it is asked for, so that what counts stays a plain
 * number where it is counted. Names follow Prometheus' conventions: base units, `_total` for what only grows.
 */
import { assert } from "../assert.ts";
import type { Histogram } from "./histogram.ts";

export type Labels = Readonly<Record<string, string>>;

/** One value of a figure that has several, told apart by labels. */
export interface Labelled<Value> {
  readonly labels: Labels;
  readonly value: Value;
}

/** A value, several with labels, or null where the machine does not tell: then the figure is left out. */
type Reading<Value> = Value | readonly Labelled<Value>[] | null;
type Read<Value> = () => Reading<Value> | Promise<Reading<Value>>;

interface Figure {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** The figure's lines of samples. */
  readonly lines: () => string | Promise<string>;
}

export class MetricsRegistry {
  private readonly figures = new Map<string, Figure>();

  /** What only grows while the server runs. */
  counter(name: string, help: string, read: Read<number>): void {
    assert(name.endsWith("_total"));
    this.add("counter", name, help, read, numberLines);
  }

  /** What goes up and down. */
  gauge(name: string, help: string, read: Read<number>): void {
    assert(!name.endsWith("_total"));
    this.add("gauge", name, help, read, numberLines);
  }

  histogram(name: string, help: string, read: Read<Histogram>): void {
    this.add("histogram", name, help, read, histogramLines);
  }

  /** All figures as they are now. */
  async text(): Promise<string> {
    let text = "";
    for (const { name, help, type, lines } of this.figures.values()) {
      const samples = await lines();
      if (samples === "") continue;
      text += `# HELP ${name} ${help.replace(/[\\\n]/g, escapeCharacter)}\n# TYPE ${name} ${type}\n${samples}`;
    }
    return text;
  }

  private add<Value>(
    type: Figure["type"],
    name: string,
    help: string,
    read: Read<Value>,
    write: (name: string, labels: Labels, value: Value) => string,
  ): void {
    assert(METRIC_NAME.test(name) && !this.figures.has(name));
    const lines = async (): Promise<string> => {
      const reading = await read();
      if (reading === null) return "";
      if (!Array.isArray(reading)) return write(name, {}, reading as Value);
      return reading.map(({ labels, value }) => write(name, labels, value)).join("");
    };
    this.figures.set(name, { name, help, type, lines });
  }
}

const METRIC_NAME = /^[a-z][a-z0-9_]*$/;

function numberLines(name: string, labels: Labels, value: number): string {
  return `${name}${labelText(labels)} ${numberText(value)}\n`;
}

function histogramLines(name: string, labels: Labels, { bounds, counts, sum }: Histogram): string {
  let text = "";
  let total = 0;
  counts.forEach((count, i) => {
    total += count;
    const le = numberText(bounds[i] ?? Number.POSITIVE_INFINITY);
    text += `${name}_bucket${labelText({ ...labels, le })} ${numberText(total)}\n`;
  });
  text += `${name}_sum${labelText(labels)} ${numberText(sum)}\n`;
  return `${text}${name}_count${labelText(labels)} ${numberText(total)}\n`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\\n"]/g, escapeCharacter)}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeCharacter(character: string): string {
  return character === "\n" ? "\\n" : `\\${character}`;
}
