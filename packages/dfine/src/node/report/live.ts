import { EventEmitter, once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { markOf, page, type ReportParts } from "./page.ts";
import type { PageUpdate } from "./pageScript.ts";
import { reportParts } from "./report.ts";
import type { ReportData } from "./reportData.ts";

/** The live report cannot be served. */
export class ServeError extends Error {
  override readonly name = "ServeError";
}

/** How a run that is served came to its end. */
export type RunEnd = "finished" | "stopped" | "failed";

/** A report that is served while a run goes on. */
export interface LiveReport {
  readonly address: string;
  /** Has something to show: `data` is asked for when somebody looks, at most once a second. */
  show(data: () => ReportData): void;
  /** Tells those who look how the run ended, and closes. */
  end(how: RunEnd): Promise<void>;
}

const HOST = "127.0.0.1";
/** Names of this machine as a browser on it, or at the other end of a tunnel, asks for them. */
const OWN_NAMES: ReadonlySet<string> = new Set([HOST, "localhost"]);
/** Milliseconds between two updates of a page, and for pages to take the last one. */
const PAUSE = 1000;
const PARTING = 2000;

/**
 * Serves the report of a run to browsers on this machine: the page, and what changes in it. Nothing can be written, and no file
 * is read. A browser that is slow gets fewer updates, one that is gone costs nothing. Port 0: any free one.
 * @throws ServeError where the port is taken
 */
export async function serveReport({
  port,
  title,
}: {
  readonly port: number;
  readonly title: string;
}): Promise<LiveReport> {
  const state = new LiveState(title);
  const app = new Hono();
  app.use(async (context, next) => {
    // A page from elsewhere whose name was made to mean this machine still asks for its own name.
    const name = context.req.header("host")?.replace(/:\d*$/, "") ?? "";
    if (!OWN_NAMES.has(name)) return context.text("This report is for browsers on its own machine.\n", 403);
    if (context.req.method !== "GET") return context.text("This report can only be read.\n", 405);
    await next();
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
    return undefined;
  });
  app.get("/", (context) => context.html(state.page()));
  app.get("/events", (context) =>
    streamSSE(context, async (stream) => {
      const sent = new Map<string, string>();
      // Each browser is told the newest state when it has taken the one before: nothing piles up.
      for (let version = -1; !stream.aborted; ) {
        await state.after(version);
        const { ended } = state;
        version = state.version;
        await stream.writeSSE({ event: ended ? "end" : "update", data: JSON.stringify(state.update(sent)) });
        if (ended) return;
        await state.pause(PAUSE);
      }
    }),
  );
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await listen(server, port);
  return {
    address: `http://${HOST}:${(server.address() as AddressInfo).port}/`,
    show: (data) => state.show(data),
    async end(how) {
      state.end(how);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await Promise.race([closed, setTimeout(PARTING, undefined, { ref: false })]);
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, HOST, resolve));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isTaken = code === "EADDRINUSE";
    throw new ServeError(
      `port ${port} of ${HOST} ${isTaken ? "is taken, perhaps by another run" : `cannot be had (${message})`}; give another, as --serve ${port < 65_535 ? port + 1 : 8421}, or --serve 0 for any free one`,
    );
  }
}

/** What there is to see, made when somebody looks. */
class LiveState {
  version = 0;
  ended: RunEnd | undefined;
  readonly #title: string;
  #data: (() => ReportData) | undefined;
  #made: { readonly version: number; readonly parts: ReportParts } | undefined;
  readonly #news = new EventEmitter().setMaxListeners(0);
  readonly #ending = new AbortController();

  constructor(title: string) {
    this.#title = title;
  }

  show(data: () => ReportData): void {
    this.#data = data;
    this.#tell();
  }

  end(how: RunEnd): void {
    this.ended = how;
    this.#ending.abort();
    this.#tell();
  }

  #tell(): void {
    this.version++;
    this.#news.emit("change");
  }

  /** Until there is something newer than this version. */
  async after(version: number): Promise<void> {
    while (this.version === version) await once(this.#news, "change");
  }

  /** So many milliseconds, or until the run ends. */
  async pause(milliseconds: number): Promise<void> {
    await setTimeout(milliseconds, undefined, { signal: this.#ending.signal }).catch(() => undefined);
  }

  #parts(): ReportParts {
    if (this.#made?.version !== this.version) {
      const data = this.#data?.() ?? { title: this.#title, images: [], environment: {} };
      this.#made = { version: this.version, parts: reportParts(data) };
    }
    return this.#made!.parts;
  }

  page(): string {
    return page(this.#title, this.#parts(), { live: true });
  }

  /** What differs from what was `sent`, by section, and is noted there. */
  update(sent: Map<string, string>): PageUpdate {
    const { sections, charts } = this.#parts();
    const marked = [...sections].map(([id, html]) => ({ id, html, mark: markOf(html) }));
    const changed = marked.filter(({ id, mark }) => sent.get(id) !== mark);
    for (const { id, mark } of changed) sent.set(id, mark);
    const status = this.ended === undefined ? "The run goes on; this page follows it." : `The run has ${this.ended}.`;
    return { status, sections: changed, charts };
  }
}
