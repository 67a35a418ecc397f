import { recordsGradient } from "../autograd/tape.ts";
import { ACTIVATIONS, type Activation, perActivation, scalar } from "../kernel/activation.ts";
import type { Expr } from "../kernel/expr.ts";
import { activationOption, type OptionRules, options, thing } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import type { Conv2dActAttrs } from "./attrs.ts";
import { conv2dOp } from "./conv2dOps.ts";
import { attrsOf, CONV2D_OPTIONS, type Conv2dOptions, inferConv } from "./conv2dOptions.ts";
import { convCases } from "./convCases.ts";
import { ones } from "./create.ts";
import { defineCall } from "./defineCall.ts";
import { defineMap } from "./defineMap.ts";
import { defineOp } from "./defineOp.ts";
import { checkInputs, inputRules, type Takes } from "./inputs.ts";

export interface Conv2dActOptions extends Conv2dOptions {
  /** [Co] */
  readonly bias: Tensor;
  /** Multiplies each output channel before the bias [Co], as a batch norm does. */
  readonly factor?: Tensor;
  /** Default identity. */
  readonly activation?: Activation;
  /** Scale and shift [1] after the activation. */
  readonly affine?: { readonly scale: Tensor; readonly shift: Tensor } | undefined;
}

/** What `conv2dAct` makes of a convolution's sum. */
export function convEpilogue(
  activation: Activation,
  [sum, bias, factor, scale, shift]: readonly [Expr, Expr, ...Expr[]],
): Expr {
  const y = scalar[activation]((factor ? sum.mul(factor) : sum).add(bias));
  return scale && shift ? y.mul(scale).add(shift) : y;
}

const epilogues = perActivation((activation) =>
  defineMap(
    `convEpilogue.${activation}`,
    (sum, bias, factor, scale, shift) => convEpilogue(activation, [sum, bias, factor, scale, shift]),
    { inputs: [[-3, 3], [-1, 1], [0.5, 2], 1.5, 0.25] },
  ),
);

const CONV2D_ACT_OPTIONS: OptionRules<Conv2dActOptions> = {
  ...CONV2D_OPTIONS,
  ...{ bias: thing, factor: thing, activation: activationOption, affine: thing },
};

/** conv2d, and its epilogue as an op of its own. */
function inTurn([x, weight, bias, factor, scale, shift]: readonly Tensor[], attrs: Conv2dActAttrs) {
  const perChannel = (t: Tensor): Tensor => t.reshape([1, -1, 1, 1]);
  const sums = conv2dOp([x!, weight!], attrs)[0]!;
  return epilogues[attrs.activation](sums, perChannel(bias!), factor ? perChannel(factor) : 1, scale ?? 1, shift ?? 0);
}

const TAKES = [
  ...["x [B, Ci, H, W]", "weight [Co, Ci/groups, kh, kw]", "bias [Co]", "factor? [Co]", "scale? [1]", "shift? [1]"],
];
const RULES = inputRules(TAKES);

// Without a gradient: one would need the values before the activation, which are what this op does not write.
const conv2dActOp = defineOp("conv2dAct", {
  takes: TAKES,
  infer: ([x, weight], attrs) => [{ shape: inferConv(x!, weight!, attrs), dtype: "f32" }],
  fallback: (inputs, attrs) => [inTurn(inputs, attrs)],
  cases: (op) =>
    [1, 2, 4].flatMap((count) =>
      convCases(
        ({ x, weight, options, rest, index }) =>
          op([x, weight, ...rest], {
            ...attrsOf(options),
            activation: ACTIVATIONS[(index + count) % ACTIVATIONS.length]!,
          })[0]!,
        false,
        (channels) => [[channels], [channels], [1], [1]].slice(0, count),
      ).map((opCase) => ({ ...opCase, name: `${opCase.name} and ${count} more` })),
    ),
});

const CONV2D_ACT: Takes = { x: "f32", weight: "f32", options: options(CONV2D_ACT_OPTIONS) };

/** scale · activation(factor · (x ⋆ weight) + bias) + shift, in one pass where no gradient is recorded. @throws ShapeError */
export const conv2dAct = defineCall("conv2dAct", CONV2D_ACT, (x: Tensor, weight: Tensor, options: Conv2dActOptions) => {
  const { bias, factor, affine, activation = "identity" } = options;
  const inputs = [x, weight, bias];
  if (factor || affine) inputs.push(factor ?? ones([weight.shape[0]!], { backend: x.backend }));
  if (affine) inputs.push(affine.scale, affine.shift);
  const attrs = { ...attrsOf(options), activation };
  if (!recordsGradient(inputs)) return conv2dActOp(inputs, attrs)[0]!;
  checkInputs("conv2dAct", inputs, RULES);
  return inTurn(inputs, attrs);
});

/** Cross-correlation of x [B, Ci, H, W] with weight [Co, Ci/groups, kh, kw] → [B, Co, Ho, Wo]. @throws ShapeError */
export const conv2d = defineCall(
  "conv2d",
  { x: "f32", weight: "f32", "options?": options({ ...CONV2D_OPTIONS, bias: thing }) },
  (x: Tensor, weight: Tensor, options: Conv2dOptions & { readonly bias?: Tensor } = {}): Tensor => {
    const { bias } = options;
    return bias ? conv2dAct(x, weight, { ...options, bias }) : conv2dOp([x, weight], attrsOf(options))[0]!;
  },
);
