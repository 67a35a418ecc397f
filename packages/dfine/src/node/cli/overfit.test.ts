import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PlantedData } from "../../../test/plantedData.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyTrain } from "../../../test/tinyRun.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-overfit-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("train --overfit says whether a batch was learned, by its exit code too, and makes no run folder", async () => {
  const data = await new PlantedData(4).write(join(folder, "data"));
  const out = join(folder, "runs");
  const command = [...tinyTrain({ data, out, name: "none" }), "--overfit", "--steps", "2", "--quiet"];
  const people = await runCommand(...command);
  expect(people.code).toBe(1);
  expect(people.out).toMatch(
    /^the batch was not learned: after 2 steps .* the loss went from [\d.]+ to [\d.]+, and AP50/,
  );
  const { kind, steps, learned, files } = JSON.parse((await runCommand(...command, "--json")).out);
  expect({ kind, steps, learned, files: files.length }).toEqual({
    kind: "overfit",
    steps: 2,
    learned: false,
    files: 2,
  });
  expect(existsSync(join(out, "train", "none"))).toBe(false);
});
