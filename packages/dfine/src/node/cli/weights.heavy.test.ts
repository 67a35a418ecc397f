import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { shared, testWithShared } from "../../../../../parity/referencePack.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { cocoStats } from "../../evaluation/cocoStats.ts";
import { makeDigits } from "../demo/digits.ts";

const WEIGHTS = "reference/bccd_n/dfine_n_bccd_official.pth";
/** What evaluation of PyTorch's weights may differ by, in each of COCO's numbers. */
const CLOSE = 0.002;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-bccd-"));
});
afterAll(() => rm(folder, { recursive: true }));

testWithShared("weights trained by PyTorch give PyTorch's twelve numbers", WEIGHTS, async (weights) => {
  const bccd = `${shared}data/bccd`;
  const data = ["--images", `${bccd}/images`, "--annotations", `${bccd}/annotations/test.json`];
  const { code, out } = await runCommand(
    "val",
    "--weights",
    weights,
    ...data,
    ...["--size", "320", "--threads", "1"],
    "--out",
    folder,
    "--json",
  );
  expect(code).toBe(0);
  const found = JSON.parse(out);
  const { stats } = JSON.parse(readFileSync(`${shared}reference/bccd_n/test_stats.json`, "utf8"));
  for (const [i, { name }] of cocoStats.entries()) {
    expect(Math.abs(found[name] - stats[i]), name).toBeLessThanOrEqual(CLOSE);
  }
  expect(found.notes).toEqual([
    expect.stringMatching(/classes 0 to 2 are taken to be RBC, WBC, Platelets, in this order/),
  ]);
});

testWithShared("weights of blood cells learn digits", WEIGHTS, async (weights) => {
  const { dataYaml } = await makeDigits({ folder: join(folder, "digits"), train: 48, val: 4, size: 160 });
  const small = ["--size", "160", "decoder.numQueries=100", "--threads", "1"];
  const options = ["--batch", "4", "--epochs", "1", "--seed", "1", "schedule.warmupSteps=4", "--out", folder, "--json"];
  const argv = ["train", "--data", dataYaml, "--weights", weights, "--name", "digits", ...small, ...options];
  const { code, out, err } = await runCommand(...argv);
  expect(code).toBe(0);
  expect(err).toContain(
    "decoder.dec_score_head.2.weight: [3, 128] in the file, [10, 128] in the model: as initialised",
  );
  const losses = readFileSync(join(folder, "train", "digits", "events.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === "step")
    .map(({ loss }) => loss as number);
  expect(losses).toHaveLength(12);
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  expect(mean(losses.slice(-4))).toBeLessThan(mean(losses.slice(0, 4)));
  expect(JSON.parse(out.split("\n")[0]!)).toMatchObject({ kind: "weights", chosen: "ema" });
});
