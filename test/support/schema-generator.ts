/**
 * Makes values from JSON Schemas, as far as this API's description uses them: such as the schema allows, and such as
 * are a little wrong.
 */
import type { Random } from "./random.ts";

export type Schema = Readonly<Record<string, unknown>>;

const TEXTS = [
  "",
  "a",
  "user-1",
  "ü",
  "😀",
  "\0",
  "a\nb",
  "$cairn",
  "*",
  "0",
  "-1",
  "\\",
  '"',
  "[",
  "x".repeat(300),
];
const NUMBERS = [0, 1, 2, 31, 32, 100, 65_536, 2 ** 31, 2 ** 53 - 1];
const ODD = [null, true, -1, 1.5, 2 ** 53, 1e300, "", "x", [], {}, [null], { a: 1 }];

export class SchemaGenerator {
  private readonly random: Random;
  private readonly components: Readonly<Record<string, Schema>>;

  constructor(random: Random, components: Readonly<Record<string, Schema>>) {
    this.random = random;
    this.components = components;
  }

  /** A value that is wrong, here or inside, in `share` of the cases. */
  value(schema: Schema, share: number): unknown {
    const { random } = this;
    if (random.chance(share)) return random.pick(ODD);
    if (typeof schema.$ref === "string") {
      return this.value(this.components[schema.$ref.split("/").at(-1) ?? ""] ?? {}, share);
    }
    if (Array.isArray(schema.anyOf))
      return this.value(random.pick(schema.anyOf as Schema[]), share);
    if (Array.isArray(schema.enum)) return random.pick(schema.enum);
    if ("const" in schema) return schema.const;
    switch (schema.type) {
      case "object":
        return this.object(schema, share);
      case "array":
        return Array.from({ length: random.below(4) }, () =>
          this.value((schema.items ?? {}) as Schema, share),
        );
      case "integer":
        return random.pick(NUMBERS);
      case "string":
        return this.text(schema);
      default:
        return random.pick([...ODD, ...TEXTS]);
    }
  }

  private object(schema: Schema, share: number): Record<string, unknown> {
    const { random } = this;
    const required = new Set((schema.required ?? []) as string[]);
    const made: Record<string, unknown> = {};
    for (const [name, property] of Object.entries(
      (schema.properties ?? {}) as Record<string, Schema>,
    )) {
      const isWanted = required.has(name) ? !random.chance(share) : random.chance(0.3);
      if (isWanted) made[name] = this.value(property, share);
    }
    if (random.chance(share)) made.unknown_field = 1;
    return made;
  }

  private text(schema: Schema): string {
    const { random } = this;
    if (schema.format === "uuid") {
      return `00000000-0000-4000-8000-${String(random.below(50)).padStart(12, "0")}`;
    }
    if (schema.format === "date-time") return random.pick(["2024-01-01T00:00:00Z", "2024-13-01"]);
    if (schema.contentEncoding === "base64") return Buffer.from(random.bytes(5)).toString("base64");
    return random.pick(TEXTS);
  }
}
