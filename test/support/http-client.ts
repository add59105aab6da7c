/**
 * Requests to a server's HTTP door, and bytes as they stand for what no client would send.
 */
import { connect } from "node:net";
import { expect } from "vitest";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Of JSON, the value; else the text. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it as they expect it to be
  readonly body: any;
}

export class HttpClient {
  readonly base: string;

  constructor(port: number) {
    this.base = `http://127.0.0.1:${port}`;
  }

  async request(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.base + path, { redirect: "manual", ...init });
    const text = await response.text();
    const isJson = response.headers.get("Content-Type")?.includes("json") ?? false;
    const body = isJson && text !== "" ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, body };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(path, { headers });
  }

  /** Posts JSON: a text as it stands, anything else as JSON.stringify gives it. */
  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  /** Posts to a stream's events. */
  append(stream: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.post(eventsPath(stream), body, headers);
  }
}

export function eventsPath(stream: string): string {
  return `/v1/streams/${encodeURIComponent(stream)}/events`;
}

/** A problem as all of them are, with this status and code, and a detail that matches. */
export function expectProblem(answer: Answer, status: number, code: string, detail: RegExp): void {
  expect([answer.status, answer.body]).toEqual([
    status,
    expect.objectContaining({
      type: "about:blank",
      title: expect.any(String),
      status,
      code,
      detail: expect.stringMatching(detail),
    }),
  ]);
  expect(answer.headers.get("Content-Type")).toBe("application/problem+json");
}

/** Sends bytes as they stand, and gives all that came until the server closed the connection. */
export function exchange(port: number, request: string | Uint8Array): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  const socket = connect(port, "127.0.0.1", () => socket.write(request));
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    received += text;
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => resolve(received));
  socket.on("error", (error: NodeJS.ErrnoException) => {
    // A server that closes while bytes still come resets the connection: what it said counts.
    if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
  });
  return promise;
}
