import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { circles, readSources, violations } from "./dependencyRule.ts";

const root = join(import.meta.dirname, "..");
const commands = [
  ["@biomejs/biome/bin/biome", "check", "--error-on-warnings"],
  ["typescript-7/bin/tsc", "-p", "tsconfig.json"],
] as const;

const failed = commands.filter(([file, ...args]) => {
  const command = [join(root, "node_modules", file), ...args];
  return spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" }).status !== 0;
});
const sources = readSources(root);
const broken = [...violations(sources), ...circles(sources)];
for (const line of broken) process.stdout.write(`${line}\n`);
process.exitCode = failed.length + broken.length > 0 ? 1 : 0;
