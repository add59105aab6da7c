/**
 * All that the HTTP door does with a store, one file a group; and the description of it.
 */
import { OutputArea } from "../core/output-area.ts";
import { HTTP_HELD_BYTES_MAX, KiB } from "../limits.ts";
import { MetricsRegistry } from "../metrics/registry.ts";
import type { EventStore } from "../store/event-store.ts";
import { appendRoutes } from "./append-routes.ts";
import { Appends } from "./appends.ts";
import { documentRoutes } from "./document-routes.ts";
import { Feeds } from "./feed.ts";
import { feedRoutes } from "./feed-routes.ts";
import { healthRoutes } from "./health-routes.ts";
import { HeldBytes } from "./held-bytes.ts";
import { lookupRoutes } from "./lookup-routes.ts";
import { metricsRoutes } from "./metrics.ts";
import type { Operation } from "./operation.ts";
import { readRoutes } from "./read-routes.ts";

/** The area of answers when it is made, and what is kept of it. */
const AREA_BYTES = 256 * KiB;

export interface StoreRoutesOptions {
  readonly store: EventStore;
  readonly version: string;
  /** Ends the process: the store's state may be half done. */
  readonly crash: (error: unknown) => never;
}

interface StoreRoutes {
  readonly operations: readonly Operation[];
  readonly crash: (error: unknown) => never;
  /** Ends what has no end of its own, when the server stops. */
  readonly endFeeds: () => void;
  /** Bytes of bodies and answers that are held now. */
  readonly heldBytes: () => number;
}

export function storeRoutes({ store, version, crash }: StoreRoutesOptions): StoreRoutes {
  const feeds = new Feeds(store);
  const parts = {
    store,
    version,
    crash,
    feeds,
    bodies: new HeldBytes(HTTP_HELD_BYTES_MAX),
    answers: new HeldBytes(HTTP_HELD_BYTES_MAX),
    area: new OutputArea(store.core, AREA_BYTES),
  };
  const routes = [
    ...appendRoutes(new Appends(parts), parts.bodies),
    ...readRoutes(parts),
    ...feedRoutes(parts),
    ...lookupRoutes(parts),
  ];
  // The door has these two of its own: here they are only described.
  const others = [
    ...healthRoutes(() => ({ ready: true })),
    ...metricsRoutes(new MetricsRegistry()),
  ];
  return {
    operations: [...routes, ...documentRoutes([...routes, ...others], version)],
    crash,
    endFeeds: () => feeds.close(),
    heldBytes: () => parts.bodies.bytes + parts.answers.bytes,
  };
}
