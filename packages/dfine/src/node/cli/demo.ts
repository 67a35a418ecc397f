import { join } from "node:path";
import { Command } from "commander";
import { resolveConfig } from "../../config/resolve.ts";
import { resolveDevice } from "../../device.ts";
import { Trainer } from "../../train/trainer.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { makeDigits } from "../demo/digits.ts";
import { DEMO } from "../demo/recipe.ts";
import { createRunFolder } from "../runFolder.ts";
import { runTraining } from "../trainRun.ts";
import { EXIT } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import {
  type DeviceOptionValues,
  deviceOptions,
  folderOptions,
  type OutputOptionValues,
  talkOptions,
  wholeNumber,
} from "./options.ts";
import { Terminal } from "./terminal.ts";

interface DemoValues extends DeviceOptionValues, OutputOptionValues {
  readonly steps?: number;
  readonly seed: number;
}

export function demoCommand(finish: (code: number) => void): Command {
  const command = new Command("demo")
    .description("train on handwritten digits from scratch, evaluate, and show what was found")
    .option("--steps <count>", "end after this many steps", wholeNumber(1))
    .option("--seed <number>", "chooses initial weights, order and noise", wholeNumber(0), 0);
  for (const option of [...deviceOptions(), ...folderOptions(), ...talkOptions()]) command.addOption(option);
  return command.action(async (values: DemoValues) => finish(await demo(values)));
}

async function demo(values: DemoValues): Promise<number> {
  const terminal = new Terminal(values);
  const { size, train, val } = DEMO.data;
  const folder = join(values.out, "demo-data", `digits-${size}-${train}-${val}`);
  const digits = await makeDigits({
    folder,
    size,
    train,
    val,
    onProgress: (done, all) => terminal.progress(`drawing digits · ${done}/${all}`),
  });
  terminal.note(`data: ${train} training and ${val} validation images of handwritten digits in ${folder}`);
  const classes = digits.train.dataset.categories.map(({ name }) => name);
  const config = resolveConfig({
    preset: "n",
    model: { classes, evalSize: [size, size] },
    train: { ...DEMO.train, seed: values.seed },
  });
  const { backend } = await resolveDevice(values.device, values);
  try {
    using interrupt = watchInterrupt(() =>
      terminal.warn("stopping after this step; press Ctrl-C again to stop at once"),
    );
    using trainer = await Trainer.create({ config, backend });
    const run = await createRunFolder(values.out, "train", values.name ?? "demo");
    await writeFileAtomic(run.data, `${JSON.stringify({ data: digits.dataYaml }, null, 2)}\n`);
    const outcome = await runTraining({
      ...{ trainer, run, terminal, interrupt },
      train: digits.train,
      val: digits.val,
      title: "D-FINE-N learns handwritten digits",
      maxSteps: values.steps,
    });
    if (outcome.interrupted) return EXIT.interrupted;
    const ap = outcome.last?.evaluation?.result.stats.AP ?? 0;
    terminal.data({ kind: "done", run: run.path, report: run.report, ap });
    terminal.say(
      [
        `final AP: ${ap.toFixed(2)}`,
        `report: ${run.report}  (open it in a browser: curves, AP table, digits found in images the model never saw)`,
        `next: npx dfine predict YOUR-IMAGES --weights ${run.path}`,
        "      npx dfine train --images FOLDER --annotations COCO.json --val-images FOLDER --val-annotations COCO.json",
      ].join("\n"),
    );
    return EXIT.ok;
  } finally {
    backend.dispose();
  }
}
