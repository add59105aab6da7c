/**
 * A strict reader of Prometheus' text format 0.0.4: what it takes any scraper takes, and it takes no more.
 *
 * Beside the grammar it holds the conventions: each figure has HELP, TYPE and at least one sample, together and
 * once; no series comes twice; counters end in `_total` and are not negative; a histogram's buckets ascend in
 * bound and count, end at +Inf, and agree with its count.
 */

export interface Figure {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Every sample by its name and labels as they stand: `x_bucket{door="resp",le="1"}`. */
  readonly samples: ReadonlyMap<string, number>;
}

/** Every figure by its name. Throws where anything is wrong, with the line. */
export function parseMetrics(text: string): Map<string, Figure> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const figures = new Map<
    string,
    { type: Figure["type"]; help: string; samples: Map<string, number> }
  >();
  const lines = text.slice(0, -1).split("\n");
  for (let at = 0; at < lines.length; ) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\\\|\\n)+)$/.exec(lines[at] ?? "");
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(lines[at + 1] ?? "");
    const name = help?.[1] ?? "";
    if (help === null || type?.[1] !== name) throw new Error(`no HELP and TYPE: ${lines[at]}`);
    if (figures.has(name)) throw new Error(`${name} comes twice`);
    const samples = new Map<string, number>();
    for (at += 2; at < lines.length && !lines[at]?.startsWith("#"); at++) {
      const [series, value] = parseSample(lines[at] ?? "");
      if (samples.has(series)) throw new Error(`${series} comes twice`);
      samples.set(series, value);
    }
    if (samples.size === 0) throw new Error(`${name} has no sample`);
    figures.set(name, { type: type[2] as Figure["type"], help: help[2] ?? "", samples });
  }
  for (const [name, figure] of figures) check(name, figure);
  return figures;
}

const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^\\"]|\\\\|\\"|\\n)*)"(?:,(?=.)|$)/;

function parseSample(line: string): [series: string, value: number] {
  const match = SAMPLE.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const labels: string[] = [];
  for (let rest = match[2] ?? ""; rest !== ""; ) {
    const label = LABEL.exec(rest);
    if (label === null) throw new Error(`wrong labels: ${line}`);
    labels.push(`${label[1]}="${label[2]}"`);
    rest = rest.slice(label[0].length);
  }
  const names = labels.map((label) => label.slice(0, label.indexOf("=")));
  if (new Set(names).size < names.length) throw new Error(`a label comes twice: ${line}`);
  const value = Number((match[3] ?? "").replace("Inf", "Infinity"));
  const series = labels.length === 0 ? "" : `{${labels.join(",")}}`;
  return [`${match[1]}${series}`, value];
}

function check(name: string, { type, samples }: Figure): void {
  if (type === "histogram") {
    checkHistogram(name, samples);
    return;
  }
  if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name} is a ${type}`);
  for (const [series, value] of samples) {
    if (series.replace(/\{.*/, "") !== name) throw new Error(`${series} is no sample of ${name}`);
    if (type === "counter" && !(value >= 0)) throw new Error(`${series} is ${value}`);
  }
}

function checkHistogram(name: string, samples: ReadonlyMap<string, number>): void {
  /** Buckets of each set of labels but `le`. */
  const buckets = new Map<string, { bound: number; total: number }[]>();
  let others = 0;
  for (const [series, total] of samples) {
    const match = /^(.*)_bucket\{(.*?),?le="([^"]+)"\}$/.exec(series);
    if (match === null) {
      others++;
      continue;
    }
    if (match[1] !== name) throw new Error(`${series} is no sample of ${name}`);
    const labels = match[2] === "" ? "" : `{${match[2]}}`;
    const known = buckets.get(labels) ?? [];
    known.push({ bound: Number(match[3]?.replace("Inf", "Infinity")), total });
    buckets.set(labels, known);
  }
  if (others !== 2 * buckets.size) throw new Error(`${name} has samples of no histogram`);
  for (const [labels, list] of buckets) {
    list.forEach(({ bound, total }, i) => {
      const before = list[i - 1];
      if (before !== undefined && !(bound > before.bound && total >= before.total)) {
        throw new Error(`${name}${labels}: bucket ${bound} of ${total} follows ${before.bound}`);
      }
    });
    const last = list.at(-1);
    const count = samples.get(`${name}_count${labels}`);
    const sum = samples.get(`${name}_sum${labels}`);
    if (last?.bound !== Number.POSITIVE_INFINITY || last.total !== count || sum === undefined) {
      throw new Error(`${name}${labels}: +Inf, count and sum do not agree`);
    }
  }
}
