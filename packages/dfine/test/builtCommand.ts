import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** The `dfine` command, for Node to run. */
export const command = at("bin/dfine.mjs");

/** Why the command cannot be run, where it cannot. */
export const notBuilt = existsSync(at("dist/cli.js")) ? undefined : "not run: dfine is not built (npm run build)";
