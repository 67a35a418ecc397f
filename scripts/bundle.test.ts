import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DFine } from "dfine";
import { type BuildOptions, build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";

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

let folder = "";
let weights = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-bundle-"));
  weights = join(folder, "weights.safetensors");
  using detector = await DFine.create({ classes: ["a"], size: [320, 320], device: "cpu" });
  await writeFile(weights, await detector.save());
});
afterAll(() => rm(folder, { recursive: true }));

/** A detector whose kernels run on three threads. It opens weights, as drawing them takes long in code for old targets. */
const APP = `
  import { cpu } from "@dfine/backend-cpu";
  import { DFine } from "dfine/node";
  (async () => {
    const device = cpu({ threads: 3 });
    await device.ready();
    const detector = await DFine.fromPretrained(process.argv[2], { device });
    const image = { width: 40, height: 30, data: new Uint8Array(3600) };
    const [found] = await detector.detect(image, { threshold: 0, maxDetections: 3 });
    detector.dispose();
    device.dispose();
    console.log(found.length + " objects");
  })();
`;

const kinds: Record<string, BuildOptions> = {
  plain: {},
  "keep names": { keepNames: true },
  minified: { minify: true },
  "minified, names kept": { minify: true, keepNames: true },
  "for an old target": { target: "es2020", minify: true },
};

test.each(
  (["esm", "cjs"] as const).flatMap((format) => Object.entries(kinds).map(([name, kind]) => ({ format, name, kind }))),
)("a bundle for Node runs on its threads: $format, $name", { timeout: 60_000 }, async ({ format, name, kind }) => {
  const extension = format === "esm" ? ".mjs" : ".cjs";
  const outdir = join(folder, `${format} ${name}`);
  await build({
    ...kind,
    stdin: { contents: APP, resolveDir: "packages/dfine", sourcefile: "app.js" },
    entryNames: "app",
    bundle: true,
    splitting: format === "esm",
    platform: "node",
    // What is built, as users have it, in place of the sources.
    tsconfigRaw: {},
    // Programs and their libraries of machine code stay outside, as in every bundle.
    external: ["sharp", "webgpu", "@sparticuz/chromium"],
    ...{ format, outdir, outExtension: { ".js": extension }, logLevel: "silent" },
  });
  const said = execFileSync(process.execPath, [join(outdir, `app${extension}`), weights], { encoding: "utf8" });
  expect(said).toBe("3 objects\n");
});
