import { Random } from "@dfine/tensor";
import { type PresetName, resolveConfig, Trainer, type TrainingBatch } from "dfine";
import { comparable, torchPeer } from "./torchPeer.ts";
import type { Peer, Work } from "./work.ts";

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

export interface TrainOptions {
  readonly preset: PresetName;
  readonly size: number;
  readonly batch: number;
  /** Threads of peers. */
  readonly threads: number;
  /** A python3 that has torch; without it there are no peers. */
  readonly torch?: string | undefined;
}

/** A whole training step: forward, criterion, backward, clip, AdamW, EMA. */
export function trainWork({ preset, size, batch, threads, torch }: TrainOptions): Work {
  const config = resolveConfig({ preset, task: "coco" });
  const noise = trainingBatch({ size, batch, classes: config.model.classes.length });
  const data = { ...noise, resize: config.model.resize };
  let weights: Uint8Array = new Uint8Array();
  const peers: Peer[] = torch
    ? [
        torchPeer(torch, { config, data, threads, weights: () => weights }),
        { implementation: "jax-js", reason: "no D-FINE for it: see its products and convolutions (--only kernels)" },
      ]
    : [];
  return {
    subject: { work: "train", preset, name: `train_${preset}`, size, batch },
    cost: {},
    agreement: "values",
    peers,
    ours: async (backend) => {
      const trainer = await Trainer.create({ config, backend });
      if (torch) weights = await trainer.saveModel();
      const learning = [...trainer.model.namedParameters().values()].filter((p) => p.requiresGrad);
      const parameters = learning.reduce((sum, { size }) => sum + size, 0);
      let first: number | undefined;
      const run = async (): Promise<void> => {
        const { losses } = await trainer.step(data, 1);
        first ??= Object.entries(losses).reduce((sum, [name, loss]) => (name.includes("_dn_") ? sum : sum + loss), 0);
      };
      return {
        implementation: "ours",
        run,
        outputs: async () => {
          if (first === undefined) await run();
          return comparable({ loss: first!, parameters });
        },
        learned: () => (first === undefined ? undefined : { loss: first, parameters }),
        dispose: () => trainer.dispose(),
      };
    },
  };
}
