/**
 * How the core writes events; core-wasm/assembly/encoding.ts names the same numbers.
 */

export const Encoding = {
  resp2: 0,
  resp2WithPosition: 1,
  resp3: 2,
  resp3WithPosition: 3,
  /** The form of HTTP. In a row, as a scan writes it, each event is followed by a comma. */
  json: 4,
  /** The same, with data that is JSON as such: `payload_json`, `metadata_json`. */
  jsonData: 5,
} as const;
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

/** The encoding of a RESP connection's events. */
export function respEncoding(protocol: 2 | 3, withPosition: boolean): Encoding {
  if (protocol === 3) return withPosition ? Encoding.resp3WithPosition : Encoding.resp3;
  return withPosition ? Encoding.resp2WithPosition : Encoding.resp2;
}
