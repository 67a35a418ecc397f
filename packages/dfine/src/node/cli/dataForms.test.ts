import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EXPORTS, writeExport } from "../../../test/exports.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { inRun, tinyResume, tinyTrain } from "../../../test/tinyRun.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-forms-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("an export of one part trains as it is, evaluates on a share of it, and goes on with the same share", async () => {
  const data = join(folder, "export");
  await writeExport(data, EXPORTS["Label Studio, YOLO with images"]!);
  const { code, err } = await runCommand(
    ...tinyTrain({ data, out: folder, name: "run" }),
    "--steps",
    "1",
    "--val-split",
    "0.5",
  );
  expect([code, err]).toEqual([0, expect.stringMatching(/data: read as YOLO labels \(classes\.txt\)/)]);
  expect(err).toMatch(/data: 2 of 4 images set aside for validation \(--val-split\)/);
  expect(JSON.parse(await readFile(inRun(folder, "run", "data.json"), "utf8"))).toEqual({ data, valSplit: 0.5 });
  const again = await runCommand(...tinyResume(folder, "run"));
  expect([again.code, again.out]).toEqual([0, expect.stringMatching(/report:/)]);
  const val = ["val", "--weights", inRun(folder, "run"), "--threads", "1", "--out", folder, "--data"];
  expect((await runCommand(...val, data)).code).toBe(0);
  expect((await runCommand(...val, join(folder, "nowhere"))).err).toMatch(/nowhere: does not exist/);
});

test("without validation data the way to some is said", async () => {
  const data = join(folder, "roboflow");
  await writeExport(data, EXPORTS["Label Studio, COCO"]!);
  const { code, err } = await runCommand(...tinyTrain({ data, out: folder, name: "no-val" }), "--steps", "1");
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(/no validation data: .*--val-split 0\.1 sets a tenth of the images aside/),
  ]);
  const wrong = await runCommand("train", "--data", data, "--val-split", "1");
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/Give a number between 0 and 1, such as 0\.1/)]);
});
