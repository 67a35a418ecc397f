import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Options } from "tsup";

/** Name, version and licence of a package. */
function noticeOf(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const [file] = globSync("{LICENSE,LICENCE,license}*", { cwd: folder });
  if (!file) throw new Error(`${name}: its licence is not in ${folder}; what a build takes in must come with it`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8")}`;
}

/**
 * Build of one package: a file in `dist` for each entry, by its name there, and files for what entries share. They all lie beside
 * each other, so `new URL("./worker…", import.meta.url)` means a file beside it in `dist` as in `src`. An engine that loads few
 * files starts in half the time that it takes for one file per source.
 */
export function library(
  entries: Readonly<Record<string, string>>,
  { inner = {} }: { inner?: Record<string, string> } = {},
): Options {
  return {
    entry: { ...entries, ...inner },
    format: "esm",
    target: "es2022",
    platform: "neutral",
    sourcemap: true,
    clean: true,
    splitting: true,
    skipNodeModulesBundle: true,
    // zod's own entry loads its messages in every language, unless names are taken by `import * as z`.
    noExternal: ["yaml", "zod"],
    silent: true,
    tsconfig: "../../tsconfig.base.json",
    dts: { entry: { ...entries } },
    esbuildPlugins: [
      {
        name: "licences of what is inside",
        setup(build) {
          build.initialOptions.metafile = true;
          build.onEnd(({ metafile }) => {
            const folders = Object.keys(metafile?.inputs ?? {}).map(
              (path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0],
            );
            const notices = [...new Set(folders)].flatMap((folder) => (folder ? [noticeOf(folder)] : []));
            if (notices.length === 0) return;
            mkdirSync("dist", { recursive: true });
            writeFileSync("dist/THIRD-PARTY-LICENSES.txt", notices.sort().join("\n"));
          });
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
