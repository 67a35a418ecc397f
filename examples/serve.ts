// Serves an example that runs in a page: node examples/serve.ts detect-in-page
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { build } from "esbuild";

// With these two headers a page is cross-origin isolated: its workers may share memory, so that the CPU backend gets threads.
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** A file of the folder as browsers take it: name.js is what esbuild makes of name.ts and all that it imports. */
async function content(folder: string, name: string): Promise<{ type: string; body: string | Uint8Array }> {
  if (!name.endsWith(".js")) return { type: "text/html", body: await readFile(join(folder, name)) };
  const { outputFiles } = await build({
    entryPoints: [join(folder, name.replace(/\.js$/, ".ts"))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    sourcemap: "inline",
    logLevel: "silent",
  });
  return { type: "text/javascript", body: outputFiles[0]!.contents };
}

export interface ServeOptions {
  /** Default: any free one. */
  readonly port?: number;
  /** Default true. */
  readonly isolated?: boolean;
}

/** Starts a server for this machine alone and says its address. */
export async function serve(folder: string, options: ServeOptions = {}): Promise<{ server: Server; address: string }> {
  const { port = 0, isolated = true } = options;
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url ?? "/", "http://localhost");
    try {
      const { type, body } = await content(folder, basename(pathname) || "index.html");
      response.writeHead(200, { "content-type": type, ...(isolated ? isolation : {}) }).end(body);
    } catch (error) {
      response.writeHead(404, { "content-type": "text/plain" }).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

if (import.meta.main) {
  const [name = "detect-in-page", port = "8080"] = process.argv.slice(2);
  const { address } = await serve(join(import.meta.dirname, name), { port: Number(port) });
  console.log(`open ${address}`);
}
