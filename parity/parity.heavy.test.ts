import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NO_PACK } from "./referencePack.ts";
import { runParity } from "./run.ts";

const REFERENCE = "../shared/reference";

describe("parity of n with the official PyTorch model", async () => {
  if (!existsSync(REFERENCE)) {
    test("all checks", (context) => context.skip(NO_PACK));
    return;
  }
  const report = await runParity({
    reference: REFERENCE,
    presets: ["n"],
    families: ["units", "eval", "train", "optim", "evaluation", "checkpoints"],
    backend: "cpu",
  });
  for (const { name, error, allowed, verdict, note } of report.checks)
    test(name, () => {
      expect(note ?? verdict).toBe("passed");
      expect(error).toBeLessThanOrEqual(allowed!);
    });
});
