/**
 * The settings of `cairn serve`: every one from every source, which source wins, and the line that each wrong value
 * gets.
 */
import { expect, test } from "vitest";
import { formatAddress, isLoopback, parseAddress } from "../server/config/address.ts";
import { readSettings, type Settings } from "../server/config/settings.ts";
import { describeSettings } from "../server/config/table.ts";
import { UsageError } from "../server/usage.ts";

interface Given {
  args?: string[];
  environment?: Record<string, string>;
  /** Content of the file that `--config cairn.toml` reads. */
  file?: string;
}

async function read({ args = [], environment = {}, file }: Given): Promise<Settings> {
  const config = file === undefined ? [] : ["--config", "cairn.toml"];
  return await readSettings([...config, ...args], environment, async (path) => {
    if (path !== "cairn.toml" || file === undefined)
      throw new Error(`ENOENT: no such file '${path}'`);
    return file;
  });
}

/** The one line that is told. */
async function refusal(given: Given): Promise<string> {
  const error: unknown = await read(given).then(
    () => null,
    (reason) => reason,
  );
  if (!(error instanceof UsageError))
    throw new Error(`not refused: ${JSON.stringify(given)}`, { cause: error });
  expect(error.message).not.toMatch(/[\r\n]/);
  return error.message;
}

const DEFAULTS: Settings = {
  dataFolder: "./data",
  ephemeral: false,
  resp: { host: "127.0.0.1", port: 9090 },
  http: { host: "127.0.0.1", port: 9091 },
  partitions: null,
  segmentBytes: 64 * 1024 * 1024,
  indexMemoryBytes: 256 * 1024 * 1024,
  cacheBytes: 64 * 1024 * 1024,
  durability: "fsync",
  strict: false,
  allowedHosts: [],
  corsOrigins: [],
  insecure: false,
  logFormat: "text",
  logLevel: "info",
};

test("nothing given: the defaults", async () => {
  expect(await read({})).toEqual(DEFAULTS);
  expect(await read({ file: "# nothing\n" })).toEqual(DEFAULTS);
});

/** Each setting: its name, a text, what comes of it, and the same in TOML. */
const EXAMPLES: [name: string, text: string, expected: Partial<Settings>, toml: string][] = [
  ["data", "/var/lib/cairn", { dataFolder: "/var/lib/cairn" }, '"/var/lib/cairn"'],
  ["ephemeral", "true", { ephemeral: true }, "true"],
  ["resp", "localhost:0", { resp: { host: "localhost", port: 0 } }, '"localhost:0"'],
  ["http", "[::1]:65535", { http: { host: "::1", port: 65535 } }, '"[::1]:65535"'],
  ["partitions", "65536", { partitions: 65536 }, "65536"],
  ["segment-bytes", "64KiB", { segmentBytes: 65536 }, "65536"],
  ["index-memory", "64MiB", { indexMemoryBytes: 67108864 }, "67108864"],
  ["cache", "1GiB", { cacheBytes: 1073741824 }, "1073741824"],
  ["durability", "os", { durability: "os" }, '"os"'],
  ["strict", "1", { strict: true }, "true"],
  [
    "allowed-hosts",
    "a.example,B.example",
    { allowedHosts: ["a.example", "b.example"] },
    '["a.example", "B.example"]',
  ],
  [
    "cors-origins",
    "https://a.example,http://b:81",
    { corsOrigins: ["https://a.example", "http://b:81"] },
    '["https://a.example", "http://b:81"]',
  ],
  ["insecure", "yes", { insecure: true }, "true"],
  ["log", "json", { logFormat: "json" }, '"json"'],
  ["log-level", "debug", { logLevel: "debug" }, '"debug"'],
];

const variable = (name: string) => `CAIRN_${name.replaceAll("-", "_").toUpperCase()}`;

test.each(EXAMPLES)(
  "%s from a flag, the environment and a file",
  async (name, text, expected, toml) => {
    const settings = { ...DEFAULTS, ...expected };
    expect(await read({ args: [`--${name}=${text}`] })).toEqual(settings);
    const isSwitch = typeof Object.values(expected)[0] === "boolean";
    expect(await read({ args: isSwitch ? [`--${name}`] : [`--${name}`, text] })).toEqual(settings);
    expect(await read({ environment: { [variable(name)]: text } })).toEqual(settings);
    expect(await read({ file: `${name} = ${toml}` })).toEqual(settings);
    expect(await read({ file: `${name} = "${text}"` })).toEqual(settings);
  },
);

test("a flag beats the environment, and that the file", async () => {
  const file = 'partitions = 3\nstrict = true\nresp = "127.0.0.1:3"\n';
  const environment = { CAIRN_PARTITIONS: "2", CAIRN_RESP: "127.0.0.1:2" };
  const args = ["--partitions", "1", "--strict=false"];
  expect(await read({ args, environment, file })).toMatchObject({
    partitions: 1,
    strict: false,
    resp: { port: 2 },
  });
  expect(await read({ environment, file })).toMatchObject({ partitions: 2, strict: true });
});

test("the file may be named in the environment; an empty variable counts as not given", async () => {
  const settings = await readSettings(
    [],
    { CAIRN_CONFIG: "my.toml", CAIRN_PARTITIONS: "", CAIRN_DATA: "" },
    async (path) => (path === "my.toml" ? "partitions = 7" : "no such file"),
  );
  expect(settings).toMatchObject({ partitions: 7, dataFolder: "./data" });
});

test("a flag that comes twice: the last one counts", async () => {
  expect((await read({ args: ["--data", "a", "--data", "b"] })).dataFolder).toBe("b");
});

test.each([
  ["65536", 65536],
  ["64KiB", 65536],
  ["64 kib", 65536],
  ["1MiB", 2 ** 20],
  ["1GiB", 2 ** 30],
])("segment-bytes takes %s", async (text, segmentBytes) => {
  expect((await read({ args: ["--segment-bytes", text] })).segmentBytes).toBe(segmentBytes);
});

const NUMBER = "a whole number from 1 to 65536";
const SIZE = "a size from 64 KiB to 1 GiB, in bytes or with KiB, MiB or GiB";
const HOST_PORT = "HOST:PORT, an IPv6 host in brackets, the port from 0 to 65535";
const SWITCH = "true, yes, on, 1 or false, no, off, 0";
const HOSTS = "host names without a port, separated by commas";
const ORIGINS = "origins like https://app.example.org, separated by commas";

/** Each setting, texts that it does not take, and what the line says it does. */
const REFUSED: [name: string, texts: string[], allowed: string][] = [
  ["data", [""], "a folder"],
  ["ephemeral", ["maybe", ""], SWITCH],
  [
    "resp",
    [
      "",
      "9090",
      ":9090",
      "localhost",
      "localhost:",
      "localhost:65536",
      "::1:9090",
      "[::1]",
      "[x]:1",
      "300.1.1.1:1",
      "*:1",
      "a b:1",
      "localhost:1x",
      "127.1:1",
    ],
    HOST_PORT,
  ],
  ["http", ["http://localhost:9091"], HOST_PORT],
  ["partitions", ["0", "65537", "-1", "1.5", "1e3", "x", "", " 3", "99999999999999999999"], NUMBER],
  ["segment-bytes", ["65535", "63KiB", "2GiB", "64MB", "1.5MiB", "64 M", "-1", ""], SIZE],
  [
    "index-memory",
    ["1MiB", "4GiB", "64MB"],
    "a size from 4 MiB to 3 GiB, in bytes or with KiB, MiB or GiB",
  ],
  [
    "cache",
    ["0", "1023KiB", "3GiB"],
    "a size from 1 MiB to 2 GiB, in bytes or with KiB, MiB or GiB",
  ],
  ["durability", ["FSYNC", "none", ""], "fsync or os"],
  ["strict", ["2"], SWITCH],
  ["allowed-hosts", ["a,,b", "a:80", "https://a", "a b", "*", "[::1"], HOSTS],
  ["cors-origins", ["*", "a.example", "https://a.example/", "https://A.example", "null"], ORIGINS],
  ["insecure", ["si"], SWITCH],
  ["log", ["xml", "JSON", ""], "json or text"],
  ["log-level", ["trace", "INFO", "3", ""], "debug, info, warn or error"],
];

test.each(REFUSED)(
  "%s: a wrong value is one line with source and what is allowed",
  async (name, texts, allowed) => {
    for (const text of texts) {
      const end = `'${text}' is not allowed; give ${allowed}`;
      expect(await refusal({ args: [`--${name}=${text}`] })).toBe(`flag --${name}: ${end}`);
      expect(await refusal({ file: `${name} = "${text}"` })).toBe(
        `configuration file 'cairn.toml', key ${name}: ${end}`,
      );
      if (text === "") continue; // an empty variable counts as not given
      expect(await refusal({ environment: { [variable(name)]: text } })).toBe(
        `environment variable ${variable(name)}: ${end}`,
      );
    }
  },
);

test.each([
  ["data", "7", "a folder"],
  ["ephemeral", "1", SWITCH],
  ["strict", "[true]", SWITCH],
  ["resp", "9090", HOST_PORT],
  ["partitions", "1.5", NUMBER],
  ["partitions", "true", NUMBER],
  ["segment-bytes", "[65536]", SIZE],
  ["allowed-hosts", '["a", 1]', HOSTS],
  ["cors-origins", "true", ORIGINS],
])("in the file, %s = %s has the wrong type", async (name, toml, allowed) => {
  expect(await refusal({ file: `${name} = ${toml}` })).toBe(
    `configuration file 'cairn.toml', key ${name}: '${toml.replaceAll(" ", "")}' is not allowed; give ${allowed}`,
  );
});

test("an unknown flag is told with the nearest one", async () => {
  expect(await refusal({ args: ["--partitons", "3"] })).toBe(
    "unknown flag '--partitons'; did you mean '--partitions'?",
  );
  expect(await refusal({ args: ["--segment-byte=1"] })).toContain(
    "did you mean '--segment-bytes'?",
  );
  expect(await refusal({ args: ["--nothing-like-it"] })).toBe(
    "unknown flag '--nothing-like-it'; see cairn help serve",
  );
  expect(await refusal({ args: ["-d", "x"] })).toBe("unknown flag '-d'; see cairn help serve");
});

test("a forgotten value and a stray argument are told", async () => {
  expect(await refusal({ args: ["--data"] })).toBe("flag --data needs a value: a folder");
  expect(await refusal({ args: ["--partitions", "--strict"] })).toBe(
    `flag --partitions needs a value: ${NUMBER}`,
  );
  expect(await refusal({ args: ["data"] })).toBe("serve takes flags alone, but 'data' was given");
});

test("an unknown key of the file is told with the nearest one, or with all", async () => {
  expect(await refusal({ file: "partition = 3" })).toBe(
    "configuration file 'cairn.toml': unknown key 'partition'; did you mean 'partitions'?",
  );
  const all = await refusal({ file: "[server]\nport = 1" });
  expect(all).toContain("unknown key 'server'; known are data, ephemeral, resp, http, partitions");
  expect(all).not.toContain("config,");
  expect(await refusal({ file: 'config = "other.toml"' })).toContain("unknown key 'config'");
});

test("a file that cannot be read or is no TOML is told", async () => {
  expect(await refusal({ args: ["--config", "missing.toml"] })).toBe(
    "configuration file 'missing.toml' cannot be read: ENOENT: no such file 'missing.toml'",
  );
  expect(await refusal({ file: "partitions = " })).toMatch(
    /^configuration file 'cairn.toml' is not TOML: Missing value/,
  );
});

test("what is quoted stays one short line", async () => {
  expect(await refusal({ args: ["--durability=a\nb\u001b[31m"] })).toContain("'a\\nb\\u001b[31m'");
  expect((await refusal({ args: [`--durability=${"x".repeat(5_000)}`] })).length).toBeLessThan(250);
});

test("a host beyond loopback needs --insecure, whatever the source", async () => {
  for (const host of [
    "0.0.0.0",
    "[::]",
    "192.168.1.5",
    "db.example",
    "[::ffff:7f:1]",
    "[fe80::1]",
  ]) {
    expect(await refusal({ args: ["--resp", `${host}:9090`] })).toBe(
      `flag --resp: '${host}:9090' is not allowed, since a host beyond loopback needs users and TLS, which this version does not have; give a loopback host, or --insecure to do without them`,
    );
  }
  expect(await refusal({ environment: { CAIRN_HTTP: "0.0.0.0:1" } })).toContain(
    "environment variable CAIRN_HTTP: '0.0.0.0:1' is not allowed",
  );
  expect(await refusal({ file: 'http = "0.0.0.0:1"' })).toContain("key http: '0.0.0.0:1'");
  const settings = await read({ args: ["--insecure", "--resp=[::]:1", "--http=db.example:2"] });
  expect(settings).toMatchObject({
    resp: { host: "::", port: 1 },
    http: { host: "db.example", port: 2 },
  });
});

test("--ephemeral beside a data folder is refused, unless it overrides one of a weaker source", async () => {
  expect(await refusal({ args: ["--ephemeral", "--data", "x"] })).toBe(
    "flag --data: 'x' is not allowed with flag --ephemeral, whose folder is a temporary one; give one of them",
  );
  const environment = { CAIRN_EPHEMERAL: "1" };
  expect(await refusal({ environment, args: ["--data", "x"] })).toContain("CAIRN_EPHEMERAL");
  expect(await read({ args: ["--ephemeral"], environment: { CAIRN_DATA: "x" } })).toMatchObject({
    ephemeral: true,
  });
});

test("loopback in all its forms", () => {
  for (const host of [
    "127.0.0.1",
    "127.9.9.9",
    "localhost",
    "LocalHost",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
  ]) {
    expect([host, isLoopback(host)]).toEqual([host, true]);
  }
  for (const host of [
    "",
    "0.0.0.0",
    "128.0.0.1",
    "::",
    "::2",
    "localhost.example",
    "127.0.0.1.example",
    "::ffff:7f:1",
    "fe80::1%lo",
  ]) {
    expect([host, isLoopback(host)]).toEqual([host, false]);
  }
});

test("an address is written as it is read", () => {
  for (const text of ["127.0.0.1:0", "[::1]:9090", "db_1.example:65535"]) {
    expect(formatAddress(parseAddress(text) ?? { host: "none", port: 0 })).toBe(text);
  }
});

test("the help names every flag and variable", () => {
  const help = describeSettings();
  for (const [name] of [...EXAMPLES, ["config"] as const]) {
    expect(help).toContain(`--${name}`);
    expect(help).toContain(variable(name));
  }
});
