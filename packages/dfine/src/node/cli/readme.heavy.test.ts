import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { command, notBuilt } from "../../../test/builtCommand.ts";
import { PlantedData } from "../../../test/plantedData.ts";
import { tinyModel } from "../../../test/tinyModel.ts";

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The commands that lead from pictures to ONNX. */
function commands(): string[][] {
  const readme = readFileSync(at("../../README.md"), "utf8");
  const block = /From labelled pictures to ONNX[^`]*`npm run build`:\n\n```sh\n(.*?)```/s.exec(readme)![1]!;
  return block
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
}

/** What makes training short: a tiny model and one epoch. */
function quickly(): string[] {
  const { classes: _, evalSize: __, ...model } = tinyModel();
  const overrides = Object.entries(model).map(([key, value]) => `model.${key}=${JSON.stringify(value)}`);
  return ["--epochs", "1", "--batch", "4", ...overrides];
}

test("the five commands of the README lead from pictures to ONNX", async (context) => {
  if (notBuilt) context.skip(notBuilt);
  const folder = await mkdtemp(join(tmpdir(), "dfine-readme-"));
  try {
    await new PlantedData(8).write(join(folder, "photos"));
    copyFileSync(join(folder, "photos/val/pic0.png"), join(folder, "street.jpg"));
    const all = commands();
    expect(all.map(([, , name]) => name)).toEqual(["doctor", "train", "val", "predict", "export"]);
    for (const [, , ...argv] of all) {
      const more = argv[0] === "train" ? quickly() : [];
      const { status, stderr } = spawnSync(process.execPath, [command, ...argv, ...more], {
        cwd: folder,
        encoding: "utf8",
      });
      expect(status, `${argv.join(" ")}: ${stderr}`).toBe(0);
    }
    for (const file of ["runs/train/photos/report.html", "runs/val/val/report.html", "photos.onnx"])
      expect(existsSync(join(folder, file)), file).toBe(true);
  } finally {
    await rm(folder, { recursive: true });
  }
});
