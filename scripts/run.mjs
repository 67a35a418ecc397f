// Runs one task of the workspace on a fresh clone, with nothing but Node 20 and npm:
// installs what is missing, builds what is stale, then runs the task under the pinned Node 24.
// Set-up talks on stderr, so that standard output is the task's alone.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NOTHING_RAN = "0 passed, 1 failed, 0 skipped";

// `parity` reads packages through their exports, hence from dist; Node 24 strips the types of parity/*.ts itself.
const tasks = {
  start: { built: true, command: ["packages/dfine/bin/dfine.mjs", "demo"] },
  build: { built: true },
  test: { built: true, command: ["scripts/test.ts"], onSetupFailure: NOTHING_RAN },
  lint: { command: ["scripts/lint.ts"] },
  docs: { command: ["scripts/docs.ts"] },
  bench: { built: true, command: ["bench/main.ts"] },
  // Commands and host time of a training step, on a GPU that computes nothing.
  counts: { built: true, command: ["bench/countSteps.ts"] },
  // Images/s of the loader, and how long training waits for it.
  loader: { built: true, command: ["bench/loader.ts"] },
  // Parity, losses, kernels and training on a GPU, as a section for docs/results.md.
  gpu: { built: true, command: ["bench/gpu.ts"] },
  goals: { built: true, command: ["bench/goals.ts"] },
  support: { built: true, command: ["scripts/writeSupport.ts"] },
  parity: { built: true, command: ["parity/main.ts"], onSetupFailure: NOTHING_RAN },
  trajectory: { built: true, command: ["parity/trajectoryMain.ts"] },
};

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
const node = join(root, "node_modules", "node", "bin", process.platform === "win32" ? "node.exe" : "node");
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
// Set-up reads no input and prints to stderr.
const quietly = { cwd: root, env, stdio: ["ignore", 2, 2] };

function install() {
  const stamp = join(root, "node_modules", ".installed");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .digest("hex");
  if (existsSync(node) && existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return 0;
  process.stderr.write("Installing packages (first run, or the lockfile changed) …\n");
  const { status } = spawnSync("npx --yes pnpm@10 install --frozen-lockfile", {
    ...quietly,
    env: process.env,
    shell: true,
  });
  if (status === 0) writeFileSync(stamp, lock);
  return status ?? 1;
}

function build() {
  return spawnSync(node, ["scripts/build.ts"], quietly).status ?? 1;
}

function run(command) {
  const task = spawn(node, command, { cwd: root, env, stdio: "inherit" });
  // A terminal sends Ctrl-C to the task itself; sent to this process alone, it must be passed on.
  process.on("SIGINT", () => process.stdin.isTTY || task.kill("SIGINT"));
  process.on("SIGTERM", () => task.kill("SIGTERM"));
  task.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

const [name, ...args] = process.argv.slice(2);
const task = Object.hasOwn(tasks, name ?? "") ? tasks[name] : undefined;
if (!task) {
  process.stderr.write(`Unknown task "${name}"; there are ${Object.keys(tasks).join(", ")}.\n`);
  process.exit(2);
}
const failed = install() || (task.built ? build() : 0);
if (failed) {
  if (task.onSetupFailure) process.stdout.write(`${task.onSetupFailure}\n`);
  process.exit(failed);
}
if (task.command) run([join(root, task.command[0]), ...task.command.slice(1), ...args]);
