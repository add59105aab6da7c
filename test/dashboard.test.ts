/**
 * The dashboard and the README's queries name figures that there are, with labels that they have.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Figure, parseMetrics } from "./support/prometheus.ts";
import { RespClient } from "./support/resp-client.ts";
import { type Cairn, startCairn } from "./support/server.ts";

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: {
      readonly x: number;
      readonly y: number;
      readonly w: number;
      readonly h: number;
    };
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

let cairn: Cairn;
let figures: Map<string, Figure>;

beforeAll(async () => {
  cairn = await startCairn();
  const client = await RespClient.connect(cairn.respPort);
  await client.error("NOSUCH"); // so that every figure has a sample
  await fetch(`http://127.0.0.1:${cairn.httpPort}/healthz`);
  client.close();
  figures = parseMetrics(await (await fetch(`http://127.0.0.1:${cairn.httpPort}/metrics`)).text());
});
afterAll(() => cairn.stop());

async function fileText(path: string): Promise<string> {
  return await Bun.file(new URL(`../${path}`, import.meta.url).pathname).text();
}

/** Names of figures in a query; a histogram's series count as the histogram. */
function namesIn(query: string): string[] {
  return [...query.matchAll(/\b(?:cairn|process)_[a-z_]+/g)].map(([name]) => {
    const base = name.replace(/_(bucket|sum|count)$/, "");
    return figures.get(base)?.type === "histogram" ? base : name;
  });
}

/** What is wrong with a query, in words. */
function faults(query: string): string[] {
  const names = namesIn(query);
  const found = names.filter((name) => !figures.has(name)).map((name) => `no figure ${name}`);
  if (names.length === 0) found.push(`no figure in ${query}`);
  for (const [, list = ""] of query.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const label of list.split(", ").filter((known) => known !== "instance")) {
      if (names.every((name) => !hasLabel(name, label)))
        found.push(`no label ${label} in ${query}`);
    }
  }
  for (const [, name = ""] of query.matchAll(/rate\((\w+)/g)) {
    const figure = figures.get(namesIn(name)[0] ?? "");
    if (figure?.type === "gauge") found.push(`the rate of ${name}, a gauge`);
  }
  return found;
}

function hasLabel(name: string, label: string): boolean {
  return [...(figures.get(name)?.samples.keys() ?? [])].some((series) =>
    new RegExp(`[{,]${label}=`).test(series),
  );
}

test("every query of the dashboard can be answered, and no two panels overlap", async () => {
  const { panels }: Dashboard = JSON.parse(await fileText("bench/grafana-dashboard.json"));
  expect(panels.length).toBeGreaterThan(10);
  expect(panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => faults(expr)))).toEqual([]);
  for (const { title, targets } of panels) {
    for (const { expr, legendFormat } of targets) {
      for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        if (label === "instance") continue; // the scraper's own
        const isKnown = namesIn(expr).some((name) => hasLabel(name, label));
        expect(isKnown, `${title}: the label ${label}`).toBe(true);
      }
    }
  }
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});

test("so can the README's five", async () => {
  const section = /## Watching it\n([\s\S]*?)\n## /.exec(await fileText("README.md"))?.[1] ?? "";
  const queries = [...section.matchAll(/^\| [^|]+\? \| `([^`]+)` \|/gm)].map(
    ([, query = ""]) => query,
  );
  expect(queries).toHaveLength(5);
  expect(queries.flatMap(faults)).toEqual([]);
  const named = [...section.matchAll(/`((?:cairn|process)_[a-z_]+)/g)].map(([, name = ""]) => name);
  expect(named.flatMap(faults)).toEqual([]);
});

test("the check finds what is wrong", () => {
  expect(faults("rate(cairn_nothing_total[5m])")).toEqual(["no figure cairn_nothing_total"]);
  expect(faults("sum by (colour) (cairn_streams)")).toHaveLength(1);
  expect(faults("rate(cairn_streams[5m])")).toHaveLength(1);
});
