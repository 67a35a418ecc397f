import { type Activation, scalar } from "../kernel/activation.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { defineMap } from "./defineMap.ts";
import { defineRow } from "./defineRow.ts";
import type { OpCase } from "./registry.ts";

const rowCases = (run: (x: Tensor, axis: number) => Tensor) => (): OpCase[] =>
  (
    [
      [[3, 5], -1],
      [[2, 33], -1],
      [[4, 17], 0],
      [[65], -1],
      [[3, 1], -1],
      [[2, 3, 4], 1],
      [[0, 4], -1],
    ] as const
  ).map(([shape, axis]) => ({
    name: `${JSON.stringify(shape)} axis ${axis}`,
    inputs: [{ shape, range: [-4, 4] }],
    run: ([x]) => [run(x as Tensor, axis)],
    differentiable: true,
  }));

const softmaxRow = defineRow(
  "softmax",
  (row, x) => {
    const e = x.sub(row.max(x)).exp();
    row.store(e.div(row.sum(e)));
  },
  { cases: rowCases((x, axis) => softmax(x, axis)) },
);
/** Softmax along one axis (default the last). */
export const softmax = (x: Tensor, axis = -1): Tensor => softmaxRow([x], axis)[0]!;

const logSoftmaxRow = defineRow(
  "logSoftmax",
  (row, x) => {
    const shifted = x.sub(row.max(x));
    row.store(shifted.sub(row.sum(shifted.exp()).log()));
  },
  { cases: rowCases((x, axis) => logSoftmax(x, axis)) },
);
/** Logarithm of softmax along one axis (default the last). */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => logSoftmaxRow([x], axis)[0]!;

const layerNormRow = defineRow(
  "layerNorm",
  (row, x, weight, bias, eps) => {
    const centred = x.sub(row.sum(x).div(row.count));
    const variance = row.sum(centred.mul(centred)).div(row.count);
    row.store(centred.div(variance.add(eps).sqrt()).mul(weight).add(bias));
  },
  {
    cases: () =>
      [
        [3, 5],
        [2, 4, 16],
        [1, 65],
      ].map((shape) => ({
        name: JSON.stringify(shape),
        inputs: [{ shape, range: [-2, 2] }, { shape: shape.slice(-1) }, { shape: shape.slice(-1) }],
        run: ([x, weight, bias]) => [layerNorm(x as Tensor, { weight: weight as Tensor, bias: bias as Tensor })],
        differentiable: true,
      })),
  },
);
/** Normalises the last axis to mean 0 and variance 1 (biased), then scales and shifts by weight and bias [D]. */
export function layerNorm(x: Tensor, options: { weight: Tensor; bias: Tensor; eps?: number }): Tensor {
  return layerNormRow([x, options.weight, options.bias, options.eps ?? 1e-5], -1)[0]!;
}

/** Parameters of a batch normalisation with a fused activation, per channel [C]; scale and shift [1] follow the activation. */
export interface BatchNormOptions {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps?: number;
  readonly activation?: Activation;
  /** Learnable affine block after the activation: scale·y + shift. */
  readonly affine?: { readonly scale: Tensor; readonly shift: Tensor };
}

const perChannel = (t: Tensor): Tensor => t.reshape([1, t.size, 1, 1]);
const ACTIVATIONS = Object.keys(scalar) as Activation[];

function batchNormRow(activation: Activation) {
  const name = activation === "identity" ? "batchNorm" : `batchNorm.${activation}`;
  return defineRow(
    name,
    (row, x, weight, bias, scale, shift, eps) => {
      const mean = row.sum(x).div(row.count);
      const centred = x.sub(mean);
      const variance = row.sum(centred.mul(centred)).div(row.count);
      row.storeRow(mean);
      row.storeRow(variance);
      const y = scalar[activation](centred.div(variance.add(eps).sqrt()).mul(weight).add(bias));
      row.store(y.mul(scale).add(shift));
    },
    {
      cases: () =>
        [
          [2, 3, 4, 5],
          [1, 2, 1, 17],
          [3, 1, 5, 1],
        ].map((shape) => ({
          name: JSON.stringify(shape),
          inputs: [
            { shape, range: [-2, 2] },
            { shape: [shape[1]!] },
            { shape: [shape[1]!] },
            { shape: [1] },
            { shape: [1] },
          ],
          run: (inputs) => {
            const [x, weight, bias, scale, shift] = inputs as Tensor[];
            const affine = { scale: scale!, shift: shift! };
            return [batchNorm(x!, { weight: weight!, bias: bias!, activation, affine }).output];
          },
          differentiable: true,
        })),
    },
  );
}
const batchNormRows = Object.fromEntries(ACTIVATIONS.map((a) => [a, batchNormRow(a)]));

/**
 * Normalises each channel of x [B, C, H, W] over batch and space to mean 0 and variance 1 (biased), scales, shifts, and
 * applies the activation and affine block. Returns also the batch mean and biased variance [C], without gradient.
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): { output: Tensor; mean: Tensor; variance: Tensor } {
  const { weight, bias, eps = 1e-5, activation = "identity", affine } = options;
  const inputs: TensorLike[] = [x, perChannel(weight), perChannel(bias), ...affineInputs(affine), eps];
  const [mean, variance, output] = batchNormRows[activation]!(inputs, [0, 2, 3]);
  const channels = [x.shape[1]!];
  return { output: output!, mean: mean!.detach().reshape(channels), variance: variance!.detach().reshape(channels) };
}

const affineInputs = (affine: BatchNormOptions["affine"]): TensorLike[] =>
  affine ? [affine.scale, affine.shift] : [1, 0];

const frozenNorms = Object.fromEntries(
  ACTIVATIONS.map((activation) => [
    activation,
    defineMap(
      activation === "identity" ? "frozenBatchNorm" : `frozenBatchNorm.${activation}`,
      (x, mean, variance, weight, bias, scale, shift, eps) => {
        const factor = weight.div(variance.add(eps).sqrt());
        return scalar[activation](x.mul(factor).add(bias.sub(mean.mul(factor))))
          .mul(scale)
          .add(shift);
      },
      { inputs: [[-3, 3], [-1, 1], [0.5, 2], [-2, 2], [-1, 1], 1.5, 0.25, 1e-5] },
    ),
  ]),
);

/** Batch normalisation of x [B, C, H, W] by given statistics [C], with the same fused activation and affine block. */
export function frozenBatchNorm(x: Tensor, options: BatchNormOptions & { mean: Tensor; variance: Tensor }): Tensor {
  const { mean, variance, weight, bias, eps = 1e-5, activation = "identity", affine } = options;
  const [scale, shift] = affineInputs(affine);
  return frozenNorms[activation]!(
    x,
    perChannel(mean),
    perChannel(variance),
    perChannel(weight),
    perChannel(bias),
    scale!,
    shift!,
    eps,
  );
}
