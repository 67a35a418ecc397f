import { type Activation, perActivation, scalar } from "../kernel/activation.ts";
import type { Expr } from "../kernel/expr.ts";
import { activationOption, axisOption, type OptionRules, options, real, thing } from "../options.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { identity } from "./arithmetic.ts";
import { casesOf } from "./cases.ts";
import { defineCall } from "./defineCall.ts";
import { defineMap } from "./defineMap.ts";
import { defineRow, type RowBuilder } from "./defineRow.ts";
import { checkInputs, inputRules } from "./inputs.ts";

/** Shapes, and the axis along which rows lie. */
const ROWS = { "3x5": -1, "2x33": -1, "4x17": 0, 65: -1, "3x1": -1, "2x3x4": 1, "0x4": -1 };

/** An op along one axis, by default the last. */
function alongAxis(name: string, build: (row: RowBuilder, x: Expr) => Expr) {
  const run = defineRow(name, (row, x: Expr) => row.store(build(row, x)), {
    takes: ["x"],
    cases: () =>
      casesOf(ROWS, (shape, axis) => ({
        name: `${JSON.stringify(shape)} axis ${axis}`,
        inputs: [{ shape, range: [-4, 4] }],
        run: (x) => [op(x, axis)],
      })),
  });
  const op = defineCall(
    name,
    { x: "f32", "axis?": axisOption },
    (x: Tensor, axis: number = -1): Tensor => run([x], axis)[0]!,
  );
  return op;
}

/** Softmax along one axis (default the last). */
export const softmax = alongAxis("softmax", (row, x) => {
  const e = x.sub(row.max(x)).exp();
  return e.div(row.sum(e));
});

/** Logarithm of softmax along one axis (default the last). */
export const logSoftmax = alongAxis("logSoftmax", (row, x) => {
  const shifted = x.sub(row.max(x));
  return shifted.sub(row.sum(shifted.exp()).log());
});

/** Parameters of a layer normalisation, [D] each. */
export interface LayerNormOptions {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
}

const LAYER_NORM_OPTIONS: OptionRules<LayerNormOptions> = { weight: thing, bias: thing, eps: real };

const layerNormRow = defineRow(
  "layerNorm",
  (row, x, weight, bias, eps) => {
    const centred = x.sub(row.sum(x).div(row.count));
    const variance = row.sum(centred.mul(centred)).div(row.count);
    row.store(centred.div(variance.add(eps).sqrt()).mul(weight).add(bias));
  },
  {
    takes: ["x [..., D]", "weight [D]", "bias [D]", "eps"],
    cases: () =>
      casesOf("3x5 2x4x16 1x65", (shape) => ({
        inputs: [{ shape, range: [-2, 2] }, { shape: shape.slice(-1) }, { shape: shape.slice(-1) }],
        run: (x, weight, bias) => [layerNorm(x, { weight, bias })],
      })),
  },
);
/** Normalises the last axis to mean 0 and variance 1 (biased), then scales and shifts by weight and bias [D]. */
export const layerNorm = defineCall(
  "layerNorm",
  { x: "f32", options: options(LAYER_NORM_OPTIONS) },
  (x: Tensor, { weight, bias, eps = 1e-5 }: LayerNormOptions): Tensor => layerNormRow([x, weight, bias, eps], -1)[0]!,
);

/** Parameters of a batch normalisation with a fused activation, per channel [C]; scale and shift [1] follow the activation. */
export interface BatchNormOptions {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps?: number;
  readonly activation?: Activation;
  /** Learnable affine block after the activation: scale·y + shift. */
  readonly affine?: { readonly scale: Tensor; readonly shift: Tensor };
}

/** Running statistics [C], which are moved towards the batch's: its share is `momentum`. */
export interface RunningStatistics {
  readonly mean: Tensor;
  /** Unbiased. */
  readonly variance: Tensor;
  readonly momentum: number;
}

const perChannel = (t: Tensor): Tensor => t.reshape([1, t.size, 1, 1]);
const BATCH_NORM_OPTIONS: OptionRules<BatchNormOptions> = {
  ...LAYER_NORM_OPTIONS,
  ...{ activation: activationOption, affine: thing },
};
const TRAINING_OPTIONS = { ...BATCH_NORM_OPTIONS, running: thing };
const NORM = ["x [B, C, H, W]", "weight [C]", "bias [C]", "scale? [1]", "shift? [1]"];
const IMAGES = inputRules([...NORM, "mean? [C]", "variance? [C]"]);
const STATISTICS = inputRules([...NORM, "mean [C]", "variance [C]"]);

function batchNormRow(activation: Activation) {
  const name = activation === "identity" ? "batchNorm" : `batchNorm.${activation}`;
  return defineRow(
    name,
    (row, x, weight, bias, scale, shift, eps, runningMean, runningVariance, momentum) => {
      const mean = row.sum(x).div(row.count);
      const centred = x.sub(mean);
      const variance = row.sum(centred.mul(centred)).div(row.count);
      row.storeRow(mean);
      row.storeRow(variance);
      const blend = (running: Expr, batch: Expr): Expr => running.mul(momentum.neg().add(1)).add(batch.mul(momentum));
      row.overwrite(runningMean, blend(runningMean, mean));
      const unbiased = variance.mul(row.count.div(row.count.sub(1)));
      row.overwrite(runningVariance, blend(runningVariance, unbiased));
      const y = scalar[activation](centred.mul(weight.div(variance.add(eps).sqrt())).add(bias));
      row.store(y.mul(scale).add(shift));
    },
    {
      takes: ["x", "weight", "bias", "scale", "shift", "eps", "mean", "variance", "momentum"],
      cases: () =>
        [false, true].flatMap((moves) =>
          casesOf("2x3x4x5 1x2x1x17 3x1x5x1", (shape) => {
            const [channels, one] = [{ shape: [shape[1]!] }, { shape: [1] }];
            return {
              name: `${JSON.stringify(shape)}${moves ? " and running statistics" : ""}`,
              inputs: [{ shape, range: [-2, 2] }, channels, channels, one, one, ...(moves ? [channels, channels] : [])],
              run: (x, weight, bias, scale, shift, ...running) => {
                const given = { weight, bias, activation, affine: { scale, shift } };
                if (!moves) return [batchNorm(x, given).output];
                const [mean, variance] = running.map((t) => identity(t)) as [Tensor, Tensor];
                return [batchNorm(x, { ...given, running: { mean, variance, momentum: 0.1 } }).output, mean, variance];
              },
              differentiable: !moves,
              updates: moves,
            };
          }),
        ),
    },
  );
}
const batchNormRows = perActivation(batchNormRow);

/**
 * Normalises each channel of x [B, C, H, W] over batch and space to mean 0 and variance 1 (biased), scales, shifts, and
 * applies the activation and affine block. Returns also the batch mean and biased variance [C], without gradient; `running`
 * statistics are moved towards them.
 */
export const batchNorm = defineCall(
  "batchNorm",
  { x: "f32", options: options(TRAINING_OPTIONS) },
  (
    x: Tensor,
    options: BatchNormOptions & { readonly running?: RunningStatistics },
  ): { output: Tensor; mean: Tensor; variance: Tensor } => {
    const { weight, bias, eps = 1e-5, activation = "identity", affine, running } = options;
    checkInputs("batchNorm", [x, weight, bias, affine?.scale, affine?.shift, running?.mean, running?.variance], IMAGES);
    const inputs: TensorLike[] = [x, perChannel(weight), perChannel(bias), ...affineInputs(affine), eps];
    if (running) inputs.push(perChannel(running.mean), perChannel(running.variance), running.momentum);
    else inputs.push(0, 0, 0);
    const [mean, variance, output] = batchNormRows[activation](inputs, [0, 2, 3]);
    const channels = [x.shape[1]!];
    return { output: output!, mean: mean!.detach().reshape(channels), variance: variance!.detach().reshape(channels) };
  },
);

const affineInputs = (affine: BatchNormOptions["affine"]): [TensorLike, TensorLike] =>
  affine ? [affine.scale, affine.shift] : [1, 0];

const frozenNorms = perActivation((activation) =>
  defineMap(
    activation === "identity" ? "frozenBatchNorm" : `frozenBatchNorm.${activation}`,
    (x, mean, variance, weight, bias, scale, shift, eps) => {
      const factor = weight.div(variance.add(eps).sqrt());
      const y = scalar[activation](x.mul(factor).add(bias.sub(mean.mul(factor))));
      return y.mul(scale).add(shift);
    },
    { inputs: [[-3, 3], [-1, 1], [0.5, 2], [-2, 2], [-1, 1], 1.5, 0.25, 1e-5] },
  ),
);

/** Batch normalisation of x [B, C, H, W] by given statistics [C], with the same fused activation and affine block. */
export const frozenBatchNorm = defineCall(
  "frozenBatchNorm",
  { x: "f32", options: options({ ...BATCH_NORM_OPTIONS, mean: thing, variance: thing }) },
  (x: Tensor, options: BatchNormOptions & { readonly mean: Tensor; readonly variance: Tensor }): Tensor => {
    const { mean, variance, weight, bias, eps = 1e-5, activation = "identity", affine } = options;
    checkInputs("frozenBatchNorm", [x, weight, bias, affine?.scale, affine?.shift, mean, variance], STATISTICS);
    const [m, v, w, b] = [mean, variance, weight, bias].map(perChannel) as [Tensor, Tensor, Tensor, Tensor];
    return frozenNorms[activation](x, m, v, w, b, ...affineInputs(affine), eps);
  },
);
