import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** In the order of their dependencies, as a package's types need those it imports; those of a group are built beside each other. */
const groups = [["tensor"], ["nn", "backend-cpu", "backend-webgpu"], ["dfine"]];
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

/** Builds what is stale; gives its digest. */
async function build(name: string, previous: string): Promise<string> {
  const folder = join(root, "packages", name);
  const stamp = join(root, ".cache", "build", name);
  const wanted = digest(name, previous);
  if (existsSync(join(folder, "dist")) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return wanted;
  process.stderr.write(`Building packages/${name} …\n`);
  rmSync(stamp, { force: true });
  const tsup = join(root, "node_modules", "tsup", "dist", "cli-default.js");
  const child = spawn(process.execPath, [tsup], { cwd: folder, stdio: ["ignore", 2, 2] });
  const status = await new Promise<number | null>((resolve) => child.on("exit", resolve));
  if (status !== 0) process.exit(status ?? 1);
  mkdirSync(join(root, ".cache", "build"), { recursive: true });
  writeFileSync(stamp, wanted);
  return wanted;
}

let previous = "";
for (const group of groups) previous = (await Promise.all(group.map((name) => build(name, previous)))).join();
