import { existsSync, readFileSync } from "node:fs";

const root = new URL("../../shared/reference/", import.meta.url);

/** Printed by every test that needs the pack where it is absent. */
export const NO_PACK = "not run: no reference pack";

/** Parsed JSON file of the reference pack beside the repository, or undefined where the pack is absent. */
export function referenceJson<T>(path: string): T | undefined {
  const url = new URL(path, root);
  return existsSync(url) ? (JSON.parse(readFileSync(url, "utf8")) as T) : undefined;
}

/** Bytes of a file of the reference pack beside the repository, or undefined where the pack is absent. */
export function referenceBytes(path: string): Uint8Array | undefined {
  const url = new URL(path, root);
  return existsSync(url) ? readFileSync(url) : undefined;
}
