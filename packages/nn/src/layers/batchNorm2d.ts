import {
  activationOption,
  batchNorm,
  checkOptions,
  coalesce,
  defineMap,
  defineUpdate,
  frozenBatchNorm,
  full,
  isRecomputing,
  type OptionRules,
  overwrites,
  real,
  ShapeError,
  type Stretch,
  scope,
  shapeText,
  type Tensor,
  thing,
  zeros,
} from "@dfine/tensor";
import type { Activation } from "@dfine/tensor/kernel";
import { Module } from "../module.ts";
import { buffer, parameter } from "../parameter.ts";

/** What follows a norm in the same kernel: scale · activation(norm(x)) + shift. */
export interface NormEpilogue {
  /** Default identity. */
  readonly activation?: Activation;
  /** Scalars [1]. */
  readonly affine?: { readonly scale: Tensor; readonly shift: Tensor } | undefined;
}

/** What a `BatchNorm2d` may be told. */
export interface BatchNorm2dOptions {
  readonly eps?: number;
  /** Share of the newest batch in the running statistics; default 0.1. */
  readonly momentum?: number;
}

const OPTIONS: OptionRules<BatchNorm2dOptions> = { eps: real, momentum: real };
const EPILOGUE: OptionRules<NormEpilogue> = { activation: activationOption, affine: thing };

const countBatch = defineUpdate("countBatch", ([count]) => [count!.add(1)], {
  takes: { count: "i32" },
  cases: (op) => [{ name: "one counter", inputs: [{ shape: [1], dtype: "i32", below: 9 }], ...overwrites(op, 1) }],
});

/** Counters of the norms that saw a batch, in the time of a `countTogether`. */
let waiting: Tensor[] | undefined;

/** Runs `body`, which does not wait, and then counts the batch for all its norms: one kernel where counters lie side by side. */
export function countTogether<T>(body: Stretch<T>): T {
  if (waiting) return body();
  const counters: Tensor[] = [];
  waiting = counters;
  try {
    return body();
  } finally {
    waiting = undefined;
    // The padding between counters, which nobody reads, counts too.
    scope("count", () => {
      for (const [counter] of coalesce(counters.map((counter) => [counter]))) countBatch([counter!], []);
    });
  }
}

/** Weight, bias and statistics of each channel [C]: what batch norms have in common. */
export abstract class ChannelNorm extends Module<[x: Tensor, epilogue?: NormEpilogue], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly eps: number;

  constructor(weight: Tensor, bias: Tensor, eps = 1e-5) {
    super();
    this.weight = weight;
    this.bias = bias;
    this.runningMean = buffer(zeros(weight.shape));
    this.runningVar = buffer(full(weight.shape, 1));
    this.eps = eps;
  }

  /** x [B, C, H, W] → the same shape, by the running statistics. */
  protected forward(x: Tensor, epilogue: NormEpilogue = {}): Tensor {
    const { weight, bias, eps, runningMean: mean, runningVar: variance } = this;
    return frozenBatchNorm(x, { weight, bias, mean, variance, eps, ...pick(epilogue) });
  }
}

/**
 * Normalises channels of x [B, C, H, W]: in training by the batch's mean and biased variance, which also move the running
 * statistics (the variance unbiased); otherwise by the running statistics. Ioffe & Szegedy 2015, as PyTorch.
 */
export class BatchNorm2d extends ChannelNorm {
  readonly numBatchesTracked: Tensor;
  readonly momentum: number;

  constructor(channels: number, options: BatchNorm2dOptions = {}) {
    checkOptions("BatchNorm2d", options, OPTIONS);
    super(parameter([channels], 1), parameter([channels], 0), options.eps);
    this.numBatchesTracked = buffer(zeros([], { dtype: "i32" }));
    this.momentum = options.momentum ?? 0.1;
  }

  /** x [B, C, H, W] → the same shape. */
  protected override forward(x: Tensor, epilogue: NormEpilogue = {}): Tensor {
    if (!this.training) return super.forward(x, epilogue);
    const { weight, bias, eps, runningMean, runningVar } = this;
    const count = x.size / x.shape[1]!;
    if (count < 2)
      throw new ShapeError(
        `BatchNorm2d: ${shapeText(x.shape)} has one value per channel, which has no variance; train with more images or larger ones`,
      );
    const options = { weight, bias, eps, ...pick(epilogue) };
    if (isRecomputing()) return batchNorm(x, options).output;
    const running = { mean: runningMean, variance: runningVar, momentum: this.momentum };
    const { output } = batchNorm(x, { ...options, running });
    if (waiting) waiting.push(this.numBatchesTracked);
    else countBatch([this.numBatchesTracked], []);
    return output;
  }
}

/** Batch norm by fixed numbers: four buffers, nothing to train. */
export class FrozenBatchNorm2d extends ChannelNorm {
  constructor(channels: number, options: { readonly eps?: number } = {}) {
    checkOptions("FrozenBatchNorm2d", options, { eps: real });
    super(buffer(full([channels], 1)), buffer(zeros([channels])), options.eps);
  }
}

const normFactor = defineMap("normFactor", (weight, variance, eps) => weight.div(variance.add(eps).sqrt()), {
  inputs: [[-2, 2], [0.5, 2], 1e-5],
});
const normBias = defineMap("normBias", (bias, mean, factor) => bias.sub(mean.mul(factor)));

/** What a norm does outside training, per channel [C]: factor · x + bias. */
export function normAffine(norm: ChannelNorm): { factor: Tensor; bias: Tensor } {
  const factor = normFactor(norm.weight, norm.runningVar, norm.eps);
  return { factor, bias: normBias(norm.bias, norm.runningMean, factor) };
}

function pick(epilogue: NormEpilogue) {
  checkOptions("norm", epilogue, EPILOGUE);
  const { activation = "identity", affine } = epilogue;
  return { activation, ...(affine ? { affine } : {}) };
}
