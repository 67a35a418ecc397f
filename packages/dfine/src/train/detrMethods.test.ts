import { type HostTensor, readNamed } from "@dfine/nn";
import {
  type Backend,
  backward,
  keep,
  Random,
  referenceBackend,
  type Tensor,
  tensor,
  withBackend,
} from "@dfine/tensor";
import { expect, test } from "vitest";
import { differingKeys } from "../../test/differingKeys.ts";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinySource } from "../../test/tinyTraining.ts";
import type { Config } from "../config/config.ts";
import { resolveBackend } from "../device.ts";
import { criterion } from "../loss/criterion.ts";
import { buildDetector } from "../model/architectures.ts";
import type { Detector } from "../model/detector.ts";
import type { TrainingBatch } from "./batch.ts";
import { stepDraws } from "./stepDraws.ts";

let batch!: TrainingBatch;
for await (const one of tinySource(1).batches(0)) batch = one;
const plain = tinyDetr("dino", { fdr: false, goLsd: false });
const both = tinyDetr("dino", { fdr: true, goLsd: true });

/** All parameters moved a little: fresh ones sample pixels exactly at their centres, where gradients jump. */
async function move(model: Detector): Promise<void> {
  const parameters = await readNamed(model.namedParameters());
  const moved = [...parameters].map(([name, { shape, data }]): [string, HostTensor] => {
    const random = new Random(1).fork(name);
    return [name, { shape, data: Float32Array.from(data, (value) => value + 0.2 * random.uniform() - 0.1) }];
  });
  model.loadStateDict(new Map(moved), { strict: false });
}

/** A first training step without its update: names of the state dict, all that is seen on the way, losses, gradients. */
async function firstStep(config: Config, backend: Backend, { isMoved = false } = {}) {
  using model = withBackend(backend, () => buildDetector(config.model).initialize(new Random(3)));
  if (isMoved) await move(model);
  const names = [...model.stateDict().keys()];
  const seen = new Map<string, Tensor>();
  const outputs = withBackend(backend, () => {
    const denoising = model.denoisingQueries(batch.targets, stepDraws({ seed: 0, step: 0 }));
    const tap = (name: string, value: Tensor) => void seen.set(name, keep(value.detach()));
    return model.train().trainingOutputs(tensor(batch.images, batch.shape), { denoising, tap });
  });
  const result = await criterion(outputs, batch.targets, { config: config.criterion, weighting: model.weighting });
  const { values, names: losses, total } = result;
  seen.set("logits of layer 0", outputs.aux[0]!.logits).set("logits of proposals", outputs.enc[0]!.logits);
  seen.set("boxes of proposals", outputs.enc[0]!.boxes);
  const taps = await readNamed(seen);
  const weights = await values.data();
  backward(total);
  const gradients = new Map<string, Tensor>();
  for (const [name, { grad }] of model.namedParameters()) if (grad) gradients.set(name, grad);
  return { names, taps, losses, values: weights, gradients: await readNamed(gradients) };
}

const onlyIn = (a: readonly string[], b: readonly string[]) => a.filter((name) => !b.includes(name));

test("FDR and GO-LSD change a DINO in box head, losses and matching, and in nothing else", async () => {
  expect(differingKeys(plain, both)).toEqual([
    "criterion.boxEpsilon",
    "criterion.distillation",
    "criterion.matching",
    "criterion.weights.fgl",
    "fdr",
    "goLsd",
    "model.decoder.boxHead",
  ]);
  const backend = referenceBackend({ floatBits: 32 });
  const [a, b] = [await firstStep(plain, backend), await firstStep(both, backend)];
  const head = (name: string) => [0, 1, 2].flatMap((i) => [`${name}.layers.${i}.weight`, `${name}.layers.${i}.bias`]);
  expect(onlyIn(a.names, b.names)).toEqual(head("bbox_embed.0"));
  expect(onlyIn(b.names, a.names).sort()).toEqual([...head("dec_bbox_head.0"), ...head("pre_bbox_head")].sort());
  expect(onlyIn(a.losses, b.losses)).toEqual([]);
  expect(onlyIn(b.losses, a.losses).every((name) => /fgl|ddf|_pre$/.test(name))).toBe(true);
  expect(onlyIn(b.losses, a.losses)).toHaveLength(14);
  // The same up to the first box of the first layer, with the same first weights.
  const same = [...a.taps].filter(([name, { data }]) => b.taps.get(name)?.data.every((value, i) => value === data[i]));
  const alike = same.map(([name]) => name);
  expect(alike).toEqual(expect.arrayContaining(["backbone.0", "input_proj.2", "encoder.layer.0", "decoder.layer.0"]));
  expect(alike).toEqual(
    expect.arrayContaining(["topk_index", "logits of layer 0", "logits of proposals", "boxes of proposals"]),
  );
  expect(alike).not.toContain("decoder.layer.1");
});

test("a step of a DINO with both methods: the CPU's losses and gradients are those of the formulas in float64", async () => {
  const cpu = await resolveBackend("cpu", { threads: 1 });
  const exact = await firstStep(both, referenceBackend({ floatBits: 64 }), { isMoved: true });
  const found = await firstStep(both, cpu, { isMoved: true });
  cpu.dispose();
  expect(found.losses).toEqual(exact.losses);
  for (const [i, value] of exact.values.entries())
    expect(Math.abs(found.values[i]! - value), exact.losses[i]!).toBeLessThan(1e-4 * Math.max(Math.abs(value), 1));
  expect([...found.gradients.keys()]).toEqual([...exact.gradients.keys()]);
  const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
  const whole = norm([...exact.gradients.values()].map(({ data }) => norm(data)));
  for (const [name, { data }] of exact.gradients) {
    const off = norm(Array.from(data, (value, i) => value - found.gradients.get(name)!.data[i]!));
    expect(off, name).toBeLessThan(1e-3 * norm(data) + 1e-5 * whole);
  }
});
