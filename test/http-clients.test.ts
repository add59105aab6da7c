/**
 * Clients that others made: curl, npm's eventsource, a browser, and nginx between a client and the server. Those that the
 * machine has not are skipped.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EventSource } from "eventsource";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsPath, HttpClient } from "./support/http-client.ts";
import { type Cairn, startCairn, until } from "./support/server.ts";

const CURL = Bun.which("curl");
const NGINX = Bun.which("nginx");
const OPENSSL = Bun.which("openssl");
const BROWSER = ["chromium", "chromium-browser", "google-chrome"]
  .map((name) => Bun.which(name))
  .find((path) => path !== null);

const folder = mkdtempSync(join(tmpdir(), "cairn-clients-"));
let cairn: Cairn;
let http: HttpClient;
let streams = 0;

const newStream = (): string => `c-${++streams}`;

beforeAll(async () => {
  cairn = await startCairn();
  http = new HttpClient(cairn.httpPort);
});
afterAll(async () => {
  await cairn.stop();
  rmSync(folder, { recursive: true });
});

/** A port that was free just now, for what cannot take one by itself. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

async function curl(...args: readonly string[]): Promise<string> {
  const run = Bun.spawn([CURL as string, "--silent", "--max-time", "60", ...args]);
  const output = await new Response(run.stdout).text();
  expect(await run.exited, `${args.join(" ")}: ${output}`).toBe(0);
  return output;
}

describe.skipIf(CURL === null)("curl", () => {
  test("appends, reads and meets a conflict", async () => {
    const url = http.base + eventsPath(newStream());
    const json = ["-H", "Content-Type: application/json"];
    const event = '{"event_name":"UserRegistered","payload":{"email":"alice@example.com"}}';
    expect(JSON.parse(await curl(url, ...json, "-d", event)).stream_version).toBe(0);
    const late = ["-H", 'If-Match: "5"', "-o", "/dev/null", "-w", "%{http_code} %header{etag}"];
    expect(await curl(url, ...json, ...late, "-d", event)).toMatch(/^412( "0")?/);
    expect(JSON.parse(await curl(url)).events).toHaveLength(1);
  });

  test("follows a feed to its history's end", async () => {
    const stream = newStream();
    await http.append(stream, [{ event_name: "E" }, { event_name: "E" }]);
    const run = Bun.spawn(
      [CURL as string, "-sN", "-H", "Accept: text/event-stream", http.base + eventsPath(stream)],
      { stdout: "pipe" },
    );
    let output = "";
    for await (const chunk of run.stdout) {
      output += new TextDecoder().decode(chunk);
      if (output.includes("event: caught-up")) break;
    }
    run.kill();
    expect(output.match(/^id: \d+$/gm)).toEqual(["id: 0", "id: 1", "id: 1"]);
  });

  test("sends a body of many packets with Expect: 100-continue", async () => {
    const file = join(folder, "large.json");
    writeFileSync(file, JSON.stringify({ event_name: "E", payload: "x".repeat(3_000_000) }));
    const url = http.base + eventsPath(newStream());
    const json = ["-H", "Content-Type: application/json", "-H", "Expect: 100-continue"];
    expect(JSON.parse(await curl(url, ...json, "--data-binary", `@${file}`)).stream_version).toBe(
      0,
    );
  });
});

describe("npm's eventsource", () => {
  test("misses nothing while the server is restarted", async () => {
    const data = join(folder, "restarted");
    const first = await startCairn({ data });
    const port = first.httpPort;
    const told: number[] = [];
    const caughtUp: string[] = [];
    const source = new EventSource(`http://127.0.0.1:${port}/v1/subscribe?stream=es-*&from=0`);
    source.addEventListener("message", (event) =>
      told.push(JSON.parse(event.data).stream_version as number),
    );
    source.addEventListener("caught-up", (event) => caughtUp.push(event.lastEventId));
    try {
      const append = (door: number) => new HttpClient(door).append("es-1", { event_name: "E" });
      for (let i = 0; i < 3; i++) await append(port);
      await until(() => told.length === 3, "three events have come");
      await first.kill();
      const second = await startCairn({ data, args: ["--http", `127.0.0.1:${port}`] });
      for (let i = 0; i < 3; i++) await append(port);
      await until(() => told.length >= 6, "six events have come");
      expect(told).toEqual([0, 1, 2, 3, 4, 5]);
      expect(caughtUp.length).toBeGreaterThanOrEqual(2); // once for each connection
      source.close();
      await second.stop();
    } finally {
      source.close();
    }
  });
});

describe.skipIf(BROWSER === undefined)("a browser", () => {
  /** The page when it has set `data-ready`, as HTML. */
  async function dump(url: string): Promise<string> {
    const profile = mkdtempSync(join(folder, "profile-"));
    const run = Bun.spawn(
      [
        BROWSER as string,
        ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        ...[`--user-data-dir=${profile}`, "--virtual-time-budget=20000", "--dump-dom", url],
      ],
      { stdout: "pipe", stderr: "ignore" },
    );
    const html = await new Response(run.stdout).text();
    await run.exited;
    return html;
  }

  test("shows /docs, with nothing from elsewhere", async () => {
    const html = await dump(`${http.base}/docs`);
    expect(html).toContain('data-ready="true"');
    expect(html).toContain("/v1/streams/{stream}/events");
    expect(html).not.toMatch(/(?:src|href)="https?:/);
  });

  test("follows a feed with its EventSource, from a page of an allowed origin", async () => {
    const stream = newStream();
    const page = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        new Response(
          PAGE.replace("URL", `http://127.0.0.1:${shared.httpPort}${eventsPath(stream)}`),
          {
            headers: { "Content-Type": "text/html" },
          },
        ),
    });
    const origin = `http://127.0.0.1:${page.port}`;
    const shared = await startCairn({ args: ["--cors-origins", origin] });
    await new HttpClient(shared.httpPort).append(stream, [
      { event_name: "A" },
      { event_name: "B" },
    ]);
    const html = await dump(origin);
    expect(html).toContain("<body>A B caught-up 1</body>");
    await page.stop(true);
    await shared.stop();
  });

  const PAGE = `<!doctype html><body><script>
    const told = [];
    const source = new EventSource("URL");
    source.onmessage = (event) => told.push(JSON.parse(event.data).event_name);
    source.addEventListener("caught-up", (event) => {
      document.body.textContent = told.concat("caught-up", event.lastEventId).join(" ");
      source.close();
    });
  </script></body>`;
});

describe.skipIf(NGINX === null || OPENSSL === null || CURL === null)(
  "nginx with TLS and gzip",
  () => {
    let proxy: Bun.Subprocess | null = null;
    let base: string;

    beforeAll(async () => {
      const port = await freePort();
      const root = mkdtempSync(join(folder, "nginx-"));
      const [key, certificate] = [join(root, "key.pem"), join(root, "certificate.pem")];
      const made = Bun.spawnSync(
        [
          OPENSSL as string,
          ...[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
          ],
          ...["-keyout", key, "-out", certificate],
        ],
        { stderr: "pipe" },
      );
      expect(made.exitCode, made.stderr.toString()).toBe(0);
      writeFileSync(join(root, "nginx.conf"), configuration(root, port, cairn.httpPort));
      proxy = Bun.spawn([NGINX as string, "-p", root, "-c", join(root, "nginx.conf")], {
        stderr: "ignore",
      });
      base = `https://127.0.0.1:${port}`;
      await until(async () => {
        const run = Bun.spawn([CURL as string, "-sk", `${base}/healthz`], { stdout: "pipe" });
        return (await new Response(run.stdout).text()).includes("ok");
      }, "nginx answers");
    });
    afterAll(async () => {
      proxy?.kill("SIGQUIT");
      await proxy?.exited;
    });

    /** Head and body through the proxy. */
    const ask = (path: string, ...args: readonly string[]): Promise<string> =>
      curl("-k", "-i", "--compressed", base + path, ...args);
    const JSON_TYPE = ["-H", "Content-Type: application/json"];

    test("keeps optimistic concurrency working though it weakens ETags", async () => {
      const stream = newStream();
      const events = Array.from({ length: 20 }, () => ({
        event_name: "E",
        payload: "x".repeat(100),
      }));
      await http.append(stream, events);
      const read = await ask(eventsPath(stream));
      expect(read).toMatch(/^content-encoding: gzip/im);
      const etag = /^etag: (.*)\r$/im.exec(read)?.[1] ?? "no ETag";
      expect(etag).toBe('W/"19"');
      const unchanged = await ask(eventsPath(stream), "-H", `If-None-Match: ${etag}`);
      expect(unchanged).toMatch(/^HTTP\/[\d.]+ 304/);
      const append = ["-d", '{"event_name":"Next"}', ...JSON_TYPE, "-H", `If-Match: ${etag}`];
      expect(await ask(eventsPath(stream), ...append)).toMatch(/^HTTP\/[\d.]+ 201/);
      expect(await ask(eventsPath(stream), ...append)).toMatch(/^HTTP\/[\d.]+ 412/);
    });

    test("passes a feed on as it comes", async () => {
      const stream = newStream();
      await http.append(stream, { event_name: "Before" });
      const run = Bun.spawn(
        [
          CURL as string,
          "-skN",
          "--compressed",
          "-H",
          "Accept: text/event-stream",
          base + eventsPath(stream),
        ],
        { stdout: "pipe" },
      );
      let output = "";
      let isAppended = false;
      for await (const chunk of run.stdout) {
        output += new TextDecoder().decode(chunk);
        if (output.includes("event: caught-up") && !isAppended) {
          isAppended = true; // what is live comes too, though the answer never ends
          await http.append(stream, { event_name: "Live" });
        }
        if (output.includes('"Live"')) break;
      }
      run.kill();
      expect(output.match(/"event_name":"\w+"/g)).toEqual([
        '"event_name":"Before"',
        '"event_name":"Live"',
      ]);
    });

    test("is refused where it names a host that the server does not answer for", async () => {
      expect(await ask("/v1", "-H", "Host: evil.example")).toMatch(/^HTTP\/[\d.]+ 421/);
    });
  },
);

/** A proxy as its manual has it: it passes the client's Host on, compresses, and knows nothing of feeds. */
function configuration(root: string, port: number, upstream: number): string {
  return `
    daemon off;
    master_process off;
    pid ${root}/pid;
    error_log ${root}/error.log;
    events {}
    http {
      access_log off;
      client_body_temp_path ${root}/body;
      proxy_temp_path ${root}/proxy;
      fastcgi_temp_path ${root}/fastcgi;
      uwsgi_temp_path ${root}/uwsgi;
      scgi_temp_path ${root}/scgi;
      gzip on;
      gzip_types application/json text/event-stream;
      gzip_proxied any;
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${root}/certificate.pem;
        ssl_certificate_key ${root}/key.pem;
        location / {
          proxy_pass http://127.0.0.1:${upstream};
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $host;
        }
      }
    }`;
}
