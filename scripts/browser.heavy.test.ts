import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type DetectedObject, DFine } from "dfine";
import { encodeImage } from "dfine/node";
import { build } from "esbuild";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { livelyWeights } from "../packages/dfine/test/livelyWeights.ts";
import { launchChromium } from "./chromium.ts";

const SIZE = [320, 320] as const;
const OPTIONS = { threshold: 0.1, maxDetections: 100 };

/** What the page runs, on its main thread. */
const program = `
  import { cpu } from "@dfine/backend-cpu";
  import { DFine, toRgbImage } from "dfine";

  globalThis.detect = async (threads, options) => {
    const backend = cpu(threads ? { threads } : {});
    await backend.ready();
    const detector = await DFine.fromPretrained("/weights", { device: backend });
    const image = await toRgbImage(await (await fetch("/image.png")).blob());
    const [{ objects }] = await detector.detect(image, options);
    detector.dispose();
    backend.dispose();
    return { objects, threads: backend.threads, pixels: [...image.data.slice(0, 300)] };
  };
  globalThis.messageOf = (run) => run().then(() => "no error", ({ name, message }) => name + ": " + message);
`;

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
const policy = (workers: string) => ({
  ...isolation,
  "content-security-policy": `default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src ${workers}`,
});

const image = { width: 200, height: 150, data: Uint8Array.from({ length: 90_000 }, (_, i) => (i * i * 7 + i) % 253) };
const files = new Map<string, { type: string; body: string | Uint8Array }>();
let browser: Browser;
let expected: readonly DetectedObject[];

beforeAll(async () => {
  const weights = await livelyWeights({ classes: 3, size: SIZE, device: "cpu" });
  using detector = await DFine.fromPretrained(weights, { device: "cpu" });
  const [result] = await detector.detect(image, OPTIONS);
  expected = result!.objects;
  const bundle = await build({
    stdin: { contents: program, resolveDir: import.meta.dirname },
    // Without the root's tsconfig.json names mean what is published, not the sources.
    tsconfigRaw: {},
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
  });
  files.set("/", { type: "text/html", body: '<!doctype html><script type="module" src="/page.js"></script>' });
  files.set("/page.js", { type: "text/javascript", body: bundle.outputFiles[0]!.text });
  files.set("/weights", { type: "application/octet-stream", body: weights });
  files.set("/image.png", { type: "image/png", body: await encodeImage(image, "image.png") });
  browser = await launchChromium();
});
afterAll(() => browser?.close());

/** The value of a JavaScript expression in a page that is served with these headers. */
async function inPage<T>(headers: Record<string, string>, expression: string): Promise<T> {
  const server: Server = createServer(({ url = "" }, response) => {
    const file = files.get(url);
    response.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain", ...headers });
    response.end(file?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await browser.newPage();
  page.setDefaultTimeout(600_000);
  try {
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.detect");
    return (await page.evaluate(expression)) as T;
  } finally {
    await page.close();
    server.close();
  }
}

interface Found {
  readonly objects: readonly DetectedObject[];
  readonly threads: number;
  readonly pixels: readonly number[];
}
const detect = (headers: Record<string, string>, threads?: number) =>
  inPage<Found>(headers, `detect(${threads}, ${JSON.stringify(OPTIONS)})`);

/** Same objects in the same order; scores and edges to the last digits of float32. */
function expectNodesObjects(objects: readonly DetectedObject[]): void {
  expect(objects.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
  objects.forEach(({ score, box }, i) => {
    expect(Math.abs(score - expected[i]!.score)).toBeLessThan(1e-5);
    for (const edge of ["xmin", "ymin", "xmax", "ymax"] as const)
      expect(Math.abs(box[edge] - expected[i]!.box[edge])).toBeLessThan(1e-3);
  });
}

test("the objects to find differ from each other, so the tests below can fail", () => {
  expect(expected.length).toBe(OPTIONS.maxDetections);
  expect(new Set(expected.map(({ label }) => label)).size).toBeGreaterThan(1);
  expect(new Set(expected.map(({ box }) => Math.round(box.ymax))).size).toBeGreaterThan(10);
  expect(expected[0]!.score - expected.at(-1)!.score).toBeGreaterThan(0.05);
});

describe("a page in Chromium finds what Node finds", () => {
  test.each([
    ["with one thread", {}, 1],
    ["with two threads, cross-origin isolated", isolation, 2],
    ["with two threads under a strict Content-Security-Policy", policy("blob:"), 2],
  ])("%s", async (_, headers, threads) => {
    const found = await detect(headers, threads);
    expect(found.threads).toBe(threads);
    expect(found.pixels).toEqual([...image.data.slice(0, 300)]);
    expectNodesObjects(found.objects);
  });

  test("with as many threads as it may have: one where it is not isolated", async () => {
    const cores = await inPage<number>({}, "navigator.hardwareConcurrency");
    expect((await detect({})).threads).toBe(1);
    expect((await detect(isolation)).threads).toBe(Math.min(cores, 8));
  });
});

describe("a page that may not have threads is told", () => {
  test("to be cross-origin isolated", async () => {
    expect(await inPage({}, "messageOf(() => detect(2))")).toBe(
      "BackendError: cpu: 2 threads need shared memory, which this page may not have: serve it cross-origin isolated, or use threads: 1",
    );
  });

  test("to allow workers", async () => {
    expect(await inPage(policy("'none'"), "messageOf(() => detect(2))")).toBe(
      "BackendError: cpu: worker threads cannot start here: the page's Content-Security-Policy needs `worker-src blob:`; or use threads: 1",
    );
  });
});
