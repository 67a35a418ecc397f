import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { describe, expect, test } from "vitest";

const manifests = globSync("packages/*/package.json");

describe.each(manifests)("%s", (manifest) => {
  test("is publishable as publint sees it", async () => {
    const { messages, pkg } = await publint({ pkgDir: dirname(manifest), pack: "npm", strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test("states licence, engines, files and no side effects", () => {
    const pkg = JSON.parse(readFileSync(manifest, "utf8"));
    expect(pkg).toMatchObject({
      type: "module",
      license: "Apache-2.0",
      engines: { node: ">=22.12" },
      sideEffects: false,
    });
    expect(pkg.files).toContain("dist");
    expect(pkg.description).toMatch(/\w/);
  });
});
