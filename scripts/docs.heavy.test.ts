import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("everything exported is documented, and the API pages are written", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/docs.ts"], { encoding: "utf8" });
  expect(status, `${stdout}${stderr}`).toBe(0);
  expect(stdout).toContain("API pages: ");
  // Types that come from schemas are shown with their fields.
  expect(readFileSync(".cache/api/interfaces/dfine.DFineConfig.html", "utf8")).toContain("numTopQueries");
});
