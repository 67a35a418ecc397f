import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { fetchBytes } from "./fetch.ts";

/** What the server does for a path. */
const answers: Record<string, (response: ServerResponse) => void> = {
  "/good": (response) => response.end(Buffer.from([1, 2, 3])),
  "/missing": (response) => response.writeHead(404).end("no"),
  "/page": (response) => response.setHeader("content-type", "text/html; charset=utf-8").end("<html>"),
  "/silent": () => {},
  "/stalls": (response) => response.writeHead(200, { "content-length": "100" }).write("abc"),
  "/breaks": (response) =>
    response.writeHead(200, { "content-length": "100" }).write("abc", () => setTimeout(() => response.destroy(), 20)),
  "/declares": (response) => response.writeHead(200, { "content-length": "5000000" }).write("abc"),
  "/endless": (response) => {
    const more = () => void (response.writable && response.write(new Uint8Array(1000), () => setImmediate(more)));
    more();
  },
  "/slow": (response) => {
    for (const byte of [1, 2, 3, 4, 5]) setTimeout(() => response.write(Uint8Array.of(byte)), 240 * byte);
    setTimeout(() => response.end(), 1300);
  },
};
const open = new Set<ServerResponse>();
const server = createServer(({ url }, response) => {
  open.add(response);
  response.on("close", () => open.delete(response));
  answers[url!]!(response);
});
let root = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
const failure = (path: string, options: Parameters<typeof fetchBytes>[1] = {}) =>
  thrown(() => fetchBytes(root + path, options));

test("the bytes of an address, however slowly they come", async () => {
  expect([...(await fetchBytes(`${root}/good`))]).toEqual([1, 2, 3]);
  expect([...(await fetchBytes(`${root}/slow`, { timeout: 1000 }))]).toEqual([1, 2, 3, 4, 5]);
  expect([...(await fetchBytes("data:application/octet-stream;base64,AQID"))]).toEqual([1, 2, 3]);
});

describe("what goes wrong is said, and nothing stays open", () => {
  test("refusals and web pages", async () => {
    says("fetch-refused", await failure("/missing"));
    says("fetch-page", await failure("/page"));
    says("fetch-unreachable", await thrown(() => fetchBytes("http://127.0.0.1:1/x")));
  });

  test("silence, before and in the middle, and a connection that breaks off", async () => {
    says("fetch-silent", await failure("/silent", { timeout: 100 }));
    says("fetch-stalls", await failure("/stalls", { timeout: 500 }));
    says("fetch-breaks", await failure("/breaks"));
  });

  test("too much, declared or not", async () => {
    says("fetch-too-large", await failure("/declares", { maxBytes: 1000 }));
    says("fetch-too-large", await failure("/endless", { maxBytes: 100_000 }));
  });

  test("a signal ends it with its reason", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("enough")), 50);
    expect((await failure("/stalls", { signal: stop.signal })).message).toBe("enough");
    expect((await failure("/good", { signal: stop.signal })).message).toBe("enough");
    await vi.waitUntil(() => open.size === 0, { timeout: 5000 });
  });

  test("pages that show a file lead to it", async () => {
    const page = new Response("<html>", { headers: { "content-type": "text/html" } });
    const fetch = vi.spyOn(globalThis, "fetch").mockResolvedValue(page);
    says("fetch-blob", await thrown(() => fetchBytes("https://huggingface.co/a/b/blob/main/model.safetensors")));
    fetch.mockRestore();
  });
});
