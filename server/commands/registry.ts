/**
 * Every command there is, found by its name.
 *
 * A look-up allocates nothing: the names of one length are few, and most differ in their first byte. The more
 * frequent commands stand first.
 */
import type { Arguments } from "./arguments.ts";
import { auth } from "./auth.ts";
import { client } from "./client.ts";
import type { Command } from "./command.ts";
import { commandCommand } from "./command-docs.ts";
import { config } from "./config.ts";
import { dbsize } from "./dbsize.ts";
import { eack, eunsub } from "./eack.ts";
import { eappend } from "./eappend.ts";
import { echo } from "./echo.ts";
import { eget } from "./eget.ts";
import { elog } from "./elog.ts";
import { emappend } from "./emappend.ts";
import { epos } from "./epos.ts";
import { epscan } from "./epscan.ts";
import { epseq } from "./epseq.ts";
import { epsub } from "./epsub.ts";
import { escan } from "./escan.ts";
import { esub } from "./esub.ts";
import { esver } from "./esver.ts";
import { exists } from "./exists.ts";
import { hello } from "./hello.ts";
import { info } from "./info.ts";
import { discard, exec, multi, unwatch, watch } from "./multi.ts";
import { ping } from "./ping.ts";
import { pubsub } from "./pubsub.ts";
import { quit } from "./quit.ts";
import { reset } from "./reset.ts";
import { scan } from "./scan.ts";
import { select } from "./select.ts";
import { psubscribe, publish, punsubscribe, subscribe, unsubscribe } from "./subscribe.ts";
import { time } from "./time.ts";
import { type } from "./type.ts";

export const commands: readonly Command[] = [
  eappend,
  emappend,
  escan,
  eget,
  esver,
  epscan,
  epseq,
  elog,
  epos,
  eack,
  esub,
  epsub,
  eunsub,
  scan,
  exists,
  type,
  ping,
  echo,
  hello,
  auth,
  client,
  select,
  reset,
  quit,
  info,
  dbsize,
  config,
  time,
  commandCommand(() => commands),
  subscribe,
  psubscribe,
  pubsub,
  unsubscribe,
  punsubscribe,
  publish,
  multi,
  exec,
  discard,
  watch,
  unwatch,
];

/** As COMMAND gives them. */
export const commandNames: readonly string[] = commands.map(({ name }) => name);

/** The command that the request names, in any case; null where there is none. */
export function findCommand(args: Arguments): Command | null {
  const candidates = byNameLength[args.length(0)];
  if (candidates === undefined) return null;
  for (let i = 0; i < candidates.length; i++) {
    const command = candidates[i] as Command;
    if (args.is(0, command.name)) return command;
  }
  return null;
}

/** Names are ASCII, so that their lengths are their bytes. */
const byNameLength: readonly (readonly Command[])[] = groupByNameLength();

function groupByNameLength(): Command[][] {
  const longest = Math.max(...commands.map(({ name }) => name.length));
  const groups = Array.from({ length: longest + 1 }, (): Command[] => []);
  for (const command of commands) groups[command.name.length]?.push(command);
  return groups;
}
