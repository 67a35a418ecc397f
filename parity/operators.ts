import { GroupNorm } from "@dfine/nn";
import * as engine from "@dfine/tensor";
import { backward, conv2d, matmul, type Tensor, where } from "@dfine/tensor";

/** Attributes of an operator, named as PyTorch's functions name them. */
export interface OperatorAttrs {
  readonly op: string;
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
  readonly dilation?: number;
  readonly eps?: number;
  readonly kernel?: number;
  readonly ceil_mode?: boolean;
  readonly scale?: number;
  readonly size?: readonly [number, number];
  readonly blocked_rows_from?: number;
  readonly blocked_cols_to?: number;
}

type Operator = (inputs: readonly Tensor[], attrs: OperatorAttrs) => Tensor;

const unary =
  (op: (x: Tensor) => Tensor): Operator =>
  ([x]) =>
    op(x!);

/** softmax(q · kᵀ / √d) · v; queries from `blocked_rows_from` on may not see keys before `blocked_cols_to`. */
function maskedAttention([q, k, v]: readonly Tensor[], attrs: OperatorAttrs): Tensor {
  const { blocked_rows_from: rowsFrom = 0, blocked_cols_to: columnsTo = 0 } = attrs;
  const [rows, columns] = [q!.shape.at(-2)!, k!.shape.at(-2)!];
  const scores = matmul(q!, k!.transpose(-1, -2)).div(Math.sqrt(q!.shape.at(-1)!));
  const isBlocked = (i: number) => Math.floor(i / columns) >= rowsFrom && i % columns < columnsTo;
  const blocked = Int32Array.from({ length: rows * columns }, (_, i) => (isBlocked(i) ? 1 : 0));
  const mask = engine.tensor(blocked, [rows, columns], { dtype: "bool" });
  return matmul(engine.softmax(where(mask, Number.NEGATIVE_INFINITY, scores)), v!);
}

/** A layer whose weight and bias are the inputs. */
function groupNorm([x, weight, bias]: readonly Tensor[], { groups = 1, eps = 1e-5 }: OperatorAttrs): Tensor {
  const layer = new GroupNorm(groups, weight!.size, { eps });
  Object.assign(layer, { weight, bias });
  return layer.call(x!);
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  conv2d: ([x, weight, bias], { stride = 1, padding = 0, groups = 1, dilation = 1 }) =>
    conv2d(x!, weight!, { stride, padding, groups, dilation, ...(bias ? { bias } : {}) }),
  linear: ([x, weight, bias]) => engine.linear(x!, weight!, bias),
  matmul: ([a, b]) => matmul(a!, b!),
  layer_norm: ([x, weight, bias], { eps = 1e-5 }) => engine.layerNorm(x!, { weight: weight!, bias: bias!, eps }),
  group_norm: groupNorm,
  batch_norm: ([x, weight, bias], { eps = 1e-5 }) => engine.batchNorm(x!, { weight: weight!, bias: bias!, eps }).output,
  softmax: ([x]) => engine.softmax(x!),
  log_softmax: ([x]) => engine.logSoftmax(x!),
  gelu: unary(engine.gelu),
  silu: unary(engine.silu),
  relu: unary(engine.relu),
  sigmoid: unary(engine.sigmoid),
  tanh: unary(engine.tanh),
  exp: unary(engine.exp),
  softplus: unary(engine.softplus),
  erf: unary(engine.erf),
  log: unary(engine.log),
  max_pool2d: ([x], { kernel = 2, stride = kernel, padding = 0, ceil_mode: ceilMode = false }) =>
    engine.maxPool2d(x!, kernel, { stride, padding, ceilMode }),
  upsample_nearest: ([x], { scale = 2 }) => engine.upsampleNearest(x!, scale),
  interpolate_bilinear: ([x], { size = [1, 1] }) => engine.interpolateBilinear(x!, size),
  grid_sample: ([x, grid]) => engine.gridSample(x!, grid!),
  scaled_dot_product_attention: maskedAttention,
  cdist_l1: ([a, b]) => engine.abs(a!.unsqueeze(-2).sub(b!.unsqueeze(-3))).sum(-1),
};

/** Result of an operator and gradients of sum(out · gradOut) for its inputs. @throws Error for an unknown operator */
export function runOperator(
  attrs: OperatorAttrs,
  inputs: readonly Tensor[],
  gradOut: Tensor,
): { out: Tensor; gradients: Tensor[] } {
  const operator = OPERATORS[attrs.op];
  if (!operator) throw new Error(`operator ${attrs.op} is unknown here: add it to parity/operators.ts`);
  for (const input of inputs) input.requiresGrad = true;
  const out = operator(inputs, attrs);
  backward(out, gradOut);
  return {
    out,
    gradients: inputs.map((input) => {
      const gradient = input.grad?.alias() ?? engine.zerosLike(input);
      input.requiresGrad = false;
      return gradient;
    }),
  };
}
