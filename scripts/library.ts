import { globSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Options } from "tsup";

/**
 * Build of one package: `dist` mirrors `src` file by file, so that `new URL("./worker…", import.meta.url)`
 * means the same in both and bundlers can drop single files; types are bundled per public entry.
 */
export function library(entries: readonly string[]): Options {
  return {
    entry: globSync("src/**/*.ts").filter((file) => !file.endsWith(".test.ts")),
    format: "esm",
    target: "es2022",
    platform: "neutral",
    sourcemap: true,
    clean: true,
    splitting: false,
    skipNodeModulesBundle: true,
    noExternal: ["yaml"],
    silent: true,
    tsconfig: "../../tsconfig.base.json",
    dts: { entry: entries.map((name) => `src/${name}.ts`) },
    esbuildPlugins: [
      {
        name: "keep imports between files",
        setup(build) {
          build.onResolve({ filter: /^\..*\.ts$/ }, ({ path, kind }) =>
            kind === "entry-point" ? undefined : { path: path.replace(/\.ts$/, ".js"), external: true },
          );
        },
      },
      {
        // Its form for Node asks for Node's modules as only CommonJS can, so that bundles as ES modules would not load.
        name: "yaml in its form for browsers, inside",
        setup(build) {
          build.onResolve({ filter: /^yaml$/ }, () => {
            const manifest = createRequire(join(process.cwd(), "package.json")).resolve("yaml/package.json");
            return { path: join(manifest, "../browser/index.js") };
          });
        },
      },
    ],
  };
}
