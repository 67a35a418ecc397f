import { join } from "node:path";
import { tinyModel } from "./tinyModel.ts";

/** A thread that prepares images takes longer to start than so few of them take. */
const ALONE = ["--threads", "1", "--workers", "0"];

/** Arguments of `dfine train` for two epochs of a tiny model at batch 2, on one thread; the run goes to `out`/train/`name`. */
export function tinyTrain({ data, out, name }: { data: string; out: string; name: string }): string[] {
  const { classes: _, evalSize: __, ...model } = tinyModel();
  const overrides = Object.entries(model).map(([key, value]) => `model.${key}=${JSON.stringify(value)}`);
  const options = ["--size", "96", "--epochs", "2", "--batch", "2", ...ALONE, "--name", name, "--out", out];
  return ["train", "--data", data, ...options, "ema.decay=0.9", ...overrides];
}

/** Arguments of `dfine train` that go on with a run that `tinyTrain` made. */
export const tinyResume = (out: string, name: string): string[] => ["train", "--resume", inRun(out, name), ...ALONE];

/** A path inside the folder of a run that `tinyTrain` made. */
export const inRun = (out: string, name: string, ...parts: string[]): string => join(out, "train", name, ...parts);
