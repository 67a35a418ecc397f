import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Backend } from "@dfine/tensor";
import { Command } from "commander";
import { resolveConfig } from "../../config/resolve.ts";
import { Trainer } from "../../train/trainer.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { decodeImage } from "../data/decode.ts";
import { type DigitsDataset, makeDigits } from "../demo/digits.ts";
import { DEMO } from "../demo/recipe.ts";
import { DFine } from "../detector.ts";
import { drawObjects, encodeImage } from "../draw.ts";
import type { RunFolder } from "../runFolder.ts";
import { runTraining } from "../trainRun.ts";
import { EXIT } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import { openDevice } from "./openDetector.ts";
import * as options from "./options.ts";
import { runTerminal } from "./runTerminal.ts";
import { Terminal } from "./terminal.ts";
import { planTrainFolder } from "./trainFolder.ts";

interface DemoValues extends options.DeviceOptionValues, options.OutputOptionValues {
  readonly steps?: number;
  readonly seed: number;
}

export function demoCommand(finish: (code: number) => void): Command {
  const command = new Command("demo").description(
    "train on handwritten digits from scratch, evaluate, and show what was found",
  );
  options.addTo(command, [
    options.parsed("--steps <count>", "end after this many steps", options.wholeNumber(1)),
    options.parsed("--seed <number>", "chooses initial weights, order and noise", options.wholeNumber(0)).default(0),
    ...options.run(),
  ]);
  return command.action(async (values: DemoValues) => finish(await demo(values)));
}

async function demo(values: DemoValues): Promise<number> {
  const terminal = new Terminal(values);
  const { size, train, val, unseen } = DEMO.data;
  const makeFolder = await planTrainFolder(values.out, values.name ?? "demo");
  const digits = await drawDigits(terminal, values.out, { train, val, seed: 0 });
  terminal.note(`data: ${train} training and ${val} validation images of handwritten digits`);
  const classes = digits.train.dataset.categories.map(({ name }) => name);
  const config = resolveConfig({
    preset: "n",
    model: { classes, evalSize: [size, size] },
    train: { ...DEMO.train, seed: values.seed },
  });
  using device = await openDevice(values, terminal);
  using interrupt = watchInterrupt(() => terminal.warn("stopping after this step; press Ctrl-C again to stop at once"));
  using trainer = await Trainer.create({ config, ...device });
  const { run, interrupted, last } = await runTraining({
    ...{ trainer, signal: interrupt.signal, maxSteps: values.steps },
    run: () => makeFolder({ data: digits.dataYaml }),
    train: digits.train,
    val: digits.val,
    title: "D-FINE-N learns handwritten digits",
    onEvent: runTerminal(terminal, config.train.epochs),
  });
  if (interrupted) {
    terminal.note(`saved; go on with: npx dfine train --resume ${run.path}`);
    return EXIT.interrupted;
  }
  const found = await detectUnseen(await drawDigits(terminal, values.out, { train: 1, val: unseen, seed: 1 }), {
    run,
    backend: device.backend,
  });
  const ap = last?.evaluation?.result.stats.AP ?? 0;
  terminal.data({ kind: "done", run: run.path, report: run.report, ap, unseen: found });
  for (const { file, digits: seen } of found) terminal.say(`${file}: ${seen.join(", ") || "nothing"}`);
  terminal.say(
    [
      `final AP: ${ap.toFixed(2)}`,
      `report: ${run.report}  (open it in a browser: curves, AP table, digits found in images the model never saw)`,
      `next: npx dfine predict YOUR-IMAGES --weights ${run.path}`,
      "      npx dfine train --images FOLDER --annotations COCO.json --val-images FOLDER --val-annotations COCO.json",
    ].join("\n"),
  );
  return EXIT.ok;
}

/** The data set with these counts and seed; drawn when it is not there yet. */
async function drawDigits(
  terminal: Terminal,
  out: string,
  counts: { train: number; val: number; seed: number },
): Promise<DigitsDataset> {
  const { size } = DEMO.data;
  const { train, val, seed } = counts;
  return await makeDigits({
    folder: join(out, "demo-data", `digits-${size}-${train}-${val}-${seed}`),
    ...{ size, train, val, seed },
    onProgress: (done, all) => terminal.progress(`drawing digits · ${done}/${all}`),
  });
}

/**
 * Opens the run's best weights as a user would, finds digits in images of unknown handwriting and draws them: the images
 * with their boxes, and digits as "7 0.93", best first.
 */
async function detectUnseen({ val }: DigitsDataset, { run, backend }: { run: RunFolder; backend: Backend }) {
  using detector = await DFine.fromPretrained(run.path, { device: backend });
  const folder = join(run.path, "predictions");
  await mkdir(folder);
  const found: { file: string; digits: string[] }[] = [];
  for (const { fileName } of val.dataset.images) {
    const image = await decodeImage(join(val.imageRoot, fileName));
    const [result] = await detector.detect(image);
    const file = join(folder, basename(fileName));
    await writeFileAtomic(file, await encodeImage(drawObjects(image, result!.objects), file));
    found.push({ file, digits: result!.objects.map(({ label, score }) => `${label} ${score.toFixed(2)}`) });
  }
  return found;
}
