/**
 * A client of Server-Sent Events that shows all that comes, the ids without data too (an EventSource hides them).
 */

export interface FeedEvent {
  /** The id that counts from here on: Last-Event-ID. */
  readonly id: string | null;
  readonly event: string;
  /** Null where the block has none: it only moves the id on. */
  readonly data: string | null;
}

export class FeedClient {
  readonly response: Response;
  /** Of what `next` gave: as a browser would send it when it connects again. */
  lastEventId: string | null = null;
  retryMs: number | null = null;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private readonly controller: AbortController;
  private text = "";
  private events: FeedEvent[] = [];
  private id: string | null = null;

  private constructor(response: Response, controller: AbortController) {
    if (response.body === null) throw new Error("the feed has no body");
    this.response = response;
    this.reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.controller = controller;
  }

  /** Throws where the answer is no feed. */
  static async open(url: string, lastEventId: string | null = null): Promise<FeedClient> {
    const controller = new AbortController();
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    const response = await fetch(url, { headers, signal: controller.signal });
    if (response.status !== 200) {
      throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    }
    return new FeedClient(response, controller);
  }

  /** The next block, or null where the feed has ended. */
  async next(): Promise<FeedEvent | null> {
    while (this.events.length === 0) {
      const { done, value } = await this.reader.read();
      if (done) return null;
      this.take(this.decoder.decode(value, { stream: true }));
    }
    const event = this.events.shift() ?? null;
    this.lastEventId = event?.id ?? this.lastEventId;
    return event;
  }

  /** The next block of this name; those before it are passed. */
  async nextOf(name: string): Promise<FeedEvent> {
    while (true) {
      const event = await this.next();
      if (event === null) throw new Error(`the feed ended before a ${name}`);
      if (event.event === name && event.data !== null) return event;
    }
  }

  /** All messages up to and without `caught-up`. */
  async history(): Promise<FeedEvent[]> {
    const found: FeedEvent[] = [];
    while (true) {
      const event = await this.next();
      if (event === null) throw new Error("the feed ended before it was caught up");
      if (event.event === "caught-up") return found;
      if (event.data !== null) found.push(event);
    }
  }

  close(): void {
    this.controller.abort();
  }

  private take(text: string): void {
    const blocks = (this.text + text).split("\n\n");
    this.text = blocks.pop() ?? "";
    for (const block of blocks) this.takeBlock(block);
  }

  private takeBlock(block: string): void {
    let event = "message";
    const data: string[] = [];
    let isEvent = false;
    for (const line of block.split("\n")) {
      const [, name, value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (name === "id") this.id = value;
      if (name === "event") event = value;
      if (name === "data") data.push(value);
      if (name === "retry") this.retryMs = Number(value);
      isEvent ||= name === "id" || name === "data" || name === "event";
    }
    if (!isEvent) return;
    const text = data.length === 0 ? null : data.join("\n");
    this.events.push({ id: this.id, event, data: text });
  }
}
