import { ShapeError } from "../errors.ts";
import { type Activation, scalar } from "../kernel/activation.ts";
import { activationOption, checkOptions, type OptionRules, real, thing } from "../options.ts";
import { shapeText } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { defineMap } from "./defineMap.ts";
import { defineRow } from "./defineRow.ts";
import { checkInputs, type InputRule, inputRules } from "./inputs.ts";
import { casesOf, type OpCase } from "./registry.ts";

/** Shapes, and the axis along which rows lie. */
const ROWS = { "3x5": -1, "2x33": -1, "4x17": 0, 65: -1, "3x1": -1, "2x3x4": 1, "0x4": -1 };

const rowCases = (run: (x: Tensor, axis: number) => Tensor) => (): OpCase[] =>
  casesOf(ROWS, (shape, axis) => ({
    name: `${JSON.stringify(shape)} axis ${axis}`,
    inputs: [{ shape, range: [-4, 4] }],
    run: (x) => [run(x, axis)],
  }));

const softmaxRow = defineRow(
  "softmax",
  (row, x) => {
    const e = x.sub(row.max(x)).exp();
    row.store(e.div(row.sum(e)));
  },
  { takes: ["x"], cases: rowCases((x, axis) => softmax(x, axis)) },
);
/** Softmax along one axis (default the last). */
export const softmax = (x: Tensor, axis = -1): Tensor => softmaxRow([x], axis)[0]!;

const logSoftmaxRow = defineRow(
  "logSoftmax",
  (row, x) => {
    const shifted = x.sub(row.max(x));
    row.store(shifted.sub(row.sum(shifted.exp()).log()));
  },
  { takes: ["x"], cases: rowCases((x, axis) => logSoftmax(x, axis)) },
);
/** Logarithm of softmax along one axis (default the last). */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => logSoftmaxRow([x], axis)[0]!;

/** Parameters of a layer normalisation, [D] each. */
export interface LayerNormOptions {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
}

const LAYER_NORM_OPTIONS: OptionRules<LayerNormOptions> = { weight: thing, bias: thing, eps: real };
const AFFINE = inputRules(["x", "weight", "bias"]);

/**
 * Checks x and its parameters, named in `rules`, each of which must have one value per index of x's `axis`.
 * @throws ShapeError, and what `checkInputs` throws
 */
function checkParameters(op: string, inputs: readonly Tensor[], { rules, axis }: { rules: InputRule[]; axis: number }) {
  checkInputs(op, inputs, rules);
  const [x, ...parameters] = inputs as [Tensor, ...Tensor[]];
  for (const [i, { shape }] of parameters.entries())
    if (shape.length !== 1 || shape[0] !== x.shape.at(axis))
      throw new ShapeError(
        `${op}: ${rules[i + 1]!.name} is ${shapeText(shape)}; x ${shapeText(x.shape)} needs [${x.shape.at(axis)}]`,
      );
}

const layerNormRow = defineRow(
  "layerNorm",
  (row, x, weight, bias, eps) => {
    const centred = x.sub(row.sum(x).div(row.count));
    const variance = row.sum(centred.mul(centred)).div(row.count);
    row.store(centred.div(variance.add(eps).sqrt()).mul(weight).add(bias));
  },
  {
    takes: ["x", "weight", "bias", "eps"],
    cases: () =>
      casesOf("3x5 2x4x16 1x65", (shape) => ({
        inputs: [{ shape, range: [-2, 2] }, { shape: shape.slice(-1) }, { shape: shape.slice(-1) }],
        run: (x, weight, bias) => [layerNorm(x, { weight, bias })],
      })),
  },
);
/** Normalises the last axis to mean 0 and variance 1 (biased), then scales and shifts by weight and bias [D]. */
export function layerNorm(x: Tensor, options: LayerNormOptions): Tensor {
  checkOptions("layerNorm", options, LAYER_NORM_OPTIONS);
  const { weight, bias, eps = 1e-5 } = options;
  checkParameters("layerNorm", [x, weight, bias], { rules: AFFINE, axis: -1 });
  return layerNormRow([x, weight, bias, eps], -1)[0]!;
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
const BATCH_NORM_OPTIONS: OptionRules<BatchNormOptions> = {
  ...LAYER_NORM_OPTIONS,
  ...{ activation: activationOption, affine: thing },
};
const STATISTICS = inputRules(["x", "mean", "variance", "weight", "bias"]);

function checkImages(op: string, inputs: readonly Tensor[], rules: InputRule[]): void {
  checkParameters(op, inputs, { rules, axis: 1 });
  if (inputs[0]!.rank !== 4) throw new ShapeError(`${op}: takes [B, C, H, W], got ${shapeText(inputs[0]!.shape)}`);
}

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
      takes: ["x", "weight", "bias", "scale", "shift", "eps"],
      cases: () =>
        casesOf("2x3x4x5 1x2x1x17 3x1x5x1", (shape) => {
          const [channels, one] = [{ shape: [shape[1]!] }, { shape: [1] }];
          return {
            inputs: [{ shape, range: [-2, 2] }, channels, channels, one, one],
            run: (x, weight, bias, scale, shift) => [
              batchNorm(x, { weight, bias, activation, affine: { scale, shift } }).output,
            ],
          };
        }),
    },
  );
}
const batchNormRows = Object.fromEntries(ACTIVATIONS.map((a) => [a, batchNormRow(a)]));

/**
 * Normalises each channel of x [B, C, H, W] over batch and space to mean 0 and variance 1 (biased), scales, shifts, and
 * applies the activation and affine block. Returns also the batch mean and biased variance [C], without gradient.
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): { output: Tensor; mean: Tensor; variance: Tensor } {
  checkOptions("batchNorm", options, BATCH_NORM_OPTIONS);
  const { weight, bias, eps = 1e-5, activation = "identity", affine } = options;
  checkImages("batchNorm", [x, weight, bias], AFFINE);
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
  checkOptions("frozenBatchNorm", options, { ...BATCH_NORM_OPTIONS, mean: thing, variance: thing });
  const { mean, variance, weight, bias, eps = 1e-5, activation = "identity", affine } = options;
  checkImages("frozenBatchNorm", [x, mean, variance, weight, bias], STATISTICS);
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
