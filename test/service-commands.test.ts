/**
 * The commands that any Redis client or tool sends beside the store's own, driven without a socket: bytes of
 * requests in, bytes of replies out.
 */
import { describe, expect, test } from "vitest";
import { Arguments } from "../server/commands/arguments.ts";
import type { Context } from "../server/commands/command.ts";
import { stateRefusal } from "../server/commands/multi.ts";
import { commandNames, commands, findCommand } from "../server/commands/registry.ts";
import { ServerInfo } from "../server/commands/server-info.ts";
import type { Session } from "../server/commands/session.ts";
import { unknownCommand } from "../server/commands/unknown-command.ts";
import { StoreError } from "../server/errors.ts";
import { ARGUMENT_BYTES_MAX } from "../server/limits.ts";
import { REQUEST, RequestDecoder } from "../server/resp/decoder.ts";
import { Reply } from "../server/resp/reply.ts";

describe("replies have the types of Redis' replies", () => {
  /**
   * Recorded from a redis-server 7.0.15, in RESP2 and in RESP3. A composite shows each different type in it
   * once; a map its keys', then its values'.
   */
  const RECORDED: [command: string, resp2: string, resp3: string][] = [
    ["PING", "+", "+"],
    ["PING hello", "$", "$"],
    ["ECHO hi", "$", "$"],
    ["SELECT 0", "+", "+"],
    ["AUTH default x", "+", "+"],
    ["AUTH x", "-", "-"],
    ["AUTH other x", "-", "-"],
    ["TIME", "*[$]", "*[$]"],
    ["HELLO", "*[$|*[]|:]", "%{$ $|*[]|:}"],
    ["CLIENT ID", ":", ":"],
    ["CLIENT INFO", "$", "="],
    ["CLIENT LIST", "$", "="],
    ["CLIENT LIST TYPE pubsub", "$", "="],
    ["CLIENT GETNAME", "$-1", "_"],
    ["CLIENT SETNAME tester", "+", "+"],
    ["CLIENT GETNAME", "$", "$"],
    ["CLIENT KILL ID 999999", ":", ":"],
    ["CLIENT KILL 1.2.3.4:5", "-", "-"],
    ["CLIENT NO-EVICT on", "+", "+"],
    ["CLIENT REPLY ON", "+", "+"],
    ["CLIENT NOPE", "-", "-"],
    ["CLIENT HELP", "*[+]", "*[+]"],
    ["COMMAND COUNT", ":", ":"],
    ["COMMAND INFO echo", "*[*[$|*[+]|*[]|:]]", "*[*[$|:|~[+]|~[]]]"],
    ["COMMAND INFO nosuch", "*[$-1]", "*[_]"],
    ["COMMAND INFO client|id", "*[*[$|*[+]|*[]|:]]", "*[*[$|:|~[+]|~[]]]"],
    ["COMMAND DOCS nosuch", "*[]", "%{ }"],
    ["COMMAND LIST", "*[$]", "*[$]"],
    ["COMMAND LIST FILTERBY MODULE nosuch", "*[]", "*[]"],
    ["COMMAND GETKEYS ping x", "-", "-"],
    ["CONFIG GET save", "*[$]", "%{$ $}"],
    ["CONFIG GET save appendonly", "*[$]", "%{$ $}"],
    ["CONFIG GET nosuch", "*[]", "%{ }"],
    ["INFO", "$", "="],
    ["INFO server", "$", "="],
    ["INFO nosuch", "$", "="],
    ["DBSIZE", ":", ":"],
    ["UNWATCH", "+", "+"],
    ["EXEC", "-", "-"],
    ["DISCARD", "-", "-"],
    ["RESET", "+", "+"],
    ["QUIT", "+", "+"],
    // Redis 7.2 has these two; Redis documents its arguments too, which are left out here.
    ["CLIENT SETINFO LIB-NAME lib", "+", "+"],
    ["CLIENT NO-TOUCH on", "+", "+"],
    ["COMMAND DOCS echo", "*[$|*[$]]", "%{$ %{$ $}}"],
  ];

  test.each([2, 3] as const)("in RESP%i", (protocol) => {
    const client = new TestClient();
    client.send(`HELLO ${protocol}`);
    for (const [command, resp2, resp3] of RECORDED) {
      const before = client.session.protocol;
      const shape = shapeOf(client.send(command));
      expect(`${command}: ${shape}`).toBe(`${command}: ${before === 2 ? resp2 : resp3}`);
      if (command === "RESET") client.send(`HELLO ${protocol}`);
    }
  });
});

describe("errors", () => {
  const CASES: [command: string, error: string][] = [
    ["PING a b", "INVALIDARG wrong number of arguments for 'ping' command"],
    ["ECHO", "INVALIDARG wrong number of arguments for 'echo' command"],
    ["TIME x", "INVALIDARG wrong number of arguments for 'time' command"],
    ["DBSIZE x", "INVALIDARG wrong number of arguments for 'dbsize' command"],
    ["SELECT 1", "ERR DB index is out of range"],
    ["SELECT x", "INVALIDARG value is not an integer or out of range"],
    ["AUTH a b c", "INVALIDARG syntax error"],
    [
      "AUTH x",
      "ERR AUTH <password> called without any password configured for the default user. " +
        "Are you sure your configuration is correct?",
    ],
    ["AUTH other x", "WRONGPASS invalid username-password pair or user is disabled."],
    ["HELLO 4", "NOPROTO unsupported protocol version"],
    ["HELLO 1", "NOPROTO unsupported protocol version"],
    ["HELLO x", "INVALIDARG Protocol version is not an integer or out of range"],
    ["HELLO 3 SETNAME", "INVALIDARG Syntax error in HELLO option 'SETNAME'"],
    ["HELLO 3 AUTH default", "INVALIDARG Syntax error in HELLO option 'AUTH'"],
    ["HELLO 3 AUTH other x", "WRONGPASS invalid username-password pair or user is disabled."],
    ["CLIENT", "INVALIDARG wrong number of arguments for 'client' command"],
    ["CLIENT NOPE", "INVALIDARG unknown subcommand 'NOPE'. Try CLIENT HELP."],
    ["CLIENT GETNAME x", "INVALIDARG wrong number of arguments for 'client|getname' command"],
    ["CLIENT SETINFO lib-foo x", "INVALIDARG Unrecognized option 'lib-foo'"],
    ["CLIENT LIST TYPE x", "INVALIDARG Unknown client type 'x'"],
    ["CLIENT LIST ID x", "INVALIDARG Invalid client ID"],
    ["CLIENT LIST FOO", "INVALIDARG syntax error"],
    ["CLIENT NO-EVICT maybe", "INVALIDARG syntax error"],
    ["CLIENT REPLY OFF", "INVALIDARG every command is answered: CLIENT REPLY takes ON only"],
    ["CLIENT KILL", "INVALIDARG wrong number of arguments for 'client|kill' command"],
    ["CLIENT KILL 1.2.3.4:5", "INVALIDARG No such client"],
    ["CLIENT KILL ID 0", "INVALIDARG client-id should be greater than 0"],
    ["CLIENT KILL ID 7 SKIPME", "INVALIDARG syntax error"],
    ["CLIENT KILL USER nobody", "INVALIDARG No such user 'nobody'"],
    ["CLIENT KILL SKIPME foo", "INVALIDARG syntax error"],
    ["COMMAND NOPE", "INVALIDARG unknown subcommand 'NOPE'. Try COMMAND HELP."],
    ["COMMAND LIST x", "INVALIDARG syntax error"],
    ["COMMAND LIST FILTERBY", "INVALIDARG syntax error"],
    ["COMMAND LIST FILTERBY PATTERN", "INVALIDARG syntax error"],
    ["COMMAND LIST FILTERBY PATTERN a b", "INVALIDARG syntax error"],
    ["COMMAND LIST FILTERBY NOPE x", "INVALIDARG syntax error"],
    ["COMMAND GETKEYS", "INVALIDARG wrong number of arguments for 'command|getkeys' command"],
    ["COMMAND GETKEYS PING", "INVALIDARG wrong number of arguments for 'command|getkeys' command"],
    ["COMMAND GETKEYS nosuch a", "INVALIDARG Invalid command specified"],
    ["COMMAND GETKEYS config nosuch", "INVALIDARG Invalid command specified"],
    ["COMMAND GETKEYS ping a", "INVALIDARG The command has no key arguments"],
    ["COMMAND GETKEYS config get a", "INVALIDARG The command has no key arguments"],
    ["COMMAND GETKEYS eappend user-1 A", "INVALIDARG The command has no key arguments"],
    ["COMMAND GETKEYSANDFLAGS escan s - +", "INVALIDARG The command has no key arguments"],
    ["CONFIG GET", "INVALIDARG wrong number of arguments for 'config|get' command"],
    [
      "CONFIG SET save 1",
      "INVALIDARG settings are given when the server starts, by flag, environment or configuration file",
    ],
    [
      "WATCH a",
      "INVALIDARG nothing can be watched: give EXPECTED_VERSION with the append, " +
        "and transactions are EMAPPEND",
    ],
    ["EXEC", "ERR EXEC without MULTI"],
    ["DISCARD", "ERR DISCARD without MULTI"],
    ["NOSUCHCOMMAND a b", "INVALIDARG unknown command 'NOSUCHCOMMAND'"],
    ["PIN", "INVALIDARG unknown command 'PIN'; did you mean 'PING'?"],
    ["eapend s E", "INVALIDARG unknown command 'eapend'; did you mean 'EAPPEND'?"],
    [
      "KEYS *",
      "INVALIDARG unknown command 'KEYS': streams are listed with SCAN cursor [MATCH pattern], " +
        "as redis-cli --scan --pattern does",
    ],
    [
      "get key",
      "INVALIDARG unknown command 'get': a stream is read with ESCAN stream - +, " +
        "one event with EGET event_id",
    ],
    [
      "PUBLISH a b",
      "INVALIDARG nothing is published: append an event with EAPPEND stream name [PAYLOAD data], " +
        "and its subscribers get it",
    ],
  ];

  test.each(CASES)("%s", (command, error) => {
    const client = new TestClient();
    expect(client.send(command)).toEqual({ type: "-", value: error });
    expect(client.send("PING")).toEqual({ type: "+", value: "PONG" });
  });

  test("names with blanks or control characters are refused, in HELLO too", () => {
    const client = new TestClient();
    const error = "cannot contain spaces, newlines or special characters.";
    const inName = `INVALIDARG Client names ${error}`;
    expect(client.sendWords("CLIENT", "SETNAME", "a b").value).toBe(inName);
    expect(client.sendWords("CLIENT", "SETNAME", "a\nb").value).toBe(inName);
    expect(client.sendWords("HELLO", "3", "SETNAME", "é").value).toBe(inName);
    expect(client.sendWords("CLIENT", "SETINFO", "LIB-NAME", "a b").value).toBe(
      `INVALIDARG lib-name ${error}`,
    );
    expect(client.sendWords("CLIENT", "SETNAME", "n".repeat(1025)).value).toBe(
      "TOOLARGE a client's name, in bytes, is limited to 1024, but 1025 was asked",
    );
    expect(client.session).toMatchObject({ name: "", libraryName: "", protocol: 2 });
  });

  test("an unknown command's name is shown cut, and on one line", () => {
    const client = new TestClient();
    expect(client.sendWords("x\r\n+OK\u0000").value).toBe("INVALIDARG unknown command 'x  +OK '");
    const long = client.sendWords("x".repeat(10_000)).value;
    expect(long).toBe(`INVALIDARG unknown command '${"x".repeat(128)}'`);
    expect(client.sendWords("").value).toBe("INVALIDARG unknown command ''");
  });

  test("requests whose answers would be many times as large are bounded", () => {
    const client = new TestClient();
    expect(client.sendWords("COMMAND", "DOCS", ...Array(257).fill("client")).value).toContain(
      "TOOLARGE the number of names of COMMAND is limited to 256, but 257",
    );
    const pattern = "*".repeat(1025);
    expect(client.sendWords("COMMAND", "LIST", "FILTERBY", "PATTERN", pattern).value).toContain(
      "TOOLARGE a pattern of COMMAND LIST, in bytes, is limited to 1024, but 1025",
    );
    expect(client.sendWords("CONFIG", "GET", ...Array(65).fill("*")).value).toContain("TOOLARGE");
    expect(client.sendWords("CONFIG", "GET", "*".repeat(1025)).value).toContain("TOOLARGE");
  });
});

describe("HELLO", () => {
  test("tells what the server is, in the protocol it chooses", () => {
    const client = new TestClient();
    const answer = client.send("HELLO 3 AUTH default any SETNAME me");
    expect(answer.type).toBe("%");
    expect(plain(answer)).toEqual({
      server: "cairn",
      version: "9.8.7",
      proto: 3,
      id: client.session.id,
      mode: "standalone",
      role: "master",
      modules: [],
      peer_id: STORE.storeId,
      num_partitions: 32,
      store_id: STORE.storeId,
      epoch: STORE.epoch,
      durability: "fsync",
    });
    expect(plain(client.send("CLIENT GETNAME"))).toBe("me");
    expect(client.send("HELLO 2").type).toBe("*");
  });

  test("without a version keeps the protocol", () => {
    const client = new TestClient();
    expect(client.send("hello").type).toBe("*");
    client.send("HELLO 3");
    expect(client.send("hello").type).toBe("%");
  });

  test("refused, changes nothing", () => {
    const client = new TestClient();
    client.send("HELLO 3 SETNAME me AUTH other x");
    client.send("HELLO 3 SETNAME me NONSENSE");
    expect(client.session).toMatchObject({ protocol: 2, name: "", user: "default" });
  });
});

describe("CLIENT", () => {
  test("INFO and LIST have Redis' fields in Redis' order", () => {
    const client = new TestClient();
    client.send("CLIENT SETNAME me");
    client.send("CLIENT SETINFO LIB-NAME node-redis");
    client.send("CLIENT SETINFO lib-ver 6.3.1");
    client.link.waitingBytes = 10;
    client.link.unsentBytes = 20;
    const line = plain(client.send("CLIENT INFO")) as string;
    expect(line.replace(/ (age|idle)=\d+/g, " $1=N")).toBe(
      `id=${client.session.id} addr=127.0.0.1:50001 laddr=127.0.0.1:9090 fd=-1 name=me age=N idle=N ` +
        "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=10 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 " +
        "rbp=0 obl=0 oll=0 omem=20 tot-mem=30 events=r cmd=client|info user=default redir=-1 resp=2 " +
        "lib-name=node-redis lib-ver=6.3.1\n",
    );
  });

  test("LIST lists the live connections, by id or type too", () => {
    const server = newServer();
    const [a, b, c] = [new TestClient(server), new TestClient(server), new TestClient(server)];
    server.sessions.close(b.session);
    expect(listedIds(a.send("CLIENT LIST"))).toEqual([1, 3]);
    expect(listedIds(c.send("CLIENT LIST ID 3 2 3"))).toEqual([3]);
    expect(listedIds(c.send("CLIENT LIST TYPE normal"))).toEqual([1, 3]);
    expect(listedIds(c.send("CLIENT LIST TYPE replica"))).toEqual([]);
    expect(plain(c.send("CLIENT LIST ID 1"))).toContain(" cmd=client|list ");
    expect(plain(new TestClient(server).send("CLIENT LIST ID 3"))).toContain(" cmd=client|list ");
  });

  test("KILL in its old form closes one address", () => {
    const server = newServer();
    const [a, b] = [new TestClient(server), new TestClient(server)];
    expect(plain(a.send(`CLIENT KILL ${b.session.address}`))).toBe("OK");
    expect([a.link.killed, b.link.killed]).toEqual([false, true]);
    expect(a.session.closing).toBe(false);
  });

  test("KILL of the own connection answers first, then closes", () => {
    const client = new TestClient();
    expect(plain(client.send(`CLIENT KILL ${client.session.address}`))).toBe("OK");
    expect(client.session.closing).toBe(true);
    expect(client.link.killed).toBe(false);
  });

  test("KILL with filters closes those that all of them let through", () => {
    const server = newServer();
    const [a, b, c] = [new TestClient(server), new TestClient(server), new TestClient(server)];
    expect(plain(a.send("CLIENT KILL ID 2 ADDR 1.2.3.4:5"))).toBe(0);
    expect(plain(a.send("CLIENT KILL MAXAGE 9999"))).toBe(0);
    expect(plain(a.send("CLIENT KILL TYPE pubsub"))).toBe(0);
    expect(plain(a.send("CLIENT KILL LADDR 127.0.0.1:1"))).toBe(0);
    expect([b.link.killed, c.link.killed]).toEqual([false, false]);
    expect(plain(a.send("client kill id 2 laddr 127.0.0.1:9090 user default type NORMAL"))).toBe(1);
    expect([b.link.killed, c.link.killed]).toEqual([true, false]);
    server.sessions.close(b.session);
    expect(plain(a.send("CLIENT KILL USER default"))).toBe(1);
    expect([a.session.closing, c.link.killed]).toEqual([false, true]);
    server.sessions.close(c.session);
    expect(plain(a.send("CLIENT KILL USER default SKIPME no"))).toBe(1);
    expect(a.session.closing).toBe(true);
  });

  test("RESET takes the name and RESP3 away and leaves the library's", () => {
    const client = new TestClient();
    client.send("HELLO 3 SETNAME me");
    client.send("CLIENT SETINFO LIB-NAME lib");
    expect(plain(client.send("RESET"))).toBe("RESET");
    expect(client.session).toMatchObject({ protocol: 2, name: "", libraryName: "lib" });
  });

  test("QUIT is answered, and nothing runs after it", () => {
    const client = new TestClient();
    expect(plain(client.send("QUIT"))).toBe("OK");
    expect(client.session.closing).toBe(true);
  });
});

describe("MULTI", () => {
  const REFUSAL =
    "INVALIDARG transactions are EMAPPEND; in redis-py use pipeline(transaction=False)";

  test.each(["EXEC", "DISCARD"])("is refused, and nothing runs until %s", (end) => {
    const client = new TestClient();
    expect(client.send("MULTI").value).toBe(REFUSAL);
    for (const command of ["CLIENT SETNAME me", "HELLO 3", "NOSUCH", "MULTI", "WATCH a", "PING"]) {
      expect(client.send(command)).toMatchObject({
        type: "-",
        value: expect.stringMatching(/^EXECABORT not run/),
      });
    }
    expect(client.session).toMatchObject({ name: "", protocol: 2 });
    expect(client.send(end).value).toBe(
      "EXECABORT Transaction discarded because of previous errors: nothing of it ran, transactions are EMAPPEND",
    );
    expect(plain(client.send("PING"))).toBe("PONG");
    expect(client.send(end).value).toBe(`ERR ${end} without MULTI`);
  });

  test("EXEC with an argument ends it too, and is an error of its own outside", () => {
    const client = new TestClient();
    client.send("MULTI");
    expect(client.send("EXEC now").value).toMatch(/^EXECABORT /);
    expect(plain(client.send("PING"))).toBe("PONG");
    expect(client.send("EXEC now").value).toMatch(/^INVALIDARG wrong number of arguments/);
  });

  test("RESET ends it, QUIT works in it", () => {
    const client = new TestClient();
    client.send("MULTI");
    expect(plain(client.send("RESET"))).toBe("RESET");
    expect(plain(client.send("PING"))).toBe("PONG");
    client.send("MULTI");
    expect(plain(client.send("QUIT"))).toBe("OK");
  });

  test("refuses one connection's commands only", () => {
    const server = newServer();
    const [a, b] = [new TestClient(server), new TestClient(server)];
    a.send("MULTI");
    expect(plain(b.send("PING"))).toBe("PONG");
  });
});

describe("COMMAND", () => {
  test("every command is found in any case, and described under its name", () => {
    const client = new TestClient();
    const infos = plain(client.send("COMMAND")) as unknown[][];
    const names = infos.map(([name]) => name);
    expect(names).toEqual(commands.map(({ name }) => name.toLowerCase()));
    expect(new Set(names).size).toBe(commands.length);
    expect(plain(client.send("COMMAND COUNT"))).toBe(commands.length);
    for (const command of commands) {
      const mixed = command.name[0] + command.name.slice(1).toLowerCase();
      expect(findCommand(argumentsOf([mixed]))).toBe(command);
    }
  });

  test("INFO gives arity, flags and subcommands", () => {
    const client = new TestClient();
    const [echo, nosuch, container] = plain(
      client.send("COMMAND INFO ECHO nosuch config"),
    ) as unknown[][];
    expect(echo).toEqual([
      "echo",
      2,
      ["loading", "stale", "fast"],
      0,
      0,
      0,
      ["@fast", "@connection"],
      [],
      [],
      [],
    ]);
    expect(nosuch).toBe(null);
    const subcommands = container?.[9] as unknown[][];
    expect(subcommands.map(([name, arity]) => [name, arity])).toEqual([
      ["config|get", -3],
      ["config|set", -4],
      ["config|help", 2],
    ]);
  });

  test("LIST names commands and subcommands, all or those of a pattern or a category", () => {
    const client = new TestClient();
    const list = (filter: string) => plain(client.send(`COMMAND LIST${filter}`)) as string[];
    const all = list("");
    expect(all).toEqual(expect.arrayContaining(commands.map(({ name }) => name.toLowerCase())));
    expect(all).toContain("client|setname");
    expect(new Set(all).size).toBe(all.length);
    expect(list(" FILTERBY PATTERN DB*")).toEqual(["dbsize"]);
    expect(list(" filterby pattern command|l*")).toEqual(["command|list"]);
    expect(list(" FILTERBY PATTERN nosuch")).toEqual([]);
    expect(list(" FILTERBY ACLCAT write")).toEqual(["eappend", "emappend"]);
    expect(list(" FILTERBY ACLCAT CONNECTION")).toContain("client|id");
    expect(list(" FILTERBY ACLCAT nosuch")).toEqual([]);
  });

  test("DOCS documents all commands, their subcommands among them", () => {
    const client = new TestClient();
    client.send("HELLO 3");
    const docs = plain(client.send("COMMAND DOCS")) as Record<string, Record<string, unknown>>;
    expect(Object.keys(docs)).toEqual(commands.map(({ name }) => name.toLowerCase()));
    expect(docs.ping).toEqual({
      summary: "Answer PONG, or the text given.",
      since: "0.1.0",
      group: "connection",
    });
    expect(Object.keys(docs.client?.subcommands as object)).toContain("client|setname");
    const one = plain(client.send("COMMAND DOCS config|get nosuch"));
    expect(Object.keys(one as object)).toEqual(["config|get"]);
  });
});

describe("CONFIG GET", () => {
  test("gives our own settings and Redis' names, by pattern, in any case", () => {
    const client = new TestClient();
    client.send("HELLO 3");
    expect(plain(client.send("CONFIG GET save appendonly"))).toEqual({
      appendonly: "yes",
      save: "",
    });
    expect(plain(client.send("CONFIG GET APPENDFSYNC"))).toEqual({ appendfsync: "always" });
    expect(plain(client.send("CONFIG GET part*"))).toEqual({ partitions: "32" });
    expect(plain(client.send("CONFIG GET maxm* port"))).toEqual({
      maxmemory: "0",
      "maxmemory-policy": "noeviction",
      port: "9090",
    });
    expect(plain(client.send("CONFIG GET proto-max-bulk-len"))).toEqual({
      "proto-max-bulk-len": String(ARGUMENT_BYTES_MAX),
    });
    expect(plain(client.send("CONFIG GET no[pq]e"))).toEqual({});
  });
});

describe("INFO", () => {
  test("has what clients and tools look for", () => {
    const text = plain(new TestClient().send("INFO")) as string;
    expect(text).toMatch(/^# Server\r\nredis_version:7\.\d+\.\d+\r\n/);
    for (const line of [
      "redis_mode:standalone",
      "tcp_port:9090",
      "connected_clients:1",
      "loading:0",
      "role:master",
      "cluster_enabled:0",
      "db0:keys=3,expires=0,avg_ttl=0",
      `store_id:${STORE.storeId}`,
      `epoch:${STORE.epoch}`,
      "position:41",
      "durability:fsync",
      "strict:no",
      "read_only:no",
      "aof_last_write_status:ok",
    ]) {
      expect(text).toContain(`\r\n${line}\r\n`);
    }
    expect(text).toMatch(/\r\nused_memory_human:\d+\.\d\d[MG]\r\n/);
    expect(text.match(/# \w+\r\n/g)?.map((title) => title.slice(2, -2))).toEqual([
      ...["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU"],
      ...["Cluster", "Keyspace", "Cairn"],
    ]);
  });

  test("gives the sections asked for, and nothing for an unknown one", () => {
    const client = new TestClient();
    expect(plain(client.send("INFO keyspace REPLICATION"))).toMatch(
      /^# Replication\r\nrole:master\r\n[^#]*\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n$/,
    );
    expect(plain(client.send("INFO nosuch"))).toBe("");
    expect(plain(client.send("INFO everything"))).toContain("# Cairn");
  });
});

test("TIME is the clock's seconds and microseconds", () => {
  const before = Date.now();
  const [seconds, microseconds] = plain(new TestClient().send("TIME")) as [string, string];
  const time = Number(seconds) * 1000 + Number(microseconds) / 1000;
  expect(time).toBeGreaterThanOrEqual(before);
  expect(time).toBeLessThanOrEqual(Date.now());
});

test("DBSIZE counts streams, PING and ECHO give any bytes back", () => {
  const client = new TestClient();
  expect(plain(client.send("DBSIZE"))).toBe(3);
  expect(client.sendWords("ECHO", "é\r\n$").value).toBe("é\r\n$");
  expect(client.sendWords("PING", "").value).toBe("");
});

// ── the harness ───────────────────────────────────────────────────────────────────────────────────

const STORE = {
  storeId: "550e8400-e29b-41d4-a716-446655440000",
  epoch: "550e8400-e29b-41d4-a716-446655440001",
  partitions: 32,
  strict: false,
  durability: "fsync",
  streamCount: () => 3,
  lastPosition: () => 41,
  readOnlyReason: () => null,
  memoryBytes: () => 1_000_000,
  logBytes: () => 2_000_000,
  segmentCount: () => 1,
  subscriptions: { count: 4, behindCount: 1, waitingCount: 2 },
  memoryFigures: () => ({
    memtableBytes: 100,
    filterBytes: 20,
    pageBytes: 3,
    headBytes: 4_000,
    runCount: 7,
  }),
};

function newServer(): ServerInfo {
  const settings = new Map([["partitions", "32"]]);
  const server = new ServerInfo({ version: "9.8.7", settings });
  server.respHost = "127.0.0.1";
  server.respPort = 9090;
  return server;
}

/** A connection without a socket: it does with one request what the server's connection does. */
class TestClient {
  readonly session: Session;
  readonly link = {
    killed: false,
    waitingBytes: 0,
    unsentBytes: 0,
    takesPushes: true,
    push: () => {},
    kill: () => {
      this.link.killed = true;
    },
  };
  private readonly context: Context;

  constructor(server = newServer()) {
    const address = `127.0.0.1:${50_001 + server.sessions.count}`;
    this.session = server.sessions.open(address, "127.0.0.1:9090", this.link);
    // These commands use of the store what STORE has, and write their replies without the core.
    this.context = { server, session: this.session, store: STORE } as unknown as Context;
  }

  /** Sends the words of a line. */
  send(line: string): Value {
    return this.sendWords(...line.split(" "));
  }

  sendWords(...words: string[]): Value {
    const sink = new PlainSink();
    const reply = new Reply(sink);
    reply.protocol = this.session.protocol;
    const args = argumentsOf(words);
    try {
      const command = findCommand(args);
      const refusal = stateRefusal(this.session, command);
      if (refusal !== null) throw refusal;
      if (command === null) throw unknownCommand(args, commandNames);
      this.session.lastCommand = command.name;
      const request = command.parse(args, this.context);
      command.reply(command.run(request, this.context), reply, this.context);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      reply.error(error.code, error.message);
    }
    const reader = new ValueReader(sink.memory.subarray(0, sink.tail));
    const value = reader.next();
    expect(reader.done).toBe(true);
    return value;
  }
}

function argumentsOf(words: string[]): Arguments {
  const decoder = new RequestDecoder();
  const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  decoder.push(Buffer.from(`*${words.length}\r\n${bulks.join("")}`));
  expect(decoder.next()).toBe(REQUEST);
  const staging = {
    addressOf(): number {
      throw new Error("no service command needs core memory");
    },
  };
  return new Arguments(decoder, staging);
}

class PlainSink {
  memory = new Uint8Array(64);
  tail = 0;

  reserve(size: number): void {
    if (this.tail + size <= this.memory.length) return;
    const grown = new Uint8Array(2 * (this.tail + size));
    grown.set(this.memory);
    this.memory = grown;
  }
}

/** A reply: its type's byte, and what it holds (a map's keys and values in turn). */
interface Value {
  type: string;
  value: string | number | null | Value[];
}

class ValueReader {
  private readonly bytes: Buffer;
  private position = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  get done(): boolean {
    return this.position === this.bytes.length;
  }

  next(): Value {
    const line = this.take(this.bytes.indexOf("\r\n", this.position) - this.position);
    const type = line[0] ?? "";
    const rest = line.slice(1);
    switch (type) {
      case "+":
      case "-":
        return { type, value: rest };
      case ":":
        return { type, value: Number(rest) };
      case "_":
        return { type, value: null };
      case "$":
        return rest === "-1"
          ? { type: line, value: null }
          : { type, value: this.take(Number(rest)) };
      case "=":
        return { type, value: this.take(Number(rest)).replace(/^txt:/, "") };
      case "*":
      case "~":
        return { type, value: this.several(Number(rest)) };
      case "%":
        return { type, value: this.several(2 * Number(rest)) };
      default:
        throw new Error(`no reply begins with ${JSON.stringify(line)}`);
    }
  }

  private several(count: number): Value[] {
    return Array.from({ length: count }, () => this.next());
  }

  private take(size: number): string {
    const text = this.bytes.toString("utf8", this.position, this.position + size);
    this.position += size + 2;
    return text;
  }
}

function shapeOf({ type, value }: Value): string {
  if (!Array.isArray(value)) return type;
  if (type !== "%") return `${type}[${shapesOf(value)}]`;
  const keys = value.filter((_, index) => index % 2 === 0);
  const values = value.filter((_, index) => index % 2 === 1);
  return `%{${shapesOf(keys)} ${shapesOf(values)}}`;
}

function shapesOf(values: Value[]): string {
  return [...new Set(values.map(shapeOf))].sort().join("|");
}

/** A reply as JavaScript has it: maps as objects, arrays and sets as arrays. */
function plain({ type, value }: Value): unknown {
  if (!Array.isArray(value)) return value;
  const members = value.map(plain);
  if (type !== "%") return members;
  const entries: [string, unknown][] = [];
  for (let i = 0; i < members.length; i += 2) entries.push([String(members[i]), members[i + 1]]);
  return Object.fromEntries(entries);
}

function listedIds(list: Value): number[] {
  return [...(plain(list) as string).matchAll(/^id=(\d+) /gm)].map(([, id]) => Number(id));
}
