import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { cacheFiles } from "./cache.node.ts";

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "dfine-cache-"));
});
afterEach(() => rmSync(cache, { recursive: true }));

const FILES = { "driver.so": "what computes", "driver.json": "{}" };
const files = Object.entries(FILES).map(([name, text]) => ({ name, bytes: new TextEncoder().encode(text) }));

/** This process at home in `cache`, in another environment and perhaps as another user. */
const processWith = (env: NodeJS.ProcessEnv, own = process.getuid?.()): NodeJS.Process => {
  const getBuiltinModule = (name: string) =>
    name === "os" ? { homedir: () => cache } : process.getBuiltinModule(name as "fs");
  return { env, getuid: () => own, getBuiltinModule } as unknown as NodeJS.Process;
};
const unpack = (own?: number): string => cacheFiles(processWith({ XDG_CACHE_HOME: cache }, own), "driver-1", files);

function expectUnpacked(folder: string): void {
  expect(readdirSync(folder).sort()).toEqual(Object.keys(FILES).sort());
  for (const [name, text] of Object.entries(FILES)) expect(readFileSync(join(folder, name), "utf8")).toBe(text);
}

it("makes folders of the user's own, in which nobody else can look or write", () => {
  const folder = unpack();
  expect(folder).toBe(join(cache, "dfine", "driver-1"));
  expectUnpacked(folder);
  for (const path of [folder, dirname(folder), ...Object.keys(FILES).map((name) => join(folder, name))])
    expect(lstatSync(path).mode & 0o777).toBe(0o700);
});

it("lies in ~/.cache unless XDG_CACHE_HOME names a folder, absolutely", () => {
  for (const env of [{}, { XDG_CACHE_HOME: "" }, { XDG_CACHE_HOME: "relative" }])
    expect(cacheFiles(processWith(env), "driver-1", files)).toBe(join(cache, ".cache", "dfine", "driver-1"));
});

it("leaves what is right as it is", () => {
  const folder = unpack();
  const before = Object.keys(FILES).map((name) => lstatSync(join(folder, name)).ino);
  unpack();
  expect(Object.keys(FILES).map((name) => lstatSync(join(folder, name)).ino)).toEqual(before);
});

it.each<[string, (path: string) => void]>([
  ["other content of the same length", (path) => writeFileSync(path, "what catches you".slice(0, 13))],
  ["a file cut off", (path) => writeFileSync(path, "what")],
  ["a file that others may write", (path) => chmodSync(path, 0o722)],
  ["no file", (path) => rmSync(path)],
])("replaces %s", (_, spoil) => {
  const path = join(unpack(), "driver.so");
  spoil(path);
  expectUnpacked(unpack());
  expect(lstatSync(path).mode & 0o777).toBe(0o700);
});

it("replaces a link, and leaves what it leads to", () => {
  const path = join(unpack(), "driver.so");
  const elsewhere = join(cache, "elsewhere.so");
  writeFileSync(elsewhere, FILES["driver.so"]);
  rmSync(path);
  symlinkSync(elsewhere, path);
  expectUnpacked(unpack());
  expect(lstatSync(path).isFile()).toBe(true);
  expect(existsSync(elsewhere)).toBe(true);
});

it.each(["dfine", "dfine/driver-1"])("refuses %s that others may write, that is a link, or somebody else's", (name) => {
  const folder = join(cache, name);
  unpack();
  for (const mode of [0o770, 0o707]) {
    chmodSync(folder, mode);
    expect(() => unpack()).toThrow(`${folder} may be written by others (mode ${mode.toString(8)}), so others may have`);
  }
  rmSync(folder, { recursive: true });
  mkdirSync(join(cache, "elsewhere", "driver-1"), { recursive: true, mode: 0o700 });
  symlinkSync(join(cache, "elsewhere"), folder);
  expect(() => unpack()).toThrow(`${folder} is a link`);
});

it("refuses what belongs to another user", () => {
  unpack();
  const own = process.getuid!();
  expect(() => unpack(own + 1)).toThrow(/belongs to user \d+, so others may have put there what they like/);
});

it("takes a cache folder that everybody may write only where names in it are its owner's", () => {
  chmodSync(cache, 0o777);
  expect(() => unpack()).toThrow(`${cache} may be written by everybody (mode 777)`);
  expect(existsSync(join(cache, "dfine"))).toBe(false);
  chmodSync(cache, 0o1777);
  expectUnpacked(unpack());
});

it("serves several processes that start at once", async () => {
  const program = `
    import { cacheFiles } from ${JSON.stringify(new URL("./cache.node.ts", import.meta.url).href)};
    import { readFileSync } from "node:fs";
    const bytes = new Uint8Array(4_000_000).map((_, i) => i % 251);
    for (let i = 0; i < 5; i++) {
      const folder = cacheFiles(process, "driver-2", [{ name: "large.so", bytes }]);
      if (!readFileSync(folder + "/large.so").equals(bytes)) throw new Error("not whole");
    }`;
  const run = () =>
    new Promise<string>((resolve) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        env: { ...process.env, XDG_CACHE_HOME: cache },
      });
      let errors = "";
      child.stderr.on("data", (data: Buffer) => (errors += data));
      child.on("close", (code) => resolve(code === 0 ? "" : errors));
    });
  expect(await Promise.all(Array.from({ length: 6 }, run))).toEqual(new Array(6).fill(""));
  expect(readdirSync(join(cache, "dfine", "driver-2"))).toEqual(["large.so"]);
}, 60_000);
