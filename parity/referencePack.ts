import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type TestContext, test } from "vitest";

/** Folder of the reference pack and the data sets beside the repository; absent on other machines. */
export const shared = fileURLToPath(new URL("../../shared/", import.meta.url));

/** Printed by every test that needs the pack where it is absent. */
export const NO_PACK = "not run: no reference pack";

/** Parsed JSON file of the reference pack, or undefined where the pack is absent. */
export function referenceJson<T>(path: string): T | undefined {
  const bytes = referenceBytes(path);
  return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as T);
}

/** Bytes of a file of the reference pack, or undefined where the pack is absent. */
export function referenceBytes(path: string): Uint8Array | undefined {
  const full = `${shared}reference/${path}`;
  return existsSync(full) ? readFileSync(full) : undefined;
}

/** A test that reads `path` under `shared` and is skipped, with its reason, where that is absent. */
export function testWithShared(
  name: string,
  path: string,
  body: (path: string, context: TestContext) => unknown,
): void {
  test(name, async (context) => {
    const full = `${shared}${path}`;
    if (!existsSync(full)) context.skip(`${NO_PACK} (${path})`);
    await body(full, context);
  });
}
