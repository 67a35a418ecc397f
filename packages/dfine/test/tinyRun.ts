import { join } from "node:path";
import { tinyModel } from "./tinyModel.ts";

/** Arguments of `dfine train` for two epochs of a tiny model at batch 2; the run goes to `out`/train/`name`. */
export function tinyTrain({ data, out, name }: { data: string; out: string; name: string }): string[] {
  const { classes: _, evalSize: __, ...model } = tinyModel();
  const overrides = Object.entries(model).map(([key, value]) => `model.${key}=${JSON.stringify(value)}`);
  const options = ["--size", "96", "--epochs", "2", "--batch", "2", "--threads", "1", "--name", name, "--out", out];
  return ["train", "--data", data, ...options, "ema.decay=0.9", ...overrides];
}

/** A path inside the folder of a run that `tinyTrain` made. */
export const inRun = (out: string, name: string, ...parts: string[]): string => join(out, "train", name, ...parts);
