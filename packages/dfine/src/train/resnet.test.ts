import { AdamW, initialize, readNamed } from "@dfine/nn";
import { type Backend, backward, keep, Random, scope, tensor, withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { createImage } from "../data/image.ts";
import { resolveBackend } from "../device.ts";
import { DFine } from "../dfine.ts";
import { resnet50 } from "../model/resnet.ts";
import { Trainer } from "./trainer.ts";
import type { StepResult } from "./trainStep.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

test.each([
  ["plain norms", { freezeNorm: false, freezeAt: -1 }],
  ["frozen norms, stem and first stage", { freezeNorm: true, freezeAt: 1 }],
])("a D-FINE with ResNet-50 trains, is saved, and predicts: %s", async (_, frozen) => {
  const config = tinyConfig();
  const { decoder } = config.model;
  const model = {
    ...config.model,
    backbone: { ...resnet50.defaults(3), ...frozen },
    encoder: { ...config.model.encoder, transformerLevels: [2] },
    decoder: { ...decoder, points: [2, 2, 2] },
  };
  using trainer = await Trainer.create({ config: { ...config, model }, backend });
  const before = await readNamed(trainer.model.stateDict());
  const steps: StepResult[] = [];
  for await (const batch of tinySource(1).batches(0))
    for (let i = 0; i < 5; i++) steps.push(await trainer.step(batch, 5));
  expect(steps.every(({ loss, skipped }) => Number.isFinite(loss) && !skipped)).toBe(true);
  const after = await readNamed(trainer.model.stateDict());
  const still = [...trainer.model.namedParameters()].filter(([name]) =>
    before.get(name)!.data.every((value, i) => value === after.get(name)!.data[i]),
  );
  expect(still.filter(([, { requiresGrad }]) => requiresGrad).map(([name]) => name)).toEqual([]);
  const fixed = still.map(([name]) => name).filter((name) => name.startsWith("backbone."));
  expect(fixed.every((name) => frozen.freezeAt >= 0 && /^backbone\.(conv1|layer1)\./.test(name))).toBe(true);
  const bytes = await trainer.saveModel();
  expect(openCheckpoint(bytes).model).toEqual(model);
  using detector = await DFine.fromPretrained(bytes, { device: backend });
  const [result] = await detector.detect(createImage(100, 80), { threshold: 0 });
  expect(result!.objects.length).toBeGreaterThan(0);
});

test("a ResNet-50 learns to give what it is asked for, all of its stages with it", async () => {
  const model = withBackend(backend, () => resnet50.plan(resnet50.defaults(3)).make());
  withBackend(backend, () => initialize(model, new Random(3)));
  const parameters = new Map([...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad));
  const optimizer = withBackend(
    backend,
    () => new AdamW([{ name: "all", parameters, learningRate: 1e-3, weightDecay: 0 }]),
  );
  const random = new Random(4);
  const pixels = Float32Array.from({ length: 2 * 3 * 64 * 64 }, () => random.uniform());
  const images = keep(withBackend(backend, () => tensor(pixels, [2, 3, 64, 64])));
  const losses: number[] = [];
  for (let i = 0; i < 8; i++) {
    const loss = withBackend(backend, () =>
      scope("step", () => {
        const far = model.call(images).map((map) => map.sub(1).mul(map.sub(1)).mean());
        const total = far.reduce((a, b) => a.add(b));
        backward(total);
        optimizer.step();
        optimizer.zeroGrad();
        return keep(total.detach());
      }),
    );
    losses.push((await loss.data())[0]!);
    loss.dispose();
  }
  for (const held of [images, model, optimizer]) held.dispose();
  expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
});
