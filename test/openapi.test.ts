/**
 * The API's description: it is valid, every example in it works, and whatever is made from it is answered as it says.
 *
 * SEED chooses the requests that are made from it, REQUESTS how many.
 */
import { decode, encode } from "@msgpack/msgpack";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FIELD_NAMES } from "../server/http/event-fields.ts";
import { expectProblem, HttpClient } from "./support/http-client.ts";
import { Random } from "./support/random.ts";
import { type Schema, SchemaGenerator } from "./support/schema-generator.ts";
import { type Cairn, startCairn } from "./support/server.ts";

const SEED = Number(process.env.SEED ?? 1);
const REQUESTS = Number(process.env.REQUESTS ?? 2_000);
const SCHEMATHESIS = Bun.which("schemathesis");
/** How often schemathesis tries each operation. */
const EXAMPLES = 10;

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly schema: Schema;
  readonly example?: unknown;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly content: Record<
      string,
      { readonly schema: Schema; readonly examples?: Record<string, { readonly value: unknown }> }
    >;
  };
  readonly responses: Record<
    string,
    { readonly content?: Record<string, { readonly schema: Schema }>; readonly headers?: object }
  >;
}

let cairn: Cairn;
let http: HttpClient;
// biome-ignore lint/suspicious/noExplicitAny: the document as it is served
let document: any;
let operations: [method: string, path: string, operation: Operation][];
let validate: (schema: Schema) => ValidateFunction;

beforeAll(async () => {
  cairn = await startCairn({ args: ["--durability", "os"] });
  http = new HttpClient(cairn.httpPort);
  document = (await http.get("/openapi.json")).body;
  operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, string, Operation] => [
        method.toUpperCase(),
        path,
        operation,
      ]),
  );
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addSchema({ $id: "api", ...document });
  const compiled = new Map<string, ValidateFunction>();
  validate = (schema) => {
    const text = JSON.stringify(schema).replaceAll('"#/', '"api#/');
    const check = compiled.get(text) ?? ajv.compile(JSON.parse(text));
    compiled.set(text, check);
    return check;
  };
});
afterAll(async () => {
  await cairn.stop();
});

test("the document passes a validator", async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

test("the document describes every field that bodies may have", () => {
  const described = new Set<string>();
  for (const name of ["NewEvent", "NewEvents", "TransactionEvent", "Transaction"]) {
    for (const field of Object.keys(document.components.schemas[name].properties))
      described.add(field);
  }
  expect([...described].toSorted()).toEqual([...FIELD_NAMES].toSorted());
});

/** The answer has a status, a media type and a body that the operation's description has. */
async function expectDescribed(
  operation: Operation,
  response: Response,
  request: string,
): Promise<void> {
  const described = operation.responses[String(response.status)];
  expect(
    described,
    `${request} → ${response.status} ${await response.clone().text()}`,
  ).toBeDefined();
  expect(response.status, request).toBeLessThan(500);
  const type = response.headers.get("Content-Type")?.split(";")[0] ?? null;
  const content = described?.content;
  if (content === undefined) {
    expect(type, request).toBe(null);
    return;
  }
  expect(Object.keys(content), request).toContain(type);
  for (const header of Object.keys(described?.headers ?? {})) {
    const isAlways = ["Vary", "Cache-Control", "Location"].includes(header);
    if (isAlways || (header === "ETag" && response.status === 201)) {
      expect(response.headers.get(header), `${request}: ${header}`).not.toBe(null);
    }
  }
  for (const header of ["ETag", "Location", "Link", "Idempotent-Replayed", "Retry-After"]) {
    if (!response.headers.has(header)) continue;
    expect(Object.keys(described?.headers ?? {}), `${request}: ${header}`).toContain(header);
  }
  if (type === null || !/json|msgpack/.test(type)) return;
  const check = validate(content[type]?.schema ?? {});
  // What MessagePack has as a bin is a string to JSON Schema.
  const body = type.includes("json")
    ? await response.json()
    : JSON.parse(
        JSON.stringify(decode(new Uint8Array(await response.arrayBuffer())), (_, value) =>
          value instanceof Uint8Array ? "" : value,
        ),
      );
  expect(check(body), `${request}: ${JSON.stringify([check.errors, body])}`).toBe(true);
}

/** A value as a body of the media type. */
function bodyIn(type: string, value: unknown): string | Uint8Array<ArrayBuffer> {
  return type === "application/msgpack"
    ? (encode(value) as Uint8Array<ArrayBuffer>)
    : JSON.stringify(value);
}

/** Sends a request, and gives up on a feed once it has begun. */
async function send(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(http.base + path, { redirect: "manual", ...init });
  if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream"))
    return response;
  await response.body?.cancel();
  return new Response("", response);
}

const example = ({ example: given }: Parameter): string => String([given].flat()[0]);

function examplePath(path: string, { parameters = [] }: Operation): string {
  return parameters
    .filter((parameter) => parameter.in === "path")
    .reduce(
      (made, parameter) =>
        made.replace(`{${parameter.name}}`, encodeURIComponent(example(parameter))),
      path,
    );
}

describe("the examples", () => {
  test("of bodies are appended, in their order", async () => {
    let sent = 0;
    const types = new Set<string>();
    for (const [method, path, operation] of operations) {
      for (const [type, content] of Object.entries(operation.requestBody?.content ?? {})) {
        for (const [name, { value }] of Object.entries(content.examples ?? {})) {
          const url = examplePath(path, operation);
          const response = await send(url, {
            method,
            headers: { "Content-Type": type },
            body: bodyIn(type, value),
          });
          expect([type, name, response.status]).toEqual([type, name, 201]);
          expect(validate(content.schema)(value)).toBe(true);
          await expectDescribed(operation, response, `${method} ${url} (${name})`);
          types.add(type);
          sent++;
        }
      }
    }
    expect([...types]).toEqual(["application/json", "application/msgpack"]);
    expect(sent).toBeGreaterThan(5);
  });

  test("of streams are none of the README's first steps, which count versions", async () => {
    const readme = await Bun.file(new URL("../README.md", import.meta.url).pathname).text();
    const [steps = ""] = readme
      .split(/^## (?!The first)/m)
      .filter((part) => part.includes("ESVER"));
    const used = new Set(steps.match(/\b(?:user|account)-\d+\b/g));
    expect([...used].toSorted()).toEqual(["account-123", "account-456", "user-123"]);
    for (const name of JSON.stringify(document.paths).match(/\b(?:user|account)-\d+\b/g) ?? []) {
      expect(used).not.toContain(name);
    }
    const http = readme.split(/^## /m).find((part) => part.startsWith("HTTP\n")) ?? "";
    const [script = ""] = http.match(/^```sh\n.*?^```/ms) ?? [];
    for (const name of script.match(/\b(?:user|account)-\d+\b/g) ?? []) {
      expect(used).not.toContain(name);
    }
  });

  test("of parameters are taken, each alone and all together", async () => {
    for (const [method, path, operation] of operations.filter(([verb]) => verb === "GET")) {
      const url = examplePath(path, operation);
      const query = (operation.parameters ?? []).filter((parameter) => parameter.in === "query");
      const required = query.filter((parameter) => parameter.required);
      const needed = required.map((p) => `${p.name}=${encodeURIComponent(example(p))}&`).join("");
      const queries = [
        "",
        ...query.map((parameter) => `${parameter.name}=${encodeURIComponent(example(parameter))}`),
        query.map((p) => `${p.name}=${encodeURIComponent(example(p))}`).join("&"),
      ];
      for (const given of queries) {
        const isWhole = required.every(({ name }) => given.startsWith(`${name}=`));
        const request = `${url}?${isWhole ? "" : needed}${given}`;
        const response = await send(request, { headers: { Accept: "*/*" } });
        const isKnown = path !== "/v1/events/{event_id}";
        expect([request, response.status]).toEqual([request, isKnown ? 200 : 404]);
        await expectDescribed(operation, response, `${method} ${request}`);
      }
      for (const { name } of required) {
        const answer = await http.get(url);
        expectProblem(answer, 400, "INVALIDARG", new RegExp(`^${name} is missing`));
      }
    }
  });

  test("of If-Match: what its pattern takes is a version, and what else is one it takes", async () => {
    const found = operations.find(([, , { operationId }]) => operationId === "appendToStream");
    const header = found?.[2].parameters?.find(({ name }) => name === "If-Match");
    const pattern = new RegExp(header?.schema.pattern as string);
    for (const tag of ['"7"', '"007"', 'W/"7"', "*", '"9007199254740991"', '"7', '"1","2"', "7"]) {
      const answer = await http.append("none", { event_name: "E" }, { "If-Match": tag });
      expect([tag, answer.status]).toEqual([tag, pattern.test(tag) ? 412 : 400]);
    }
  });
});

describe(`requests made from the document (SEED=${SEED})`, () => {
  test(`${REQUESTS} of them are answered as it says, and none by a failure`, async () => {
    const random = new Random(SEED);
    const generator = new SchemaGenerator(random, document.components.schemas);
    const statuses = new Map<number, number>();
    for (let round = 0; round < REQUESTS; round++) {
      const [method, path, operation] = random.pick(operations);
      const share = random.pick([0, 0, 0.02, 0.2]);
      const { url, init } = randomRequest(random, generator, method, path, operation, share);
      const response = await send(url, init);
      const request = `SEED=${SEED} round ${round}: ${method} ${url} ${JSON.stringify(init)}`;
      await expectDescribed(operation, response, request);
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
    // They reach what they should: a generator whose requests were all refused would show nothing.
    for (const status of [200, 201, 400, 404, 409, 412, 415]) {
      expect(statuses.get(status) ?? 0, `answers with ${status}`).toBeGreaterThan(0);
    }
  });

  test.skipIf(SCHEMATHESIS === null)("schemathesis finds no failure", async () => {
    const checks =
      "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";
    const words = ["run", `${http.base}/openapi.json`, "--url", http.base, "--checks", checks];
    // The examples were sent above: of MessagePack it knows nothing.
    const phases = ["--phases", "coverage,fuzzing,stateful"];
    const bounds = [
      ...phases,
      "--max-examples",
      String(EXAMPLES),
      "--seed",
      String(SEED),
      "--no-color",
    ];
    const run = Bun.spawn(
      // A feed has no end that it could wait for.
      [SCHEMATHESIS as string, ...words, ...bounds, "--exclude-operation-id", "subscribe"],
      { stdout: "pipe", stderr: "pipe" },
    );
    const output = await new Response(run.stdout).text();
    expect(await run.exited, output).toBe(0);
  });
});

function randomRequest(
  random: Random,
  generator: SchemaGenerator,
  method: string,
  path: string,
  operation: Operation,
  share: number,
): { url: string; init: RequestInit } {
  const headers: Record<string, string> = {};
  let url = path;
  const query = new URLSearchParams();
  for (const parameter of operation.parameters ?? []) {
    const schema =
      parameter.schema.type === "array" ? (parameter.schema.items as Schema) : parameter.schema;
    const isExample = parameter.example !== undefined && random.chance(0.5);
    const value = isExample ? example(parameter) : String(generator.value(schema, share));
    if (parameter.in === "path") {
      // An empty segment, and dots, are other paths.
      url = url.replace(`{${parameter.name}}`, () =>
        encodeURIComponent(value).replace(/^\.*$/, "x"),
      );
    } else if (random.chance(0.25) || parameter.required) {
      if (parameter.in === "query") query.append(parameter.name, value);
      else if (/^[\x20-\x7e]*$/.test(value)) headers[parameter.name] = value;
    }
  }
  if (random.chance(share)) query.append("unknown", "1");
  if (random.chance(0.3)) {
    headers.Accept = random.pick([
      "*/*",
      "application/msgpack",
      "text/event-stream",
      "text/html",
      "x",
    ]);
  }
  if (query.size > 0) url += `?${query}`;
  if (operation.requestBody === undefined) return { url, init: { method, headers } };
  const types = Object.keys(operation.requestBody.content);
  const type = random.chance(0.95) ? random.pick(types) : "text/plain";
  headers["Content-Type"] = type;
  const { schema } = operation.requestBody.content[type] ?? { schema: {} };
  let body = bodyIn(type, generator.value(schema, share));
  if (random.chance(share)) body = body.slice(0, random.below(body.length + 1));
  return { url, init: { method, headers, body } };
}
