import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type TestContext, test } from "vitest";

/** Folder of the reference pack and the data sets beside the repository; absent on other machines. */
export const shared = fileURLToPath(new URL("../../../../shared/", import.meta.url));

/** A test that reads `path` under `shared` and is skipped, with its reason, where that is absent. */
export function testWithShared(
  name: string,
  path: string,
  body: (path: string, context: TestContext) => unknown,
): void {
  test(name, async (context) => {
    const full = `${shared}${path}`;
    if (!existsSync(full)) context.skip(`not run: no reference pack (${path})`);
    await body(full, context);
  });
}
