// Trains on a folder of images with COCO annotations: node train.ts [data.yaml] [--size 256] [--steps 100]
import { parseArgs } from "node:util";
import { formatCocoStats, resolveBackend, resolveConfig, Trainer, trainLoop } from "dfine";
import { createLoader, loadData, makeDigits, writeFileAtomic } from "dfine/node";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { size: { type: "string", default: "256" }, steps: { type: "string", default: "100" } },
});
const side = Number(values.size);

// Without a data set of your own: handwritten digits, drawn into the folder `digits`.
const dataYaml = positionals[0] ?? (await makeDigits({ folder: "digits", train: 100, val: 20, size: side })).dataYaml;
const { train, val } = await loadData(dataYaml, ["train", "val"]);

const config = resolveConfig({
  preset: "n",
  model: { classes: train.dataset.categories.map(({ name }) => name), evalSize: [side, side] },
  // For a small set: a higher rate, averages that follow sooner, and no mirror images of digits.
  train: {
    epochs: 1000,
    batch: 4,
    optimizer: { learningRate: 8e-4, backboneLearningRate: 8e-4 },
    schedule: { warmupSteps: 20 },
    ema: { decay: 0.99, warmups: 20 },
    augmentation: { transforms: [] },
  },
});
const { batch, augmentation } = config.train;
const size = config.model.evalSize;
const batches = createLoader({ ...train, size, batchSize: batch, training: true, ...augmentation });
const valBatches = createLoader({ ...val, size, batchSize: batch, training: false });

const backend = await resolveBackend("auto");
const trainer = await Trainer.create({ config, backend });
for await (const event of trainLoop(trainer, { train: batches }, { maxSteps: Number(values.steps) })) {
  if (event.kind === "step")
    console.log(`step ${event.step}: loss ${event.loss.toFixed(2)}, ${event.seconds.toFixed(1)} s`);
}
const { result } = await trainer.evaluate(valBatches, val.dataset);
console.log(formatCocoStats(result.stats));

await writeFileAtomic("trained.safetensors", await trainer.saveModel());
console.log("wrote trained.safetensors");
trainer.dispose();
backend.dispose();
