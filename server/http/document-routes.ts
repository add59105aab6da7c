/**
 * The description of the API: /openapi.json, and /docs, a page that shows it and needs nothing from elsewhere.
 */

import { readEmbedded } from "../disk.ts";
import { problems } from "./descriptions.ts";
import docsPath from "./docs.html" with { type: "file" };
import { openApiDocument } from "./openapi.ts";
import type { Operation } from "./operation.ts";
import { JSON_TYPE } from "./request.ts";

const CACHED = { "Cache-Control": "no-cache" };

/** The page runs its own script and style, and asks this server alone. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function documentRoutes(described: readonly Operation[], version: string): Operation[] {
  // The type is that of a page for Bun to bundle; as a file it is a path.
  const page = readEmbedded(docsPath as unknown as string) as Uint8Array<ArrayBuffer>;
  const routes: Operation[] = [
    {
      method: "GET",
      path: "/openapi.json",
      id: "getDescription",
      tag: "Operate",
      summary: "This description",
      answers: {
        200: {
          description: "An OpenAPI 3.1 document.",
          content: { [JSON_TYPE]: { type: "object" } },
          headers: ["Cache-Control"],
        },
        ...problems(421),
      },
      handle: () => new Response(text, { headers: { "Content-Type": JSON_TYPE, ...CACHED } }),
    },
    {
      method: "GET",
      path: "/docs",
      id: "getDocs",
      tag: "Operate",
      summary: "A page that shows this description",
      answers: {
        200: {
          description: "The page.",
          content: { "text/html": { type: "string" } },
          headers: ["Cache-Control"],
        },
        ...problems(421),
      },
      handle: () =>
        new Response(page, {
          headers: {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            ...CACHED,
          },
        }),
    },
  ];
  const text = JSON.stringify(openApiDocument([...described, ...routes], version), null, 2);
  return routes;
}
