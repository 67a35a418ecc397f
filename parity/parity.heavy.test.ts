import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NO_PACK } from "./referencePack.ts";
import { FAMILIES, type ParityOptions, runParity } from "./run.ts";

const DFINE = "../shared/reference";
const DETRS = "../shared/reference-detr";

/** A few of the many that `npm run parity` does. */
const WANTED: readonly Omit<ParityOptions, "threads" | "onCheck">[] = [
  { reference: DFINE, backend: "cpu", presets: ["n"], families: FAMILIES, exactSteps: 2 },
  { reference: DFINE, backend: "cpu", presets: ["s", "m"], families: ["eval"] },
  { reference: DFINE, backend: "webgpu", presets: ["n"], families: ["units", "eval", "train"], exact: false },
  { reference: DETRS, backend: "cpu", presets: [], families: ["units"] },
  {
    ...{ reference: DETRS, backend: "cpu", families: ["eval", "train"], exact: false },
    presets: ["deformable-detr-fdr", "dn-detr", "dino-fdr"],
  },
];

describe.each(WANTED)("parity with PyTorch's models: $reference, $backend, $presets, $families", async (wanted) => {
  if (!existsSync(wanted.reference)) {
    test("all checks", (context) => context.skip(NO_PACK));
    return;
  }
  const report = await runParity(wanted);
  test("there are checks", () => expect(report.checks.length).toBeGreaterThan(0));
  for (const { name, error, allowed, verdict, note } of report.checks)
    test(name, () => {
      expect(note ?? verdict).toBe("passed");
      expect(error).toBeLessThanOrEqual(allowed!);
    });
});
