import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** In the order of their dependencies: a package's types need those it imports. */
const packages = ["tensor", "nn", "backend-cpu", "backend-webgpu", "dfine"];
const root = join(import.meta.dirname, "..");

/** Changes when a package must be built again, and with it all that come after, whose types depend on it. */
function digest(name: string, previous: string): string {
  const folder = join(root, "packages", name);
  const sources = globSync("src/**/*", { cwd: folder, exclude: ["**/*.test.ts"], withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const settings = [join(folder, "package.json"), join(folder, "tsup.config.ts")].concat(
    ["tsconfig.base.json", "pnpm-lock.yaml", "scripts/library.ts"].map((file) => join(root, file)),
  );
  const hash = createHash("sha256").update(previous);
  for (const file of [...sources.sort(), ...settings]) hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.digest("hex");
}

let previous = "";
for (const name of packages) {
  const folder = join(root, "packages", name);
  const stamp = join(root, ".cache", "build", name);
  const wanted = digest(name, previous);
  previous = wanted;
  const built = existsSync(join(folder, "dist")) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
  if (built) continue;
  process.stderr.write(`Building packages/${name} …\n`);
  rmSync(stamp, { force: true });
  const tsup = join(root, "node_modules", "tsup", "dist", "cli-default.js");
  const { status } = spawnSync(process.execPath, [tsup], { cwd: folder, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
  mkdirSync(join(root, ".cache", "build"), { recursive: true });
  writeFileSync(stamp, wanted);
}
