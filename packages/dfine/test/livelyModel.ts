import type { HostTensor } from "@dfine/nn";
import { Random, type Tensor, tensor } from "@dfine/tensor";
import { DENOISERS } from "../src/model/denoisers.ts";
import type { Detector } from "../src/model/detector.ts";
import type { DFineConfig } from "../src/model/dfineConfig.ts";
import { DFineModel } from "../src/model/dfineModel.ts";
import type { TrainingOutputs } from "../src/model/outputs.ts";

const random = new Random(7);

/** Parameters drawn anew, so that nothing that starts at zero hides a mistake. */
export function lively(config: DFineConfig): DFineModel {
  return enlivened(new DFineModel(config));
}

/** The same of any detector. */
export function enlivened<Model extends Detector>(model: Model): Model {
  model.initialize(random.fork("weights"));
  const drawn = new Map<string, HostTensor>();
  for (const [name, { shape, dtype }] of model.namedParameters()) {
    if (dtype !== "f32" || name === "decoder.up") continue;
    const stream = random.fork(name);
    const spread = shape.length > 1 ? 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b)) : 0.3;
    const data = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => spread * stream.normal());
    const offset = shape.length === 1 && /weight|scale/.test(name) ? 1 : 0;
    drawn.set(name, { shape, data: data.map((value) => value + offset) });
  }
  model.loadStateDict(drawn, { strict: false });
  return model;
}

export const images = (batch: number, height: number, width = height): Tensor => {
  const stream = random.fork("images");
  return tensor(
    Float32Array.from({ length: batch * 3 * height * width }, () => stream.uniform()),
    [batch, 3, height, width],
  );
};

/** One image with `count` targets, one with a single target. */
export function denoising({ classes, denoising: options }: Pick<DFineConfig, "classes" | "denoising">, count: number) {
  const stream = random.fork(`boxes ${count}`);
  const targets = [count, Math.min(count, 1)].map((n) => ({
    labels: Int32Array.from({ length: n }, () => stream.integer(classes.length)),
    boxes: Float64Array.from({ length: 4 * n }, (_, i) => (i % 4 < 2 ? 0.3 + 0.4 * stream.uniform() : 0.2)),
  }));
  const draw = () => stream.uniform();
  const draws = { labelMask: draw, label: draw, sign: draw, magnitude: draw };
  return DENOISERS.plan(options).queries!(targets, { classes: classes.length, draws });
}

/** Everything that a prediction is made of, summed with unlike weights. */
export const total = (tensors: readonly (Tensor | undefined)[]): Tensor =>
  tensors
    .flatMap((t) => (t ? [t] : []))
    .map((t, i) =>
      t
        .mul(t)
        .mul(0.1 * (i + 1))
        .sum(),
    )
    .reduce((a, b) => a.add(b));

export const everything = ({ last, aux, pre, enc, tokens, dn }: TrainingOutputs): Tensor[] =>
  [
    last,
    ...aux,
    ...(pre ? [pre] : []),
    ...enc,
    ...(tokens ? [tokens] : []),
    ...(dn?.layers ?? []),
    ...(dn?.pre ? [dn.pre] : []),
  ].flatMap((set) => [set.logits, set.boxes, ...(set.corners ? [set.corners] : [])]);

export const without = (model: Detector): string[] =>
  [...model.namedParameters()].filter(([, p]) => p.requiresGrad && !p.grad).map(([name]) => name);
