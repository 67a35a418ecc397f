import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { type Served, weightsServer } from "../../../test/weightsServer.ts";
import { cachedWeights } from "./cachedWeights.ts";
import { cacheFolder, placeInCache } from "./cacheFolder.ts";
import { RELEASE_NAMES, releaseAddress } from "./releases.ts";

const payload = new Uint8Array(randomBytes(300_000));
let outer = "";
let cache = "";
let files: Record<string, Served> = {};
let server: Awaited<ReturnType<typeof weightsServer>>;
beforeEach(async () => {
  outer = await mkdtemp(join(tmpdir(), "dfine-cache-"));
  cache = join(outer, "a", "b", "cache");
  const arrived = (bytes: number) =>
    vi.waitUntil(() => (statSync(place().part, { throwIfNoEntry: false })?.size ?? 0) >= bytes);
  files = { "/w.pth": { bytes: payload, tag: '"one"', arrived } };
  server = await weightsServer(files);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.close();
  // Whatever was tried, nothing lies beside the cache, and only files lie in it.
  const all = await readdir(outer, { recursive: true, withFileTypes: true });
  const outside = all.filter(({ parentPath, name }) => parentPath !== cache && !["a", "b", "cache"].includes(name));
  expect(outside).toEqual([]);
  expect(all.filter((entry) => entry.parentPath === cache && !entry.isFile())).toEqual([]);
  await rm(outer, { recursive: true });
});

const address = (path = "/w.pth") => server.root + path;
const get = (path?: string, options: Parameters<typeof cachedWeights>[1] = {}) =>
  cachedWeights(address(path), { cache, ...options });
const place = (path?: string) => placeInCache(address(path), cache);
const ranges = () => server.asked.map(({ range }) => range);
const same = (bytes: Uint8Array, expected = payload) => expect(Buffer.compare(bytes, expected)).toBe(0);

test("a file is fetched once, told how far it is, and stays as it was", async () => {
  const progress: unknown[] = [];
  const first = await get("/w.pth", { onProgress: (now) => progress.push(now) });
  same(first.bytes);
  expect(progress.at(-1)).toEqual({ received: payload.length, total: payload.length });
  same((await get()).bytes);
  expect(server.asked).toHaveLength(1);
  expect((await readdir(cache)).sort()).toEqual(
    [place().file, place().record].map((path) => path.slice(cache.length + 1)),
  );
});

test("official names lead to the releases, under their own names in the cache", () => {
  expect(RELEASE_NAMES).toHaveLength(13);
  const found = releaseAddress("l-obj2coco")!;
  expect(found).toBe("https://github.com/Peterande/storage/releases/download/dfinev1.0/dfine_l_obj2coco_e25.pth");
  expect(placeInCache(found, cache).file).toBe(join(cache, "dfine_l_obj2coco_e25.pth"));
  for (const name of ["n-obj365", "constructor", "coco"]) expect(releaseAddress(name)).toBeUndefined();
});

test("the cache lies where the system or the user wants it", () => {
  vi.stubEnv("DFINE_CACHE", "/somewhere");
  expect(cacheFolder()).toBe(join("/somewhere", "weights"));
  vi.stubEnv("DFINE_CACHE", "");
  vi.stubEnv("XDG_CACHE_HOME", outer);
  if (process.platform === "linux") expect(cacheFolder()).toBe(join(outer, "dfine", "weights"));
});

describe("a download that breaks off", () => {
  test("goes on by itself where it stood", async () => {
    files["/w.pth"]!.cuts = [100_000, 50_000];
    same((await get()).bytes);
    expect(ranges()).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
    expect(server.asked[1]!.ifRange).toBe('"one"');
  });

  test("again and again is told, and the next call goes on", async () => {
    files["/w.pth"]!.cuts = [10, 10, 10, 10, 10];
    const error = await thrown(get);
    says("cache-breaks", error);
    expect(error.message).toContain(place().file);
    same((await get()).bytes);
    expect(ranges().at(-1)).toBe("bytes=50-");
  });

  test("begins anew where the server cannot go on", async () => {
    Object.assign(files["/w.pth"]!, { ranges: false, cuts: [100_000] });
    same((await get()).bytes);
    expect(ranges()).toEqual([undefined, "bytes=100000-"]);
  });

  test("begins anew where the server cannot tell versions apart", async () => {
    Object.assign(files["/w.pth"]!, { tag: 'W/"weak"', cuts: [100_000] });
    same((await get()).bytes);
    expect(ranges()).toEqual([undefined, undefined]);
  });

  test("begins anew where the file has changed meanwhile", async () => {
    files["/w.pth"]!.cuts = [10, 10, 10, 10, 10];
    await thrown(get);
    const changed = new Uint8Array(randomBytes(200_000));
    files["/w.pth"] = { bytes: changed, tag: '"two"' };
    same((await get()).bytes, changed);
  });

  test("begins anew where the part is longer than the file, or another part is sent", async () => {
    await mkdir(cache, { recursive: true });
    const part = async (bytes: Uint8Array) => {
      await writeFile(place().part, bytes);
      await writeFile(place().record, JSON.stringify({ address: address(), validator: '"one"' }));
    };
    await part(new Uint8Array(400_000));
    same((await get()).bytes);
    await rm(place().file);
    await part(payload.subarray(0, 100));
    let asked = 0;
    files["/w.pth"]!.answer = (response) => {
      const start = asked++ === 0 ? 7 : 0;
      response.writeHead(start ? 206 : 200, start ? { "content-range": `bytes ${start}-299999/300000` } : {});
      response.end(payload.subarray(start));
    };
    same((await get()).bytes);
  });

  test("is taken up after a process that ended in its middle", async () => {
    await mkdir(cache, { recursive: true });
    await writeFile(place().part, payload.subarray(0, 1000));
    await writeFile(place().record, JSON.stringify({ address: address(), validator: '"one"' }));
    await writeFile(
      place().lock,
      JSON.stringify({ pid: 2 ** 22 + 1, host: (await import("node:os")).hostname(), began: "1" }),
    );
    same((await get()).bytes);
    expect(ranges()).toEqual(["bytes=1000-"]);
  });
});

describe("what goes wrong is said, with the place for the file", () => {
  test.each<[string, string, Partial<Served>, Parameters<typeof cachedWeights>[1]]>([
    ["cache-refused", "/none", {}, {}],
    ["cache-page", "/page", { answer: (r) => void r.setHeader("content-type", "text/html").end("<p>") }, {}],
    ["cache-page", "/page", { bytes: Buffer.from("\n<!DOCTYPE html><html>sign in") }, {}],
    ["cache-silent", "/w", { answer: () => {} }, { timeout: 100 }],
    ["cache-too-large", "/w", { bytes: new Uint8Array(5000) }, { maxBytes: 1000 }],
    ["cache-too-large", "/w", { answer: (r) => void r.write(new Uint8Array(5000)) }, { maxBytes: 1000 }],
    ["cache-redirect", "/w", { answer: (r) => void r.writeHead(302, { location: "/w" }).end() }, {}],
    ["cache-redirect", "/w", { answer: (r) => void r.writeHead(302, { location: "file:///etc/passwd" }).end() }, {}],
  ])("%s of %s", async (row, path, served, options) => {
    if (path !== "/none") files[path] = { bytes: payload, ...served };
    const error = await thrown(() => get(path, options));
    says(row, error);
    expect(error.message).toContain(address(path));
    expect(error.message).toContain(place(path).file);
    expect(existsSync(place(path).file)).toBe(false);
    // It leaves nothing that a later call would trip over.
    files[path] = { bytes: payload };
    same((await get(path)).bytes);
  });

  test("without a connection, and the file may be put there by hand", async () => {
    server.close();
    says("cache-offline", await thrown(get));
    await writeFile(place().file, payload);
    same((await get()).bytes);
  });

  test("when the file is not what it was, here or at the server", async () => {
    await get();
    await writeFile(place().file, payload.subarray(1));
    says("cache-hash", await thrown(get));
    await rm(place().file);
    files["/w.pth"] = { bytes: payload.subarray(2) };
    says("cache-hash", await thrown(get));
    await rm(place().file);
    files["/w.pth"] = { bytes: payload };
    same((await get()).bytes);
  });

  test("a signal ends it, and it goes on later", async () => {
    const stop = new AbortController();
    files["/w.pth"]!.answer = (response) =>
      response
        .writeHead(200, { etag: '"one"' })
        .write(payload.subarray(0, 1000), () => setTimeout(() => stop.abort(new Error("enough")), 50));
    expect((await thrown(() => get("/w.pth", { signal: stop.signal }))).message).toBe("enough");
    files["/w.pth"] = { bytes: payload, tag: '"one"' };
    same((await get()).bytes);
    expect(ranges().at(-1)).toBe("bytes=1000-");
  });
});

test("slow servers and redirects are followed to the end", async () => {
  files["/slow"] = {
    bytes: payload,
    answer: (response) => {
      for (let i = 0; i < 4; i++)
        setTimeout(() => response.write(payload.subarray(75_000 * i, 75_000 * (i + 1))), 60 * i);
      setTimeout(() => response.end(), 250);
    },
  };
  files["/moved"] = { bytes: payload, answer: (r) => void r.writeHead(302, { location: "/slow?token=x" }).end() };
  same((await get("/moved", { timeout: 200 })).bytes);
});

test.each([
  "/..%2f..%2f..%2fevil",
  "/%2e%2e/%2e%2e/evil",
  "/a/..%5c..%5cevil.pth",
  "/.hidden",
  "/CON",
  `/${"x".repeat(500)}`,
  "/",
  "/%00",
  "/e%CC%81?../../../q#../../f",
])("the name of %s stays in the cache", async (path) => {
  const named = new URL(address(path)).pathname;
  files[named] = {
    bytes: payload,
    answer: (response) =>
      response.setHeader("content-disposition", 'attachment; filename="../../../evil"').end(Buffer.from(payload)),
  };
  const { file } = await get(path);
  expect(file.startsWith(join(cache, "/"))).toBe(true);
  expect(file.slice(cache.length + 1)).toMatch(/^[0-9a-f]{12}-[\w.-]{0,80}$/);
});

test("a proxy is asked where the environment names one", async () => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(request.url!);
    httpRequest(request.url!, { headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    }).end();
  });
  proxy.on("connect", ({ url }, socket) => {
    seen.push(url!);
    socket.end("HTTP/1.1 403 no\r\n\r\n");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  for (const name of ["http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HTTP_PROXY", `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  same((await get()).bytes);
  const secure = cachedWeights("https://example.invalid/w.pth", { cache });
  says("cache-proxy", await thrown(() => secure));
  expect(seen).toEqual([address(), "example.invalid:443"]);
  await rm(place().file);
  vi.stubEnv("NO_PROXY", "127.0.0.1");
  same((await get()).bytes);
  expect(seen).toHaveLength(2);
  proxy.closeAllConnections();
  proxy.close();
});

describe("several at once", () => {
  test("calls of one process share a download", async () => {
    files["/w.pth"]!.cuts = [100_000];
    for (const { bytes } of await Promise.all([get(), get(), get()])) same(bytes);
    expect(ranges()).toEqual([undefined, "bytes=100000-"]);
  });

  test("and so do processes", async () => {
    files["/w.pth"]!.cuts = [100_000, 100_000];
    const code = `import { cachedWeights } from ${JSON.stringify(new URL("cachedWeights.ts", import.meta.url).href)};
      const { bytes } = await cachedWeights(process.argv[1], { cache: process.argv[2] });
      process.stdout.write(bytes);`;
    const child = () =>
      new Promise<Buffer>((resolve) => {
        const parts: Buffer[] = [];
        const process_ = spawn(process.execPath, ["--input-type=module", "-e", code, address(), cache]);
        process_.stderr.pipe(process.stderr);
        process_.stdout.on("data", (part: Buffer) => parts.push(part));
        process_.on("close", () => resolve(Buffer.concat(parts)));
      });
    for (const bytes of await Promise.all([child(), child()])) same(bytes);
    expect(server.asked).toHaveLength(3);
  });

  test("one that gets stuck is told", async () => {
    await mkdir(cache, { recursive: true });
    await writeFile(place().lock, JSON.stringify({ pid: 1, host: "elsewhere", began: "" }));
    says("cache-stuck", await thrown(() => get("/w.pth", { timeout: 150 })));
  });
});

test.skipIf(process.platform !== "linux")("a full disk is told, and what has come stays", async () => {
  const code = `import { cachedWeights } from ${JSON.stringify(new URL("cachedWeights.ts", import.meta.url).href)};
    await cachedWeights(process.argv[1], { cache: process.argv[2] }).catch((error) => process.stdout.write(error.message));`;
  const said = await new Promise<string>((resolve) => {
    let text = "";
    const node = [process.execPath, "--input-type=module", "-e", code, address(), cache];
    const process_ = spawn("bash", ["-c", 'trap "" XFSZ; ulimit -f 64 && exec "$@"', "bash", ...node]);
    process_.stdout.on("data", (part) => {
      text += String(part);
    });
    process_.on("close", () => resolve(text));
  });
  says("cache-full", said);
  expect(readFileSync(place().part).length).toBeGreaterThan(0);
  same((await get()).bytes);
  expect(ranges()[1]).toMatch(/^bytes=\d+-$/);
});
