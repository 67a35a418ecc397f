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

test("tensors of a bundle that uses next to nothing have their methods", async () => {
  const contents = `import { referenceBackend, tensor } from "@dfine/tensor";
    export const sum = tensor([1, 2, 3], [3], { backend: referenceBackend() }).add(1).sum().item();`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: "packages/dfine" },
    ...{ bundle: true, write: false, format: "esm", minify: true, logLevel: "silent" },
  });
  const { sum } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0]!.text)}`);
  expect(await sum).toBe(9);
});
