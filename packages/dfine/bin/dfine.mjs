#!/usr/bin/env node
// The `dfine` command. Committed, so that installing links it before there is anything built.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const OLDEST = [22, 12];
const cli = new URL("../dist/cli.js", import.meta.url);
// In the repository, the Node that the workspace pins.
const pinned = fileURLToPath(new URL("../../../node_modules/node/bin/node", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);
const newEnough = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);

function stop(message) {
  process.stderr.write(`dfine: ${message}\n`);
  process.exit(1);
}

if (!existsSync(cli)) stop("not built yet; run `npm run build` in the repository");
if (newEnough) {
  // From the second start on, modules need not be parsed.
  module.enableCompileCache?.();
  await import(cli.href);
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [fileURLToPath(cli), ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal sends Ctrl-C to the child itself; sent to this process alone, it must be passed on.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
} else {
  stop(`needs Node ${OLDEST.join(".")} or later; this is ${process.version}`);
}
