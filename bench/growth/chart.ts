/**
 * Curves as an SVG: small panels beside one another, all over the same logarithmic x axis.
 *
 * A library would bring a document model and some fifty packages for what is six axes and some lines. Text is text, colours
 * stand on white, so that the file reads alike on light and dark pages, and nothing in it loads anything.
 */

interface Point {
  readonly x: number;
  /** Above 0 where the axis is logarithmic; points that are not are left out. */
  readonly y: number;
}

export interface Curve {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
  /** Null: a linear axis from 0; "log": powers of ten. */
  readonly scale: "linear" | "log";
}

/** Draws the panels, three in a row. `formatX` names the x values that curves have points at. */
export function renderChart(
  panels: readonly Panel[],
  xs: readonly number[],
  formatX: (x: number) => string,
): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const width = COLUMNS * PANEL_WIDTH;
  const height = rows * PANEL_HEIGHT;
  const drawn = panels.map((panel, i) => {
    const x = (i % COLUMNS) * PANEL_WIDTH;
    const y = Math.floor(i / COLUMNS) * PANEL_HEIGHT;
    return `<g transform="translate(${x} ${y})">${renderPanel(panel, xs, formatX)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

const COLUMNS = 3;
const PANEL_WIDTH = 360;
const PANEL_HEIGHT = 260;
const LEFT = 56;
const RIGHT = 12;
const TOP = 30;
/** Below the axis: its labels, and two lines of legend. */
const BOTTOM = 62;
const PLOT_WIDTH = PANEL_WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = PANEL_HEIGHT - TOP - BOTTOM;
const BASE = TOP + PLOT_HEIGHT;

/** Okabe and Ito's colours: told apart by colour-blind readers too. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const LEGEND_COLUMNS = 3;

/** Values on an axis and where they stand, pixels from the panel's top. */
interface Scale {
  readonly ticks: readonly number[];
  place(value: number): number;
}

function renderPanel(
  { title, curves, scale }: Panel,
  xs: readonly number[],
  formatX: (x: number) => string,
): string {
  const isDrawn = ({ y }: Point): boolean => Number.isFinite(y) && (scale === "linear" || y > 0);
  const values = curves.flatMap(({ points }) => points.filter(isDrawn).map(({ y }) => y));
  const axis = scale === "log" ? logScale(values) : linearScale(values);
  const across = placeAcross(xs);
  const parts = [text(LEFT, TOP - 12, escaped(title), 'font-weight="bold"')];
  for (const tick of axis.ticks) {
    const y = axis.place(tick);
    parts.push(line(LEFT, y, PANEL_WIDTH - RIGHT, y, "#ddd"));
    parts.push(text(LEFT - 5, y + 4, formatTick(tick), 'text-anchor="end"'));
  }
  for (const x of xs) {
    parts.push(line(across(x), BASE, across(x), BASE + 4, "#888"));
    parts.push(text(across(x), BASE + 16, escaped(formatX(x)), 'text-anchor="middle"'));
  }
  parts.push(line(LEFT, BASE, PANEL_WIDTH - RIGHT, BASE, "#888"));
  for (const [i, { name, points }] of curves.entries()) {
    const colour = COLOURS[i % COLOURS.length] as string;
    const places = points
      .filter(isDrawn)
      .map(({ x, y }) => `${round(across(x))},${round(axis.place(y))}`);
    if (places.length > 1) {
      parts.push(
        `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.8"/>`,
      );
    }
    for (const place of places) {
      const [cx, cy] = place.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="2.6" fill="${colour}"/>`);
    }
    const legendX = 12 + (i % LEGEND_COLUMNS) * ((PANEL_WIDTH - 12) / LEGEND_COLUMNS);
    const legendY = BASE + 32 + Math.floor(i / LEGEND_COLUMNS) * 14;
    parts.push(
      `<rect x="${round(legendX)}" y="${legendY}" width="9" height="9" fill="${colour}"/>`,
    );
    parts.push(text(legendX + 13, legendY + 8, escaped(name)));
  }
  return parts.join("\n");
}

function placeAcross(xs: readonly number[]): (x: number) => number {
  const low = Math.log10(Math.min(...xs));
  const high = Math.log10(Math.max(...xs));
  if (low === high) return () => LEFT + PLOT_WIDTH / 2;
  const margin = 14;
  return (x) => LEFT + margin + ((Math.log10(x) - low) / (high - low)) * (PLOT_WIDTH - 2 * margin);
}

/** From 0 to the first round number above all values. */
function linearScale(values: readonly number[]): Scale {
  const highest = Math.max(0, ...values);
  const step = roundStep((highest === 0 ? 1 : highest) / 4);
  const count = Math.max(1, Math.ceil(highest / step));
  return {
    ticks: Array.from({ length: count + 1 }, (_, i) => i * step),
    place: (value) => BASE - (value / (count * step)) * PLOT_HEIGHT,
  };
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((factor) => factor * power >= least) as number) * power;
}

/** Whole powers of ten around all values. */
function logScale(values: readonly number[]): Scale {
  const low = Math.floor(Math.log10(values.length === 0 ? 1 : Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(10 ** low, ...values))));
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    place: (value) => BASE - ((Math.log10(value) - low) / (high - low)) * PLOT_HEIGHT,
  };
}

function formatTick(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  if (value >= 1e3) return `${value / 1e3} k`;
  return String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" fill="#222" ${attributes}>${content}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
