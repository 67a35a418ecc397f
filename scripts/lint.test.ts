import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test("biome, the compiler and the dependency rule find nothing", { timeout: 300_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/lint.ts"], { encoding: "utf8" });
  expect(status, `${stdout}${stderr}`).toBe(0);
});
