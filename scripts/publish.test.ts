import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { readSources } from "./dependencyRule.ts";

const sources = readSources(".");
const manifests = globSync("packages/*/package.json");

/** Files that do something when they are loaded: ops become methods of tensors. Bundlers drop any other that nobody needs. */
const sideEffects = new Map([
  [
    "@dfine/tensor",
    ["./src/index.ts", "./src/testing/index.ts", "./src/methods.ts", "./src/ops/trials.ts", "./dist/*.js"],
  ],
]);

/** Of what builds take in, what not even their types need. */
const inside = ["yaml"];

describe.each(manifests)("%s", (manifest) => {
  test("is publishable as publint sees it", async () => {
    const { messages, pkg } = await publint({ pkgDir: dirname(manifest), pack: "npm", strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test("states licence, engines, files and side effects", () => {
    const pkg = JSON.parse(readFileSync(manifest, "utf8"));
    expect(pkg).toMatchObject({
      type: "module",
      license: "Apache-2.0",
      engines: { node: ">=22.12" },
      sideEffects: sideEffects.get(pkg.name) ?? false,
    });
    expect(pkg.files).toContain("dist");
    expect(pkg.description).toMatch(/\w/);
  });

  test("depends on what its sources import, and on nothing else", () => {
    const pkg = JSON.parse(readFileSync(manifest, "utf8"));
    const { dependencies = {}, devDependencies, peerDependencies, optionalDependencies } = pkg;
    const optional = Object.keys({ ...peerDependencies, ...optionalDependencies });
    const folder = `${dirname(manifest).replaceAll("\\", "/")}/src/`;
    const own = sources.filter(({ path }) => path.startsWith(folder)).map(({ text }) => text);
    const names = own
      .flatMap((text) => ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName))
      .filter((name) => !name.startsWith(".") && !name.startsWith("node:"))
      // A scope belongs to the name, a path in the package does not.
      .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
    const needed = new Set(names.filter((name) => !optional.includes(name) && !inside.includes(name)));
    expect([...needed].sort()).toEqual(Object.keys(dependencies).sort());
    for (const name of names.filter((name) => inside.includes(name))) expect(devDependencies).toHaveProperty(name);
    // These may be loaded in other ways than by an import that names them.
    expect(optional.filter((name) => !own.some((text) => text.includes(`"${name}"`)))).toEqual([]);
  });
});
