import { globSync } from "node:fs";
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
    ],
  };
}
