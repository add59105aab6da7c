/**
 * The values of settings: what is read of a text, and of what a TOML file may hold beside one. Undefined where it is not allowed.
 */
import { isIPv4, isIPv6 } from "node:net";
import { GiB, KiB, MiB } from "../limits.ts";
import { isHostName } from "./address.ts";

export function parsePath(text: string): string | undefined {
  return text === "" || text.includes("\0") ? undefined : text;
}

/** Decimal digits alone: no sign, no point, no exponent. */
export function wholeNumber(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export function within(min: number, max: number, value: number | undefined): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, kib: KiB, mib: MiB, gib: GiB };

export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15}) ?([a-z]*)$/i.exec(text);
  if (match === null) return undefined;
  const unit = SIZE_UNITS[(match[2] ?? "").toLowerCase()];
  return unit === undefined ? undefined : Number(match[1]) * unit;
}

export function formatSize(size: number): string {
  if (size % GiB === 0) return `${size / GiB} GiB`;
  return size % MiB === 0 ? `${size / MiB} MiB` : `${size / KiB} KiB`;
}

/** The items between commas, none of an empty text; undefined where one is not allowed. */
export function parseList(
  text: string,
  parseItem: (item: string) => string | undefined,
): readonly string[] | undefined {
  if (text.trim() === "") return [];
  const items = text.split(",").map((item) => parseItem(item.trim()));
  return items.every((item) => item !== undefined) ? items : undefined;
}

export function parseAllowedHost(text: string): string | undefined {
  const host = text.toLowerCase();
  const inBrackets = /^\[(.+)\]$/.exec(host)?.[1];
  if (inBrackets !== undefined) return isIPv6(inBrackets) ? host : undefined;
  return isIPv4(host) || isHostName(host) ? host : undefined;
}

/** An origin must be as browsers send it, or it would never match. */
export function parseOrigin(text: string): string | undefined {
  return /^https?:\/\//.test(text) && URL.parse(text)?.origin === text ? text : undefined;
}

export function textOfNumber(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : undefined;
}

export function textOfList(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => typeof item === "string") ? value.join(",") : undefined;
}
