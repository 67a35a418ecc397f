import { Random } from "@dfine/tensor";
import { type PresetName, resolveConfig, Trainer, type TrainingBatch } from "dfine";
import type { Work } from "./work.ts";

const BOXES = 7;

/** Noise with seven boxes per image, of a side of 0.1 to 0.4 and all within the image. */
export function trainingBatch({ size, batch, classes }: { size: number; batch: number; classes: number }) {
  const random = new Random(1);
  const between = (low: number, high: number): number => low + (high - low) * random.uniform();
  const boxes = Array.from({ length: batch }, () =>
    Float32Array.from({ length: BOXES * 4 }, (_, i) => (i % 4 < 2 ? between(0.2, 0.8) : between(0.1, 0.4))),
  );
  return {
    images: Float32Array.from({ length: batch * 3 * size * size }, () => random.uniform()),
    shape: [batch, 3, size, size],
    targets: boxes.map((values) => ({
      labels: Int32Array.from({ length: BOXES }, () => random.integer(classes)),
      boxes: values,
    })),
    imageIds: boxes.map((_, i) => i),
    origSizes: boxes.map(() => [size, size] as const),
    index: 0,
  } satisfies TrainingBatch;
}

/** A whole training step: forward, criterion, backward, clip, AdamW, EMA. */
export function trainWork({ preset, size, batch }: { preset: PresetName; size: number; batch: number }): Work {
  const config = resolveConfig({ preset, task: "coco" });
  return {
    subject: { work: "train", preset, name: `train_${preset}`, size, batch },
    cost: {},
    agreement: "sizes",
    peers: [],
    ours: async (backend) => {
      const trainer = await Trainer.create({ config, backend });
      const data = trainingBatch({ size, batch, classes: config.model.classes.length });
      return {
        implementation: "ours",
        run: () => trainer.step(data, 1),
        dispose: () => trainer.dispose(),
      };
    },
  };
}
