import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NO_PACK } from "./referencePack.ts";
import { FAMILIES, type ParityOptions, runParity } from "./run.ts";

const REFERENCE = "../shared/reference";

const WANTED: readonly Pick<ParityOptions, "backend" | "presets" | "families" | "exact">[] = [
  { backend: "cpu", presets: ["n"], families: FAMILIES },
  { backend: "cpu", presets: ["s", "m"], families: ["eval"] },
  { backend: "webgpu", presets: ["n"], families: ["units", "eval", "train"], exact: false },
];

describe.each(WANTED)("parity with the official PyTorch model: $backend, $presets, $families", async (wanted) => {
  if (!existsSync(REFERENCE)) {
    test("all checks", (context) => context.skip(NO_PACK));
    return;
  }
  const report = await runParity({ reference: REFERENCE, ...wanted });
  test("there are checks", () => expect(report.checks.length).toBeGreaterThan(0));
  for (const { name, error, allowed, verdict, note } of report.checks)
    test(name, () => {
      expect(note ?? verdict).toBe("passed");
      expect(error).toBeLessThanOrEqual(allowed!);
    });
});
