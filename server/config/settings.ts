/**
 * Reads the settings of `cairn serve`: a flag beats the environment, and that the file. What does not go together is refused.
 */
import type { LogFormat, LogLevel } from "../stderr-log.ts";
import { quote, UsageError } from "../usage.ts";
import { type Address, formatAddress, isLoopback } from "./address.ts";
import type { Setting } from "./setting.ts";
import { environmentSource, given, readConfigFile, readFlags, type Source } from "./sources.ts";
import { TABLE } from "./table.ts";

export interface Settings {
  /** For an ephemeral store this is not used: its folder is made at the start. */
  readonly dataFolder: string;
  readonly ephemeral: boolean;
  readonly resp: Address;
  readonly http: Address;
  /** Null where it was not given: a new store gets `PARTITIONS_DEFAULT`, an existing one keeps its own. */
  readonly partitions: number | null;
  readonly segmentBytes: number;
  readonly indexMemoryBytes: number;
  readonly cacheBytes: number;
  readonly durability: "fsync" | "os";
  readonly strict: boolean;
  /** Host names, lower case and without a port, that a Host header may carry beside loopback. */
  readonly allowedHosts: readonly string[];
  /** Origins as a browser sends them, `https://app.example.org`. */
  readonly corsOrigins: readonly string[];
  readonly insecure: boolean;
  /** How the log on standard error is written, and from which level on. */
  readonly logFormat: LogFormat;
  readonly logLevel: LogLevel;
}

/**
 * Reads the settings from the arguments after `serve`, the environment and the file that `--config` names.
 * Throws a `UsageError` for the first thing that is wrong.
 */
export async function readSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => Promise<string>,
): Promise<Settings> {
  const flags = readFlags(args);
  const config = given(TABLE.config, [flags, environmentSource(environment)]);
  const file = config === null ? null : await readConfigFile(config.value, readFile);
  const sources = [flags, environmentSource(environment), ...(file === null ? [] : [file])];
  const value = <Value>(setting: Setting<Value>): Value =>
    given(setting, sources)?.value ?? setting.initial;

  const settings: Settings = {
    dataFolder: value(TABLE.data),
    ephemeral: value(TABLE.ephemeral),
    resp: value(TABLE.resp),
    http: value(TABLE.http),
    partitions: value(TABLE.partitions),
    segmentBytes: value(TABLE.segmentBytes),
    indexMemoryBytes: value(TABLE.indexMemoryBytes),
    cacheBytes: value(TABLE.cacheBytes),
    durability: value(TABLE.durability),
    strict: value(TABLE.strict),
    allowedHosts: value(TABLE.allowedHosts),
    corsOrigins: value(TABLE.corsOrigins),
    insecure: value(TABLE.insecure),
    logFormat: value(TABLE.log),
    logLevel: value(TABLE.logLevel),
  };
  refuseForgottenFolder(settings, sources);
  if (!settings.insecure) {
    refuseOpenDoor(settings.resp, TABLE.resp, sources);
    refuseOpenDoor(settings.http, TABLE.http, sources);
  }
  return settings;
}

/** A named folder beside `--ephemeral` would be left unused, and what the user wants kept would be lost. */
function refuseForgottenFolder(settings: Settings, sources: readonly Source[]): void {
  if (!settings.ephemeral) return;
  const data = given(TABLE.data, sources);
  const ephemeral = given(TABLE.ephemeral, sources);
  if (data === null || ephemeral === null) return;
  if (sources.indexOf(data.source) > sources.indexOf(ephemeral.source)) return;
  throw new UsageError(
    `${data.source.label(TABLE.data)}: ${quote(data.value)} is not allowed with ${ephemeral.source.label(TABLE.ephemeral)}, whose folder is a temporary one; give one of them`,
  );
}

/** Without users and TLS the store's doors open to this machine alone, unless that is asked for. */
function refuseOpenDoor(
  address: Address,
  setting: Setting<Address>,
  sources: readonly Source[],
): void {
  if (isLoopback(address.host)) return;
  const source = given(setting, sources)?.source;
  const label = source?.label(setting) ?? `flag --${setting.name}`;
  throw new UsageError(
    `${label}: ${quote(formatAddress(address))} is not allowed, since a host beyond loopback needs users and TLS, which this version does not have; give a loopback host, or --insecure to do without them`,
  );
}
