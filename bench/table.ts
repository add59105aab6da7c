/**
 * One row per measured load, the verdict on its target, and the table in Markdown.
 */
import { Missing } from "./peers.ts";

export type Cell = number | Missing;

interface Target {
  /** What is held against the target: Cairn's own number, or its ratio to the peer or the limit. */
  readonly of: "cairn" | "cairn / peer" | "cairn / limit";
  readonly sense: "at least" | "at most";
  readonly value: number;
}

export interface Row {
  readonly load: string;
  readonly unit: string;
  readonly cairn: Cell;
  /** Redis, unless `load` names another; null where the row has none. */
  readonly peer: Cell | null;
  readonly limit: Cell | null;
  /** Null where the number is only to be known. */
  readonly target: Target | null;
}

export interface Verdict {
  readonly ratio: string;
  readonly target: string;
  readonly reached: "yes" | "no" | "–";
}

/** The ratio that the target is about, and whether it is reached; dashes where a number is missing. */
export function judge(row: Row): Verdict {
  const { target } = row;
  if (target === null) return { ratio: "–", target: "–", reached: "–" };
  const isRatio = target.of !== "cairn";
  const text = `${target.sense} ${isRatio ? `${target.value} ×` : `${target.value} ${row.unit}`}`;
  const divisor = target.of === "cairn / peer" ? row.peer : isRatio ? row.limit : 1;
  if (row.cairn instanceof Missing || divisor === null || divisor instanceof Missing) {
    return { ratio: "–", target: text, reached: "–" };
  }
  const measured = row.cairn / divisor;
  const reached = target.sense === "at least" ? measured >= target.value : measured <= target.value;
  return {
    ratio: isRatio ? `${measured.toFixed(2)} ×` : "–",
    target: text,
    reached: reached ? "yes" : "no",
  };
}

/** The table, a row a line, in Markdown. */
export function renderTable(rows: readonly Row[]): string {
  const lines = [
    "| load | unit | Cairn | peer | limit | ratio | to reach | reached |",
    "|---|---|---:|---:|---:|---:|---|---|",
  ];
  for (const row of rows) {
    const verdict = judge(row);
    const cells = [row.load, row.unit, renderCell(row.cairn), renderCell(row.peer)];
    cells.push(renderCell(row.limit), verdict.ratio, verdict.target, verdict.reached);
    lines.push(`| ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}

/** Puts `content` between the page's markers of this name; a page without them is an error. */
export function replaceBetweenMarkers(page: string, name: string, content: string): string {
  const beginMarker = `<!-- ${name}:begin -->`;
  const endMarker = `<!-- ${name}:end -->`;
  const begin = page.indexOf(beginMarker);
  const end = page.indexOf(endMarker);
  if (begin < 0 || end < begin) throw new Error(`no ${beginMarker} … ${endMarker}`);
  return `${page.slice(0, begin + beginMarker.length)}\n${content}\n${page.slice(end)}`;
}

function renderCell(cell: Cell | null): string {
  if (cell === null) return "–";
  return cell instanceof Missing ? renderReason(cell) : renderNumber(cell);
}

/** Why there is no number, as a cell of a Markdown table. */
export function renderReason(missing: Missing): string {
  return missing.reason.replaceAll("|", "\\|").replaceAll("\n", " ");
}

/** A number with three digits or more, and thousands apart. */
export function renderNumber(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en-US")
    : value.toFixed(value < 10 ? 2 : 1);
}
