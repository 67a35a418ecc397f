import { globSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import ts from "typescript";

/** A source file: path from the repository's root, with forward slashes. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** The only file that may name a backend package. */
const DEVICE = "packages/dfine/src/device.ts";

/** What the sources of a package may import from other packages. Tests may import what they like. */
const allowed: readonly { readonly folder: RegExp; readonly imports: RegExp }[] = [
  { folder: /^tensor$/, imports: /^(?!)/ },
  { folder: /^nn$/, imports: /^@dfine\/tensor(\/kernel)?$/ },
  { folder: /^backend-/, imports: /^@dfine\/tensor(\/kernel)?$/ },
  { folder: /^dfine$/, imports: /^(?!@dfine\/)|^@dfine\/(tensor(\/kernel)?|nn)$/ },
];

function problem(path: string, specifier: string, text: string): string | undefined {
  const [, folder = ""] = path.split("/");
  if (specifier.startsWith("node:")) {
    return /\/src\/node\/|\.node\.ts$/.test(path) ? undefined : "belongs in src/node/ or a *.node.ts file";
  }
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier);
    return target.startsWith(`packages/${folder}/`) ? undefined : "reaches into another package: import it by name";
  }
  if (path === DEVICE && specifier.startsWith("@dfine/backend-")) {
    const eager = new RegExp(`^(import|export) (?!type)[^;]*from "${specifier}"`, "m");
    return eager.test(text) ? "must be imported lazily, with import()" : undefined;
  }
  const rule = allowed.find((row) => row.folder.test(folder));
  if (!rule) return `no rule for packages/${folder}: add a row to scripts/dependencyRule.ts`;
  return rule.imports.test(specifier) ? undefined : `packages/${folder} may not depend on it`;
}

/** One line per import that breaks the arrows between packages: `path imports X: why`. */
export function violations(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) =>
    ts.preProcessFile(text, true, true).importedFiles.flatMap(({ fileName }) => {
      const why = problem(path, fileName, text);
      return why ? [`${path} imports ${fileName}: ${why}`] : [];
    }),
  );
}

/** The sources that the rule covers: all of packages/<name>/src but the tests. */
export function readSources(root: string): Source[] {
  return globSync("packages/*/src/**/*.ts", { cwd: root })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !path.endsWith(".test.ts"))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/**
 * One line per circle of files that import each other, types included: `circle: a → b → a`. Who reads one of them would
 * have to read all.
 */
export function circles(sources: readonly Source[]): string[] {
  const known = new Set(sources.map(({ path }) => path));
  const imports = new Map(
    sources.map(({ path, text }) => [
      path,
      ts
        .preProcessFile(text, true, true)
        .importedFiles.map(({ fileName }) => posix.join(posix.dirname(path), fileName))
        .filter((target) => known.has(target)),
    ]),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push(`circle: ${[...trail.slice(start), path].join(" → ")}`);
    if (done.has(path)) return;
    done.add(path);
    for (const target of imports.get(path) ?? []) visit(target, [...trail, path]);
  };
  for (const { path } of sources) visit(path, []);
  return found;
}
