/**
 * /openapi.json: the operations as an OpenAPI 3.1 document. Everything in it comes from the objects that register
 * the routes and check the requests.
 */
import { COMPONENT_SCHEMAS } from "./event-schemas.ts";
import type { Answer, Operation } from "./operation.ts";
import { JSON_TYPE, MSGPACK_TYPE } from "./request.ts";
import type { JsonSchema, Parameters } from "./schema.ts";

/** Every header that an operation names. */
const HEADERS: Readonly<
  Record<string, { readonly description: string; readonly schema: JsonSchema }>
> = {
  "Cache-Control": {
    description: "Reads are the client's own and are asked for anew.",
    schema: { type: "string" },
  },
  ETag: { description: 'The stream\'s version, as in "2".', schema: { type: "string" } },
  "Idempotent-Replayed": {
    description: "The request repeated an earlier append, whose answer this is.",
    schema: { type: "string", const: "true" },
  },
  Link: { description: 'Where the next page is: rel="next".', schema: { type: "string" } },
  Location: { description: "The first event that was appended.", schema: { type: "string" } },
  "Retry-After": {
    description: "Seconds after which it may work.",
    schema: { type: "integer", minimum: 0 },
  },
  Vary: { description: "Answers differ by Accept.", schema: { type: "string" } },
};

const REQUEST_HEADERS: Readonly<Record<string, { description: string; schema: JsonSchema }>> = {
  "If-Match": {
    description:
      'The version that the stream must have, as its ETag says it: one number from 0 to 2^53-1 in double quotes, as in "2" (W/"2" counts as the same). * stands for any version: the stream must exist.',
    schema: { type: "string", pattern: '^(?:\\*|(?:W/)?"[0-9]{1,16}")$' },
  },
  "If-None-Match": {
    description: "The ETag of a read before: 304 where the stream still has that version.",
    schema: { type: "string" },
  },
  "Last-Event-ID": {
    description: "Of a feed: the `id` of the last event that came. It goes on behind it.",
    schema: { type: "integer", minimum: -1 },
  },
};

/** If-None-Match of an append. */
const MUST_BE_EMPTY = {
  description: "*: the stream must be empty.",
  schema: { type: "string", enum: ["*"] },
};

export function openApiDocument(operations: readonly Operation[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    paths[operation.path] ??= {};
    (paths[operation.path] as Record<string, object>)[operation.method.toLowerCase()] =
      describe(operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Cairn",
      version,
      description:
        "An event store: append events to streams, read them back in order, follow them live. Errors are problems (RFC 9457) with a `code`.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: COMPONENT_SCHEMAS,
      headers: HEADERS,
    },
  };
}

function describe(operation: Operation): object {
  const { id, tag, summary, description, body, answers } = operation;
  const parameters = [
    ...parametersOf(operation.pathParameters ?? {}, "path"),
    ...parametersOf(operation.queryParameters ?? {}, "query"),
    ...(operation.requestHeaders ?? []).map((name) => ({
      name,
      in: "header",
      required: false,
      ...(operation.method === "POST" && name === "If-None-Match"
        ? MUST_BE_EMPTY
        : REQUEST_HEADERS[name]),
    })),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: bodyOf(body) }),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, answer]) => [status, answerOf(answer)]),
    ),
  };
}

function parametersOf(parameters: Parameters, place: "path" | "query"): object[] {
  return Object.entries(parameters).map(([name, parameter]) => {
    const { description, schema, example, repeats, required } = parameter;
    const isRequired = place === "path" || required !== undefined;
    const list = { type: "array", items: schema, ...(isRequired ? { minItems: 1 } : {}) };
    return {
      name,
      in: place,
      required: isRequired,
      description,
      schema: repeats ? list : schema,
      ...(example === undefined ? {} : { example: repeats ? [example] : example }),
    };
  });
}

function bodyOf({ description, schemas, examples }: NonNullable<Operation["body"]>): object {
  return {
    description,
    required: true,
    content: {
      [JSON_TYPE]: { schema: schemas.json, examples: examples.json },
      [MSGPACK_TYPE]: { schema: schemas.msgpack, examples: examples.msgpack },
    },
  };
}

function answerOf({ description, content, headers = [] }: Answer): object {
  return {
    description,
    ...(headers.length === 0
      ? {}
      : {
          headers: Object.fromEntries(
            headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
          ),
        }),
    ...(content === undefined
      ? {}
      : {
          content: Object.fromEntries(
            Object.entries(content).map(([type, schema]) => [type, { schema }]),
          ),
        }),
  };
}
