import { parseArgs } from "node:util";
import { PackError } from "./pack.ts";
import { PACK_PRESETS } from "./presets.ts";
import { checkLine, HEADER } from "./report.ts";
import { FAMILIES, runParity } from "./run.ts";
import { BACKEND_NAMES } from "./target.ts";

const USAGE = `npm run parity -- --reference DIR [--preset ${PACK_PRESETS}] [--only ${FAMILIES}] [--backend ${BACKEND_NAMES}] [--threads N] [--json]`;

/** Reads a comma-separated choice. @throws PackError naming what there is to choose from */
function choices<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): readonly Name[] {
  if (text === undefined) return known;
  return text.split(",").map((name) => {
    const found = known.find((candidate) => candidate === name.trim());
    if (found === undefined) throw new PackError(`--${option}: ${name} is unknown; choose from ${known.join(", ")}`);
    return found;
  });
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      reference: { type: "string" },
      preset: { type: "string" },
      only: { type: "string" },
      backend: { type: "string", default: "cpu" },
      threads: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const { reference, json, threads } = values;
  const backend = choices("backend", values.backend, BACKEND_NAMES)[0]!;
  if (reference === undefined) throw new PackError(`no reference pack; use: ${USAGE}`);
  if (!json) process.stdout.write(`On ${backend}; what is allowed is the same on every backend.\n${HEADER}\n`);
  const report = await runParity({
    reference,
    presets: choices("preset", values.preset, PACK_PRESETS),
    families: choices("only", values.only, FAMILIES),
    backend,
    threads: threads === undefined ? undefined : Number(threads),
    onCheck: (check) => json || process.stdout.write(`${checkLine(check)}\n`),
  });
  if (json) process.stdout.write(`${JSON.stringify({ checks: report.checks })}\n`);
  process.stdout.write(`${report.summary}\n`);
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof PackError) && !(error instanceof TypeError)) throw error;
  process.stderr.write(`parity: ${error.message}\n`);
  process.exitCode = 2;
}
