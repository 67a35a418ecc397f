import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { type LiveReport, ServeError, serveReport } from "./live.ts";
import type { PageUpdate } from "./pageScript.ts";
import type { ReportData } from "./reportData.ts";

const report = (note: string): ReportData => ({ title: "run", images: [], environment: { node: "24" }, notes: [note] });

async function served(use: (live: LiveReport) => Promise<void>): Promise<void> {
  const live = await serveReport({ port: 0, title: "run" });
  try {
    await use(live);
  } finally {
    await live.end("stopped");
  }
}

/** Status and text of what a browser asks for, with a header `host` and method of its own. */
const ask = (live: LiveReport, path: string, { host = "localhost", method = "GET" } = {}) =>
  new Promise<{ status: number | undefined; text: string; headers: IncomingMessage["headers"] }>((resolve, reject) => {
    const sent = request(live.address, { path, method, headers: { host } }, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, text, headers: response.headers }));
    });
    sent.on("error", reject).end();
  });

/** The events that the page would get, one by one. */
async function* events(live: LiveReport): AsyncGenerator<{ event: string; update: PageUpdate }> {
  const { body } = await fetch(`${live.address}events`);
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(part, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))!.slice(name.length + 2);
      yield { event: field("event"), update: JSON.parse(field("data")) };
    }
  }
}

test("the page is there for this machine's own names, to be read, and nothing else is", async () => {
  await served(async (live) => {
    live.show(() => report("hello"));
    for (const host of ["localhost", "127.0.0.1:99", "localhost:8080"]) {
      const { status, text, headers } = await ask(live, "/", { host });
      expect([status, headers["cache-control"]]).toEqual([200, "no-store"]);
      expect(text).toContain("hello");
    }
    for (const host of ["evil.example", "localhost.evil.example", "169.254.1.1"])
      expect((await ask(live, "/", { host })).status, host).toBe(403);
    for (const method of ["POST", "PUT", "DELETE", "PATCH"])
      expect((await ask(live, "/", { method })).status).toBe(405);
    for (const path of ["/etc/passwd", "/../../etc/passwd", "/%2e%2e/config.yaml", "/weights/best.safetensors", "//"])
      expect((await ask(live, path)).status, path).toBe(404);
  });
});

test("other machines cannot reach it", async (context) => {
  const outside = Object.values(networkInterfaces()).flatMap((list = []) =>
    list.filter(({ family, internal }) => family === "IPv4" && !internal),
  );
  if (outside.length === 0) context.skip("this machine has no address but its own");
  await served(async (live) => {
    const port = Number(new URL(live.address).port);
    const reached = await new Promise((resolve) => {
      const socket = connect(port, outside[0]!.address, () => resolve(true)).on("error", () => resolve(false));
      socket.setTimeout(3000, () => resolve(false));
    });
    expect(reached).toBe(false);
  });
});

test("a port that is taken is said, with another", async () => {
  await served(async (live) => {
    const port = Number(new URL(live.address).port);
    const error = await serveReport({ port, title: "b" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ServeError);
    expect((error as Error).message).toMatch(new RegExp(`port ${port} .*is taken.*--serve \\d+.*--serve 0`));
  });
});

test("browsers are told what has changed, and how the run ends", async () => {
  const live = await serveReport({ port: 0, title: "run" });
  live.show(() => report("one"));
  const told = events(live);
  const next = async () => (await told.next()).value!;
  const first = await next();
  expect([first.event, first.update.sections.length > 5]).toEqual(["update", true]);
  live.show(() => report("two"));
  const second = await next();
  expect(second.update.sections.map((section: { id: string }) => section.id)).toEqual(["summary"]);
  expect(second.update.sections[0]!.html).toContain("two");
  const ending = live.end("finished");
  const last = await next();
  expect([last.event, last.update.status, last.update.sections]).toEqual(["end", "The run has finished.", []]);
  expect((await told.next()).done).toBe(true);
  await ending;
  await expect(fetch(live.address)).rejects.toThrow();
});

test("nothing is made for nobody, and a browser that reads nothing holds up neither run nor end", async () => {
  const live = await serveReport({ port: 0, title: "run" });
  let made = 0;
  const show = () => live.show(() => ({ ...report("x".repeat(5_000_000)), title: String(made++) }));
  for (let i = 0; i < 1000; i++) show();
  expect(made).toBe(0);
  const silent = connect(Number(new URL(live.address).port), "127.0.0.1");
  silent.on("error", () => {});
  silent.write("GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await expect.poll(() => made).toBe(1);
  for (let i = 0; i < 1000; i++) show();
  expect(made).toBeLessThanOrEqual(2);
  const start = performance.now();
  await live.end("failed");
  expect(performance.now() - start).toBeLessThan(10_000);
  silent.destroy();
});
