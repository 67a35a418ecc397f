import {
  casesOf,
  checkOptions,
  defineMap,
  defineRow,
  type OptionRules,
  real,
  ShapeError,
  type Tensor,
} from "@dfine/tensor";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";

const standardRow = defineRow(
  "standardise",
  (row, x, eps) => {
    const centred = x.sub(row.sum(x).div(row.count));
    const variance = row.sum(centred.mul(centred)).div(row.count);
    row.store(centred.div(variance.add(eps).sqrt()));
  },
  {
    takes: ["x", "eps"],
    cases: (op) => casesOf("2x3x7 1x2x1 4x33", (shape) => ({ inputs: [{ shape }], run: (x) => op([x, 1e-5], -1) })),
  },
);

const scaleShift = defineMap("scaleShift", (x, scale, shift) => x.mul(scale).add(shift));

/** What a `GroupNorm` may be told. */
export interface GroupNormOptions {
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
}
const OPTIONS: OptionRules<GroupNormOptions> = { eps: real };

/** Normalises groups of neighbouring channels to mean 0 and variance 1, then scales and shifts each channel. Wu & He 2018. */
export class GroupNorm extends Module<[x: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly groups: number;
  readonly eps: number;

  /** @throws ShapeError where the channels do not divide into so many groups */
  constructor(groups: number, channels: number, options: GroupNormOptions = {}) {
    super();
    checkOptions("GroupNorm", options, OPTIONS);
    if (!(groups >= 1) || channels % groups !== 0)
      throw new ShapeError(
        `GroupNorm: ${channels} channels do not divide into ${groups} groups; give a number of groups that divides them`,
      );
    this.weight = parameter([channels], 1);
    this.bias = parameter([channels], 0);
    this.groups = groups;
    this.eps = options.eps ?? 1e-5;
  }

  /** x [B, C, H, W] → the same shape. */
  protected forward(x: Tensor): Tensor {
    const standard = standardRow([x.reshape([x.shape[0]!, this.groups, -1]), this.eps], -1)[0]!.reshape(x.shape);
    const perChannel = (t: Tensor): Tensor => t.reshape([1, t.size, 1, 1]);
    return scaleShift(standard, perChannel(this.weight), perChannel(this.bias));
  }
}
