import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the server holds for a path, and how it misbehaves. */
export interface Served {
  bytes: Uint8Array;
  tag?: string;
  /** Answers requests for the rest of a file; else it sends the whole. */
  ranges?: boolean;
  /** Bytes after which the connection breaks off, for each request in turn; then no more. */
  cuts?: number[];
  /** Waits until so many bytes of the file have arrived, before it breaks off. */
  arrived?: (bytes: number) => Promise<unknown>;
  /** Replaces the answer. */
  answer?: (response: ServerResponse, request: IncomingMessage) => void;
}

/** A server on this machine whose files can be changed while it runs, and what it was asked for. */
export async function weightsServer(files: Readonly<Record<string, Served>>) {
  const asked: { path: string; range: string | undefined; ifRange: unknown }[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://x").pathname;
    const { range, "if-range": ifRange } = request.headers;
    asked.push({ path, range, ifRange });
    const served = files[path];
    if (!served) response.writeHead(404).end("no");
    else if (served.answer) served.answer(response, request);
    else send(response, served, ifRange === served.tag ? range : undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    root: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function send(response: ServerResponse, served: Served, range: string | undefined): void {
  const { bytes, tag, ranges = true } = served;
  const start = ranges && range !== undefined ? Number(/\d+/.exec(range)![0]) : 0;
  if (start > 0 && start >= bytes.length) {
    response.writeHead(416).end();
    return;
  }
  const rest = bytes.subarray(start);
  if (tag !== undefined) response.setHeader("etag", tag);
  response.setHeader("content-length", rest.length);
  if (start > 0) response.setHeader("content-range", `bytes ${start}-${bytes.length - 1}/${bytes.length}`);
  response.writeHead(start > 0 ? 206 : 200);
  const cut = served.cuts?.shift();
  if (cut === undefined) response.end(rest);
  else
    response.write(rest.subarray(0, cut), async () => {
      await served.arrived?.(start + cut);
      response.destroy();
    });
}
