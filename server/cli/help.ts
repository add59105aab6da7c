/**
 * What `cairn help` prints: the list of commands, and a page for each.
 *
 * The page of `serve` comes from the table of settings, so a flag is described once.
 */
import { describeSettings } from "../config/table.ts";
import { quote, suggestion, UsageError } from "../usage.ts";

interface Page {
  readonly usage: string;
  readonly summary: string;
  readonly body: () => string;
}

const PAGES: Readonly<Record<string, Page>> = {
  serve: {
    usage: "cairn serve [flags]",
    summary: "run the server in the foreground",
    body: () => `
Flags (a switch may be turned off again with =false):

${describeSettings()}
When both doors take connections, one line on standard error says
"ready resp=HOST:PORT http=HOST:PORT". SIGTERM and SIGINT stop the server in order;
a second one ends it at once.

Exit codes: 0 after an orderly stop, 1 when the store or an address cannot be opened,
2 for a wrong flag or configuration.
`,
  },
  ping: {
    usage: "cairn ping [--resp HOST:PORT]",
    summary: "exit 0 when a server answers: a health check",
    body: () => `
  --resp HOST:PORT    the server's address; default 127.0.0.1:9090; CAIRN_RESP

Exit codes: 0 when a server answered, 1 when none did within two seconds, 2 for a wrong flag.
`,
  },
  verify: {
    usage: "cairn verify DIR",
    summary: "read every byte of a closed store and check it",
    body: () => `
Checks checksums, order, versions, ids and indexes of the store in the folder DIR, and prints what it checked.
It changes nothing. The store must not be open in a server.

Exit codes: 0 when all is right, 1 when something is wrong (file and offset are named)
or the store cannot be opened, 2 for wrong arguments.
`,
  },
  dump: {
    usage: "cairn dump DIR [--stream ID] [--from N] [--limit N]",
    summary: "print a closed store's events as JSON lines",
    body: () => `
  --stream ID         the events of this stream alone
  --from N            begin at position N; default 0
  --limit N           at most N events; default all

Events come by position, one JSON object a line, in the form of the HTTP door. Where the log is
damaged, all events that are intact are printed, and standard error says which positions are
missing. It changes nothing. The store must not be open in a server.

Exit codes: 0 when all was printed, 1 when something is damaged or the store cannot be opened,
2 for wrong arguments.
`,
  },
  version: {
    usage: "cairn version",
    summary: "print the version",
    body: () => "",
  },
  help: {
    usage: "cairn help [command]",
    summary: "print this, or how a command is used",
    body: () => "",
  },
};

const COMMAND_NAMES: readonly string[] = Object.keys(PAGES);

/** The list of commands, or a command's page; throws a `UsageError` for a command that does not exist. */
export function helpText(command: string | undefined): string {
  if (command === undefined) return overview();
  const page = Object.hasOwn(PAGES, command) ? PAGES[command] : undefined;
  if (page === undefined) throw unknownCommand(command);
  return `${page.usage}\n\n${capital(page.summary)}.\n${page.body()}`;
}

export function unknownCommand(command: string): UsageError {
  if (command.startsWith("-")) {
    return new UsageError(
      `flags follow a command, but ${quote(command)} came first; see cairn help`,
    );
  }
  const near = suggestion(command, COMMAND_NAMES);
  return new UsageError(`unknown command ${quote(command)}${near || "; see cairn help"}`);
}

function overview(): string {
  const lines = Object.entries(PAGES).map(
    ([name, { summary }]) => `  cairn ${name.padEnd(10)}${summary}\n`,
  );
  return `Cairn, an event store in one executable.

${lines.join("")}
"cairn help serve" lists the server's flags. To begin:

  cairn serve
  redis-cli -p 9090 EAPPEND user-1 UserRegistered PAYLOAD '{"email":"alice@example.com"}'
  redis-cli -p 9090 ESCAN user-1 - +
`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
