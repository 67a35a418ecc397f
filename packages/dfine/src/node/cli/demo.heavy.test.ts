import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { DEMO } from "../demo/recipe.ts";

let out = "";
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "dfine-demo-"));
});
afterAll(() => rm(out, { recursive: true }));

test("the demo draws its data, trains, evaluates, looks at unseen images and says where all of it is", async () => {
  const { code, out: said } = await runCommand("demo", "--steps", "2", "--threads", "1", "--out", out);
  expect(code).toBe(0);
  expect(said).toMatch(/final AP: \d\.\d\d\nreport: .*report\.html .*\nnext: npx dfine predict/);
  const run = join(out, "train", "demo");
  const [header, row, ...more] = readFileSync(join(run, "results.csv"), "utf8").trimEnd().split("\n");
  expect([header!.split(",").length, more.length]).toEqual([row!.split(",").length, 0]);
  expect(readFileSync(join(run, "events.jsonl"), "utf8").match(/"kind":"step"/g)).toHaveLength(2);
  expect(readdirSync(join(run, "predictions"))).toHaveLength(DEMO.data.unseen);
  for (const file of ["report.html", "weights/best.safetensors", "weights/state.safetensors", "config.yaml"])
    expect(existsSync(join(run, file)), file).toBe(true);
});
