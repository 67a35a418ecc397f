import { isBuiltin } from "node:module";
import { build } from "esbuild";
import { expect, test } from "vitest";

/** Bundles what a package exports to browsers; lists the imports of Node's own modules that this meets. */
async function nodeImports(entry: string): Promise<string[]> {
  const found = new Set<string>();
  await build({
    stdin: { contents: `export * from "${entry}";`, resolveDir: "packages/dfine" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "silent",
    plugins: [
      {
        name: "note node: imports",
        setup(bundler) {
          bundler.onResolve({ filter: /^[^.]/ }, ({ path, importer }) => {
            if (!isBuiltin(path)) return undefined;
            found.add(`${importer} imports ${path}`);
            return { path, external: true };
          });
        },
      },
    ],
  });
  return [...found];
}

test.each(["@dfine/tensor", "@dfine/nn", "@dfine/backend-cpu", "@dfine/backend-webgpu", "dfine"])(
  "%s bundles for browsers",
  async (entry) => {
    expect(await nodeImports(entry)).toEqual([]);
  },
);

test("dfine/node does not, so the test above can fail", async () => {
  expect(await nodeImports("dfine/node")).not.toEqual([]);
});
