import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { releaseFile } from "./releases.ts";

/** Where each system keeps what can be fetched again. */
const USUAL: Partial<Record<NodeJS.Platform, () => string>> = {
  darwin: () => join(homedir(), "Library", "Caches", "dfine"),
  win32: () => join(process.env.LOCALAPPDATA || join(homedir(), "AppData", "Local"), "dfine", "Cache"),
};

function xdgCache(): string {
  const { XDG_CACHE_HOME = "" } = process.env;
  return join(isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), ".cache"), "dfine");
}

/** The folder of downloaded weights: DFINE_CACHE, or `dfine` in the cache folder of the user. */
export const cacheFolder = (): string =>
  resolve(process.env.DFINE_CACHE || (USUAL[process.platform] ?? xdgCache)(), "weights");

/** Letters of an address's hash, which keep files of the same name apart, and of its name. */
const HASH = 12;
const NAME = 80;

/**
 * Where an address's file lies in the cache. Only harmless letters of the address come into the name, so that it is a file in
 * the folder itself whatever the address.
 */
export function placeInCache(address: string, folder = cacheFolder()) {
  const last = new URL(address).pathname.split("/").at(-1)!;
  const harmless = last.replace(/[^A-Za-z0-9._-]+/g, "_").slice(-NAME);
  const hash = createHash("sha256").update(address).digest("hex").slice(0, HASH);
  const file = join(folder, releaseFile(address) ?? `${hash}-${harmless}`);
  return { folder, file, part: `${file}.part`, record: `${file}.json`, lock: `${file}.lock` };
}

/** Files of the cache that belong to one address. */
export type CachePlace = ReturnType<typeof placeInCache>;
