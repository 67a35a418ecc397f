// Answers the images that are sent to it with the objects in them: node serve.ts WEIGHTS [PORT]
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { ArgumentError } from "@dfine/tensor";
import { ImageError } from "dfine";
import { DFine } from "dfine/node";

const [weights, port = "8080"] = process.argv.slice(2);
if (!weights) throw new Error("usage: node serve.ts WEIGHTS [PORT]");
const MOST_BYTES = 20_000_000;

class TooLarge extends Error {}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MOST_BYTES) throw new TooLarge(`an image may have ${MOST_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

const detector = await DFine.fromPretrained(weights);
const server = createServer(async (request, response) => {
  // Requests may come while others are computed: the detector sees to one image after the other.
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const answer = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const { searchParams } = new URL(request.url ?? "/", "http://localhost");
  const threshold = Number(searchParams.get("threshold") ?? 0.3);
  try {
    const [result] = await detector.detect(await bodyOf(request), { threshold, signal: gone.signal });
    answer(200, result);
  } catch (error) {
    if (gone.signal.aborted) return;
    const isWrong = error instanceof ImageError || error instanceof ArgumentError;
    const status = isWrong ? 400 : error instanceof TooLarge ? 413 : 500;
    if (status === 500) console.error(error);
    answer(status, { error: status === 500 ? "the detector failed" : (error as Error).message });
  }
});
server.listen(Number(port), "127.0.0.1", () =>
  console.log(`send images to http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
);
