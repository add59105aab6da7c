/**
 * The addresses of the doors: how they are written, and which of them only this machine reaches.
 */
import { isIPv4, isIPv6 } from "node:net";

/** Where a door listens. Port 0 takes a free one; an IPv6 host is without brackets here. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** `HOST:PORT` as it is written, an IPv6 host in brackets. */
export function formatAddress(address: Address): string {
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** The address in `HOST:PORT`, or undefined where the text is none. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > PORT_MAX) return undefined;
  if (match[1] !== undefined) return isIPv6(match[1]) ? { host: match[1], port } : undefined;
  const host = match[2] ?? "";
  return isIPv4(host) || isHostName(host) ? { host, port } : undefined;
}

/** Whether only this machine reaches the host. Its form may be any: a name, IPv4, IPv6 in or without brackets. */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, "").toLowerCase();
  if (isIPv4(plain)) return plain.startsWith("127.");
  if (!isIPv6(plain)) return plain === "localhost";
  const shortest = URL.parse(`http://[${plain}]`)?.hostname ?? ""; // zone indexes are no URL, and no loopback
  return shortest === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:/.test(shortest);
}

/** What an error line says of `--resp`, `--http` and ping's address. */
export const ADDRESS_ALLOWED = "HOST:PORT, an IPv6 host in brackets, the port from 0 to 65535";

/** Labels of letters, digits, hyphens and underscores; one that is digits alone at the end would be a broken IPv4. */
export function isHostName(text: string): boolean {
  return (
    /^(?=.{1,253}$)([a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(
      text,
    ) && !/(^|\.)\d+$/.test(text)
  );
}
