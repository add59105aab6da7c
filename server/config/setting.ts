/**
 * One setting of `cairn serve`: its names, what it may be and how that is read.
 */
import { formatSize, parseSize, textOfNumber, within } from "./values.ts";

export interface Setting<Value> {
  /** The flag without its hyphens, and the key in the file. */
  readonly name: string;
  readonly environment: string;
  /** What stands for the value in the help. */
  readonly placeholder: string;
  /** A switch needs no value on the command line. */
  readonly isSwitch: boolean;
  /** The value when it is given nowhere. */
  readonly initial: Value;
  readonly initialText: string;
  /** What is allowed; ends the error line. */
  readonly allowed: string;
  readonly help: string;
  /** Undefined where the text is not allowed. */
  readonly parse: (text: string) => Value | undefined;
  /** What the file may hold beside a string, as the text that `parse` takes; undefined where it may not. */
  readonly textOfToml: (value: unknown) => string | undefined;
}

type Described<Value> = Omit<Setting<Value>, "environment" | "isSwitch" | "textOfToml"> &
  Partial<Pick<Setting<Value>, "isSwitch" | "textOfToml">>;

export function setting<Value>(described: Described<Value>): Setting<Value> {
  const environment = `CAIRN_${described.name.replaceAll("-", "_").toUpperCase()}`;
  return { isSwitch: false, textOfToml: () => undefined, ...described, environment };
}

export function size({
  name,
  initial,
  least,
  most,
  help,
}: {
  readonly name: string;
  readonly initial: number;
  readonly least: number;
  readonly most: number;
  readonly help: string;
}): Setting<number> {
  return setting<number>({
    name,
    placeholder: "SIZE",
    initial,
    initialText: formatSize(initial),
    allowed: `a size from ${formatSize(least)} to ${formatSize(most)}, in bytes or with KiB, MiB or GiB`,
    help,
    parse: (text) => within(least, most, parseSize(text)),
    textOfToml: textOfNumber,
  });
}

export function toggle(name: string, help: string): Setting<boolean> {
  return setting<boolean>({
    name,
    placeholder: "",
    isSwitch: true,
    initial: false,
    initialText: "off",
    allowed: "true, yes, on, 1 or false, no, off, 0",
    help,
    parse: (text) => SWITCH_WORDS.get(text.toLowerCase()),
    textOfToml: (value) => (typeof value === "boolean" ? String(value) : undefined),
  });
}

const SWITCH_WORDS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["on", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["off", false],
  ["0", false],
]);
